#!/usr/bin/env node
'use strict';
/* Data goes from one relayed side to another, both of one coturn: what a call
 * does when neither browser is reached directly. */

const { inOwnNetwork } = require('../lib/browser');
inOwnNetwork();

const assert = require('assert');
const { execFileSync } = require('child_process');
const { sleep, until } = require('../lib/server');
const { test } = require('../lib/tap');
const { startTurn } = require('../lib/turn');
const { connect } = require('../lib/turn-client');

const SECRET = 'for one test only';
const PUBLIC = '20.30.40.50'; // somebody's
const PUBLIC6 = '2a00:1450::5';
const PRIVATE = '10.20.30.40';
const HOME = '81.2.69.160'; // from where somebody calls

/* Somebody with an allocation. */
async function person(turn, name, way, family, from) {
  const client = await connect(turn.urls[way], { ca: turn.ca, from });
  client.sign(SECRET, `${Math.floor(Date.now() / 1000) + 60}:${name}`);
  const { error, relayed, mapped } = await client.allocate({ family });
  assert.equal(error, 0);
  return Object.assign(client, { relayed, mapped });
}

async function couple(turn, ways, family) {
  return [await person(turn, 'alice', ways[0], family),
          await person(turn, 'bob', ways[1], family)];
}

/* By indications, and by channels. */
async function talk(alice, bob) {
  assert.equal((await alice.permit(bob.relayed.address)).error, 0);
  assert.equal((await bob.permit(alice.relayed.address)).error, 0);
  alice.send(bob.relayed, 'one');
  assert.deepEqual(await bob.received(), { from: alice.relayed, data: 'one' });

  assert.equal((await alice.bind(0x4000, bob.relayed)).error, 0);
  alice.sendOn(0x4000, 'two');
  assert.deepEqual(await bob.received(), { from: alice.relayed, data: 'two' });
  bob.send(alice.relayed, 'three');
  assert.deepEqual(await alice.received(),
                   { channel: 0x4000, from: bob.relayed, data: 'three' });
}

/* Run with a coturn of its own. */
async function having(options, run) {
  const turn = await startTurn({ secrets: [SECRET], ...options });
  try {
    await run(turn);
  } finally {
    await turn.stop();
  }
}

test('the machine has a network', async () => {
  const ip = (...words) => execFileSync('ip', words);
  ip('link', 'add', 'here', 'type', 'veth', 'peer', 'name', 'there');
  ip('link', 'set', 'here', 'up');
  ip('link', 'set', 'there', 'up');
  for (const address of [PUBLIC, PUBLIC6, PRIVATE, HOME]) {
    ip('address', 'add', address, 'dev', 'here',
       ...(address === PUBLIC6 ? ['nodad'] : []));
  }
});

test('on loopback, over UDP, TCP and TLS', () => having({}, async (turn) => {
  for (const ways of [['udp', 'udp'], ['tcp', 'tcp'], ['tls', 'tls'],
                      ['tls', 'udp']]) {
    await talk(...await couple(turn, ways));
  }
}));

test('a public address, of IPv4 and of IPv6', () => having(
  { addresses: [PUBLIC, PUBLIC6] }, async (turn) => {
    for (const family of [4, 6]) {
      const [alice, bob] = await couple(turn, ['udp', 'tcp'], family);
      await talk(alice, bob);
    }
  }));

test('all addresses of the machine, which coturn finds', () => having(
  { addresses: [PUBLIC, PUBLIC6], discovered: true }, async (turn) => {
    const alice = await person(turn, 'alice', 'tcp', 4, HOME);
    const bob = await person(turn, 'bob', 'udp', 4, HOME);
    assert.equal(alice.relayed.address, PUBLIC);
    await talk(alice, bob);
    assert.equal((await alice.permit(PRIVATE)).error, 403);
    assert.equal((await alice.permit('127.0.0.1')).error, 403);
  }));

test('behind NAT: peers have the public address', () => having(
  { addresses: [PRIVATE],
    rendered: ['--external-ip', `${PUBLIC}/${PRIVATE}`] },
  async (turn) => {
    const [alice, bob] = await couple(turn, ['udp', 'tcp']);
    assert.equal(alice.relayed.address, PUBLIC);
    await talk(alice, bob);
    assert.equal((await alice.permit('10.20.30.41')).error, 403);
  }));

test('behind NAT, and coturn is not told of its own address', async () => {
  const own = { addresses: [PRIVATE], rendered: ['--external-ip', PUBLIC] };
  await having(own, async (turn) => {
    const alice = await person(turn, 'alice', 'udp');
    assert.equal(alice.relayed.address, PUBLIC);
    assert.equal((await alice.permit(PUBLIC)).error, 403);
  });
  own.rendered.push('--allow-peer', PRIVATE);
  await having(own, async (turn) => {
    await talk(...await couple(turn, ['udp', 'udp']));
  });
});

test('nothing comes or goes without a permission, or after the end', () =>
  having({}, async (turn) => {
    const [alice, bob] = await couple(turn, ['udp', 'udp']);
    alice.send(bob.relayed, 'without any');
    await alice.permit(bob.relayed.address);
    alice.send(bob.relayed, 'without hers');
    await sleep(200);
    assert.deepEqual(bob.inbox, []);

    await bob.permit(alice.relayed.address);
    alice.send(bob.relayed, 'with both');
    assert.equal((await bob.received()).data, 'with both');

    assert.equal((await bob.refresh(0)).error, 0);
    await until(async () => // coturn takes a second, and then says 400, not 437
      (await bob.permit(alice.relayed.address)).error);
    alice.send(bob.relayed, 'to nobody');
    await sleep(200);
    assert.deepEqual(bob.inbox, []);
  }));

test('the log has no address but of a TCP connection that broke', () => having(
  { addresses: [PUBLIC] }, async (turn) => {
    const [alice, bob] = [
      await person(turn, 'alice', 'udp', 4, HOME),
      await person(turn, 'bob', 'tcp', 4, HOME)];
    assert.equal(alice.mapped.address, HOME);
    await talk(alice, bob);
    await alice.refresh(0);
    bob.close();
    const stranger = await connect(turn.urls.tcp, { from: HOME });
    stranger.sign('an unknown one of them', '4000000000:mallory');
    assert.equal((await stranger.allocate()).error, 401);
    stranger.put('GET / HTTP/1.0\r\n\r\n');
    await until(() => turn.log().includes('mallory'));
    await sleep(1200); // the end of alice's allocation
    assert(!turn.log().includes(HOME), turn.log());

    const carol = await person(turn, 'carol', 'tcp', 4, HOME);
    carol.socket.resetAndDestroy();
    await until(() => turn.log().includes(HOME));
    await sleep(1200);
    assert.deepEqual(turn.log().split('\n').filter((line) =>
      line.includes(HOME) && !/TCP socket error: Connection reset/.test(line)),
                     []);
  }));
