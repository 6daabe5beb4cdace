'use strict';
/*
 * server.js: a real server for a test, in a folder and on ports of its own.
 *
 *   const { servers, startServer } = require('../lib/server');
 *   const s = await startServer({ server: 'nginx', workers: 2,
 *                                 settings: { max_message: '64k' } });
 *   ... s.ws + '/webrtc/signal' ...
 *   await s.stop();
 *
 * Settings have neutral names (the directives' nouns); what is one server's
 * own stands in server-NAME.js.
 */

const assert = require('assert');
const fs = require('fs');
const http = require('http');
const net = require('net');
const os = require('os');
const path = require('path');
const { execFileSync, spawn, spawnSync } = require('child_process');

const kinds = {};
for (const file of fs.readdirSync(__dirname).sort().reverse()) {
  const match = /^server-(\w+)\.js$/.exec(file);
  if (match) {
    kinds[match[1]] = require(path.join(__dirname, file));
  }
}

const servers = process.env.WSIG_SERVERS
  ? process.env.WSIG_SERVERS.split(/[ ,]+/).filter(Boolean)
  : Object.keys(kinds);

const HTML = path.join(__dirname, '..', '..', 'html');

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

let count = 0; // of servers that this process started

/* Wait until check() gives something true, and return it. */
async function until(check, ms = 5000, what = 'a condition') {
  const end = Date.now() + ms;
  for (;;) {
    const value = await check();
    if (value) {
      return value;
    }
    if (Date.now() > end) {
      throw new Error(`waited ${ms} ms in vain for ${what}`);
    }
    await sleep(10);
  }
}

/* Not of those that the system gives to outgoing connections: other tests open
 * thousands, and one of these ports may be gone before the server has it. */
const PORTS = { first: 12000, last: 31999 };

async function freePorts(n) {
  const listeners = [];
  for (let tries = 0; listeners.length < n; tries++) {
    const port = PORTS.first
      + Math.floor(Math.random() * (PORTS.last - PORTS.first + 1));
    const listener = net.createServer();
    const free = await new Promise((resolve, reject) => {
      listener.on('error', (error) =>
        (tries < 100 ? resolve(false) : reject(error)));
      listener.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (free) {
      listeners.push(listener);
    }
  }
  const ports = listeners.map((listener) => listener.address().port);
  await Promise.all(listeners.map((listener) =>
    new Promise((resolve) => listener.close(resolve))));
  return ports;
}

let certificate; // made once in a process: {cert, key} as PEM texts

function makeCertificate() {
  if (!certificate) {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wsig-cert-'));
    const [cert, key] = ['cert.pem', 'key.pem'].map((f) => path.join(folder, f));
    execFileSync('openssl', [
      'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256',
      '-nodes', '-days', '2', '-subj', '/CN=localhost',
      '-addext', 'subjectAltName=DNS:localhost,DNS:*.test,IP:127.0.0.1',
      '-keyout', key, '-out', cert], { stdio: 'ignore' });
    certificate = { cert: fs.readFileSync(cert), key: fs.readFileSync(key) };
    fs.rmSync(folder, { recursive: true });
  }
  return certificate;
}

function makeFolder(options) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wsig-server-'));
  fs.chmodSync(folder, 0o755);
  const files = {
    folder,
    log: path.join(folder, 'error.log'),
    access: path.join(folder, 'access.log'),
    certificate: path.join(folder, 'cert.pem'),
    key: path.join(folder, 'key.pem'),
    users: path.join(folder, 'users'),
    secrets: path.join(folder, 'secrets'),
    html: path.join(folder, 'html'),
    root: path.join(folder, 'root'),
  };

  const { cert, key } = makeCertificate();
  fs.writeFileSync(files.certificate, cert);
  fs.writeFileSync(files.key, key, { mode: 0o600 });
  fs.writeFileSync(files.log, '');
  fs.mkdirSync(files.root);
  fs.writeFileSync(path.join(files.root, 'plain.txt'), 'plain\n');
  if (fs.existsSync(HTML)) {
    fs.cpSync(HTML, files.html, { recursive: true });
  } else {
    fs.mkdirSync(files.html);
  }
  if (options.users) {
    const lines = Object.entries(options.users).map(([name, password]) =>
      `${name}:${execFileSync('openssl', ['passwd', '-apr1', password],
                              { encoding: 'utf8' })}`);
    fs.writeFileSync(files.users, lines.join(''));
  }
  if (options.secrets) {
    fs.writeFileSync(files.secrets, options.secrets.join('\n') + '\n',
                     { mode: 0o600 });
  }
  return files;
}

/* The hosts of the options, each with the three usual locations. */
function makeHosts(o) {
  const usual = {
    '/webrtc/signal': { kind: 'signal' },
    '/webrtc/ice': { kind: 'ice' },
    '/webrtc/status': { kind: 'status' },
  };
  const settings = { ...(o.secrets && { turn_secret_file: o.files.secrets }),
                     ...o.settings };
  const whole = (h) => {
    const all = { ...usual, ...h.locations };
    return { ...h, settings: { ...settings, ...h.settings },
             locations: Object.fromEntries(Object.entries(all).filter(
               ([, l]) => l)) };
  };
  return [{ names: ['localhost', '127.0.0.1'], locations: o.locations },
          ...(o.hosts || [])].map(whole);
}

function writeConfiguration(kind, o) {
  for (const [name, text] of Object.entries(kind.configure(o))) {
    fs.writeFileSync(path.join(o.files.folder, name), text);
  }
}

/*
 * Options (all but server may be left out):
 *   server       'nginx' or 'apache'
 *   workers      2
 *   connections  of one worker, 1024
 *   settings     {noun: value or list of values}, for the whole server;
 *                values of identity and realm: 'remote_user', 'cookie_user'
 *                (what the cookie `user` says), 'host', 'none'
 *   locations    {path: {kind: 'signal'|'ice'|'status', auth, settings}},
 *                beside /webrtc/signal, /webrtc/ice and /webrtc/status, or in
 *                their place (null: without it)
 *   hosts        [{names, settings, locations}]: more virtual hosts
 *   users        {name: password}, for locations with auth: true
 *   secrets      lines of the TURN secret file
 *   zoneSize     '16m'
 *   drain        how long old workers stay after a reload
 *   logLevel     'info'
 *   pageHeaders  {name: value}, of what stands under /webrtc/
 *   reuseport    true: connections fall evenly on the workers
 *   sslProtocols 'TLSv1.2'
 * and those of server-NAME.js.
 */
async function prepare(options) {
  const kind = kinds[options.server];
  if (!kind) {
    throw new Error(`no server "${options.server}"`);
  }
  for (const file of kind.needs) {
    if (!fs.existsSync(file)) {
      throw new Error(`${file} is missing: build it first`);
    }
  }
  const [httpPort, httpsPort] = await freePorts(2);
  const shared = fs.existsSync('/dev/shm') ? '/dev/shm' : os.tmpdir();
  const o = {
    workers: 2, connections: 1024, zoneSize: '16m', logLevel: 'info',
    reuseport: true, ...options,
    ports: { http: httpPort, https: httpsPort },
    zone: options.zone ||
          path.join(shared, `wsig-test-${process.pid}-${++count}`, 'zone'),
    files: makeFolder(options),
  };
  o.hosts = makeHosts(o);
  writeConfiguration(kind, o);
  return { kind, o };
}

/* What the server's own check of its configuration says: {ok, text, zone,
 * mistake(setting)}, the last being the line about a setting's wrong value. */
async function checkConfiguration(options) {
  const { kind, o } = await prepare(options);
  const [binary, args] = kind.checkCommand(o);
  const run = spawnSync(binary, args, { encoding: 'utf8' });
  const text = fs.readFileSync(o.files.log, 'utf8') + run.stdout + run.stderr;
  fs.rmSync(o.files.folder, { recursive: true, force: true });
  return { ok: run.status === 0, text, zone: o.zone,
           mistake: (setting) => kind.mistake(text, setting) };
}

class Server {
  constructor(kind, o) {
    this.kind = kind;
    this.options = o;
    this.zone = o.zone;
    this.folder = o.files.folder;
    this.files = o.files;
    this.ports = o.ports;
    this.http = `http://localhost:${o.ports.http}`;
    this.https = `https://localhost:${o.ports.https}`;
    this.ws = `ws://127.0.0.1:${o.ports.http}`;
    this.wss = `wss://127.0.0.1:${o.ports.https}`;
    this.output = '';
    this.leaving = new Set(); // process ids, as texts, from before a reload
    this.allowed = []; // lines of the log that would be trouble otherwise
    this.exited = null; // {code, signal} once it is gone
  }

  async start() {
    const [binary, args] = this.kind.command(this.options);
    this.process = spawn(binary, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.pid = this.process.pid;
    for (const stream of [this.process.stdout, this.process.stderr]) {
      stream.on('data', (data) => { this.output += data; });
    }
    this.gone = new Promise((resolve) => {
      this.process.on('close', (code, signal) => {
        this.exited = { code, signal };
        resolve(this.exited);
      });
    });
    running.add(this);

    await until(async () => {
      if (this.exited) {
        throw new Error(`the server did not start:\n${this.log()}`);
      }
      return this.workers().length >= this.options.workers
             && await this.answers();
    }, 10000, `the server\n${this.log()}`);
  }

  answers() {
    return new Promise((resolve) => {
      const request = http.get({ host: '127.0.0.1', port: this.ports.http,
                                 path: '/plain.txt', agent: false },
        (response) => {
          response.resume();
          response.on('end', () => resolve(response.statusCode === 200));
        });
      request.on('error', () => resolve(false));
    });
  }

  /* Process ids of the workers: 'new' ones, or 'old' ones that were asked to
   * leave and still serve. */
  workers(which = 'new') {
    const known = [];
    let children = '';
    try {
      children = fs.readFileSync(
        `/proc/${this.pid}/task/${this.pid}/children`, 'utf8');
    } catch (error) {
      return known;
    }
    for (const pid of children.trim().split(/\s+/).filter(Boolean)) {
      try {
        const line = fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8')
          .split('\0').join(' ');
        if (this.kind.workerKind(line, this.leaving.has(pid)) === which) {
          known.push(Number(pid));
        }
      } catch (error) {
        // it has just gone
      }
    }
    return known;
  }

  /* Read the configuration again, with changed options if any; returns once
   * new workers serve and the old ones were told to leave.  how: 'reload', or
   * another of the server's signals. */
  async reload(changes, how = 'reload') {
    if (changes) {
      Object.assign(this.options, changes);
      if (changes.settings || changes.locations || changes.hosts) {
        throw new Error('the hosts of a running server stay as they are');
      }
      writeConfiguration(this.kind, this.options);
    }
    const before = new Set(this.workers());
    before.forEach((pid) => this.leaving.add(String(pid)));
    await this.ask(how);
    await until(() => {
      const now = this.workers();
      return now.length >= this.options.workers
             && now.every((pid) => !before.has(pid));
    }, 10000, 'new workers');
  }

  /* Ask for a graceful end and wait for it. */
  async quit(ms = 10000) {
    await this.ask('quit');
    await this.end(ms);
  }

  /* Send the server's signal for 'stop' and the like. */
  async ask(how) {
    await (this.kind.settle && this.kind.settle(this.ports, how));
    process.kill(this.pid, this.kind.signals[how]);
  }

  async end(ms) {
    const timer = setTimeout(() => process.kill(this.pid, 'SIGKILL'), ms);
    await this.gone;
    clearTimeout(timer);
    if (this.exited.signal) {
      throw new Error(`the server did not end within ${ms} ms`);
    }
  }

  /* Kill a worker (the end by that signal is no trouble then). */
  kill(pid, signal = 'SIGKILL') {
    this.allowed.push(this.kind.killedLine(pid, os.constants.signals[signal]));
    process.kill(pid, signal);
  }

  /* All that it wrote into its error log and to its standard output. */
  log() {
    return this.read(this.files.log) + this.output;
  }

  /* Lines of one of the levels ('warn') that match. */
  logged(pattern, ...levels) {
    return this.log().split('\n').filter((line) =>
      levels.includes(this.kind.level(line)) && pattern.test(line));
  }

  accessLog() {
    return this.read(this.files.access);
  }

  read(file) {
    try {
      return fs.readFileSync(file, 'utf8');
    } catch (error) {
      return '';
    }
  }

  /* Lines of the log that should not be there. */
  trouble() {
    return this.log().split('\n').filter((line) =>
      this.kind.TROUBLE.test(line)
      && !this.allowed.some((allowed) => allowed.test(line)));
  }

  /* All files of the zone, with their sizes; folders do not count. */
  zoneFiles(folder = path.dirname(this.zone)) {
    return fs.readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
      const file = path.join(folder, entry.name);
      return entry.isDirectory() ? this.zoneFiles(file)
                                 : [[file, fs.lstatSync(file).size]];
    });
  }

  /* After the end: what is left of the zone, when all is well. */
  assertZoneGone() {
    assert.deepEqual(this.zoneFiles(), [[`${this.zone}.lock`, 0]]);
  }

  /* Anonymous memory of a process, in bytes. */
  rss(pid) {
    const text = fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
    return Number(/^Anonymous:\s+(\d+) kB/m.exec(text)[1]) * 1024;
  }

  /* End it, look for trouble in its log, and remove what it stood in. */
  async stop() {
    let failure = null;
    if (!this.exited) {
      await this.ask('stop');
      await this.end(10000).catch((error) => { failure = error; });
    }
    running.delete(this);
    const trouble = this.trouble();
    this.remove();
    if (failure) {
      throw failure;
    }
    if (trouble.length > 0) {
      throw new Error(`in the server's log:\n${trouble.join('\n')}`);
    }
  }

  remove() {
    if (process.env.WSIG_KEEP) {
      console.log(`# kept: ${this.folder}`);
      return;
    }
    fs.rmSync(this.folder, { recursive: true, force: true });
    if (!this.options.keepZone) {
      fs.rmSync(path.dirname(this.zone), { recursive: true, force: true });
    }
  }
}

const running = new Set();

/* Kill what a failed test left: the master first, so that it makes no new
 * workers. */
function abandon(server) {
  const workers = [...server.workers(), ...server.workers('old')];
  for (const pid of [server.pid, ...workers]) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      // gone already
    }
  }
  running.delete(server);
  server.remove();
}

process.on('exit', () => running.forEach(abandon));
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => process.exit(1));
}

async function startServer(options) {
  const { kind, o } = await prepare(options);
  const server = new Server(kind, o);
  try {
    await server.start();
  } catch (error) {
    abandon(server);
    throw error;
  }
  return server;
}

module.exports = { kinds, servers, startServer, checkConfiguration, freePorts,
                   sleep, until };
