'use strict';
/*
 * scenarios.js: the same tests over ws and wss, on every server.
 *
 *   scenarios({ settings: { guests: 'all' } }, {
 *     async 'a name is free again'(c) {
 *       const alice = await c.native('alice');
 *       ...
 *     },
 *   });
 *
 * One server serves all tests of a call.  What a test opened through its
 * context c is closed after it, so that the next one finds an empty realm.
 */

const { attempt, later } = require('./tap');
const { kinds, servers, startServer } = require('./server');
const { Native, Article, openOn } = require('./client');
const { Durable } = require('./durable');
const { Proxy } = require('./proxy');
const { Raw } = require('./raw');

const SIGNAL = '/webrtc/signal';

class Context {
  constructor(server, scheme) {
    this.server = server;
    this.scheme = scheme;
    this.base = server[scheme];
    this.web = scheme === 'ws' ? server.http : server.https;
    this.clients = [];
    this.raws = [];
    this.proxies = [];
  }

  url(path = SIGNAL) {
    return this.base + path;
  }

  /* A connection that has said nothing.  options.on: on this worker;
   * options.off: not on this one; options.path. */
  async open(Kind, options = {}) {
    const make = () => {
      const client = new Kind(this.url(options.path), options);
      this.clients.push(client);
      return client;
    };
    if (options.on) {
      return openOn(make, (pid) => pid === options.on, `worker ${options.on}`);
    }
    if (options.off) {
      return openOn(make, (pid) => pid !== options.off,
                    `another worker than ${options.off}`);
    }
    const client = make();
    await client.opened;
    return client;
  }

  /* A native user who has been welcomed. */
  async native(name, options = {}, hello = {}) {
    const client = await this.open(Native, options);
    return client.hello(name, hello);
  }

  /* The same user on another connection, with the token of this one. */
  async again(client, options = {}, hello = {}) {
    const { on, off, ...same } = client.options;
    const next = await this.open(Native, { ...same, ...options });
    next.got = client.got;
    return next.hello(client.name, { resume: client.welcome.resume,
                                     got: client.got, ...hello });
  }

  /* One who comes back by itself.  options.proxy: through this one;
   * options.Kind: a class of Durables; options.base: the scheme's other one. */
  async durable(name, options = {}, hello = {}) {
    const { proxy, path, base = this.base, Kind = Durable } = options;
    const url = (proxy ? base.replace(/\d+$/, proxy.port) : base)
                + (path || SIGNAL);
    const client = new Kind(url, options);
    this.clients.push(client);
    return client.hello(name, hello);
  }

  async proxy(scheme = this.scheme, options = {}) {
    const { ports } = this.server;
    const proxy = await Proxy.start(scheme === 'ws' ? ports.http : ports.https,
                                    options);
    this.proxies.push(proxy);
    return proxy;
  }

  async article(nickname, options = {}) {
    const client = await this.open(Article, options);
    return client.enter(nickname);
  }

  /* A raw connection after its handshake. */
  async raw(options = {}) {
    const raw = await this.rawSocket(options.host);
    return raw.upgrade(options);
  }

  /* ... and before it. */
  async rawSocket(host) {
    const raw = await Raw.connect(this.base, host);
    this.raws.push(raw);
    return raw;
  }

  async closeAll() {
    await Promise.all(this.raws.splice(0).map((raw) => raw.finish()));
    await Promise.all(this.clients.splice(0).map((client) => client.close()));
    await Promise.all(this.proxies.splice(0).map((proxy) => proxy.cut()));
  }
}

/*
 * options: startServer's, and
 *   only         ['apache']: on these servers
 *   conformance  true: on each kind of workers that a server has
 *   schemes      ['ws', 'wss']
 *   ms           that one test may take
 *   fresh        true: each test gets a server of its own
 *   together     true: they run at the same time, for those that mostly wait;
 *                on one server they must not meet
 */
function scenarios(options, tests) {
  const { only, conformance } = options;
  for (const server of servers.filter((name) => !only || only.includes(name))) {
    for (const more of conformance ? kinds[server].conformance : [{}]) {
      later(() => runOn({ ...options, ...more, server }, tests));
    }
  }
}

async function runOn(options, tests) {
  const { fresh, together, schemes = ['ws', 'wss'], ms } = options;
  const server = [options.server, options.mpm].filter(Boolean).join(' ');
  let s = null;
  if (!fresh && !await attempt(`${server}: the server starts`, async () => {
    s = await startServer(options);
  })) {
    return;
  }
  for (const scheme of schemes) {
    const all = Object.entries(tests).map(([what, run]) =>
      () => attempt(`${server} ${scheme}: ${what}`,
                    () => runOne(s, options, scheme, run), ms));
    if (together) {
      await Promise.all(all.map((start) => start()));
    }
    for (const start of together ? [] : all) {
      await start();
    }
  }
  if (!fresh) {
    await attempt(`${server}: the server ends in good order`, () => s.stop());
  }
}

async function runOne(s, options, scheme, run) {
  const server = s || await startServer(options);
  const c = new Context(server, scheme);
  try {
    await run(c);
  } finally {
    await c.closeAll();
  }
  if (!s) {
    await server.stop();
  }
}

module.exports = { scenarios };
