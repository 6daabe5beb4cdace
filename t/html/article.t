#!/usr/bin/env node
'use strict';
/* The article's protocol in browsers, the two users on different workers. */

const { inOwnNetwork, onEachServer } = require('../lib/browser');
inOwnNetwork();

const assert = require('assert');
const fs = require('fs');
const path = require('path');
const { Proxy } = require('../lib/proxy');

const CLIENT = path.join(__dirname, 'article-client');
const options = { path: '/article-client/' };

async function enter(person) {
  await person.page.getByLabel('Nickname').fill(person.name);
  await person.press('Enter');
}

/* Two people, each led to the worker of that place in the list. */
async function people(c, ...workers) {
  fs.cpSync(CLIENT, path.join(c.s.files.root, 'article-client'),
            { recursive: true });
  const pids = c.s.workers();
  const found = [];
  for (const [i, worker] of workers.entries()) {
    const proxy = await Proxy.start(c.s.ports.https, { worker: pids[worker] });
    const base = `https://localhost:${proxy.port}`;
    const person = await c.browser.person(['alice', 'bob'][i], base, options);
    found.push(person);
    await enter(person);
  }
  return found;
}

async function call(alice, bob) {
  await alice.press('Call bob');
  await Promise.all([alice.sees(/^connected$/), bob.sees(/^connected$/)]);
  await Promise.all([alice, bob].flatMap((p) =>
    [p.seesPicture(), p.hearsSound()]));
}

const tests = {
  async 'a call between two workers'(c) {
    assert(c.s.workers().length >= 2, 'two workers');
    const [alice, bob] = await people(c, 0, 1);
    await call(alice, bob);
    alice.quiet();
    bob.quiet();
  },

  async 'a call on one worker'(c) {
    const [alice, bob] = await people(c, 1, 1);
    await call(alice, bob);
  },

  async 'the sockets are closed, the names are free, the call goes on'(c) {
    const [alice, bob] = await people(c, 0, 1);
    await call(alice, bob);
    const carol = await c.person('alice', options);
    await enter(carol);
    const again = await c.person('bob', options);
    await enter(again);
    await carol.button('Call bob').waitFor();
    await Promise.all([alice.seesPicture(), bob.seesPicture()]);
  },

  async 'users of the call page are not on this list, nor these on theirs'(c) {
    const native = await c.person('nadia');
    await native.join();
    const [alice] = await people(c, 0, 1);
    await alice.button('Call bob').waitFor();
    assert.equal(await alice.page.getByRole('button').count(), 2);
    await native.sees('You see nobody else here yet.');
  },
};

onEachServer({}, tests);
