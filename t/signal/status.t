#!/usr/bin/env node
'use strict';
/*
 * The status text, as Prometheus reads it (text format 0.0.4).
 */

const assert = require('assert');
const { scenarios } = require('../lib/scenarios');
const { Native } = require('../lib/client');
const { answered, ended } = require('../lib/call');
const { until } = require('../lib/server');
const { get } = require('../lib/web');

/* {sample: value} and {metric: type} of the text; throws where it is no text
 * of the format. */
function parse(text) {
  const samples = {};
  const types = {};
  assert(text.endsWith('\n'));
  for (const line of text.trimEnd().split('\n')) {
    let match = /^# HELP ([a-zA-Z_:][\w:]*) .+$/.exec(line);
    if (match) {
      continue;
    }
    match = /^# TYPE ([a-zA-Z_:][\w:]*) (counter|gauge|histogram)$/.exec(line);
    if (match) {
      assert(!(match[1] in types), `two types: ${line}`);
      types[match[1]] = match[2];
      continue;
    }
    match = new RegExp('^(([a-zA-Z_:][\\w:]*)'
      + '(?:\\{[a-zA-Z_]\\w*="(?:[^"\\\\]|\\\\.)*"'
      + '(?:,[a-zA-Z_]\\w*="(?:[^"\\\\]|\\\\.)*")*\\})?)'
      + ' (\\d+(?:\\.\\d+)?)$').exec(line);
    assert(match, `no sample: ${line}`);
    const [, sample, name, value] = match;
    assert(name in types, `no type before ${line}`);
    assert(!(sample in samples), `twice: ${line}`);
    samples[sample] = Number(value);
    if (types[name] === 'counter') {
      assert(name.endsWith('_total'), `a counter's name: ${name}`);
    }
  }
  return { samples, types };
}

async function read(c) {
  const { status, headers, body } = await get(c.web, '/webrtc/status');
  assert.equal(status, 200);
  assert.match(headers['content-type'], /^text\/plain; version=0\.0\.4/);
  return { ...parse(body), worker: Number(headers['x-worker']) };
}

const typeOf = (types, sample) => types[sample.replace(/\{.*/, '')];

/* Samples of this type that grew by exactly n. */
const grown = (before, after, type, n) => Object.keys(after.samples).filter(
  (sample) => typeOf(after.types, sample) === type
    && after.samples[sample] - (before.samples[sample] || 0) === n);

/* By how much these grew. */
const gains = (before, after) => ['peers', 'resumes_total',
  'resumes_lost_total', 'goodbyes_total'].map((name) =>
  after.samples[`webrtc_signal_${name}`]
    - before.samples[`webrtc_signal_${name}`]);

scenarios({ settings: { rate: '0' } }, {
  async 'it is what Prometheus reads, and not empty'(c) {
    const { samples, types } = await read(c);
    assert(Object.keys(samples).length >= 5, JSON.stringify(samples));
    assert(Object.values(types).includes('gauge'));
    assert(Object.values(types).includes('counter'));
    for (const name of Object.keys(types)) {
      assert.match(name, /^webrtc_signal_[a-z0-9_]+$/);
    }
  },

  async 'peers are counted, over all workers'(c) {
    const first = await c.native('first');
    const before = await read(c);
    for (let i = 0; i < 7; i++) {
      await c.native(`user ${i}`);
    }
    const after = await read(c);
    assert(grown(before, after, 'gauge', 7).length > 0, 'a gauge of peers');
    await Promise.all(c.clients.filter((client) => client !== first)
      .map((client) => client.close()));
    const last = await read(c);
    const [peers] = grown(before, after, 'gauge', 7);
    assert.equal(last.samples[peers], before.samples[peers], peers);
  },

  async 'each worker tells the same'(c) {
    await c.native('alice');
    const seen = new Map();
    for (let i = 0; i < 20 && seen.size < 2; i++) {
      const texts = await Promise.all(Array.from({ length: 6 }, () => read(c)));
      texts.forEach(({ worker, samples }) => seen.set(worker, samples));
    }
    assert.equal(seen.size, 2);
    const [one, two] = [...seen.values()];
    assert.deepEqual(Object.keys(one), Object.keys(two));
  },

  async 'calls and texts move the counters, and none goes back'(c) {
    const before = await read(c);
    const alice = await c.native('alice');
    const bob = await c.native('bob', { off: alice.worker });
    const call = await answered(alice, bob);
    const during = await read(c);
    assert(grown(before, during, 'gauge', 1).length > 0, 'a gauge of calls');
    for (let i = 0; i < 100; i++) {
      alice.send({ type: 'signal', call, data: i });
      await bob.next('signal');
    }
    bob.send({ type: 'hangup', call });
    await ended(alice, call, 'hangup');
    const wrong = await c.open(Native);
    wrong.send('no JSON');
    await wrong.ends(4400);
    const after = await read(c);
    const moved = Object.keys(after.samples).filter((sample) =>
      typeOf(after.types, sample) === 'counter'
      && after.samples[sample] > (before.samples[sample] || 0));
    assert(moved.length >= 3, `moved: ${moved}`);
    assert(moved.some((sample) =>
      after.samples[sample] - (before.samples[sample] || 0) >= 100),
           'a counter of texts');
    for (const [sample, value] of Object.entries(before.samples)) {
      if (typeOf(before.types, sample) === 'counter') {
        assert(after.samples[sample] >= value, sample);
      }
    }
  },

  async 'who comes back is counted, and whether texts were lost'(c) {
    const alice = await c.native('alice');
    const first = await read(c);
    await alice.cut();
    const away = await read(c);
    assert.deepEqual(gains(first, away), [0, 0, 0, 0], 'away');
    const again = await c.again(alice);
    assert.equal(again.welcome.resumed, true);
    const back = await read(c);
    assert.deepEqual(gains(first, back), [0, 1, 0, 0], 'back');
    const wrong = await c.again(again, {}, { got: 7 }); // more than were sent
    assert.equal(wrong.welcome.lost, true);
    assert.deepEqual(gains(first, await read(c)), [0, 2, 1, 0], 'lost');
    const stranger = await c.native('bob', {}, { resume: 'unknown' });
    assert.equal(stranger.welcome.resumed, false);
    assert.deepEqual(gains(first, await read(c)), [1, 2, 1, 0], 'a newcomer');
  },

  async 'it is read only, and not stored'(c) {
    assert.equal((await get(c.web, '/webrtc/status',
                            { method: 'POST' })).status, 405);
    assert.equal((await get(c.web, '/webrtc/status',
                            { method: 'HEAD' })).status, 200);
    await c.native('somebody');
    const { body } = await get(c.web, '/webrtc/status');
    assert(!body.includes('somebody'), 'no names');
  },
});

scenarios({ schemes: ['ws'], fresh: true }, {
  async 'goodbyes are counted, of workers that have gone too'(c) {
    const alice = await c.native('alice');
    const bob = await c.native('bob', { off: alice.worker });
    const before = await read(c);
    await c.server.reload();
    await Promise.all([alice.goodbye(), bob.goodbye()]);
    const [alice2, bob2] = [await c.again(alice), await c.again(bob)];
    assert(alice2.welcome.resumed && bob2.welcome.resumed);
    await until(() => c.server.workers('old').length === 0, 10000,
                'the end of the old workers');
    assert.deepEqual(gains(before, await read(c)), [0, 2, 0, 2]);
  },
});
