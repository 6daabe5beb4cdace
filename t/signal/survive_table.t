#!/usr/bin/env node
'use strict';
/*
 * Each row of the arbitration table, with three devices on the callee's side,
 * and each step of it with one of those concerned lost meanwhile: the caller,
 * a device that only rings, the one that acts.  Everybody is told what he is
 * told when nobody is lost, once and in this order.
 */

const assert = require('assert');
const { scenarios } = require('../lib/scenarios');
const { Durable } = require('../lib/durable');
const { diag } = require('../lib/tap');
const { sleep } = require('../lib/server');

const MEMBERS = '/members/signal';
const QUICK = '/quick/signal'; // rings for one second
const BRIEF = '/brief/signal'; // a window of one second

const options = {
  settings: { rate: '0' },
  users: { alice: 'a', bob: 'b', carol: 'c' },
  locations: {
    [MEMBERS]: { kind: 'signal', auth: true,
                 settings: { identity: 'remote_user' } },
    [QUICK]: { kind: 'signal', auth: true,
               settings: { identity: 'remote_user', ring_timeout: '1s' } },
    [BRIEF]: { kind: 'signal', auth: true,
               settings: { identity: 'remote_user', resume: '1s' } },
  },
  schemes: ['ws'],
  ms: 60000,
};

/* One who writes down what he is told of calls: [call, words]. */
class Witness extends Durable {
  arrived(text) {
    super.arrived(text);
    this.log = this.log || [];
    this.answers = this.answers || new Set();
    for (const message of this.inbox.splice(0)) {
      this.note(message);
    }
    this.wake();
  }

  note({ type, call, reason, code, ref, data }) {
    const words = [type, reason, code, data].filter((word) =>
      word !== undefined).join(' ');
    if (type === 'calling') {
      this.row.labels.set(call, this.user);
    }
    if (ref !== undefined) {
      // a request that is repeated is answered again
      const answer = `${ref}: ${words}`;
      if (this.answers.has(answer)) {
        return;
      }
      this.answers.add(answer);
    }
    if (type !== 'user') {
      this.log.push([call, words]);
    }
  }

  /* What it was told, with the caller's name where that is not alice. */
  told() {
    return (this.log || []).map(([call, words]) => {
      const label = this.row.labels.get(call);
      return words + (label && label !== 'alice' ? ` @${label}` : '');
    });
  }
}

const DEVICES = ['phone', 'desk', 'tablet'];
const all = (words, ...but) => Object.fromEntries(DEVICES
  .filter((name) => !but.includes(name)).map((name) => [name, words]));

/* Each step: who, does what, and what is told of it to whom. */
const dialled = ['alice', 'call bob', { alice: 'calling', ...all('ring') }];
const answered = ['phone', 'accept', {
  alice: 'accepted', phone: 'accepted',
  ...all('ended answered-elsewhere', 'phone') }];

const rows = {
  'a call, and the caller hangs up': { steps: [
    dialled, answered,
    ['alice', 'signal 1', { phone: 'signal 1' }],
    ['phone', 'signal 2', { alice: 'signal 2' }],
    ['alice', 'hangup', { phone: 'ended hangup' }]] },
  'the one who answered hangs up': { steps: [
    dialled, answered,
    ['phone', 'hangup', { alice: 'ended hangup' }]] },
  'the one who answered leaves': { steps: [
    dialled, answered,
    ['phone', 'bye', { alice: 'ended hangup' }]] },
  'the caller leaves an answered call': { steps: [
    dialled, answered,
    ['alice', 'bye', { phone: 'ended hangup' }]] },
  'one device declines': { steps: [
    dialled,
    ['phone', 'decline', { alice: 'ended declined',
                           ...all('ended declined', 'phone') }]] },
  'one device hangs up while it rings': { steps: [
    dialled,
    ['phone', 'hangup', { alice: 'ended declined',
                          ...all('ended declined', 'phone') }]] },
  'the caller cancels': { steps: [
    dialled,
    ['alice', 'hangup', all('ended cancelled')]] },
  'the caller leaves while it rings': { steps: [
    dialled,
    ['alice', 'bye', all('ended cancelled')]] },
  'nobody answers': { paths: { alice: QUICK }, steps: [
    dialled,
    ['nobody', 'wait', { alice: 'ended no-answer', ...all('ended missed') }]] },
  'the devices leave, one after the other': { steps: [
    dialled,
    ['phone', 'bye', {}],
    ['desk', 'bye', {}],
    ['tablet', 'bye', { alice: 'ended unreachable' }]] },
  'a device joins while it rings': { late: ['tablet'], steps: [
    ['alice', 'call bob', { alice: 'calling', ...all('ring', 'tablet') }],
    ['tablet', 'join', { tablet: 'ring' }],
    ['tablet', 'accept', { alice: 'accepted', tablet: 'accepted',
                           ...all('ended answered-elsewhere', 'tablet') }],
    ['tablet', 'signal 1', { alice: 'signal 1' }],
    ['alice', 'hangup', { tablet: 'ended hangup' }]] },
  'both dial each other': { steps: [
    dialled,
    ['phone', 'call alice', { alice: 'accepted',
                              phone: ['ended glare', 'accepted'],
                              ...all('ended answered-elsewhere', 'phone') }],
    ['alice', 'signal 1', { phone: 'signal 1' }],
    ['phone', 'hangup', { alice: 'ended hangup' }]] },
  'nobody of that name': { steps: [
    ['alice', 'call nobody', { alice: 'error unreachable' }],
    ['alice', 'call alice', { alice: 'error unreachable' }]] },
  'one call at a time': { more: ['carol'], steps: [
    dialled,
    ['alice', 'call carol', { alice: 'error busy-self' }],
    ['carol', 'call bob', { carol: 'calling @carol', ...all('ring @carol') }],
    answered,
    ['phone', 'accept carol', { phone: 'error busy-self @carol' }],
    ['phone', 'call carol', { phone: 'error busy-self' }],
    ['alice', 'hangup', { phone: 'ended hangup' }],
    ['phone', 'accept carol', {
      carol: 'accepted @carol', phone: 'accepted @carol',
      ...all('ended answered-elsewhere @carol', 'phone') }],
    ['carol', 'hangup carol', { phone: 'ended hangup @carol' }]] },
  'who is in a call does not ring; all of them: busy': {
    more: ['carol', 'dave', 'eve'], victims: ['alice', 'dave', 'desk'],
    steps: [
      ...['carol', 'dave', 'eve'].flatMap((name, i) => [
        [name, 'call bob', { [name]: `calling @${name}`,
                             ...all(`ring @${name}`, ...DEVICES.slice(0, i)) }],
        [DEVICES[i], `accept ${name}`, {
          [name]: `accepted @${name}`, [DEVICES[i]]: `accepted @${name}`,
          ...all(`ended answered-elsewhere @${name}`,
                 ...DEVICES.slice(0, i + 1)) }]]),
      ['alice', 'call bob', { alice: 'ended busy' }],
      ['dave', 'hangup dave', { desk: 'ended hangup @dave' }],
      ['alice', 'call bob', { alice: 'calling', desk: 'ring' }],
      ['alice', 'hangup', { desk: 'ended cancelled' }]] },
  'signals before and after': { steps: [
    dialled,
    ['alice', 'signal 1', { alice: 'error not-answered' }],
    ['phone', 'signal 2', { phone: 'error not-answered' }],
    answered,
    ['desk', 'signal 3', {}], // his end of it has come
    ['alice', 'hangup', { phone: 'ended hangup' }],
    ['phone', 'signal 4', {}],
    ['alice', 'signal 5', {}]] },
  'accept by the caller, again, and too late': { steps: [
    dialled,
    ['alice', 'accept', { alice: 'error bad-message' }],
    answered,
    ['phone', 'accept', { phone: 'accepted' }],
    ['desk', 'accept', { desk: 'ended answered-elsewhere' }],
    ['tablet', 'decline', { tablet: 'ended answered-elsewhere' }],
    ['alice', 'hangup', { phone: 'ended hangup' }],
    ['phone', 'accept', { phone: 'ended hangup' }],
    ['phone', 'hangup', { phone: 'ended hangup' }],
    ['desk', 'hangup', { desk: 'ended answered-elsewhere' }]] },
  'late answers to an end': { steps: [
    dialled,
    ['phone', 'decline', { alice: 'ended declined',
                           ...all('ended declined', 'phone') }],
    ['alice', 'hangup', { alice: 'ended declined' }],
    ['desk', 'accept', { desk: 'ended declined' }],
    ['tablet', 'decline', { tablet: 'ended declined' }],
    ['desk', 'hangup', { desk: 'ended declined' }]] },
  'somebody else\'s call': { more: ['carol'], steps: [
    dialled,
    ['carol', 'accept alice', { carol: 'error call-unknown' }],
    ['carol', 'hangup alice', { carol: 'error call-unknown' }],
    answered,
    ['carol', 'signal 1 alice', { carol: 'error call-unknown' }],
    ['alice', 'hangup', { phone: 'ended hangup' }]] },
  'who answered is lost for good': { paths: { phone: BRIEF }, steps: [
    dialled, answered,
    ['phone', 'vanish', { alice: 'ended gone' }]] },
  'the caller is lost for good': { paths: { alice: BRIEF }, steps: [
    dialled, answered,
    ['alice', 'vanish', { phone: 'ended gone' }]] },
  'the caller is lost for good while it rings': {
    paths: { alice: BRIEF }, steps: [
      dialled,
      ['alice', 'vanish', all('ended gone')]] },
  'all devices are lost for good': {
    paths: { phone: BRIEF, desk: BRIEF, tablet: BRIEF }, steps: [
      dialled,
      ['phone', 'vanish', {}], ['desk', 'vanish', {}],
      ['tablet', 'vanish', { alice: 'ended unreachable' }]] },
};

/* One run of a row.  victim is lost before step `at`, and comes back after
 * it; if the step is its own, it acts while nobody hears it, or is cut before
 * it hears the answer. */
class Row {
  constructor(c, { steps, paths = {}, late = [], more = [] }) {
    this.c = c;
    this.steps = steps;
    this.paths = paths;
    this.late = late;
    this.names = ['alice', ...DEVICES, ...more];
    this.people = {};
    this.expected = Object.fromEntries(this.names.map((name) => [name, []]));
    this.labels = new Map(); // call -> who dialled
    this.refs = 0;
  }

  async join(name) {
    const user = DEVICES.includes(name) ? 'bob' : name;
    const guest = !(user in options.users);
    const person = await this.c.durable(user, {
      Kind: Witness, backoff: 5,
      ...(!guest && { path: this.paths[name] || MEMBERS,
                      auth: `${user}:${user[0]}` }),
    }, { watch: 'none' });
    person.row = this;
    person.user = user;
    this.people[name] = person;
    person.send({ type: 'lookup', name: 'x', ref: 'met' });
    await person.until(() => person.asked.size === 0, 'an answer');
  }

  async run(victim, at, how) {
    for (const name of this.names.filter((n) => !this.late.includes(n))) {
      await this.join(name);
    }
    for (const [i, [actor, action, told]] of this.steps.entries()) {
      const lost = i === at && this.people[victim];
      const cutAfter = lost && actor === victim && how === 1;
      if (lost && !cutAfter) {
        await lost.lose();
      }
      await this.act(actor, action, i === at && victim);
      if (cutAfter) {
        await lost.lose();
      }
      Object.entries(told).forEach(([name, words]) =>
        this.expected[name].push(...[].concat(words)));
      if (lost && actor === victim) {
        lost.back();
      }
      await this.settled(lost && actor !== victim ? victim : null);
      if (lost && actor !== victim) {
        lost.back();
        await this.settled(null);
      }
    }
    await sleep(20);
    await this.settled(null); // and nothing more
    for (const [name, person] of Object.entries(this.people)) {
      assert.deepEqual(person.faults, [], name);
      assert.equal(person.lost, 0, name);
      assert(person.welcomes.slice(1).every((w) => w.resumed), name);
    }
  }

  /* Who acts finds the call that alice has dialled, or the one named. */
  async act(actor, action) {
    const person = this.people[actor];
    const [verb, ...rest] = action.split(' ');
    if (verb === 'wait') {
      return;
    }
    if (verb === 'join') {
      await this.join(actor);
    } else if (verb === 'bye') {
      person.back(); // it has to be there for that
      await person.close();
    } else if (verb === 'vanish') {
      await person.lose();
      person.fail({ code: 1006, reason: '' });
    } else if (verb === 'call') {
      person.send({ type: 'call', to: rest[0], ref: `${actor}${this.refs++}` });
    } else {
      const data = verb === 'signal' && { data: Number(rest.shift()) };
      const call = this.callOf(rest[0] || 'alice');
      person.send({ type: verb, call, ...data });
    }
  }

  /* The newest that this one has dialled. */
  callOf(label) {
    const found = [...this.labels].filter(([, who]) => who === label).pop();
    assert(found, `no call of ${label}`);
    return found[0];
  }

  async settled(but) {
    for (const [name, person] of Object.entries(this.people)) {
      if (name === but || person.end) {
        continue;
      }
      const end = Date.now() + 6000;
      const wanted = this.expected[name];
      while (person.told().join() !== wanted.join() && Date.now() < end
             && person.told().length <= wanted.length) {
        await person.change(50); // names come from others' texts
      }
      assert.deepEqual(person.told(), wanted,
                       `${name} was told ${person.told().join(', ')}; not ${
                         wanted.join(', ')}`);
      if (!person.gone) {
        await person.until(() => person.joined, `${name} joined`);
      }
    }
  }
}

const SLOW = /^(wait|vanish)/; // all have to wait: one such step is enough

/* How a row is disturbed: not at all, and then each of these at each step. */
function* runs({ steps, late = [], victims }) {
  const last = steps.findLastIndex(([, action]) => SLOW.test(action));
  if (last < 0) {
    yield [null, -1, 0];
  }
  const actors = steps.map(([actor]) => actor)
    .filter((name) => name !== 'nobody');
  victims = new Set(victims || [...actors, 'alice', 'desk']);
  for (const victim of victims) {
    for (const [at, [actor, action]] of steps.entries()) {
      const own = actor === victim;
      const there = !late.includes(victim)
        || steps.slice(0, at).some(([who, what]) =>
          who === victim && what === 'join');
      const left = steps.slice(0, at).some(([who, what]) => who === victim
        && (what === 'bye' || what === 'vanish'));
      if (last >= 0 && at !== last || !there || left
          || own && /^(bye|vanish|join)/.test(action)) {
        continue;
      }
      yield [victim, at, 0];
      if (own) {
        yield [victim, at, 1];
      }
    }
  }
}

const tests = {};
for (const [name, row] of Object.entries(rows)) {
  tests[name] = async (c) => {
    let n = 0;
    for (const [victim, at, how] of runs(row)) {
      try {
        await new Row(c, row).run(victim, at, how);
      } catch (error) {
        error.message = `${victim} lost at step ${at} (${how}): `
                        + error.message;
        error.stack = error.message;
        throw error;
      }
      await c.closeAll();
      n++;
    }
    diag(`${n} times`);
  };
}

scenarios(options, tests);
