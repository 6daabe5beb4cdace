#!/usr/bin/env node
'use strict';
/*
 * The rows of the arbitration table raced across two workers: both sides act
 * at the same time, and each run has to end in one of the allowed outcomes,
 * the same on both sides.
 *
 * What a client got is kept by call, and judged when all runs are over, so
 * that a text too many is found however late it comes.
 */

const assert = require('assert');
const { scenarios } = require('../lib/scenarios');
const { Native } = require('../lib/client');
const { diag } = require('../lib/tap');
const { sleep } = require('../lib/server');

const RUNS = Number(process.env.WSIG_RACES || 100);
const MEMBERS = '/members/signal';
const QUICK = '/quick/signal';
const OFF = '/off/signal';

/* A user who writes down all that arrives, by call. */
class Racer extends Native {
  arrived(text) {
    const before = this.inbox.length;
    super.arrived(text);
    for (const message of this.inbox.slice(before)) {
      this.note(message);
    }
    if (this.racing) {
      this.inbox.length = 0;
    }
  }

  note(message) {
    const { type, call, reason, code, ref } = message;
    const key = call || ref;
    this.log = this.log || new Map();
    if (key !== undefined && type !== 'user') {
      if (!this.log.has(key)) {
        this.log.set(key, []);
      }
      const words = [type, reason || code, message.into && 'into'];
      this.log.get(key).push(words.filter(Boolean).join(' '));
    }
    if (ref !== undefined) {
      this.answers = this.answers || new Map();
      this.answers.set(ref, message);
    }
  }

  /* All that came about a call (or, with errors, a ref): 'ring,accepted'. */
  saw(call) {
    return (this.log && this.log.get(call) || []).join();
  }

  /* The answer to the request with this ref. */
  async answer(ref) {
    const end = Date.now() + 5000;
    while (!this.answers || !this.answers.has(ref)) {
      assert(Date.now() < end && !this.end, `no answer to ${ref}`);
      await this.change(1000);
    }
    return this.answers.get(ref);
  }

  /* Wait until it saw this. */
  async sees(call, pattern, ms = 5000) {
    const end = Date.now() + ms;
    while (!pattern.test(this.saw(call))) {
      const left = end - Date.now();
      assert(left > 0 && !this.end,
             `"${this.saw(call)}" is not ${pattern}, call ${call}`);
      await this.change(left);
    }
  }
}

async function racer(c, name, options = {}, hello = { watch: 'none' }) {
  const client = await c.open(Racer, options);
  await client.hello(name, hello);
  client.racing = true;
  return client;
}

const member = (c, name, options = {}) => racer(c, name,
  { path: MEMBERS, auth: `${name}:${name[0]}`, ...options });

let sequence = 0;

/* a dials b; the call's id, once all ringers ring. */
async function rung(a, ...ringers) {
  const ref = `r${++sequence}`;
  a.send({ type: 'call', to: ringers[0].name, ref });
  const { type, call } = await a.answer(ref);
  assert.equal(type, 'calling');
  await Promise.all(ringers.map((b) => b.sees(call, /^ring$/)));
  return call;
}

async function talking(a, b) {
  const call = await rung(a, b);
  b.send({ type: 'accept', call });
  await Promise.all([a.sees(call, /accepted$/), b.sees(call, /accepted$/)]);
  return call;
}

/* Do these at the same time, or up to 2 ms apart. */
function together(...actions) {
  const spread = [0, 0, 0.1, 0.3, 2][Math.floor(Math.random() * 5)];
  const start = performance.now();
  actions.map((act) => [Math.random() * spread, act])
    .sort(([a], [b]) => a - b)
    .forEach(([delay, act]) => {
      while (performance.now() - start < delay) {
        // spin: a timer is too coarse
      }
      act();
    });
}

/* Each run's outcome is the key of a pattern: '' of texts, one side after the
 * other, with ' | ' in between. */
class Outcomes {
  constructor(what, allowed) {
    this.what = what;
    this.allowed = allowed;
    this.runs = [];
  }

  add(...sides) { // [client, call] each
    this.runs.push(sides);
  }

  async judge() {
    await sleep(300); // for what comes too late
    const counts = {};
    for (const sides of this.runs) {
      const got = sides.map(([client, call]) => client.saw(call)).join(' | ');
      const found = Object.entries(this.allowed)
        .find(([, pattern]) => pattern.test(got));
      assert(found, `${this.what}: "${got}" is no allowed outcome`);
      counts[found[0]] = (counts[found[0]] || 0) + 1;
    }
    diag(`${this.what}: ${Object.entries(counts)
      .map(([name, n]) => `${name} ${n}`).join(', ')}`);
  }
}

const send = (client, type, call) => () => client.send({ type, call });

async function pair(c, options = {}) {
  const alice = await racer(c, 'alice', options);
  const bob = await racer(c, 'bob', { ...options, off: alice.worker });
  return [alice, bob];
}

/* n calls between the same two, whose actions race. */
async function repeat(c, what, allowed, { prepare, actions, over, clean }) {
  const [alice, bob] = await pair(c);
  const outcomes = new Outcomes(what, allowed);
  for (let i = 0; i < RUNS; i++) {
    const [a, b] = i % 2 ? [alice, bob] : [bob, alice];
    const call = await prepare(a, b);
    together(...actions(a, b, call));
    await over(a, b, call);
    if (clean) {
      await clean(a, b, call);
    }
    outcomes.add([a, call], [b, call]);
  }
  await outcomes.judge();
}

/* Either of them was told how it ended. */
async function either(...waits) {
  await Promise.any(waits);
}

/*
 * In the patterns a is the caller, and stands first.  Who was told of the end
 * by itself and again in answer to a late request sees it twice.
 */
const options = {
  settings: { rate: '0' },
  users: { alice: 'a', bob: 'b', carol: 'c' },
  locations: {
    [MEMBERS]: { kind: 'signal', auth: true,
                 settings: { identity: 'remote_user' } },
    [QUICK]: { kind: 'signal', settings: { ring_timeout: '1s' } },
    [OFF]: { kind: 'signal', settings: { resume: '0' } }, // lost at once
  },
  connections: 4096,
  ms: 60000,
};

scenarios(options, {
  'accept against cancel': (c) => repeat(c, 'accept/cancel', {
    cancelled: /^calling \| ring(,ended cancelled){1,2}$/,
    answered: /^calling(,accepted)? \| ring,accepted,ended hangup$/,
  }, {
    prepare: rung,
    actions: (a, b, call) => [send(a, 'hangup', call), send(b, 'accept', call)],
    over: (a, b, call) => b.sees(call, /ended/),
  }),

  'decline against cancel': (c) => repeat(c, 'decline/cancel', {
    cancelled: /^calling \| ring(,ended cancelled){1,2}$/,
    declined: /^calling(,ended declined){1,2} \| ring$/,
  }, {
    prepare: rung,
    actions: (a, b, call) => [send(a, 'hangup', call), send(b, 'decline', call)],
    over: (a, b, call) => either(a.sees(call, /ended/), b.sees(call, /ended/)),
  }),

  'both hang up': (c) => repeat(c, 'hangup/hangup', {
    'caller first':
      /^calling,accepted \| ring,accepted(,ended hangup){1,2}$/,
    'callee first':
      /^calling,accepted(,ended hangup){1,2} \| ring,accepted$/,
  }, {
    prepare: talking,
    actions: (a, b, call) => [send(a, 'hangup', call), send(b, 'hangup', call)],
    over: (a, b, call) => either(a.sees(call, /ended/), b.sees(call, /ended/)),
  }),

  'signals against hanging up': (c) => repeat(c, 'signal/hangup', {
    ended: /^calling,accepted(,signal)*,ended hangup \| ring,accepted(,signal)*$/,
  }, {
    prepare: talking,
    actions: (a, b, call) => [
      () => { for (let i = 0; i < 5; i++) {
        a.send({ type: 'signal', call, data: i }); } },
      () => { b.send({ type: 'signal', call, data: 0 });
              b.send({ type: 'hangup', call }); },
      () => a.send({ type: 'signal', call, data: 9 })],
    over: (a, b, call) => a.sees(call, /ended/),
  }),

  async 'both dial each other'(c) {
    const [alice, bob] = await pair(c);
    const outcomes = new Outcomes('glare', {
      'the second never rang':
        /^calling,accepted,ended hangup \| accepted \| ended glare into$/,
      'it rang before its dialling was read':
        /^calling,accepted,ended hangup \| ring,accepted \| ended glare into$/,
    });
    for (let i = 0; i < RUNS; i++) {
      const refs = [`a${i}`, `b${i}`];
      together(
        () => alice.send({ type: 'call', to: 'bob', ref: refs[0] }),
        () => bob.send({ type: 'call', to: 'alice', ref: refs[1] }));
      const answers = [await alice.answer(refs[0]), await bob.answer(refs[1])];
      const types = answers.map((m) => m.type).sort();
      assert.deepEqual(types, ['calling', 'ended']);
      const [winner, loser] = answers[0].type === 'calling'
        ? [alice, bob] : [bob, alice];
      const won = answers.find((m) => m.type === 'calling');
      const lost = answers.find((m) => m.type === 'ended');
      assert.equal(lost.reason, 'glare');
      assert.equal(lost.into, won.call);
      await Promise.all([winner.sees(won.call, /accepted/),
                         loser.sees(won.call, /accepted/)]);
      // it is a call: signals pass
      winner.send({ type: 'signal', call: won.call, data: i });
      await loser.sees(won.call, /signal$/);
      loser.log.get(won.call).pop();
      loser.send({ type: 'hangup', call: won.call });
      await winner.sees(won.call, /ended/);
      outcomes.add([winner, won.call], [loser, won.call], [loser, lost.call]);
    }
    await outcomes.judge();
  },

  async 'two devices accept'(c) {
    const alice = await member(c, 'alice');
    const phone = await member(c, 'bob');
    const desk = await member(c, 'bob', { off: phone.worker });
    const outcomes = new Outcomes('accept/accept', {
      phone: new RegExp('^calling,accepted \\| ring,accepted,ended hangup '
                        + '\\| ring(,ended answered-elsewhere){1,2}$'),
      desk: new RegExp('^calling,accepted \\| ring(,ended answered-elsewhere)'
                       + '{1,2} \\| ring,accepted,ended hangup$'),
    });
    for (let i = 0; i < RUNS; i++) {
      const call = await rung(alice, phone, desk);
      together(send(phone, 'accept', call), send(desk, 'accept', call));
      await alice.sees(call, /accepted/);
      await Promise.all([phone.sees(call, /accepted|elsewhere/),
                         desk.sees(call, /accepted|elsewhere/)]);
      const winner = /accepted/.test(phone.saw(call)) ? phone : desk;
      winner.send({ type: 'signal', call, data: i });
      await alice.sees(call, /signal$/);
      alice.log.get(call).pop();
      alice.send({ type: 'hangup', call });
      await winner.sees(call, /ended hangup/);
      outcomes.add([alice, call], [phone, call], [desk, call]);
    }
    await outcomes.judge();
  },

  async 'one device accepts, the other declines'(c) {
    const alice = await member(c, 'alice');
    const phone = await member(c, 'bob');
    const desk = await member(c, 'bob', { off: phone.worker });
    const outcomes = new Outcomes('accept/decline', {
      answered: new RegExp('^calling,accepted \\| ring,accepted,ended hangup '
                           + '\\| ring(,ended answered-elsewhere){1,2}$'),
      declined: new RegExp('^calling,ended declined \\| ring(,ended declined)'
                           + '{1,2} \\| ring$'),
    });
    for (let i = 0; i < RUNS; i++) {
      const call = await rung(alice, phone, desk);
      together(send(phone, 'accept', call), send(desk, 'decline', call));
      await alice.sees(call, /accepted|ended/);
      if (/accepted/.test(alice.saw(call))) {
        alice.send({ type: 'hangup', call });
        await Promise.all([phone.sees(call, /hangup/),
                           desk.sees(call, /elsewhere/)]);
      } else {
        await phone.sees(call, /declined/);
      }
      outcomes.add([alice, call], [phone, call], [desk, call]);
    }
    await outcomes.judge();
  },

  async 'the caller leaves, or is lost, while it is accepted'(c) {
    const bob = await racer(c, 'bob');
    const bye = new Outcomes('bye/accept', {
      cancelled: /^ring(,ended cancelled){1,2}$/,
      answered: /^ring,accepted,ended hangup$/,
    });
    const lost = new Outcomes('lost/accept', {
      gone: /^ring(,ended gone){1,2}$/,
      answered: /^ring,accepted,ended gone$/,
    });
    for (let i = 0; i < RUNS; i++) {
      const alice = await racer(c, `alice ${i}`, { off: bob.worker, path: OFF });
      const call = await rung(alice, bob);
      together(
        () => (i % 2 ? alice.send({ type: 'bye' }) : alice.socket.terminate()),
        send(bob, 'accept', call));
      await bob.sees(call, /ended/);
      (i % 2 ? bye : lost).add([bob, call]);
    }
    await bye.judge();
    await lost.judge();
  },

  async 'who rings leaves, or is lost, while the caller cancels'(c) {
    const alice = await racer(c, 'alice');
    const outcomes = new Outcomes('cancel/leave', {
      unreachable: /^calling(,ended unreachable){1,2}$/,
      cancelled: /^calling$/,
    });
    for (let i = 0; i < RUNS; i++) {
      const bob = await racer(c, `bob ${i}`, { off: alice.worker, path: OFF });
      const call = await rung(alice, bob);
      together(
        () => (i % 2 ? bob.send({ type: 'bye' }) : bob.socket.terminate()),
        send(alice, 'hangup', call));
      outcomes.add([alice, call]);
      await bob.close();
    }
    const bob = await racer(c, 'bob', { off: alice.worker });
    const call = await talking(alice, bob);
    send(bob, 'hangup', call)();
    await alice.sees(call, /hangup/);
    await outcomes.judge();
  },

  async 'who is called leaves while it is dialled'(c) {
    const alice = await racer(c, 'alice');
    const outcomes = new Outcomes('dial/leave', {
      'too late': /^error unreachable \| $/,
      'he left while it was dialled': /^ended unreachable \| ended unreachable$/,
      'it rang': /^calling \| ended unreachable$/,
    });
    for (let i = 0; i < RUNS; i++) {
      const bob = await racer(c, `bob ${i}`, { off: alice.worker, path: OFF });
      const ref = `leave ${i}`;
      together(
        () => (i % 2 ? bob.send({ type: 'bye' }) : bob.socket.terminate()),
        () => alice.send({ type: 'call', to: bob.name, ref }));
      const { call, type } = await alice.answer(ref);
      if (type === 'calling') {
        await alice.sees(call, /ended/);
        alice.log.set(ref, ['calling']);
        alice.log.set(call, alice.log.get(call).slice(1));
      } else if (type === 'ended') {
        alice.log.set(ref, ['ended unreachable']);
      }
      outcomes.add([alice, ref], [alice, call]);
      await bob.close();
    }
    await outcomes.judge();
  },

  async 'a device joins while its user is dialled: it rings once'(c) {
    const alice = await member(c, 'alice');
    const phone = await member(c, 'bob', { off: alice.worker });
    const outcomes = new Outcomes('dial/join', {
      'rang once': /^ring,ended cancelled \| ring,ended cancelled$/,
    });
    for (let i = 0; i < RUNS; i++) {
      const desk = await c.open(Racer, { path: MEMBERS, auth: 'bob:b',
                                         on: alice.worker });
      desk.racing = true;
      const ref = `join ${i}`;
      together(
        () => desk.send({ type: 'hello', watch: 'none' }),
        () => alice.send({ type: 'call', to: 'bob', ref }));
      const { call } = await alice.answer(ref);
      await Promise.all([phone.sees(call, /ring/), desk.sees(call, /ring/)]);
      alice.send({ type: 'hangup', call });
      await Promise.all([phone.sees(call, /ended/), desk.sees(call, /ended/)]);
      outcomes.add([phone, call], [desk, call]);
      await desk.close();
    }
    await outcomes.judge();
  },

  async 'the callee answers one while another dials'(c) {
    const [alice, bob] = await pair(c);
    const carol = await racer(c, 'carol', { on: alice.worker });
    const outcomes = new Outcomes('dial/accept', {
      busy: /^ended busy \| $/,
      'rings beside': /^calling \| ring,ended cancelled$/,
    });
    for (let i = 0; i < RUNS; i++) {
      const call = await rung(alice, bob);
      const ref = `beside ${i}`;
      together(send(bob, 'accept', call),
               () => carol.send({ type: 'call', to: 'bob', ref }));
      const { call: second, type } = await carol.answer(ref);
      await alice.sees(call, /accepted/);
      if (type === 'calling') {
        await bob.sees(second, /ring/);
        carol.send({ type: 'hangup', call: second });
        await bob.sees(second, /ended/);
      }
      bob.send({ type: 'hangup', call });
      await alice.sees(call, /hangup/);
      outcomes.add([carol, second], [bob, second]);
    }
    await outcomes.judge();
  },

  async 'the time runs out while something is done'(c) {
    const PAIRS = 70;
    const pairs = [];
    for (let i = 0; i < PAIRS; i++) {
      const a = await racer(c, `a${i}`, { path: QUICK });
      pairs.push([a, await racer(c, `b${i}`, { path: QUICK, off: a.worker })]);
    }
    const missed = 'calling,ended no-answer(,ended no-answer)? \\| '
                   + 'ring(,ended missed){1,2}$';
    const outcomes = {
      accept: new Outcomes('accept/no-answer', {
        missed: new RegExp(`^${missed}`),
        answered: /^calling,accepted \| ring,accepted(,ended hangup)?$/ }),
      decline: new Outcomes('decline/no-answer', {
        missed: new RegExp(`^${missed}`),
        declined: /^calling,ended declined \| ring$/ }),
      hangup: new Outcomes('cancel/no-answer', {
        missed: new RegExp(`^${missed}`),
        cancelled: /^calling \| ring,ended cancelled$/ }),
    };
    for (let round = 0; round < RUNS / PAIRS; round++) {
      const action = ['accept', 'decline', 'hangup'][round % 3];
      await Promise.all(pairs.map(async ([a, b]) => {
        const call = await rung(a, b);
        const from = performance.now();
        await sleep(980 + Math.random() * 250 - (performance.now() - from));
        (action === 'hangup' ? a : b).send({ type: action, call });
        await either(a.sees(call, /ended|accepted/), b.sees(call, /ended/));
        await sleep(150);
        if (/accepted/.test(a.saw(call))) {
          a.send({ type: 'hangup', call });
          await b.sees(call, /ended/);
        }
        outcomes[action].add([a, call], [b, call]);
      }));
    }
    for (const outcome of Object.values(outcomes)) {
      await outcome.judge();
    }
  },

  async 'the same name at once on two workers: one has it'(c) {
    const first = await racer(c, 'first');
    for (let i = 0; i < RUNS / 2; i++) {
      const name = `twin ${i}`;
      const twins = [await c.open(Racer, { on: first.worker }),
                     await c.open(Racer, { off: first.worker })];
      together(...twins.map((twin) => () => twin.send({ type: 'hello', name })));
      const ends = await Promise.all(twins.map(async (twin) => {
        const message = await twin.poll();
        return message ? message.type : twin.end.code;
      }));
      assert.deepEqual(ends.map(String).sort(), ['4409', 'welcome']);
      await Promise.all(twins.map((twin) => twin.close()));
    }
  },

  async 'the owner of a name comes while the guest on it answers'(c) {
    const carol = await racer(c, 'carol');
    const outcomes = new Outcomes('evict/accept', {
      evicted: /^calling,ended (gone|hangup|unreachable)$/,
      answered: /^calling,accepted,ended (gone|hangup)$/,
      'rang on at the owner': /^calling,rang on$/,
    });
    for (let i = 0; i < RUNS / 4; i++) {
      const guest = await racer(c, 'bob', { off: carol.worker });
      const owner = await c.open(Racer, { path: MEMBERS, auth: 'bob:b',
                                          on: carol.worker });
      const call = await rung(carol, guest);
      together(send(guest, 'accept', call),
               () => owner.send({ type: 'hello', watch: 'none' }));
      await guest.ends(4410);
      // it ends, or the owner rings as a device that joins
      await either(carol.sees(call, /ended/), owner.sees(call, /ring/));
      if (!/ended/.test(carol.saw(call))) {
        carol.send({ type: 'hangup', call });
        await owner.sees(call, /ended cancelled/);
        carol.log.get(call).push('rang on');
      }
      outcomes.add([carol, call]);
      await owner.close();
    }
    await outcomes.judge();
  },
});
