#!/usr/bin/env node
'use strict';
/* What a call does when things come in an order that browsers seldom give. */

const assert = require('assert');
const { load, startClock, settle, FakeConnection, FakeSignal } =
  require('../lib/page');
const { test } = require('../lib/tap');

const clock = startClock();
let last; // the call of before: it leaves no timers
const offer = (user) => ({ description: { type: 'offer',
                                          sdp: `a=ice-ufrag:${user}` } });
const answer = { description: { type: 'answer', sdp: 'a=ice-ufrag:x' } };

/* A call of ours that bob has answered; ends: why it ended. */
async function answered({ signal = new FakeSignal(), options } = {}) {
  const { Call } = await load('call.js');
  last?.hangUp();
  const call = new Call(signal, 'bob', options);
  last = call;
  const ends = [];
  call.addEventListener('ended', ({ detail }) => ends.push(detail.reason));
  FakeConnection.made = [];
  await call.dial(new MediaStream());
  await signal.hear('accepted');
  await clock.pass(0);
  return { signal, call, ends, pc: FakeConnection.made[0] };
}

async function offering(options) {
  const all = await answered({ options });
  all.pc.onnegotiationneeded();
  await settle();
  return all;
}

async function connected() {
  const all = await offering();
  await all.signal.hear('signal', { data: answer });
  await all.pc.become('connected');
  return all;
}

const hangups = (signal) =>
  signal.types().filter((type) => type === 'hangup').length;

test('hung up while the servers are asked for: no connection', async () => {
  const signal = new FakeSignal();
  let go;
  signal.waiting = new Promise((resolve) => { go = resolve; });
  const { call } = await answered({ signal });
  call.hangUp();
  go();
  await settle();
  await clock.pass(60000);
  assert.equal(FakeConnection.made.length, 0);
  assert.equal(clock.timers(), 0);
});

test('nothing is left of a call that is over', async () => {
  const { call, pc } = await connected();
  await pc.become('disconnected');
  call.hangUp();
  await pc.gather('complete');
  await clock.pass(60000);
  assert(pc.closed);
  assert.equal(pc.restarts, 0);
  assert.equal(clock.timers(), 0);

  const { call: early, pc: lone, signal } =
    await offering({ iceTransportPolicy: 'relay' });
  early.hangUp();
  const { length } = signal.sent;
  await lone.gather('complete');
  assert.equal(signal.sent.length, length);
});

test('who is told that it is over tells the server', async () => {
  const heard = [
    ['gave up', ({ signal }) => signal.hear('signal',
                                            { data: { gaveUp: 'lost' } })],
    ['hung up', ({ pc }) => pc.channel.onmessage({ data: '{"hangup":true}' })],
    ['went', ({ pc }) => pc.channel.onclose()],
  ];
  for (const [what, hear] of heard) {
    const all = await connected();
    await hear(all);
    await clock.pass(1000);
    assert.equal(all.ends.length, 1, what);
    assert.equal(hangups(all.signal), 1, what);
  }
});

test('the other side\'s word for why counts before the first connection',
     async () => {
  let all = await offering();
  await all.pc.gather('complete', ['host', 'relay']);
  await all.signal.hear('signal', { data: { gaveUp: 'relay-refused' } });
  assert.deepEqual(all.ends, ['relay-refused']);

  all = await connected();
  await all.signal.hear('signal', { data: { gaveUp: 'relay-refused' } });
  assert.deepEqual(all.ends, ['lost']);

  all = await connected();
  await all.signal.hear('signal', { data: { gaveUp: 'something else' } });
  assert.deepEqual(all.ends, []);
});

test('an offer that collides leaves ours as it is', async () => {
  const { signal, pc, ends } =
    await offering({ iceTransportPolicy: 'relay' });
  await pc.gather('gathering', ['relay']);
  await signal.hear('signal', { data: offer('theirs') });
  await pc.gather('complete');
  assert.deepEqual(ends, []);
  assert.equal(pc.signalingState, 'have-local-offer');
});

test('an answer to nothing is no end', async () => {
  const { signal, ends } = await connected();
  await signal.hear('signal', { data: answer });
  assert.deepEqual(ends, []);
});

test('interrupted: restarts until it is back, or too late', async () => {
  let { pc, ends } = await connected();
  await pc.become('disconnected');
  await clock.pass(2000);
  assert.equal(pc.restarts, 0, 'a hiccup');
  await clock.pass(10000);
  assert(pc.restarts >= 2 && pc.restarts <= 4, `${pc.restarts} restarts`);
  await pc.become('connected');
  const { restarts } = pc;
  await clock.pass(60000);
  assert.equal(pc.restarts, restarts);
  assert.deepEqual(ends, []);

  ({ pc, ends } = await connected());
  await pc.become('disconnected');
  await clock.pass(60000);
  assert.deepEqual(ends, ['lost']);
});

/* The line to the server. */

/* A call of bob's that rings here. */
async function ringing() {
  const { Call } = await load('call.js');
  const signal = new FakeSignal();
  last?.hangUp();
  const call = Call.incoming(signal, { call: 'c1', from: 'bob' });
  last = call;
  const ends = [];
  call.addEventListener('ended', ({ detail }) => ends.push(detail.reason));
  FakeConnection.made = [];
  return { signal, call, ends };
}

const lost = (state) => ({ resumed: true, lost: true,
                           calls: state ? [{ call: 'c1', state }] : [] });
const sent = (signal, type) => signal.types().filter((t) => t === type).length;

test('the line is lost and comes back: the call notices nothing', async () => {
  const { signal, call, pc, ends } = await connected();
  await signal.hear('down');
  assert(call.waiting && call.signalled);
  assert.equal(call.state, 'connected');
  await clock.pass(60000);
  await signal.hear('welcome', { resumed: true, calls: [] });
  assert(!call.waiting && call.signalled);
  await clock.pass(60000);
  assert.deepEqual(ends, []);
  assert.equal(pc.restarts, 0);
  call.hangUp();
  assert.equal(hangups(signal), 1);
});

test('hung up while the line is down: the server is told', async () => {
  const { signal, call } = await connected();
  await signal.hear('down');
  call.hangUp();
  assert.equal(hangups(signal), 1); // kept by the signal
});

test('the place is gone: what stands goes on, what does not ends', async () => {
  const all = await connected();
  await all.signal.hear('down');
  await all.signal.hear('gone');
  await clock.pass(60000);
  assert.deepEqual(all.ends, []);
  assert(!all.call.signalled && !all.call.waiting);
  await all.pc.become('disconnected');
  await clock.pass(60000);
  assert.deepEqual(all.ends, ['lost']);
  assert.equal(all.pc.restarts, 0);

  for (const make of [ringing, offering]) {
    const { signal, ends } = await make();
    await signal.hear('gone');
    assert.deepEqual(ends, ['lost']);
    await clock.pass(1000);
    assert.equal(clock.timers(), 0);
  }
});

test('no way, and no line: looks for one once the line is there', async () => {
  const { signal, pc, ends } = await connected();
  await signal.hear('down');
  await pc.become('disconnected');
  await clock.pass(19000);
  assert.equal(pc.restarts, 0);
  await signal.hear('welcome', { resumed: true, calls: [] });
  await clock.pass(0);
  assert.equal(pc.restarts, 1);
  await clock.pass(15000);
  assert.deepEqual(ends, [], 'its time begins when it can be found');
  await pc.become('connected');
  await clock.pass(60000);
  assert.deepEqual(ends, []);
});

test('... at once, be it the first way or one just lost', async () => {
  let { signal, pc } = await offering();
  await signal.hear('down');
  await pc.become('failed');
  await clock.pass(1000);
  assert.equal(pc.restarts, 0);
  await signal.hear('welcome', { resumed: true, calls: [] });
  await clock.pass(0);
  assert.equal(pc.restarts, 1);

  ({ signal, pc } = await connected());
  await signal.hear('down');
  await pc.become('disconnected');
  await signal.hear('welcome', { resumed: true, calls: [] });
  await clock.pass(0);
  assert.equal(pc.restarts, 1);
});

test('no way, and the line stays away: given up in the end', async () => {
  for (const make of [connected, offering]) {
    const { signal, pc, ends } = await make();
    await signal.hear('down');
    await pc.become('failed');
    await clock.pass(25000);
    assert.deepEqual(ends, []);
    await clock.pass(15000);
    assert.equal(ends.length, 1);
    assert.equal(hangups(signal), 1);
    await clock.pass(1000);
    assert.equal(clock.timers(), 0);
  }
});

test('rings on while the line is away, but not for ever', async () => {
  let { signal, call, ends } = await ringing();
  await signal.hear('down');
  await signal.hear('down'); // tried in vain
  await clock.pass(19000);
  assert.equal(call.state, 'ringing');
  await signal.hear('welcome', { resumed: true, calls: [] });
  await clock.pass(60000);
  assert.equal(call.state, 'ringing', 'the server says when it ends');
  call.accept(new MediaStream());
  assert.deepEqual(signal.types(), ['accept']);
  await signal.hear('down');
  await clock.pass(20000);
  assert.deepEqual(ends, ['lost']);

  ({ signal, call, ends } = await ringing());
  await signal.hear('down');
  await clock.pass(20000);
  assert.deepEqual(ends, ['missed']);
});

test('dialled, and the line is away for too long: hung up later', async () => {
  const { Call } = await load('call.js');
  const signal = new FakeSignal();
  let answer;
  signal.request = () => new Promise((resolve) => { answer = resolve; });
  const call = new Call(signal, 'bob');
  const ends = [];
  call.addEventListener('ended', ({ detail }) => ends.push(detail.reason));
  call.dial(new MediaStream());
  await signal.hear('down');
  await clock.pass(20000);
  assert.deepEqual(ends, ['lost']);
  answer({ type: 'calling', call: 'c1' });
  await settle();
  assert.equal(hangups(signal), 1);
});

test('signals are lost: the impolite side offers again', async () => {
  const { signal, pc, ends } = await connected();
  assert.equal(sent(signal, 'offer'), 1);
  await signal.hear('welcome', lost('answered'));
  assert.equal(pc.restarts, 1);
  assert.equal(sent(signal, 'offer'), 2);
  await signal.hear('signal', { data: answer });
  assert.equal(pc.signalingState, 'stable');
  assert.deepEqual(ends, []);
});

test('... also in the middle of an offer; its old answer is none', async () => {
  const { signal, pc, ends } = await offering();
  await signal.hear('welcome', lost('answered'));
  const numbers = signal.sent.filter(({ data }) => data?.offer)
    .map(({ data }) => data.offer);
  assert.deepEqual(numbers, [1, 2]);
  await signal.hear('signal', { data: { ...answer, offer: 1 } });
  assert.equal(pc.signalingState, 'have-local-offer');
  await signal.hear('signal', { data: { ...answer, offer: 2 } });
  assert.equal(pc.signalingState, 'stable');
  assert.deepEqual(ends, []);
});

test('... the polite one asks for that, and is heard', async () => {
  const { signal, call } = await ringing();
  call.accept(new MediaStream());
  await signal.hear('accepted');
  await clock.pass(0);
  await signal.hear('signal', { data: { ...offer('theirs'), offer: 7 } });
  const answered = signal.sent.find(({ data }) =>
    data?.description?.type === 'answer');
  assert.equal(answered.data.offer, 7);
  await signal.hear('welcome', lost('answered'));
  assert.equal(sent(signal, 'offer'), 0);
  assert.deepEqual(signal.sent.at(-1).data, { again: true });

  const other = await offering();
  await other.signal.hear('signal', { data: { again: true } });
  assert.equal(sent(other.signal, 'offer'), 2);
  assert.equal(other.pc.restarts, 1);
});

test('what is lost was the answer, or that it came', async () => {
  const { Call } = await load('call.js');
  const signal = new FakeSignal();
  const ours = new Call(signal, 'bob');
  FakeConnection.made = [];
  await ours.dial(new MediaStream());
  await signal.hear('welcome', lost('calling'));
  assert.equal(ours.state, 'calling');
  await signal.hear('welcome', lost('answered'));
  await clock.pass(0);
  assert.equal(ours.state, 'connecting');
  assert.equal(FakeConnection.made.length, 1);
  assert.equal(sent(signal, 'offer'), 0, 'what it has to offer is new');

  const theirs = await ringing();
  await theirs.signal.hear('welcome', lost('ringing'));
  assert.deepEqual(theirs.signal.types(), []);
  theirs.call.accept(new MediaStream());
  await theirs.signal.hear('welcome', lost('ringing'));
  assert.deepEqual(theirs.signal.types(), ['accept', 'accept']);
  await theirs.signal.hear('welcome', lost('answered'));
  await clock.pass(0);
  assert.equal(theirs.call.state, 'connecting');
  assert.deepEqual(theirs.signal.sent.at(-1).data, { again: true });
});

test('the server has lost the call itself', async () => {
  let all = await connected();
  await all.signal.hear('welcome', lost(null));
  assert.deepEqual(all.ends, []);
  assert(!all.call.signalled);
  all.call.hangUp();
  assert.deepEqual(all.ends, ['']);
  assert.equal(hangups(all.signal), 0);

  all = await ringing();
  await all.signal.hear('welcome', lost(null));
  assert.deepEqual(all.ends, ['gone']);
});

test('relayed or not, as Chromium and Firefox tell', async () => {
  const { isRelayed } = await load('relay.js');
  const pc = new FakeConnection();
  const stats = (types, more) => new Map([
    { id: 'l', type: 'local-candidate', candidateType: types[0] },
    { id: 'r', type: 'remote-candidate', candidateType: types[1] },
    { id: 'o', type: 'candidate-pair', localCandidateId: 'o',
      remoteCandidateId: 'o' },
    { id: 'p', type: 'candidate-pair', localCandidateId: 'l',
      remoteCandidateId: 'r', ...more },
    ...more ? [] : [{ id: 't', type: 'transport',
                      selectedCandidatePairId: 'p' }],
  ].map((report) => [report.id, report]));
  for (const more of [undefined, { selected: true }]) {
    for (const [types, relayed] of [[['host', 'prflx'], false],
                                    [['relay', 'host'], true],
                                    [['srflx', 'relay'], true]]) {
      pc.stats = stats(types, more);
      assert.equal(await isRelayed(pc), relayed);
    }
  }
  pc.stats = stats(['host', 'host'], { selected: false });
  assert.equal(await isRelayed(pc), undefined);
});
