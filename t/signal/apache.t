#!/usr/bin/env node
'use strict';
/*
 * What only Apache httpd has: children that come and go with the load, places
 * in a scoreboard, other modules' filters, .htaccess.
 */

const assert = require('assert');
const fs = require('fs');
const http2 = require('http2');
const net = require('net');
const path = require('path');
const { execFileSync } = require('child_process');
const { scenarios } = require('../lib/scenarios');
const { Client, Native } = require('../lib/client');
const { answered, free, quiet } = require('../lib/call');
const { checkConfiguration, servers, sleep, until } = require('../lib/server');
const { test, diag } = require('../lib/tap');
const { get } = require('../lib/web');

const apache = { only: ['apache'], fresh: true, ms: 60000,
                 settings: { rate: '0', hello_timeout: '60s' } };
const plain = { ...apache, schemes: ['ws'] };

const seconds = (start) => (Date.now() - start) / 1000;
const alive = (pid) => fs.existsSync(`/proc/${pid}`);

/* As whom a process runs: only they may change its limits. */
function ids(pid) {
  const text = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
  return { uid: Number(/^Uid:\t(\d+)/m.exec(text)[1]),
           gid: Number(/^Gid:\t(\d+)/m.exec(text)[1]) };
}

/* Users on children of their own, one for each. */
async function spread(c, ...names) {
  const workers = c.server.workers();
  assert(workers.length >= names.length);
  return Promise.all(names.map((name, i) =>
    c.native(name, { on: workers[i] })));
}

/* GETs without a pause, each on a connection of its own, until stop(): how
 * many, and what went wrong. */
function visitors(c, n) {
  const seen = { gets: 0, failed: [] };
  let on = true;
  const all = Promise.all(Array.from({ length: n }, async () => {
    while (on) {
      const { status } = await get(c.web, '/plain.txt')
        .catch((error) => ({ status: error.message }));
      seen.gets++;
      if (status !== 200) {
        seen.failed.push(status);
      }
      await sleep(5);
    }
  }));
  return async () => {
    on = false;
    await all;
    return seen;
  };
}

/* Two who call one another all the time, and come again when they were closed.
 * A call ends only where one of the two was closed, and the other is told. */
async function callers(c, name, seen, going) {
  const join = async (which) => {
    const client = await c.open(Native);
    return client.hello(`${name} ${which}`);
  };
  let [a, b] = await Promise.all([join('a'), join('b')]);
  while (going()) {
    try {
      const call = await answered(a, b);
      seen.calls++;
      for (let n = 0; going(); n++) {
        a.send({ type: 'signal', call, data: n });
        assert.equal((await b.next('signal')).data, n);
        b.send({ type: 'signal', call, data: n });
        assert.equal((await a.next('signal')).data, n);
        seen.texts += 2;
        await sleep(20);
      }
      a.send({ type: 'hangup', call });
      await b.next('ended');
    } catch (error) {
      const closed = [a, b].filter((client) => client.end);
      const told = /"reason":"(gone|hangup|unreachable)"/.test(error.message)
        || /"code":"(unreachable|call-unknown|not-answered)"/.test(error.message)
        || /^closed with/.test(error.message);
      if (!told) {
        seen.wrong.push(error.message);
        return;
      }
      await until(() => a.end || b.end, 5000, `${name}: whose end? ${
        error.message}`).catch((e) => seen.wrong.push(e.message));
      closed.forEach(({ end }) => {
        seen.codes[end.code] = (seen.codes[end.code] || 0) + 1;
      });
      await Promise.all([a.close(), b.close()]);
      [a, b] = await Promise.all([join('a'), join('b')]);
    }
  }
}

/* (Without resume: survive.t has restarts that nobody feels.) */
scenarios({ ...apache, settings: { rate: '0', resume: '0' }, drain: '1s',
            ms: 120000 }, {
  async 'twenty graceful restarts under calls and GETs'(c) {
    const s = c.server;
    const stop = visitors(c, 3);
    const seen = { calls: 0, texts: 0, codes: {}, wrong: [] };
    let on = true;
    const talk = Promise.all(Array.from({ length: 6 }, (_, i) =>
      callers(c, `pair ${i}`, seen, () => on)
        .catch((error) => seen.wrong.push(error.stack))));
    let early;
    for (let i = 0; i < 20; i++) {
      await s.reload();
      await sleep(i % 4 === 3 ? 1500 : 300);
      early = i === 7 ? s.rss(s.pid) : early;
    }
    const grown = s.rss(s.pid) - early;
    on = false;
    await talk;
    const { gets, failed } = await stop();
    diag(`${gets} GETs, ${failed.length} failed; ${seen.calls} calls, ${
      seen.texts} signals, closed: ${JSON.stringify(seen.codes)}; `
      + `the parent's memory in 12 restarts: ${grown} B`);
    assert.deepEqual(failed, []);
    assert.deepEqual(seen.wrong, []);
    assert.deepEqual(Object.keys(seen.codes), ['1012']);
    assert(gets > 300 && seen.calls >= 12, 'there was a load');
    assert(grown < 2e6, `${grown} B`);
    await until(() => s.workers('old').length === 0, 10000,
                'the end of the old children');
    await s.ask('stop');
    await s.end(5000);
    s.assertZoneGone();
  },
});

for (const [what, how] of [['restart', (s) => s.reload({}, 'restart')],
                           ['stop', async (s) => {
                             await s.ask('stop');
                             await s.end(5000);
                           }]]) {
  scenarios(apache, {
    async [`a ${what} closes all with 1001, older children too`](c) {
      const s = c.server;
      const users = await spread(c, 'alice', 'bob');
      const pids = s.workers();
      await s.reload();
      users.push(...await spread(c, 'carol', 'dave'));
      pids.push(...s.workers());
      await quiet(...users);
      assert.equal(s.workers('old').length, 2);
      const start = Date.now();
      const closed = Promise.all(users.map((user) => user.ends(1001)));
      await how(s);
      await closed;
      await until(() => !pids.some(alive), 5000, 'the end of the children');
      assert(seconds(start) < 2, `${seconds(start)} s`);
      if (what === 'restart') {
        await free(...await spread(c, 'alice', 'bob'));
      } else {
        s.assertZoneGone();
      }
    },
  });
}

/* They look the same to a child; the next children are seconds away. */
scenarios(plain, {
  async 'a graceful stop right after a graceful restart closes with 1001'(c) {
    const s = c.server;
    const users = await spread(c, 'alice', 'bob');
    process.kill(s.pid, s.kind.signals.reload);
    await sleep(100);
    const start = Date.now();
    await Promise.all([s.quit(), ...users.map((user) => user.ends(1001))]);
    assert(seconds(start) < 5, `${seconds(start)} s`);
  },
});

/* There a child's place goes to the next one while it drains. */
scenarios({ ...plain, mpm: 'worker', serverLimit: 2 }, {
  async 'children that drain make room for the next ones'(c) {
    const all = [];
    for (let i = 0; i < 3; i++) {
      const users = await spread(c, `alice ${i}`, `bob ${i}`);
      all.push(...users);
      await c.server.reload();
      await free(...users);
    }
    assert.equal(all.filter((user) => user.end).length, 0);
  },
});

/* Idle maintenance asks one child a second to leave. */
scenarios({ ...plain, workers: 4, drain: '4s',
            lines: ['MinSpareThreads 1', 'MaxSpareThreads 30'] }, {
  async 'children that are too many drain, and nobody is cut'(c) {
    const start = Date.now();
    const users = await spread(c, 'alice', 'bob', 'carol', 'dave');
    const opened = seconds(start);
    await sleep(3500);
    await quiet(...users);
    await free(users[0], users[3]);
    diag(`users were there after ${opened} s`);
    // one child is left in the end, and its user with it
    await until(() => users.filter((user) => user.end).length === 3, 15000,
                'three users to be closed');
    users.filter((user) => user.end)
      .forEach((user) => assert.equal(user.end.code, 1012));
    await until(() => c.server.workers().length === 1, 5000, 'one child');
    const staying = users.find((user) => !user.end);
    await free(staying, await c.native('eve'));
  },
});

scenarios({ ...plain, drain: '6s', lines: ['MaxConnectionsPerChild 60'] }, {
  /* Both children may have, at the same time: then nobody takes connections
   * until httpd looks again, once a second. */
  async 'a child that has served its number of connections drains'(c) {
    const [alice, bob] = await spread(c, 'alice', 'bob');
    const call = await answered(alice, bob);
    const start = Date.now();
    const pids = c.server.workers();
    const served = {};
    do {
      const { status, headers } = await get(c.web, '/plain.txt');
      assert.equal(status, 200);
      served[headers['x-worker']] = (served[headers['x-worker']] || 0) + 1;
    } while (!Object.values(served).includes(60));
    await until(() => c.server.workers().some((pid) => !pids.includes(pid)),
                5000, 'a new child');
    alice.send({ type: 'signal', call, data: 1 });
    assert.equal((await bob.next('signal')).data, 1);
    await Promise.any([alice.ends(1012, 10000), bob.ends(1012, 10000)]);
    assert(seconds(start) > 5.8, `${seconds(start)} s`);
    await free(await c.native('carol'), await c.native('dave'));
  },
});

/* A full scoreboard would keep new children from starting (and is trouble,
 * which the test would see in the log). */
for (const [serverLimit, stay] of [[2, 0], [3, 1], [4, 2]]) {
  scenarios({ ...plain, serverLimit }, {
    async [`of ${serverLimit} places ${stay} are for children that drain`](c) {
      const s = c.server;
      const users = await spread(c, 'alice', 'bob');
      const start = Date.now();
      await s.reload();
      await until(() => users.filter((user) => user.end).length === 2 - stay,
                  5000, 'the others to be closed');
      assert(seconds(start) < 4, `${seconds(start)} s`);
      await until(() => s.workers('old').length === stay, 5000,
                  'the end of their children');
      users.filter((user) => user.end)
        .forEach((user) => assert.equal(user.end.code, 1012));
      await sleep(1200); // idle maintenance looks once a second
      const staying = users.filter((user) => !user.end);
      assert.equal(staying.length, stay);
      await quiet(...staying);
      const carol = await c.native('carol');
      await free(carol, await c.native('dave', { off: carol.worker }));
    },
  });
}

/* mod_ssl then has callbacks that look at the connection of a session. */
scenarios({ ...apache, schemes: ['wss'], lines: ['LogLevel ssl:trace4'] }, {
  async 'sessions outlive their connections, whatever mod_ssl logs'(c) {
    const workers = c.server.workers();
    const stop = visitors(c, 3);
    for (let i = 0; i < 100; i++) {
      const raws = await Promise.all(Array.from({ length: 5 }, () => c.raw()));
      raws.forEach((raw) => raw.socket.destroy());
      c.raws.length = 0;
    }
    const { failed } = await stop();
    assert.deepEqual(failed, []);
    assert.deepEqual(c.server.workers(), workers);
  },
});

scenarios(apache, {
  async 'short of descriptors: pages are served, new sockets get 503'(c) {
    const s = c.server;
    const alice = await c.native('alice');
    const bob = await c.native('bob', { off: alice.worker });
    for (const pid of s.workers()) {
      execFileSync('prlimit', ['--pid', String(pid), '--nofile=160:160'],
                   ids(pid));
    }
    const statuses = {};
    for (let i = 0; i < 40 && !(statuses[503] > 20); i++) {
      const some = Array.from({ length: 10 }, () => new Client(c.url()));
      c.clients.push(...some);
      await Promise.all(some.map((client) => client.opened.catch(() => {})));
      some.forEach(({ status }) => {
        statuses[status] = (statuses[status] || 0) + 1;
      });
    }
    assert.deepEqual(Object.keys(statuses), ['101', '503']);
    for (let i = 0; i < 100; i++) {
      assert.equal((await get(c.web, '/plain.txt')).status, 200);
    }
    assert.equal(s.logged(/refused/, 'error').length >= 1, true);
    assert(s.logged(/refused/, 'error').length <= 4, 'not a line for each');
    await free(alice, bob);
  },

  async 'a thousand sockets take no thread, and give all back'(c) {
    const s = c.server;
    const count = (folder) => s.workers().map((pid) =>
      fs.readdirSync(`/proc/${pid}/${folder}`).length);
    const sum = (numbers) => numbers.reduce((a, b) => a + b);
    const opened = async () => {
      const clients = [];
      for (let i = 0; i < 1000; i += 50) {
        const some = Array.from({ length: 50 }, () => new Client(c.url()));
        clients.push(...some);
        await Promise.all(some.map((client) => client.opened));
      }
      return clients;
    };
    const closed = async (clients) => {
      await Promise.all(clients.map((client) => client.cut()));
      await until(() => sum(count('fd')) < fds + 20, 5000,
                  'the descriptors to be closed');
      await sleep(300);
      return s.workers().reduce((all, pid) => all + s.rss(pid), 0);
    };

    await visitors(c, 10)();
    await sleep(200);
    const fds = sum(count('fd'));
    const threads = count('task');
    const memory = [];
    for (let round = 0; round < 4; round++) {
      const clients = await opened();
      assert.deepEqual(count('task'), threads);
      assert(sum(count('fd')) >= 1000);
      memory.push(await closed(clients));
    }
    diag(`descriptors before ${fds}, after ${sum(count('fd'))}; threads ${
      threads}; memory after each round ${memory}`);
    assert(sum(count('fd')) <= fds + 2, `${sum(count('fd'))} descriptors`);
    const more = memory[3] - memory[0];
    assert(more < (c.scheme === 'ws' ? 1e6 : 4e6), `${more} B`);
  },
});

/* What the configuration or another module makes impossible. */

if (servers.includes('apache')) {
  test('apache: hosts that have nothing of ours, and no name', async () => {
    const { ok, text } = await checkConfiguration({ server: 'apache',
      hosts: [], lines: ['<Location /meet>', 'SetHandler webrtc-signal',
                         '</Location>', ...[1, 2].flatMap((n) => [
                           `<VirtualHost 127.0.0.${n}:1>`, 'DocumentRoot /',
                           '</VirtualHost>'])] });
    assert(!ok);
    assert.match(text, /2 servers .* have no usable "ServerName"/);
  });

  test('apache: the MPM prefork is refused', async () => {
    const { ok, text } = await checkConfiguration({ server: 'apache',
                                                    mpm: 'prefork' });
    assert(!ok);
    assert.match(text, /prefork.*event/);
  });
}

scenarios({ ...apache, modules: ['dumpio'],
            hostLines: ['DumpIOInput On', 'LogLevel dumpio:trace7'] }, {
  async 'a filter that it does not know: 501, and a line that names it'(c) {
    const client = new Client(c.url());
    await client.opened.catch(() => {});
    assert.equal(client.status, 501);
    assert(c.server.logged(/dumpio_in/i, 'error').length > 0);
    assert.equal((await get(c.web, '/plain.txt')).status, 200);
  },
});

scenarios({ ...apache, schemes: ['wss'], modules: ['http2'],
            lines: ['Protocols h2 http/1.1', 'H2WebSockets On'] }, {
  async 'WebSockets on HTTP/2: a warning, and 501 where one comes'(c) {
    assert(c.server.logged(/H2WebSockets/, 'warn').length > 0);
    await c.native('alice'); // HTTP/1.1 goes on

    const session = http2.connect(c.web, { rejectUnauthorized: false });
    session.on('error', () => {});
    await new Promise((resolve) => session.on('remoteSettings', resolve));
    assert(session.remoteSettings.enableConnectProtocol);
    const stream = session.request({
      ':method': 'CONNECT', ':protocol': 'websocket',
      ':path': '/webrtc/signal', 'sec-websocket-version': '13' });
    const headers = await new Promise((resolve, reject) => {
      stream.on('response', resolve);
      stream.on('error', reject);
    });
    assert.equal(headers[':status'], 501);
    session.destroy();
    assert(c.server.logged(/HTTP\/2/, 'error').length > 0);
  },
});

/* Who may be let in is decided by httpd. */

const OPEN = '/open/signal';
const CLOSED = '/closed/signal';
const BARRED = '/barred/signal';

scenarios({ ...apache, fresh: false, locations: {
  [OPEN]: { kind: 'signal', lines: ['Require ip 127.0.0.1'] },
  [CLOSED]: { kind: 'signal', lines: ['Require ip 192.0.2.0/24'] },
  [BARRED]: { kind: 'signal', lines: [
    '<RequireAll>', 'Require all granted', 'Require not ip 127.0.0.0/8',
    '</RequireAll>'] },
} }, {
  async 'access rules answer before the handshake'(c) {
    await c.native('alice', { path: OPEN });
    for (const place of [CLOSED, BARRED]) {
      const raw = await c.rawSocket();
      assert.equal((await raw.request({ path: place })).status, 403);
      await raw.finish();
      // also what would be no handshake
      assert.equal((await get(c.web, place)).status, 403);
    }
    assert.equal((await get(c.web, OPEN)).status, 426);
  },
});

/* Settings of a folder, in its .htaccess. */
function htaccess(c, ...lines) {
  fs.writeFileSync(path.join(c.server.files.root, 'meet', '.htaccess'),
                   `${lines.join('\n')}\n`);
}

const meet = (allowed) => ({
  ...plain, fresh: false, users: { alice: 'a' },
  locations: { '/meet/signal': { kind: 'signal' } },
  lines: (files) => {
    fs.mkdirSync(path.join(files.root, 'meet'), { recursive: true });
    return [`<Directory ${files.root}/meet>`, `AllowOverride ${allowed}`,
            '</Directory>'];
  },
});

async function statusOf(c, options = {}) {
  const client = new Native(c.url('/meet/signal'), options);
  c.clients.push(client);
  await client.opened.catch(() => {});
  return client.status;
}

scenarios(meet('AuthConfig'), {
  async '.htaccess with AuthConfig: who is let in, and as whom'(c) {
    htaccess(c, 'AuthType Basic', 'AuthName test',
             `AuthUserFile ${c.server.files.users}`, 'Require valid-user',
             'WebrtcSignalIdentity %{REMOTE_USER}');
    assert.equal(await statusOf(c), 401);
    const alice = await c.native('eve', { path: '/meet/signal',
                                          auth: 'alice:a' });
    assert.equal(alice.welcome.name, 'alice');
    assert.equal(alice.welcome.verified, true);

    htaccess(c, 'WebrtcSignalGuests off');
    const guest = await c.open(Native, { path: '/meet/signal' });
    guest.send({ type: 'hello', name: 'guest' });
    await guest.ends(4403);
  },

  async '.htaccess cannot say what is the operator\'s alone'(c) {
    for (const line of ['WebrtcSignalRealm other', 'WebrtcSignalRate 0',
                        'WebrtcSignalTurnSecretFile /etc/passwd',
                        'WebrtcSignalMaxPeers 1', 'WebrtcSignalOrigin any',
                        'WebrtcSignalIceServer stun:a.test',
                        'WebrtcSignalZone /dev/shm/x/zone 16m']) {
      htaccess(c, line);
      assert.equal(await statusOf(c), 500, line);
      const [name] = line.split(' ');
      assert(c.server.logged(new RegExp(`${name} not allowed here`), 'alert')
        .length > 0, line);
    }
    c.server.allowed.push(/not allowed here/);
  },

  async '.htaccess with a wrong value: 500, and a line that names it'(c) {
    htaccess(c, 'WebrtcSignalGuests some');
    assert.equal(await statusOf(c), 500);
    assert.equal(c.server.logged(/WebrtcSignalGuests.*"some"/, 'alert').length,
                 1);
    c.server.allowed.push(/WebrtcSignalGuests/);
  },
});

scenarios(meet('Limit FileInfo'), {
  async '.htaccess with Limit and FileInfo: origins and ICE servers'(c) {
    const origin = 'https://a.test';
    htaccess(c, 'WebrtcSignalIceServer stun:a.test');
    assert.equal(await statusOf(c, { origin }), 403);
    const alice = await c.native('alice', { path: '/meet/signal' });
    assert.deepEqual(alice.welcome.ice.iceServers.flatMap((s) => s.urls),
                     ['stun:a.test']);
    htaccess(c, `WebrtcSignalOrigin ${origin}`);
    assert.equal(await statusOf(c, { origin }), 101);
    htaccess(c, 'WebrtcSignalGuests off');
    assert.equal(await statusOf(c), 500);
    c.server.allowed.push(/WebrtcSignalGuests not allowed here/);
  },
});

scenarios({ ...plain, lines: ['<Location /server-status>',
                              'SetHandler server-status', '</Location>'] }, {
  async 'mod_status shows the sockets that its scoreboard cannot'(c) {
    const alice = await c.native('alice');
    const bob = await c.native('bob', { off: alice.worker });
    await answered(alice, bob);
    const page = await get(c.web, '/server-status');
    assert.match(page.body, /WebRTC[^]*\b2 WebSockets/);
    const { body } = await get(c.web, '/server-status?auto');
    assert.match(body, /^WebrtcSignalPeers: 2$/m);
    assert.match(body, /^WebrtcSignalCallsActive: 1$/m);
    assert.match(body, /^WebrtcSignalWorkers: 2$/m);
  },

  async 'all threads serve requests while a thousand sockets are open'(c) {
    const opened = Array.from({ length: 1000 }, () => new Client(c.url()));
    c.clients.push(...opened);
    await Promise.all(opened.map((client) => client.opened));

    // each that has sent half a request holds a thread; one is for the status
    const threads = 25 * c.server.options.workers;
    const halves = await Promise.all(Array.from({ length: threads - 1 }, () =>
      new Promise((resolve, reject) => {
        const socket = net.connect(c.server.ports.http, '127.0.0.1');
        socket.on('error', reject);
        socket.write('GET /plain.txt HTTP/1.1\r\n', () => resolve(socket));
      })));
    await until(async () => {
      const { body } = await get(c.web, '/server-status?auto');
      return body.includes(`BusyWorkers: ${threads}\n`);
    }, 5000, 'all threads to be busy');
    const answers = await Promise.all(halves.map((socket) =>
      new Promise((resolve, reject) => {
        let text = '';
        socket.setEncoding('latin1');
        socket.on('data', (data) => { text += data; });
        socket.on('end', () => resolve(text));
        socket.on('error', reject);
        socket.write('Host: localhost\r\nConnection: close\r\n\r\n');
      })));
    answers.forEach((text) => assert.match(text, /^HTTP\/1.1 200 /));
    assert.equal(opened.filter((client) => client.end).length, 0);
  },
});
