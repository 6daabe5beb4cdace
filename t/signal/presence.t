#!/usr/bin/env node
'use strict';
/*
 * Who is there: lists, deltas, watching and looking up.
 */

const assert = require('assert');
const { scenarios } = require('../lib/scenarios');
const { sleep } = require('../lib/server');

function seeded(seed) {
  let state = seed;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor(state / 4294967296 * n);
  };
}

async function state(client, name) {
  return (await client.ask({ type: 'lookup', name }, 'user')).state;
}

/* Wait until all deltas of the past have come. */
async function settled(clients) {
  for (let quiet = 0; quiet < 4;) {
    const before = clients.reduce((sum, { deltas }) => sum + deltas.length, 0);
    await sleep(100);
    const after = clients.reduce((sum, { deltas }) => sum + deltas.length, 0);
    quiet = before === after ? quiet + 1 : 0;
  }
}

const OFF = '/off/signal'; // no resume: who is lost is gone

scenarios({ settings: { rate: '0' }, connections: 2048,
            locations: { [OFF]: { kind: 'signal', settings: { resume: '0' } } } }, {
  async 'who comes and goes is told to those on both workers'(c) {
    const alice = await c.native('alice');
    const bob = await c.native('bob', { off: alice.worker });
    await alice.shows({ bob: 'free' });
    const delta = await alice.delta();
    assert.deepEqual(delta.joined,
                     [{ name: 'bob', state: 'free', verified: false }]);
    assert.equal(delta.count, 2);
    assert.equal(delta.type, 'presence');

    const start = Date.now();
    const carol = await c.native('carol', { on: alice.worker });
    await Promise.all([alice.shows({ carol: 'free' }),
                       bob.shows({ carol: 'free' })]);
    assert(Date.now() - start < 5000, 'it takes too long');
    assert.equal(alice.count, 3);
    await carol.close();
    await Promise.all([alice.shows({ carol: null }),
                       bob.shows({ carol: null })]);
    assert.equal(bob.count, 2);
    assert.equal(alice.users.has('alice'), false, 'never oneself');
  },

  async 'away and back is told as a change'(c) {
    const alice = await c.native('alice');
    const bob = await c.native('bob', { off: alice.worker });
    await alice.shows({ bob: 'free' });
    bob.send({ type: 'state', state: 'away' });
    await alice.shows({ bob: 'away' });
    assert.equal(await state(alice, 'bob'), 'away');
    const late = await c.native('late', { on: bob.worker });
    await late.shows({ bob: 'away' }, 0);
    bob.send({ type: 'state', state: 'free' });
    await alice.shows({ bob: 'free' });
    assert.equal(await state(alice, 'bob'), 'free');
    const last = alice.deltas.filter((d) => (d.changed || []).length).pop();
    assert.equal(last.changed[0].name, 'bob');
    assert.equal(last.changed[0].state, 'free');
  },

  async 'none hears nothing, a list only of those in it'(c) {
    const alice = await c.native('alice', {}, { watch: 'none' });
    const bob = await c.native('bob', {}, { watch: ['carol', 'zoe'] });
    assert.deepEqual(bob.welcome.users, []);
    const dave = await c.native('dave', { off: bob.worker });
    const carol = await c.native('carol', { off: bob.worker });
    await bob.shows({ carol: 'free' });
    await dave.close();
    await carol.close();
    await bob.shows({ carol: null });
    await sleep(300);
    assert.deepEqual(alice.deltas, []);
    const named = bob.deltas.flatMap(({ joined = [], left = [], changed = [] }) =>
      [...joined.map((u) => u.name), ...left, ...changed.map((u) => u.name)]);
    assert.deepEqual([...new Set(named)], ['carol']);
    const empty = bob.deltas.filter(({ joined = [], left = [], changed = [] }) =>
      joined.length + left.length + changed.length === 0);
    assert.deepEqual(empty, []);
  },

  async 'watch is answered with the list, and replaces it'(c) {
    const alice = await c.native('alice', {}, { watch: 'none' });
    const bob = await c.native('bob', { off: alice.worker });
    const carol = await c.native('carol', { on: alice.worker });
    const sorted = (message) => message.users.map((u) => u.name).sort();

    let list = await alice.ask({ type: 'watch', names: 'all' }, 'users');
    assert.deepEqual(sorted(list), ['bob', 'carol']);
    assert.equal(list.count, 3);
    list = await alice.ask({ type: 'watch', names: ['bob', 'zoe'] }, 'users');
    assert.deepEqual(sorted(list), ['bob']);
    assert.equal(list.count, 3);
    await carol.close();
    await bob.close();
    await alice.shows({ bob: null });
    list = await alice.ask({ type: 'watch', names: 'none' }, 'users');
    assert.deepEqual(list.users, []);
    list = await alice.ask({ type: 'watch', names: [] }, 'users');
    assert.deepEqual(list.users, []);
    list = await alice.ask({ type: 'watch', names: ['alice'] }, 'users');
    assert.deepEqual(list.users, [], 'never oneself');
    assert.equal(list.count, 1);
  },

  async 'looking up tells free, away, absent; and oneself'(c) {
    const alice = await c.native('alice', {}, { watch: 'none' });
    const bob = await c.native('bob', { off: alice.worker });
    const { name, state: seen } =
      await alice.ask({ type: 'lookup', name: 'bob' }, 'user');
    assert.deepEqual([name, seen], ['bob', 'free']);
    assert.equal(await state(alice, 'alice'), 'free');
    assert.equal(await state(alice, 'Bob'), 'absent');
    assert.equal(await state(alice, 'nobody'), 'absent');
    bob.send({ type: 'state', state: 'away' });
    await bob.ask({ type: 'ice' }, 'ice');
    await sleep(200);
    assert.equal(await state(alice, 'bob'), 'away');
  },

  async 'who leaves and comes back quickly never stands twice'(c) {
    const alice = await c.native('alice');
    for (let i = 0; i < 30; i++) {
      const bob = await c.native('bob', { path: OFF, ...(i % 2
        ? {} : { off: alice.worker }) });
      if (i % 3) {
        await bob.close();
      } else {
        await bob.cut();
      }
    }
    await alice.shows({ bob: null });
    await settled([alice]);
    assert.equal(alice.contradiction, undefined);
    assert.equal(alice.count, 1);
  },

  async 'random coming and going: lists and deltas agree with a model'(c) {
    const random = seeded(11);
    const watchers = [await c.native('watcher 0')];
    watchers.push(await c.native('watcher 1', { off: watchers[0].worker }));
    const model = new Map(); // name -> client

    for (let step = 0; step < 240; step++) {
      const name = `user ${random(12)}`;
      const client = model.get(name);
      if (!client) {
        model.set(name, await c.native(name, random(3)
          ? {} : { [random(2) ? 'on' : 'off']: watchers[0].worker }));
      } else if (client.end) {
        model.set(name, await c.again(client));
        model.get(name).away = client.away;
      } else if (random(3) === 0) {
        client.away = !client.away;
        client.send({ type: 'state', state: client.away ? 'away' : 'free' });
      } else {
        const lost = random(2); // and to come again
        await (lost ? client.cut() : client.close());
        if (!lost) {
          model.delete(name);
        }
      }
      if (step % 50 === 25) {
        const at = watchers.length;
        watchers.push(await c.native(`watcher ${at}`));
      }
      if (random(4) === 0) {
        await sleep(random(100));
      }
    }
    await sleep(300);
    const all = [...watchers, ...model.values()];
    await settled(all);
    const expected = new Map(all.map((client) =>
      [client.name, client.away || client.end ? 'away' : 'free']));
    for (const client of all.filter(({ end }) => !end)) {
      assert.equal(client.contradiction, undefined, client.name);
      const shown = new Map([...client.users].map(([n, u]) => [n, u.state]));
      shown.set(client.name, client.away ? 'away' : 'free');
      assert.deepEqual([...shown].sort(), [...expected].sort(), client.name);
      assert.equal(client.count, expected.size, client.name);
    }
    for (const client of all.filter(({ end }) => end)) {
      await c.again(client); // to leave
    }
  },

  async 'a list given while others come and go fits the deltas'(c) {
    const stir = { on: true };
    const stirring = [0, 1, 2].map(async (i) => {
      while (stir.on) {
        const client = await c.native(`stir ${i}`);
        await sleep(5);
        await client.close();
      }
    });
    const seen = [];
    for (let i = 0; i < 25; i++) {
      seen.push(await c.native(`late ${i}`));
      await seen[i].ask({ type: 'watch', names: 'all' }, 'users');
    }
    stir.on = false;
    await Promise.all(stirring);
    await settled(seen);
    for (const client of seen) {
      assert.equal(client.contradiction, undefined);
      assert.equal(client.users.size, 24, client.name);
      assert.equal(client.count, 25);
    }
  },
});

scenarios({ settings: { rate: '0' }, connections: 4096, schemes: ['ws'] }, {
  async 'in a realm of more than 1000 users all is only a count'(c) {
    const early = await c.native('early', {}, { watch: ['user 7', 'user 999'] });
    for (let n = 0; n < 1000; n += 50) {
      await Promise.all(Array.from({ length: 50 }, (_, i) =>
        c.native(`user ${n + i}`, {}, { watch: 'none' })));
    }
    const late = await c.native('late');
    assert.equal(late.welcome.users, null);
    assert.equal(late.welcome.count, 1002);
    assert.equal(await state(late, 'user 500'), 'free');
    await early.shows({ 'user 7': 'free', 'user 999': 'free' });
    const list = await late.ask({ type: 'watch', names: ['user 3'] }, 'users');
    assert.deepEqual(list.users,
                     [{ name: 'user 3', state: 'free', verified: false }]);
    const all = await late.ask({ type: 'watch', names: 'all' }, 'users');
    assert.equal(all.users, null);
    assert.equal(all.count, 1002);

    const more = await c.native('more');
    const end = Date.now() + 3000;
    while (late.count !== 1003 && Date.now() < end) {
      await sleep(20);
    }
    assert.equal(late.count, 1003, 'the count is told');
    assert.equal(more.welcome.users, null);
  },
});
