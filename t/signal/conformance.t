#!/usr/bin/env node
'use strict';
/*
 * The protocol's transcripts (t/conformance), played against both servers; and
 * those for clients against the browser library.
 */

const assert = require('assert');
const path = require('path');
const { servers, startServer, until } = require('../lib/server');
const { attempt, later, test } = require('../lib/tap');
const { ALL, run } = require('../conformance/run');
const { filesIn } = require('../conformance/transcripts');
const { all, idOf, serve } = require('../conformance/serve');

const GOODBYE = path.join(ALL, 'goodbye.json');
const LIBRARY = path.join(__dirname, '..', 'conformance', 'client',
                          'library.js');

/* Each scheme has its own: what a login does on the one must not be seen on the
 * other. */
const logins = (scheme) => Object.fromEntries(Array.from({ length: 40 },
  (_, i) => [`${scheme} ${i}`, `secret${i}`]));
const MEMBER = { identity: 'remote_user' };

/* What t/conformance/README.md says about the places. */
const PLACES = {
  open: {},
  members: { auth: true, settings: MEMBER },
  callers: { settings: { ...MEMBER, guests: 'call' } },
  closed: { settings: MEMBER },
  quick: { settings: { ring_timeout: '2s', hello_timeout: '1s',
                       resume: '1s' } },
  plain: { settings: { resume: '0' } },
  elsewhere: { settings: { realm: 'elsewhere' } },
};

const locations = Object.fromEntries(Object.entries(PLACES)
  .map(([name, place]) => [`/${name}`, { kind: 'signal', ...place }]));

/* All workers die, and others come. */
async function killAll(s) {
  const old = [...s.workers(), ...s.workers('old')];
  old.forEach((pid) => s.kill(pid));
  await until(() => s.workers().filter((pid) => !old.includes(pid)).length
                    >= s.options.workers, 10000, 'new workers');
}

/* It ends in good order, and is started again. */
async function restart(s) {
  await s.quit();
  s.exited = null;
  await s.start();
}

async function beginOn(server) {
  const s = await startServer({ server, locations, settings: { rate: '0' },
                                users: { ...logins('ws'), ...logins('wss') } });
  const deeds = { reload: () => s.reload(), kill: () => killAll(s),
                  restart: () => restart(s) };
  const begin = async (scheme, files) => {
    const places = Object.fromEntries(Object.keys(PLACES)
      .map((name) => [name, `${s[scheme]}/${name}`]));
    return [scheme, await run({ places, logins: logins(scheme), deeds,
                                insecure: true, jobs: 8 }, files)];
  };
  const runs = await Promise.all(['ws', 'wss'].map((scheme) =>
    begin(scheme, filesIn(ALL).filter((file) => file !== GOODBYE))));
  const differing = over(runs).then(() => differs(s));
  differing.catch(() => {}); // its test tells
  return { s, runs, differing, goodbyes: goodbyes(begin, differing) };
}

const over = (runs) => Promise.allSettled(
  runs.flatMap(([, results]) => results.map(({ done, left_out }) =>
    left_out ? null : done)));

/* What is done to the server all would feel: after all else, ws before wss. */
async function goodbyes(begin, before) {
  await before.catch(() => {});
  const ws = await begin('ws', [GOODBYE]);
  await over([ws]);
  return [ws, await begin('wss', [GOODBYE])];
}

async function tell(server, [scheme, results]) {
  for (const { transcript, left_out, done } of results) {
    await attempt(`${server} ${scheme}: ${idOf(transcript)}`, async () => {
      assert(!left_out, left_out);
      await done;
    }, 60000);
  }
}

/* A realm in the place of another one, and no other places. */
async function differs(s) {
  const open = `${s.ws}/open`;
  const results = await run({ places: { open, elsewhere: open } },
                            [path.join(ALL, 'joining.json')]);
  for (const { transcript, left_out, done } of results) {
    const { needs, name } = transcript;
    if (needs.places.includes('elsewhere')) {
      await assert.rejects(done, /^Error: step 2, .*users has /s, name);
    } else if (needs.places.every((place) => place === 'open')) {
      await done;
    } else {
      assert.match(left_out, /^no place "(members|closed|quick)"/, name);
    }
  }
}

/* The transcripts for clients, four at a time: [{transcript, done}]. */
function beginClients() {
  const results = all().map((transcript) => {
    const result = { transcript };
    result.done = new Promise((resolve, reject) => {
      result.start = () => serve(transcript, { run: `node ${LIBRARY}` })
        .then(resolve, reject);
    });
    result.done.catch(() => {}); // its test tells
    return result;
  });
  const left = [...results];
  Array.from({ length: 4 }, async () => {
    while (left.length > 0) {
      await left.shift().start();
    }
  });
  return results;
}

/* All at once: transcripts wait more than they work. */
const begun = servers.map((server) => [server, beginOn(server)]);
begun.forEach(([, promise]) => promise.catch(() => {})); // its test tells
const clients = beginClients();

for (const [server, promise] of begun) {
  later(async () => {
    let on;
    if (!await attempt(`${server}: the server starts`, async () => {
      on = await promise;
    })) {
      return;
    }
    for (const one of on.runs) {
      await tell(server, one);
    }
    await attempt(`${server}: what differs is told, what is not there left out`,
                  () => on.differing, 60000);
    for (const one of await on.goodbyes) {
      await tell(server, one);
    }
    await attempt(`${server}: the server ends in good order`,
                  () => on.s.stop());
  });
}

for (const { transcript, done } of clients) {
  later(() => attempt(`the library: ${idOf(transcript)}`, () => done, 60000));
}

test('a client that does not come is told', async () => {
  await assert.rejects(serve(all()[0], { run: 'true' }),
                       /the client has ended/);
});
