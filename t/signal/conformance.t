#!/usr/bin/env node
'use strict';
/*
 * The protocol's transcripts (t/conformance), played against both servers.
 */

const assert = require('assert');
const { servers, startServer } = require('../lib/server');
const { attempt, later } = require('../lib/tap');
const { run } = require('../conformance/run');

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

function begin(s, scheme) {
  const places = Object.fromEntries(Object.keys(PLACES)
    .map((name) => [name, `${s[scheme]}/${name}`]));
  return run({ places, logins: logins(scheme), insecure: true, jobs: 12 });
}

/* Over ws and wss at a time: the transcripts wait more than they work. */
async function conforms(s) {
  const schemes = ['ws', 'wss'];
  const runs = await Promise.all(schemes.map((scheme) => begin(s, scheme)));
  for (const [i, results] of runs.entries()) {
    for (const { transcript, left_out, done } of results) {
      const { topic, name } = transcript;
      await attempt(
        `${s.options.server} ${schemes[i]}: ${topic}: ${name}`,
        async () => {
          assert(!left_out, left_out);
          await done;
        }, 60000);
    }
  }
}

for (const server of servers) {
  later(async () => {
    const s = await startServer({ server, locations,
                                  users: { ...logins('ws'), ...logins('wss') },
                                  settings: { rate: '0' } });
    await conforms(s);
    await attempt(`${server}: the server ends in good order`, () => s.stop());
  });
}
