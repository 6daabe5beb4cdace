#!/usr/bin/env node
'use strict';
/*
 * Workers come and go: reload, a killed worker, the end.  Here users are gone
 * with their connection; resume.t has those who come again.
 */

const assert = require('assert');
const fs = require('fs');
const path = require('path');
const { scenarios } = require('../lib/scenarios');
const { Native, Article } = require('../lib/client');
const { ring, answered, ended, quiet, free } = require('../lib/call');
const { sleep, startServer, until } = require('../lib/server');

const seconds = (start) => (Date.now() - start) / 1000;

const settings = { rate: '0', resume: '0' };

scenarios({ settings, fresh: true, ms: 40000 }, {
  async 'reload: users stay, and old and new reach one another'(c) {
    const s = c.server;
    const alice = await c.native('alice');
    const bob = await c.native('bob', { off: alice.worker });
    const ann = await c.article('ann');
    const call = await answered(alice, bob);
    const old = s.workers();

    await s.reload();
    assert.equal(s.workers('old').length, 2, 'old workers serve their users');
    const carol = await c.native('carol');
    const dave = await c.native('dave', { off: carol.worker });
    assert(!old.includes(carol.worker) && !old.includes(dave.worker));
    await carol.shows({ alice: 'busy', bob: 'busy', dave: 'free' });
    await alice.shows({ carol: 'free', dave: 'free' });

    for (const [from, to] of [[alice, bob], [bob, alice]]) {
      from.send({ type: 'signal', call, data: 1 });
      assert.equal((await to.next('signal')).data, 1);
    }
    alice.send({ type: 'hangup', call });
    await ended(bob, call, 'hangup');
    for (const [a, b] of [[alice, carol], [dave, alice], [bob, dave],
                          [carol, dave], [carol, bob], [alice, bob]]) {
      await free(a, b);
    }

    const eve = await c.article('eve');
    await ann.lists('eve');
    assert.deepEqual([...eve.list].sort(), ['ann', 'eve']);
    for (const [from, to] of [[ann, eve], [eve, ann]]) {
      from.send({ target: to.nickname, sdp: `from ${from.nickname}` });
      assert.equal(await to.relayed(), `from ${from.nickname}`);
    }

    // names of old workers are taken, and are freed
    const other = await c.open(Native);
    other.send({ type: 'hello', name: 'alice' });
    await other.ends(4409);
    await alice.close();
    await carol.shows({ alice: null });
    await bob.close();
    await ann.close();
    await until(() => s.workers('old').length === 0, 10000,
                'the end of the old workers');
    await free(carol, dave);
  },

  async 'three reloads, and users of each generation'(c) {
    const users = [await c.native('user 0')];
    for (let i = 1; i <= 3; i++) {
      await c.server.reload();
      users.push(await c.native(`user ${i}`));
    }
    for (const user of users) {
      await user.shows(Object.fromEntries(users.filter((u) => u !== user)
        .map((u) => [u.name, 'free'])));
    }
    for (let i = 0; i < 4; i++) {
      for (let j = 0; j < 4; j++) {
        if (i !== j) {
          await free(users[i], users[j]);
        }
      }
    }
  },

  async 'another zone size at reload keeps the old one and warns'(c) {
    const alice = await c.native('alice');
    await c.server.reload({ zoneSize: '32m' });
    assert(c.server.logged(/zone/, 'warn').length > 0, 'a warning');
    const bob = await c.native('bob');
    await free(alice, bob);
  },

  async 'a killed worker takes its own users, and nobody else'(c) {
    const s = c.server;
    const alice = await c.native('alice');
    const anton = await c.native('anton', { on: alice.worker });
    const amy = await c.article('amy', { on: alice.worker });
    const bob = await c.native('bob', { off: alice.worker });
    const bert = await c.native('bert', { on: bob.worker });
    const ben = await c.native('ben', { on: bob.worker });
    const bill = await c.native('bill', { on: bob.worker });
    const bess = await c.article('bess', { on: bob.worker });
    await bess.lists('amy');

    const talk = await answered(alice, bob);          // across both
    const stay = await answered(ben, bill);           // in the one that stays
    const dial = await ring(anton, bert);             // the caller dies
    const carol = await c.native('carol', { on: bob.worker });
    const amos = await c.native('amos', { on: alice.worker });
    const rings = await ring(carol, amos);            // who rings dies

    const start = Date.now();
    s.kill(alice.worker);
    await Promise.all([
      ended(bob, talk, 'gone'), ended(bert, dial, 'gone'),
      ended(carol, rings, 'unreachable'),
      bob.shows({ alice: null, anton: null, amos: null, bert: 'free' }),
      bess.lists('amy', false)]);
    assert(seconds(start) < 2, `${seconds(start)} s`);
    await bob.shows({ bert: 'free', ben: 'busy', bill: 'busy', carol: 'free' });
    assert.deepEqual(bess.list, ['bess']);
    ben.send({ type: 'signal', call: stay, data: 'still' });
    assert.equal((await bill.next('signal')).data, 'still');
    await quiet(bob, bert, ben, bill);

    const again = await c.native('alice');
    await bob.shows({ alice: 'free' });
    await free(again, bob);
    assert.equal(bob.count, 6); // alice, bob, bert, ben, bill, carol
  },

  async 'names of a killed worker are free within 1 s'(c) {
    const alice = await c.native('alice');
    const amy = await c.article('amy', { on: alice.worker });
    const bob = await c.native('bob', { off: alice.worker });
    const others = [await c.open(Native, { on: bob.worker }),
                    await c.open(Article, { on: bob.worker })];
    const start = Date.now();
    c.server.kill(alice.worker);
    await sleep(700);
    await Promise.all([others[0].hello('alice'), others[1].enter('amy')]);
    assert(seconds(start) < 1.1, `${seconds(start)} s`);
    assert.equal(amy.end.code, 1006);
  },

  async 'the next worker serves at once'(c) {
    const s = c.server;
    const bob = await c.native('bob');
    for (let i = 0; i < 8; i++) {
      const victim = s.workers().find((pid) => pid !== bob.worker);
      const start = Date.now();
      s.kill(victim);
      const next = await until(() => s.workers().find((pid) =>
        pid !== bob.worker && pid !== victim), 5000, 'the next worker');
      const user = await c.native(`user ${i}`, { on: next });
      assert(seconds(start) < 2, `${seconds(start)} s`);
      await free(user, bob);
      await bob.shows({ [`user ${i}`]: 'free' });
    }
    await bob.shows({ 'user 6': null }, 2000);
    assert.equal(bob.count, 2);
  },

  async 'a worker killed under load harms nobody else'(c) {
    const s = c.server;
    const a = await c.native('a');
    const b = await c.native('b', { off: a.worker });
    const d = await c.native('d', { on: b.worker });
    const e = await c.native('e', { on: b.worker });
    const across = await answered(a, b);
    const within = await answered(d, e);
    const data = 'x'.repeat(3000);
    let sent = 0;
    const flood = setInterval(() => {
      for (let i = 0; i < 20; i++) {
        if (!a.end) {
          a.send({ type: 'signal', call: across, data });
        }
        b.send({ type: 'signal', call: across, data });
        d.send({ type: 'signal', call: within, data: sent++ });
      }
    }, 2);
    await sleep(300);
    s.kill(a.worker);
    await sleep(700);
    clearInterval(flood);
    for (let i = 0; i < sent; i++) {
      assert.equal((await e.next('signal')).data, i);
    }
    let message;
    do {
      message = await b.next();
    } while (message.type === 'signal');
    assert.deepEqual(message, { type: 'ended', call: across, reason: 'gone' });
    d.send({ type: 'hangup', call: within });
    await ended(e, within, 'hangup');
    const next = await until(() => s.workers().find((pid) =>
      pid !== b.worker && pid !== a.worker), 5000, 'the next worker');
    const f = await c.native('f', { on: next });
    await free(f, b);
    await free(d, f);
  },

  async 'killed while users come and go: the lists are right after it'(c) {
    const s = c.server;
    const bob = await c.native('bob');
    let on = true;
    const stir = async (name) => {
      while (on) {
        const client = new Native(c.url());
        c.clients.push(client);
        await client.opened.then(() => client.hello(name)).catch(() => {});
        if (client.socket.readyState <= 1) {
          client.socket.terminate();
        }
      }
    };
    const stirring = ['x', 'y', 'z'].map(stir);
    for (let i = 0; i < 5; i++) {
      await sleep(200);
      const victim = s.workers().find((pid) => pid !== bob.worker);
      s.kill(victim);
      await until(() => s.workers().filter((pid) => pid !== victim).length
                        === 2, 5000, 'two workers');
    }
    on = false;
    await Promise.all(stirring);
    await sleep(300); // the last may just have come
    await bob.shows({ x: null, y: null, z: null }, 3000);
    const carol = await c.native('carol', { off: bob.worker });
    assert.deepEqual(carol.welcome.users.map((u) => u.name), ['bob']);
    assert.equal(carol.welcome.count, 2);
    await free(carol, bob);
  },

  async 'quit closes with 1001 and leaves the lock file only'(c) {
    const s = c.server;
    const folder = path.dirname(s.zone);
    assert.equal(fs.statSync(folder).mode & 0o777, 0o711);
    assert.equal(fs.statSync(s.zone).mode & 0o777, 0o600);
    const alice = await c.native('alice');
    const bob = await c.article('bob', { off: alice.worker });
    const mute = await c.open(Native);
    const start = Date.now();
    await Promise.all([s.quit(), alice.ends(1001), bob.ends(1001),
                       mute.ends(1001)]);
    assert(seconds(start) < 5, `${seconds(start)} s`);
    assert.equal(s.exited.code, 0);
    s.assertZoneGone();
  },

  async 'quit does not wait for clients that are slow to ask'(c) {
    const s = c.server;
    const alice = await c.native('alice');
    const slow = await Promise.all(Array.from({ length: 12 }, () =>
      c.rawSocket()));
    await sleep(300);
    const start = Date.now();
    const ended = s.quit(20000);
    await alice.ends(1001);
    assert(seconds(start) < 3, `${seconds(start)} s`);
    slow.forEach((raw) => raw.socket.destroy());
    c.raws.length = 0;
    await ended;
  },

  async 'quit with old workers of a reload ends those too'(c) {
    const s = c.server;
    const alice = await c.native('alice');
    await s.reload();
    const bob = await c.native('bob');
    await Promise.all([s.quit(), alice.ends(), bob.ends(1001)]);
    s.assertZoneGone();
  },

  async 'a fast stop leaves the lock file only'(c) {
    const s = c.server;
    const alice = await c.native('alice');
    await c.native('bob', { off: alice.worker });
    await s.ask('stop');
    await s.end(5000);
    await alice.ends();
    s.assertZoneGone();
  },
});

scenarios({ settings, fresh: true, drain: '4s' }, {
  async 'after the drain time old users are closed with 1012'(c) {
    const s = c.server;
    const alice = await c.native('alice');
    const bob = await c.article('bob');
    const start = Date.now();
    await s.reload();
    await quiet(alice);
    await Promise.all([alice.ends(1012, 15000), bob.ends(1012, 15000)]);
    assert(seconds(start) > 3.8, `${seconds(start)} s`);
    await until(() => s.workers('old').length === 0, 10000,
                'the end of the old workers');
    await c.native('alice');
  },
});

scenarios({ settings, fresh: true, keepZone: true,
            schemes: ['ws'] }, {
  async 'a server that was killed as a whole starts anew, and empty'(c) {
    const s = c.server;
    await c.native('alice');
    const pids = [s.pid, ...s.workers()];
    pids.forEach((pid) => process.kill(pid, 'SIGKILL'));
    await s.gone;
    s.exited = { code: 0 };
    assert(fs.existsSync(s.zone));

    const next = await startServer({ server: s.kind.name, zone: s.zone });
    try {
      const alice = new Native(`${next.ws}/webrtc/signal`);
      await alice.hello('alice');
      assert.equal(alice.welcome.count, 1);
      await alice.close();
    } finally {
      await next.stop();
    }
  },
});
