'use strict';
/*
 * turn.js: coturn for a test, on loopback, with a secret of its own.
 *
 *   const turn = await startTurn(secret);
 *   ... turn.url ...
 *   await turn.stop();
 */

const dgram = require('dgram');
const fs = require('fs');
const os = require('os');
const path = require('path');
const { spawn } = require('child_process');
const { freePorts, until } = require('./server');

const BINARY = process.env.WSIG_TURNSERVER || '/usr/bin/turnserver';

/* A STUN binding request (RFC 5389, section 6) with an empty body. */
const BINDING = Buffer.from('000100002112a442' + '00'.repeat(12), 'hex');

async function startTurn(secret) {
  const [port] = await freePorts(1);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wsig-turn-'));
  const file = path.join(folder, 'turnserver.conf');
  /* In a file and not in argv, where everybody could read the secret. */
  fs.writeFileSync(file, `listening-ip=127.0.0.1
relay-ip=127.0.0.1
listening-port=${port}
realm=localhost
use-auth-secret
static-auth-secret=${secret}
fingerprint
allow-loopback-peers
no-cli
no-tls
no-dtls
log-file=stdout
pidfile=${folder}/pid
userdb=${folder}/db
`, { mode: 0o600 });

  const turn = spawn(BINARY, ['-c', file], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  let ended = false;
  for (const stream of [turn.stdout, turn.stderr]) {
    stream.on('data', (data) => { output += data; });
  }
  const gone = new Promise((resolve) => turn.on('close', () => {
    ended = true;
    resolve();
  }));
  const remove = () => fs.rmSync(folder, { recursive: true, force: true });
  const kill = () => {
    turn.kill('SIGKILL');
    remove();
  };
  process.on('exit', kill);

  try {
    await until(() => {
      if (ended) {
        throw new Error(`coturn did not start:\n${output}`);
      }
      return answers(port);
    }, 10000, 'coturn');
  } catch (error) {
    kill();
    throw error;
  }
  return {
    port,
    url: `turn:127.0.0.1:${port}?transport=udp`,
    log: () => output,
    async stop() {
      turn.kill('SIGTERM');
      await gone;
      process.off('exit', kill);
      remove();
    },
  };
}

function answers(port) {
  return new Promise((resolve) => {
    const socket = dgram.createSocket('udp4');
    const end = (yes) => {
      clearTimeout(timer);
      socket.close();
      resolve(yes);
    };
    const timer = setTimeout(() => end(false), 200);
    socket.once('message', () => end(true));
    socket.once('error', () => end(false));
    socket.connect(port, '127.0.0.1', () => socket.send(BINDING));
  });
}

module.exports = { startTurn };
