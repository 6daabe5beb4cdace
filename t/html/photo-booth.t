#!/usr/bin/env node
'use strict';
/* The photo booth takes pictures by space, Enter and the button, and saves
 * them as files. */

const { inOwnNetwork, launch, onEachServer } = require('../lib/browser');
inOwnNetwork();

const assert = require('assert');
const fs = require('fs');
const { until } = require('../lib/server');

const tests = {
  async 'space, Enter and the button take one picture each'(c) {
    const alice = await open(c);
    await alice.page.keyboard.press('Space');
    await pictures(alice, 1);
    await alice.page.keyboard.press('Enter');
    await pictures(alice, 2);
    await alice.press('Take a picture');
    await pictures(alice, 3);
    /* now the button has the focus: the keys press it, and only once */
    await alice.page.keyboard.press('Space');
    await pictures(alice, 4);
    await alice.page.keyboard.press('Enter');
    await pictures(alice, 5);
    await alice.sees('Picture 5 taken.');
    alice.quiet();
  },

  async 'a saved file is a picture of the right size, and not blank'(c) {
    const alice = await open(c);
    await alice.page.keyboard.press('Space');
    await pictures(alice, 1);
    const [download] = await Promise.all([
      alice.page.waitForEvent('download'),
      alice.page.getByRole('link', { name: 'Save picture 1' }).click()]);
    assert.equal(download.suggestedFilename(), 'picture-1.jpg');
    const file = fs.readFileSync(await download.path());
    assert.equal(file.subarray(0, 3).toString('hex'), 'ffd8ff', 'a JPEG');

    const found = await decode(alice.page, file);
    const live = await alice.page.locator('video').evaluate((video) =>
      [video.videoWidth, video.videoHeight]);
    assert.deepEqual([found.width, found.height], live);
    assert(live[0] >= 320 && live[1] >= 240, `live at ${live}`);
    assert(found.colours > 10, `${found.colours} colours`);
    alice.quiet();
  },

  async 'each picture is another, and can be deleted'(c) {
    const alice = await open(c);
    await alice.page.keyboard.press('Space');
    await pictures(alice, 1);
    await alice.page.waitForTimeout(300);
    await alice.page.keyboard.press('Space');
    await pictures(alice, 2);
    await alice.press('Delete picture 1');
    await pictures(alice, 1);
    await alice.page.getByRole('img', { name: 'Picture 2' }).waitFor();
    alice.quiet();
  },

  async 'on a link the keys mean the link'(c) {
    const alice = await open(c);
    await alice.page.getByRole('link', { name: 'Mirror' }).focus();
    await alice.page.keyboard.press('Enter');
    await alice.page.waitForURL(/mirror\.html$/);
  },

  async 'no camera'(c) {
    const without = await launch({ devices: 0 });
    try {
      const alice = await without.person('alice', c.s.https,
        { path: '/webrtc/photo-booth.html' });
      await alice.sees('No camera or microphone was found.');
      assert(await alice.button('Take a picture').isDisabled());
      await alice.page.keyboard.press('Space');
      await pictures(alice, 0);
      alice.quiet();
    } finally {
      await without.close();
    }
  },
};

async function open(c) {
  const person = await c.person('alice', { path: '/webrtc/photo-booth.html' });
  await until(() => person.button('Take a picture').isEnabled(), 30000,
              'the camera');
  return person;
}

async function pictures(person, n) {
  const images = person.page.locator('#strip img');
  await until(async () => await images.count() === n, 5000, `${n} pictures`);
  await images.evaluateAll((all) =>
    Promise.all(all.map((image) => image.decode())));
}

/* What another page makes of the file: the booth's own policy forbids data. */
async function decode(page, file) {
  const other = await page.context().newPage();
  return other.evaluate(async (base64) => {
    const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    const bitmap = await createImageBitmap(new Blob([bytes]));
    const canvas = document.createElement('canvas');
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
    const context = canvas.getContext('2d');
    context.drawImage(bitmap, 0, 0);
    const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
    const colours = new Set(new Uint32Array(data.buffer));
    return { width: bitmap.width, height: bitmap.height,
             colours: colours.size };
  }, file.toString('base64'));
}

onEachServer({}, tests);
