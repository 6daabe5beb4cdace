'use strict';
/*
 * browser.js: people at real browsers, for t/html.
 *
 *   const { inOwnNetwork, onEachServer } = require('../lib/browser');
 *   inOwnNetwork();
 *   onEachServer({ settings: { ring_timeout: '2s' } }, {
 *     async 'she is let in'(c) {
 *       const alice = await c.person('alice');
 *       await alice.join();
 *     },
 *   });
 *
 * A person does what a person can do: press what is to be seen.  What only the
 * browser knows (decoded frames, chosen candidates) comes from the page's peer
 * connections, which an init script collects, as it does with sockets.
 */

const assert = require('assert');
const fs = require('fs');
const os = require('os');
const path = require('path');
const { execFileSync, spawnSync } = require('child_process');
const { chromium } = require('playwright-core');
const { servers, startServer, until } = require('./server');
const { attempt, later } = require('./tap');

const CHROMIUM = process.env.WSIG_CHROMIUM || '/usr/bin/chromium';
const WAIT = 30000; /* a busy machine takes its time */

/* The strictest policy that the pages promise to live under. */
const POLICY = "default-src 'self'; img-src 'self' blob:; "
  + "media-src 'self' blob:; base-uri 'none'; form-action 'none'; "
  + "frame-ancestors 'none'";

const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update',
  '--disable-sync', '--allow-loopback-in-peer-connection',
];

/*
 * Go on in a network namespace that has nothing but a loopback interface:
 * Chromium prefers any other for media, and two tests never share a port.
 * Call it first: everything after it runs in there.
 */
function inOwnNetwork() {
  if (process.env.WSIG_OWN_NETWORK) {
    return;
  }
  const { status, error } = spawnSync('unshare',
    ['--net', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh',
     process.execPath, ...process.execArgv, ...process.argv.slice(1)],
    { stdio: 'inherit', env: { ...process.env, WSIG_OWN_NETWORK: '1' } });
  if (error) {
    throw error;
  }
  process.exit(status === null ? 1 : status);
}

/*
 * One server and one browser serve all tests; what a test opened is closed
 * after it.  options: startServer's, and `browser` with those of launch(); or a
 * function that makes them ready.  ms: of one test.  Under /webrtc/ the policy
 * holds.
 */
function onEachServer(options, tests, ms = 90000) {
  for (const server of servers) {
    later(() => runOn(server, options, tests, ms));
  }
}

async function runOn(server, options, tests, ms) {
  const c = { person: (name, more) => c.browser.person(name, c.s.https, more) };
  const started = await attempt(`${server}: it starts`, async () => {
    const own = typeof options === 'function' ? await options() : options;
    c.s = await startServer({ server, workers: 2,
      pageHeaders: { 'Content-Security-Policy': POLICY }, ...own });
    c.browser = await launch(own.browser);
  });
  if (!started) {
    return;
  }
  for (const [what, run] of Object.entries(tests)) {
    await attempt(`${server}: ${what}`, () => run(c), ms);
    await c.browser.clear();
  }
  await attempt(`${server}: it ends in good order`, async () => {
    await c.browser.close();
    await c.s.stop();
  });
}

/*
 * options: devices (of each kind, 1), args (more flags), ca (a PEM file: the
 * certificate of an authority to trust).
 */
async function launch({ devices = 1, args = [], ca } = {}) {
  const home = ca && makeHome(ca);
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    ...(home && { env: { ...process.env, HOME: home } }),
    args: [...FLAGS, ...args,
           /* few frames: two cores encode and decode them all */
           `--use-fake-device-for-media-stream=device-count=${devices},fps=10`],
  });
  return new Browser(browser, home);
}

/* A home folder with Chromium's list of trusted authorities.  What a context
 * ignores of certificates does not hold for TURN. */
function makeHome(ca) {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'wsig-home-'));
  const list = path.join(home, '.pki', 'nssdb');
  fs.mkdirSync(list, { recursive: true });
  const certutil = (...args) =>
    execFileSync('certutil', ['-d', `sql:${list}`, ...args]);
  certutil('-N', '--empty-password');
  certutil('-A', '-n', 'test CA', '-t', 'C,,', '-i', ca);
  return home;
}

class Browser {
  constructor(browser, home) {
    this.browser = browser;
    this.home = home;
    this.contexts = [];
  }

  /*
   * Somebody with a profile of her own, on the page at base + path.  options:
   * path, permissions, and those of a playwright context (viewport,
   * colorScheme, ...).
   */
  async person(name, base, options = {}) {
    const { path = '/webrtc/', permissions = ['camera', 'microphone'],
            ...rest } = options;
    const context = await this.browser.newContext(
      { ignoreHTTPSErrors: true, permissions, ...rest });
    this.contexts.push(context);
    await context.addInitScript(collectConnections);
    const person = new Person(name, await context.newPage(), base + path);
    await person.page.goto(person.url);
    return person;
  }

  /* Close what the last test left open. */
  async clear() {
    await Promise.all(this.contexts.splice(0).map(async (c) => {
      await Promise.all(c.pages().map((page) =>
        page.evaluate(leave).catch(() => {})));
      await c.close();
    }));
  }

  async close() {
    await this.browser.close();
    if (this.home) {
      fs.rmSync(this.home, { recursive: true, force: true });
    }
  }
}

/* Runs in a page that is closed by force, and would keep its names then. */
function leave() {
  return Promise.all((window.sockets || []).map((socket) =>
    new Promise((resolve) => {
      if (socket.readyState === WebSocket.CLOSED) {
        resolve();
      }
      socket.addEventListener('close', resolve);
      setTimeout(resolve, 1000);
      socket.close(1000);
    })));
}

/* Runs in the page, before its scripts. */
function collectConnections() {
  window.connections = [];
  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(...args) {
      super(...args);
      window.connections.push(this);
    }
  };
  window.sockets = [];
  window.WebSocket = class extends WebSocket {
    constructor(...args) {
      super(...args);
      window.sockets.push(this);
    }
  };
}

class Person {
  constructor(name, page, url) {
    this.name = name;
    this.page = page;
    this.url = url;
    this.complaints = []; // what the browser had to say about the page
    page.setDefaultTimeout(WAIT);
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) {
        this.complaints.push(message.text());
      }
    });
    page.on('pageerror', (error) => this.complaints.push(String(error)));
  }

  async join(name = this.name) {
    await this.page.getByLabel('Your name').fill(name);
    await this.press('Join');
    await this.sees('You are ' + name);
  }

  button(name) {
    return this.page.getByRole('button', { name, exact: true });
  }

  press(name) {
    return this.button(name).click();
  }

  /* The text is to be seen, now or soon. */
  async sees(text, ms = WAIT) {
    try {
      await this.page.getByText(text).filter({ visible: true }).first()
        .waitFor({ timeout: ms });
    } catch (error) {
      const shown = await this.page.locator('body').innerText();
      throw new Error(`${this.name} does not see "${text}" but:\n${shown}`);
    }
  }

  /* {frames, packets, energy, types, transport} of the last connection; types
   * and transport (of our side's relay) are those of the selected pair. */
  stats() {
    return this.page.evaluate(async () => {
      const result = { frames: 0, packets: 0, energy: 0, types: null,
                       transport: null };
      const all = await window.connections.at(-1)?.getStats();
      for (const report of all?.values() ?? []) {
        if (report.type === 'inbound-rtp' && report.kind === 'video') {
          result.frames += report.framesDecoded ?? 0;
        } else if (report.type === 'inbound-rtp' && report.kind === 'audio') {
          result.packets += report.packetsReceived;
          result.energy += report.totalAudioEnergy ?? 0;
        } else if (report.type === 'transport'
                   && report.selectedCandidatePairId) {
          const pair = all.get(report.selectedCandidatePairId);
          const local = all.get(pair.localCandidateId);
          result.types = [local?.candidateType,
                          all.get(pair.remoteCandidateId)?.candidateType];
          result.transport = local?.relayProtocol;
        }
      }
      return result;
    });
  }

  /* Frames are decoded from now on. */
  async seesPicture(ms = WAIT) {
    const { frames } = await this.stats();
    await until(async () => (await this.stats()).frames > frames + 5, ms,
                `${this.name} to see moving pictures`);
  }

  /* Sound, not silence, arrives from now on. */
  async hearsSound(ms = WAIT) {
    const { energy } = await this.stats();
    await until(async () => (await this.stats()).energy > energy + 1e-5, ms,
                `${this.name} to hear something`);
  }

  /* What the browser complained of, but for expected lines. */
  quiet(expected = /^$/) {
    const rest = this.complaints.filter((line) => !expected.test(line));
    assert.deepEqual(rest, [], `${this.name}'s browser complains`);
  }
}

module.exports = { inOwnNetwork, launch, onEachServer };
