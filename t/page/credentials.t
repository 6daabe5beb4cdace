#!/usr/bin/env node
'use strict';
/*
 * ICE servers are fetched anew before two thirds of their life, as long as a
 * call has a connection, and never in a storm.
 */

const assert = require('assert');
const { load, startClock, settle, FakeConnection, FakeServer } =
  require('../lib/page');
const { test } = require('../lib/tap');

const clock = startClock();
const ice = (ttl, n) => ({ ttl, iceServers: [{
  urls: 'turn:a.test', username: `${n}:a`, credential: 'c' }] });

/* A signal whose server answers at once, and when it was asked. */
async function connect(ttl) {
  const { Signal } = await load('signal.js');
  const server = new FakeServer({ keeps: false });
  const asked = [];
  server.more.ice = ice(ttl, 0);
  server.answer = ({ type, ref }) => {
    if (type === 'ice') {
      asked.push(clock.now());
      server.send({ type, ref, ...ice(ttl, asked.length) });
    }
  };
  const signal = new Signal({ name: 'alice', url: 'https://a.test/signal' });
  signal.open();
  await settle();
  return { signal, server, asked, start: clock.now() };
}

async function begin(signal) {
  const { FreshServers } = await load('fresh-servers.js');
  const pc = new FakeConnection({ iceServers: await signal.iceServers() });
  return { pc, servers: new FreshServers(signal, pc,
                                         { iceTransportPolicy: 'relay' }) };
}

for (const ttl of [1, 3, 3600, 604800]) {
  test(`each before two thirds of its life: ${ttl} s`, async () => {
    const { signal, asked, start } = await connect(ttl);
    await clock.pass(ttl * 100);
    const { pc, servers } = await begin(signal);
    await clock.pass(ttl * 4000);
    assert(asked.length >= 6 && asked.length <= 8, `${asked.length} times`);
    let from = start;
    for (const at of asked) {
      assert(at - from <= ttl * 1000 * 2 / 3, `after ${at - from} ms`);
      from = at;
    }
    assert.equal(pc.configuration.iceServers[0].username, `${asked.length}:a`);
    assert.equal(pc.configuration.iceTransportPolicy, 'relay');
    servers.stop();
    const count = asked.length;
    await clock.pass(ttl * 4000);
    assert.equal(asked.length, count);
  });
}

test('no storm where they last for no time, or for ever', async () => {
  for (const ttl of [0, 1e9]) {
    const { signal, asked } = await connect(ttl);
    const { servers } = await begin(signal);
    await clock.pass(60000);
    assert(asked.length <= 13, `${ttl}: ${asked.length} times in a minute`);
    servers.stop();
  }
});

test('while the line is down it waits, and asks once it is there', async () => {
  const { signal, server, asked } = await connect(3600);
  const { servers } = await begin(signal);
  server.up = false;
  await server.cut();
  await clock.pass(3600 * 1000);
  assert.equal(asked.length, 0);
  server.up = true;
  server.more.ice = ice(0, 0);
  await clock.pass(30000);
  assert(signal.connected);
  assert(asked.length >= 1);
  servers.stop();
});
