#!/usr/bin/env node
'use strict';
/*
 * ICE servers and the credentials for TURN, over HTTP and in texts.
 */

const assert = require('assert');
const crypto = require('crypto');
const { scenarios } = require('../lib/scenarios');
const { answered, ended, ring } = require('../lib/call');
const { get } = require('../lib/web');

const SECRETS = ['the-first-secret-signs', 'an-older-secret-that-checks'];
const STUN = 'stun:stun.test:3478';
const TURN = ['turn:turn.test:3478?transport=udp',
              'turns:turn.test:5349?transport=tcp'];
const MEMBERS = '/members/signal';
const GUESTS = '/guests/signal'; // an identity is configured, guests may call

const options = {
  settings: { rate: '0', ice_server: [STUN, ...TURN], turn_ttl: '10m' },
  users: { alice: 'a', bob: 'b' },
  secrets: SECRETS,
  locations: {
    [MEMBERS]: { kind: 'signal', auth: true,
                 settings: { identity: 'remote_user' } },
    [GUESTS]: { kind: 'signal', settings: { identity: 'remote_user',
                                            guests: 'call' } },
    '/members/ice': { kind: 'ice', auth: true,
                      settings: { identity: 'remote_user' } },
    '/guests/ice': { kind: 'ice', settings: { identity: 'remote_user',
                                              guests: 'call' } },
  },
  hosts: [{ names: ['two.test'] },
          { names: ['bare.test'], settings: { ice_server: STUN } }],
};

const urls = (server) => [].concat(server.urls);

/* All credentials of an answer, checked; their user name. */
function signed(answer, name) {
  assert.equal(answer.ttl, 600);
  const all = answer.iceServers.flatMap(urls);
  assert.deepEqual([...all].sort(), [STUN, ...TURN].sort());
  const users = new Set();
  for (const server of answer.iceServers) {
    if (urls(server).every((url) => url.startsWith('stun'))) {
      assert(!('credential' in server) && !('username' in server));
      continue;
    }
    const hmac = crypto.createHmac('sha1', SECRETS[0])
      .update(server.username).digest('base64');
    assert.equal(server.credential, hmac);
    const [, expiry, hash] = /^(\d+):(.+)$/.exec(server.username);
    const now = Date.now() / 1000;
    assert(Math.abs(expiry - now - 600) < 5, `it expires at ${expiry}`);
    assert(!name || !server.username.includes(name), 'no names in it');
    assert.match(hash, /^[\w+/=-]{6,}$/);
    users.add(hash);
  }
  assert.equal(users.size, 1);
  return [...users][0];
}

/* STUN only. */
function unsigned(answer) {
  assert.deepEqual(answer.iceServers.flatMap(urls), [STUN]);
  assert(answer.iceServers.every((server) => !('credential' in server)));
}

async function fetched(c, path, rest) {
  const { status, headers, body } = await get(c.web, path, rest);
  assert.equal(status, 200);
  assert.match(headers['content-type'], /^application\/json/);
  assert.match(headers['cache-control'], /no-store/);
  return JSON.parse(body);
}

const member = (c, name) => c.native(undefined,
  { path: MEMBERS, auth: `${name}:${name[0]}` });

scenarios(options, {
  async 'GET gives servers and credentials, not to be stored'(c) {
    const answer = await fetched(c, '/webrtc/ice');
    assert.deepEqual(Object.keys(answer).sort(), ['iceServers', 'ttl']);
    signed(answer);
    const head = await get(c.web, '/webrtc/ice', { method: 'HEAD' });
    assert.equal(head.status, 200);
    assert.equal(head.body, '');
    const post = await get(c.web, '/webrtc/ice', { method: 'POST' });
    assert.equal(post.status, 405);
  },

  async 'credentials are of a realm and a name'(c) {
    const user = async (path, rest, name) =>
      signed(await fetched(c, path, rest), name);
    const alice = await user('/members/ice', { auth: 'alice:a' }, 'alice');
    const again = await user('/members/ice', { auth: 'alice:a' }, 'alice');
    const bob = await user('/members/ice', { auth: 'bob:b' }, 'bob');
    assert.equal(alice, again);
    assert.notEqual(alice, bob);

    const here = (await c.native('carol')).welcome.ice;
    const there = (await c.native('carol', { host: 'two.test' })).welcome.ice;
    assert.notEqual(signed(here, 'carol'), signed(there, 'carol'));
  },

  async 'without a login there is none, and guests get STUN only'(c) {
    assert.equal((await get(c.web, '/members/ice')).status, 401);
    unsigned(await fetched(c, '/guests/ice'));
  },

  async 'a server without TURN gives what it has'(c) {
    unsigned(await fetched(c, '/webrtc/ice', { host: 'bare.test' }));
  },

  async 'the welcome and the ice text give the same'(c) {
    const alice = await c.native('alice');
    const hash = signed(alice.welcome.ice, 'alice');
    const { type, ref, ...answer } =
      await alice.ask({ type: 'ice', ref: 'i' }, 'ice');
    assert.equal(type, 'ice');
    assert.equal(ref, 'i');
    assert.equal(signed(answer, 'alice'), hash);
    const bob = await member(c, 'bob');
    signed(bob.welcome.ice, 'bob');
  },

  async 'where names are proved a guest gets them for a call only'(c) {
    const bob = await member(c, 'bob');
    const guest = await c.native('guest', { path: GUESTS });
    const ask = async () => guest.ask({ type: 'ice' }, 'ice');
    unsigned(guest.welcome.ice);
    unsigned(await ask());

    const calling = await guest.ask({ type: 'call', to: 'bob' }, 'calling');
    signed(calling.ice, 'guest');
    const { call } = await bob.next('ring');
    signed(await ask());
    bob.send({ type: 'accept', call });
    await bob.next('accepted');
    signed((await guest.next('accepted')).ice, 'guest');
    signed(await ask());
    bob.send({ type: 'hangup', call });
    await ended(guest, call, 'hangup');
    unsigned(await ask());
  },

  async 'who is let in anyway gets them by the welcome'(c) {
    const alice = await c.native('alice');
    const bob = await c.native('bob');
    signed(alice.welcome.ice, 'alice');
    const call = await answered(alice, bob);
    alice.send({ type: 'hangup', call });
    await ended(bob, call, 'hangup');
    signed(await alice.ask({ type: 'ice' }, 'ice'));
    await ring(alice, bob);
  },
});

scenarios({}, {
  async 'with nothing configured the list is empty'(c) {
    const { body } = await get(c.web, '/webrtc/ice');
    assert.deepEqual(JSON.parse(body).iceServers, []);
    const alice = await c.native('alice');
    assert.deepEqual(alice.welcome.ice.iceServers, []);
    assert.deepEqual((await alice.ask({ type: 'ice' }, 'ice')).iceServers, []);
  },
});
