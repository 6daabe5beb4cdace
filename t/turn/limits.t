#!/usr/bin/env node
'use strict';
/* What coturn, as it is configured for production, gives at most, and what it
 * does not do at all. */

const { inOwnNetwork } = require('../lib/browser');
inOwnNetwork();

const assert = require('assert');
const dgram = require('dgram');
const fs = require('fs');
const path = require('path');
const tls = require('tls');
const { execFileSync, spawnSync } = require('child_process');
const { sleep, until } = require('../lib/server');
const { test } = require('../lib/tap');
const { startTurn } = require('../lib/turn');
const { connect } = require('../lib/turn-client');

const SECRET = 'for one test only';
const TEMPLATE = path.join(__dirname, '../../config/turnserver.conf');

/* The opposite of what the template says, to see that the tests can tell. */
const LAX = ['no-dtls=0', 'no-cli=0', 'cli-password=none', 'no-tcp-relay=0',
             'cipher-list=ALL:@SECLEVEL=0', 'no-software-attribute=0',
             'no-stun-backward-compatibility=0', 'max-allocate-lifetime=3600'];

/* Binding requests: one of RFC 3489, without the magic cookie, and today's. */
const CLASSIC = Buffer.from('00010000' + 'c1'.repeat(16), 'hex');
const BINDING = Buffer.from('000100002112a442' + 'b1'.repeat(12), 'hex');

let turn;
let lax;

/* The number that the template gives a word. */
function limit(word) {
  const text = fs.readFileSync(TEMPLATE, 'utf8');
  return Number(new RegExp(`^${word}=(\\d+)$`, 'm').exec(text)[1]);
}

async function user(name, { lifetime = 60, server = turn } = {}) {
  const client = await connect(server.urls.udp);
  const expiry = Math.floor(Date.now() / 1000) + lifetime;
  return client.sign(SECRET, `${expiry}:${name}`);
}

/* The protocol that is agreed on if the client offers only this; or null. */
function handshake(port, version) {
  return new Promise((resolve) => {
    const socket = tls.connect({ port, host: '127.0.0.1', minVersion: version,
      maxVersion: version, rejectUnauthorized: false,
      ciphers: 'ALL:@SECLEVEL=0' });
    const end = (result) => {
      socket.destroy();
      resolve(result);
    };
    socket.on('secureConnect', () => end(socket.getProtocol()));
    socket.on('error', () => end(null));
  });
}

/* Does it answer at all? */
function speaksDtls(port) {
  const { stdout } = spawnSync('openssl', ['s_client', '-dtls1_2', '-connect',
    `127.0.0.1:${port}`], { encoding: 'utf8', timeout: 1500, input: '' });
  return /BEGIN CERTIFICATE/.test(stdout);
}

/* ['udp 127.0.0.1:3478', ...]: all that is open here is coturn's. */
function openPorts() {
  const lines = execFileSync('ss', ['-Hlntu'], { encoding: 'utf8' });
  return [...new Set(lines.trim().split('\n').map((line) => {
    const [kind, , , , where] = line.split(/\s+/);
    return `${kind} ${where}`;
  }))].sort();
}

test('coturn starts', async () => {
  turn = await startTurn({ secrets: [SECRET] });
});

test('only STUN and TURN ports are open, and no CLI', async () => {
  const { plain, tls: secure } = turn.ports;
  assert.deepEqual(openPorts(), [
    `tcp 127.0.0.1:${plain}`, `tcp 127.0.0.1:${secure}`,
    `udp 127.0.0.1:${plain}`].sort());
});

test('a laxer coturn starts', async () => {
  lax = await startTurn({ secrets: [SECRET], lines: LAX });
  assert(openPorts().includes('tcp 127.0.0.1:5766'), 'its CLI');
});

test('no DTLS', () => {
  assert(speaksDtls(lax.ports.plain));
  assert(!speaksDtls(turn.ports.plain));
});

test('no STUN of RFC 3489', async () => {
  const answered = async (server) => {
    const socket = dgram.createSocket('udp4');
    const requests = [];
    socket.on('message', (message) =>
      requests.push(message.subarray(8, 20).toString('hex')));
    socket.send(CLASSIC, server.ports.plain, '127.0.0.1');
    await sleep(300);
    socket.send(BINDING, server.ports.plain, '127.0.0.1');
    await until(() => requests.includes('b1'.repeat(12)));
    socket.close();
    return requests;
  };
  assert.deepEqual(await answered(lax), ['c1'.repeat(12), 'b1'.repeat(12)]);
  assert.deepEqual(await answered(turn), ['b1'.repeat(12)]);
});

test('TLS 1.2 or later', async () => {
  for (const version of ['TLSv1', 'TLSv1.1', 'TLSv1.2']) {
    assert.equal(await handshake(lax.ports.tls, version), version);
  }
  assert.equal(await handshake(turn.ports.tls, 'TLSv1'), null);
  assert.equal(await handshake(turn.ports.tls, 'TLSv1.1'), null);
  assert.equal(await handshake(turn.ports.tls, 'TLSv1.2'), 'TLSv1.2');
});

test('no TCP to peers', async () => {
  const tcp = async (server) => {
    const client = await connect(server.urls.tcp);
    return (await client.sign(SECRET, (await user('tcp')).username)
      .allocate({ transport: 6 })).error;
  };
  assert.equal(await tcp(lax), 0);
  assert.equal(await tcp(turn), 442);
});

test('it does not say which version it is', async () => {
  assert.match(String((await (await user('a', { server: lax })).binding())
    .software), /Coturn/);
  const answer = await (await user('a')).binding();
  assert.equal(answer.mapped.address, '127.0.0.1');
  assert.equal(answer.software, undefined);
});

test('an allocation lasts as long as the template says', async () => {
  const ask = async (server) =>
    (await (await user('long', { server })).allocate({ lifetime: 9999 }))
      .lifetime;
  assert.equal(await ask(lax), 3600);
  assert.equal(await ask(turn), limit('max-allocate-lifetime'));
});

test('one user, whatever the credential, has a quota', async () => {
  const clients = [];
  for (let i = 0; i < limit('user-quota'); i++) {
    const client = await user('greedy', { lifetime: 60 + i });
    assert.equal((await client.allocate()).error, 0, `number ${i + 1}`);
    clients.push(client);
  }
  const another = await user('greedy', { lifetime: 90 });
  assert.equal((await another.allocate()).error, 486);
  const modest = await user('modest');
  assert.equal((await modest.allocate()).error, 0);

  await clients[0].refresh(0);
  await until(async () =>
    (await (await user('greedy')).allocate()).error === 0, 4000);
});

test('all together have a quota, and ports enough for it', async () => {
  const all = [];
  let answer;
  do {
    const client = await user(`user${all.length}`);
    answer = await client.allocate();
    all.push(answer);
  } while (!answer.error && all.length < 9999);
  assert.equal(answer.error, 486);
  const before = 1 + limit('user-quota') + 1; // in the tests above
  assert.equal(all.length - 1 + before, limit('total-quota'));
  for (const { relayed } of all.slice(0, -1)) {
    assert(relayed.port >= limit('min-port')
           && relayed.port <= limit('max-port'), `port ${relayed.port}`);
  }
  assert(2 * limit('total-quota')
         <= limit('max-port') - limit('min-port') + 1);
});

test('they end', () => Promise.all([turn.stop(), lax.stop()]));
