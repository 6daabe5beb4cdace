#!/usr/bin/env node
'use strict';
/*
 * The line to the server is lost, changed over and taken up again, and nothing
 * that counts is lost or doubled.
 */

const assert = require('assert');
const { load, startClock, settle, FakeServer } = require('../lib/page');
const { test } = require('../lib/tap');

const clock = startClock();
let last; // who was connected in the test before
const EVENTS = ['welcome', 'down', 'gone', 'refused', 'lost'];

/* Alice, who has been welcomed; events: [type, detail] of all that she was
 * told, heard: the data of signals that came. */
async function connect(options) {
  const { Signal } = await load('signal.js');
  last?.bye();
  const server = new FakeServer(options);
  const signal = new Signal({ name: 'alice', url: 'https://a.test/signal' });
  last = signal;
  const events = [];
  const heard = [];
  for (const type of EVENTS) {
    signal.addEventListener(type, ({ detail }) => events.push([type, detail]));
  }
  signal.addEventListener('signal', ({ detail }) => heard.push(detail.data));
  signal.open();
  await settle();
  assert.deepEqual(types(events), ['welcome']);
  events.length = 0;
  return { signal, server, events, heard };
}

const types = (events) => events.map(([type]) => type);
const detail = (events, wanted) =>
  events.find(([type]) => type === wanted)?.[1];
const data = (server) => server.received.map((message) => message.data);
const say = (signal, n) => signal.send({ type: 'signal', call: 'c1', data: n });
const tell = (server, n) =>
  server.send({ type: 'signal', call: 'c1', from: 'bob', data: n });
const upTo = (n) => Array.from({ length: n }, (_, i) => i + 1);
const hello = (socket) => socket.texts[0];
const acks = (socket) => socket.texts.filter(({ type }) => type === 'ack')
  .map(({ got }) => got);

/* The answer, or the code of the error, once there is one. */
function outcome(promise) {
  const state = { value: undefined };
  promise.then((value) => { state.value = value; },
               (error) => { state.value = error.code; });
  return state;
}

/* Long enough for the next try while the place is kept. */
const again = () => clock.pass(3000);

test('acknowledged after 16 texts, or after 2 s', async () => {
  const { server } = await connect();
  upTo(15).forEach((n) => tell(server, n));
  assert.deepEqual(acks(server.socket), []);
  tell(server, 16);
  assert.deepEqual(acks(server.socket), [16]);
  tell(server, 17);
  await clock.pass(1999);
  assert.deepEqual(acks(server.socket), [16]);
  await clock.pass(1);
  assert.deepEqual(acks(server.socket), [16, 17]);
  await settle();
  assert.deepEqual(server.place.kept, []);
  await clock.pass(60000);
  assert.deepEqual(acks(server.socket), [16, 17]);
});

test('what counts is what has a call or a room, but no hello and no call',
     async () => {
  const { server } = await connect();
  server.send({ type: 'presence', count: 1 });
  server.send({ type: 'user', name: 'bob', state: 'free' });
  server.send({ type: 'error', code: 'call-unknown', call: 'c1' });
  server.send({ type: 'left', room: 'r', peer: 'p', name: 'bob' });
  server.send({ type: 'unheard of', call: null });
  await clock.pass(2000);
  assert.deepEqual(acks(server.socket), [3]);
});

test('cut in the middle: each side gets all, once and in order', async () => {
  const { signal, server, events, heard } = await connect();
  say(signal, 1);
  await settle();
  server.deaf = true; // these are under way when it breaks
  say(signal, 2);
  tell(server, 1);
  tell(server, 2);
  await settle();
  server.deaf = false;
  await server.cut();
  assert.deepEqual(types(events), ['down']);
  assert.equal(signal.connected, false);
  assert(say(signal, 3), 'it will arrive');
  assert.equal(signal.send({ type: 'state', state: 'away' }), false);
  assert.equal(signal.send({ type: 'call', to: 'bob', room: 'r' }), false);
  tell(server, 3);
  await again();
  assert.equal(hello(server.socket).resume, 't1');
  assert.equal(hello(server.socket).got, 0);
  assert.deepEqual(types(events), ['down', 'welcome']);
  say(signal, 4);
  tell(server, 4);
  await settle();
  assert.deepEqual(data(server), [1, 2, 3, 4]);
  assert.deepEqual(heard, [1, 2, 3, 4]);
});

test('cut a hundred times, at any text', async () => {
  const { signal, server, events, heard } = await connect();
  let seed = 1;
  const random = () => {
    seed = seed * 16807 % 2147483647;
    return seed / 2147483647;
  };
  let ours = 0;
  let theirs = 0;
  for (let i = 0; i < 100; i++) {
    for (let j = 0; j < 8; j++) {
      server.deaf = random() < 0.3;
      if (random() < 0.5) {
        say(signal, ++ours);
      } else {
        tell(server, ++theirs);
      }
      await settle();
      if (!server.deaf && random() < 0.2) {
        await clock.pass(2500); // acknowledged
        server.ack();
      }
      if (server.deaf) {
        server.deaf = false;
        break; // TCP would not go on after a gap
      }
    }
    await server.cut();
    await again();
  }
  assert(ours > 100 && theirs > 100);
  assert.deepEqual(data(server), upTo(ours));
  assert.deepEqual(heard, upTo(theirs));
  assert.deepEqual(new Set(types(events)), new Set(['down', 'welcome']));
});

test('the token is the newest, also where a welcome got lost', async () => {
  const { server } = await connect();
  await server.cut();
  await again();
  assert.equal(hello(server.socket).resume, 't1');
  await server.cut();
  await again();
  assert.equal(hello(server.socket).resume, 't2');

  await server.cut();
  server.deaf = false;
  const { welcome } = server;
  server.welcome = function (socket, message) {
    this.deaf = true; // it never arrives
    socket.hear = () => {};
    welcome.call(this, socket, message);
  };
  await again();
  assert.equal(hello(server.socket).resume, 't3');
  server.welcome = welcome;
  server.deaf = false;
  await server.cut();
  await again();
  assert.equal(hello(server.socket).resume, 't3', 'still good');
});

test('lost: both count from 1, and nothing is sent again', async () => {
  const { signal, server, events, heard } = await connect();
  upTo(5).forEach((n) => tell(server, n));
  await server.cut();
  say(signal, 'of before');
  server.place.lost = true;
  await again();
  assert.deepEqual(types(events), ['down', 'welcome', 'lost']);
  assert.equal(detail(events, 'lost').lost, true);
  assert.deepEqual(data(server), []);
  say(signal, 'new');
  tell(server, 6);
  await settle();
  assert.equal(server.place.got, 1);
  await clock.pass(2000);
  assert.deepEqual(acks(server.socket), [1]);
  await server.cut();
  await again();
  assert.equal(hello(server.socket).got, 1);
  assert.deepEqual(data(server), ['new']);
  assert.deepEqual(heard, [1, 2, 3, 4, 5, 6]);
});

test('more than we can keep: the server is told, and says lost', async () => {
  const { signal, server, events } = await connect();
  server.up = false;
  await server.cut();
  for (let n = 0; n < 1001; n++) {
    assert(say(signal, n));
  }
  server.up = true;
  await again();
  assert.deepEqual(types(events).slice(-2), ['welcome', 'lost']);
  assert.deepEqual(server.received, []);
  say(signal, 'x');
  await settle();
  await server.cut();
  await again();
  assert.equal(types(events).at(-1), 'welcome');
  assert.deepEqual(data(server), ['x']);
});

test('what is acknowledged is not kept', async () => {
  const { signal, server, events } = await connect();
  for (let n = 0; n < 3000; n++) {
    say(signal, n);
    if (n % 16 === 0) {
      await settle();
      server.ack();
    }
  }
  await settle();
  server.ack();
  await server.cut();
  await again();
  assert.deepEqual(types(events), ['down', 'welcome']);
  assert.equal(server.received.length, 3000);
});

test('not resumed: gone before the welcome, and nothing of old', async () => {
  const { signal, server, events } = await connect();
  const asked = outcome(signal.request({ type: 'call', to: 'bob' }));
  server.answers = false;
  await server.cut();
  say(signal, 'of before');
  server.place = null; // out of the window for long
  await again();
  assert.equal(hello(server.socket).resume, 't1');
  assert.deepEqual(types(events), ['down', 'gone', 'welcome']);
  await settle();
  assert.equal(asked.value, 'lost');
  assert.deepEqual(server.received, []);
  tell(server, 1);
  await clock.pass(2000);
  assert.deepEqual(acks(server.socket), [1]);
});

test('offline for longer than the window, then back', async () => {
  const { signal, server, events } = await connect();
  const { accept } = server;
  const start = clock.now();
  const tries = [];
  server.accept = function (socket) {
    tries.push((clock.now() - start) / 1000);
    accept.call(this, socket);
  };
  server.up = false;
  await server.cut();
  await clock.pass(30000);
  const inside = tries.filter((at) => at < 15);
  assert(inside.length >= 5 && inside.length <= 15, `${tries}`);
  assert(inside.every((at, i) => at - (inside[i - 1] ?? 0) <= 3), `${tries}`);
  assert(tries.some((at) => at > 18 && at < 26), `a long pause: ${tries}`);
  await clock.pass(300000);
  assert(server.sockets.length < 50, `${server.sockets.length} in 5 minutes`);
  assert(!types(events).includes('gone'), 'only the server knows that');
  server.place = null;
  server.up = true;
  await clock.pass(30000);
  assert.deepEqual(types(events).slice(-2), ['gone', 'welcome']);
  assert(signal.connected);
});

test('a server that keeps no places: gone at once, nothing is kept',
     async () => {
  const { signal, server, events } = await connect({ keeps: false });
  say(signal, 1);
  tell(server, 1);
  await clock.pass(60000);
  assert.deepEqual(acks(server.socket), []);
  server.answers = false;
  const asked = outcome(signal.request({ type: 'ice' }));
  await server.cut();
  assert.deepEqual(types(events), ['gone', 'down']);
  assert.equal(asked.value, 'lost');
  assert.equal(say(signal, 2), false);
  const late = outcome(signal.request({ type: 'ice' }));
  await settle();
  assert.equal(late.value, 'lost');
  await again();
  assert.equal(hello(server.socket).resume, undefined);
  assert.equal(hello(server.socket).got, undefined);
  assert.deepEqual(types(events), ['gone', 'down', 'welcome']);
  assert.deepEqual(data(server), [1]);
});

test('it keeps no places any more after a reload', async () => {
  const { signal, server, events } = await connect();
  await server.cut();
  server.keeps = false;
  server.place = null;
  await again();
  assert.deepEqual(types(events), ['down', 'gone', 'welcome']);
  await server.cut();
  await again();
  assert.deepEqual(types(events).slice(3), ['gone', 'down', 'welcome']);
  assert.equal(hello(server.socket).resume, undefined);
  assert.equal(say(signal, 1), true);
});

test('a request under way is asked again, with its ref', async () => {
  const { signal, server } = await connect();
  server.answers = false;
  const requests = [{ type: 'call', to: 'bob' },
                    { type: 'lookup', name: 'bob' },
                    { type: 'enter', room: 'r' }];
  const asked = requests.map((request) => outcome(signal.request(request)));
  await settle();
  const refs = [...server.asked, ...server.received].map(({ ref }) => ref);
  assert.equal(new Set(refs).size, 3);
  await server.cut();
  server.answers = true;
  server.asked.length = 0;
  await again();
  /* What counts has arrived; only its answer is still due. */
  assert.deepEqual(server.asked.map(({ ref }) => ref), refs.slice(0, 2));
  assert.equal(server.received.length, 1);
  assert.deepEqual(asked.map(({ value }) => value?.type),
                   ['calling', 'user', undefined]);
  server.send({ type: 'room', room: 'r', members: [], ref: refs[2] });
  await settle();
  assert.equal(asked[2].value.type, 'room');
});

test('... also after longer than an answer may take', async () => {
  const { signal, server } = await connect();
  server.answers = false;
  const asked = outcome(signal.request({ type: 'call', to: 'bob' }));
  await clock.pass(5000);
  server.up = false;
  await server.cut();
  await clock.pass(12000);
  assert.equal(asked.value, undefined);
  server.up = true;
  await clock.pass(5000);
  assert(signal.connected);
  assert.equal(server.asked.length, 2);
  await clock.pass(1000);
  assert.equal(asked.value, undefined);
  await clock.pass(10000);
  assert.equal(asked.value, 'lost', 'if nobody answers');
});

test('asked while the line is down: it goes out later', async () => {
  const { signal, server } = await connect();
  await server.cut();
  const asked = [{ type: 'call', to: 'bob' }, { type: 'enter', room: 'r' }]
    .map((request) => outcome(signal.request(request)));
  await again();
  assert.deepEqual(asked.map(({ value }) => value?.type), ['calling', 'room']);
  assert.equal(server.received.length, 1);

  server.up = false;
  await server.cut();
  const late = outcome(signal.request({ type: 'call', to: 'bob' }));
  await clock.pass(10000);
  assert.equal(late.value, 'lost', 'not for ever');
  server.asked.length = 0;
  server.up = true;
  await again();
  assert.deepEqual(server.asked, [], 'nor when nobody wants it any more');
});

test('lost in the middle of requests: all are asked again', async () => {
  const { signal, server } = await connect();
  server.answers = false;
  const asked = [{ type: 'call', to: 'bob' }, { type: 'enter', room: 'r' }]
    .map((request) => outcome(signal.request(request)));
  await server.cut();
  server.place.lost = true;
  server.answers = true;
  await again();
  assert.deepEqual(asked.map(({ value }) => value?.type), ['calling', 'room']);
});

test('goodbye: a second connection takes over, and nobody notices',
     async () => {
  const { signal, server, events, heard } = await connect();
  const [old] = server.sockets;
  server.send({ type: 'goodbye', reason: 'reload', reconnect: 7000 });
  await clock.pass(6999);
  assert.equal(server.sockets.length, 1);
  tell(server, 1);
  server.answers = false;
  const asked = outcome(signal.request({ type: 'lookup', name: 'bob' }));
  const { accept } = server;
  server.accept = () => {}; // still on its way
  await clock.pass(1);
  assert.equal(server.sockets.length, 2);
  assert(signal.connected);
  say(signal, 1);
  await settle();
  assert.deepEqual(data(server), [1], 'the old one serves meanwhile');
  server.answers = true;
  accept.call(server, server.socket);
  await settle();
  assert(signal.connected);
  assert.equal(hello(server.socket).resume, 't1');
  say(signal, 2);
  tell(server, 2);
  await settle();
  assert.equal(asked.value.type, 'user');
  assert.deepEqual(data(server), [1, 2]);
  assert.deepEqual(heard, [1, 2]);
  assert.deepEqual(types(events), ['welcome']);
  assert.equal(old.readyState, 3);
  assert(![1000, 1001, 1005].includes(old.code), 'nobody leaves');
  await clock.pass(60000);
  assert.equal(server.sockets.length, 2);
});

test('what came on the old connection after the hello comes once',
     async () => {
  const { server, events, heard } = await connect();
  const { welcome } = server;
  tell(server, 1);
  server.welcome = function (socket, message) {
    assert.equal(message.got, 1);
    upTo(20).slice(1).forEach((n) => tell(server, n)); // on the old one
    assert.deepEqual(heard, upTo(20));
    setTimeout(() => welcome.call(this, socket, message), 3000);
  };
  server.send({ type: 'goodbye', reason: 'reload', reconnect: 1 });
  await clock.pass(3000);
  assert.deepEqual(acks(server.sockets[0]), [], 'or they were not sent again');
  await clock.pass(1); // they are
  tell(server, 21);
  assert.deepEqual(heard, upTo(21));
  assert.deepEqual(types(events), ['welcome']);
  await clock.pass(2000);
  assert.deepEqual(acks(server.socket), [20, 21]);
});

test('... and is acknowledged where nothing came of the hello', async () => {
  const { server, events } = await connect();
  server.welcome = (socket) => {
    upTo(20).forEach((n) => tell(server, n));
    delete server.welcome;
    socket.end(4409);
  };
  server.send({ type: 'goodbye', reason: 'reload', reconnect: 1 });
  await clock.pass(1);
  assert.deepEqual(acks(server.sockets[0]), [20]);
  assert.deepEqual(events, []);
});

test('whom we watch is what we said last', async () => {
  const { signal, server } = await connect();
  assert.equal(hello(server.socket).watch, 'all');
  signal.send({ type: 'watch', names: ['bob'] });
  await server.cut();
  await again();
  assert.deepEqual(hello(server.socket).watch, ['bob']);
});

test('the old one\'s 4410 before the new one\'s welcome', async () => {
  const { signal, server, events, heard } = await connect();
  const { welcome } = server;
  server.welcome = function (socket, message) {
    server.place.socket.end(4410);
    assert.equal(signal.connected, false);
    assert(say(signal, 1), 'kept');
    tell(server, 1);
    welcome.call(this, socket, message);
  };
  server.send({ type: 'goodbye', reason: 'reload', reconnect: 1 });
  await clock.pass(1);
  assert.deepEqual(types(events), ['welcome']);
  assert(signal.connected);
  assert.deepEqual(data(server), [1]);
  assert.deepEqual(heard, [1]);
});

test('... and then no welcome: the line is down', async () => {
  const { server, events } = await connect();
  server.welcome = (socket) => {
    server.place.socket.end(4410);
    socket.end(1006);
    delete server.welcome;
  };
  server.send({ type: 'goodbye', reason: 'reload', reconnect: 1 });
  await clock.pass(1);
  assert.deepEqual(types(events), ['down']);
  await again();
  assert.deepEqual(types(events), ['down', 'welcome']);
  assert.equal(hello(server.socket).resume, 't1');
});

test('goodbye, and the second connection does not come about', async () => {
  const { signal, server, events } = await connect();
  server.up = false;
  server.send({ type: 'goodbye', reason: 'reload', reconnect: 1 });
  await clock.pass(5000);
  assert(server.sockets.length > 2, 'it tries again');
  assert(signal.connected);
  assert.deepEqual(events, []);
  server.up = true;
  await again();
  await clock.pass(5000);
  assert.deepEqual(types(events), ['welcome']);
});

test('goodbye, and the new workers do not know us: we stay', async () => {
  for (const how of ['4409', 'a place of its own']) {
    const { signal, server, events } = await connect();
    const { place } = server;
    server.welcome = (socket, { name }) => {
      if (how === '4409') {
        socket.end(4409);
      } else {
        socket.hear({ type: 'welcome', name, verified: true, users: [],
                      count: 1, calls: [], resumed: false, resume: 'other',
                      resume_window: 15 });
      }
    };
    server.send({ type: 'goodbye', reason: 'reload', reconnect: 1 });
    await clock.pass(60000);
    assert.deepEqual(events, [], how);
    assert.equal(server.sockets.length, 2, how);
    assert.equal(server.socket.readyState, 3, how);
    assert.equal(server.place, place);
    say(signal, 1);
    await settle();
    assert.deepEqual(data(server), [1], how);
  }
});

test('goodbye, and the old one ends before its time', async () => {
  const { server, events } = await connect();
  server.send({ type: 'goodbye', reason: 'reload', reconnect: 20000 });
  await clock.pass(1000);
  await server.cut(1012);
  assert.equal(detail(events, 'down').delay, 19000);
  await clock.pass(18999);
  assert.equal(server.sockets.length, 1);
  await clock.pass(1);
  assert.deepEqual(types(events), ['down', 'welcome']);
});

test('goodbye before a shutdown: the time counts from the end', async () => {
  const { server, events } = await connect();
  server.send({ type: 'goodbye', reason: 'shutdown', reconnect: 4000 });
  await clock.pass(10000);
  assert.equal(server.sockets.length, 1);
  await server.cut(1001);
  assert.equal(detail(events, 'down').delay, 4000);
  await clock.pass(4000);
  assert.deepEqual(types(events), ['down', 'welcome']);
});

test('refused for good, in a place or out of it: gone, then refused',
     async () => {
  for (const [code, reason] of [[4400, 'bad-name'], [4403, 'login'],
                                [4409, 'name-taken'], [4410, 'elsewhere'],
                                [1008, 'fault']]) {
    let { signal, server, events } = await connect();
    const asked = outcome(signal.request({ type: 'enter', room: 'r' }));
    server.socket.end(code);
    await settle();
    assert.deepEqual(types(events), ['gone', 'refused']);
    assert.deepEqual(detail(events, 'refused'), { code, reason });
    assert.equal(asked.value, 'lost');

    ({ signal, server, events } = await connect());
    await server.cut();
    server.refusal = code;
    await again();
    assert.deepEqual(types(events), ['down', 'gone', 'refused']);
    await clock.pass(60000);
    assert.equal(server.sockets.length, 2);
    assert.equal(say(signal, 1), false);
  }
});

test('the handshake wants a login: refused', async () => {
  const { server, events } = await connect();
  server.login = true;
  await server.cut();
  await again();
  assert.deepEqual(types(events), ['down', 'gone', 'refused']);
  assert.equal(detail(events, 'refused').reason, 'login');
});

test('nothing comes any more: another connection in time', async () => {
  const { signal, server, events } = await connect();
  server.deaf = true;
  say(signal, 1);
  const asked = outcome(signal.request({ type: 'lookup', name: 'bob' }));
  await clock.pass(7999);
  assert.deepEqual(events, []);
  await clock.pass(1);
  assert.deepEqual(types(events), ['down']);
  assert(![null, 1000, 1001, 1005].includes(server.sockets[0].code));
  server.deaf = false;
  await again();
  assert.deepEqual(types(events), ['down', 'welcome']);
  assert.deepEqual(data(server), [1]);
  assert.equal(asked.value.type, 'user');
});

test('a line that answers is left in peace', async () => {
  const { signal, server, events } = await connect();
  for (let n = 1; n < 10; n++) {
    say(signal, n);
    await clock.pass(2000);
    server.ack();
    await clock.pass(30000);
  }
  assert.deepEqual(events, []);
  assert.equal(server.sockets.length, 1);
});

test('a connection that never gets anywhere is given up', async () => {
  const { server, events } = await connect();
  await server.cut();
  server.deaf = true;
  await clock.pass(1000);
  const { length } = server.sockets;
  server.deaf = false; // too late for that one
  await clock.pass(60000);
  assert.equal(server.sockets.length, length + 1);
  assert.equal(types(events).at(-1), 'welcome');
});

test('back on the network: another connection, in any case', async () => {
  const { signal, server, events } = await connect();
  signal.open(); // a browser that is "online" again
  await settle();
  assert.equal(server.sockets.length, 2);
  assert.deepEqual(types(events), ['welcome']);

  server.up = false;
  await server.cut();
  server.up = true;
  signal.open();
  await settle();
  assert.deepEqual(types(events), ['welcome', 'down', 'welcome']);
});

test('bye leaves for good, also in the middle of a change', async () => {
  let { signal, server, events } = await connect();
  signal.bye();
  await settle();
  assert.equal(server.place, null);
  await clock.pass(60000);
  assert.equal(server.sockets.length, 1);
  assert.deepEqual(types(events), ['gone']);

  ({ signal, server, events } = await connect());
  server.accept = (socket) => { socket.readyState = 1; };
  server.send({ type: 'goodbye', reason: 'reload', reconnect: 1 });
  await clock.pass(1);
  signal.bye();
  await settle();
  assert.equal(server.place, null);
  assert(server.sockets.every(({ code }) => code === 1000));
  assert.equal(clock.timers(), 0);
});

test('back after bye: a new place; where bye did not arrive, the old one',
     async () => {
  let { signal, server } = await connect();
  signal.bye();
  signal.open();
  await settle();
  assert.equal(hello(server.socket).resume, undefined);

  ({ signal, server } = await connect());
  await server.cut();
  signal.bye();
  await clock.pass(5000);
  assert.equal(server.sockets.length, 1);
  signal.open();
  await settle();
  assert.equal(hello(server.socket).resume, 't1');
});
