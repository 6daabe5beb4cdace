'use strict';
/*
 * page.js: the browser library without a browser: its modules, a clock that
 * tests turn, and stand-ins for what a browser and a server do.
 *
 *   const { Call } = await load('call.js');
 *   const clock = startClock();
 *   const signal = new FakeSignal();
 *   ... clock.pass(5000) ...
 */

const fs = require('fs');
const os = require('os');
const path = require('path');
const { pathToFileURL } = require('url');

const JS = path.join(__dirname, '..', '..', 'html', 'js');

let folder; // a copy of the modules, which Node takes for some there

/* One of the modules.  It keeps the globals that it finds when it is used. */
function load(name) {
  if (!folder) {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wsig-page-'));
    process.on('exit', () => fs.rmSync(folder, { recursive: true }));
    fs.cpSync(JS, folder, { recursive: true });
    fs.writeFileSync(path.join(folder, 'package.json'), '{"type":"module"}');
  }
  return import(pathToFileURL(path.join(folder, name)));
}

const settle = () => new Promise((resolve) => setImmediate(resolve));

/* In the place of the global timers and Date.now from now on. */
function startClock() {
  const timers = new Map();
  let now = 1e12;
  let count = 0;
  Date.now = () => now;
  globalThis.setTimeout = (call, ms = 0) => {
    timers.set(++count, { at: now + (ms > 2 ** 31 - 1 ? 1 : ms), call });
    return count;
  };
  globalThis.clearTimeout = (id) => timers.delete(id);
  return {
    now: () => now,
    timers: () => timers.size,
    async pass(ms) {
      const end = now + ms;
      await settle();
      for (;;) {
        const due = [...timers].filter(([, { at }]) => at <= end)
          .sort(([, a], [, b]) => a.at - b.at)[0];
        if (!due) {
          break;
        }
        const [id, { at, call }] = due;
        timers.delete(id);
        now = Math.max(now, at);
        call();
        await settle();
      }
      now = end;
    },
  };
}

/* The server's side of signal.js, as call.js sees it. */
class FakeSignal extends EventTarget {
  constructor() {
    super();
    this.connected = true;
    this.sent = [];
    this.iceFreshFor = 1e6;
    this.servers = [{ urls: 'turn:a.test', username: '1:a', credential: 'c' }];
    this.waiting = null; // a promise that iceServers waits for
  }

  send(message) {
    this.sent.push(message);
    return true;
  }

  async request() {
    return { type: 'calling', call: 'c1' };
  }

  async iceServers() {
    await this.waiting;
    return this.servers;
  }

  hear(type, detail = {}) {
    this.dispatchEvent(new CustomEvent(type, { detail: { call: 'c1', ...detail } }));
    return settle();
  }

  types() {
    return this.sent.map(({ type, data }) =>
      data?.gaveUp ? 'gaveUp' : data?.description?.type ?? type);
  }
}

class FakeConnection extends EventTarget {
  static made = [];

  constructor(configuration) {
    super();
    this.configuration = configuration;
    this.signalingState = 'stable';
    this.connectionState = 'new';
    this.iceGatheringState = 'new';
    this.remoteDescription = null;
    this.closed = false;
    this.restarts = 0;
    FakeConnection.made.push(this);
  }

  getConfiguration() {
    return this.configuration;
  }

  setConfiguration(configuration) {
    this.configuration = configuration;
  }

  createDataChannel() {
    this.channel = { readyState: 'open', said: [],
                     send: (text) => this.channel.said.push(JSON.parse(text)) };
    return this.channel;
  }

  addTrack() {}

  async setLocalDescription() {
    const type = this.signalingState === 'have-remote-offer' ? 'answer'
                                                              : 'offer';
    this.signalingState = type === 'offer' ? 'have-local-offer' : 'stable';
    this.localDescription = { type, sdp: 'a=ice-ufrag:ours' };
  }

  async setRemoteDescription(description) {
    if (description.type === 'answer'
        && this.signalingState !== 'have-local-offer') {
      throw new Error(`an answer in ${this.signalingState}`);
    }
    this.signalingState = description.type === 'offer' ? 'have-remote-offer'
                                                        : 'stable';
    this.remoteDescription = description;
  }

  async addIceCandidate() {}

  restartIce() {
    this.restarts += 1;
  }

  async getStats() {
    return this.stats ?? new Map();
  }

  close() {
    this.closed = true;
  }

  /* What happens to it. */

  become(state) {
    this.connectionState = state;
    this.onconnectionstatechange?.();
    return settle();
  }

  gather(state, candidates = []) {
    this.iceGatheringState = state;
    for (const candidate of candidates) {
      this.dispatchEvent(Object.assign(new Event('icecandidate'), {
        candidate: { candidate: 'candidate:1', type: candidate } }));
    }
    this.dispatchEvent(new Event('icegatheringstatechange'));
    return settle();
  }
}

class FakeStream {
  getTracks() {
    return [];
  }
}

Object.assign(globalThis, { RTCPeerConnection: FakeConnection,
                            MediaStream: FakeStream });

module.exports = { load, startClock, settle, FakeSignal, FakeConnection };
