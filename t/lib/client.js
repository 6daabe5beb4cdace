'use strict';
/*
 * client.js: people with a browser, without the browser.
 *
 * A Client is one WebSocket; Native and Article speak a dialect on it.  What
 * arrives waits in a queue until the test asks for it with next(), so that
 * nothing is missed and order is checked.  (durable.js has a native one that
 * outlives its WebSocket.)
 */

const assert = require('assert');
const WebSocket = require('ws');
const { sleep } = require('./server');

const WAIT = 5000; // ms; far above what anything takes

/* What has arrived, and waiting for it.  end: {code, reason} once nothing more
 * can come. */
class Inbox {
  constructor() {
    this.inbox = [];
    this.waiting = new Set();
    this.end = null;
  }

  arrived(text) {
    this.inbox.push(text);
    this.wake();
  }

  wake() {
    const waiting = [...this.waiting];
    this.waiting.clear();
    waiting.forEach((done) => done());
  }

  /* Wait for something to arrive, or for the end, or for ms. */
  change(ms) {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.waiting.add(done);
    });
  }

  /* The next text, in order of arrival; null if none came within ms. */
  async poll(ms = WAIT) {
    const end = Date.now() + ms;
    while (this.inbox.length === 0) {
      const left = end - Date.now();
      if (left <= 0 || this.end) {
        return null;
      }
      await this.change(left);
    }
    return this.inbox.shift();
  }

  async next(ms = WAIT) {
    const message = await this.poll(ms);
    assert(message !== null, this.end
      ? `closed with ${this.end.code} "${this.end.reason}", not a text`
      : `no text within ${ms} ms`);
    return message;
  }

  /* Nothing arrives within ms. */
  async none(ms) {
    const message = await this.poll(ms);
    assert.equal(message, null);
  }
}

class Client extends Inbox {
  /*
   * Options: protocol, origin, headers, host (Host header and SNI), auth
   * ('user:password'), pong (false: pings are not answered).
   */
  constructor(url, options = {}) {
    super();
    const headers = { ...options.headers };
    if (options.host) {
      headers.Host = options.host;
    }
    if (options.auth) {
      headers.Authorization =
        'Basic ' + Buffer.from(options.auth).toString('base64');
    }
    this.options = options;
    this.pings = 0;
    this.status = 101; // of the handshake
    this.socket = new WebSocket(url, options.protocol ? [options.protocol] : [],
      { rejectUnauthorized: false, headers, origin: options.origin,
        perMessageDeflate: false, agent: false,
        autoPong: options.pong !== false,
        ...(options.host && { servername: options.host }) });

    this.opened = new Promise((resolve, reject) => {
      this.socket.on('open', () => {
        this.socket._socket.setNoDelay(true);
        resolve(this);
      });
      this.socket.on('unexpected-response', (request, response) => {
        this.status = response.statusCode;
        this.response = response;
        response.resume();
        request.destroy();
        reject(new Error(`handshake: ${response.statusCode}`));
      });
      this.socket.on('error', (error) => {
        this.error = error;
        reject(error);
      });
    });
    this.opened.catch(() => {});

    this.closed = new Promise((resolve) => {
      this.socket.on('close', (code, reason) => {
        this.end = { code, reason: reason.toString() };
        resolve(this.end);
        this.wake();
      });
    });
    this.socket.on('upgrade', (response) => {
      this.worker = Number(response.headers['x-worker']);
      this.protocol = response.headers['sec-websocket-protocol'];
    });
    this.socket.on('message', (data, binary) => {
      this.arrived(binary ? data : data.toString());
    });
    this.socket.on('ping', () => { this.pings++; });
  }

  send(message) {
    this.socket.send(typeof message === 'string' ? message
                                                 : JSON.stringify(message));
  }

  /* Wait for the close; code may be left out. */
  async ends(code, ms = WAIT) {
    const end = this.end || await Promise.race([
      this.closed,
      new Promise((resolve) => setTimeout(resolve, ms, null).unref())]);
    assert(end, `not closed within ${ms} ms; `
                + `waiting: ${JSON.stringify(this.inbox.slice(0, 3))}`);
    if (code !== undefined) {
      assert.equal(end.code, code, `closed with ${end.code} "${end.reason}"`);
    }
    return end;
  }

  /* Leave in good order. */
  async close(code, reason) {
    if (!this.end) {
      this.socket.close(code, reason);
      const timer = setTimeout(() => this.socket.terminate(), 2000);
      await this.closed;
      clearTimeout(timer);
    }
  }

  /* Vanish: the connection breaks. */
  async cut() {
    this.socket.terminate();
    await this.closed;
  }

  /* Stop reading; TCP holds the server back. */
  pause() {
    this.socket.pause();
  }

  resume() {
    this.socket.resume();
  }
}

/* Does this text have to be acknowledged? */
const counts = (message) => !['call', 'hello', 'welcome'].includes(message.type)
  && ('call' in message || 'room' in message);

/* Somebody in the native dialect, on whatever carries the texts. */
const speaksNative = (Base) => class extends Base {
  constructor(...args) {
    super(...args);
    this.users = null; // name -> entry, as list and deltas told
    this.count = 0;
    this.deltas = []; // presence that the test did not look at yet
    this.acks = [];
    this.goodbyes = [];
    this.got = 0; // counted texts
  }

  /* What comes when it comes is kept apart: presence, acks, goodbye. */
  arrived(text) {
    const message = JSON.parse(text);
    Object.defineProperty(message, 'raw', { value: text });
    if (message.type === 'presence') {
      this.apply(message);
    } else if (counts(message)) {
      this.got++;
    } else if (message.type === 'welcome'
               && (message.lost || !message.resumed)) {
      this.got = 0;
    }
    const apart = { presence: this.deltas, ack: this.acks,
                    goodbye: this.goodbyes }[message.type];
    if (apart) {
      apart.push(message);
      this.wake();
      return;
    }
    if (message.type === 'welcome' || message.type === 'users') {
      this.users = message.users === null ? null
        : new Map(message.users.map((user) => [user.name, user]));
      this.count = message.count;
    }
    this.inbox.push(message);
    this.wake();
  }

  /* A delta fits the list it follows: nobody leaves or changes who is not
   * there, and nobody stands twice in one. */
  apply(delta) {
    this.count = delta.count;
    if (!this.users) {
      return;
    }
    const names = new Set();
    const once = (name) => {
      if (names.has(name)) {
        this.contradiction = this.contradiction
          || `"${name}" twice in ${JSON.stringify(delta)}`;
      }
      names.add(name);
    };
    for (const user of delta.joined || []) {
      once(user.name);
      this.users.set(user.name, user);
    }
    for (const name of delta.left || []) {
      once(name);
      if (!this.users.delete(name)) {
        this.contradiction = this.contradiction || `left, not there: ${name}`;
      }
    }
    for (const user of delta.changed || []) {
      once(user.name);
      const known = this.users.get(user.name);
      if (!known) {
        this.contradiction = this.contradiction
          || `changed, not there: ${user.name}`;
      } else {
        Object.assign(known, user);
      }
    }
  }

  /* The next answer, of this type. */
  async next(type, ms = WAIT) {
    const message = await this.poll(ms);
    assert(message !== null, this.end
      ? `closed with ${this.end.code} "${this.end.reason}", not "${type}"`
      : `no "${type}" within ${ms} ms`);
    if (type !== undefined) {
      assert.equal(message.type, type, JSON.stringify(message));
    }
    return message;
  }

  delta(ms = WAIT) {
    return this.apart(this.deltas, 'presence', ms);
  }

  ack(ms = WAIT) {
    return this.apart(this.acks, 'ack', ms);
  }

  goodbye(ms = WAIT) {
    return this.apart(this.goodbyes, 'goodbye', ms);
  }

  async apart(texts, what, ms) {
    const end = Date.now() + ms;
    while (texts.length === 0) {
      const left = end - Date.now();
      assert(left > 0 && !this.end, `no ${what} within ${ms} ms`);
      await this.change(left);
    }
    return texts.shift();
  }

  /* Wait until the list shows this: {name: state}, absent ones as null. */
  async shows(states, ms = WAIT) {
    const end = Date.now() + ms;
    const wrong = () => Object.entries(states).find(([name, state]) => {
      const user = this.users.get(name);
      return (user ? user.state : null) !== state;
    });
    while (wrong()) {
      const left = end - Date.now();
      assert(left > 0 && !this.end,
             `after ${ms} ms the list is ${JSON.stringify([...this.users])}, `
             + `not ${JSON.stringify(states)}`);
      await this.change(left);
    }
    assert.equal(this.contradiction, undefined);
  }

  /* Send, and take the answer of this type. */
  async ask(message, type) {
    this.send(message);
    return this.next(type);
  }
};

class Native extends speaksNative(Client) {
  constructor(url, options = {}) {
    super(url, { protocol: 'webrtc-signal.v1', ...options });
  }

  async hello(name, rest = {}) {
    await this.opened;
    this.send({ type: 'hello', ...(name !== undefined && { name }), ...rest });
    this.welcome = await this.next('welcome');
    this.name = this.welcome.name;
    return this;
  }
}

class Article extends Client {
  async enter(nickname) {
    await this.opened;
    this.nickname = nickname;
    this.send({ nickname });
    this.list = JSON.parse(await this.next()).userlist;
    assert(Array.isArray(this.list));
    return this;
  }

  /* The next text that is no user list. */
  async relayed(ms = WAIT) {
    for (;;) {
      const text = await this.next(ms);
      if (!/^\{"userlist":/.test(text)) {
        return text;
      }
      this.list = JSON.parse(text).userlist;
    }
  }

  /* Wait until the newest user list holds (or, with not, lacks) a name. */
  async lists(name, there = true, ms = WAIT) {
    const end = Date.now() + ms;
    while (this.list.includes(name) !== there) {
      const left = end - Date.now();
      assert(left > 0, `after ${ms} ms the list is ${this.list}`);
      const text = await this.next(left);
      const message = JSON.parse(text);
      assert(message.userlist, text);
      this.list = message.userlist;
    }
  }
}

/*
 * Open clients by make() until one stands on a worker that wanted(pid)
 * accepts.  The others are closed.  Several at once: what comes alone is
 * always taken by the same child of httpd, the one that waits longest.
 */
async function openOn(make, wanted, what) {
  for (let i = 0; i < 25; i++) {
    const clients = Array.from({ length: i === 0 ? 1 : 6 }, make);
    await Promise.all(clients.map((client) => client.opened));
    const found = clients.find((client) => wanted(client.worker));
    await Promise.all(clients.filter((client) => client !== found)
      .map((client) => client.cut()));
    if (found) {
      return found;
    }
    await sleep(10 * i); // it may just have been started
  }
  throw new Error(`no connection reached ${what}`);
}

module.exports = { Inbox, Client, Native, Article, counts, speaksNative, openOn,
                   WAIT };
