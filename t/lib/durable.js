'use strict';
/*
 * durable.js: somebody in the native dialect who outlives connections.
 *
 * It counts, keeps and acknowledges texts, takes its place again after every
 * end that allows it, moves when the server says goodbye, and repeats what was
 * not answered.  Tests use it as a Native; what happened stands in `welcomes`,
 * `received` and `faults`.
 */

const assert = require('assert');
const { Client, Inbox, counts, speaksNative, WAIT } = require('./client');
const { sleep } = require('./server');

const ACK_TEXTS = 16;
const ACK_MS = 2000;

/* Ends of a connection after which it is opened again. */
const AGAIN = new Set([1001, 1005, 1006, 1012, 1013, 4408]);

/* One of its connections. */
class Link extends Client {
  constructor(durable, url, options) {
    super(url, { protocol: 'webrtc-signal.v1', ...options });
    this.durable = durable;
    this.joined = false; // welcomed
    this.closed.then(() => durable.lostLink(this));
  }

  arrived(text) {
    this.durable.heard(this, text);
  }
}

class Durable extends speaksNative(Inbox) {
  /* url: a text, or a function that gives the one to use now.  options: those
   * of a Client, and random, backoff (ms, the longest first pause). */
  constructor(url, options = {}) {
    super();
    this.url = typeof url === 'function' ? url : () => url;
    this.options = options;
    this.random = options.random || Math.random;
    this.backoff = options.backoff || 40;
    this.token = null;
    this.link = null;      // the one that its hello went to
    this.links = [];       // all
    this.connecting = false;
    this.gone = false;     // lost, until back()
    this.tries = 0;
    this.pause = 0;
    this.sent = 0;         // counted texts, in this epoch; got: from the server
    this.acked = 0;
    this.kept = [];        // {n, text}, not acknowledged
    this.asked = new Map(); // ref -> text, not answered
    this.epoch = 0;        // counts from 1 again: a new place, or lost
    this.unacknowledged = 0;
    this.welcomes = [];
    this.received = [];    // {epoch, n, message}
    this.faults = [];      // what the server did wrong
  }

  get resumed() {
    return this.welcomes.filter((w) => w.resumed).length;
  }

  get lost() {
    return this.welcomes.filter((w) => w.lost).length;
  }

  get joined() {
    return this.link !== null && this.link.joined;
  }

  get worker() {
    return this.link && this.link.worker;
  }

  async hello(name, rest = {}) {
    this.greeting = { ...(name !== undefined && { name }), ...rest };
    this.connect();
    const end = Date.now() + WAIT;
    while (this.welcomes.length === 0) {
      assert(!this.end, `closed with ${this.end && this.end.code}`);
      assert(Date.now() < end, `no welcome within ${WAIT} ms`);
      await this.change(end - Date.now());
    }
    return this;
  }

  /* Welcomes come when they come: they stand in `welcomes`. */
  arrived(text) {
    super.arrived(text);
    if (this.inbox.length > 0 && this.inbox.at(-1).type === 'welcome') {
      this.inbox.pop();
    }
  }

  /* Open a connection, beside the present one where that still works, and say
   * hello on it. */
  async connect() {
    if (this.connecting || this.end) {
      return;
    }
    this.connecting = true;
    clearTimeout(this.retry);
    clearTimeout(this.moving);
    const link = new Link(this, this.url(), this.options);
    this.links.push(link);
    try {
      await link.opened;
    } catch (error) {
      this.connecting = false;
      if (link.status !== 101 && link.status !== 503) {
        this.fail({ code: link.status, reason: 'handshake' });
      } else {
        this.later();
      }
      return;
    }
    this.connecting = false;
    if (this.end) {
      link.socket.terminate();
      return;
    }
    this.link = link;
    this.unacknowledged = 0;
    clearTimeout(this.ackTimer);
    this.ackTimer = null;
    link.send({ type: 'hello', ...this.greeting,
                ...(this.token && { resume: this.token, got: this.got }) });
  }

  /* ... after a pause that grows, or that the server asked for. */
  later() {
    if (this.gone) {
      return;
    }
    const most = Math.min(1000, this.backoff * 2 ** Math.min(this.tries++, 5));
    clearTimeout(this.retry);
    this.retry = setTimeout(() => this.connect(),
                            this.pause + this.random() * most);
    this.pause = 0;
  }

  lostLink(link) {
    if (link !== this.link || this.end) {
      return; // one that it had left, or that never opened
    }
    if (AGAIN.has(link.end.code)) {
      this.link = null;
      this.later();
    } else {
      this.fail(link.end);
    }
    this.wake();
  }

  fail(end) {
    this.end = end;
    clearTimeout(this.retry);
    clearTimeout(this.moving);
    clearTimeout(this.ackTimer);
    this.wake();
  }

  heard(link, text) {
    if (link !== this.link || this.end) {
      return;
    }
    const message = JSON.parse(text);
    if (message.type === 'welcome') {
      this.welcomed(link, message);
    } else if (message.type === 'ack') {
      this.acknowledged(message.got);
    } else if (message.type === 'goodbye') {
      this.farewell(message);
    } else if (counts(message)) {
      this.received.push({ epoch: this.epoch, n: this.got + 1, message });
    }
    if ('ref' in message) {
      this.asked.delete(message.ref);
    }
    this.arrived(text); // which counts
    if (counts(message)) {
      this.acknowledge();
    }
  }

  farewell({ reason, reconnect }) {
    if (reason === 'shutdown') {
      this.pause = reconnect; // from the close on
    } else {
      clearTimeout(this.moving);
      this.moving = setTimeout(() => this.connect(), reconnect);
    }
  }

  welcomed(link, message) {
    this.fault(link.joined, 'welcome twice');
    link.joined = true;
    this.tries = 0;
    this.welcomes.push(message);
    this.name = message.name;
    this.welcome = message;
    const asked = this.token !== null;
    this.token = message.resume || null;
    this.fault(asked !== ('resumed' in message),
               `"resumed" of ${message.resumed} in a welcome`);
    this.fault(!message.resumed !== !('got' in message), 'got in a welcome');
    if (!message.resumed || message.lost) {
      this.fault(message.lost && message.got !== 0, 'got where it was lost');
      this.epoch++;
      this.sent = this.acked = 0;
      this.kept = [];
    } else {
      this.acknowledged(message.got);
      this.kept.forEach((kept) => link.send(kept.text));
    }
    this.asked.forEach((text) => link.send(text));
  }

  acknowledged(got) {
    this.fault(!Number.isInteger(got) || got < this.acked || got > this.sent,
               `got ${got} of ${this.acked} to ${this.sent}`);
    this.acked = got;
    while (this.kept.length > 0 && this.kept[0].n <= got) {
      this.kept.shift();
    }
  }

  acknowledge() {
    if (!this.token) {
      return;
    }
    if (++this.unacknowledged >= ACK_TEXTS) {
      this.sendAck();
    } else if (!this.ackTimer) {
      this.ackTimer = setTimeout(() => this.sendAck(), ACK_MS);
    }
  }

  sendAck() {
    clearTimeout(this.ackTimer);
    this.ackTimer = null;
    this.unacknowledged = 0;
    if (this.joined) {
      this.link.send({ type: 'ack', got: this.got });
    }
  }

  /* Counted ones are kept until acknowledged, others with a ref until
   * answered; the rest goes out now or not at all. */
  send(message) {
    const text = JSON.stringify(message);
    if (counts(message)) {
      this.kept.push({ n: ++this.sent, text });
    } else if ('ref' in message) {
      this.asked.set(message.ref, text);
    }
    if (this.joined) {
      this.link.send(text);
    }
  }

  fault(wrong, what) {
    if (wrong) {
      this.faults.push(what);
    }
  }

  /* Wait until it has been welcomed `more` times beyond now. */
  async again(more = 1, ms = WAIT) {
    const wanted = this.welcomes.length + more;
    await this.until(() => this.welcomes.length >= wanted, 'welcome', ms);
    return this.welcome;
  }

  async until(check, what, ms = WAIT) {
    const end = Date.now() + ms;
    while (!check()) {
      assert(!this.end, `closed with ${this.end && this.end.code}, no ${what}`);
      assert(Date.now() < end, `no ${what} within ${ms} ms`);
      await this.change(end - Date.now());
    }
  }

  async ends(code, ms = WAIT) {
    const end = Date.now() + ms;
    while (!this.end) {
      assert(Date.now() < end, `not closed within ${ms} ms`);
      await this.change(end - Date.now());
    }
    assert.equal(this.end.code, code);
    return this.end;
  }

  /* The connection breaks; it comes back by itself. */
  cut() {
    if (this.link) {
      this.link.socket.terminate();
    }
  }

  /* ... and it comes back when the test says so. */
  async lose() {
    const { link } = this;
    this.gone = true;
    if (link) {
      this.cut();
      await link.closed;
    }
  }

  back() {
    this.gone = false;
    if (!this.link) {
      this.connect();
    }
  }

  /* Leave in good order, also where it has to come back for that. */
  async close() {
    for (let i = 0; i < 100 && !this.end && !this.joined; i++) {
      await sleep(20);
    }
    this.fail(this.end || { code: 1000, reason: '' });
    await Promise.all(this.links.map((link) => link.close(1000)));
  }
}

module.exports = { Durable };
