/*
 * A small client of the native protocol (webrtc-signal.v1) for Node, written
 * from README.md alone, section Protocol: an example for authors of clients.
 *
 *     const bob = new SmallClient(url, { name: 'bob', watch: 'none' });
 *     bob.on('ring', ({ call }) => bob.send({ type: 'accept', call }));
 *     bob.send({ type: 'call', to: 'alice', ref: '1' });
 *
 * Each text of the server is an event of its type. Counting, keeping, coming
 * back and moving happen inside. This is left to the listeners:
 *   welcome  with `lost`: go by `calls`, and offer anew, in rooms after `room`;
 *            with `resumed` false: rooms are over, and calls (`ended`, too)
 *   end      (code) it does not come back: a closing code or HTTP status
 */
'use strict';
const { EventEmitter } = require('node:events');
const WebSocket = require('ws');

// After these another connection is no help: the user or the author has to.
const FINAL = [401, 403, 1000, 1002, 1003, 1007, 1009,
  4400, 4401, 4403, 4404, 4409, 4410];
const DECISION = /^{"type":"(accept|decline|hangup|leave)"/; // no signal
const isCounted = (text) => 'call' in text || 'room' in text;

module.exports = class SmallClient extends EventEmitter {
  #socket; #next;                       // where hello was said; what opens
  #ready = false; #over = false;        // has the welcome come; end()?
  #token; #ping = 25; #isFirst = true;  // of the last welcome
  #timer; #wait = 0; #pause = 0;        // until #connect, in milliseconds
  #got = 0; #ackTimer;                  // counted texts: the server's,
  #kept = []; #freed = 0;               // and ours, after these acknowledged
  #asked = new Map();                   // requests without an answer, by ref
  #calls = new Set(); #rooms = new Set();

  constructor(url, hello, options) {    // options of ws, such as headers, ca
    super();
    Object.assign(this, { url, hello, options });
    this.#connect();
  }

  /* Without a connection a text waits, if it has a call, a room or a ref. */
  send(text) {
    const { type, call, room, ref } = text;
    const string = JSON.stringify(text);
    if (isCounted(text)) this.#kept.push(string);
    else if (ref) this.#asked.set(ref, string);
    if (type === 'enter') this.#rooms.add(room);
    if (type === 'leave') this.#rooms.delete(room);
    if (type === 'decline' || type === 'hangup') this.#calls.delete(call);
    if (this.#ready) this.#socket.send(string);
  }

  end(code = 1000) {                    // a Close with 1000 is a `bye`
    if (this.#over) return;
    this.#over = true;
    for (const timer of [this.#timer, this.#ackTimer]) clearTimeout(timer);
    for (const socket of [this.#next, this.#socket]) socket?.close(1000);
    this.emit('end', code);
  }

  #connect() {
    if (this.#next) return;
    const socket = this.#next = new WebSocket(this.url, 'webrtc-signal.v1',
      { handshakeTimeout: 10000, ...this.options });
    let silence, status;
    const heard = () => {
      clearTimeout(silence);
      silence = setTimeout(() => socket.terminate(), 2000 * this.#ping);
    };
    socket.on('open', () => {
      clearTimeout(this.#timer);
      const old = this.#socket;         // after goodbye: ignored from here on
      socket.once('message', () => old?.terminate());
      [this.#socket, this.#next, this.#ready] = [socket, null, false];
      const place = this.#token && { resume: this.#token, got: this.#got };
      socket.send(JSON.stringify({ type: 'hello', ...this.hello, ...place }));
      heard();
    }).on('message', (data) => {
      heard();
      if (socket === this.#socket && !this.#over) this.#take(JSON.parse(data));
    }).on('ping', heard).on('error', () => {}).on('close', (code) => {
      clearTimeout(silence);
      if (socket === this.#next) this.#next = null;
      else if (socket === this.#socket) this.#ready = false;
      else return;                      // 4410 of the old one
      this.#closed(status ?? code);
    }).on('unexpected-response', (request, response) => {
      status = response.statusCode;
      socket.terminate();
    });
  }

  #closed(code) {
    if (this.#over || FINAL.includes(code)) return this.end(code);
    if (code === 503 || code === 1013) this.#wait = Math.max(this.#wait, 5000);
    this.#connectIn(this.#pause + this.#wait * (1 + Math.random()) / 2);
    [this.#pause, this.#wait] = [0, Math.min(2 * this.#wait || 500, 30000)];
  }

  #connectIn(ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), ms);
  }

  #free(got) { this.#freed += this.#kept.splice(0, got - this.#freed).length; }

  #take(text) {
    const { type, call } = text, isAnswer = this.#asked.delete(text.ref);
    if (type === 'welcome') return this.#welcome(text);
    if (isCounted(text)) this.#count();
    if (type === 'ack') this.#free(text.got);
    if (text.reason === 'reload') this.#connectIn(text.reconnect);
    if (text.reason === 'shutdown') this.#pause = text.reconnect;
    if (type === 'calling' && !isAnswer) return;        // asked twice
    if (type === 'calling' || type === 'ring') this.#calls.add(call);
    if (type === 'ended' && !this.#calls.delete(call) && !isAnswer) return;
    if (text.into) this.#calls.add(text.into);          // glare
    if (type !== 'error' || this.listenerCount(type)) this.emit(type, text);
  }

  #count() {
    const ack = () => {
      this.#ackTimer = clearTimeout(this.#ackTimer);
      if (this.#ready) this.#socket.send(`{"type":"ack","got":${this.#got}}`);
    };
    if (++this.#got % 16 === 0) ack();
    else this.#ackTimer ??= setTimeout(ack, 2000);
  }

  #welcome(text) {
    if (text.resumed && !text.lost) this.#free(text.got);
    else if (!this.#isFirst) this.#restart(text);
    [this.#ready, this.#isFirst, this.#wait] = [true, false, 0];
    [this.#token, this.#ping] = [text.resume, text.ping];
    for (const string of this.#kept) this.#socket.send(string);
    for (const string of this.#asked.values()) this.#socket.send(string);
    this.emit('welcome', text);
  }

  #restart({ resumed, calls }) {        // both sides count from 1
    [this.#got, this.#freed] = [0, 0];
    this.#kept = this.#kept.filter((sent) => resumed && DECISION.test(sent));
    if (!resumed) this.#rooms.clear();
    for (const room of this.#rooms) this.send({ type: 'enter', room });
    const over = this.#calls;
    this.#calls = new Set(calls.map(({ call }) => call));
    for (const call of this.#calls) over.delete(call);
    for (const call of over) this.emit('ended', { call, reason: 'lost' });
  }
};
