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
    this.keptFor = 15000;
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

/* One of the browser's; texts take a moment in each direction. */
class FakeSocket {
  static OPEN = 1;

  constructor(server, protocol) {
    this.server = server;
    this.protocol = protocol;
    this.readyState = 0;
    this.texts = []; // what the browser sent
    this.code = null; // what it was closed with, by either side
  }

  send(text) {
    if (this.readyState !== 1) {
      throw new Error('sent on a socket that is not open');
    }
    const message = JSON.parse(text);
    this.texts.push(message);
    queueMicrotask(() => this.server.receive(this, message));
  }

  close(code = 1005) {
    this.readyState = 3;
    this.code = code;
    queueMicrotask(() => this.server.closed(this, code));
  }

  /* What happens to it. */

  open() {
    this.readyState = 1;
    this.onopen?.();
  }

  hear(message) {
    if (this.readyState === 1) {
      this.onmessage?.({ data: JSON.stringify(message) });
    }
  }

  end(code) {
    if (this.readyState !== 3) {
      this.readyState = 3;
      this.code = code;
      this.onclose?.({ code });
    }
  }
}

/*
 * What signal.js talks to: a server with one place, which it keeps or not, on
 * a network that can be cut or go deaf.  All WebSockets from now on are its.
 */
class FakeServer {
  constructor({ keeps = true } = {}) {
    this.keeps = keeps;
    this.sockets = [];
    this.up = true; // whether connections come about
    this.deaf = false; // everything vanishes, silently
    this.refusal = null; // a code in place of each welcome
    this.login = false; // the handshake wants one
    this.more = {}; // members of each welcome
    this.received = []; // counted texts, each once
    this.asked = []; // others
    this.answers = true; // whether requests get answers
    this.place = null;
    this.tokens = 0;
    const server = this;
    globalThis.WebSocket = class extends FakeSocket {
      constructor(url, protocol) {
        super(server, protocol);
        server.sockets.push(this);
        queueMicrotask(() => server.accept(this));
      }
    };
    globalThis.fetch = async () => ({ status: server.login ? 401 : 426 });
  }

  get socket() {
    return this.sockets.at(-1);
  }

  accept(socket) {
    if (this.login || !this.up) {
      socket.end(1006);
    } else if (!this.deaf) {
      socket.open();
    }
  }

  receive(socket, message) {
    if (this.deaf || socket.readyState !== 1) {
      return;
    }
    if (message.type === 'hello') {
      this.welcome(socket, message);
    } else if (this.place?.socket !== socket) {
      // it has moved away
    } else if (message.type === 'ack') {
      const { place } = this;
      place.kept = place.kept.filter(({ number }) => number > message.got);
      place.acked = message.got;
    } else if (message.type === 'bye') {
      this.place = null;
    } else if (counts(message)) {
      this.place.got += 1;
      this.received.push(message);
      this.answer(message);
    } else {
      this.asked.push(message);
      this.answer(message);
    }
  }

  answer({ type, ref, room }) {
    const answer = { call: { type: 'calling', call: 'c1' },
                     lookup: { type: 'user', name: 'bob', state: 'free' },
                     ice: { type: 'ice', ...this.more.ice },
                     enter: { type: 'room', room, members: [] } }[type];
    if (answer && this.answers) {
      this.send({ ...answer, ref });
    }
  }

  welcome(socket, { name, resume, got }) {
    if (this.refusal) {
      socket.end(this.refusal);
      return;
    }
    const { place } = this;
    const resumed = Boolean(place && place.tokens.includes(resume));
    const lost = resumed
      && (place.lost || got > place.sent || got < place.acked);
    const old = resumed && place.socket;
    if (!resumed || lost) {
      this.place = { sent: 0, acked: 0, got: 0, kept: [], tokens: [] };
    }
    const now = this.place;
    Object.assign(now, { socket, tokens: [resume, `t${++this.tokens}`] });
    const back = resume !== undefined && {
      resumed, ...resumed && { got: now.got }, ...lost && { lost } };
    socket.hear({ type: 'welcome', name, verified: false, users: [], count: 1,
                  calls: [], ...this.keeps && { resume: now.tokens[1],
                                                resume_window: 15 },
                  ...back, ...this.more });
    for (const { number, message } of resumed && !lost ? now.kept : []) {
      if (number > got) {
        socket.hear(message);
      }
    }
    if (old && old !== socket) {
      old.end(4410);
    }
  }

  closed(socket, code) {
    if (this.place?.socket === socket && [1000, 1001, 1005].includes(code)) {
      this.place = null;
    }
  }

  send(message) {
    const { place } = this;
    if (counts(message)) {
      place.sent += 1;
      place.kept.push({ number: place.sent, message });
    }
    if (!this.deaf) {
      place.socket.hear(message);
    }
  }

  ack() {
    this.send({ type: 'ack', got: this.place.got });
  }

  /* The connection breaks; the place stays. */
  cut(code = 1006) {
    this.socket.end(code);
    return settle();
  }
}

function counts({ type, call, room }) {
  return type !== 'call' && (call !== undefined || room !== undefined);
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

module.exports = { load, startClock, settle, FakeSignal, FakeServer,
                   FakeConnection };
