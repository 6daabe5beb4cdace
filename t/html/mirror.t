#!/usr/bin/env node
'use strict';
/* The mirror shows the camera and how loud the microphone is. */

const { inOwnNetwork, onEachServer } = require('../lib/browser');
inOwnNetwork();

const assert = require('assert');
const { until } = require('../lib/server');

const tests = {
  async 'the picture plays, as in a mirror'(c) {
    const alice = await open(c);
    await plays(alice);
    const matrix = await alice.page.locator('video').evaluate((video) =>
      getComputedStyle(video).transform);
    assert.match(matrix, /^matrix\(-1, 0, 0, 1,/);
    alice.quiet();
  },

  async 'the level follows the microphone: up with a beep, down without'(c) {
    const alice = await open(c);
    await plays(alice);
    await alice.page.locator('h1').click();
    const meter = alice.page.getByLabel('Microphone');
    let least = 1;
    let most = 0;
    await until(async () => {
      const value = await meter.evaluate((element) => element.value);
      least = Math.min(least, value);
      most = Math.max(most, value);
      return most > 0.3 && least < most / 2;
    }, 30000, 'the level to rise and fall');
    alice.quiet();
  },

  async 'refused, then granted'(c) {
    const alice = await open(c, { permissions: [] });
    await alice.sees('This page may not use your camera or microphone.');
    await alice.page.context().grantPermissions(['camera', 'microphone']);
    await alice.press('Try again');
    await plays(alice);
    assert(!await alice.button('Try again').isVisible());
  },
};

function open(c, options) {
  return c.person('alice', { path: '/webrtc/mirror.html', ...options });
}

async function plays(person) {
  const frames = () => person.page.locator('video').evaluate((video) =>
    (video.videoWidth > 0 && !video.paused
      ? video.getVideoPlaybackQuality().totalVideoFrames : 0));
  await until(async () => await frames() > 5, 30000, 'the picture to play');
}

onEachServer({}, tests);
