'use strict';
/*
 * turn.js: coturn for a test, configured as for production, with a certificate
 * that a test CA of its own signed.
 *
 *   const turn = await startTurn({ secrets: ['16 bytes or more'] });
 *   ... turn.urls.udp, .tcp, .tls, .stun ... turn.ports.plain, .tls ...
 *   ... turn.ca, the path of the CA's certificate ... turn.log() ...
 *   await turn.restart({ secrets: ['another one of them'] });
 *   await turn.stop();
 */

const dgram = require('dgram');
const fs = require('fs');
const os = require('os');
const path = require('path');
const { execFileSync, spawn } = require('child_process');
const { freePorts, until } = require('./server');

const BINARY = process.env.WSIG_TURNSERVER || '/usr/bin/turnserver';

/* A STUN binding request (RFC 8489, section 5) with an empty body. */
const BINDING = Buffer.from('000100002112a442' + '00'.repeat(12), 'hex');

const RENDERER = path.join(__dirname, '../../config/turnserver.sh');
const LOOPBACK = '127.0.0.1';

/*
 * Options:
 *   secrets    lines of the secret file
 *   addresses  where it listens and relays, in place of 127.0.0.1; then peers
 *              on loopback are refused as in production
 *   discovered true: coturn is not told of these, and finds them by itself
 *   rendered   more options of config/turnserver.sh
 *   lines      more lines of coturn's configuration
 */
async function startTurn(options) {
  const [plain, tls] = await freePorts(2);
  const turn = new Turn(options, { plain, tls });
  process.on('exit', turn.abandon);
  try {
    await turn.start();
  } catch (error) {
    turn.abandon();
    throw error;
  }
  return turn;
}

class Turn {
  constructor(options, ports) {
    this.options = { secrets: [], rendered: [], lines: [], ...options };
    this.addresses = options.addresses || [LOOPBACK];
    this.ports = ports;
    const [host] = this.addresses;
    this.urls = {
      stun: `stun:${host}:${ports.plain}`,
      udp: `turn:${host}:${ports.plain}?transport=udp`,
      tcp: `turn:${host}:${ports.plain}?transport=tcp`,
      tls: `turns:localhost:${ports.tls}?transport=tcp`,
    };
    this.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wsig-turn-'));
    this.file = path.join(this.folder, 'turnserver.conf');
    this.ca = path.join(this.folder, 'ca.pem');
    this.output = '';
    this.abandon = () => {
      if (this.process) {
        this.process.kill('SIGKILL');
      }
      this.remove();
    };
    makeAuthority(this.folder);
    certify(this.folder);
  }

  async start() {
    this.configure();
    this.process = spawn(BINARY, ['-c', this.file],
                         { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.process.stdout, this.process.stderr]) {
      stream.on('data', (data) => { this.output += data; });
    }
    let ended = false;
    this.gone = new Promise((resolve) => this.process.on('close', () => {
      ended = true;
      resolve();
    }));
    await until(() => {
      if (ended) {
        throw new Error(`coturn did not start:\n${this.output}`);
      }
      return answers(this.addresses[0], this.ports.plain);
    }, 10000, 'coturn');
  }

  configure() {
    const { secrets, addresses, discovered, rendered, lines } = this.options;
    const secretFile = path.join(this.folder, 'secrets');
    fs.writeFileSync(secretFile, secrets.join('\n'), { mode: 0o600 });
    execFileSync(RENDERER, [
      '--realm', 'localhost', '--secret-file', secretFile,
      '--cert', path.join(this.folder, 'cert.pem'),
      '--key', path.join(this.folder, 'key.pem'),
      '--port', this.ports.plain, '--tls-port', this.ports.tls,
      ...(discovered ? []
        : this.addresses.flatMap((ip) => ['--listening-ip', ip])),
      ...(addresses ? [] : ['--allow-peer', LOOPBACK]),
      ...rendered, '--user', os.userInfo().username, this.file],
    { stdio: 'pipe' });
    fs.appendFileSync(this.file, [
      ...(addresses ? [] : ['allow-loopback-peers']),
      `pidfile=${this.folder}/pid`, ...lines, ''].join('\n'));
  }

  /* All that it wrote, before a restart too. */
  log() {
    return this.output;
  }

  /* Stop it and start it again, on its ports.  changes: options. */
  async restart(changes = {}) {
    Object.assign(this.options, changes);
    await this.end();
    await this.start();
  }

  /* As at the end of its life: another one of the same CA. */
  renewCertificate() {
    certify(this.folder);
    this.process.kill('SIGUSR2');
  }

  async stop() {
    await this.end();
    process.off('exit', this.abandon);
    this.remove();
  }

  async end() {
    this.process.kill('SIGTERM');
    await this.gone;
  }

  remove() {
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}

function openssl(folder, ...args) {
  execFileSync('openssl', [
    'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256',
    '-nodes', '-days', '2', ...args], { cwd: folder, stdio: 'ignore' });
}

/* ca.pem with ca.key. */
function makeAuthority(folder) {
  openssl(folder, '-subj', '/CN=test CA', '-keyout', 'ca.key',
          '-out', 'ca.pem');
}

/* cert.pem with key.pem, which the CA has signed. */
function certify(folder) {
  openssl(folder, '-subj', '/CN=localhost', '-CA', 'ca.pem',
          '-CAkey', 'ca.key',
          '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1',
          '-addext', 'basicConstraints=critical,CA:FALSE',
          '-addext', 'extendedKeyUsage=serverAuth',
          '-keyout', 'key.pem', '-out', 'cert.pem');
}

function answers(host, port) {
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
    socket.connect(port, host, () => socket.send(BINDING));
  });
}

module.exports = { startTurn };
