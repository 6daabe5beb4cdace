#!/usr/bin/env node
'use strict';
/*
 * Calls through a TURN server, with the credentials that the server signs.
 *
 * One coturn serves all tests.  Which of its URLs a page gets depends on the
 * host of the page: udp.test has that one only, and so on.
 */

const { inOwnNetwork, onEachServer } = require('../lib/browser');
inOwnNetwork();

const assert = require('assert');
const fs = require('fs');
const { sleep, until } = require('../lib/server');
const { diag } = require('../lib/tap');
const { startTurn } = require('../lib/turn');

const SECRET = 'for one test only';
const NEXT_SECRET = 'for the same test, later';
const TTL = 3; // seconds, at short.test

let turn;

function at(c, host, name, options = {}) {
  const { relay = true, ...rest } = options;
  return c.browser.person(name, `https://${host}.test:${c.s.ports.https}`,
    { path: relay ? '/webrtc/?relay=1' : '/webrtc/', ...rest });
}

async function call(alice, bob) {
  await alice.join();
  await bob.join();
  await alice.press('Call bob');
  await bob.press('Answer with camera');
}

/* Two who may use the relay only are in a call. */
async function relayed(c, host) {
  const alice = await at(c, host, 'alice');
  const bob = await at(c, host, 'bob');
  await call(alice, bob);
  await alice.sees('Connected through the relay');
  await bob.sees('Connected through the relay');
  return [alice, bob];
}

function together(people, ms) {
  return Promise.all(people.flatMap((p) => [p.seesPicture(ms),
                                            p.hearsSound(ms)]));
}

/* Sound and picture are back after coturn's end, which `again` starts anew. */
async function comesBack(people, again) {
  /* It may last a moment only, and on one side only: the other may have a new
   * way before she misses the old one. */
  for (const person of people) {
    await person.page.evaluate(() => {
      const section = document.querySelector('#call');
      window.interrupted = new Promise((resolve) => {
        new MutationObserver(() => {
          if (section.dataset.state === 'interrupted') {
            resolve();
          }
        }).observe(section, { attributes: true });
      });
    });
  }
  const start = Date.now();
  await again();
  const end = Date.now() + 15000;
  await Promise.any(people.map((p) =>
    p.page.evaluate(() => window.interrupted)));
  const gone = Date.now();
  await together(people, end - Date.now());
  await Promise.all(people.map((p) => p.sees('Connected through the relay')));
  const seconds = (from) => ((Date.now() - from) / 1000).toFixed(1);
  diag(`sound and picture again ${seconds(start)} s after coturn's end, `
    + `${seconds(gone)} s after the page saw that`);
}

async function endsInOrder([alice, bob]) {
  await bob.press('Hang up');
  await alice.sees('bob hung up.');
  alice.quiet();
  bob.quiet();
}

const tests = {
  async 'the page gets a TURN server with credentials'(c) {
    const alice = await at(c, 'udp', 'alice');
    const { iceServers, ttl } = await alice.page.evaluate(async () =>
      (await fetch('ice')).json());
    assert.equal(ttl, 3600);
    const [{ urls, username, credential }] = iceServers;
    assert.deepEqual([].concat(urls), [turn.urls.udp]);
    assert.match(username, /^\d+:/);
    assert(credential.length > 20);
  },

  ...Object.fromEntries(['udp', 'tcp', 'tls'].map((transport) =>
    [`relay on both sides, ${transport}: picture and sound`, async (c) => {
      const people = await relayed(c, transport);
      await together(people);
      for (const person of people) {
        const { types, transport: used } = await person.stats();
        assert.deepEqual(types, ['relay', 'relay']);
        assert.equal(used, transport);
      }
      await endsInOrder(people);
    }])),

  /* Her browser shows none of her addresses, but uses what bob's shows. */
  async 'camera refused, on with nothing: still called, and directly'(c) {
    const alice = await at(c, 'udp', 'alice', { relay: false,
                                                permissions: [] });
    const bob = await at(c, 'udp', 'bob', { relay: false });
    await alice.join();
    await bob.join();
    await alice.press('Call bob');
    await alice.sees('This page may not use your camera or microphone.');
    await alice.press('Go on without either');
    await bob.press('Answer with camera');
    await alice.sees('Connected directly');
    await bob.sees('Connected directly');
    await together([alice]);
    await endsInOrder([alice, bob]);
  },

  /* The credentials that the call began with are of no use by then.  The guest
   * gets hers for this call only. */
  async 'a guest\'s call outlives its credentials, and coturn'(c) {
    const cookie = { name: 'user', value: 'alice', domain: 'short.test',
                     path: '/', expires: -1, httpOnly: true, secure: true,
                     sameSite: 'Lax' };
    const alice = await at(c, 'short', 'alice', {
      storageState: { cookies: [cookie], origins: [] } });
    const guest = await at(c, 'short', 'guest');
    const people = [alice, guest];
    await alice.join();
    await guest.join();
    await guest.page.getByLabel('Call somebody by name').fill('alice');
    await guest.press('Call');
    await alice.press('Answer with camera');
    for (const person of people) {
      await person.sees('Connected through the relay');
    }
    await sleep((TTL + 1) * 1000);
    await together(people);
    for (const person of people) {
      const expiry = await person.page.evaluate(() => Number.parseInt(
        window.connections.at(-1).getConfiguration().iceServers[0].username));
      assert(expiry > Date.now() / 1000, `${person.name}'s are stale`);
    }
    await comesBack(people, () => turn.restart());
    await alice.press('Hang up');
    await guest.sees('alice hung up.');
    alice.quiet();
    guest.quiet();
  },

  async 'the secret is changed in the middle of a call'(c) {
    const people = await relayed(c, 'tcp');
    fs.writeFileSync(c.s.files.secrets, `${NEXT_SECRET}\n${SECRET}\n`);
    await c.s.reload();
    await comesBack(people, () =>
      turn.restart({ secrets: [NEXT_SECRET, SECRET] }));
    await endsInOrder(people);
  },

  async 'the relay refuses: both are told'(c) {
    await turn.restart({ secrets: ['of another site entirely'] });
    const alice = await at(c, 'udp', 'alice');
    const bob = await at(c, 'udp', 'bob');
    await call(alice, bob);
    const words = 'This call needs the relay of this site, which refused it.';
    await Promise.all([alice.sees(words), bob.sees(words)]);
    alice.quiet();
    bob.quiet();
  },

  async 'the relay refuses those with no direct way: told at the end'(c) {
    const alice = await at(c, 'udp', 'alice', { relay: false });
    const bob = await at(c, 'udp', 'bob', { relay: false });
    for (const person of [alice, bob]) {
      await person.page.evaluate(() => { // of no use, as behind a firewall
        RTCPeerConnection.prototype.addIceCandidate = async () => {};
      });
    }
    await alice.page.clock.install(); // or it would take 20 s
    await call(alice, bob);
    await alice.sees('Connecting …');
    await bob.sees('Connecting …');
    await until(() => alice.page.evaluate(() =>
      window.connections.at(-1)?.iceGatheringState === 'complete'), 10000,
      'the end of gathering');
    await alice.page.clock.fastForward(20000);
    const words = 'This call needs the relay of this site, which refused it.';
    await Promise.all([alice.sees(words), bob.sees(words)]);
  },

  async 'nobody there who relays: both are told'(c) {
    await turn.end();
    const alice = await at(c, 'tcp', 'alice');
    const bob = await at(c, 'tcp', 'bob');
    await call(alice, bob);
    const words = 'This call needs the relay of this site, '
      + 'which cannot be reached.';
    await Promise.all([alice.sees(words), bob.sees(words)]);
  },

  async 'relay only, at a site without one: says so at once'(c) {
    const alice = await at(c, 'none', 'alice');
    const bob = await at(c, 'none', 'bob', { relay: false });
    await call(alice, bob);
    await alice.sees('You opened this page for calls through a relay only, '
      + 'but this site has none.', 5000);
    await bob.sees('this site has no relay to help', 5000);
    await alice.button('Call bob').waitFor();
    await bob.button('Call alice').waitFor();
  },
};

onEachServer(async () => {
  turn = await startTurn({ secrets: [SECRET] });
  const { udp, tcp, tls } = turn.urls;
  const host = (name, settings) => ({ names: [`${name}.test`], settings });
  return {
    secrets: [SECRET],
    hosts: [host('udp', { ice_server: udp }),
            host('tcp', { ice_server: tcp }),
            host('tls', { ice_server: tls }),
            host('short', { ice_server: udp, turn_ttl: `${TTL}s`,
                            identity: 'cookie_user', guests: 'call' }),
            host('none', {})],
    browser: { ca: turn.ca,
               args: ['--host-resolver-rules=MAP *.test 127.0.0.1'] },
  };
}, tests, 60000);
