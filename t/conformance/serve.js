#!/usr/bin/env node
'use strict';
/*
 * serve.js: plays the server's part of a transcript to a client.  README.md in
 * this folder says how it is used.
 */

const path = require('path');
const { spawn } = require('child_process');
const { parseArgs } = require('util');
const { Mistake, filesIn, readAll } = require('./transcripts');
const { Counterpart } = require('./counterpart');

const USAGE = 'usage: serve.js [--port N] [--run COMMAND] TOPIC/NAME\n'
  + '       serve.js --list';

const idOf = ({ topic, name }) => `${topic}/${name}`;

const all = () => readAll(filesIn(path.join(__dirname, 'client')));

/*
 * Play one.  run: the client's command, which gets the URL in WSIG_URL, and
 * what its user does as lines of JSON on its standard input; without it these
 * lines are printed.
 */
async function serve(transcript, { port = 0, run } = {}) {
  let child = null;
  const tell = (deed) => (child ? child.stdin : process.stdout)
    .write(`${JSON.stringify(deed)}\n`);
  const counterpart = new Counterpart(tell);
  const url = `ws://127.0.0.1:${await counterpart.listen(port)}/webrtc/signal`;
  if (run) {
    child = spawn('/bin/sh', ['-c', `exec ${run}`], {
      env: { ...process.env, WSIG_URL: url },
      stdio: ['pipe', 'ignore', 'inherit'] });
    child.stdin.on('error', () => {});
    child.on('exit', () => counterpart.clientEnded());
  } else {
    console.log(JSON.stringify({ url }));
  }
  try {
    await counterpart.play(transcript);
  } finally {
    counterpart.close();
    if (child) {
      child.kill('SIGKILL');
    }
  }
}

async function main() {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: {
    port: { type: 'string' }, run: { type: 'string' },
    list: { type: 'boolean' } } });
  if (values.list) {
    all().forEach((transcript) => console.log(idOf(transcript)));
    return;
  }
  const transcript = all().find((one) => idOf(one) === positionals[0]);
  if (!transcript) {
    throw new Mistake(USAGE);
  }
  try {
    await serve(transcript, { port: Number(values.port || 0),
                              run: values.run });
    console.log('ok');
  } catch (error) {
    console.log(`not ok: ${error.message}`);
    process.exitCode = 1;
  }
}

if (require.main === module) {
  main().catch((error) => {
    console.error(error instanceof Mistake ? error.message : error);
    process.exitCode = 2;
  });
}

module.exports = { all, idOf, serve };
