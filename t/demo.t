#!/usr/bin/env node
'use strict';
/*
 * `make demo` as a person uses it: it comes up, serves, relays, and leaves
 * nothing behind, however it is ended.
 */

const assert = require('assert');
const fs = require('fs');
const https = require('https');
const os = require('os');
const path = require('path');
const { spawn } = require('child_process');
const { freePorts, servers, until } = require('./lib/server');
const { Native } = require('./lib/client');
const { test } = require('./lib/tap');
const { connect } = require('./lib/turn-client');

const TOP = path.join(__dirname, '..');

/* Configuration, the line with the zone in it, process name of each. */
const KINDS = {
  nginx: { file: 'nginx.conf', zone: /^ *webrtc_signal_zone (\S+) /m,
           process: 'nginx' },
  apache: { file: 'httpd.conf', zone: /^ *WebrtcSignalZone (\S+) /m,
            process: 'apache2' },
};

class Demo {
  constructor(server, ports, command = ['config/demo.sh', server], more = {}) {
    this.kind = KINDS[server];
    this.ports = ports;
    this.tmp = fs.mkdtempSync(path.join(os.tmpdir(), 'wsig-demo-'));
    fs.chmodSync(this.tmp, 0o711); // the server's workers pass through
    this.host = more.DEMO_HOST || 'localhost';
    const env = { ...process.env };
    for (const name of ['MAKEFLAGS', 'MAKELEVEL', 'MFLAGS', 'SERVER',
                        'DEMO_HOST']) {
      delete env[name];
    }
    Object.assign(env, { TMPDIR: this.tmp, HTTPS_PORT: ports[0],
                         TURN_PORT: ports[1], TURNS_PORT: ports[2], ...more });
    this.output = '';
    // a session of its own, by which all of its processes are known
    this.process = spawn(command[0], command.slice(1), {
      cwd: TOP, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    this.pid = this.process.pid;
    for (const stream of [this.process.stdout, this.process.stderr]) {
      stream.on('data', (data) => { this.output += data; });
    }
    this.gone = new Promise((resolve) => {
      this.process.on('close', (code, signal) => {
        this.exited = { code, signal };
        resolve();
      });
    });
    running.add(this);
  }

  /* Until the address is told; after it everything has to answer at once. */
  async ready() {
    await until(() => {
      assert(!this.exited, `the demo ended:\n${this.output}`);
      return this.output.includes(
        `https://${this.host}:${this.ports[0]}/webrtc/\n`);
    }, 60000, 'the address').catch((error) => {
      throw new Error(`${error.message}\n${this.output}`);
    });
    this.folder = path.join(this.tmp, fs.readdirSync(this.tmp)[0]);
    const conf = fs.readFileSync(`${this.folder}/config/${this.kind.file}`,
                                 'utf8');
    [, this.zone] = this.kind.zone.exec(conf);
    this.certificate = fs.readFileSync(`${this.folder}/run/cert.pem`);
    this.secret = fs.readFileSync(`${this.folder}/run/turn.secret`, 'utf8')
      .trim();
    return this;
  }

  /* [{pid, parent, name, line}] of the whole session. */
  processes() {
    const found = [];
    for (const pid of fs.readdirSync('/proc').filter((p) => /^\d+$/.test(p))) {
      try {
        const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
        const [state, parent, , session] = stat.slice(stat.lastIndexOf(')') + 2)
          .split(' ');
        if (Number(session) === this.pid && state !== 'Z') {
          found.push({ pid: Number(pid), parent: Number(parent),
                       name: fs.readFileSync(`/proc/${pid}/comm`, 'utf8').trim(),
                       line: fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8') });
        }
      } catch (error) {
        // it has just gone
      }
    }
    return found;
  }

  /* {master, workers} of the processes of that name. */
  family(name) {
    const all = this.processes().filter((p) => p.name === name);
    const pids = new Set(all.map(({ pid }) => pid));
    return { master: all.find(({ parent }) => !pids.has(parent)),
             workers: all.filter(({ parent }) => pids.has(parent)) };
  }

  async left() {
    await Promise.race([this.gone, new Promise((resolve, reject) =>
      setTimeout(reject, 15000, new Error(`still there:\n${this.output}`))
        .unref())]);
    assert.deepEqual(this.processes(), []);
    assert.deepEqual(fs.readdirSync(this.tmp), []);
    if (this.zone) {
      assert.match(this.zone, /^\/dev\/shm\/webrtc-signal-demo\.\w+\/zone$/);
      assert(!fs.existsSync(path.dirname(this.zone)), `${this.zone} is left`);
    }
    fs.rmdirSync(this.tmp);
    running.delete(this);
  }

  get(place) {
    return new Promise((resolve, reject) => {
      https.get({ host: 'localhost', port: this.ports[0], path: place,
                  ca: this.certificate, agent: false }, (response) => {
        let body = '';
        response.on('data', (data) => { body += data; });
        response.on('end', () => resolve({ status: response.statusCode,
                                           headers: response.headers, body }));
      }).on('error', reject);
    });
  }
}

const running = new Set();

process.on('exit', () => {
  for (const demo of running) {
    demo.processes().forEach(({ pid }) => process.kill(pid, 'SIGKILL'));
    fs.rmSync(demo.tmp, { recursive: true, force: true });
    if (demo.zone) {
      fs.rmSync(path.dirname(demo.zone), { recursive: true, force: true });
    }
  }
});

/* {urls, username, credential} of what it tells browsers. */
async function iceOf(demo) {
  const { host, ports: [, turn, turns] } = demo;
  const { iceServers } = JSON.parse((await demo.get('/webrtc/ice')).body);
  const urls = iceServers.flatMap((one) => one.urls);
  assert.deepEqual([...urls].sort(), [`stun:${host}:${turn}`,
                                      `turn:${host}:${turn}?transport=tcp`,
                                      `turn:${host}:${turn}?transport=udp`,
                                      `turns:${host}:${turns}?transport=tcp`]);
  return { ...iceServers.find((one) => one.username), urls };
}

/* A client of `url` with these credentials, and the error of its allocation. */
async function allocation(demo, url, username, credential) {
  const client = await connect(url, {
    ca: `${demo.folder}/run/cert.pem`,
    ...(demo.host === 'localhost' ? {} : { servername: '' }), // an address
  });
  Object.assign(client, { username, credential });
  const { error, relayed } = await client.allocate();
  return { client, error, relayed };
}

/* One on each way relays to another, and to nobody else. */
async function relays(demo) {
  const { urls, username, credential } = await iceOf(demo);
  const own = demo.host === 'localhost' ? '127.0.0.1' : demo.host;
  const other = await allocation(demo, urls.find((one) => /udp$/.test(one)),
                                 username, credential);
  assert.equal(other.error, 0);
  await other.client.permit(own);
  for (const url of urls.filter((one) => /^turn/.test(one))) {
    const { client, error } = await allocation(demo, url, username, credential);
    assert.equal(error, 0, url);
    const permits = async (peer) => (await client.permit(peer)).error;
    assert.equal(await permits(own), 0, url);
    assert.equal(await permits('127.0.0.2'), 403, url);
    assert.equal(await permits('10.255.255.254'), 403, url);
    client.send(other.relayed, url);
    assert.equal(String((await other.client.received()).data), url);
    client.close();

    const wrong = await allocation(demo, url, username, 'wrong');
    assert.equal(wrong.error, 401, url);
    wrong.client.close();
  }
  other.client.close();
}

function demoOf(server) {
  let demo;

  test(`${server}: make demo tells its address once it answers`, async () => {
    demo = await new Demo(server, await freePorts(3),
                          ['make', 'demo', `SERVER=${server}`]).ready();
  }, { ms: 90000 });

  test(`${server}: pages come with types and a strict policy`, async () => {
    const page = await demo.get('/webrtc/');
    assert.equal(page.status, 200);
    assert.match(page.headers['content-type'], /^text\/html; charset=utf-8$/);
    assert.match(page.headers['content-security-policy'], /default-src 'self'/);
    assert.doesNotMatch(page.headers['content-security-policy'], /unsafe/);
    assert.match(page.headers['permissions-policy'], /camera=\(self\)/);
    assert.match(page.headers.server, /^(nginx|Apache)$/);

    const script = await demo.get('/webrtc/js/signal.js');
    assert.equal(script.status, 200);
    assert.match(script.headers['content-type'],
                 /^text\/javascript; charset=utf-8$/);
    for (const name of ['mirror.html', 'photo-booth.html']) {
      assert.equal((await demo.get(`/webrtc/${name}`)).status, 200, name);
    }
    const short = await demo.get('/webrtc');
    assert.equal(short.status, 301);
    assert.equal(new URL(short.headers.location,
                         `https://localhost:${demo.ports[0]}`).href,
                 `https://localhost:${demo.ports[0]}/webrtc/`);
  });

  test(`${server}: two users see each other over wss`, async () => {
    const url = `wss://localhost:${demo.ports[0]}/webrtc/signal`;
    const alice = await new Native(url).hello('alice', { watch: 'all' });
    const bob = await new Native(url).hello('bob', { watch: 'all' });
    await alice.shows({ bob: 'free' });
    await bob.shows({ alice: 'free' });
    await alice.close();
    await bob.close();
  });

  test(`${server}: status shows itself to this machine`, async () => {
    const status = await demo.get('/webrtc/status');
    assert.equal(status.status, 200);
    assert.match(status.body, /^# TYPE /m);
  });

  test(`${server}: coturn relays for credentials of /webrtc/ice`, async () => {
    await relays(demo);
  });

  test(`${server}: two workers, the secret in no command line`, async () => {
    const all = demo.processes();
    assert.equal(demo.family(demo.kind.process).workers.length, 2);
    assert.equal(all.filter(({ name }) => name === 'turnserver').length, 1);
    assert(all.every(({ line }) => !line.includes(demo.secret)));
  });

  test(`${server}: nobody else may write where root does`, async () => {
    const own = process.getuid();
    for (const name of ['', 'turn', 'run', 'config']) {
      const { uid, mode } = fs.statSync(path.join(demo.folder, name));
      assert.deepEqual([uid, mode & 0o022], [own, 0], name);
    }
    const { uid, mode } = fs.statSync(`${demo.folder}/turn/turnserver.conf`);
    assert.equal(uid === own, own !== 0);
    assert.equal(mode & 0o777, 0o600);
  });

  test(`${server}: a port in use is told before any start`, async () => {
    for (const [i, name] of ['HTTPS_PORT', 'TURN_PORT',
                             'TURNS_PORT'].entries()) {
      const ports = await freePorts(3);
      ports[i] = demo.ports[0];
      const second = new Demo(server, ports);
      await second.left();
      assert.equal(second.exited.code, 1);
      assert.equal(second.output,
        `demo: port ${ports[i]} is in use: set ${name} to another one\n`);
    }
  });

  test(`${server}: its log has no more than starts and ends`, async () => {
    const log = fs.readFileSync(`${demo.folder}/run/error.log`, 'utf8');
    const loud = log.split('\n').filter((line) =>
      /[[:](warn|error|crit|alert|emerg)\]/.test(line)
      && !/AH01882/.test(line)); // mod_ssl about its own libssl
    assert.deepEqual(loud, []);
  });

  test(`${server}: SIGTERM leaves nothing`, async () => {
    process.kill(demo.pid, 'SIGTERM'); // make hands it on
    await demo.left();
  });

  test(`${server}: Ctrl-C leaves nothing`, async () => {
    demo = await new Demo(server, await freePorts(3)).ready();
    process.kill(-demo.pid, 'SIGINT');
    await demo.left();
  });

  for (const name of [KINDS[server].process, 'turnserver']) {
    test(`${server}: without ${name} it stops with an error`, async () => {
      demo = await new Demo(server, await freePorts(3)).ready();
      process.kill(demo.family(name).master.pid, 'SIGKILL');
      await demo.left();
      assert.equal(demo.exited.code, 1);
      assert.match(demo.output, /stopped by itself/);
    });
  }
}

servers.forEach(demoOf);

/* A folder of commands as on a fresh machine: no package, and not root. */
function freshMachine() {
  const bin = fs.mkdtempSync(path.join(os.tmpdir(), 'wsig-bin-'));
  process.on('exit', () => fs.rmSync(bin, { recursive: true, force: true }));
  for (const [name, line] of [['dpkg-query', 'exit 1'], ['id', 'echo 1000']]) {
    fs.writeFileSync(path.join(bin, name), `#!/bin/sh\n${line}\n`,
                     { mode: 0o755 });
  }
  return { PATH: `${bin}:${process.env.PATH}` };
}

test('a demo installs its own server only', async () => {
  const packages = { nginx: 'nginx nginx-dev',
                     apache: 'apache2-bin apache2-dev apache2-ssl-dev' };
  for (const server of Object.keys(packages)) {
    const demo = new Demo(server, await freePorts(3),
                          ['make', 'demo', `SERVER=${server}`], freshMachine());
    await demo.left();
    assert.equal(demo.exited.code, 2);
    assert.match(demo.output, new RegExp('install: missing: gcc libc6-dev '
      + `libssl-dev openssl coturn iproute2 ${packages[server]} \\(`));
  }
});

test('an unknown server is told before anything is installed', async () => {
  for (const server of ['lighttpd', '', 'nginx apache']) {
    const demo = new Demo('nginx', await freePorts(3),
                          ['make', 'demo', `SERVER=${server}`], freshMachine());
    await demo.left();
    assert.equal(demo.exited.code, 2);
    assert.match(demo.output, new RegExp(
      `there is no demo with "${server}": try nginx or apache`));
    assert.doesNotMatch(demo.output, /install/);
  }
});

test('a server that there is no demo with', async () => {
  const other = new Demo('nginx', await freePorts(3),
                         ['config/demo.sh', 'lighttpd']);
  await other.left();
  assert.equal(other.exited.code, 1);
  assert.equal(other.output,
    'demo: there is no demo with "lighttpd": try nginx or apache\n');
});

test('without a word it is nginx', async () => {
  const plain = await new Demo('nginx', await freePorts(3),
                               ['config/demo.sh']).ready();
  assert(plain.family('nginx').master);
  process.kill(plain.pid, 'SIGTERM');
  await plain.left();
});

test('an address that other machines can reach', async () => {
  const [address = '127.0.0.1'] = Object.values(os.networkInterfaces()).flat()
    .filter((one) => one.family === 'IPv4' && !one.internal)
    .map((one) => one.address);
  const demo = await new Demo('nginx', await freePorts(3), ['config/demo.sh'],
                              { DEMO_HOST: address }).ready();
  assert.doesNotMatch(demo.output, /warning/);
  await relays(demo);
  process.kill(demo.pid, 'SIGTERM');
  await demo.left();
});
