#!/usr/bin/env node
'use strict';
/*
 * Whom coturn relays to, as it is configured for production: to no address for
 * special purposes, and to public ones.  Only permissions are asked for; in
 * this network there is no way to any of these addresses.
 */

const { inOwnNetwork } = require('../lib/browser');
inOwnNetwork();

const assert = require('assert');
const net = require('net');
const { execFileSync } = require('child_process');
const { test } = require('../lib/tap');
const { startTurn } = require('../lib/turn');
const { addressBytes, connect } = require('../lib/turn-client');

const SECRET = 'for one test only';
const OWN = { 4: '20.30.40.50', 6: '2a00:1450::5' }; // somebody's public ones

/* IANA's special-purpose registries, multicast and what is reserved.  Some of
 * these are reachable; no peer of a call has such an address. */
const SPECIAL = {
  4: ['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8',
      '169.254.0.0/16', '172.16.0.0/12', '192.0.0.0/24', '192.0.2.0/24',
      '192.31.196.0/24', '192.52.193.0/24', '192.88.99.0/24', '192.168.0.0/16',
      '192.175.48.0/24', '198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24',
      '224.0.0.0/4', '240.0.0.0/4', '255.255.255.255/32'],
  6: ['::/128', '::1/128', '::/96', '::ffff:0:0/96', '::ffff:0:0:0/96',
      '64:ff9b::/96', '64:ff9b:1::/48', '100::/64', '100:0:0:1::/64',
      '2001::/23', '2001::/32', '2001:1::/32', '2001:2::/48', '2001:3::/32',
      '2001:4:112::/48', '2001:10::/28', '2001:20::/28', '2001:30::/28',
      '2001:db8::/32', '2002::/16', '2620:4f:8000::/48', '3fff::/20',
      '5f00::/16', 'fc00::/7', 'fd00::/8', 'fe80::/10', 'fec0::/10',
      'ff00::/8'],
};

/* Of IPv6, all that is global unicast (RFC 4291, section 2.4). */
const UNICAST = { 4: '0.0.0.0/0', 6: '2000::/3' };

const METADATA = ['169.254.169.254', '168.63.129.16', '100.100.100.200',
                  '192.0.0.192', 'fd00:ec2::254', 'fe80::a9fe:a9fe'];

const DISGUISED = ['127.0.0.1', '10.0.0.1', '192.168.1.1', '169.254.169.254',
                   '0.0.0.0', '224.0.0.1', '255.255.255.255', '8.8.8.8'];

const PUBLIC = {
  4: [OWN[4], '1.1.1.1', '8.8.8.8', '9.9.9.9', '93.184.215.14', '101.0.0.1',
      '151.101.1.140', '185.199.108.153', '223.255.255.255'],
  6: [OWN[6], '2000::', '2001:4860:4860::8888', '2003::1', '2400:cb00::1',
      '2606:4700:4700::1111', '2620:fe::fe', '2620:0:2d0:200::7', '2a00::1',
      '2c0f:ffff::1', '2001:67c:4e8::', '3ffe:ffff::1',
      '3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
};

const familyOf = (ip) => net.isIPv6(ip) ? 6 : 4;
const bits = { 4: 32n, 6: 128n };

function number(address) {
  return BigInt(`0x${addressBytes(address).toString('hex')}`);
}

function address(family, n) {
  const hex = n.toString(16).padStart(Number(bits[family]) / 4, '0');
  return family === 4 ? hex.match(/../g).map((b) => parseInt(b, 16)).join('.')
                      : hex.match(/..../g).join(':');
}

/* {family, first, last} of a prefix, as numbers. */
function range(prefix) {
  const [ip, length] = prefix.split('/');
  const family = familyOf(ip);
  const size = 1n << (bits[family] - BigInt(length));
  const first = number(ip);
  return { family, first, last: first + size - 1n };
}

function isPublic(ip) {
  const family = familyOf(ip);
  const n = number(ip);
  const inside = ({ first, last }) => first <= n && n <= last;
  return inside(range(UNICAST[family]))
         && !SPECIAL[family].some((prefix) => inside(range(prefix)));
}

const clients = {}; // family -> one with an allocation of it
let channel = 0x4000;
let turn;

/* What CreatePermission and ChannelBind get; a channel and a peer belong
 * together for good, so each time these are new ones. */
async function answers(ip) {
  const client = clients[familyOf(ip)];
  const permission = await client.permit(ip);
  const bound = await client.bind(++channel, { address: ip, port: channel });
  return [permission.error, bound.error];
}

async function allRefused(addresses) {
  assert(addresses.length > 0);
  for (const ip of addresses) {
    assert.deepEqual(await answers(ip), [403, 403], ip);
  }
}

async function allGranted(addresses) {
  assert(addresses.length > 0);
  for (const ip of addresses) {
    assert.deepEqual(await answers(ip), [0, 0], ip);
  }
}

test('coturn has public addresses', async () => {
  for (const ip of Object.values(OWN)) {
    execFileSync('ip', ['address', 'add', ip, 'dev', 'lo']);
  }
  turn = await startTurn({ secrets: [SECRET], addresses: Object.values(OWN) });
  for (const family of [4, 6]) {
    const client = await connect(turn.urls.tcp);
    client.sign(SECRET, `${Math.floor(Date.now() / 1000) + 600}:alice`);
    const { error, relayed } = await client.allocate({ family });
    assert.equal(error, 0);
    assert.equal(number(relayed.address), number(OWN[family]));
    clients[family] = client;
  }
});

for (const prefix of Object.values(SPECIAL).flat()) {
  test(`refused: all of ${prefix}`, async () => {
    const { family, first, last } = range(prefix);
    const middle = (first + last) / 2n;
    await allRefused([first, middle, middle + 1n, last]
      .filter((n) => n <= last).map((n) => address(family, n)));
  });

  test(`just outside of ${prefix}`, async () => {
    const { family, first, last } = range(prefix);
    for (const n of [first - 1n, last + 1n]) {
      if (n >= 0n && n < 1n << bits[family]) {
        const ip = address(family, n);
        await (isPublic(ip) ? allGranted : allRefused)([ip]);
      }
    }
  });
}

test('refused: cloud metadata', () => allRefused(METADATA));

/* As a number in the last 32 bits, or in those after the prefix of 6to4. */
test('refused: IPv4 in IPv6', () => allRefused(DISGUISED.flatMap((ip) => {
  const n = number(ip);
  const last = ['::', '::ffff:0:0', '::ffff:0:0:0', '64:ff9b::', '64:ff9b:1::',
                '2001::', 'fe80::', 'fe80::5efe:0:0'];
  return [...last.map((prefix) => number(prefix) | n),
          number('2001::') | (n ^ 0xffffffffn), // Teredo's clients
          number('2002::') | n << 80n].map((m) => address(6, m));
})));

test('refused: each byte of ::/8 by itself', () => allRefused(
  Array.from({ length: 15 }, (_, i) => address(6, 1n << BigInt(8 * i)))));

test('refused: what is not global unicast', () => allRefused(
  ['1::', '200::1', '1fff:ffff::', '4000::', '6000::1', '9000::', 'e000::',
   'fbff::1', 'fe00::1']));

test('refused: loopback and multicast', () => allRefused(
  ['127.0.0.1', '::1', '224.0.0.251', '239.255.255.250', 'ff02::1', 'ff02::fb',
   'ff0e::1']));

for (const [family, addresses] of Object.entries(PUBLIC)) {
  test(`granted: public addresses of IPv${family}`, () =>
    allGranted(addresses));
}

test('one refused peer refuses the whole request', async () => {
  const { error } = await clients[4].permit('9.9.9.10', '10.0.0.1');
  assert.equal(error, 403);
});

test('a peer of the other family is refused', async () => {
  assert.equal((await clients[4].permit(OWN[6])).error, 443);
  assert.equal((await clients[6].permit(OWN[4])).error, 443);
});

test('coturn ends', () => turn.stop());
