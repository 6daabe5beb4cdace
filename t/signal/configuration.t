#!/usr/bin/env node
'use strict';
/*
 * A wrong value is an error at the server's own check, which names the
 * directive, the value and what is allowed.
 */

const assert = require('assert');
const fs = require('fs');
const os = require('os');
const path = require('path');
const { test } = require('../lib/tap');
const { servers, checkConfiguration, startServer } =
  require('../lib/server');
const { Native } = require('../lib/client');

const good = {
  guests: ['off', 'call', 'all'],
  origin: ['same', 'any', 'https://a.test', ['https://a.test', 'http://b:1']],
  max_message: ['1k', '64k', '128K', '2000'],
  max_backlog: ['64k', '256k', '1m'],
  max_peers: ['0', '1', '100000'],
  rate: ['0', '50/s', '50/s burst=200', '1/s burst=1'],
  ping: ['1s', '25s', '5m'],
  hello_timeout: ['1s', '10s'],
  ring_timeout: ['1s', '45s'],
  resume: ['0', '1s', '1h'],
  turn_ttl: ['1m', '1h', '24h'],
  ice_server: ['stun:a.test', 'stun:a.test:3478', 'stuns:a.test:5349',
               ['stun:a.test', 'stun:b.test:1']],
  identity: ['remote_user', 'none'],
  realm: ['host', 'example.org'],
};

const bad = {
  guests: ['none', 'on', 'ALL', '1'],
  origin: ['example.org', 'same same', '*', 'ftp://a.test', 'https://a.test/x',
           'https://'],
  max_message: ['0', 'x', '-1', '64kb', '1g', '999999m', '1.5k'],
  max_backlog: ['x', '-1', '64kb'],
  max_peers: ['x', '-1', '1.5', '99999999999'],
  rate: ['x', '-1/s', '50', '50/m', '50/s burst=x', '50/s burst=-1',
         '0/s burst=0', '50/s bursts=1'],
  ping: ['0', 'x', '-1s', '25x', '10000d'],
  hello_timeout: ['0', 'x', '-1s'],
  ring_timeout: ['0', 'x', '-1s'],
  resume: ['x', '500ms', '-1s', '2h'],
  turn_ttl: ['0', 'x', '-1h'],
  ice_server: ['a.test', 'http://a.test', 'stun:', 'turn', 'stun://a.test'],
  turn_secret_file: ['/nowhere/at/all'],
};

for (const server of servers) {
  test(`${server}: good values are taken`, async () => {
    for (const [name, values] of Object.entries(good)) {
      for (const value of values) {
        const { ok, text } = await checkConfiguration(
          { server, settings: { [name]: value } });
        assert(ok, `${name} ${value}: ${text}`);
        assert.doesNotMatch(text, /[:[](alert|crit)\]/);
      }
    }
  });

  test(`${server}: wrong values are errors that name them`, async () => {
    for (const [name, values] of Object.entries(bad)) {
      for (const value of values) {
        const { ok, text, mistake } = await checkConfiguration(
          { server, settings: { [name]: value } });
        assert(!ok, `${name} ${value} was taken`);
        const line = mistake(name);
        assert(line, `${name} ${value}: ${text}`);
        assert(value.split(' ').some((word) => line.includes(`"${word}"`))
               || line.includes(value),
               `the value is not named: ${line}`);
      }
    }
  });

  test(`${server}: TURN without a secret is an error`, async () => {
    const { ok, text } = await checkConfiguration(
      { server, settings: { ice_server: 'turn:a.test' } });
    assert(!ok);
    assert.match(text, /ice_?server.* needs a secret/i);
    const good = await checkConfiguration(
      { server, settings: { ice_server: 'turn:a.test' },
        secrets: ['a secret that is long enough'] });
    assert(good.ok, good.text);
  });

  test(`${server}: a bad file of secrets is an error that names it`,
       async () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wsig-secret-'));
    const file = path.join(folder, 'secret');
    const good = 'sixteen bytes ok\n';
    try {
      for (const [words, mode, expected] of [
        ['', 0o600, /holds no secret/],
        ['\n\n', 0o600, /holds no secret/],
        [`${good}15 bytes only..\n`, 0o600, /line 2 of .* too short .* 16 /],
        [`"${good}`, 0o600, /line 1 of .* no secret that coturn reads/],
        [good, 0o604, /open to every user \(mode 604\)/],
        [good, 0o640, null],
      ]) {
        fs.writeFileSync(file, words);
        fs.chmodSync(file, mode);
        const { ok, text, mistake } = await checkConfiguration(
          { server, settings: { turn_secret_file: file } });
        assert.equal(ok, expected === null, text);
        if (expected) {
          assert.match(mistake('turn_secret_file'), expected);
          assert(mistake('turn_secret_file').includes(`"${file}"`), text);
          assert(!text.includes('bytes only') && !text.includes('bytes ok'));
        }
      }
    } finally {
      fs.rmSync(folder, { recursive: true });
    }
  });

  test(`${server}: two hosts without a name need a realm`, async () => {
    const hosts = (settings) => [
      { names: ['_'], settings },
      { names: ['~^(www\\.)?x\\.test$'], settings }];
    const without = await checkConfiguration({ server, hosts: hosts({}) });
    assert(!without.ok);
    assert.match(without.text, /realm/i);
    const line = without.text.split('\n').find((l) => /realm/i.test(l));
    assert.equal(line.match(/\.conf:\d+ (and|among)/g).length, 2);
    const named = await checkConfiguration({ server,
                                             hosts: hosts({ realm: 'x' }) });
    assert(named.ok, named.text);
  });

  test(`${server}: a zone needs a size and a path that can be`, async () => {
    for (const [zone, zoneSize] of [
      ['/dev/shm/x/zone', '1k'], ['/dev/shm/x/zone', 'x'],
      ['/nowhere/at/all/zone', '16m'], [`/dev/shm/${'x'.repeat(90)}/zone`,
                                        '16m']]) {
      const { ok, text } = await checkConfiguration({ server, zone, zoneSize });
      assert(!ok, `${zone} ${zoneSize}`);
      assert.match(text, /zone/i);
    }
  });

  test(`${server}: the check makes no zone`, async () => {
    const { ok, text, zone } = await checkConfiguration({ server });
    assert(ok, text);
    assert(!fs.existsSync(path.dirname(zone)));
  });

  test(`${server}: the check leaves a running server alone`, async () => {
    const s = await startServer({ server });
    const alice = new Native(`${s.ws}/webrtc/signal`);
    await alice.hello('alice');
    const { ok, text } = await checkConfiguration({ server, zone: s.zone });
    assert(ok, text);
    await s.reload();
    const bob = new Native(`${s.ws}/webrtc/signal`);
    await bob.hello('bob');
    assert.equal(bob.welcome.count, 2);
    await Promise.all([alice.close(), bob.close()]);
    await s.stop();
  });
}
