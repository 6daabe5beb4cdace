#!/usr/bin/env node
'use strict';
/* coturn takes the credentials that the web servers sign, and no others. */

const { inOwnNetwork } = require('../lib/browser');
inOwnNetwork();

const assert = require('assert');
const fs = require('fs');
const { attempt, later, test } = require('../lib/tap');
const { servers, sleep, startServer, until } = require('../lib/server');
const { startTurn } = require('../lib/turn');
const { connect } = require('../lib/turn-client');
const { get } = require('../lib/web');

const OLD = 'this one signed until yesterday';
const NEW = 'this one signs since then';
const WAYS = ['udp', 'tcp', 'tls'];

let turn;

const inSeconds = (n) => Math.floor(Date.now() / 1000) + n;

/* {error, ...} of an Allocate request with what prepare() sets. */
async function allocation(url, prepare) {
  const client = await connect(url, { ca: turn.ca });
  try {
    prepare(client);
    return await client.allocate();
  } finally {
    client.close();
  }
}

/* What an Allocate request gets on each of the three ways. */
const errors = (prepare) => Promise.all(WAYS.map(async (way) =>
  (await allocation(turn.urls[way], prepare)).error));

const all = (error) => WAYS.map(() => error);

test('coturn starts', async () => {
  turn = await startTurn({ secrets: [NEW, OLD] });
});

for (const server of servers) {
  later(() => runOn(server));
}

async function runOn(server) {
  let s;
  const ice = async (path = '/webrtc/ice') =>
    JSON.parse((await get(s.https, path)).body).iceServers;
  const { stun, ...relays } = turn.urls;

  await attempt(`${server}: it starts`, async () => {
    s = await startServer({ server, secrets: [NEW, OLD],
      settings: { ice_server: Object.values(turn.urls) },
      locations: { '/short/ice': { kind: 'ice',
                                   settings: { turn_ttl: '1s' } } } });
  });

  await attempt(`${server}: credentials are good for each URL`, async () => {
    const given = [];
    for (const { urls, username, credential } of await ice()) {
      for (const url of [].concat(urls).filter((u) => u.startsWith('turn'))) {
        const { error, relayed } = await allocation(url, (client) =>
          Object.assign(client, { username, credential }));
        assert.equal(error, 0, url);
        assert.equal(relayed.address, '127.0.0.1');
        given.push(url);
      }
    }
    assert.deepEqual(given.sort(), Object.values(relays).sort());
  });

  await attempt(`${server}: the first secret signs`, async () => {
    const { username, credential } = (await ice()).find((i) => i.username);
    assert.deepEqual(await errors((client) =>
      assert.equal(client.sign(NEW, username).credential, credential)), all(0));
  });

  await attempt(`${server}: those that ran out are good no more`, async () => {
    const { username, credential } =
      (await ice('/short/ice')).find((i) => i.username);
    await sleep(2100);
    assert.deepEqual(await errors((client) =>
      Object.assign(client, { username, credential })), all(401));
  });

  await attempt(`${server}: no log has a secret`, async () => {
    const logs = s.log() + s.accessLog();
    assert(![NEW, OLD].some((secret) => logs.includes(secret)));
    await s.stop();
  });
}

test('both secrets are good: credentials outlive a change', async () => {
  for (const secret of [NEW, OLD]) {
    assert.deepEqual(await errors((client) =>
      client.sign(secret, `${inSeconds(60)}:alice`)), all(0));
  }
});

test('unsigned: 401', async () => {
  assert.deepEqual(await errors(() => {}), all(401));
});

test('wrong: 401', async () => {
  const user = `${inSeconds(60)}:alice`;
  const wrong = {
    'another secret': (c) => c.sign('an unknown one of them', user),
    'another user': (c) => { c.sign(NEW, user).username += '2'; },
    'a later expiry': (c) => {
      c.sign(NEW, user).username = `${inSeconds(90)}:alice`;
    },
    'no password': (c) => Object.assign(c, { username: user, credential: '' }),
    'the secret as password': (c) => Object.assign(c, { username: user,
                                                        credential: NEW }),
  };
  for (const [what, prepare] of Object.entries(wrong)) {
    assert.deepEqual(await errors(prepare), all(401), what);
  }
});

test('expired: 401, whoever signed it', async () => {
  for (const secret of [NEW, OLD]) {
    assert.deepEqual(await errors((client) =>
      client.sign(secret, `${inSeconds(-2)}:alice`)), all(401));
  }
  for (const name of ['alice', ':alice', '0:alice']) {
    assert.deepEqual(await errors((client) => client.sign(NEW, name)),
                     all(401), name);
  }
});

test('SIGUSR2: a renewed certificate, and nobody is cut off', async () => {
  const client = await connect(turn.urls.tls, { ca: turn.ca });
  client.sign(NEW, `${inSeconds(60)}:alice`);
  assert.equal((await client.allocate()).error, 0);
  const before = client.socket.getPeerX509Certificate().serialNumber;
  turn.renewCertificate();
  await until(async () => {
    const { socket } = await connect(turn.urls.tls, { ca: turn.ca });
    const now = socket.getPeerX509Certificate().serialNumber;
    socket.destroy();
    return now !== before;
  }, 5000, 'the new certificate');
  assert.equal((await client.refresh(600)).error, 0);
});

test('a removed secret signs no more, once coturn was restarted', async () => {
  const user = `${inSeconds(60)}:alice`;
  await turn.restart({ secrets: [NEW], lines: ['stale-nonce=1'] });
  assert.deepEqual(await errors((c) => c.sign(OLD, user)), all(401));
  assert.deepEqual(await errors((c) => c.sign(NEW, user)), all(0));
});

test('an allocation outlives its credential, and its nonce', async () => {
  const client = await connect(turn.urls.udp);
  client.sign(NEW, `${inSeconds(2)}:alice`);
  assert.equal((await client.allocate()).error, 0);
  const { nonce } = client;
  await sleep(3100);
  assert.equal((await client.refresh(600)).error, 0);
  assert.equal((await client.permit('127.0.0.1')).error, 0);
  assert.notDeepEqual(client.nonce, nonce);
});

test('over TLS the client can tell coturn from another', async () => {
  await assert.rejects(connect(turn.urls.tls, { ca: '/dev/null' }),
                       /unable to|self.signed/);
});

test("coturn's log and command line have no secret", async () => {
  const line = fs.readFileSync(`/proc/${turn.process.pid}/cmdline`, 'utf8');
  await turn.stop();
  assert(turn.log().length > 1000);
  for (const secret of [NEW, OLD]) {
    assert(!turn.log().includes(secret));
    assert(!line.includes(secret));
  }
});
