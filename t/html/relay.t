#!/usr/bin/env node
'use strict';
/* Calls through a TURN server, with the credentials that the server signs. */

const { inOwnNetwork, onEachServer } = require('../lib/browser');
inOwnNetwork();

const assert = require('assert');
const { startTurn } = require('../lib/turn');

const SECRET = 'for one test only';

let turn;

async function connected(alice, bob) {
  await alice.join();
  await bob.join();
  await alice.press('Call bob');
  await bob.press('Answer with camera');
  await alice.sees('Connected');
  await bob.sees('Connected');
}

const tests = {
  async 'the page gets a TURN server with credentials'(c) {
    const alice = await c.person('alice');
    const { iceServers, ttl } = await alice.page.evaluate(async () =>
      (await fetch('ice')).json());
    assert.equal(ttl, 3600);
    const [{ urls, username, credential }] = iceServers;
    assert.deepEqual([].concat(urls), [turn.urls.udp]);
    assert.match(username, /^\d+:/);
    assert(credential.length > 20);
  },

  async 'relay on both sides: picture and sound'(c) {
    const path = '/webrtc/?relay=1';
    const alice = await c.person('alice', { path });
    const bob = await c.person('bob', { path });
    await connected(alice, bob);
    await Promise.all([alice, bob].flatMap((p) =>
      [p.seesPicture(), p.hearsSound()]));
    assert.deepEqual((await alice.stats()).types, ['relay', 'relay']);
    assert.deepEqual((await bob.stats()).types, ['relay', 'relay']);
    await bob.press('Hang up');
    await alice.sees('bob hung up.');
    alice.quiet();
    bob.quiet();
  },

  /* The browser shows no address of a person who refused, so that the TURN
   * server is the only way to her here. */
  async 'camera refused: on with nothing, and still called'(c) {
    const alice = await c.person('alice', { permissions: [] });
    const bob = await c.person('bob');
    await alice.join();
    await bob.join();
    await alice.press('Call bob');
    await alice.sees('This page may not use your camera or microphone.');
    await alice.press('Go on without either');
    await bob.press('Answer with camera');
    await alice.sees('Connected');
    await alice.seesPicture();
    await alice.hearsSound();
  },

  async 'no way to each other'(c) {
    await turn.stop();
    const path = '/webrtc/?relay=1';
    const alice = await c.person('alice', { path });
    const bob = await c.person('bob', { path });
    await alice.join();
    await bob.join();
    await alice.press('Call bob');
    await bob.press('Answer with camera');
    // who finds out first hangs up, and the other sees that
    await Promise.any([alice, bob].map((person) =>
      person.sees('could not find a way to each other', 40000)));
    await alice.button('Call bob').waitFor();
    await bob.button('Call alice').waitFor();
  },
};

onEachServer(async () => {
  turn = await startTurn({ secrets: [SECRET] });
  return { secrets: [SECRET], settings: { ice_server: turn.urls.udp } };
}, tests, 60000);
