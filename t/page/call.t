#!/usr/bin/env node
'use strict';
/* What a call does when things come in an order that browsers seldom give. */

const assert = require('assert');
const { load, startClock, settle, FakeConnection, FakeSignal } =
  require('../lib/page');
const { test } = require('../lib/tap');

const clock = startClock();
const offer = (user) => ({ description: { type: 'offer',
                                          sdp: `a=ice-ufrag:${user}` } });
const answer = { description: { type: 'answer', sdp: 'a=ice-ufrag:x' } };

/* A call of ours that bob has answered; ends: why it ended. */
async function answered({ signal = new FakeSignal(), options } = {}) {
  const { Call } = await load('call.js');
  const call = new Call(signal, 'bob', options);
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
