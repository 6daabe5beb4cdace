'use strict';
/*
 * connection.js: a client's end of one WebSocket, as run.js plays it.
 *
 * Presence and acknowledgements come when they come: they are checked on
 * arrival and kept apart from the other texts, which wait for take().
 */

const WebSocket = require('ws');

const PROTOCOL = 'webrtc-signal.v1';

/* What one client and the server count, from connection to connection. */
class Session {
  constructor() {
    this.sent = []; // counted texts
    this.acknowledged = 0; // of them, by the server
  }
}

function isCounted(message) {
  return typeof message === 'object' && message !== null
    && ('call' in message || 'room' in message) && message.type !== 'call';
}

class Connection {
  /* options: protocols, login ({name, password}), answers_pings, insecure */
  constructor(url, session, options = {}) {
    const { login, protocols = [PROTOCOL] } = options;
    this.session = session;
    this.inbox = []; // {message, text}
    this.end = null; // {code} or {status}
    this.trouble = null; // what came and must not
    this.users = null; // name -> state
    this.joined = false;
    this.changed = () => {};
    this.socket = new WebSocket(url, protocols, {
      rejectUnauthorized: !options.insecure, perMessageDeflate: false,
      autoPong: options.answers_pings !== false,
      ...(login && { auth: `${login.name}:${login.password}` }) });
    this.socket.on('open', () => {
      this.open = true;
      this.socket._socket.setNoDelay(true);
      this.changed();
    });
    this.socket.on('unexpected-response', (request, response) => {
      response.resume();
      request.destroy();
      this.ended({ status: response.statusCode });
    });
    this.socket.on('error', (error) => this.ended({ error: error.message }));
    this.socket.on('close', (code) => this.ended({ code }));
    this.socket.on('message', (data, binary) =>
      this.arrived(binary ? null : data.toString()));
  }

  ended(end) {
    this.end = this.end || end;
    this.changed();
  }

  arrived(text) {
    let message = null;
    try {
      message = JSON.parse(text);
    } catch (error) {
      // no message, then
    }
    if (!message || typeof message.type !== 'string') {
      this.trouble = this.trouble || `no object with a type: ${text}`;
    } else if (message.type === 'presence') {
      this.apply(message);
    } else if (message.type === 'ack') {
      this.acknowledge(message);
    } else {
      this.note(message);
      this.inbox.push({ message, text });
    }
    this.changed();
  }

  note(message) {
    if (message.type === 'welcome') {
      this.joined = true;
      if (message.resumed !== true || message.lost) {
        this.session.sent = [];
        this.session.acknowledged = 0;
      }
    }
    if (message.type === 'welcome' || message.type === 'users') {
      this.users = message.users
        && new Map(message.users.map(({ name, state }) => [name, state]));
    }
  }

  /* A delta fits the list that it follows. */
  apply({ joined, left, changed, count }) {
    if (![joined, left, changed].every(Array.isArray)
        || !Number.isInteger(count)) {
      this.trouble = this.trouble || 'presence without its members';
      return;
    }
    const names = [...joined, ...changed].map(({ name }) => name).concat(left);
    const known = this.users || new Map();
    const wrong = names.find((name, i) => names.indexOf(name) !== i)
      || (this.users && [...left, ...changed.map(({ name }) => name)]
        .find((name) => !known.has(name)));
    if (wrong) {
      this.trouble = this.trouble || `presence contradicts itself: "${wrong}"`;
    }
    [...joined, ...changed].forEach(({ name, state }) =>
      known.set(name, state));
    left.forEach((name) => known.delete(name));
  }

  acknowledge({ got }) {
    const { session } = this;
    if (!Number.isInteger(got) || got <= session.acknowledged
        || got > session.sent.length) {
      this.trouble = this.trouble || `ack of ${got} after `
        + `${session.acknowledged}, where ${session.sent.length} were sent`;
    }
    session.acknowledged = got;
  }

  /* Send a text; where it is JSON that counts, keep it. */
  send(text) {
    try {
      if (isCounted(JSON.parse(text))) {
        this.session.sent.push(text);
      }
    } catch (error) {
      // what is no JSON does not count
    }
    this.socket.send(text);
  }

  /* Send again what came after number n. */
  sendAgain(n) {
    this.session.sent.slice(n).forEach((text) => this.socket.send(text));
  }

  /* Wait until check() gives something other than undefined. */
  async until(check, ms, what) {
    let timer;
    try {
      return await new Promise((resolve, reject) => {
        const look = () => {
          if (this.trouble) {
            reject(new Error(this.trouble));
            return;
          }
          const value = check();
          if (value !== undefined) {
            this.changed = () => {}; // before more comes in this same turn
            resolve(value);
          }
        };
        this.changed = () => {
          try {
            look();
          } catch (error) {
            reject(error);
          }
        };
        timer = setTimeout(() => reject(new Error(
          `${what} within ${ms} ms`)), ms);
        this.changed();
      });
    } finally {
      clearTimeout(timer);
      this.changed = () => {};
    }
  }

  /* The next text that is no presence and no acknowledgement. */
  take(ms, what = 'nothing came') {
    return this.until(() => {
      if (this.inbox.length === 0 && this.end) {
        throw new Error(`it ended: ${JSON.stringify(this.end)}`);
      }
      return this.inbox.shift();
    }, ms, what);
  }

  untilEnd(ms) {
    return this.until(() => this.end || undefined, ms, 'it did not end');
  }

  leave() {
    if (this.joined && !this.end) {
      this.socket.send('{"type":"bye"}');
    }
    this.socket.close(1000);
  }
}

module.exports = { Connection, PROTOCOL, Session, isCounted };
