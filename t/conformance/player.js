'use strict';
/*
 * player.js: plays all the clients of a transcript against a server.
 */

const { deedOf } = require('./transcripts');
const { Scope, fill, match } = require('./pattern');
const { Connection, Session } = require('./connection');

const WAIT = 10000; // ms; far above what anything takes
const SILENCE = 150; // ms in which nothing may come

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/* "bob2" is bob's second device. */
const personOf = (who) => who.replace(/\d+$/, '');

class Failure extends Error {}

class Player {
  /*
   * settings: places {name: URL}, deeds {name: function}, insecure.
   * logins: {as: {name, password}} for this transcript alone.
   */
  constructor(settings, logins) {
    this.settings = settings;
    this.logins = logins;
    this.connections = {}; // who -> Connection
    this.sessions = {};
    this.scope = new Scope(Object.fromEntries(Object.entries(logins)
      .map(([as, { name }]) => [as, name])));
  }

  async play(transcript) {
    try {
      await this.steps(transcript.steps, '');
      for (const [who, connection] of Object.entries(this.connections)) {
        this.nothingLeft(who, connection);
      }
    } finally {
      Object.values(this.connections).forEach((c) => c.leave());
    }
  }

  async steps(steps, prefix) {
    for (const [i, step] of steps.entries()) {
      const number = `${prefix}${i + 1}`;
      if (step.for !== undefined) {
        await this.loop(step, `${number}.`);
        continue;
      }
      try {
        for (const who of fill([].concat(step.who || ''), this.scope)) {
          await DEEDS[deedOf(step)].call(this, step, who);
        }
      } catch (error) {
        throw error instanceof Failure ? error : new Failure(
          `step ${number}, ${JSON.stringify(step)}:\n  ${error.message}`
          + this.rest());
      }
    }
  }

  /* What is bound inside a turn is forgotten after it; made-up names stay. */
  async loop(step, prefix) {
    for (const value of fill(step.in, this.scope)) {
      const before = { ...this.scope.values };
      const values = Array.isArray(step.for) ? value : [value];
      [].concat(step.for).forEach((name, i) =>
        this.scope.set(name, values[i]));
      await this.steps(step.do, `${prefix}${JSON.stringify(value)}.`);
      this.scope.forget(before);
    }
  }

  /* For who has to find out why: what came and nobody asked for. */
  rest() {
    return Object.entries(this.connections)
      .filter(([, { inbox, end }]) => inbox.length > 0 || end)
      .map(([who, { inbox, end }]) => `\n  ${who}: `
        + [...inbox.map(({ text }) => text.slice(0, 300)),
           end ? `ended ${JSON.stringify(end)}` : ''].join(' '))
      .join('');
  }

  nothingLeft(who, connection) {
    if (connection.trouble || connection.inbox.length > 0) {
      throw new Failure(`${who}, at the end: ${connection.trouble
        || `not expected: ${connection.inbox[0].text}`}`);
    }
  }

  at(who) {
    if (!this.connections[who]) {
      throw new Error(`${who} has not connected`);
    }
    return this.connections[who];
  }

  open(who, options) {
    const place = options.at || 'open';
    const session = options.in_place_of || who;
    this.sessions[session] = this.sessions[session] || new Session();
    this.sessions[who] = this.sessions[session];
    const connection = new Connection(this.settings.places[place],
      this.sessions[who], { ...options, insecure: this.settings.insecure,
                            login: this.logins[options.as] });
    this.connections[who] = connection;
    return connection;
  }

  /* past: texts like that come before it, or do not. */
  async matched(who, pattern, { within = WAIT, past } = {}) {
    let taken;
    do {
      taken = await this.at(who).take(within);
    } while (past && match(past, taken.message, this.scope) === null);
    const why = match(pattern, taken.message, this.scope);
    if (why) {
      throw new Error(`${why}\n  in ${taken.text.slice(0, 1000)}`);
    }
    return taken;
  }
}

/* What the steps do; this is the player. */
const DEEDS = {
  async joins({ joins }, who) {
    const { hello, welcome, ...options } = joins;
    await DEEDS.connects.call(this, { connects: options }, who);
    const name = `$${options.as || personOf(who)}`;
    DEEDS.sends.call(this, { sends: { type: 'hello', name, ...hello } }, who);
    await this.matched(who, { type: 'welcome', name, ...welcome, $more: true });
  },

  async connects({ connects }, who) {
    const connection = this.open(who, connects);
    await connection.until(() => connection.open || connection.end || undefined,
                           WAIT, 'no connection');
  },

  async refused({ refused }, who) {
    const { status } = await this.at(who).untilEnd(WAIT);
    if (status !== refused) {
      throw new Error(`the handshake got ${status || 101}`);
    }
  },

  sends({ sends }, who) {
    this.at(who).send(JSON.stringify(fill(sends, this.scope)));
  },

  sends_text({ sends_text }, who) {
    this.at(who).send(fill(sends_text, this.scope));
  },

  sends_long({ sends_long }, who) {
    this.at(who).send('x'.repeat(fill(sends_long, this.scope) + 1));
  },

  writes({ writes }, who) {
    const bytes = Buffer.from(fill(writes, this.scope), 'hex');
    this.at(who).socket._socket.write(bytes);
  },

  sends_again({ sends_again }, who) {
    this.at(who).sendAgain(fill(sends_again, this.scope));
  },

  async gets({ gets, written, ...rest }, who) {
    const { text } = await this.matched(who, gets, rest);
    if (written !== undefined && !text.includes(fill(written, this.scope))) {
      throw new Error(`not written so: ${text}`);
    }
  },

  async gets_in_any_order({ gets_in_any_order, within }, who) {
    const taken = [];
    for (const pattern of gets_in_any_order) {
      taken.push(await this.at(who).take(
        within || WAIT, `nothing like ${JSON.stringify(pattern)}`));
    }
    const why = match({ $in_any_order: gets_in_any_order },
                      taken.map(({ message }) => message), this.scope);
    if (why) {
      throw new Error(why);
    }
  },

  async gets_ack({ gets_ack }, who) {
    const connection = this.at(who);
    const { session } = connection;
    await connection.until(() => session.acknowledged === gets_ack || undefined,
                           WAIT, `not acknowledged: ${gets_ack}`);
  },

  async sees({ sees }, who) {
    const connection = this.at(who);
    const wanted = Object.entries(fill(sees, this.scope));
    try {
      await connection.until(() => wanted.every(([name, state]) =>
        (connection.users.get(name) || null) === state) || undefined,
      WAIT, 'it is not seen');
    } catch (error) {
      const seen = wanted.map(([name]) => connection.users.get(name));
      throw new Error(`${error.message}, but ${JSON.stringify(seen)}`);
    }
  },

  /* Nothing comes: not for a while, and not before the answer to a request
   * that is sent then. */
  async quiet(step, who) {
    await sleep(SILENCE);
    const connection = this.at(who);
    connection.send('{"type":"lookup","name":"quiet","ref":"quiet"}');
    const { message, text } = await connection.take(WAIT);
    if (message.ref !== 'quiet') {
      throw new Error(`not expected: ${text}`);
    }
  },

  async closes({ closes }, who) {
    const connection = this.at(who);
    const code = fill(closes, this.scope);
    connection.socket.close(...(code === null ? [] : [code]));
    await connection.untilEnd(WAIT);
  },

  async closed({ closed, within }, who) {
    const connection = this.at(who);
    const { code } = await connection.untilEnd(within || WAIT);
    this.nothingLeft(who, connection);
    if (![].concat(fill(closed, this.scope)).includes(code)) {
      throw new Error(`closed with ${code}`);
    }
  },

  async cut(step, who) {
    this.at(who).socket.terminate();
    await this.at(who).untilEnd(WAIT);
  },

  waits({ waits }) {
    return sleep(waits);
  },

  server({ server }) {
    return this.settings.deeds[server]();
  },
};

module.exports = { Player };
