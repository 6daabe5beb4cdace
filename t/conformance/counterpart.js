'use strict';
/*
 * counterpart.js: plays the server's part of a transcript to one client.
 *
 * The steps are those of the client: what it sends is awaited and compared,
 * what it gets is sent to it.
 */

const http = require('http');
const WebSocket = require('ws');
const { deedOf } = require('./transcripts');
const { ABSENT, Scope, fill, match } = require('./pattern');
const { PROTOCOL } = require('./connection');
const { Line } = require('./line');

const WAIT = 10000; // ms for what the client should do at once
const FIRST = 30000; // ms for a connection: the client may have to start
const SILENCE = 400; // ms in which nothing may come

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/* What a welcome has, where the transcript does not say otherwise (null: it
 * has not that). */
const WELCOME = {
  name: '$NAME', verified: false, peer: 'p1', realm: 'conformance', users: [],
  count: 1, calls: [], resume: '$TOKEN', resume_window: 15, ping: 25,
  max_message: 65536, ice: { iceServers: [], ttl: 3600 },
  features: ['rooms', 'resume'],
};

/* What clients may ask whenever they like, and what they get. */
const ANSWERS = {
  lookup: ({ name }) => ({ type: 'user', name, state: 'absent' }),
  watch: () => ({ type: 'users', users: [], count: 1 }),
  ice: () => ({ type: 'ice', iceServers: [], ttl: 3600 }),
  state: () => null,
};

class Counterpart {
  /* tell: is handed what the client's user should do now. */
  constructor(tell) {
    this.tell = tell;
    this.scope = new Scope({}, true);
    this.lines = {};
    this.knocks = []; // handshakes that no step has asked for yet
    this.wrong = null;
    this.watchers = new Set();
    this.since = Date.now();
    this.wss = new WebSocket.WebSocketServer({ noServer: true,
      handleProtocols: (known) => known.has(PROTOCOL) && PROTOCOL });
    this.web = http.createServer((request, response) => {
      response.writeHead(404);
      response.end();
    });
    this.web.on('upgrade', (request, socket, head) => {
      socket.on('error', () => {});
      this.knocks.push({ request, socket, head, at: Date.now() });
      this.changed();
    });
  }

  listen(port) {
    return new Promise((resolve) => this.web.listen(port, '127.0.0.1',
      () => resolve(this.web.address().port)));
  }

  close() {
    this.wss.clients.forEach((socket) => socket.terminate());
    this.knocks.forEach(({ socket }) => socket.destroy());
    this.web.close();
  }

  changed() {
    this.watchers.forEach((look) => look());
  }

  /* The client's process is no more. */
  clientEnded() {
    this.gone = true;
    this.changed();
  }

  fault(what) {
    this.wrong = this.wrong || what;
    this.changed();
  }

  /* Wait until check() gives something other than undefined. */
  until(check, ms, what) {
    return new Promise((resolve, reject) => {
      let timer = null;
      const done = (settle, value) => {
        this.watchers.delete(look);
        clearTimeout(timer);
        settle(value);
      };
      const look = () => {
        if (this.wrong) {
          done(reject, new Error(this.wrong));
          return;
        }
        try {
          const value = check();
          if (value !== undefined) {
            done(resolve, value);
          }
        } catch (error) {
          done(reject, error);
        }
      };
      timer = setTimeout(() =>
        done(reject, new Error(`${what} within ${ms} ms`)), ms);
      this.watchers.add(look);
      look();
    });
  }

  async play({ steps }) {
    await this.steps(steps, '');
    await sleep(SILENCE);
    const [who] = Object.entries(this.lines)
      .find(([, { inbox }]) => this.answerAll(inbox, null).length > 0) || [];
    if (who || this.wrong || this.knocks.length > 0) {
      throw new Error(`at the end: ${this.wrong || (who
        ? `not expected: ${JSON.stringify(this.lines[who].inbox)}`
        : 'one connection too many')}`);
    }
  }

  async steps(steps, prefix) {
    for (const [i, step] of steps.entries()) {
      const number = `${prefix}${i + 1}`;
      if (step.for !== undefined) {
        for (const value of step.in) {
          this.scope.set(step.for, fill(value, this.scope));
          await this.steps(step.do, `${number}.${JSON.stringify(value)}.`);
        }
        continue;
      }
      try {
        await DEEDS[deedOf(step)].call(this, step, this.lines[step.who]);
      } catch (error) {
        error.message = error.told ? error.message
          : `step ${number}, ${JSON.stringify(step)}:\n  ${error.message}`;
        error.told = true;
        throw error;
      }
      this.since = Date.now();
    }
  }

  /* Answer what is asked at any time, but for the type that a step awaits;
   * what is left. */
  answerAll(inbox, wanted) {
    const left = inbox.filter((message) => {
      const answer = message.type !== wanted && ANSWERS[message.type];
      if (answer) {
        const line = Object.values(this.lines).find((l) => l.inbox === inbox);
        const text = answer(message);
        if (text && !line.end) {
          line.send({ ...text, ...(message.ref !== undefined
                                   && { ref: message.ref }) });
        }
      }
      return !answer;
    });
    inbox.splice(0, inbox.length, ...left);
    return left;
  }

  /* The next text of the client. */
  next(line, wanted) {
    return this.until(() => {
      this.answerAll(line.inbox, wanted);
      if (line.inbox.length === 0 && line.end) {
        throw new Error(`the client closed with ${line.end.code}`);
      }
      return line.inbox.shift();
    }, WAIT, 'nothing came');
  }

  async knock({ after = 0, within = FIRST }) {
    const { since } = this;
    const knock = await this.until(() => {
      if (this.gone && this.knocks.length === 0) {
        throw new Error('the client has ended');
      }
      return this.knocks.shift();
    }, Math.max(after, within), 'no connection');
    if (knock.at - since < after) {
      throw new Error(`it connected after ${knock.at - since} ms`);
    }
    return knock;
  }
}

/* What the steps do; this is the counterpart. */
const DEEDS = {
  async connects({ who, connects }) {
    const { request, socket, head } = await this.knock(connects);
    const { in_place_of } = connects;
    const asked = request.headers['sec-websocket-protocol'] || '';
    if (!asked.split(/ *, */).includes(PROTOCOL)) {
      throw new Error(`it asks for the subprotocols "${asked}"`);
    }
    const old = this.lines[in_place_of || who];
    this.wss.handleUpgrade(request, socket, head, (opened) => {
      this.lines[who] = new Line(opened, this);
      this.lines[who].sent = old ? old.sent : 0;
      this.lines[who].acknowledged = old ? old.acknowledged : 0;
    });
  },

  async refused({ refused, ...rest }) {
    const { socket } = await this.knock(rest);
    socket.end(`HTTP/1.1 ${refused} ${http.STATUS_CODES[refused]}\r\n`
               + 'Content-Length: 0\r\nConnection: close\r\n\r\n');
  },

  async joins({ who, joins }) {
    const { hello, welcome, ...options } = joins;
    await DEEDS.connects.call(this, { who, connects: options });
    await DEEDS.sends.call(this, { sends: {
      type: 'hello', name: '$NAME', watch: { $maybe: { $any: true } },
      ref: { $maybe: '$REF' }, ...hello } }, this.lines[who]);
    const gets = { type: 'welcome', ref: '$REF', ...welcome };
    DEEDS.gets.call(this, { gets }, this.lines[who]);
  },

  /* The client's text; an acknowledgement may come in several. */
  async sends({ sends }, line) {
    if (sends.type === 'ack') {
      await this.until(() => line.acknowledged === sends.got || undefined,
                       WAIT, `no ack of ${sends.got}`);
      return;
    }
    const message = await this.next(line, sends.type);
    const why = match(sends, message, this.scope, { more: true });
    if (why) {
      throw new Error(`${why}\n  in ${JSON.stringify(message)}`);
    }
  },

  gets({ gets }, line) {
    const template = typeof gets === 'string' ? fill(gets, this.scope) : gets;
    const whole = template.type === 'welcome' ? { ...WELCOME, ...template }
                                              : template;
    const kept = Object.entries(whole).filter(([, value]) =>
      value !== null && this.scope.values[String(value).slice(1)] !== ABSENT);
    if (whole.type === 'welcome' && (whole.lost || whole.resumed !== true)) {
      line.sent = 0;
      line.acknowledged = 0;
    }
    line.send(fill(Object.fromEntries(kept), this.scope));
  },

  async quiet(step, line) {
    await sleep(SILENCE);
    if (this.answerAll(line.inbox, null).length > 0) {
      throw new Error(`not expected: ${JSON.stringify(line.inbox)}`);
    }
  },

  async pongs(step, line) {
    line.pongs = 0;
    line.socket.ping();
    await this.until(() => line.pongs > 0 || undefined, WAIT, 'no pong');
  },

  async closes({ closes }, line) {
    const codes = closes === null ? [1000, 1001, 1005] : [].concat(closes);
    await this.until(() => line.end || undefined, WAIT, 'it did not close');
    if (!codes.includes(line.end.code)) {
      throw new Error(`it closed with ${line.end.code}`);
    }
  },

  async closed({ closed }, line) {
    line.socket.close(closed);
    await this.until(() => line.end || undefined, WAIT, 'it did not close');
  },

  /* Behind what was sent. */
  async cut(step, line) {
    await DEEDS.pongs.call(this, {}, line);
    line.socket.terminate();
    await this.until(() => line.end || undefined, WAIT, 'it did not end');
  },

  async away({ away }) {
    await sleep(away);
    if (this.knocks.length > 0) {
      throw new Error('it connected');
    }
  },

  /* What was sent before has arrived by the pong, so that what the user does
   * comes after it. */
  async does({ does }, line) {
    if (line && !line.end) {
      await DEEDS.pongs.call(this, {}, line);
    }
    this.tell(fill(does, this.scope));
  },

  waits({ waits }) {
    return sleep(waits);
  },
};

module.exports = { Counterpart };
