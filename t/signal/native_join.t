#!/usr/bin/env node
'use strict';
/*
 * The native dialect: hello, welcome, errors, leaving.
 */

const assert = require('assert');
const { scenarios } = require('../lib/scenarios');
const { Native } = require('../lib/client');
const { sleep } = require('../lib/server');

const OFF = '/off/signal'; // no resume

async function greeted(c, message, options) {
  const client = await c.open(Native, options);
  client.send(message);
  return client;
}

scenarios({ settings: { max_message: '64k', rate: '0' },
            locations: { [OFF]: { kind: 'signal', settings: { resume: '0' } } } }, {
  async 'the welcome says what the protocol says'(c) {
    const bob = await c.native('bob');
    const alice = await c.native('alice', { off: bob.worker });
    const { peer, ice, resume, ...rest } = alice.welcome;
    assert.deepEqual(rest, {
      type: 'welcome', name: 'alice', verified: false, realm: 'localhost',
      users: [{ name: 'bob', state: 'free', verified: false }], count: 2,
      calls: [], resume_window: 15, ping: 25, max_message: 65536,
      features: ['rooms', 'resume'] });
    assert.match(resume, /^[\w-]{22,}$/);
    assert.match(peer, /^p./);
    assert.notEqual(peer, bob.welcome.peer);
    assert(Array.isArray(ice.iceServers));
    assert.equal(alice.protocol, 'webrtc-signal.v1');
  },

  async 'watch none gives an empty list and the count'(c) {
    await c.native('bob');
    const alice = await c.native('alice', {}, { watch: 'none' });
    assert.deepEqual(alice.welcome.users, []);
    assert.equal(alice.welcome.count, 2);
  },

  async 'unknown members are ignored, whatever they hold'(c) {
    const alice = await c.native('alice', {}, {
      watch: 'all', from: 'bob', x: { y: [1, 2, null] }, features: [] });
    assert.equal(alice.name, 'alice');
  },

  async 'a second hello is an error'(c) {
    const alice = await c.native('alice');
    const error = await alice.ask({ type: 'hello', name: 'alice', ref: 'h' },
                                  'error');
    assert.equal(error.code, 'already-joined');
    assert.equal(error.ref, 'h');
    assert.equal(typeof error.message, 'string');
    const other = await alice.ask({ type: 'hello', name: 'eve' }, 'error');
    assert.equal(other.code, 'already-joined');
  },

  async 'a wrong first text closes with 4400, another than hello 4401'(c) {
    const cases = [
      [{}, 4400], [{ type: 1 }, 4400], [{ type: null }, 4400],
      [{ type: ['hello'] }, 4400], [{ name: 'alice' }, 4400],
      [{ type: 'hello' }, 4400],
      [{ type: 'hello', name: 1 }, 4400],
      [{ type: 'hello', name: 'a', watch: 'some' }, 4400],
      [{ type: 'hello', name: 'a', watch: 1 }, 4400],
      [{ type: 'hello', name: 'a', watch: null }, 4400],
      [{ type: 'hello', name: 'a', watch: [1] }, 4400],
      [{ type: 'hello', name: 'a', ref: 1 }, 4400],
      [{ type: 'hello', name: 'a', ref: 'x'.repeat(65) }, 4400],
      [{ type: 'Hello', name: 'a' }, 4401],
      [{ type: '', name: 'a' }, 4401],
      [{ type: 'lookup', name: 'a' }, 4401],
      [{ type: 'bye' }, 4401],
      [{ type: 'call', to: 'a' }, 4401],
    ];
    for (const [message, code] of cases) {
      const client = await greeted(c, message);
      const end = await client.ends();
      assert.equal(end.code, code, JSON.stringify(message));
      assert.notEqual(end.reason, '', 'a reason in words');
    }
  },

  async 'unknown types and malformed texts are errors, with their ref'(c) {
    const alice = await c.native('alice');
    const cases = [
      [{ type: 'nonsense' }], [{ type: '' }], [{ type: 'Lookup', name: 'x' }],
      [{}], [{ type: 1 }], [{ type: null }], ['[]'], ['no JSON'],
      [{ type: 'lookup' }], [{ type: 'lookup', name: 1 }],
      [{ type: 'watch' }], [{ type: 'watch', names: 'some' }],
      [{ type: 'watch', names: 1 }], [{ type: 'watch', names: [null] }],
      [{ type: 'state' }], [{ type: 'state', state: 'busy' }],
      [{ type: 'state', state: 1 }],
      [{ type: 'call' }], [{ type: 'call', to: 1 }],
      [{ type: 'accept' }], [{ type: 'accept', call: 1 }],
      [{ type: 'hangup' }], [{ type: 'decline' }],
      [{ type: 'signal', call: 'c1' }], [{ type: 'signal', data: 1 }],
      [{ type: 'welcome' }], [{ type: 'ring', call: 'c1' }],
      [{ type: 'accepted', call: 'c1' }], [{ type: 'ended', call: 'c1' }],
      [{ type: 'presence', joined: [] }], [{ type: 'error' }],
    ];
    for (const [message] of cases) {
      const error = await alice.ask(message, 'error');
      assert.equal(error.code, 'bad-message', JSON.stringify(message));
      if (typeof message === 'object') {
        const again = await alice.ask({ ...message, ref: 'r"\u00e9' }, 'error');
        assert.equal(again.code, 'bad-message');
        assert.equal(again.ref, 'r"\u00e9', JSON.stringify(message));
      }
    }
  },

  async 'a ref is repeated in the answer; a bad one is an error'(c) {
    const alice = await c.native('alice');
    for (const ref of ['', '1', 'x'.repeat(64), '\u20ac'.repeat(21), '"\\\n']) {
      for (const [message, type] of [
        [{ type: 'lookup', name: 'bob' }, 'user'],
        [{ type: 'watch', names: 'all' }, 'users'],
        [{ type: 'ice' }, 'ice'],
        [{ type: 'call', to: 'nobody' }, 'error'],
        [{ type: 'hangup', call: 'c0' }, 'error'],
      ]) {
        const answer = await alice.ask({ ...message, ref }, type);
        assert.equal(answer.ref, ref);
        const without = await alice.ask(message, type);
        assert(!('ref' in without));
      }
    }
    for (const ref of [1, null, {}, 'x'.repeat(65), '\u20ac'.repeat(22)]) {
      const error = await alice.ask({ type: 'lookup', name: 'bob', ref },
                                    'error');
      assert.equal(error.code, 'bad-message', JSON.stringify(ref));
      assert(!('ref' in error));
    }
  },

  async 'a hello\'s ref is repeated in the welcome'(c) {
    const alice = await c.native('alice', {}, { ref: 'first' });
    assert.equal(alice.welcome.ref, 'first');
  },

  async 'errors say what they are about'(c) {
    const alice = await c.native('alice');
    const unreachable = await alice.ask(
      { type: 'call', to: 'nobody', ref: '1' }, 'error');
    assert.equal(unreachable.code, 'unreachable');
    assert.equal(unreachable.to, 'nobody');
    const unknown = await alice.ask({ type: 'accept', call: 'c0' }, 'error');
    assert.equal(unknown.code, 'call-unknown');
    assert.equal(unknown.call, 'c0');
  },

  async 'a call id that could never be one is unknown or malformed'(c) {
    const alice = await c.native('alice');
    for (const call of ['', 'c', 'x', 'c0', 'c-1', 'c99999999999999999999999',
                        'cffffffffffffffff', 'C1', 'c1 ', '\u20ac',
                        'c' + 'f'.repeat(5000), 'c0x1', 'c+1']) {
      for (const type of ['accept', 'decline', 'hangup']) {
        const error = await alice.ask({ type, call }, 'error');
        assert(['call-unknown', 'bad-message'].includes(error.code));
      }
      const error = await alice.ask({ type: 'signal', call, data: 1 }, 'error');
      assert(['call-unknown', 'bad-message'].includes(error.code));
    }
  },

  async 'bye takes the name off the list and frees it'(c) {
    const bob = await c.native('bob');
    for (const where of [{ on: bob.worker }, { off: bob.worker }]) {
      const alice = await c.native('alice', where);
      await bob.shows({ alice: 'free' });
      alice.send({ type: 'bye' });
      await bob.shows({ alice: null });
      const again = await c.native('alice');
      await bob.shows({ alice: 'free' });
      await again.close();
      await bob.shows({ alice: null });
    }
  },

  async 'without resume a lost peer is gone at once'(c) {
    const bob = await c.native('bob');
    const alice = await c.native('alice', { off: bob.worker, path: OFF });
    await bob.shows({ alice: 'free' });
    await alice.cut();
    await bob.shows({ alice: null }, 2000);
    const start = Date.now();
    await c.native('alice');
    assert(Date.now() - start < 1000);
  },

  async 'a taken name closes with 4409, on any worker'(c) {
    const alice = await c.native('alice');
    for (const where of [{ on: alice.worker }, { off: alice.worker }]) {
      const other = await greeted(c, { type: 'hello', name: 'alice' }, where);
      await other.ends(4409);
    }
    assert.equal((await alice.ask({ type: 'lookup', name: 'alice' }, 'user'))
      .state, 'free');
  },

  async 'a holder that does not answer loses name, place and calls'(c) {
    const bob = await c.native('bob');
    const dead = await c.native('dead', { off: bob.worker, pong: false });
    dead.send({ type: 'call', to: 'bob' });
    const { call } = await bob.next('ring');
    const start = Date.now();
    const other = await c.native('dead', { on: bob.worker });
    const took = Date.now() - start;
    assert(took > 1500 && took < 3500, `${took} ms`);
    assert.deepEqual(await bob.next('ended'),
                     { type: 'ended', call, reason: 'gone' });
    await dead.ends(undefined, 2000);
    await bob.shows({ dead: 'free' });
    assert.equal(other.welcome.count, 2);
  },

  async 'a binary frame closes with 1003, a long text with 1009'(c) {
    let alice = await c.native('alice', { path: OFF });
    alice.socket.send(Buffer.from('{}'), { binary: true });
    await alice.ends(1003);
    alice = await c.native('alice', { path: OFF });
    alice.send('x'.repeat(65537));
    await alice.ends(1009);
  },
});

scenarios({ settings: { hello_timeout: '1s', ping: '7s', max_message: '2k',
                        resume: '3s' } }, {
  async 'who says nothing is closed with 4408'(c) {
    const silent = await c.open(Native);
    const alice = await c.native('alice');
    await silent.ends(4408, 3000);
    await sleep(300);
    await alice.ask({ type: 'ice' }, 'ice');
  },

  async 'the welcome and the limit follow the settings'(c) {
    const alice = await c.native('alice');
    assert.equal(alice.welcome.ping, 7);
    assert.equal(alice.welcome.resume_window, 3);
    assert.equal(alice.welcome.max_message, 2048);
    const text = (size) => {
      const empty = JSON.stringify({ type: 'ice', x: '' });
      return JSON.stringify({ type: 'ice', x: 'x'.repeat(size - empty.length) });
    };
    await alice.ask(text(2048), 'ice');
    alice.send(text(2049));
    await alice.ends(1009);
    assert.equal((await c.again(alice)).welcome.resumed, true);
  },
});
