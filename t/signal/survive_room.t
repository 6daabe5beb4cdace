#!/usr/bin/env node
'use strict';
/*
 * A room's full mesh survives: connections cut at any byte, reloads, killed
 * workers.  Everybody sends numbers to all others.
 *
 * Short here; WSIG_SURVIVE says how many seconds each test takes.
 */

const assert = require('assert');
const crypto = require('crypto');
const { scenarios } = require('../lib/scenarios');
const { Durable } = require('../lib/durable');
const { SEED, seeded } = require('../lib/random');
const { diag } = require('../lib/tap');
const { sleep, until } = require('../lib/server');

const MEMBERS = 8;
const SECONDS = Number(process.env.WSIG_SURVIVE || 4);

/* One of a full mesh: it says numbers to all others. */
class Meshed extends Durable {
  constructor(url, rest) {
    super(url, rest);
    this.wrong = [];
    this.others = [];
    this.said = 0;
    this.heardOf = new Map(); // peer -> {next, losses}
    this.numbers = 0;
    this.gaps = 0;
    this.seen = 0;
  }

  arrived(text) {
    const before = this.seen;
    this.seen = this.welcomes.length;
    super.arrived(text);
    if (this.seen > before && this.room) {
      this.review();
    }
    this.inbox.splice(0).forEach((message) => this.take(message));
  }

  /* After a loss it enters again; it never was out of the room. */
  review() {
    if (!this.welcome.resumed) {
      this.wrong.push(`${this.name} lost its place`);
    } else if (this.welcome.lost) {
      this.send({ type: 'enter', room: this.room });
    }
  }

  take(message) {
    const { type, from, data, members, peer } = message;
    if (type === 'room') {
      this.members = new Set(members.map((m) => m.peer));
    } else if (type === 'entered') {
      this.members.add(peer);
    } else if (type === 'signal') {
      this.number(from, data);
    } else {
      this.wrong.push(`${this.name} got ${JSON.stringify(message)}`);
    }
  }

  number(from, n) {
    const other = this.others.find((o) => o.welcome.peer === from);
    const losses = this.lost + other.lost;
    const known = this.heardOf.get(from) || { next: 0, losses: 0 };
    this.numbers++;
    if (n !== known.next) {
      this.gaps++;
      if (n < known.next || losses === known.losses) {
        this.wrong.push(`${this.name} got ${n} of ${other.name}, not ${
          known.next}`);
      }
    }
    this.heardOf.set(from, { next: n + 1, losses });
  }

  say() {
    const data = this.said++;
    this.others.forEach((other) => this.send({ type: 'signal', data,
      room: this.room, to: other.welcome.peer }));
  }

  complete() {
    return this.others.every((other) => {
      const known = this.heardOf.get(other.welcome.peer);
      return known && (known.next === other.said
                       || this.lost + other.lost > known.losses);
    });
  }
}

async function mesh(c, harm) {
  const random = seeded();
  const proxies = { ws: await c.proxy('ws'), wss: await c.proxy('wss') };
  const all = [];
  for (let i = 0; i < MEMBERS; i++) {
    const scheme = i % 2 ? 'wss' : 'ws';
    all.push(await c.durable(`user ${i}`, {
      Kind: Meshed, random, base: c.server[scheme], proxy: proxies[scheme],
    }, { watch: 'none' }));
  }
  const room = crypto.randomBytes(16).toString('base64url');
  for (const person of all) {
    person.others = all.filter((other) => other !== person);
    person.room = room;
    person.send({ type: 'enter', room });
    await person.until(() => person.members, 'the room');
  }
  await Promise.all(all.map((person) =>
    person.until(() => person.members.size === MEMBERS - 1, 'the others')));
  const end = Date.now() + SECONDS * 1000;
  const going = () => Date.now() < end
                      && all.every((person) => person.wrong.length === 0);
  const talking = (async () => {
    while (going()) {
      all[Math.floor(random() * all.length)].say();
      await sleep(random() * 10);
    }
  })();
  while (going()) {
    await harm({ random, proxies, going, all });
  }
  await talking;
  const sum = (of) => all.reduce((total, person) => total + of(person), 0);
  await until(() => all.every((p) => p.joined && p.complete())
                    || sum((p) => p.wrong.length) > 0, 15000,
              'all numbers').catch((failure) => {
    all[0].wrong.push(failure.message);
  });
  const cuts = proxies.ws.cuts + proxies.wss.cuts;
  diag(`seed ${SEED}: ${sum((p) => p.numbers)} numbers, ${cuts} cuts, ${
    sum((p) => p.resumed)} resumes, ${sum((p) => p.lost)} told lost, ${
    sum((p) => p.gaps)} gaps`);
  for (const person of all) {
    assert.deepEqual(person.wrong, []);
    assert.deepEqual(person.faults, [], person.name);
    assert.deepEqual([...person.members].sort(),
                     person.others.map((o) => o.welcome.peer).sort());
  }
  return { lost: sum((p) => p.lost), cuts };
}

scenarios({ settings: { rate: '0' }, fresh: true, schemes: ['ws'],
            together: true, ms: SECONDS * 1000 + 40000 }, {
  async 'a full mesh, cut at any byte: each number once, in order'(c) {
    const { lost, cuts } = await mesh(c, async ({ random, proxies }) => {
      await sleep(20 + random() * 150);
      proxies[random() < 0.5 ? 'ws' : 'wss'].cutAfter(() =>
        1 + Math.floor(random() ** 2 * 4000));
    });
    assert(cuts >= SECONDS * 8, `${cuts} cuts`);
    assert.equal(lost, 0);
  },

  async 'a full mesh, with workers that come and go'(c) {
    let turn = 0;
    const { lost } = await mesh(c, async ({ going, all }) => {
      const { worker } = all.find((person) => person.joined) || {};
      if (turn++ % 2) {
        await c.server.reload();
      } else if (c.server.workers().includes(worker)) {
        c.server.kill(worker); // somebody's
      }
      for (let i = 0; i < 50 && going(); i++) {
        await sleep(30);
      }
    });
    assert(lost > 0, 'somebody was told');
  },
});
