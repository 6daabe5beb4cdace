#!/usr/bin/env node
'use strict';
/*
 * The protocol's transcripts (t/conformance), played against both servers.
 */

const assert = require('assert');
const { servers, startServer } = require('../lib/server');
const { attempt, later } = require('../lib/tap');
const { run } = require('../conformance/run');

const USERS = Object.fromEntries(Array.from({ length: 60 }, (_, i) =>
  [`member ${i}`, `secret${i}`]));
const MEMBER = { identity: 'remote_user' };

/* What t/conformance/README.md says about the places. */
const PLACES = {
  open: {},
  members: { auth: true, settings: MEMBER },
  callers: { settings: { ...MEMBER, guests: 'call' } },
  closed: { settings: MEMBER },
  quick: { settings: { ring_timeout: '2s', hello_timeout: '1s' } },
  elsewhere: { settings: { realm: 'elsewhere' } },
};

const locations = Object.fromEntries(Object.entries(PLACES)
  .map(([name, place]) => [`/${name}`, { kind: 'signal', ...place }]));

async function conforms(s, scheme) {
  const places = Object.fromEntries(Object.keys(PLACES)
    .map((name) => [name, `${s[scheme]}/${name}`]));
  const results = await run({ places, logins: USERS, insecure: true, jobs: 8 });
  for (const { transcript, left_out, done } of results) {
    const { topic, name } = transcript;
    await attempt(`${s.options.server} ${scheme}: ${topic}: ${name}`,
      async () => {
        assert(!left_out, left_out);
        await done;
      }, 60000);
  }
}

for (const server of servers) {
  later(async () => {
    const s = await startServer({ server, users: USERS, locations,
                                  settings: { rate: '0' } });
    for (const scheme of ['ws', 'wss']) {
      await conforms(s, scheme);
    }
    await attempt(`${server}: the server ends in good order`, () => s.stop());
  });
}
