#!/usr/bin/env node
'use strict';
/*
 * Calls: each row of the arbitration table, on one worker and across two.
 */

const assert = require('assert');
const { scenarios } = require('../lib/scenarios');
const { Native } = require('../lib/client');
const { ring, answered, ended, quiet, free } = require('../lib/call');
const { sleep } = require('../lib/server');

const MEMBERS = '/members/signal'; // logs in
const QUICK = '/quick/signal';     // rings for one second
const GUESTS = '/guests/signal';   // guests may call proved names
const CLOSED = '/closed/signal';   // no guests
const FRAIL = '/frail/signal';     // no resume: who is lost is gone
const FRAIL_MEMBERS = '/frail-members/signal';

const options = {
  settings: { rate: '0' },
  users: { alice: 'a', bob: 'b', carol: 'c' },
  locations: {
    [MEMBERS]: { kind: 'signal', auth: true,
                 settings: { identity: 'remote_user' } },
    [FRAIL]: { kind: 'signal', settings: { resume: '0' } },
    [FRAIL_MEMBERS]: { kind: 'signal', auth: true,
                       settings: { identity: 'remote_user', resume: '0' } },
    [QUICK]: { kind: 'signal', settings: { ring_timeout: '1s' } },
    [GUESTS]: { kind: 'signal', settings: { guests: 'call' } },
    [CLOSED]: { kind: 'signal', settings: { identity: 'remote_user' } },
  },
};

const member = (c, name, rest = {}, hello = {}) => c.native(name,
  { path: MEMBERS, auth: `${name}:${name[0]}`, ...rest }, hello);

const error = async (client, message, code) => {
  const got = await client.ask(message, 'error');
  assert.equal(got.code, code, JSON.stringify(got));
  return got;
};

const rows = {
  async 'a call from dialling to hanging up'(c, where) {
    const alice = await c.native('alice');
    const bob = await c.native('bob', where(alice));
    const calling = await alice.ask(
      { type: 'call', to: 'bob', media: ['audio', 'video'],
        info: { topic: 'x' }, ref: '1' }, 'calling');
    const { call, ice, ...rest } = calling;
    assert.match(call, /^c./);
    assert.deepEqual(rest, { type: 'calling', to: 'bob', ringing: 1, ref: '1' });
    assert.deepEqual(await bob.next('ring'),
      { type: 'ring', call, from: 'alice', verified: false,
        media: ['audio', 'video'], info: { topic: 'x' }, expires: 45 });
    bob.send({ type: 'accept', call, media: ['audio'] });
    const yes = await alice.next('accepted');
    assert.equal(yes.call, call);
    assert.equal(yes.from, 'bob');
    assert.equal(yes.verified, false);
    assert.deepEqual(yes.media, ['audio']);
    const won = await bob.next('accepted');
    assert.equal(won.call, call);
    assert.equal(won.from, 'alice');
    await Promise.all([alice.shows({ bob: 'busy' }),
                       bob.shows({ alice: 'busy' })]);

    for (const [from, to] of [[alice, bob], [bob, alice]]) {
      from.send({ type: 'signal', call, data: { sdp: 'v=0\r\n' } });
      assert.deepEqual(await to.next('signal'),
        { type: 'signal', call, from: from.name, data: { sdp: 'v=0\r\n' } });
    }
    bob.send({ type: 'hangup', call });
    await ended(alice, call, 'hangup');
    await Promise.all([alice.shows({ bob: 'free' }),
                       bob.shows({ alice: 'free' })]);
    await quiet(alice, bob);
  },

  async 'ringing is free, dialling is busy'(c, where) {
    const alice = await c.native('alice');
    const bob = await c.native('bob', where(alice));
    const call = await ring(alice, bob);
    await Promise.all([bob.shows({ alice: 'busy' }),
                       alice.shows({ bob: 'free' })]);
    await sleep(300);
    await alice.shows({ bob: 'free' }, 0);
    alice.send({ type: 'hangup', call });
    await ended(bob, call, 'cancelled');
    await bob.shows({ alice: 'free' });
  },

  async 'data travels byte for byte, and in order'(c, where) {
    const alice = await c.native('alice');
    const bob = await c.native('bob', where(alice));
    const call = await answered(alice, bob);
    const values = ['1', '-0.0', '1e999', '"x"', 'null', 'true', '[]', '{}',
                    '{ "b" :1,\t"a": [ 1 ,2 ], "a":\n3 }', '"\\u0041\\/\\n"',
                    '"\u00e9\\u00e9\u{1f600}\\ud83d\\ude00"', '"\u2028"',
                    '{"from":"eve","type":"ended","call":"c1"}',
                    JSON.stringify('s'.repeat(60000))];
    for (const [from, to] of [[alice, bob], [bob, alice]]) {
      for (const value of values) {
        from.send(`{"data": ${value} ,"from":"eve","x":1,`
                  + `"call":"${call}","type":"signal"}`);
        const got = await to.next('signal');
        assert.equal(got.from, from.name);
        assert.deepEqual(Object.keys(got).sort(),
                         ['call', 'data', 'from', 'type']);
        assert(got.raw.includes(`"data":${value}`), got.raw.slice(0, 200));
      }
    }
    for (let i = 0; i < 1000; i++) {
      alice.send({ type: 'signal', call, data: i });
      bob.send({ type: 'signal', call, data: i });
    }
    for (let i = 0; i < 1000; i++) {
      assert.equal((await bob.next('signal')).data, i);
      assert.equal((await alice.next('signal')).data, i);
    }
  },

  async 'info travels as written, up to 1024 bytes'(c, where) {
    const alice = await c.native('alice');
    const bob = await c.native('bob', where(alice));
    for (const info of ['1', 'null', '{ "a" : "\\u0041" }', '"\u00e9"',
                        '[1e999,{"a":1,"a":2}]',
                        JSON.stringify('x'.repeat(1022))]) {
      const { call } = await alice.ask(
        `{"type":"call","to":"bob","info":  ${info} }`, 'calling');
      const rung = await bob.next('ring');
      assert(rung.raw.includes(`"info":${info}`), rung.raw);
      alice.send({ type: 'hangup', call });
      await ended(bob, call, 'cancelled');
    }
    await alice.ask({ type: 'call', to: 'bob' }, 'calling');
    assert(!('info' in await bob.next('ring')), 'absent stays absent');

    const carol = await c.native('carol');
    const got = await error(carol, { type: 'call', to: 'bob', ref: '9',
                                     info: 'x'.repeat(1023) }, 'bad-message');
    assert.equal(got.ref, '9');
    await quiet(bob);
  },

  async 'media is a list of short strings, and is rewritten'(c, where) {
    const alice = await c.native('alice');
    const bob = await c.native('bob', where(alice));
    for (const [written, media] of [
      ['["\\u0061udio" , "vid\\/eo"]', ['audio', 'vid/eo']],
      ['[]', []],
      ['["1","2","3","4","5","6","7","8"]', [...'12345678']],
      [JSON.stringify(['x'.repeat(16), '"\\']), ['x'.repeat(16), '"\\']],
    ]) {
      const { call } = await alice.ask(
        `{"type":"call","to":"bob","media":${written}}`, 'calling');
      const rung = await bob.next('ring');
      assert.deepEqual(rung.media, media);
      assert(rung.raw.includes(`"media":${JSON.stringify(media)}`), rung.raw);
      bob.send(`{"type":"accept","call":"${call}","media":${written}}`);
      await bob.next('accepted');
      assert.deepEqual((await alice.next('accepted')).media, media);
      alice.send({ type: 'hangup', call });
      await ended(bob, call, 'hangup');
    }
    for (const media of ['audio', 1, null, {}, [1], [null], [['audio']],
                         [...'123456789'], ['x'.repeat(17)]]) {
      await error(alice, { type: 'call', to: 'bob', media }, 'bad-message');
    }
    const call = await ring(alice, bob);
    assert.deepEqual((await error(bob, { type: 'accept', call, media: 'audio' },
                                  'bad-message')).call, call);
    bob.send({ type: 'accept', call });
    await bob.next('accepted');
    assert.deepEqual((await alice.next('accepted')).media, []);
  },

  async 'nobody of that name, or oneself'(c, where) {
    const alice = await c.native('alice');
    const bob = await c.native('bob', where(alice));
    for (const to of ['nobody', 'Bob', 'alice']) {
      const got = await error(alice, { type: 'call', to, ref: '1' },
                              'unreachable');
      assert.equal(got.to, to);
      assert.equal(got.ref, '1');
    }
    await bob.close();
    await error(alice, { type: 'call', to: 'bob' }, 'unreachable');
  },

  async 'who is in a call is busy; who rings is not'(c, where) {
    const alice = await c.native('alice');
    const bob = await c.native('bob', where(alice));
    const carol = await c.native('carol', where(bob));
    const call = await ring(alice, bob);
    const second = await ring(carol, bob);
    carol.send({ type: 'hangup', call: second });
    await ended(bob, second, 'cancelled');

    // the one who dials is in a call, so is the one who answered
    for (const to of ['alice', 'bob']) {
      if (to === 'bob') {
        bob.send({ type: 'accept', call });
        await bob.next('accepted');
        await alice.next('accepted');
      }
      const got = await carol.ask({ type: 'call', to, ref: to }, 'ended');
      assert.equal(got.reason, 'busy');
      assert.equal(got.to, to);
      assert.equal(got.ref, to);
      assert.match(got.call, /^c./);
    }
    await quiet(alice, bob, carol);
    alice.send({ type: 'hangup', call });
    await ended(bob, call, 'hangup');
    await free(carol, alice);
  },

  async 'one call at a time: busy-self'(c, where) {
    const alice = await c.native('alice');
    const bob = await c.native('bob', where(alice));
    const carol = await c.native('carol');
    const call = await ring(alice, bob, { ref: '1' });
    const got = await error(alice, { type: 'call', to: 'carol', ref: '2' },
                            'busy-self');
    assert.equal(got.ref, '2');
    assert.equal(got.to, 'carol');
    const other = await ring(carol, bob);
    bob.send({ type: 'accept', call });
    await bob.next('accepted');
    await alice.next('accepted');
    await error(bob, { type: 'call', to: 'alice' }, 'busy-self');
    assert.equal((await error(bob, { type: 'accept', call: other },
                              'busy-self')).call, other);
    // it rings on: after the first call it can be answered
    bob.send({ type: 'hangup', call });
    await ended(alice, call, 'hangup');
    bob.send({ type: 'accept', call: other });
    await bob.next('accepted');
    await carol.next('accepted');
  },

  async 'declined, with decline or with hangup'(c, where) {
    const alice = await c.native('alice');
    const bob = await c.native('bob', where(alice));
    for (const type of ['decline', 'hangup']) {
      const call = await ring(alice, bob);
      bob.send({ type, call });
      await ended(alice, call, 'declined');
      await quiet(bob);
    }
    await free(bob, alice);
  },

  async 'nobody answers'(c, where) {
    const alice = await c.native('alice', { path: QUICK });
    const bob = await c.native('bob', { path: QUICK, ...where(alice) });
    const start = Date.now();
    await alice.ask({ type: 'call', to: 'bob' }, 'calling');
    const { call, expires } = await bob.next('ring');
    assert.equal(expires, 1);
    await Promise.all([ended(alice, call, 'no-answer'),
                       ended(bob, call, 'missed')]);
    const took = Date.now() - start;
    assert(took > 900 && took < 2500, `${took} ms`);
    await free(alice, bob);
  },

  async 'the caller hangs up while it rings'(c, where) {
    const alice = await c.native('alice');
    const bob = await c.native('bob', where(alice));
    for (const type of ['hangup', 'decline']) {
      const call = await ring(alice, bob);
      alice.send({ type, call });
      await ended(bob, call, 'cancelled');
      await quiet(alice);
    }
    await free(alice, bob);
  },

  async 'the caller leaves while it rings'(c, where) {
    const bob = await c.native('bob');
    for (const leave of [
      (alice) => alice.send({ type: 'bye' }),
      (alice) => alice.close(),
      (alice) => alice.close(1000),
      (alice) => alice.close(1001),
    ]) {
      const alice = await c.native('alice', where(bob));
      const call = await ring(alice, bob);
      await leave(alice);
      await ended(bob, call, 'cancelled');
      await bob.shows({ alice: null });
    }
  },

  async 'the caller is lost while it rings'(c, where) {
    const bob = await c.native('bob');
    const alice = await c.native('alice', { path: FRAIL, ...where(bob) });
    const call = await ring(alice, bob);
    await alice.cut();
    await ended(bob, call, 'gone');
    await quiet(bob);
  },

  async 'all that rang left or are lost'(c, where) {
    const alice = await c.native('alice');
    for (const leave of [(bob) => bob.send({ type: 'bye' }),
                         (bob) => bob.close(), (bob) => bob.cut()]) {
      const bob = await c.native('bob', { path: FRAIL, ...where(alice) });
      const call = await ring(alice, bob);
      await leave(bob);
      await ended(alice, call, 'unreachable');
      await alice.shows({ bob: null });
    }
    const carol = await c.native('carol', where(alice));
    await free(alice, carol);
  },

  async 'both dial each other, one after the other'(c, where) {
    const alice = await c.native('alice');
    const bob = await c.native('bob', where(alice));
    const call = await ring(alice, bob, { media: ['audio'] });
    const glare = await bob.ask({ type: 'call', to: 'alice', ref: 'b',
                                  media: ['video'] }, 'ended');
    assert.equal(glare.reason, 'glare');
    assert.equal(glare.into, call);
    assert.equal(glare.ref, 'b');
    assert.notEqual(glare.call, call);
    const won = await bob.next('accepted');
    assert.equal(won.call, call);
    assert.equal(won.from, 'alice');
    const yes = await alice.next('accepted');
    assert.equal(yes.call, call);
    assert.equal(yes.from, 'bob');
    assert.deepEqual(yes.media, ['video']);
    alice.send({ type: 'signal', call, data: 'offer' });
    assert.equal((await bob.next('signal')).data, 'offer');
    bob.send({ type: 'hangup', call });
    await ended(alice, call, 'hangup');
    await free(bob, alice);
  },

  async 'one side of an answered call leaves'(c, where) {
    const alice = await c.native('alice');
    for (const [reason, leave] of [
      ['hangup', (bob, call) => bob.send({ type: 'hangup', call })],
      ['hangup', (bob, call) => bob.send({ type: 'decline', call })],
      ['hangup', (bob) => bob.send({ type: 'bye' })],
      ['hangup', (bob) => bob.close()],
      ['gone', (bob) => bob.cut()],
    ]) {
      for (const caller of [true, false]) {
        const bob = await c.native('bob', { path: FRAIL, ...where(alice) });
        const call = await (caller ? answered(bob, alice)
                                   : answered(alice, bob));
        await leave(bob, call);
        await ended(alice, call, reason);
        await quiet(alice);
        await bob.close();
        await alice.shows({ bob: null });
      }
    }
  },

  async 'accept by the caller, by the winner again, by a stranger'(c, where) {
    const alice = await c.native('alice');
    const bob = await c.native('bob', where(alice));
    const carol = await c.native('carol');
    const call = await ring(alice, bob);
    assert.equal((await error(alice, { type: 'accept', call, ref: 'a' },
                              'bad-message')).call, call);
    for (const type of ['accept', 'decline', 'hangup']) {
      await error(carol, { type, call }, 'call-unknown');
    }
    await error(carol, { type: 'signal', call, data: 1 }, 'call-unknown');
    bob.send({ type: 'accept', call });
    await bob.next('accepted');
    await alice.next('accepted');
    for (let i = 0; i < 3; i++) {
      const again = await bob.ask({ type: 'accept', call }, 'accepted');
      assert.equal(again.call, call);
      assert.equal(again.from, 'alice');
    }
    await error(alice, { type: 'accept', call }, 'bad-message');
    await error(carol, { type: 'hangup', call }, 'call-unknown');
    await quiet(alice, bob);
  },

  async 'a late accept, decline or hangup gets the true end again'(c, where) {
    const alice = await c.native('alice', { path: QUICK });
    const bob = await c.native('bob', where(alice));
    const late = async (client, call, reason) => {
      for (const type of ['accept', 'decline', 'hangup']) {
        client.send({ type, call });
        await ended(client, call, reason);
      }
    };
    let call = await ring(alice, bob);
    alice.send({ type: 'hangup', call });
    await ended(bob, call, 'cancelled');
    await late(bob, call, 'cancelled');

    call = await ring(alice, bob);
    bob.send({ type: 'decline', call });
    await ended(alice, call, 'declined');
    alice.send({ type: 'hangup', call });
    await ended(alice, call, 'declined');

    call = await ring(alice, bob);
    await ended(alice, call, 'no-answer');
    await ended(bob, call, 'missed');
    await late(bob, call, 'missed');
    alice.send({ type: 'hangup', call });
    await ended(alice, call, 'no-answer');

    call = await answered(alice, bob);
    alice.send({ type: 'hangup', call });
    await ended(bob, call, 'hangup');
    await late(bob, call, 'hangup');
    await quiet(alice, bob);
  },

  async 'signals: not before the answer, dropped after the end'(c, where) {
    const alice = await c.native('alice');
    const bob = await c.native('bob', where(alice));
    const call = await ring(alice, bob);
    for (const client of [alice, bob]) {
      const got = await error(client, { type: 'signal', call, data: 1,
                                        ref: 's' }, 'not-answered');
      assert.equal(got.call, call);
      assert.equal(got.ref, 's');
    }
    bob.send({ type: 'accept', call });
    await bob.next('accepted');
    await alice.next('accepted');
    bob.send({ type: 'hangup', call });
    await ended(alice, call, 'hangup');
    for (const client of [alice, bob]) {
      client.send({ type: 'signal', call, data: 1 });
    }
    await quiet(alice, bob, alice);
  },

  async 'a ref makes call idempotent'(c, where) {
    const alice = await c.native('alice');
    await error(alice, { type: 'call', to: 'bob', ref: '1' }, 'unreachable');
    const bob = await c.native('bob', where(alice));
    // errors are not remembered
    const request = { type: 'call', to: 'bob', ref: '1', media: ['audio'] };
    const first = await alice.ask(request, 'calling');
    await bob.next('ring');
    for (let i = 0; i < 3; i++) {
      const again = await alice.ask(request, 'calling');
      assert.equal(again.call, first.call);
      assert.equal(again.ref, '1');
    }
    await quiet(bob);
    bob.send({ type: 'accept', call: first.call });
    await bob.next('accepted');
    await alice.next('accepted');
    assert.equal((await alice.ask(request, 'calling')).call, first.call);
    bob.send({ type: 'hangup', call: first.call });
    await ended(alice, first.call, 'hangup');
    const late = await alice.ask(request, 'ended');
    assert.equal(late.call, first.call);
    assert.equal(late.reason, 'hangup');
    assert.equal(late.ref, '1');
    await quiet(bob);
    const { call } = await alice.ask({ ...request, ref: '2' }, 'calling');
    assert.notEqual(call, first.call);
    await bob.next('ring');
  },

  async 'a repeated ref of a call that was busy gets its end'(c, where) {
    const alice = await c.native('alice');
    const bob = await c.native('bob', where(alice));
    const carol = await c.native('carol', where(bob));
    const call = await answered(alice, bob);
    const busy = await carol.ask({ type: 'call', to: 'bob', ref: '1' }, 'ended');
    const again = await carol.ask({ type: 'call', to: 'bob', ref: '1' },
                                  'ended');
    assert.deepEqual(again, busy);
    alice.send({ type: 'hangup', call });
    await ended(bob, call, 'hangup');
  },

  async 'all devices of a proved name ring, one wins'(c, where) {
    const alice = await member(c, 'alice');
    const phone = await member(c, 'bob');
    const desk = await member(c, 'bob', where(phone));
    assert.equal(desk.welcome.verified, true);
    assert.equal(desk.welcome.count, 2);
    assert.deepEqual(desk.welcome.users.map((u) => u.name), ['alice'],
                     'never oneself');
    const calling = await alice.ask({ type: 'call', to: 'bob' }, 'calling');
    const { call } = calling;
    assert.equal(calling.ringing, 2);
    for (const device of [phone, desk]) {
      const rung = await device.next('ring');
      assert.equal(rung.call, call);
      assert.equal(rung.verified, true);
    }
    desk.send({ type: 'accept', call });
    await desk.next('accepted');
    await ended(phone, call, 'answered-elsewhere');
    const yes = await alice.next('accepted');
    assert.equal(yes.verified, true);
    phone.send({ type: 'accept', call });
    await ended(phone, call, 'answered-elsewhere');
    desk.send({ type: 'signal', call, data: 1 });
    assert.equal((await alice.next('signal')).data, 1);
    alice.send({ type: 'signal', call, data: 2 });
    assert.equal((await desk.next('signal')).data, 2);
    await quiet(phone);

    // one device is busy, the other rings; the user shows free
    await alice.shows({ bob: 'free' });
    const carol = await member(c, 'carol', where(alice));
    const second = await carol.ask({ type: 'call', to: 'bob' }, 'calling');
    assert.equal(second.ringing, 1);
    await phone.next('ring');
    phone.send({ type: 'accept', call: second.call });
    await phone.next('accepted');
    await carol.next('accepted');
    await Promise.all([alice.shows({ bob: 'busy' }),
                       carol.shows({ bob: 'busy' })]);
    await quiet(desk);
  },

  async 'one device declines for all; all cancel together'(c, where) {
    const alice = await member(c, 'alice');
    const phone = await member(c, 'bob');
    const desk = await member(c, 'bob', where(phone));
    let { call } = await alice.ask({ type: 'call', to: 'bob' }, 'calling');
    await phone.next('ring');
    await desk.next('ring');
    phone.send({ type: 'decline', call });
    await ended(alice, call, 'declined');
    await ended(desk, call, 'declined');
    await quiet(phone);

    ({ call } = await alice.ask({ type: 'call', to: 'bob' }, 'calling'));
    await phone.next('ring');
    await desk.next('ring');
    // one leaves: the other rings on
    await phone.close();
    await quiet(alice, desk);
    alice.send({ type: 'hangup', call });
    await ended(desk, call, 'cancelled');
  },

  async 'a device that joins while it rings, rings too'(c, where) {
    const alice = await member(c, 'alice');
    const phone = await member(c, 'bob');
    const { call } = await alice.ask({ type: 'call', to: 'bob',
                                       media: ['audio'], info: [1] }, 'calling');
    await phone.next('ring');
    await sleep(1200);
    const desk = await member(c, 'bob', where(phone));
    const rung = await desk.next('ring');
    assert.equal(rung.call, call);
    assert.equal(rung.from, 'alice');
    assert.deepEqual(rung.media, ['audio']);
    assert.deepEqual(rung.info, [1]);
    assert(rung.expires >= 42 && rung.expires <= 44, `${rung.expires} s left`);
    desk.send({ type: 'accept', call });
    await desk.next('accepted');
    await alice.next('accepted');
    await ended(phone, call, 'answered-elsewhere');

    // one that comes later does not
    const tablet = await member(c, 'bob');
    await quiet(tablet);
  },

  async 'the last of the devices leaves while the first still rings'(c, where) {
    const alice = await member(c, 'alice');
    const phone = await member(c, 'bob', { path: FRAIL_MEMBERS });
    const desk = await member(c, 'bob', { path: FRAIL_MEMBERS,
                                          ...where(phone) });
    const { call } = await alice.ask({ type: 'call', to: 'bob' }, 'calling');
    await phone.next('ring');
    await desk.next('ring');
    await desk.cut();
    await sleep(200);
    await quiet(alice, phone);
    await phone.cut();
    await ended(alice, call, 'unreachable');
  },

  async 'both dial each other: the other device hears where it went'(c, where) {
    const alice = await member(c, 'alice');
    const phone = await member(c, 'bob');
    const desk = await member(c, 'bob', where(phone));
    const { call } = await alice.ask({ type: 'call', to: 'bob' }, 'calling');
    await phone.next('ring');
    await desk.next('ring');
    const glare = await desk.ask({ type: 'call', to: 'alice', ref: 'd' },
                                 'ended');
    assert.equal(glare.reason, 'glare');
    assert.equal(glare.into, call);
    assert.equal((await desk.next('accepted')).call, call);
    assert.equal((await alice.next('accepted')).call, call);
    await ended(phone, call, 'answered-elsewhere');
  },

  async 'a device that is away rings, and is shown after the others'(c, where) {
    const alice = await member(c, 'alice');
    const phone = await member(c, 'bob');
    await alice.shows({ bob: 'free' });
    phone.send({ type: 'state', state: 'away' });
    await alice.shows({ bob: 'away' });
    const desk = await member(c, 'bob', where(phone));
    await alice.shows({ bob: 'free' });
    const carol = await member(c, 'carol');
    const call = await answered(desk, carol);
    await alice.shows({ bob: 'busy' });
    assert.equal((await alice.ask({ type: 'call', to: 'bob' }, 'calling'))
      .ringing, 1);
    await phone.next('ring');
    desk.send({ type: 'hangup', call });
    await ended(carol, call, 'hangup');
    await desk.close();
    await alice.shows({ bob: 'away' });
  },

  async 'calling one\'s own name from another device'(c, where) {
    const phone = await member(c, 'bob');
    const desk = await member(c, 'bob', where(phone));
    await error(desk, { type: 'call', to: 'bob' }, 'unreachable');
    await quiet(phone, desk);
  },

  async 'a guest may call a proved name, and sees nobody'(c, where) {
    const bob = await member(c, 'bob');
    const open = await c.native('open', where(bob));
    const guest = await c.native('guest', { path: GUESTS, ...where(bob) });
    assert.equal(guest.welcome.verified, false);
    assert.deepEqual(guest.welcome.users, []);
    const got = await guest.ask({ type: 'call', to: 'open', ref: 'r' }, 'error');
    assert(['forbidden', 'unreachable'].includes(got.code), got.code);
    const call = await ring(guest, bob);
    bob.send({ type: 'accept', call });
    await bob.next('accepted');
    assert.equal((await guest.next('accepted')).verified, true);
    bob.send({ type: 'hangup', call });
    await ended(guest, call, 'hangup');

    const more = await c.native('more', where(bob));
    await open.shows({ more: 'free' });
    await more.close();
    await open.shows({ more: null });
    assert.deepEqual(guest.deltas.filter((delta) =>
      (delta.joined || []).length || (delta.left || []).length
      || (delta.changed || []).length), []);
    for (const names of ['all', ['open', 'bob']]) {
      guest.send({ type: 'watch', names });
      const got = await guest.next();
      assert(got.code === 'forbidden' || got.users.length === 0, got.raw);
    }
    guest.send({ type: 'lookup', name: 'open' });
    const looked = await guest.next();
    assert(looked.state === 'absent' || looked.code === 'forbidden',
           looked.raw);
  },

  async 'where guests are off they are refused'(c) {
    const client = new Native(c.url(CLOSED));
    c.clients.push(client);
    await client.opened.catch(() => {});
    if (client.status === 101) {
      client.send({ type: 'hello', name: 'guest' });
      await client.ends(4403);
    } else {
      assert.equal(client.status, 403);
    }
  },

  async 'a proved name evicts the guest who sits on it'(c, where) {
    const carol = await c.native('carol');
    const guest = await c.native('bob', where(carol));
    const call = await answered(guest, carol);
    const bob = await member(c, 'bob', where(guest));
    await guest.ends(4410);
    const end = await carol.next('ended');
    assert.equal(end.call, call);
    await carol.shows({ bob: 'free' });
    assert.equal(carol.users.get('bob').verified, true);
    assert.equal(carol.count, 2);
    await free(carol, bob);

    // and no guest gets it back while the owner is there
    const again = await c.open(Native, where(bob));
    again.send({ type: 'hello', name: 'bob' });
    await again.ends(4409);
    await quiet(bob);
  },
};

const tests = {};
for (const [name, run] of Object.entries(rows)) {
  tests[`${name}, on one worker`] =
    (c) => run(c, (client) => ({ on: client.worker }));
  tests[`${name}, across two`] =
    (c) => run(c, (client) => ({ off: client.worker }));
}

scenarios(options, tests);
