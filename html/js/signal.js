/**
 * The line to the server, webrtc-signal.v1 over WebSockets, kept up by
 * reconnecting.  Knows names and calls, no media and no page.
 *
 * Every text of the server arrives as an event of its type whose `detail` is
 * the text (`ring`, `accepted`, `signal`, `ended`, ...), but for the answers to
 * `request`, which are handed to whoever asked.  Besides:
 *
 *   users    the list of people (`users`, `count`) has changed
 *   down     the connection is lost; detail: {code, delay}, it is tried again
 *            after `delay` milliseconds
 *   gone     the server knows us no longer: our calls and rooms have ended for
 *            it, and what was under way did not arrive
 *   refused  the server does not want us as we are, and there is no point in
 *            trying again; detail: {code, reason}, reason a word of REFUSALS
 *   lost     we are back in our calls and rooms, but texts of either side are
 *            lost; detail: the `welcome`, whose `calls` tell what there is
 *
 * Where the server keeps our place, a new connection goes on where the old one
 * was: `down`, then `welcome` with "resumed":true, and between them nothing is
 * lost or doubled.  Texts about calls and rooms may be sent meanwhile, and what
 * we asked is answered afterwards.  Else `gone` comes first, at once or before
 * the next `welcome`.  At a reload the server asks us to change over, which
 * shows only in one more `welcome`.
 */
import { ASIDE, BROKEN, GONE, Line } from './line.js';
import { Ledger } from './ledger.js';
import { Requests, SignalError } from './requests.js';

export { SignalError };

/**
 * @typedef {{name: string, state: 'free' | 'busy' | 'away', verified: boolean}} User
 * @typedef {{type: string, [member: string]: any}} Message
 */

/** What the closing codes mean after which a reconnection cannot help. */
const REFUSALS = new Map([
  [4400, 'bad-name'],
  [4403, 'login'],
  [4409, 'name-taken'],
  [4410, 'elsewhere'],
]);

/* The server goes, the network is gone, the server is full, or (4408) our
 * hello took too long.  1000 and 1005: a server that closes without a word. */
const RECONNECT = new Set([1000, 1001, 1005, BROKEN, 1012, 1013, 4408]);

const FULL = 1013;
const FIRST_DELAY = 500;
const FULL_DELAY = 5000;
const LAST_DELAY = 30000;
/* While our place is kept, so often in that time at least. */
const TRIES = 5;
const LOGIN_TIME = 5000;

/* Protocol.md: so many texts, or so many milliseconds after the first one. */
const ACK_TEXTS = 16;
const ACK_TIME = 2000;
/* By then the server has answered or acknowledged, if the line stands. */
const DEAF_TIME = 8000;

export class Signal extends EventTarget {
  #url;
  #watch;
  /** The connection that we have, or are about to.
   * @type {Line | undefined} */
  #line;
  /** One that will take the place of it.
   * @type {Line | undefined} */
  #successor;
  #requests = new Requests();
  /** What takes our place again; none where the server keeps no places.
   * @type {string | undefined} */
  #token;
  #ledger = new Ledger();
  /** Until the next connection is made.
   * @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #ackTimer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #deafTimer;
  /** Whether the page wants to be connected. */
  #wanted = false;
  /** Whether the server has welcomed us, and we are not `gone`. */
  #placed = false;
  #failures = 0;
  /** When the line was lost.
   * @type {number | undefined} */
  #downSince;
  /** What the server asked for in its goodbye, in milliseconds. */
  #askedDelay = 0;
  /** ... and before when it does not want us. */
  #notBefore = 0;
  /** @type {RTCIceServer[]} */
  #iceServers = [];
  /** When half of the time is over for which they are good. */
  #iceUntil = 0;

  /**
   * @param {{name: string, watch?: 'all' | 'none' | string[], url?: string | URL}} options
   */
  constructor({ name, watch = 'all', url = new URL('../signal', import.meta.url) }) {
    super();
    this.#url = new URL(url);
    this.#url.protocol = this.#url.protocol.replace('http', 'ws');
    this.#watch = watch;
    /** Our name: the one asked for, then the one the server gave. */
    this.name = name;
    this.verified = false;
    /** For how many milliseconds the server keeps our place when the line is
     * lost. */
    this.keptFor = 0;
    /** @type {Map<string, User> | null} null: too many people for a list */
    this.users = new Map();
    this.count = 0;
  }

  /** Whether the server has welcomed us on the present connection. */
  get connected() {
    return this.#line?.welcomed ?? false;
  }

  /** Connect.  The first `welcome` or `refused` tells how it went.  Where there
   * is a connection, see whether it still holds. */
  open() {
    this.#wanted = true;
    if (!this.#line) {
      clearTimeout(this.#timer);
      this.#line = this.#connect();
    } else {
      this.#changeOver();
    }
  }

  /** Leave for good. */
  bye() {
    this.#wanted = false;
    if (this.send({ type: 'bye' })) {
      this.#forget();
    }
    this.#drop(GONE);
    this.#requests.fail();
  }

  /**
   * Send a text that has no direct answer.  Returns false where it will never
   * arrive: there is no connection, and none is awaited that would carry it.
   *
   * @param {Message} message
   */
  send(message) {
    if (message.type === 'watch') {
      this.#watch = message.names; /* of later connections, too */
    }
    const text = JSON.stringify(message);
    const kept = this.#token !== undefined && Ledger.counts(message);
    if (kept) {
      this.#ledger.keep(text);
    }
    const sent = this.connected && this.#line?.send(text);
    if (sent && kept) {
      this.#listen();
    }
    return sent || kept;
  }

  /**
   * Send a text and wait for its direct answer.  Rejects with a SignalError.
   *
   * @param {Message} request
   * @returns {Promise<Message>}
   */
  async request(request) {
    if (!this.connected && this.#token === undefined) {
      throw new SignalError('lost');
    }
    const { message, answer } = this.#requests.begin(request);
    this.#ask(message);
    return answer;
  }

  /**
   * The servers that we know, or fresh ones where half of the life of their
   * credentials is over: a call that starts now should get through its first
   * minutes with what it has.
   *
   * @returns {Promise<RTCIceServer[]>}
   */
  async iceServers() {
    if (this.iceFreshFor === 0 && this.connected) {
      try {
        await this.request({ type: 'ice' });
      } catch (error) {
        /* Better a call with old servers than none. */
        console.warn('no fresh ICE servers', error);
      }
    }
    return this.#iceServers;
  }

  /** For how many milliseconds `iceServers` gives what we know. */
  get iceFreshFor() {
    return Math.max(0, this.#iceUntil - Date.now());
  }

  #connect() {
    /** @type {Line} */
    const line = new Line(this.#url, {
      hello: () => this.#hello(line),
      heard: (message) => this.#receive(line, message),
      ended: (code) => this.#ended(line, code),
    });
    return line;
  }

  /** Make a connection that takes the place of the present one, which serves
   * until then. */
  #changeOver() {
    if (this.#token !== undefined && this.connected && !this.#successor) {
      clearTimeout(this.#timer);
      this.#successor = this.#connect();
    }
  }

  /** @param {Line} line */
  #hello(line) {
    const hello = { type: 'hello', name: this.name, watch: this.#watch };
    if (this.#token === undefined) {
      return hello;
    }
    line.claimed = this.#ledger.got;
    this.#owe();
    return { ...hello, resume: this.#token, got: this.#ledger.claim };
  }

  /**
   * @param {Line} line
   * @param {Message} message
   */
  #receive(line, message) {
    clearTimeout(this.#deafTimer);
    this.#deafTimer = undefined;
    if (message.type === 'welcome') {
      this.#welcome(line, message);
      return;
    }
    if (Ledger.counts(message) && this.#token !== undefined && !this.#hear()) {
      return; /* it came on the old connection already */
    }
    if (message.ice) {
      this.#keepIce(message.ice); /* guests': of their calls */
    }
    switch (message.type) {
      case 'ack':
        this.#ledger.acknowledged(message.got);
        return;
      case 'ice':
        this.#keepIce(message);
        break;
      case 'users':
        this.#replaceUsers(message);
        break;
      case 'presence':
        this.#changeUsers(message);
        break;
      case 'goodbye':
        this.#goodbye(message);
        break;
    }
    if (!this.#requests.settle(message)) {
      this.#tell(message.type, message);
    }
  }

  /**
   * @param {Line} line
   * @param {Message} message
   */
  #welcome(line, message) {
    if (line === this.#successor) {
      this.#successor = undefined;
      if (!message.resumed) {
        line.close(GONE); /* Our place is where we are. */
        this.#owe();
        return;
      }
      this.#line?.close(ASIDE);
      this.#line = line;
    }
    line.welcome();
    clearTimeout(this.#timer);
    clearTimeout(this.#ackTimer);
    this.#ackTimer = undefined;
    this.#failures = this.#askedDelay = this.#notBefore = 0;
    this.#downSince = undefined;
    if (!message.resumed) {
      this.#forget();
    }
    this.#placed = true;
    this.name = message.name;
    this.verified = message.verified;
    this.#token = message.resume;
    this.keptFor = (message.resume_window ?? 0) * 1000;
    if (message.ice) {
      this.#keepIce(message.ice);
    }
    this.#goOn(line, message);
    this.#replaceUsers(message);
    this.#tell('welcome', message);
    if (message.lost) {
      this.#tell('lost', message);
    }
  }

  /**
   * Send what the server lacks, and ask what it did not answer.
   *
   * @param {Line} line
   * @param {Message} welcome
   */
  #goOn(line, { resumed, lost, got }) {
    if (lost) {
      this.#ledger = new Ledger();
    } else {
      this.#ledger.resume(resumed ? line.claimed : 0, got ?? 0);
      this.#ledger.kept.forEach((text) => line.send(text));
      this.#owe();
    }
    for (const message of this.#requests.messages) {
      if (lost || !Ledger.counts(message)) {
        this.#ask(message);
      } else {
        this.#requests.asked(message); /* It was among those kept. */
      }
    }
  }

  /** @param {Message} message */
  #ask(message) {
    if (this.send(message) && this.#requests.asked(message)) {
      this.#listen(); /* Asked again, it may be that there is no answer. */
    }
  }

  /** A counted text has come.  Returns whether it is a new one. */
  #hear() {
    const fresh = this.#ledger.hear();
    this.#owe();
    return fresh;
  }

  /** Acknowledge what has come, now or soon; but not more than a successor has
   * claimed just now: what is acknowledged is not sent again. */
  #owe() {
    if (this.#successor?.opened) {
      clearTimeout(this.#ackTimer);
      this.#ackTimer = undefined;
    } else if (this.#ledger.owed >= ACK_TEXTS) {
      this.#acknowledge();
    } else if (this.#ledger.owed > 0) {
      this.#ackTimer ??= setTimeout(() => this.#acknowledge(), ACK_TIME);
    }
  }

  #acknowledge() {
    clearTimeout(this.#ackTimer);
    this.#ackTimer = undefined;
    this.send({ type: 'ack', got: this.#ledger.acknowledge() });
  }

  /** Something has to come soon, or else the line is dead: a browser may not
   * notice for minutes that the network is another one. */
  #listen() {
    if (this.#token !== undefined && this.connected) {
      this.#deafTimer ??= setTimeout(() => {
        const line = /** @type {Line} */ (this.#line);
        this.#deafTimer = undefined;
        line.close(ASIDE);
        this.#ended(line, BROKEN);
      }, DEAF_TIME);
    }
  }

  /** @param {Message} message */
  #goodbye({ reason, reconnect }) {
    if (reason === 'reload') {
      this.#notBefore = Date.now() + reconnect;
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#changeOver(), reconnect);
    } else {
      this.#askedDelay = reconnect;
    }
  }

  /** @param {Message} message */
  #replaceUsers({ users, count }) {
    this.users = users && new Map(users.map((/** @type {User} */ user) => [user.name, user]));
    this.count = count;
    this.#tell('users', {});
  }

  /** @param {Message} message */
  #changeUsers({ joined = [], left = [], changed = [], count }) {
    this.count = count;
    if (this.users) {
      left.forEach((/** @type {string} */ name) => this.users?.delete(name));
      for (const user of joined) {
        this.users.set(user.name, user);
      }
      for (const user of changed) {
        const known = this.users.get(user.name);
        if (known) {
          Object.assign(known, user);
        }
      }
    }
    this.#tell('users', {});
  }

  /** @param {{iceServers: RTCIceServer[], ttl: number} | Message} ice */
  #keepIce({ iceServers, ttl }) {
    this.#iceServers = iceServers;
    this.#iceUntil = Date.now() + ttl * 500;
  }

  /**
   * @param {Line} line
   * @param {number} code
   */
  #ended(line, code) {
    const successor = this.#successor;
    this.#successor = undefined;
    if (line === successor) {
      this.#owe();
      if (RECONNECT.has(code)) {
        this.#timer = setTimeout(() => this.#changeOver(), this.#delay(code));
      }
    } else if (successor && (successor.opened || RECONNECT.has(code))) {
      clearTimeout(this.#deafTimer);
      this.#deafTimer = undefined;
      this.#line = successor; /* It has our place, or will tell. */
    } else {
      successor?.close(ASIDE);
      this.#fallen(line, code);
    }
  }

  /**
   * There is no line.
   *
   * @param {Line} line the one that we had
   * @param {number} code
   */
  async #fallen(line, code) {
    this.#drop(ASIDE);
    this.#downSince ??= Date.now();
    this.#requests.pause();
    if (this.#token === undefined) {
      this.#forget();
    }
    let reason = RECONNECT.has(code) ? undefined : REFUSALS.get(code) ?? 'fault';
    if (!line.opened && await this.#loginWanted()) {
      reason = 'login';
    }
    if (this.#line || !this.#wanted) {
      return; /* opened again, or left, in the meantime */
    }
    if (reason) {
      this.#wanted = false;
      this.#forget();
      this.#tell('refused', { code, reason });
      return;
    }
    const delay = this.#delay(code);
    this.#timer = setTimeout(() => this.open(), delay);
    this.#tell('down', { code, delay });
  }

  /** A browser hides why a handshake failed; a plain request shows it, and
   * lets the browser ask for a password that the next handshake then has. */
  async #loginWanted() {
    try {
      const url = new URL(this.#url);
      url.protocol = url.protocol.replace('ws', 'http');
      const signal = AbortSignal.timeout(LOGIN_TIME);
      const { status } = await fetch(url, { cache: 'no-store', signal });
      return status === 401 || status === 403;
    } catch {
      return false; /* nobody there */
    }
  }

  /** @param {number} code */
  #delay(code) {
    const first = code === FULL ? FULL_DELAY : FIRST_DELAY;
    const grown = first * 2 ** this.#failures;
    const delay = Math.min(grown, this.#longestDelay);
    const asked = Math.max(this.#askedDelay, this.#notBefore - Date.now());
    this.#failures += delay === grown ? 1 : 0;
    this.#askedDelay = 0;
    /* Spread out, or all clients of a restarted server come at once. */
    return Math.max(asked, delay * (0.5 + Math.random() / 2));
  }

  /** Not so long that our place goes while the network is back. */
  get #longestDelay() {
    const since = this.#downSince ?? Date.now();
    return Date.now() - since < this.keptFor ? this.keptFor / TRIES : LAST_DELAY;
  }

  /** The server knows us no longer. */
  #forget() {
    const placed = this.#placed;
    this.#placed = false;
    this.#token = undefined;
    this.#ledger = new Ledger();
    this.#requests.fail();
    if (placed) {
      this.#tell('gone', {});
    }
  }

  /**
   * Let go of all connections.
   *
   * @param {number} code
   */
  #drop(code) {
    clearTimeout(this.#timer);
    clearTimeout(this.#ackTimer);
    clearTimeout(this.#deafTimer);
    this.#ackTimer = this.#deafTimer = undefined;
    this.#line?.close(code);
    this.#successor?.close(code);
    this.#line = this.#successor = undefined;
  }

  /**
   * @param {string} type
   * @param {object} detail
   */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
