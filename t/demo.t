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
const { execFile, spawn } = require('child_process');
const { freePorts, until } = require('./lib/server');
const { Native } = require('./lib/client');
const { test } = require('./lib/tap');

const TOP = path.join(__dirname, '..');

class Demo {
  constructor(ports, command) {
    this.ports = ports;
    this.tmp = fs.mkdtempSync(path.join(os.tmpdir(), 'wsig-demo-'));
    fs.chmodSync(this.tmp, 0o711); // nginx's workers pass through
    const env = { ...process.env, TMPDIR: this.tmp, HTTPS_PORT: ports[0],
                  TURN_PORT: ports[1], TURNS_PORT: ports[2] };
    for (const name of ['MAKEFLAGS', 'MAKELEVEL', 'MFLAGS', 'DEMO_HOST']) {
      delete env[name];
    }
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
      return this.output.includes(`https://localhost:${this.ports[0]}/webrtc/\n`);
    }, 60000, 'the address').catch((error) => {
      throw new Error(`${error.message}\n${this.output}`);
    });
    this.folder = path.join(this.tmp, fs.readdirSync(this.tmp)[0]);
    const conf = fs.readFileSync(`${this.folder}/config/nginx.conf`, 'utf8');
    this.zone = /^ *webrtc_signal_zone (\S+) /m.exec(conf)[1];
    this.certificate = fs.readFileSync(`${this.folder}/run/cert.pem`);
    this.secret = fs.readFileSync(`${this.folder}/run/turn.secret`, 'utf8')
      .trim();
    return this;
  }

  /* [{pid, name, line}] of the whole session. */
  processes() {
    const found = [];
    for (const pid of fs.readdirSync('/proc').filter((p) => /^\d+$/.test(p))) {
      try {
        const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
        const [state, , , session] = stat.slice(stat.lastIndexOf(')') + 2)
          .split(' ');
        if (Number(session) === this.pid && state !== 'Z') {
          found.push({ pid: Number(pid),
                       name: fs.readFileSync(`/proc/${pid}/comm`, 'utf8').trim(),
                       line: fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8') });
        }
      } catch (error) {
        // it has just gone
      }
    }
    return found;
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

/* What coturn's own client says of two packets relayed on 127.0.0.1. */
function relayed(port, user, password, ...options) {
  return new Promise((resolve) => {
    execFile('turnutils_uclient', ['-p', port, '-u', user, '-w', password,
      '-y', '-c', '-n', '2', ...options, '127.0.0.1'], { timeout: 15000 },
      (error, stdout, stderr) => resolve(stdout + stderr));
  });
}

let demo;

test('make demo tells its address once it answers', async () => {
  demo = await new Demo(await freePorts(3), ['make', 'demo']).ready();
}, { ms: 90000 });

test('pages come with their types and a strict policy', async () => {
  const page = await demo.get('/webrtc/');
  assert.equal(page.status, 200);
  assert.match(page.headers['content-type'], /^text\/html/);
  assert.match(page.headers['content-security-policy'], /default-src 'self'/);
  assert.doesNotMatch(page.headers['content-security-policy'], /unsafe/);
  assert.match(page.headers['permissions-policy'], /camera=\(self\)/);

  const script = await demo.get('/webrtc/js/signal.js');
  assert.equal(script.status, 200);
  assert.match(script.headers['content-type'], /^text\/javascript/);
  for (const name of ['mirror.html', 'photo-booth.html']) {
    assert.equal((await demo.get(`/webrtc/${name}`)).status, 200, name);
  }
});

test('two users see each other over wss', async () => {
  const url = `wss://localhost:${demo.ports[0]}/webrtc/signal`;
  const alice = await new Native(url).hello('alice', { watch: 'all' });
  const bob = await new Native(url).hello('bob', { watch: 'all' });
  await alice.shows({ bob: 'free' });
  await bob.shows({ alice: 'free' });
  await alice.close();
  await bob.close();
});

test('status shows itself to this machine', async () => {
  const status = await demo.get('/webrtc/status');
  assert.equal(status.status, 200);
  assert.match(status.body, /^# TYPE /m);
});

test('coturn relays for the credentials of /webrtc/ice', async () => {
  const [, turn] = demo.ports;
  const ice = JSON.parse((await demo.get('/webrtc/ice')).body);
  const urls = ice.iceServers.flatMap((server) => server.urls).sort();
  assert.deepEqual(urls, [`stun:localhost:${turn}`,
                          `turn:localhost:${turn}?transport=tcp`,
                          `turn:localhost:${turn}?transport=udp`]);
  const { username, credential } =
    ice.iceServers.find((server) => server.username);

  const lossless = /Total lost packets 0 /;
  const [udp, tcp, wrong] = await Promise.all([
    relayed(turn, username, credential),
    relayed(turn, username, credential, '-t'),
    relayed(turn, username, 'wrong')]);
  assert.match(udp, lossless);
  assert.match(tcp, lossless);
  assert.doesNotMatch(wrong, lossless);
}, { ms: 60000 });

test('two workers, and the secret in no command line', async () => {
  const all = demo.processes();
  assert.equal(all.filter(({ line }) => /^nginx: worker/.test(line)).length, 2);
  assert.equal(all.filter(({ name }) => name === 'turnserver').length, 1);
  assert(all.every(({ line }) => !line.includes(demo.secret)));
});

test('a port in use is told before anything is started', async () => {
  for (const [i, name] of ['HTTPS_PORT', 'TURN_PORT', 'TURNS_PORT'].entries()) {
    const ports = await freePorts(3);
    ports[i] = demo.ports[0];
    const second = new Demo(ports, ['config/demo.sh', 'nginx']);
    await second.left();
    assert.equal(second.exited.code, 1);
    assert.equal(second.output,
      `demo: port ${ports[i]} is in use: set ${name} to another one\n`);
  }
});

test('SIGTERM leaves nothing', async () => {
  process.kill(demo.pid, 'SIGTERM'); // make hands it on
  await demo.left();
});

test('Ctrl-C leaves nothing', async () => {
  demo = await new Demo(await freePorts(3), ['config/demo.sh']).ready();
  process.kill(-demo.pid, 'SIGINT');
  await demo.left();
});

for (const name of ['nginx', 'turnserver']) {
  test(`without ${name} it stops with an error`, async () => {
    demo = await new Demo(await freePorts(3), ['config/demo.sh']).ready();
    const { pid } = demo.processes().find((p) => p.name === name
                                              && !/worker/.test(p.line));
    process.kill(pid, 'SIGKILL');
    await demo.left();
    assert.equal(demo.exited.code, 1);
    assert.match(demo.output, /stopped by itself/);
  });
}
