#!/usr/bin/env node
'use strict';
/*
 * Texts are acknowledged, and a lost connection's place is taken again: on the
 * same worker and on another.
 */

const assert = require('assert');
const { scenarios } = require('../lib/scenarios');
const { Native, Article } = require('../lib/client');
const { ring, answered, ended, quiet, free } = require('../lib/call');
const { sleep, until } = require('../lib/server');

const MEMBERS = '/members/signal';
const BRIEF = '/brief/signal';   // a window of one second
const TWO = '/two/signal';       // ... of two
const SMALL = '/small/signal';   // keeps 4 KB
const TINY = '/tiny/signal';     // a realm of two
const OFF = '/off/signal';       // no resume
const GUESTS = '/guests/signal'; // guests may only call

const options = {
  settings: { rate: '0' },
  users: { alice: 'a', bob: 'b', carol: 'c' },
  locations: {
    [MEMBERS]: { kind: 'signal', auth: true,
                 settings: { identity: 'remote_user' } },
    [BRIEF]: { kind: 'signal', settings: { resume: '1s' } },
    [TWO]: { kind: 'signal', settings: { resume: '2s' } },
    [TINY]: { kind: 'signal', settings: { realm: 'tiny', max_peers: '2' } },
    [SMALL]: { kind: 'signal', settings: { max_backlog: '4k',
                                           max_message: '4k' } },
    [OFF]: { kind: 'signal', settings: { resume: '0' } },
    [GUESTS]: { kind: 'signal', settings: { guests: 'call' } },
  },
  hosts: [{ names: ['other.test'] }],
};

const member = (c, name, rest = {}, hello = {}) => c.native(name,
  { path: MEMBERS, auth: `${name}:${name[0]}`, ...rest }, hello);

const BAD = { type: 'hangup', call: 'c0' }; // refused, and counted

async function refused(client, n) {
  for (let i = 0; i < n; i++) {
    client.send(BAD);
  }
  for (let i = 0; i < n; i++) {
    assert.equal((await client.next('error')).code, 'call-unknown');
  }
}

async function signals(client, ...numbers) {
  for (const n of numbers) {
    assert.equal((await client.next('signal')).data, n);
  }
}

const say = (client, call, ...numbers) => numbers.forEach((data) =>
  client.send({ type: 'signal', call, data }));

const taken = (client, more = {}) => {
  const { welcome } = client;
  assert.equal(welcome.resumed, true, JSON.stringify(welcome));
  assert.equal('lost' in welcome, 'lost' in more, JSON.stringify(welcome));
  for (const [key, value] of Object.entries(more)) {
    assert.deepEqual(welcome[key], value, key);
  }
};

const fresh = (client) => {
  assert.equal(client.welcome.resumed, false);
  assert(!('got' in client.welcome));
  assert(!('lost' in client.welcome));
};

/* Each with the place taken again on the same worker, and on another. */
const rows = {
  async 'the welcome has a token, and a new one each time'(c, where) {
    const alice = await c.native('alice');
    await quiet(alice); // who never said a thing has no place to come back to
    const { resume, ...welcome } = alice.welcome;
    assert.match(resume, /^[\w-]{22,128}$/);
    assert.equal(welcome.resume_window, 15);
    assert.deepEqual(welcome.features, ['rooms', 'resume']);
    assert(!('resumed' in welcome) && !('got' in welcome));
    const tokens = new Set([resume]);
    let next = alice;
    for (let i = 0; i < 5; i++) {
      const before = next;
      await before.cut();
      next = await c.again(before, where(before));
      tokens.add(next.welcome.resume);
      taken(next, { ...welcome, ice: next.welcome.ice, got: 0 });
    }
    assert.equal(tokens.size, 6);
  },

  async 'what came while it was lost is sent after the welcome'(c, where) {
    let alice = await c.native('alice');
    const bob = await c.native('bob', { off: alice.worker });
    const call = await answered(alice, bob);
    say(bob, call, 0, 1, 2);
    await signals(alice, 0, 1, 2);
    for (let n = 3; n < 30; n += 9) {
      await alice.cut();
      say(bob, call, n, n + 1, n + 2);
      await quiet(bob);
      say(bob, call, n + 3, n + 4, n + 5);
      alice = await c.again(alice, where(alice));
      taken(alice);
      say(bob, call, n + 6, n + 7, n + 8);
      await signals(alice, ...Array.from({ length: 9 }, (_, i) => n + i));
    }
    alice.send({ type: 'hangup', call });
    await ended(bob, call, 'hangup');
    await free(alice, bob);
  },

  async 'what did not arrive is sent again, for each got'(c, where) {
    const bob = await c.native('bob');
    for (let got = 0; got <= 6; got++) {
      const alice = await c.native('alice', { off: bob.worker });
      const call = await answered(alice, bob); // 2 counted ones for her
      say(bob, call, 0, 1, 2, 3);
      await signals(alice, 0, 1, 2, 3);
      assert.equal(alice.got, 6);
      if (got % 2) {
        await alice.cut();
      }
      const again = await c.again(alice, where(alice), { got });
      taken(again);
      const types = ['calling', 'accepted', 'signal', 'signal', 'signal',
                     'signal'].slice(got);
      for (const type of types) {
        await again.next(type);
      }
      say(bob, call, 4);
      await signals(again, 4);
      again.send({ type: 'hangup', call });
      await ended(bob, call, 'hangup');
      await again.close();
    }
  },

  async 'the server says how far it got'(c, where) {
    let alice = await c.native('alice');
    for (let sent = 0; sent < 40; sent += 5) {
      await refused(alice, 5);
      alice.send({ type: 'lookup', name: 'x' }); // is not counted
      await alice.next('user');
      await alice.cut();
      alice = await c.again(alice, where(alice));
      taken(alice, { got: sent + 5 });
    }
  },

  async 'what arrives while it is read no more is told by got'(c, where) {
    const bob = await c.native('bob', {}, { watch: 'none' });
    let alice = await c.native('alice', { off: bob.worker });
    const call = await answered(alice, bob);
    const range = (from, to) => Array.from({ length: to - from },
                                           (_, i) => from + i);
    let n = 0;
    for (let i = 0, got = 0; i < 12; i++) {
      n += 4;
      say(alice, call, ...range(n - 4, n));
      alice.socket.terminate(); // some of it arrives
      await alice.closed;
      alice = await c.again(alice, where(alice));
      taken(alice);
      const last = alice.welcome.got;
      assert(last >= got && last <= n, `${last} of ${n}, after ${got}`);
      got = last;
      say(alice, call, ...range(last, n));
    }
    await signals(bob, ...Array.from({ length: n }, (_, i) => i));
  },

  async 'a got above what was sent: lost, and both count from 1'(c, where) {
    const alice = await c.native('alice');
    const bob = await c.native('bob', { off: alice.worker });
    const call = await answered(alice, bob);
    say(bob, call, 0, 1);
    await signals(alice, 0, 1);
    await refused(alice, 10);
    await alice.cut();
    const again = await c.again(alice, where(alice), { got: alice.got + 1 });
    taken(again, { lost: true, got: 0 });
    assert.deepEqual(again.welcome.calls, [
      { call, state: 'answered', with: 'bob', media: [] }]);
    await quiet(again);
    say(bob, call, 2);
    await signals(again, 2);
    assert.equal(again.got, 1);
    await refused(again, 15);
    assert.equal(again.acks.length, 0);
    say(again, call, 3);
    assert.equal((await again.ack()).got, 16);
    await signals(bob, 3);

    const once = await c.again(again, where(again));
    taken(once, { got: 16 });
    await quiet(once, bob);
  },

  async 'more than max_backlog: lost, and the call goes on'(c, where) {
    const alice = await c.native('alice', { path: SMALL });
    const bob = await c.native('bob', { off: alice.worker });
    const call = await answered(alice, bob);
    await alice.cut();
    for (let i = 0; i < 8; i++) {
      bob.send({ type: 'signal', call, data: 'x'.repeat(1000) });
    }
    await quiet(bob);
    const again = await c.again(alice, where(alice));
    taken(again, { lost: true, got: 0 });
    assert.equal(again.welcome.calls[0].call, call);
    await quiet(again);
    say(bob, call, 1, 2);
    await signals(again, 1, 2);
    say(again, call, 3);
    await signals(bob, 3);
    const third = await c.again(again, where(again));
    taken(third, { got: 1 });
    third.send({ type: 'hangup', call });
    await ended(bob, call, 'hangup');
  },

  async 'taken over while the old connection is open: 4410'(c, where) {
    let alice = await c.native('alice');
    const bob = await c.native('bob', { off: alice.worker });
    const call = await answered(alice, bob);
    for (let i = 0; i < 6; i++) {
      const old = alice;
      say(bob, call, 2 * i);
      await signals(old, 2 * i);
      alice = await c.again(old, where(old));
      taken(alice);
      await old.ends(4410);
      say(bob, call, 2 * i + 1);
      await signals(alice, 2 * i + 1);
      assert.deepEqual(old.inbox, []);
      say(alice, call, i);
      await signals(bob, i);
    }
    await bob.shows({ alice: 'busy' });
    assert.equal(bob.deltas.filter((d) => (d.left || []).length).length, 0);
  },

  async 'away while it is lost, then as before'(c, where) {
    const alice = await c.native('alice');
    const bob = await c.native('bob', { off: alice.worker });
    const watcher = await c.native('watcher');
    const states = async (shown) => {
      await watcher.shows({ alice: shown });
      await bob.shows({ alice: shown });
      assert.equal((await bob.ask({ type: 'lookup', name: 'alice' }, 'user'))
        .state, shown);
    };
    await states('free');
    await alice.cut();
    await states('away');
    const late = await c.native('late');
    assert.equal(late.users.get('alice').state, 'away');
    let again = await c.again(alice, where(alice));
    await states('free');
    const call = await answered(again, bob);
    await states('busy');
    await again.cut();
    await states('away');
    again = await c.again(again, where(again));
    await states('busy');
    again.send({ type: 'hangup', call });
    await ended(bob, call, 'hangup');
    await states('free');
    assert.equal(watcher.count, 4);
  },

  async 'what others did meanwhile is in the welcome'(c, where) {
    const alice = await c.native('alice');
    const bob = await c.native('bob');
    await alice.shows({ bob: 'free' });
    await alice.cut();
    await bob.close();
    await c.native('carol');
    const again = await c.again(alice, where(alice));
    taken(again);
    await again.shows({ bob: null, carol: 'free' });
    assert.equal(again.count, 2);
    // watch stays as it was, if it is not said
    await again.ask({ type: 'watch', names: ['dave'] }, 'users');
    const quietly = await c.again(again, where(again));
    assert.deepEqual(quietly.welcome.users, []);
    await c.native('dave');
    await quietly.shows({ dave: 'free', carol: null });
    const all = await c.again(quietly, where(quietly), { watch: 'all' });
    assert.deepEqual(all.welcome.users.map((u) => u.name).sort(),
                     ['carol', 'dave']);
  },

  async 'a guest\'s name is held meanwhile'(c, where) {
    const alice = await c.native('alice');
    await quiet(alice);
    await alice.cut();
    const other = await c.open(Native, where(alice));
    const start = Date.now();
    other.send({ type: 'hello', name: 'alice' });
    await other.ends(4409);
    assert(Date.now() - start < 1500, 'at once');
    taken(await c.again(alice, where(alice)));
  },

  async 'two tokens are good until the first text'(c, where) {
    const first = await member(c, 'bob');
    const second = await c.again(first, where(first));
    await second.cut();
    // its welcome may have been lost, so the first token is good still
    const third = await c.again(first, where(second));
    taken(third);
    assert.equal(third.welcome.peer, first.welcome.peer);
    await third.cut();
    // of the two that came of it one was used, the other was never told
    fresh(await c.again(second, where(third)));
    const fourth = await c.again(third, where(third));
    taken(fourth);
    await quiet(fourth); // a text
    await fourth.cut();
    fresh(await c.again(third, where(fourth)));
    taken(await c.again(fourth, where(fourth)));
  },

  async 'calls of each state are in the welcome'(c, where) {
    const alice = await member(c, 'alice');
    const bob = await member(c, 'bob', { off: alice.worker });
    const carol = await member(c, 'carol');
    const { call } = await alice.ask({ type: 'call', to: 'bob', ref: '1',
                                       media: ['audio'] }, 'calling');
    await bob.next('ring');
    const other = await ring(carol, bob, { media: ['x'] });

    const alice2 = await c.again(alice, where(alice));
    const [calling, ...more] = alice2.welcome.calls;
    const { expires, ...dialled } = calling;
    assert.deepEqual(dialled, { call, state: 'calling', with: 'bob',
                                media: ['audio'] });
    assert(expires > 35 && expires <= 45, `${expires} s`);
    assert.deepEqual(more, []);
    const bob2 = await c.again(bob, where(bob));
    const rings = bob2.welcome.calls.sort((a, b) => (a.call === call ? -1 : 1));
    assert.deepEqual(rings.map(({ expires: e, ...rest }) => rest), [
      { call, state: 'ringing', with: 'alice', media: ['audio'] },
      { call: other, state: 'ringing', with: 'carol', media: ['x'] }]);
    rings.forEach((entry) => assert(entry.expires > 35));

    bob2.send({ type: 'accept', call, media: ['video'] });
    await bob2.next('accepted');
    await alice2.next('accepted');
    const alice3 = await c.again(alice2, where(alice2));
    assert.deepEqual(alice3.welcome.calls, [
      { call, state: 'answered', with: 'bob', media: ['video'] }]);
    const bob3 = await c.again(bob2, where(bob2));
    assert.deepEqual(bob3.welcome.calls.find((entry) => entry.call === call),
      { call, state: 'answered', with: 'alice', media: ['audio'] });
    assert.equal(bob3.welcome.calls.length, 2);

    alice3.send({ type: 'hangup', call });
    await ended(bob3, call, 'hangup');
    carol.send({ type: 'hangup', call: other });
    await ended(bob3, other, 'cancelled');
    for (const client of [alice3, bob3]) {
      const last = await c.again(client, where(client));
      assert.deepEqual(last.welcome.calls, []);
      await quiet(last);
    }
  },

  async 'a call that is repeated with its ref is the same'(c, where) {
    const alice = await c.native('alice');
    const bob = await c.native('bob', { off: alice.worker });
    const request = { type: 'call', to: 'bob', ref: 'r' };
    alice.send(request);
    const { call } = await bob.next('ring');
    await alice.cut(); // she may have got its answer or not
    const again = await c.again(alice, where(alice), { got: 0 });
    assert.equal((await again.next('calling')).call, call);
    assert.equal((await again.ask(request, 'calling')).call, call);
    await quiet(bob);
    bob.send({ type: 'accept', call });
    await bob.next('accepted');
    await again.next('accepted');
    bob.send({ type: 'hangup', call });
    await ended(again, call, 'hangup');
    const late = await c.again(again, where(again));
    assert.equal((await late.ask(request, 'ended')).reason, 'hangup');
    await quiet(bob);
  },

  async 'both are lost, and say things, and come again'(c, where) {
    let alice = await c.native('alice');
    let bob = await c.native('bob', { off: alice.worker });
    const call = await answered(alice, bob);
    for (let i = 0; i < 5; i++) {
      say(alice, call, 2 * i);
      say(bob, call, 2 * i);
      await signals(alice, 2 * i);
      await signals(bob, 2 * i);
      await Promise.all([alice.cut(), bob.cut()]);
      alice = await c.again(alice, where(alice));
      say(alice, call, 2 * i + 1); // to one who is lost
      await quiet(alice);
      bob = await c.again(bob, where(bob));
      say(bob, call, 2 * i + 1);
      await signals(bob, 2 * i + 1);
      await signals(alice, 2 * i + 1);
    }
    bob.send({ type: 'hangup', call });
    await ended(alice, call, 'hangup');
  },

  async 'one token at two places at once: one has it in the end'(c, where) {
    const bob = await c.native('bob');
    for (let i = 0; i < 8; i++) {
      const alice = await c.native('alice', { off: bob.worker });
      const call = await answered(alice, bob);
      if (i % 2) {
        await alice.cut();
      }
      const twins = [await c.open(Native, { on: alice.worker }),
                     await c.open(Native, where(alice))];
      for (const twin of twins) {
        twin.send({ type: 'hello', name: 'alice', got: alice.got,
                    resume: alice.welcome.resume });
      }
      const loser = await Promise.race(twins.map((twin) =>
        twin.ends().then(() => twin)));
      // it had the place for a moment, or came too late for it
      assert([4410, 1012].includes(loser.end.code), `${loser.end.code}`);
      const winner = twins.find((twin) => twin !== loser);
      winner.name = 'alice';
      taken({ welcome: await winner.next('welcome') });
      say(winner, call, i);
      await signals(bob, i);
      say(bob, call, i);
      await signals(winner, i);
      winner.send({ type: 'hangup', call });
      await ended(bob, call, 'hangup');
      await winner.close();
    }
  },

  async 'ends of a connection that leave its place'(c, where) {
    const bob = await c.native('bob');
    const ends = {
      'cut': (alice) => alice.cut(),
      '4000': (alice) => alice.close(4000),
      '1002': (alice) => alice.close(1002),
      '1011': (alice) => alice.close(1011),
      'binary': async (alice) => {
        alice.socket.send(Buffer.from('{}'));
        await alice.ends(1003);
      },
      'too long': async (alice) => {
        alice.send(' '.repeat(70000));
        await alice.ends(1009);
      },
      'no UTF-8': async (alice) => {
        alice.socket.send(Buffer.from([0xc3, 0x28]), { binary: false });
        await alice.ends(1007);
      },
      'no frame': async (alice) => {
        alice.socket._socket.write(Buffer.from([0xff, 0xff, 0xff, 0xff]));
        await alice.ends(1002);
      },
    };
    for (const [how, end] of Object.entries(ends)) {
      const alice = await c.native('alice', { off: bob.worker });
      const call = await answered(alice, bob);
      await end(alice);
      const again = await c.again(alice, where(alice));
      taken(again);
      assert.equal(again.welcome.calls[0].call, call, how);
      say(bob, call, how);
      await signals(again, how);
      again.send({ type: 'hangup', call });
      await ended(bob, call, 'hangup');
      await again.close();
    }
  },

  async 'ends of a connection that do not'(c, where) {
    const alice = await member(c, 'alice');
    for (const end of [(bob) => bob.send({ type: 'bye' }),
                       (bob) => bob.close(), (bob) => bob.close(1000),
                       (bob) => bob.close(1001)]) {
      const bob = await member(c, 'bob', { off: alice.worker });
      const call = await answered(bob, alice);
      await end(bob);
      await ended(alice, call, 'hangup');
      await alice.shows({ bob: null });
      const again = await c.again(bob, where(bob));
      fresh(again);
      assert.notEqual(again.welcome.peer, bob.welcome.peer);
      assert.deepEqual(again.welcome.calls, []);
      await again.close();
      await alice.shows({ bob: null });
    }
  },

  async 'unknown tokens, and those of another'(c, where) {
    const bob = await member(c, 'bob');
    const token = bob.welcome.resume;
    const half = token.slice(0, -1) + (token.endsWith('A') ? 'B' : 'A');
    for (const resume of ['', 'x', 'r', half, token + 'x', token.slice(1),
                          token.toUpperCase() + '.', 'é', 'x'.repeat(5000)]) {
      fresh(await member(c, 'carol', where(bob), { resume }));
    }
    // bob's in carol's hands, a guest's, and on another host
    fresh(await member(c, 'carol', where(bob), { resume: token }));
    fresh(await c.native('guest', where(bob), { resume: token, got: 5 }));
    const guest = await c.native('gast');
    fresh(await member(c, 'carol', where(bob),
                       { resume: guest.welcome.resume }));
    fresh(await c.native('gast', { host: 'other.test', ...where(guest) },
                         { resume: guest.welcome.resume }));
    await quiet(guest, bob);
    assert.equal(bob.end, null);
    // whatever name it says with a good one, it is the same user
    const again = await c.again(guest, where(guest), { name: 'eve' });
    taken(again, { name: 'gast' });
    // and none is needed
    await again.cut();
    taken(await c.again(again, where(again), { name: undefined }));
    const nobody = await c.open(Native);
    nobody.send({ type: 'hello', resume: 'rx' });
    await nobody.ends(4400);
  },

  async 'another dialect does not take it'(c, where) {
    const alice = await c.native('alice');
    const article = await c.open(Article, where(alice));
    article.send(JSON.stringify({ type: 'hello', name: 'alice',
                                  resume: alice.welcome.resume, got: 0 }));
    assert.notEqual((await article.ends()).code, 4410);
    await quiet(alice);
    taken(await c.again(alice, where(alice)));
  },

  async 'resume and got of the wrong kind'(c, where) {
    const alice = await c.native('alice');
    for (const wrong of [{ resume: 5 }, { resume: null }, { resume: {} },
                         { resume: [alice.welcome.resume] }, { got: -1 },
                         { got: 1.5 }, { got: '1' }, { got: null },
                         { got: [0] }, { got: true }]) {
      const client = await c.open(Native, where(alice));
      client.send({ type: 'hello', name: 'alice', got: 0,
                    resume: alice.welcome.resume, ...wrong });
      await client.ends(4400);
    }
    await quiet(alice);
    taken(await c.again(alice, where(alice)));
    const whole = await c.native('whole', {}, { got: 3 });
    assert(!('resumed' in whole.welcome), 'no token, no answer to it');
  },

  async 'it rings while it is lost, and after the resume'(c, where) {
    const alice = await c.native('alice');
    const bob = await c.native('bob', { off: alice.worker });
    await quiet(bob);
    await bob.cut();
    await alice.shows({ bob: 'away' });
    const { call, ringing } = await alice.ask(
      { type: 'call', to: 'bob', media: ['audio'], info: [1] }, 'calling');
    assert.equal(ringing, 1);
    const again = await c.again(bob, where(bob));
    taken(again);
    const rung = await again.next('ring');
    assert.equal(rung.call, call);
    assert.deepEqual(rung.info, [1]);
    assert.equal(again.welcome.calls[0].state, 'ringing');
    again.send({ type: 'accept', call });
    await again.next('accepted');
    await alice.next('accepted');
  },

  async 'a proved name evicts a guest who is lost'(c, where) {
    const carol = await c.native('carol');
    const guest = await c.native('bob', { off: carol.worker });
    const call = await answered(guest, carol);
    await guest.cut();
    const bob = await member(c, 'bob', where(guest));
    assert.equal((await carol.next('ended')).call, call);
    await carol.shows({ bob: 'free' });
    assert.equal(carol.users.get('bob').verified, true);
    const back = await c.open(Native, where(guest));
    back.send({ type: 'hello', name: 'bob', resume: guest.welcome.resume });
    await back.ends(4409);
    await free(carol, bob);
  },

  async 'a guest who was moved is evicted where he is now'(c, where) {
    const carol = await c.native('carol');
    let guest = await c.native('bob', { off: carol.worker });
    const call = await answered(guest, carol);
    guest = await c.again(guest, where(guest));
    const bob = await member(c, 'bob');
    await guest.ends(4410);
    await carol.next('ended');
    await free(carol, bob);
    const back = await c.open(Native);
    back.send({ type: 'hello', name: 'bob', resume: guest.welcome.resume });
    await back.ends(4409);
    assert.notEqual(call, undefined);
  },

  async 'guests who may only call come again as that'(c, where) {
    const bob = await member(c, 'bob');
    const guest = await c.native('guest', { path: GUESTS, off: bob.worker });
    const call = await answered(guest, bob);
    await guest.cut();
    say(bob, call, 1);
    const again = await c.again(guest, where(guest));
    taken(again);
    assert.deepEqual(again.welcome.users, []);
    await signals(again, 1);
    say(again, call, 2);
    await signals(bob, 2);
    again.send({ type: 'hangup', call });
    await ended(bob, call, 'hangup');
    // nor does he see more where guests see all
    const open = await c.native('open');
    const got = await again.ask({ type: 'call', to: 'open' }, 'error');
    assert(['forbidden', 'unreachable'].includes(got.code), got.code);
    await quiet(open);
  },

  async 'acks of the client'(c, where) {
    const alice = await c.native('alice');
    await refused(alice, 5);
    for (const got of [1, 5, 3, 0, 5]) {
      alice.send({ type: 'ack', got });
    }
    await quiet(alice);
    for (const got of [6, 1e9, 2 ** 53, -1, 1.5, '5', null, undefined]) {
      const wrong = await alice.ask({ type: 'ack', got, ref: 'a' }, 'error');
      assert.equal(wrong.code, 'bad-message');
      assert.equal(wrong.ref, 'a');
    }
    // what was acknowledged is gone, what was not is there
    await refused(alice, 2);
    const again = await c.again(alice, where(alice), { got: 5 });
    taken(again, { got: 7 });
    await again.next('error');
    await again.next('error');
    await quiet(again);
    const lost = await c.again(again, where(again), { got: 3 });
    taken(lost, { lost: true, got: 0 });
  },
};

const each = (where, how) => Object.fromEntries(Object.entries(rows)
  .map(([name, run]) => [`${name}, ${where}`,
                         (c) => run(c, (client) => how(client))]));

scenarios({ ...options, schemes: ['ws'] },
          each('here', ({ worker }) => ({ on: worker })));
scenarios(options, each('elsewhere', ({ worker }) => ({ off: worker })));

/* Those that wait.  (Each with people of its own.) */
scenarios({ ...options, schemes: ['ws'], together: true }, {
  async 'acks of the server: after 16 texts, or 2 s'(c) {
    const alice = await c.native('alice 1');
    const bob = await c.native('bob 1', { off: alice.worker });
    const counted = async () => {
      await refused(alice, 15);
      assert.deepEqual(alice.acks, []);
      await refused(alice, 1);
      assert.deepEqual((await alice.ack()), { type: 'ack', got: 16 });
      await refused(alice, 33);
      assert.equal((await alice.ack()).got, 32);
      assert.equal((await alice.ack()).got, 48);

      const start = Date.now();
      assert.equal((await alice.ack()).got, 49);
      const took = Date.now() - start;
      assert(took > 1500 && took < 4000, `${took} ms`);
    };
    const uncounted = async () => {
      bob.send({ type: 'lookup', name: 'x', calls: [], rooms: '1' });
      bob.send({ type: 'ice' });
      bob.send('{"type":"signal","call":"c1"');
      bob.send('["call"]');
      bob.send({ type: 'call', to: 'nobody', call: 'c1' });
      for (const type of ['user', 'ice', 'error', 'error', 'error']) {
        await bob.next(type);
      }
      await sleep(2500);
      assert.deepEqual(bob.acks, []);
    };
    await Promise.all([counted(), uncounted()]);

    // what is refused is counted
    bob.send({ type: 'nonsense', call: 1 });
    bob.send({ type: 'hello', room: null }); // but never a hello
    bob.send({ type: 'lookup', name: 'x', room: {} });
    bob.send('{"type":"nonsense","\\u0063all":1}');
    for (const type of ['error', 'error', 'user', 'error']) {
      await bob.next(type);
    }
    assert.equal((await bob.ack()).got, 3);
    await quiet(bob);
  },

  async 'after the window place, name and calls are gone'(c) {
    const bob = await c.native('bob 2');
    const carol = await c.native('carol 2');
    const dave = await c.native('dave 2');
    const people = {};
    for (const name of ['talks', 'rings', 'dials', 'stays']) {
      people[name] = await c.native(name, { path: BRIEF,
                                            ...(name.length % 2
                                              ? { off: bob.worker }
                                              : { on: bob.worker }) });
      assert.equal(people[name].welcome.resume_window, 1);
    }
    const talk = await answered(people.talks, bob);
    const dial = await ring(people.dials, dave);
    const call = await ring(carol, people.rings);
    await Promise.all(['talks', 'rings', 'dials'].map((name) =>
      people[name].cut()));
    await bob.shows({ talks: 'away', rings: 'away', dials: 'away' });
    const start = Date.now();
    await Promise.all([ended(bob, talk, 'gone'), ended(dave, dial, 'gone'),
                       ended(carol, call, 'unreachable')]);
    const took = Date.now() - start;
    assert(took > 300 && took < 4000, `${took} ms`);
    await bob.shows({ talks: null, rings: null, dials: null, stays: 'free' });
    for (const name of ['talks', 'rings', 'dials']) {
      const again = await c.again(people[name]);
      fresh(again);
      await free(again, bob);
    }
  },

  async 'who comes in the window stays beyond it'(c) {
    const bob = await c.native('bob 3');
    const alice = await c.native('alice 3', { path: TWO });
    const call = await answered(alice, bob);
    await alice.cut();
    await sleep(500);
    const again = await c.again(alice, { off: alice.worker });
    taken(again);
    await sleep(2200);
    await bob.shows({ [alice.name]: 'busy' });
    say(bob, call, 1);
    await signals(again, 1);
    await quiet(again, bob);
  },

  async 'who is lost counts among max_peers'(c) {
    const alice = await c.native('alice 4', { path: TINY });
    await quiet(alice);
    await alice.cut();
    await c.native('bob 4', { path: TINY });
    const carol = await c.open(Native, { path: TINY });
    carol.send({ type: 'hello', name: 'carol 4' });
    await carol.ends(1013);
    taken(await c.again(alice, { off: alice.worker }));
  },

  async 'a slow reader is closed with 1013, and told lost'(c) {
    const alice = await c.native('alice 5', { path: SMALL });
    const bob = await c.native('bob 5', { off: alice.worker });
    const call = await answered(alice, bob);
    alice.pause();
    const data = 'x'.repeat(60000);
    for (let i = 0; i < 400; i++) {
      bob.send({ type: 'signal', call, data });
      await sleep(i % 10 ? 0 : 5);
    }
    await bob.shows({ [alice.name]: 'away' });
    const again = await c.again(alice, { off: alice.worker });
    taken(again, { lost: true, got: 0 });
    alice.resume();
    assert([1013, 1006].includes((await alice.ends()).code));
    say(bob, call, 1);
    await signals(again, 1);
  },

  async 'a name that was left in the window is free after it'(c) {
    const alice = await c.native('alice 6', { path: BRIEF });
    await quiet(alice);
    await alice.cut();
    const early = await c.open(Native);
    early.send({ type: 'hello', name: 'alice 6' });
    await early.ends(4409);
    const next = await until(async () => {
      const client = await c.open(Native, { off: alice.worker });
      client.send({ type: 'hello', name: 'alice 6' });
      return (await client.poll()) && client;
    }, 5000, 'the name');
    await quiet(next);
  },

  async 'without resume: no token, no acks, lost at once'(c) {
    const alice = await c.native('alice 7', { path: OFF });
    const bob = await c.native('bob 7', { off: alice.worker });
    assert(!('resume' in alice.welcome));
    assert(!('resume_window' in alice.welcome));
    assert.deepEqual(alice.welcome.features, ['rooms']);
    await refused(alice, 20);
    const { code } = await alice.ask({ type: 'ack', got: 1 }, 'error');
    assert.equal(code, 'bad-message', 'nothing is counted');
    assert.deepEqual(alice.acks, []);
    const call = await answered(alice, bob);
    await alice.cut();
    await ended(bob, call, 'gone');
    await bob.shows({ [alice.name]: null });
    const other = await c.native('alice 7');
    const back = await c.native('carol 7', { path: OFF },
                                { resume: other.welcome.resume, got: 0 });
    fresh(back);
    await sleep(2200);
    assert.deepEqual(back.acks.concat(alice.acks), []);
    await quiet(other, back);
  },

  async 'the caller is lost when nobody answers; and the callee'(c) {
    const quick = await c.native('quick 8');
    const alice = await c.native('alice 8', { off: quick.worker });
    const bob = await c.native('bob 8', { path: BRIEF });
    // both are away when it ends: by itself, or as one is gone
    const call = await ring(alice, bob);
    await Promise.all([alice.cut(), bob.cut()]);
    await sleep(1500);
    const again = await c.again(alice, { off: alice.worker });
    taken(again);
    await ended(again, call, 'unreachable');
    assert.deepEqual(again.welcome.calls, []);
    await free(again, quick);
  },
});

/* Workers come and go. */
const alone = { ...options, fresh: true, schemes: ['ws'], together: true,
                ms: 60000 };

scenarios(alone, {
  async 'a killed worker: calls go on, and lost is told'(c) {
    const s = c.server;
    const alice = await c.native('alice');
    const anton = await c.native('anton', { on: alice.worker });
    const alma = await c.native('alma', { on: alice.worker });
    const brief = await c.native('brief', { on: alice.worker, path: BRIEF });
    const off = await c.native('off', { on: alice.worker, path: OFF });
    const bob = await c.native('bob', { off: alice.worker });
    const bert = await c.native('bert', { on: bob.worker });
    const ben = await c.native('ben', { on: bob.worker });
    const bill = await c.native('bill', { on: bob.worker });
    const talk = await answered(alice, bob);
    const dial = await ring(anton, bert);
    const rings = await ring(ben, alma);
    const short = await answered(bill, brief);
    await refused(alice, 3);

    s.kill(alice.worker);
    await alice.ends(1006);
    await bob.shows({ alice: 'away', anton: 'away', alma: 'away', off: null });
    assert.equal(off.end.code, 1006);
    say(bob, talk, 0); // goes to nobody
    await ended(bill, short, 'gone'); // after its window
    await bob.shows({ brief: null, alice: 'away' });
    await quiet(bob, bert, ben, bill);
    const other = await c.open(Native);
    other.send({ type: 'hello', name: 'alice' });
    await other.ends(4409);

    const again = {};
    for (const client of [alice, anton, alma]) {
      again[client.name] = await c.again(client);
      taken(again[client.name], { lost: true, got: 0,
                                  peer: client.welcome.peer });
    }
    const states = ({ welcome }) => welcome.calls.map((entry) =>
      [entry.call, entry.state, entry.with]);
    assert.deepEqual(states(again.alice), [[talk, 'answered', 'bob']]);
    assert.deepEqual(states(again.anton), [[dial, 'calling', 'bert']]);
    assert.deepEqual(states(again.alma), [[rings, 'ringing', 'ben']]);
    await bob.shows({ alice: 'busy', anton: 'busy', alma: 'free' });
    say(bob, talk, 1);
    await signals(again.alice, 1);
    say(again.alice, talk, 2);
    await signals(bob, 2);
    bert.send({ type: 'accept', call: dial });
    await bert.next('accepted');
    await again.anton.next('accepted');
    again.alma.send({ type: 'accept', call: rings });
    await again.alma.next('accepted');
    await ben.next('accepted');
    again.alice.send({ type: 'hangup', call: talk });
    await ended(bob, talk, 'hangup');

    // all is as ever from here on
    await again.alice.cut();
    taken(await c.again(again.alice), { got: 2 });
    fresh(await c.again(brief));
  },

  async 'lost before its worker is killed; and killed twice'(c) {
    const s = c.server;
    let alice = await c.native('alice');
    const bob = await c.native('bob', { off: alice.worker });
    const call = await answered(alice, bob);
    for (let i = 0; i < 2; i++) {
      await alice.cut();
      await bob.shows({ alice: 'away' });
      const victim = alice.worker;
      s.kill(victim);
      await until(() => s.workers().length === 2
                        && !s.workers().includes(victim), 5000, 'a worker');
      alice = await c.again(alice, { off: bob.worker });
      taken(alice, { lost: true, got: 0 });
      say(bob, call, i);
      await signals(alice, i);
    }
    alice.send({ type: 'hangup', call });
    await ended(bob, call, 'hangup');
  },

  async 'all workers are killed, and both come again'(c) {
    const s = c.server;
    const alice = await c.native('alice');
    const bob = await c.native('bob', { off: alice.worker });
    const call = await answered(alice, bob);
    const victims = s.workers();
    victims.forEach((pid) => s.kill(pid));
    await until(() => s.workers().filter((pid) => !victims.includes(pid))
                      .length === 2, 5000, 'workers');
    const alice2 = await c.again(alice);
    const bob2 = await c.again(bob);
    taken(alice2, { lost: true, got: 0 });
    taken(bob2, { lost: true, got: 0 });
    say(alice2, call, 1);
    await signals(bob2, 1);
    bob2.send({ type: 'hangup', call });
    await ended(alice2, call, 'hangup');
  },

  async 'reload: goodbye, and all move without a loss'(c) {
    const s = c.server;
    const alice = await c.durable('alice');
    const bob = await c.durable('bob');
    const watcher = await c.durable('watcher');
    const plain = await c.native('plain');
    const tokenless = await c.native('tokenless', { path: OFF });
    const call = await answered(alice, bob);
    const old = s.workers();
    await s.reload();
    const { reason, reconnect } = await plain.goodbye(20000);
    assert.equal(reason, 'reload');
    assert(Number.isInteger(reconnect) && reconnect >= 0, `${reconnect}`);
    for (let n = 0; [alice, bob, watcher].some((p) => p.resumed === 0); n++) {
      assert(n < 400, 'all move');
      say(alice, call, n);
      say(bob, call, n);
      await signals(bob, n);
      await signals(alice, n);
      await sleep(50);
    }
    for (const person of [alice, bob, watcher]) {
      assert(!old.includes(person.worker), `${person.name} has moved`);
      assert.equal((await person.links[0].ends()).code, 4410);
      assert.equal(person.lost, 0);
      assert.deepEqual(person.faults, []);
    }
    assert.equal(watcher.contradiction, undefined);
    await watcher.shows({ alice: 'busy', bob: 'busy', plain: 'free' });

    // who does not move stays, without a token too
    await quiet(plain, tokenless);
    assert.deepEqual(tokenless.goodbyes, []);
    taken(await c.again(plain));
    await plain.ends(4410);
    await tokenless.close();
    await until(() => s.workers('old').length === 0, 10000,
                'the end of the old workers');
    bob.send({ type: 'hangup', call });
    await ended(alice, call, 'hangup');
  },

  async 'lost at a reload, and taken again on a new worker'(c) {
    const s = c.server;
    const alice = await c.native('alice');
    const bob = await c.native('bob', { off: alice.worker });
    const call = await answered(alice, bob);
    await alice.cut();
    await bob.shows({ alice: 'away' });
    await s.reload();
    say(bob, call, 1, 2);
    const again = await c.again(alice);
    taken(again);
    await signals(again, 1, 2);
    say(again, call, 3);
    await signals(bob, 3);
    const bob2 = await c.again(bob);
    taken(bob2);
    say(bob2, call, 4);
    await signals(again, 4);
    await until(() => s.workers('old').length === 0, 10000,
                'the end of the old workers');
    say(bob2, call, 5);
    await signals(again, 5);
  },

  async 'quit: goodbye, and 1001'(c) {
    const alice = await c.native('alice');
    const bob = await c.native('bob', { off: alice.worker });
    const ann = await c.article('ann');
    const off = await c.native('off', { path: OFF });
    await Promise.all([c.server.quit(), alice.ends(1001), bob.ends(1001),
                       ann.ends(1001), off.ends(1001)]);
    for (const client of [alice, bob]) {
      // a worker that was asked before the others may take it for a reload
      const { reason, reconnect } = client.goodbyes.at(-1);
      assert.equal(reason, 'shutdown');
      assert(Number.isInteger(reconnect) && reconnect >= 0, `${reconnect}`);
    }
    assert.deepEqual(off.goodbyes, []);
  },
});

scenarios({ ...alone, drain: '1s' }, {
  async 'who is closed with 1012 after the drain comes again'(c) {
    const alice = await c.native('alice');
    const bob = await c.native('bob', { off: alice.worker });
    const call = await answered(alice, bob);
    await c.server.reload();
    await Promise.all([alice.ends(1012, 15000), bob.ends(1012, 15000)]);
    const alice2 = await c.again(alice);
    const bob2 = await c.again(bob);
    taken(alice2);
    taken(bob2);
    say(alice2, call, 1);
    await signals(bob2, 1);
    say(bob2, call, 2);
    await signals(alice2, 2);
  },
});
