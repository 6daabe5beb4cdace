#!/usr/bin/env node
'use strict';
/*
 * Calls survive: connections cut at any byte, reloads, killed workers.
 *
 * Short here; WSIG_SURVIVE says how many seconds each test takes.
 */

const assert = require('assert');
const { scenarios } = require('../lib/scenarios');
const { Talker, talk } = require('../lib/talker');
const { SEED, seeded } = require('../lib/random');
const { diag } = require('../lib/tap');
const { sleep } = require('../lib/server');

const SECONDS = Number(process.env.WSIG_SURVIVE || 5);
const EVERY = 3000; // ms, between reloads and between kills

/*
 * Pairs on ws, on wss and across, all through proxies; harm(turn) is done to
 * them again and again, until the time is over.
 */
async function survive(c, harm) {
  const random = seeded();
  const proxies = { ws: await c.proxy('ws'), wss: await c.proxy('wss') };
  const person = (name, scheme) => c.durable(name, {
    Kind: Talker, random, base: c.server[scheme], proxy: proxies[scheme],
  }, { watch: 'none' });
  const pairs = [];
  for (const [i, schemes] of [['ws', 'ws'], ['wss', 'wss'], ['ws', 'wss'],
                              ['wss', 'ws']].entries()) {
    pairs.push([await person(`a${i}`, schemes[0]),
                await person(`b${i}`, schemes[1])]);
  }
  const all = pairs.flat();
  const watcher = await c.durable('watcher');

  const end = Date.now() + SECONDS * 1000;
  const going = () => Date.now() < end
                      && all.every((person) => person.wrong.length === 0);
  let failure = null;
  const talking = Promise.all(pairs.map(([a, b]) => talk(a, b, random, going)))
    .catch((error) => { failure = error; });
  for (let turn = 0; going() && !failure; turn++) {
    await harm({ turn, random, proxies, going, all });
  }
  const calls = await talking;

  const sum = (of) => all.reduce((total, person) => total + of(person), 0);
  const workers = new Set(all.flatMap((person) =>
    person.links.map((link) => link.worker)).filter(Boolean));
  diag(`seed ${SEED}: ${failure ? '?' : calls.reduce((x, y) => x + y)} calls, ${
    sum((p) => p.numbers)} numbers, ${
    proxies.ws.cuts + proxies.wss.cuts} cuts, ${
    sum((p) => p.resumed)} resumes on ${workers.size} workers, ${
    sum((p) => p.lost)} told lost, ${sum((p) => p.gaps)} gaps`);
  all.forEach((person) => {
    assert.deepEqual(person.wrong, []);
    assert.deepEqual(person.faults, [], person.name);
    assert.equal(person.end, null, person.name);
  });
  if (failure) {
    throw failure;
  }
  await watcher.shows(Object.fromEntries(all.map(({ name }) => [name, 'free'])));
  assert.equal(watcher.contradiction, undefined);
  return { all, pairs, lost: sum((p) => p.lost),
           resumed: sum((p) => p.resumed),
           cuts: proxies.ws.cuts + proxies.wss.cuts };
}

/* Wait, but not beyond the end. */
async function pause(ms, { going }) {
  for (const end = Date.now() + ms; going() && Date.now() < end;) {
    await sleep(20);
  }
}

const options = { settings: { rate: '0', max_backlog: '2m' }, fresh: true,
                  schemes: ['ws'], together: true, ms: SECONDS * 1000 + 40000 };

scenarios(options, {
  async 'connections cut at any byte: each number once, in order'(c) {
    const seen = await survive(c, async ({ random, proxies }) => {
      await sleep(20 + random() * 150);
      proxies[random() < 0.5 ? 'ws' : 'wss'].cutAfter(() =>
        1 + Math.floor(random() ** 2 * 2000));
    });
    assert(seen.cuts >= SECONDS * 10, `${seen.cuts} cuts`);
    assert(seen.resumed >= seen.cuts / 2, `${seen.resumed} resumes`);
    assert.equal(seen.lost, 0);
  },

  async 'reloads: nothing is lost, and no call ends'(c) {
    const seen = await survive(c, async ({ turn, random, proxies, going }) => {
      if (turn % 2) {
        proxies[random() < 0.5 ? 'ws' : 'wss'].cutAfter(() =>
          1 + Math.floor(random() * 2000));
      }
      await c.server.reload();
      await pause(EVERY, { going });
    });
    assert(seen.resumed >= seen.all.length, `${seen.resumed} resumes`);
    assert.equal(seen.lost, 0);
  },

  async 'killed workers: no call ends, and who lost something is told'(c) {
    const seen = await survive(c, async ({ random, going, all }) => {
      await pause(random() * 300, { going });
      const { worker } = all[Math.floor(random() * all.length)];
      if (c.server.workers().includes(worker)) {
        c.server.kill(worker); // somebody's
      }
      await pause(EVERY, { going });
    });
    assert(seen.lost > 0, 'somebody was told');
  },
});
