#!/usr/bin/env node
'use strict';
/*
 * What a reconnect costs the server: CPU time of all its workers for one, TLS
 * handshake, upgrade, hello, welcome and the end of the old connection
 * included.  The pace of `goodbye` follows from it.
 *
 *   node t/bench/reconnect.js nginx|apache [COUNT]
 *
 * TLS sessions are not resumed: after a reload neither server knows the keys
 * of its old tickets.
 */

const assert = require('assert');
const fs = require('fs');
const { execFileSync } = require('child_process');
const { startServer } = require('../lib/server');
const { Raw, frame } = require('../lib/raw');

const AT_ONCE = 4;
const USERS = 40; // who reconnect, one after the other
const TICKS = 100; // of /proc/PID/stat in a second: USER_HZ

const [kind, count = '2000'] = process.argv.slice(2);

/* A user's connection, welcomed. */
async function open(server, hello) {
  const user = await Raw.connect(server.wss, 'localhost');
  await user.upgrade({
    add: ['Sec-WebSocket-Protocol: webrtc-signal.v1'],
    pipelined: [frame({ payload: JSON.stringify({ type: 'hello', ...hello }) })],
  });
  user.welcome = JSON.parse(await user.text());
  assert.equal(user.welcome.type, 'welcome');
  return user;
}

async function closed(user, code) {
  let opcode, payload;
  do {
    ({ opcode, payload } = await user.frame());
  } while (opcode !== 8);
  assert.equal(payload.readUInt16BE(0), code);
  user.close();
}

function leave(user) {
  user.send(frame({ payload: '{"type":"bye"}' }));
  return closed(user, 1000);
}

/* Seconds that the workers have used. */
function used(server) {
  return server.workers().reduce((sum, pid) => {
    const text = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return sum + (Number(fields[11]) + Number(fields[12])) / TICKS;
  }, 0);
}

/* Milliseconds of CPU for one of n times. */
async function cost(server, n, once) {
  const before = used(server);
  let i = 0;
  const walk = async (lane) => {
    while (i < n) {
      i++;
      await once(lane);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, (_, lane) => walk(lane)));
  return (used(server) - before) * 1000 / n;
}

/* Users of a lane take turns; each comes back while its old connection is
 * still open, as after a goodbye. */
async function reconnects(server, watch, n) {
  const lanes = await Promise.all(Array.from({ length: AT_ONCE }, (_, lane) =>
    Promise.all(Array.from({ length: USERS / AT_ONCE }, (_, i) =>
      open(server, { name: `user ${lane} ${i}`, watch })))));
  const ms = await cost(server, n, async (lane) => {
    const old = lanes[lane].shift();
    const next = await open(server, { name: old.welcome.name, watch, got: 0,
                                   resume: old.welcome.resume });
    assert.equal(next.welcome.resumed, true);
    assert.equal(next.welcome.lost, undefined);
    await closed(old, 4410);
    lanes[lane].push(next);
  });
  await Promise.all(lanes.flat().map(leave));
  return ms;
}

/* New users come, and say that they go. */
function visits(server, watch, n) {
  let i = 0;
  return cost(server, n, async () => leave(
    await open(server, { name: `visitor ${++i}`, watch })));
}

async function main() {
  const server = await startServer({ server: kind, connections: 4096,
                                     settings: { ping: '5m' } });
  const tell = (what, ms) => console.log(`${kind}, ${what}: `
    + `${ms.toFixed(2)} ms of CPU`);
  const measure = async (key) => {
    await visits(server, 'none', 200);
    tell(`${key}, a visit`, await visits(server, 'none', Number(count)));
    tell(`${key}, a reconnect`, await reconnects(server, 'none', Number(count)));
  };

  await measure('ECDSA P-256');
  const others = [];
  while (others.length < 900) {
    others.push(await open(server, { name: `other ${others.length}`,
                                  watch: 'none' }));
  }
  tell('ECDSA P-256, a reconnect that lists 900 users',
       await reconnects(server, 'all', Number(count)));
  await Promise.all(others.map(leave));

  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes',
    '-days', '2', '-subj', '/CN=localhost', '-keyout', server.files.key,
    '-out', server.files.certificate], { stdio: 'ignore' });
  await server.reload();
  await measure('RSA 2048');
  await server.stop();
}

main().then(() => process.exit(0), (error) => {
  console.error(error.stack);
  process.exit(1);
});
