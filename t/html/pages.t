#!/usr/bin/env node
'use strict';
/*
 * Every state of the pages: what it says, that it fits, and that it breaks no
 * strict policy.  Pictures of them are left in build/screens/.
 */

const { inOwnNetwork, launch, onEachServer } = require('../lib/browser');
inOwnNetwork();

const assert = require('assert');
const fs = require('fs');
const path = require('path');
const { Proxy } = require('../lib/proxy');

const SCREENS = path.join(__dirname, '..', '..', 'build', 'screens');
const LOOKS = {
  wide: { viewport: { width: 1100, height: 760 }, colorScheme: 'light' },
  dark: { viewport: { width: 1100, height: 760 }, colorScheme: 'dark' },
  small: { viewport: { width: 320, height: 640 }, colorScheme: 'light' },
};

/* What Chromium says when a line is cut. */
const CUT = /WebSocket connection to .* failed|Failed to load resource|ERR_/;

fs.mkdirSync(SCREENS, { recursive: true });

/* A picture in every look; nothing may stick out to the right. */
async function show(person, name) {
  const { page } = person;
  for (const [look, { viewport, colorScheme }] of Object.entries(LOOKS)) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize(viewport);
    await page.waitForTimeout(300); // for what fades
    await page.screenshot({ path: path.join(SCREENS, `${name}-${look}.png`) });
    const width = await page.evaluate(() =>
      document.documentElement.scrollWidth);
    assert(width <= viewport.width, `${name}-${look} is ${width} wide`);
  }
  await page.setViewportSize(LOOKS.wide.viewport);
}

const tests = {
  async 'coming in'(c) {
    const alice = await c.person('alice');
    await show(alice, 'join');
    const first = await c.person('alice');
    await first.join();
    await show(first, 'alone');
    await alice.page.getByLabel('Your name').fill('alice');
    await alice.press('Join');
    await alice.sees('Somebody is here already');
    await show(alice, 'name-taken');
    alice.quiet();
    first.quiet();
  },

  async 'people'(c) {
    const alice = await c.person('alice');
    await alice.join();
    for (const name of ['bob', 'Ragnheiður Þórðardóttir', 'W'.repeat(64)]) {
      await (await c.person(name)).join();
    }
    await alice.button('Call bob').waitFor();
    await alice.button(`Call ${'W'.repeat(64)}`).waitFor();
    await show(alice, 'people');
    alice.quiet();
  },

  async 'a call from ring to end'(c) {
    const alice = await c.person('alice');
    const bob = await c.person('bob');
    await alice.join();
    await bob.join();
    await alice.press('Call bob');
    await bob.sees('alice is calling');
    await show(alice, 'calling');
    await show(bob, 'ringing');
    await bob.press('Answer with camera');
    await Promise.all([alice.seesPicture(), bob.seesPicture()]);
    await show(alice, 'call');
    await bob.press('Mute microphone');
    await bob.press('Turn camera off');
    await alice.sees('Microphone is off');
    await show(alice, 'call-their-camera-off');
    await show(bob, 'call-own-camera-off');
    await bob.press('Hang up');
    await alice.sees('bob hung up.');
    await show(alice, 'hung-up');
    alice.quiet();
    bob.quiet();
  },

  async 'the keyboard is enough'(c) {
    const alice = await c.person('alice');
    const bob = await c.person('bob');
    await bob.join();
    const { keyboard } = alice.page;
    await alice.page.getByLabel('Your name').focus();
    await keyboard.type('alice');
    await keyboard.press('Enter');
    await alice.button('Call bob').waitFor();
    await tabTo(alice, 'Call bob');
    await keyboard.press('Enter');
    await bob.sees('alice is calling');
    await bob.page.keyboard.press('Escape');
    await alice.sees('bob declined the call.');

    await bob.press('Call alice');
    await alice.sees('bob is calling');
    await keyboard.press('Enter'); // the first button has the focus
    await alice.sees('Connected');
    await tabTo(alice, 'Hang up');
    await keyboard.press('Space');
    await bob.sees('alice hung up.');
    alice.quiet();
  },

  async 'camera refused'(c) {
    const alice = await c.person('alice', { permissions: [] });
    const bob = await c.person('bob');
    await alice.join();
    await bob.join();
    await alice.press('Call bob');
    await alice.sees('This page may not use your camera or microphone.');
    await show(alice, 'camera-refused');
    await alice.press('Cancel');
    await alice.button('Call bob').waitFor();
    alice.quiet();
  },

  async 'no camera there'(c) {
    const without = await launch({ devices: 0 });
    try {
      const alice = await without.person('alice', c.s.https);
      const bob = await c.person('bob');
      await alice.join();
      await bob.join();
      await bob.press('Call alice');
      await alice.press('Answer with camera');
      await alice.sees('No camera or microphone was found.');
      await alice.press('Go on without either');
      await alice.seesPicture();
      alice.quiet();
    } finally {
      await without.close();
    }
  },

  async 'the line is cut'(c) {
    const proxy = await Proxy.start(c.s.ports.https);
    const alice = await c.browser.person('alice',
      `https://localhost:${proxy.port}`);
    const bob = await c.person('bob');
    await alice.join();
    await bob.join();
    await alice.button('Call bob').waitFor();
    await proxy.cut();
    await alice.sees('The connection to the server is lost.');
    assert(await alice.button('Call bob').isDisabled());
    await show(alice, 'line-cut');
    await bob.sees('away');
    await alice.press('Leave');
    await alice.press('Join'); // her name is not taken, though it is kept
    await proxy.mend();
    await alice.sees('You are alice');
    await bob.button('Call alice').waitFor({ timeout: 40000 });
    await alice.page.locator('#connection:empty')
      .waitFor({ state: 'attached' });
    assert(await alice.button('Call bob').isEnabled());
    await proxy.cut();
    alice.quiet(CUT);
  },

  async 'a page that is not secure says so'(c) {
    const plain = await launch({
      args: ['--host-resolver-rules=MAP plain.test 127.0.0.1'] });
    try {
      const base = `http://plain.test:${c.s.ports.http}`;
      const alice = await plain.person('alice', base, { permissions: [] });
      await alice.sees('Calls need a secure page.');
      await show(alice, 'not-secure');
      for (const page of ['mirror', 'photo-booth']) {
        const other = await plain.person('alice', base,
          { path: `/webrtc/${page}.html`, permissions: [] });
        await other.sees('only on secure pages');
        other.quiet();
      }
      alice.quiet();
    } finally {
      await plain.close();
    }
  },

  async 'the mirror'(c) {
    const alice = await c.person('alice', { path: '/webrtc/mirror.html' });
    await alice.page.locator('h1').click(); // wakes the level
    await alice.page.waitForTimeout(1500);
    await show(alice, 'mirror');
    alice.quiet();
  },

  async 'the photo booth'(c) {
    const alice = await c.person('alice', { path: '/webrtc/photo-booth.html' });
    await show(alice, 'photo-booth-empty');
    for (let i = 0; i < 3; i++) {
      await alice.press('Take a picture');
      await alice.sees(`Picture ${i + 1} taken.`);
    }
    await show(alice, 'photo-booth');
    alice.quiet();
  },

  async 'the pages lead to one another'(c) {
    const alice = await c.person('alice');
    for (const [link, title] of [['Mirror', 'Mirror'],
                                 ['Photo booth', 'Photo booth'],
                                 ['Call', 'Talk to people here']]) {
      await alice.page.getByRole('link', { name: link }).click();
      await alice.page.getByRole('heading', { name: title }).waitFor();
    }
    alice.quiet();
  },
};

/* Press Tab until the button has the focus, and see that it shows it. */
async function tabTo(person, name) {
  const button = person.button(name);
  for (let i = 0; i < 20; i++) {
    await person.page.keyboard.press('Tab');
    const outline = await button.evaluate((element) =>
      (element === document.activeElement
        ? getComputedStyle(element).outlineStyle : null));
    if (outline) {
      assert.equal(outline, 'solid', 'the focus is visible');
      return;
    }
  }
  throw new Error(`Tab does not lead to "${name}"`);
}

onEachServer({}, tests);
