#!/usr/bin/env node
'use strict';
/*
 * One connection may not hurt another: rate, backlog, caps, silence.
 */

const assert = require('assert');
const fs = require('fs');
const { scenarios } = require('../lib/scenarios');
const { Client, Native } = require('../lib/client');
const { answered, ended, quiet, ring } = require('../lib/call');
const { frame } = require('../lib/raw');
const { servers, sleep, startServer, until } = require('../lib/server');
const { test } = require('../lib/tap');
const { get } = require('../lib/web');

const SLOW = '/slow/signal';

const memory = (c) => c.server.workers()
  .reduce((sum, pid) => sum + c.server.rss(pid), 0);

/* While something is done, two others talk; the longest wait for an answer. */
async function meanwhile(c, where, run) {
  const carol = await c.article('carol', where);
  const dave = await c.article('dave', where);
  let on = true;
  let longest = 0;
  const talk = (async () => {
    while (on) {
      const start = performance.now();
      carol.send({ target: 'dave', sdp: 'hm' });
      await dave.relayed();
      longest = Math.max(longest, performance.now() - start);
      await sleep(5);
    }
  })();
  try {
    await run();
  } finally {
    on = false;
    await talk;
  }
  return longest;
}

/* Half a minute of waiting, begun before the other tests. */
async function forgotten(server) {
  const s = await startServer({ server });
  const alice = await new Native(`${s.ws}/webrtc/signal`).hello('alice');
  const bob = await new Native(`${s.ws}/webrtc/signal`).hello('bob');
  const first = await ring(alice, bob, { ref: '1' });
  bob.send({ type: 'decline', call: first });
  await ended(alice, first, 'declined');

  await sleep(26000);
  const late = await alice.ask({ type: 'call', to: 'bob', ref: '1' }, 'ended');
  assert.equal(late.call, first);
  alice.send({ type: 'hangup', call: first });
  await ended(alice, first, 'declined');

  await sleep(7000);
  for (const [client, type] of [[alice, 'hangup'], [bob, 'accept']]) {
    const { code } = await client.ask({ type, call: first }, 'error');
    assert.equal(code, 'call-unknown');
  }
  const { call } = await alice.ask({ type: 'call', to: 'bob', ref: '1' },
                                   'calling');
  assert.notEqual(call, first);
  await Promise.all([alice.close(), bob.close()]);
  await s.stop();
}

const waits = servers.map((server) => [server, forgotten(server)]);
waits.forEach(([, begun]) => begun.catch(() => {})); // told by the test

scenarios({ settings: { rate: '0', max_backlog: '256k', resume: '0' },
            connections: 2048,
            locations: { [SLOW]: { kind: 'signal',
                                   settings: { rate: '20/s burst=20' } } } }, {
  async 'a flooding peer is slowed, nothing is dropped, others feel nothing'(c) {
    const eve = await c.article('eve', { path: SLOW });
    const bob = await c.article('bob', { on: eve.worker });
    const start = performance.now();
    const longest = await meanwhile(c, { on: eve.worker }, async () => {
      for (let i = 0; i < 80; i++) {
        eve.send({ target: 'bob', sdp: `${i}` });
      }
      for (let i = 0; i < 80; i++) {
        assert.equal(await bob.relayed(), `${i}`);
      }
    });
    const took = (performance.now() - start) / 1000;
    assert(took > 2 && took < 6, `80 texts in ${took} s at 20 a second`);
    assert(longest < 2000, `others waited ${longest} ms`);
    // the bucket fills again
    await sleep(1100);
    const again = performance.now();
    eve.send({ target: 'bob', sdp: 'x' });
    assert.equal(await bob.relayed(), 'x');
    assert(performance.now() - again < 300);
  },

  async 'within its burst a peer is not slowed'(c) {
    const alice = await c.article('alice', { path: SLOW });
    const start = performance.now();
    for (let i = 0; i < 15; i++) {
      alice.send({ target: 'alice', sdp: `${i}` });
    }
    for (let i = 0; i < 15; i++) {
      assert.equal(await alice.relayed(), `${i}`);
    }
    assert(performance.now() - start < 500);
  },

  async 'a flood waits in TCP, not in the server'(c) {
    const eve = await c.article('eve', { path: SLOW });
    const before = memory(c);
    const text = JSON.stringify({ target: 'eve', sdp: 'x'.repeat(60000) });
    for (let i = 0; i < 400; i++) {
      eve.send(text);
    }
    await sleep(1000);
    const more = memory(c) - before;
    assert(more < 4e6, `${more} bytes more`);
    await eve.cut();
  },

  async 'a slow reader is closed with 1013, others feel nothing'(c) {
    const alice = await c.native('alice');
    const bob = await c.native('bob', { off: alice.worker });
    const call = await answered(alice, bob);
    const before = memory(c);
    let most = 0;
    bob.pause();
    const longest = await meanwhile(c, { on: bob.worker }, async () => {
      const data = 'x'.repeat(60000);
      for (let i = 0; i < 1000 && !alice.inbox.length; i++) {
        alice.send({ type: 'signal', call, data });
        await sleep(1);
        if (i % 20 === 0) {
          most = Math.max(most, memory(c) - before);
        }
      }
      await ended(alice, call, 'gone');
    });
    assert(longest < 2000, `others waited ${longest} ms`);
    assert(most < 4e6, `${most} bytes more`);
    await alice.shows({ bob: null });
    bob.resume();
    const { code } = await bob.ends();
    assert([1013, 1006].includes(code), `${code}`);
    await quiet(alice);
  },

  async 'a slow reader of the article\'s dialect, too'(c) {
    const alice = await c.article('alice');
    const bob = await c.article('bob', { on: alice.worker });
    bob.pause();
    const text = 'y'.repeat(60000);
    for (let i = 0; i < 1000 && !alice.end; i++) {
      alice.send({ target: 'bob', sdp: text });
      await sleep(1);
    }
    await alice.ends(4404);
    bob.resume();
    await bob.ends();
  },

  async 'pings whose pongs nobody reads do not pile up'(c) {
    const raw = await c.raw();
    raw.send(frame({ payload: '{"nickname":"pinger"}' }));
    await raw.text();
    const before = memory(c);
    raw.socket.pause();
    const pings = Buffer.concat(Array.from({ length: 5000 }, () =>
      frame({ opcode: 9, payload: Buffer.alloc(125, 1) })));
    let sent = 0;
    while (sent < 100 && !raw.closed && raw.socket.writableLength < 1e6) {
      raw.socket.write(pings);
      sent++;
      await sleep(5);
    }
    const more = memory(c) - before;
    assert(more < 4e6, `${more} bytes more after ${sent * 5000} pings`);
    const carol = await c.article('carol');
    carol.send({ target: 'carol', sdp: 'x' });
    assert.equal(await carol.relayed(), 'x');
  },

  async 'texts that nobody finishes cost what was sent of them'(c) {
    const before = memory(c);
    const raws = [];
    for (let i = 0; i < 200; i++) {
      const raw = await c.raw();
      raw.send(frame({ payload: '{"nickname":"', length: 60000 }));
      raws.push(raw);
    }
    await sleep(200);
    const each = (memory(c) - before) / raws.length;
    assert(each < 40000, `${each} bytes each`); // TLS alone takes up to 18 KB
  },

  async 'hundreds that come and go leave no memory behind'(c) {
    const round = async () => {
      for (let i = 0; i < 10; i++) {
        const users = await Promise.all(Array.from({ length: 40 }, (_, n) =>
          c.native(`user ${n}`, {}, { watch: 'none' })));
        await Promise.all(users.map((user, n) =>
          (n % 2 ? user.close() : user.cut())));
        c.clients.length = 0;
      }
    };
    await round();
    await sleep(300);
    const before = memory(c);
    await round();
    await round();
    await sleep(300);
    const more = memory(c) - before;
    assert(more < 600e3, `${more} bytes more after 800 users`);
  },

  async 'more calls than may ring at one user get an error limit'(c) {
    const bob = await c.native('bob');
    let ringing = 0;
    let limited = 0;
    for (let i = 0; i < 40; i++) {
      const caller = await c.native(`caller ${i}`, {}, { watch: 'none' });
      caller.send({ type: 'call', to: 'bob', ref: 'r' });
      const { type, code } = await caller.next();
      if (type === 'calling') {
        assert.equal(limited, 0);
        ringing++;
        await bob.next('ring');
      } else {
        assert.equal(code, 'limit');
        limited++;
      }
    }
    assert(ringing >= 8, `${ringing} may ring`);
    await quiet(bob);
  },
});

scenarios({ settings: { max_peers: '5', resume: '0' } }, {
  async 'one more than max_peers is closed with 1013, on any worker'(c) {
    const users = [];
    for (let i = 0; i < 5; i++) {
      users.push(await c.native(`user ${i}`));
    }
    for (const where of [{ on: users[0].worker }, { off: users[0].worker }]) {
      const more = await c.open(Native, where);
      more.send({ type: 'hello', name: 'more' });
      await more.ends(1013);
    }
    await users[0].close();
    await c.native('more');
    const last = await c.open(Native);
    last.send({ type: 'hello', name: 'last' });
    await last.ends(1013);
  },
});

scenarios({ settings: { ping: '1s', resume: '0' } }, {
  async 'who does not answer pings is gone; who does stays'(c) {
    const alice = await c.native('alice');
    const silent = await c.native('silent', { pong: false });
    const quieter = await c.article('quieter', { pong: false });
    const talking = await c.native('talking', { pong: false });
    const talk = setInterval(() => talking.send({ type: 'ice' }), 300);
    const start = Date.now();
    try {
      await Promise.all([silent.ends(undefined, 6000),
                         quieter.ends(undefined, 6000)]);
      const took = Date.now() - start;
      assert(took > 1500 && took < 4500, `${took} ms`);
      await alice.shows({ silent: null, talking: 'free' });
      await sleep(1500);
      assert.equal(alice.end, null);
      assert.equal(talking.end, null);
      assert(alice.pings >= 3, `${alice.pings} pings`);
    } finally {
      clearInterval(talk);
    }
  },

  async 'pings go on while a peer reads slowly, and its end is seen'(c) {
    const raw = await c.raw();
    raw.send(frame({ payload: '{"nickname":"frozen"}' }));
    await raw.text();
    raw.socket.pause();
    const carol = await c.article('carol');
    await until(() => carol.list.includes('frozen') || carol.inbox.length,
                2000, 'a list');
    await carol.lists('frozen', false, 6000);
  },
});

/* Milliseconds of processor time that the workers have used. */
function cpu(server) {
  return server.workers().reduce((sum, pid) => {
    const fields = fs.readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '').split(' ');
    return sum + (Number(fields[11]) + Number(fields[12])) * 10;
  }, 0);
}

scenarios({ schemes: ['ws'] }, {
  async 'who is held back and resets the connection costs no time'(c) {
    const raw = await c.raw();
    raw.send(...Array.from({ length: 5000 }, () => frame({ opcode: 10 })));
    await sleep(300);
    raw.socket.on('error', () => {});
    raw.socket.resetAndDestroy();
    const before = cpu(c.server);
    await sleep(2000);
    const used = cpu(c.server) - before;
    assert(used < 500, `${used} ms of 2000`);
  },
});

/* The zone's table is small: what it cannot hold is told to the newcomer. */
scenarios({ zoneSize: '512k', connections: 8192, schemes: ['ws'],
            settings: { resume: '3s' } }, {
  async 'a full table closes newcomers with 1013, and heals'(c) {
    const users = [];
    let refused = 0;
    for (let n = 0; n < 6000 && refused === 0; n += 100) {
      await Promise.all(Array.from({ length: 100 }, async (_, i) => {
        const client = new Client(c.url(), { protocol: 'webrtc-signal.v1' });
        users.push(client);
        await client.opened;
        client.send({ type: 'hello', name: `user ${n + i}`, watch: 'none' });
        const text = await client.poll(10000);
        if (text === null) {
          assert.equal(client.end && client.end.code, 1013);
          refused++;
        }
      }));
    }
    assert(refused > 0, `${users.length} users and still not full`);
    await Promise.all(users.map((client) => client.cut()));

    // those who are lost keep their places for a while
    const early = await c.open(Native);
    early.send({ type: 'hello', name: 'user 0' });
    await early.ends(4409);
    const alice = await until(async () => {
      const client = await c.open(Native);
      client.send({ type: 'hello', name: 'alice' });
      return (await client.poll()) && client;
    }, 8000, 'room');
    await until(() => alice.count === 1, 5000, 'the end of all windows');
  },
});

/* Connections that were taken away from the web server cannot be reclaimed by
 * it, so some are left for its pages. */
scenarios({ connections: 256, settings: { rate: '0', resume: '0' } }, {
  async 'a worker short of connections answers 503, and serves pages'(c) {
    const statuses = new Set();
    for (let i = 0; i < 560 && !statuses.has(503); i++) {
      const client = new Client(c.url());
      c.clients.push(client);
      await client.opened.catch(() => {});
      statuses.add(client.status);
    }
    assert.deepEqual([...statuses].sort(), [101, 503]);
    for (let i = 0; i < 50; i++) {
      assert.equal((await get(c.web, '/plain.txt')).status, 200);
    }
  },
});

for (const [server, begun] of waits) {
  test(`${server}: after 30 s an ended call is forgotten`, () => begun,
       { ms: 60000 });
}
