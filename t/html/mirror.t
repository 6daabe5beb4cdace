#!/usr/bin/env node
'use strict';
/* The mirror shows the camera and how loud the microphone is. */

const { inOwnNetwork, onEachServer } = require('../lib/browser');
inOwnNetwork();

const assert = require('assert');
const { sleep, until } = require('../lib/server');

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
    const values = [];
    for (let i = 0; i < 100; i++) {
      values.push(await meter.evaluate((element) => element.value));
      await sleep(25);
    }
    const [least, most] = [Math.min(...values), Math.max(...values)];
    assert(most > 0.3, `the highest level is ${most}`);
    assert(least < most / 2, `the lowest level is ${least}`);
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
