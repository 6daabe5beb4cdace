#!/usr/bin/env node
'use strict';
/*
 * README.md is enough to write a client: lib/small-client.js was written from
 * it alone, and loses nothing.
 */

const assert = require('assert');
const crypto = require('crypto');
const { scenarios } = require('../lib/scenarios');
const SmallClient = require('../lib/small-client');
const { SEED, seeded } = require('../lib/random');
const { diag } = require('../lib/tap');
const { sleep, until } = require('../lib/server');

const TALK = 1000; // ms
const CUTS = 24;
const SHORT = '/webrtc/short'; // an endpoint whose window is 1 s

diag(`seed ${SEED}`);
const random = seeded();

/* One that remembers what it was told, the numbers by who sent them. */
class Person extends SmallClient {
  texts = [];
  numbers = {};

  constructor(url, hello) {
    super(url, hello, {
      rejectUnauthorized: false,
      finishRequest: (request, socket) => {
        socket.on('upgrade', ({ headers }) => {
          this.worker = Number(headers['x-worker']);
        });
        socket.on('close', (code) => this.texts.push({ type: 'closed', code }));
        request.end();
      },
    });
    this.on('error', () => {});
  }

  emit(type, text) {
    if (type === 'signal') {
      (this.numbers[text.from] ??= []).push(text.data);
    } else {
      this.texts.push({ type, ...(type === 'end' ? { code: text } : text) });
    }
    return super.emit(type, text);
  }

  all(type, members = {}) {
    return this.texts.filter((text) => text.type === type
      && Object.entries(members).every(([key, value]) => text[key] === value));
  }

  /* The first of these texts, also if it has come already. */
  told(type, members, ms = 8000) {
    return until(() => this.all(type, members)[0], ms,
                 `${this.hello.name}'s ${type} ${JSON.stringify(members)}`);
  }

  call(to, ref) {
    this.send({ type: 'call', to, ref });
    return this.told('calling', { ref });
  }
}

function open(c, name, { proxy, path, watch = 'none', resume } = {}) {
  const port = proxy ? proxy.port : /\d+$/.exec(c.base)[0];
  const url = c.url(path).replace(/:\d+/, `:${port}`);
  const client = new Person(url, { name, watch, resume });
  c.clients.push({ close: () => leave(client) });
  return client;
}

/* Without a connection nobody can say bye, and the name would stay. */
async function leave(client) {
  if (client.all('end').length === 0) {
    client.send({ type: 'lookup', name: 'nobody', ref: 'leave' });
    await client.told('user', { ref: 'leave' });
    client.end();
    await until(() => client.texts.at(-1).type === 'closed');
  }
}

async function person(...how) {
  const client = open(...how);
  client.peer = (await client.told('welcome')).peer;
  return client;
}

/* ... on another worker than this one. */
async function elsewhere(c, name, { worker }) {
  for (let tries = 0; tries < 20; tries++) {
    const some = await Promise.all(['', '1', '2', '3'].map((end) =>
      person(c, `${name}${tries}${end}`)));
    const found = some.find((one) => one.worker !== worker);
    some.filter((one) => one !== found).forEach((one) => one.end());
    if (found) {
      return found;
    }
  }
  throw new Error(`all on worker ${worker}`);
}

async function answered(caller, callee, ref) {
  const { call } = await caller.call(callee.hello.name, ref);
  await callee.told('ring', { call });
  callee.send({ type: 'accept', call });
  await caller.told('accepted', { call });
  return call;
}

/*
 * Each way sends 1, 2, 3... for a while: [{from, to, where, as}], `where` being
 * what a signal is addressed with and `as` what its receiver sees as `from`.
 * harm() is done again and again meanwhile, until proxy has cut often enough.
 */
async function talk(ways, harm, { ms = TALK, proxy } = {}) {
  const end = Date.now() + ms;
  const going = () => Date.now() < end
    || (proxy && proxy.cuts < CUTS && Date.now() < end + 12000);
  const sent = ways.map(() => 0);
  const before = ways.map(({ to, as }) => (to.numbers[as] || []).length);
  const sending = Promise.all(ways.map(async ({ from, where }, i) => {
    while (going()) {
      from.send({ type: 'signal', ...where, data: ++sent[i] });
      await sleep(random() * 15);
    }
  }));
  while (going()) {
    await harm();
  }
  proxy?.cutAfter(() => Infinity);
  await sending;
  for (const [i, { to, as }] of ways.entries()) {
    const come = () => (to.numbers[as] || []).slice(before[i]);
    await until(() => come().length >= sent[i], 10000,
                `${sent[i]} numbers, there are ${come().length}`);
    assert.deepEqual(come(), Array.from({ length: sent[i] }, (_, n) => n + 1));
  }
  return sent.reduce((x, y) => x + y);
}

const between = (alice, bob, call) => [
  { from: alice, to: bob, where: { call }, as: alice.hello.name },
  { from: bob, to: alice, where: { call }, as: bob.hello.name }];

const cutting = (proxy) => async () => {
  await sleep(20 + random() * 80);
  proxy.cutAfter(() => 1 + Math.floor(random() ** 2 * 3000));
};

/* What the welcomes after the first say. */
function tell(people, numbers, proxy) {
  const back = people.flatMap((one) => one.all('welcome').slice(1));
  diag(`${numbers} numbers${proxy ? `, ${proxy.cuts} cuts` : ''}, ${
    back.length} resumes`);
  assert(back.every(({ resumed, lost }) => resumed && !lost));
  people.forEach((one) => assert.deepEqual(one.all('error'), []));
  return back.length;
}

const options = {
  settings: { rate: '0' }, ms: 30000,
  locations: { [SHORT]: { kind: 'signal', settings: { resume: '1s' } } },
};

scenarios(options, {
  async 'a call through a line that is cut: each number once, in order'(c) {
    const proxy = await c.proxy();
    const alice = await person(c, 'alice', { proxy });
    const bob = await person(c, 'bob', { proxy });
    const call = await answered(alice, bob, '1');
    const numbers = await talk(between(alice, bob, call), cutting(proxy),
                               { proxy });
    bob.send({ type: 'hangup', call });
    assert.equal((await alice.told('ended', { call })).reason, 'hangup');
    tell([alice, bob], numbers, proxy);
    assert(proxy.cuts >= CUTS);
  },

  async 'the same, with a reload in the middle'(c) {
    const proxy = await c.proxy();
    const alice = await person(c, 'alice', { proxy });
    const bob = await person(c, 'bob', { proxy });
    const call = await answered(alice, bob, '1');
    const cut = cutting(proxy);
    let reload = null;
    const numbers = await talk(between(alice, bob, call), () => {
      reload ??= c.server.reload();
      return cut();
    }, { proxy });
    await reload;
    alice.send({ type: 'hangup', call });
    await bob.told('ended', { call, reason: 'hangup' });
    assert(tell([alice, bob], numbers, proxy) > 0);
  },

  async 'calls whose request or answer is cut off: dialled once each'(c) {
    const proxy = await c.proxy();
    const alice = await person(c, 'alice', { proxy });
    const bob = await person(c, 'bob');
    for (let ref = 1; ref <= 12; ref++) {
      proxy.cutAfter(() => 1 + Math.floor(random() * 250));
      const { call } = await alice.call('bob', `${ref}`);
      await bob.told('ring', { call });
      alice.send({ type: 'hangup', call });
      await bob.told('ended', { call, reason: 'cancelled' });
    }
    proxy.cutAfter(() => Infinity);
    assert.equal(bob.all('ring').length, 12);
    assert.equal(alice.all('calling').length, 12);
    assert.equal(alice.all('ended').length, 0);
    tell([alice, bob], 0, proxy);
  },

  async 'declined, busy, nobody there, glare'(c) {
    const alice = await person(c, 'alice');
    const bob = await person(c, 'bob');
    const carol = await person(c, 'carol');
    const { call } = await alice.call('bob', '1');
    await bob.told('ring', { call, from: 'alice' });
    bob.send({ type: 'decline', call });
    await alice.told('ended', { call, reason: 'declined' });

    const second = await answered(alice, bob, '2');
    carol.send({ type: 'call', to: 'bob', ref: '1' });
    await carol.told('ended', { to: 'bob', reason: 'busy', ref: '1' });
    carol.send({ type: 'call', to: 'dave', ref: '2' });
    await carol.told('error', { code: 'unreachable', ref: '2' });
    alice.send({ type: 'hangup', call: second });
    await bob.told('ended', { call: second, reason: 'hangup' });

    bob.send({ type: 'call', to: 'carol', ref: 'b' });
    carol.send({ type: 'call', to: 'bob', ref: 'c' });
    const glare = await until(() => bob.all('ended', { ref: 'b' })[0]
                                    || carol.all('ended', { ref: 'c' })[0]);
    assert.equal(glare.reason, 'glare');
    for (const one of [bob, carol]) {
      await one.told('accepted', { call: glare.into });
    }
    await talk(between(bob, carol, glare.into), () => sleep(50), { ms: 200 });
  },

  async 'a room of three through lines that are cut'(c) {
    const proxy = await c.proxy();
    const room = crypto.randomBytes(16).toString('base64url');
    const people = [];
    for (const name of ['alice', 'bob', 'carol']) {
      const one = await person(c, name, { proxy });
      one.send({ type: 'enter', room });
      const { members } = await one.told('room', { room });
      assert.deepEqual(members.map(({ peer }) => peer).sort(),
                       people.map(({ peer }) => peer).sort());
      people.push(one);
    }
    const [alice, bob, carol] = people;
    await alice.told('entered', { room, peer: carol.peer });
    const ways = people.flatMap((from) => people.filter((to) => to !== from)
      .map((to) => (
        { from, to, where: { room, to: to.peer }, as: from.peer })));
    const numbers = await talk(ways, cutting(proxy), { proxy });
    alice.send({ type: 'leave', room });
    await bob.told('left', { room, peer: alice.peer });
    bob.end();
    await carol.told('left', { room, peer: bob.peer });
    tell(people, numbers, proxy);
    assert(proxy.cuts >= CUTS);
  },

  async 'a worker is killed: its user is told, and the call goes on'(c) {
    const alice = await person(c, 'alice');
    const bob = await elsewhere(c, 'bob', alice);
    const room = crypto.randomBytes(16).toString('base64url');
    const call = await answered(alice, bob, '1');
    bob.send({ type: 'enter', room });
    await bob.told('room', { room });
    alice.send({ type: 'enter', room });
    await alice.told('room', { room });
    await talk(between(alice, bob, call), () => sleep(50), { ms: 200 });

    c.server.kill(alice.worker);
    const { resumed, calls } = await alice.told('welcome', { lost: true });
    assert.equal(resumed, true);
    assert.deepEqual(calls.map((one) => [one.call, one.state, one.with]),
                     [[call, 'answered', bob.hello.name]]);
    await talk(between(alice, bob, call), () => sleep(50), { ms: 200 });
    await until(() => alice.all('room').length === 2);
    assert.deepEqual(alice.all('room')[1].members.map(({ peer }) => peer),
                     [bob.peer]);
    assert.equal(bob.all('left').length + bob.all('ended').length, 0);
    assert.equal(bob.all('welcome').length, 1);

    await until(() => c.server.workers().length === 2);
    c.server.kill(alice.worker); // and what is decided now is not forgotten
    alice.send({ type: 'hangup', call });
    await bob.told('ended', { call });
    await until(() => c.server.workers().length === 2);
  },

  async 'goodbye: both move, stay present, and lose nothing'(c) {
    const watcher = await person(c, 'watcher', { watch: ['alice', 'bob'] });
    const alice = await person(c, 'alice');
    const bob = await person(c, 'bob');
    const call = await answered(alice, bob, '1');
    const people = [alice, bob, watcher];
    let reload = null;
    const numbers = await talk(between(alice, bob, call), async () => {
      reload ??= c.server.reload();
      await sleep(50);
    }, { ms: 800 });
    await reload;
    for (const one of people) {
      const { reason } = await one.told('goodbye');
      assert.equal(reason, 'reload');
      await until(() => one.all('welcome').length === 2);
    }
    tell(people, numbers);
    assert.deepEqual(watcher.all('presence').flatMap(({ left }) => left), []);
    for (const name of ['alice', 'bob']) {
      watcher.send({ type: 'lookup', name, ref: name });
      assert.equal((await watcher.told('user', { ref: name })).state, 'busy');
    }
    await until(() => c.server.workers('old').length === 0);
  },

  async 'what is over: the window, a name, a place'(c) {
    const proxy = await c.proxy();
    const alice = await person(c, 'alice', { proxy, path: SHORT });
    const bob = await person(c, 'bob', { path: SHORT });
    const call = await answered(alice, bob, '1');
    await proxy.cut();
    alice.send({ type: 'signal', call, data: 1 }); // to nobody any more
    await bob.told('ended', { call, reason: 'gone' });
    await proxy.mend();
    await alice.told('ended', { call, reason: 'lost' });
    await alice.told('welcome', { resumed: false });
    await answered(bob, alice, '1');
    assert.deepEqual(bob.numbers, {});

    const [{ resume }] = bob.all('welcome');
    const thief = await person(c, 'bob', { path: SHORT, resume });
    assert.equal((await bob.told('end')).code, 4410);
    assert.equal(thief.peer, bob.peer);
    assert.equal((await open(c, 'bob').told('end')).code, 4409);
    assert.equal((await open(c, 'a\nb').told('end')).code, 4400);
  },
});
