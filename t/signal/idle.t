#!/usr/bin/env node
'use strict';
/*
 * Thousands of users who sit there: the web server serves its pages, and the
 * memory of each is small.
 */

const assert = require('assert');
const path = require('path');
const { fork } = require('child_process');
const { scenarios } = require('../lib/scenarios');
const { diag } = require('../lib/tap');
const { ring } = require('../lib/call');
const { get } = require('../lib/web');
const { sleep, until } = require('../lib/server');

const SCRIPT = path.join(__dirname, '..', 'lib', 'idle-users.js');

/* Users in several processes: {lost(), end()}. */
async function idlers(c, count, processes) {
  const children = Array.from({ length: processes }, (_, i) =>
    fork(SCRIPT, [c.base, Math.floor(count / processes), `idler ${i}`]));
  let lost = 0;
  await Promise.all(children.map((child) => new Promise((resolve, reject) => {
    child.on('message', (message) => {
      if (message.ready) {
        resolve();
      } else if (message.failed) {
        reject(new Error(message.failed));
      } else {
        lost++;
      }
    });
    child.on('exit', () => reject(new Error('a process of idle users ended')));
  }))).catch((error) => {
    children.forEach((child) => child.kill());
    throw error;
  });
  return {
    lost: () => lost,
    end: () => Promise.all(children.map((child) => new Promise((resolve) => {
      child.removeAllListeners('message');
      child.on('exit', resolve);
      child.send('end');
    }))),
  };
}

const memory = (c) => c.server.workers()
  .reduce((sum, pid) => sum + c.server.rss(pid), 0);

/* GET n times, ten at a time; how many failed, and the slowest. */
async function visit(c, n) {
  let failed = 0;
  let slowest = 0;
  const visitor = async () => {
    while (n-- > 0) {
      const start = performance.now();
      const { status, body } = await get(c.web, '/plain.txt')
        .catch((error) => ({ status: error.message }));
      slowest = Math.max(slowest, performance.now() - start);
      failed += status !== 200 || body !== 'plain\n';
    }
  };
  await Promise.all(Array.from({ length: 10 }, visitor));
  return { failed, slowest };
}

async function idle(c, count, processes, limit) {
  const watcher = await c.native('watcher', {}, { watch: 'none' });
  for (let round = 0; round < 2; round++) { // each worker has served some
    const warm = await idlers(c, 40, 1);
    await visit(c, 40);
    await warm.end();
  }
  await sleep(300);
  const before = memory(c);
  const start = Date.now();
  const users = await idlers(c, count, processes);
  try {
    await sleep(500);
    const each = (memory(c) - before) / count;
    diag(`${count} idle users on ${c.scheme}: ${Math.round(each)} B of user `
         + `memory each, opened in ${Date.now() - start} ms`);
    const { failed, slowest } = await visit(c, 1000);
    diag(`1000 GETs: ${failed} failed, the slowest took `
         + `${Math.round(slowest)} ms`);
    assert.equal(failed, 0);
    assert(each < limit, `${each} B are too many`);
    assert.equal(users.lost(), 0);

    const list = await watcher.ask({ type: 'watch', names: 'none' }, 'users');
    assert.equal(list.count, count + 1);
    const late = await c.native('late');
    assert.equal(late.welcome.users, null);
    assert.equal(late.welcome.count, count + 2);
    const dialled = performance.now();
    await ring(watcher, late);
    diag(`a ring among them takes ${
      (performance.now() - dialled).toFixed(1)} ms`);
  } finally {
    await users.end();
  }
  await until(async () => (await watcher.ask(
    { type: 'watch', names: 'none' }, 'users')).count === 2, 10000,
    'the end of the idle users');
}

const options = { settings: { ping: '5m' }, connections: 12000, fresh: true,
                  ms: 90000 };

scenarios({ ...options, schemes: ['ws'] }, {
  '10,000 idle users': (c) => idle(c, 10000, 4, 1000),
});

scenarios({ ...options, schemes: ['wss'] }, {
  '2,000 idle users': (c) => idle(c, 2000, 2, 18000),
});
