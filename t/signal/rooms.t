#!/usr/bin/env node
'use strict';
/*
 * Rooms: who is in, who signals whom, and what of it outlives connections and
 * workers.
 */

const assert = require('assert');
const crypto = require('crypto');
const { scenarios } = require('../lib/scenarios');
const { Native } = require('../lib/client');
const { answered, ended, quiet } = require('../lib/call');
const { sleep, until } = require('../lib/server');

const MEMBERS = '/members/signal';
const GUESTS = '/guests/signal'; // guests may only call
const BRIEF = '/brief/signal';   // a window of one second
const OFF = '/off/signal';       // no resume
const ROOM_MAX = 8;

const options = {
  settings: { rate: '0' },
  users: { alice: 'a', bob: 'b' },
  locations: {
    [MEMBERS]: { kind: 'signal', auth: true,
                 settings: { identity: 'remote_user' } },
    [GUESTS]: { kind: 'signal', settings: { guests: 'call' } },
    [BRIEF]: { kind: 'signal', settings: { resume: '1s' } },
    [OFF]: { kind: 'signal', settings: { resume: '0' } },
  },
  hosts: [{ names: ['other.test'] }],
};

const member = (c, name, rest = {}) => c.native(name,
  { path: MEMBERS, auth: `${name}:${name[0]}`, ...rest });

const roomName = (bytes = 16) => crypto.randomBytes(bytes).toString('base64url');

const seen = (client) => ({ peer: client.welcome.peer, name: client.name,
                            verified: client.welcome.verified });

/* Enter, and find these there. */
async function enter(client, room, ...others) {
  const answer = await client.ask({ type: 'enter', room, ref: 'e' }, 'room');
  const { members, ...rest } = answer;
  assert.deepEqual(rest, { type: 'room', room, ref: 'e' });
  const by = (a, b) => (a.peer < b.peer ? -1 : 1);
  assert.deepEqual([...members].sort(by), others.map(seen).sort(by));
}

async function entered(client, room, other) {
  assert.deepEqual(await client.next('entered'),
                   { type: 'entered', room, ...seen(other) });
}

async function left(client, room, other) {
  assert.deepEqual(await client.next('left'),
                   { type: 'left', room, peer: other.welcome.peer,
                     name: other.name });
}

/* All of them in a new room. */
async function together(...clients) {
  const room = roomName();
  for (const [i, client] of clients.entries()) {
    await enter(client, room, ...clients.slice(0, i));
    await Promise.all(clients.slice(0, i).map((other) =>
      entered(other, room, client)));
  }
  return room;
}

const say = (client, room, other, ...numbers) => numbers.forEach((data) =>
  client.send({ type: 'signal', room, to: other.welcome.peer, data }));

async function hears(client, room, other, ...numbers) {
  for (const data of numbers) {
    assert.deepEqual(await client.next('signal'),
                     { type: 'signal', room, from: other.welcome.peer, data });
  }
}

async function error(client, message, code) {
  const got = await client.ask({ ref: 'x', ...message }, 'error');
  assert.equal(got.code, code, JSON.stringify(got));
  assert.equal(got.ref, 'x');
  if (code !== 'bad-message') { // says what it is about, if that is no novel
    const { room, to } = message;
    assert.equal(got.room, room.length > 64 ? undefined : room);
    assert.equal(got.to, !to || to.length > 64 ? got.to : to);
  }
  return got;
}

const rows = {
  async 'enter, enter again, leave, come back'(c, where) {
    const alice = await c.native('alice');
    const bob = await c.native('bob', where(alice));
    const room = roomName();
    await enter(alice, room);
    await enter(bob, room, alice);
    await entered(alice, room, bob);
    await enter(bob, room, alice);
    await enter(alice, room, bob);
    await quiet(alice, bob);

    bob.send({ type: 'leave', room });
    await left(alice, room, bob);
    bob.send({ type: 'leave', room }); // nothing happens
    await quiet(bob, alice);
    await error(alice, { type: 'signal', room, to: bob.welcome.peer, data: 1 },
                'unreachable');
    await error(bob, { type: 'signal', room, to: alice.welcome.peer, data: 1 },
                'unreachable');
    await enter(bob, room, alice);
    await entered(alice, room, bob);
    alice.send({ type: 'leave', room });
    await left(bob, room, alice);
    bob.send({ type: 'leave', room });
    await quiet(bob, alice);
    await enter(alice, room);
  },

  async 'signals travel byte for byte, and in order'(c, where) {
    const alice = await c.native('alice');
    const bob = await c.native('bob', where(alice));
    const carol = await c.native('carol');
    const room = await together(alice, bob, carol);
    for (const [from, to] of [[alice, bob], [bob, alice], [carol, alice]]) {
      for (const value of ['1', '-0.0', '{ "b" :1,\t"a": [ 1 ,2 ] }', 'null',
                           '"\\u0041\\/"', '{"from":"eve","type":"left"}',
                           JSON.stringify('s'.repeat(60000))]) {
        from.send(`{"data": ${value} ,"from":"eve","to":"${to.welcome.peer}",`
                  + `"room":"${room}","type":"signal"}`);
        const got = await to.next('signal');
        assert.equal(got.from, from.welcome.peer);
        assert.equal(got.room, room);
        assert.deepEqual(Object.keys(got).sort(),
                         ['data', 'from', 'room', 'type']);
        assert(got.raw.includes(`"data":${value}`), got.raw.slice(0, 200));
      }
    }
    for (let i = 0; i < 400; i++) {
      say(alice, room, bob, i);
      say(bob, room, alice, i);
      say(carol, room, bob, -i);
    }
    const fromCarol = [];
    for (let i = 0, n = 0; i < 800; i++) {
      const { from, data } = await bob.next('signal');
      if (from === carol.welcome.peer) {
        fromCarol.push(-data);
      } else {
        assert.equal(data, n++);
      }
    }
    assert.deepEqual(fromCarol, Array.from({ length: 400 }, (_, i) => i));
    await hears(alice, room, bob, ...Array.from({ length: 400 }, (_, i) => i));
    await quiet(alice, bob, carol);
  },

  async 'what is no room, no member, no text'(c, where) {
    const alice = await c.native('alice');
    const bob = await c.native('bob', where(alice));
    const eve = await c.native('eve');
    const room = await together(alice, bob);
    const to = bob.welcome.peer;
    const names = ['', 'x', room.slice(1), 'x'.repeat(65), `${room.slice(1)}=`,
                   `${room.slice(1)}+`, `${room.slice(1)}/`, `${room} `,
                   `${room.slice(1)}.`, `${room.slice(2)}\u00e9`];
    for (const wrong of names) {
      for (const message of [{ type: 'enter' }, { type: 'leave' },
                             { type: 'signal', to, data: 1 }]) {
        await error(alice, { ...message, room: wrong }, 'room-name');
      }
    }
    for (const fine of ['x'.repeat(22), 'x'.repeat(64), roomName(48),
                        '-_-_-_-_-_-_-_-_-_-_-_-_']) {
      await alice.ask({ type: 'enter', room: fine }, 'room');
      alice.send({ type: 'leave', room: fine });
    }
    for (const wrong of [1, null, {}, [room], true]) {
      await error(alice, { type: 'enter', room: wrong }, 'bad-message');
      await error(alice, { type: 'leave', room: wrong }, 'bad-message');
      await error(alice, { type: 'signal', room: wrong, to, data: 1 },
                  'bad-message');
      await error(alice, { type: 'signal', room, to: wrong, data: 1 },
                  'bad-message');
    }
    await error(alice, { type: 'enter' }, 'bad-message');
    await error(alice, { type: 'leave' }, 'bad-message');
    await error(alice, { type: 'signal', room, to }, 'bad-message');
    await error(alice, { type: 'signal', room, data: 1 }, 'bad-message');
    await error(alice, { type: 'signal', room, call: 'c1', to, data: 1 },
                'bad-message');
    for (const stranger of [eve.welcome.peer, 'p', 'p1', 'bob', '', `${to}0`,
                            'p'.repeat(500)]) {
      await error(alice, { type: 'signal', room, to: stranger, data: 1 },
                  'unreachable');
    }
    await error(eve, { type: 'signal', room, to, data: 1 }, 'unreachable');
    await error(alice, { type: 'signal', room: roomName(), to, data: 1 },
                'unreachable');
    eve.send({ type: 'leave', room });
    await quiet(alice, bob, eve);
  },

  async 'a room holds eight'(c, where) {
    const first = await c.native('user 0');
    const users = [first];
    for (let i = 1; i < ROOM_MAX; i++) {
      users.push(await c.native(`user ${i}`, i % 2 ? where(first) : {}));
    }
    const room = await together(...users);
    const late = await c.native('late', where(first));
    await error(late, { type: 'enter', room }, 'room-full');
    await enter(users[3], room, ...users.filter((_, i) => i !== 3));
    await quiet(...users);
    users[5].send({ type: 'leave', room });
    const others = users.filter((_, i) => i !== 5);
    await Promise.all(others.map((user) => left(user, room, users[5])));
    await enter(late, room, ...others);
    await Promise.all(others.map((user) => entered(user, room, late)));
    await error(users[5], { type: 'enter', room }, 'room-full');
    await quiet(...users, late);
  },

  async 'a peer is in eight rooms at most'(c, where) {
    const alice = await c.native('alice');
    const bob = await c.native('bob', where(alice));
    const rooms = [];
    for (let i = 0; i < 8; i++) {
      rooms.push(await together(alice, bob));
    }
    const more = roomName();
    await error(alice, { type: 'enter', room: more }, 'limit');
    await enter(alice, rooms[4], bob); // it is there already
    for (const [i, room] of rooms.entries()) {
      say(bob, room, alice, i);
      await hears(alice, room, bob, i);
    }
    alice.send({ type: 'leave', room: rooms[4] });
    await left(bob, rooms[4], alice);
    await enter(alice, more);
    await bob.close();
    for (let i = 0; i < 7; i++) {
      const { room } = await alice.next('left');
      assert(rooms.includes(room) && room !== rooms[4]);
    }
    await quiet(alice);
  },

  async 'rooms and calls are apart'(c, where) {
    const alice = await c.native('alice');
    const bob = await c.native('bob', where(alice));
    const room = await together(alice, bob);
    await alice.shows({ bob: 'free' });
    const call = await answered(alice, bob);
    say(alice, room, bob, 1);
    await hears(bob, room, alice, 1);
    alice.send({ type: 'signal', call, data: 2 });
    assert.equal((await bob.next('signal')).call, call);
    bob.send({ type: 'leave', room });
    await left(alice, room, bob);
    await quiet(alice);
    bob.send({ type: 'hangup', call });
    await ended(alice, call, 'hangup');
  },

  async 'who leaves the server leaves its rooms'(c, where) {
    const alice = await c.native('alice');
    const room = roomName();
    await enter(alice, room);
    for (const leave of [(bob) => bob.send({ type: 'bye' }),
                         (bob) => bob.close(), (bob) => bob.close(1000),
                         (bob) => bob.cut()]) {
      const bob = await c.native('bob', { path: OFF, ...where(alice) });
      await enter(bob, room, alice);
      await entered(alice, room, bob);
      await leave(bob);
      await left(alice, room, bob);
      await alice.shows({ bob: null });
    }
    await enter(alice, room);
  },

  async 'who is lost stays in, and hears what happened'(c, where) {
    const alice = await c.native('alice');
    let bob = await c.native('bob', where(alice));
    const carol = await c.native('carol');
    const room = await together(alice, bob, carol);
    await bob.cut();
    await alice.shows({ bob: 'away' });
    say(alice, room, bob, 1);
    carol.send({ type: 'leave', room });
    await left(alice, room, carol);
    say(alice, room, bob, 2);
    await enter(carol, room, alice, bob);
    await entered(alice, room, carol);
    say(carol, room, bob, 3);
    await quiet(alice, carol);
    bob = await c.again(bob, where(bob));
    assert(bob.welcome.resumed && !bob.welcome.lost);
    const got = [];
    for (let i = 0; i < 5; i++) {
      const { type, data, peer } = await bob.next();
      got.push([type, data || peer]);
    }
    // the order of each of them stands
    assert.deepEqual(got.filter(([type, data]) => type === 'signal'
                                && data < 3), [['signal', 1], ['signal', 2]]);
    assert.deepEqual(got.filter(([type, data]) => type !== 'signal'
                                || data === 3),
                     [['left', carol.welcome.peer],
                      ['entered', carol.welcome.peer], ['signal', 3]]);
    await enter(bob, room, alice, carol);
    await quiet(alice, carol, bob);
    say(bob, room, carol, 4);
    await hears(carol, room, bob, 4);
  },

  async 'who moves stays who he is'(c, where) {
    let alice = await c.native('alice');
    let bob = await c.native('bob', where(alice));
    const room = await together(alice, bob);
    for (let i = 0; i < 6; i++) {
      const old = i % 2 ? alice : bob;
      const next = await c.again(old, where(old));
      assert.equal(next.welcome.peer, old.welcome.peer);
      assert(next.welcome.resumed && !next.welcome.lost);
      await old.ends(4410);
      [alice, bob] = i % 2 ? [next, bob] : [alice, next];
      say(alice, room, bob, i);
      await hears(bob, room, alice, i);
      say(bob, room, alice, i);
      await hears(alice, room, bob, i);
    }
    await quiet(alice, bob);
  },

  async 'after a loss membership stands, and entering tells it'(c, where) {
    const alice = await c.native('alice');
    const bob = await c.native('bob', where(alice));
    const room = await together(alice, bob);
    await bob.cut();
    const again = await c.again(bob, where(bob), { got: 99 });
    assert.equal(again.welcome.lost, true);
    say(alice, room, again, 1);
    await hears(again, room, alice, 1);
    await enter(again, room, alice);
    await quiet(alice, again);
    say(again, room, alice, 2);
    await hears(alice, room, again, 2);
  },

  async 'devices, guests and another realm'(c, where) {
    const phone = await member(c, 'bob');
    const desk = await member(c, 'bob', where(phone));
    const guest = await c.native('guest', where(phone));
    const room = await together(phone, guest, desk);
    say(phone, room, desk, 1);
    await hears(desk, room, phone, 1);
    await phone.close();
    await Promise.all([left(guest, room, phone), left(desk, room, phone)]);

    const caller = await c.native('caller', { path: GUESTS, ...where(phone) });
    await error(caller, { type: 'enter', room }, 'forbidden');
    const other = await c.native('other', { host: 'other.test' });
    await enter(other, room);
    await error(other, { type: 'signal', room, to: desk.welcome.peer, data: 1 },
                'unreachable');
    await quiet(guest, desk);
  },

  async 'a guest who is evicted is out'(c, where) {
    const alice = await c.native('carol');
    const guest = await c.native('bob', where(alice));
    const room = await together(alice, guest);
    const bob = await member(c, 'bob', where(guest));
    await guest.ends(4410);
    await left(alice, room, guest);
    await enter(bob, room, alice);
    await entered(alice, room, bob);
  },

  async 'all at once: each pair meets once'(c, where) {
    const first = await c.native('user 0');
    const users = [first];
    for (let i = 1; i < ROOM_MAX; i++) {
      users.push(await c.native(`user ${i}`, i % 2 ? where(first) : {}));
    }
    for (let run = 0; run < 15; run++) {
      const room = roomName();
      users.forEach((user) => user.send({ type: 'enter', room }));
      const found = new Map(users.map((user) => [user.welcome.peer,
                                                 { met: [], told: [] }]));
      await Promise.all(users.map(async (user) => {
        const mine = found.get(user.welcome.peer);
        const answer = await user.next('room');
        mine.met = answer.members.map(({ peer }) => peer);
        while (mine.met.length + mine.told.length < ROOM_MAX - 1) {
          mine.told.push((await user.next('entered')).peer);
        }
      }));
      for (const [peer, { met, told }] of found) {
        for (const [other, theirs] of found) {
          if (peer !== other) {
            assert(met.includes(other) !== told.includes(other));
            assert(met.includes(other) === theirs.told.includes(peer));
          }
        }
      }
      users.forEach((user) => user.send({ type: 'leave', room }));
      await Promise.all(users.map(async (user) => {
        user.send({ type: 'lookup', name: 'x' });
        while ((await user.next()).type !== 'user') {
          // others have left
        }
      }));
    }
  },

  async 'they come and go: each knows who is there'(c, where) {
    const first = await c.native('user 0');
    const users = [first];
    for (let i = 1; i < 6; i++) {
      users.push(await c.native(`user ${i}`, i % 2 ? where(first) : {}));
    }
    const room = roomName();
    const inside = new Map(users.map((user) => [user, false]));
    const views = new Map(users.map((user) => [user, null]));
    const take = (user) => user.inbox.splice(0).forEach((message) => {
      const { type, members, peer } = message;
      let view = views.get(user);
      if (type === 'room') {
        view = new Set(members.map((m) => m.peer));
      } else if (type === 'entered') {
        assert(view && !view.has(peer), `${user.name}: ${message.raw}`);
        view.add(peer);
      } else if (type === 'left') {
        assert(view && view.delete(peer), `${user.name}: ${message.raw}`);
      } else {
        assert.equal(type, 'user');
        user.answered = true;
      }
      views.set(user, view);
    });
    for (let step = 0; step < 150; step++) {
      const user = users[Math.floor(Math.random() * users.length)];
      take(user);
      if (inside.get(user)) {
        user.send({ type: 'leave', room });
        // nothing of it comes once the server has answered behind it
        user.answered = false;
        user.send({ type: 'lookup', name: 'x' });
        await until(() => (take(user), user.answered), 5000, 'an answer');
        views.set(user, null);
      } else {
        user.send({ type: 'enter', room });
        await until(() => (take(user), views.get(user)), 5000, 'an answer');
      }
      inside.set(user, !inside.get(user));
    }
    await sleep(100);
    users.forEach(take);
    const there = users.filter((user) => inside.get(user));
    for (const user of users) {
      const wanted = inside.get(user) ? there.filter((other) => other !== user)
        .map((other) => other.welcome.peer).sort() : null;
      const view = views.get(user);
      assert.deepEqual(view && [...view].sort(), wanted, user.name);
    }
  },
};

const each = (where, how) => Object.fromEntries(Object.entries(rows)
  .map(([name, run]) => [`${name}, ${where}`,
                         (c) => run(c, (client) => how(client))]));

scenarios({ ...options, schemes: ['ws'] },
          each('on one worker', ({ worker }) => ({ on: worker })));
scenarios(options, each('across two', ({ worker }) => ({ off: worker })));

scenarios({ ...options, fresh: true, schemes: ['ws'], together: true,
            ms: 40000 }, {
  async 'lost for good: the others are told after the window'(c) {
    const alice = await c.native('alice');
    const bob = await c.native('bob', { path: BRIEF, off: alice.worker });
    const carol = await c.native('carol', { path: BRIEF, on: alice.worker });
    const room = await together(alice, bob, carol);
    await bob.cut();
    await sleep(300);
    await quiet(alice, carol);
    await left(alice, room, bob);
    await left(carol, room, bob);
    const back = await c.again(bob);
    assert.equal(back.welcome.resumed, false);
    await enter(back, room, alice, carol);
  },

  async 'a killed worker: its members stay, and come again'(c) {
    const s = c.server;
    const alice = await c.native('alice');
    const bob = await c.native('bob', { off: alice.worker });
    const carol = await c.native('carol', { on: bob.worker });
    const ann = await c.native('ann', { on: alice.worker, path: BRIEF });
    const off = await c.native('off', { on: alice.worker, path: OFF });
    const room = await together(alice, bob, carol, ann, off);
    const own = await together(alice, ann); // of the dead alone
    s.kill(alice.worker);
    await alice.ends(1006);
    await left(bob, room, off);
    await left(carol, room, off);
    say(bob, room, carol, 1);
    await hears(carol, room, bob, 1);
    say(bob, room, alice, 'to nobody');
    await left(bob, room, ann); // after her window
    await left(carol, room, ann);
    const again = await c.again(alice);
    assert.equal(again.welcome.lost, true);
    assert.equal(again.welcome.peer, alice.welcome.peer);
    await enter(again, room, bob, carol);
    await enter(again, own);
    await quiet(bob, carol);
    say(bob, room, again, 2);
    say(again, room, bob, 3);
    await hears(again, room, bob, 2);
    await hears(bob, room, again, 3);
    again.send({ type: 'leave', room });
    await left(bob, room, again);
  },

  async 'all workers are killed, and a room outlives them'(c) {
    const s = c.server;
    const people = [await c.native('alice')];
    people.push(await c.native('bob', { off: people[0].worker }));
    people.push(await c.native('carol'));
    const room = await together(...people);
    const victims = s.workers();
    victims.forEach((pid) => s.kill(pid));
    await until(() => s.workers().filter((pid) => !victims.includes(pid))
                      .length === 2, 5000, 'workers');
    const back = [];
    for (const person of people) {
      back.push(await c.again(person));
    }
    for (const [i, person] of back.entries()) {
      assert.equal(person.welcome.lost, true);
      await enter(person, room, ...back.filter((_, j) => j !== i));
    }
    say(back[0], room, back[1], 1);
    await hears(back[1], room, back[0], 1);
    await quiet(...back);
  },

  async 'reload: a room goes on'(c) {
    const s = c.server;
    const people = [];
    for (const name of ['alice', 'bob', 'carol']) {
      people.push(await c.durable(name));
    }
    const room = await together(...people);
    await s.reload();
    const late = await c.native('late');
    await enter(late, room, ...people);
    await Promise.all(people.map((person) => entered(person, room, late)));
    for (let n = 0; people.some((person) => person.resumed === 0); n++) {
      assert(n < 400, 'all move');
      for (const [i, person] of people.entries()) {
        const next = people[(i + 1) % 3];
        say(person, room, next, n);
        await hears(next, room, person, n);
      }
      await sleep(50);
    }
    say(late, room, people[0], 'x');
    await hears(people[0], room, late, 'x');
    for (const person of people) {
      assert.equal(person.lost, 0);
      assert.deepEqual(person.faults, []);
      assert.deepEqual(person.inbox, []);
    }
    await until(() => s.workers('old').length === 0, 10000,
                'the end of the old workers');
  },
});
