/**
 * The line to the server: one WebSocket that speaks webrtc-signal.v1, kept up
 * by reconnecting.  Knows names and calls, no media and no page.
 *
 * Every text of the server arrives as an event of its type whose `detail` is
 * the text (`ring`, `accepted`, `signal`, `ended`, ...), but for the answers to
 * `request`, which are handed to whoever asked.  Besides:
 *
 *   users    the list of people (`users`, `count`) has changed
 *   down     the connection is lost; detail: {code, delay}, it is tried again
 *            after `delay` milliseconds
 *   refused  the server does not want us as we are, and there is no point in
 *            trying again; detail: {code, reason}, reason a word of REFUSALS
 */

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
const RECONNECT = new Set([1000, 1001, 1005, 1006, 1012, 1013, 4408]);

const FULL = 1013;
const FIRST_DELAY = 500;
const FULL_DELAY = 5000;
const LAST_DELAY = 30000;
const REQUEST_TIME = 10000;

/** A request that got an error for an answer, or none at all (`lost`). */
export class SignalError extends Error {
  /**
   * @param {string} code
   * @param {string} [message]
   */
  constructor(code, message) {
    super(message || code);
    this.code = code;
  }
}

export class Signal extends EventTarget {
  #url;
  #watch;
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {Map<string, {resolve: (answer: Message) => void, reject: (error: Error) => void, timer: any}>} */
  #requests = new Map();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** Whether the page wants to be connected. */
  #wanted = false;
  #nextRef = 1;
  #failures = 0;
  /** What the server asked for in its goodbye, in milliseconds. */
  #askedDelay = 0;
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
    /** Whether the server has welcomed us on the present connection. */
    this.connected = false;
    /** @type {Map<string, User> | null} null: too many people for a list */
    this.users = new Map();
    this.count = 0;
  }

  /** Connect.  The first `welcome` or `refused` tells how it went. */
  open() {
    clearTimeout(this.#timer);
    this.#wanted = true;
    if (this.#socket) {
      return;
    }
    const socket = new WebSocket(this.#url, 'webrtc-signal.v1');
    let opened = false;
    this.#socket = socket;
    socket.onopen = () => {
      opened = true;
      this.send({ type: 'hello', name: this.name, watch: this.#watch });
    };
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    socket.onclose = (event) => this.#closed(event.code, opened);
  }

  /** Leave for good. */
  bye() {
    this.#wanted = false;
    this.send({ type: 'bye' });
    const socket = this.#drop();
    socket?.close(1000);
  }

  /**
   * Send a text that has no direct answer.  Returns false, and sends nothing,
   * where there is no connection.
   *
   * @param {Message} message
   */
  send(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) {
      return false;
    }
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  /**
   * Send a text and wait for its direct answer.  Rejects with a SignalError.
   *
   * @param {Message} message
   * @returns {Promise<Message>}
   */
  request(message) {
    const ref = String(this.#nextRef++);
    return new Promise((resolve, reject) => {
      if (!this.connected || !this.send({ ...message, ref })) {
        reject(new SignalError('lost'));
        return;
      }
      const timer = setTimeout(() => this.#settle(ref)?.reject(new SignalError('lost')), REQUEST_TIME);
      this.#requests.set(ref, { resolve, reject, timer });
    });
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

  /** @param {Message} message */
  #receive(message) {
    const waiting = message.ref === undefined ? undefined : this.#settle(message.ref);
    if (message.ice) {
      this.#keepIce(message.ice); /* of the welcome; guests': of their calls */
    }
    switch (message.type) {
      case 'welcome':
        this.#failures = 0;
        this.connected = true;
        this.name = message.name;
        this.verified = message.verified;
        this.#replaceUsers(message);
        break;
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
        this.#askedDelay = message.reconnect;
        break;
    }
    if (!waiting) {
      this.#tell(message.type, message);
    } else if (message.type === 'error') {
      waiting.reject(new SignalError(message.code, message.message));
    } else {
      waiting.resolve(message);
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
   * @param {number} code
   * @param {boolean} opened
   */
  async #closed(code, opened) {
    this.#drop();
    let reason = RECONNECT.has(code) ? undefined : REFUSALS.get(code) ?? 'fault';
    if (!opened && await this.#loginWanted()) {
      reason = 'login';
    }
    if (this.#socket || !this.#wanted) {
      return; /* opened again, or left, in the meantime */
    }
    if (reason) {
      this.#wanted = false;
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
      const { status } = await fetch(url, { cache: 'no-store' });
      return status === 401 || status === 403;
    } catch {
      return false; /* nobody there */
    }
  }

  /** @param {number} code */
  #delay(code) {
    const first = code === FULL ? FULL_DELAY : FIRST_DELAY;
    const delay = Math.min(first * 2 ** this.#failures, LAST_DELAY);
    const asked = this.#askedDelay;
    this.#failures += 1;
    this.#askedDelay = 0;
    /* Spread out, or all clients of a restarted server come at once. */
    return Math.max(asked, delay * (0.5 + Math.random() / 2));
  }

  /** Let go of the socket; pending requests fail. */
  #drop() {
    const socket = this.#socket;
    clearTimeout(this.#timer);
    this.connected = false;
    this.#socket = null;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
    }
    for (const ref of [...this.#requests.keys()]) {
      this.#settle(ref)?.reject(new SignalError('lost'));
    }
    return socket;
  }

  /** @param {string} ref */
  #settle(ref) {
    const request = this.#requests.get(ref);
    if (request) {
      clearTimeout(request.timer);
      this.#requests.delete(ref);
    }
    return request;
  }

  /**
   * @param {string} type
   * @param {object} detail
   */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
