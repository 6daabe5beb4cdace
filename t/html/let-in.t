#!/usr/bin/env node
'use strict';
/* Who is let in, as whom, and what the page says to the others. */

const { inOwnNetwork, onEachServer } = require('../lib/browser');
inOwnNetwork();

const assert = require('assert');

/* What Chromium says when a handshake is refused. */
const REFUSED = /WebSocket connection to .* failed|Failed to load resource/;

async function tries(person) {
  await person.page.getByLabel('Your name').fill(person.name);
  await person.press('Join');
}

onEachServer({ settings: { guests: 'off' } }, {
  async 'no guests: asks to log in'(c) {
    const alice = await c.person('alice');
    await tries(alice);
    await alice.sees('Only people who are logged in can call here.');
    await alice.button('Join').waitFor();
    alice.quiet();
  },
});

onEachServer({ settings: { max_peers: '1' } }, {
  async 'full: says so, and comes in once there is room'(c) {
    const alice = await c.person('alice');
    await alice.join();
    const bob = await c.person('bob');
    await tries(bob);
    await bob.sees('The server is full at the moment.');
    await alice.press('Leave');
    await bob.sees('You are bob', 30000);
    bob.quiet();
  },
});

const users = { alice: 'a', bob: 'b' };

/* Somebody with a password: the browser keeps it once it was asked. */
async function user(c, name) {
  const person = await c.person(name, {
    path: '/webrtc/ice',
    httpCredentials: { username: name, password: users[name] } });
  await person.page.goto(`${c.s.https}/webrtc/`);
  person.complaints.length = 0;
  return person;
}

onEachServer({
  users,
  locations: { '/webrtc/signal': { kind: 'signal', auth: true,
                                   settings: { identity: 'remote_user' } },
               '/webrtc/ice': { kind: 'ice', auth: true } },
}, {
  async 'the login is the name, whatever is claimed'(c) {
    const alice = await user(c, 'alice');
    const bob = await user(c, 'bob');
    await bob.join();
    await alice.page.getByLabel('Your name').fill('bob');
    await alice.press('Join');
    await alice.sees('You are alice');
    await bob.sees('free, logged in');
    await bob.press('Call alice');
    await alice.sees('from somebody who is logged in');
    await alice.press('Answer with camera');
    await Promise.all([alice.seesPicture(), bob.seesPicture()]);
  },

  async 'two devices ring, one answers'(c) {
    const alice = await user(c, 'alice');
    const bob = await user(c, 'bob');
    const phone = await user(c, 'bob');
    await alice.join();
    await bob.join();
    await phone.join();
    await alice.press('Call bob');
    await bob.sees('alice is calling');
    await phone.press('Answer with sound only');
    await bob.sees('You answered alice\'s call on another device.');
    assert(!await bob.button('Decline').isVisible());
    await alice.hearsSound();
  },

  async 'with a wrong password: asks to log in'(c) {
    const mallory = await c.person('mallory', {
      httpCredentials: { username: 'alice', password: 'wrong' } });
    await tries(mallory);
    await mallory.sees('Only people who are logged in can call here.');
    mallory.quiet(REFUSED);
  },
});

/* Any variable can be the identity. */
onEachServer({ settings: { identity: 'cookie_user', guests: 'call' } }, {
  async 'a guest sees nobody, and calls by name'(c) {
    const cookie = { name: 'user', value: 'alice', domain: 'localhost',
                     path: '/', expires: -1, httpOnly: true, secure: true,
                     sameSite: 'Lax' };
    const alice = await c.person('alice', {
      storageState: { cookies: [cookie], origins: [] } });
    await alice.join();
    const bob = await c.person('bob');
    await bob.join();
    const field = bob.page.getByLabel('Call somebody by name');
    await field.fill('nobody');
    await bob.press('Call');
    await bob.sees('nobody is not here.');
    await field.fill('alice');
    await bob.press('Call');
    await alice.sees('bob is calling');
    await alice.press('Answer with camera');
    await Promise.all([alice.seesPicture(), bob.seesPicture()]);
    await bob.press('Hang up');
    await alice.sees('bob hung up.');
  },
});
