#!/usr/bin/env node
'use strict';
/*
 * run.js: plays the transcripts' clients against a server.  README.md in this
 * folder says how it is used.
 */

const fs = require('fs');
const path = require('path');
const { execFile } = require('child_process');
const { parseArgs, promisify } = require('util');
const { Mistake, filesIn, readAll } = require('./transcripts');
const { Connection, Session } = require('./connection');
const { Player } = require('./player');

const ALL = path.join(__dirname, 'server');

/* Logins that no running transcript has; those used longest ago come first. */
class Logins {
  constructor(known = {}) {
    this.free = Object.entries(known)
      .map(([name, password]) => ({ name, password }));
    this.n = this.free.length;
    this.waiting = [];
  }

  async take(names) {
    while (this.free.length < names.length) {
      await new Promise((resolve) => this.waiting.push(resolve));
    }
    return Object.fromEntries(names.map((as) => [as, this.free.shift()]));
  }

  give(logins) {
    this.free.push(...Object.values(logins));
    this.waiting.splice(0).forEach((resolve) => resolve());
  }
}

/* What the server says of itself. */
async function featuresOf(settings) {
  const connection = new Connection(settings.places.open, new Session(),
                                    settings);
  try {
    await connection.until(() => connection.open || connection.end || undefined,
                           10000, 'no connection');
    if (connection.end) {
      throw new Mistake(
        `${settings.places.open}: ${JSON.stringify(connection.end)}`);
    }
    const name = `conformance-${process.pid}-${Date.now()}`;
    connection.send(JSON.stringify({ type: 'hello', name, watch: 'none' }));
    return (await connection.take(10000)).message.features || [];
  } finally {
    connection.leave();
  }
}

/* Why a transcript cannot be played here, or null. */
function obstacle({ needs }, settings, features, logins) {
  const place = needs.places.find((name) => !settings.places[name]);
  const deed = needs.deeds.find((name) => !(settings.deeds || {})[name]);
  const feature = needs.features.find((name) => !features.includes(name));
  return place ? `no place "${place}"`
    : deed ? `no command "${deed}"`
    : feature ? `no feature "${feature}"`
    : logins.n < needs.logins.length ? 'too few logins' : null;
}

async function playOne(transcript, settings, logins) {
  const taken = await logins.take(transcript.needs.logins);
  try {
    await new Player(settings, taken).play(transcript);
  } finally {
    logins.give(taken);
  }
}

/*
 * Plays the transcripts of these files, `jobs` at a time; those that do
 * something to the server alone and at the end.  Returns
 * [{transcript, left_out: why} or {transcript, done: promise}].
 */
async function run(settings, files = filesIn(ALL)) {
  const transcripts = readAll(files);
  const features = await featuresOf(settings);
  const logins = new Logins(settings.logins);
  const results = transcripts.map((transcript) => {
    const left_out = obstacle(transcript, settings, features, logins);
    const result = { transcript, left_out };
    result.done = new Promise((resolve, reject) => {
      result.start = () => playOne(transcript, settings, logins)
        .then(resolve, reject);
    });
    result.done.catch(() => {}); // it is told by whoever asks
    return result;
  });
  const wanted = results.filter(({ left_out }) => !left_out);
  const alone = ({ transcript }) => transcript.needs.deeds.length > 0;
  const queue = wanted.filter((result) => !alone(result));
  const work = async () => {
    while (queue.length > 0) {
      await queue.shift().start();
    }
  };
  Promise.all(Array.from({ length: settings.jobs || 8 }, work))
    .then(async () => {
      for (const result of wanted.filter(alone)) {
        await result.start();
      }
    });
  return results;
}

function readArguments() {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: {
    url: { type: 'string' }, settings: { type: 'string' },
    insecure: { type: 'boolean' }, jobs: { type: 'string' } } });
  const read = values.settings
    ? JSON.parse(fs.readFileSync(values.settings, 'utf8')) : {};
  const settings = { ...read, places: { ...read.places } };
  if (values.url) {
    settings.places.open = values.url;
  }
  if (!settings.places.open) {
    throw new Mistake('usage: run.js --url wss://host/webrtc/signal '
      + '[--insecure] [--jobs N] [--settings FILE] [FILE...]');
  }
  const shell = (command) => () =>
    promisify(execFile)('/bin/sh', ['-c', command]);
  settings.deeds = Object.fromEntries(Object.entries(read.commands || {})
    .map(([name, command]) => [name, shell(command)]));
  settings.insecure = values.insecure || read.insecure;
  settings.jobs = Number(values.jobs) || read.jobs;
  return { settings, files: positionals.length > 0 ? positionals : undefined };
}

async function main() {
  const { settings, files } = readArguments();
  const results = await run(settings, files);
  let failed = 0;
  for (const [i, { transcript, left_out, done }] of results.entries()) {
    const name = `${i + 1} - ${transcript.topic}: ${transcript.name}`;
    if (left_out) {
      console.log(`ok ${name} # SKIP ${left_out}`);
      continue;
    }
    try {
      await done;
      console.log(`ok ${name}`);
    } catch (error) {
      failed++;
      console.log(`not ok ${name}`);
      console.log(error.message.replace(/^/gm, '# '));
    }
  }
  console.log(`1..${results.length}`);
  process.exit(failed > 0 ? 1 : 0);
}

if (require.main === module) {
  main().catch((error) => {
    console.error(error instanceof Mistake ? error.message : error);
    process.exit(2);
  });
}

module.exports = { ALL, run };
