#!/usr/bin/env node
'use strict';
/*
 * RFC 6455 from outside: the opening handshake, and what comes with it.
 */

const assert = require('assert');
const { scenarios } = require('../lib/scenarios');
const { frame } = require('../lib/raw');

const ME = frame({ payload: '{"nickname":"me"}' });

async function answer(c, options) {
  const raw = await c.rawSocket();
  const head = await raw.request(options);
  await raw.finish();
  return head;
}

/* Each request gets one of the statuses. */
async function answers(c, statuses, cases) {
  for (const [what, options] of cases) {
    const head = await answer(c, options);
    assert(statuses.includes(head.status), `${what}: ${head.first}`);
  }
}

const replace = (name, line) => ({ drop: [name], add: line ? [].concat(line)
                                                           : [] });

scenarios({ conformance: true, settings: { max_message: '64k' } }, {
  async 'headers in odd case and in lists are understood'(c) {
    await answers(c, [101], [
      ['as it is', {}],
      ['upper case', { lines: [
        'HOST: localhost:1', 'UPGRADE: WEBSOCKET', 'CONNECTION: UPGRADE',
        'SEC-WEBSOCKET-KEY: AAAAAAAAAAAAAAAAAAAAAA==',
        'SEC-WEBSOCKET-VERSION: 13'] }],
      ['lower case', { lines: [
        'host: localhost:1', 'upgrade: websocket', 'connection: upgrade',
        'sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==',
        'sec-websocket-version: 13'] }],
      ['WebSocket', replace('Upgrade', 'Upgrade: WebSocket')],
      ['keep-alive, Upgrade', replace('Connection',
                                      'Connection: keep-alive, Upgrade')],
      ['Upgrade,keep-alive', replace('Connection',
                                     'Connection: Upgrade,keep-alive')],
      ['spaces', replace('Connection', 'Connection:  \t foo ,\tupgrade ,bar ')],
      ['two Upgrades in a list', replace('Upgrade',
                                         'Upgrade: h2c, websocket')],
      ['extensions are not taken up', { add: [
        'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits',
      ] }],
      ['other headers', { add: ['Cookie: a=b', 'User-Agent: test',
                                'X-Empty:', 'Cache-Control: no-cache'] }],
    ]);
  },

  async 'a Connection header of two lines'(c) {
    const head = await answer(c, replace('Connection', [
      'Connection: keep-alive', 'Connection: Upgrade']));
    assert.equal(head.status, 101, head.first);
  },

  async 'what is missing or wrong is refused with 400'(c) {
    await answers(c, [400, 426], [
      ['no Upgrade', replace('Upgrade')],
      ['Upgrade: h2c', replace('Upgrade', 'Upgrade: h2c')],
      ['Upgrade: websockets', replace('Upgrade', 'Upgrade: websockets')],
      ['Upgrade: empty', replace('Upgrade', 'Upgrade:')],
      ['no Connection', replace('Connection')],
      ['Connection: keep-alive', replace('Connection',
                                         'Connection: keep-alive')],
      ['Connection: upgraded', replace('Connection', 'Connection: upgraded')],
      ['Connection: xupgrade', replace('Connection', 'Connection: x upgrade')],
    ]);
    await answers(c, [400], [
      ['no key', replace('Sec-WebSocket-Key')],
      ['empty key', replace('Sec-WebSocket-Key', 'Sec-WebSocket-Key:')],
      ['short key', replace('Sec-WebSocket-Key',
                            'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAA')],
      ['long key', replace('Sec-WebSocket-Key',
                           'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAAAAA==')],
      ['no base64', replace('Sec-WebSocket-Key',
                            'Sec-WebSocket-Key: AAAAAAAAAA*AAAAAAAAAAA==')],
      ['no padding', replace('Sec-WebSocket-Key',
                             'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA')],
      ['two keys', { add: ['Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=='] }],
    ]);
  },

  async 'other versions are refused and told which one is spoken'(c) {
    for (const version of ['0', '7', '8', '12', '14', '130', '013', '13.0', 'x',
                           '-13', '+13', '']) {
      const head = await answer(c, replace('Sec-WebSocket-Version',
        `Sec-WebSocket-Version: ${version}`));
      assert([426, 400].includes(head.status), `${version}: ${head.first}`);
      if (head.status === 426) {
        assert.equal(head.headers['sec-websocket-version'], '13');
      }
    }
    const old = await answer(c, replace('Sec-WebSocket-Version',
                                        'Sec-WebSocket-Version: 8'));
    assert.equal(old.status, 426);
    assert.match(old.headers.upgrade || '', /websocket/i);
    assert.match(old.headers.connection || '', /upgrade/i);
    await answers(c, [426, 400], [
      ['no version', replace('Sec-WebSocket-Version')],
      ['two versions', { add: ['Sec-WebSocket-Version: 8'] }]]);
  },

  async 'other methods and HTTP/1.0 are refused'(c) {
    const post = await answer(c, { method: 'POST',
                                   add: ['Content-Length: 0'] });
    assert.equal(post.status, 405);
    assert.match(post.headers.allow || '', /GET/);
    for (const method of ['PUT', 'DELETE', 'OPTIONS', 'HEAD']) {
      const head = await answer(c, { method });
      assert.equal(head.status, 405, `${method}: ${head.first}`);
    }
    const old = await answer(c, { version: 'HTTP/1.0' });
    assert([400, 426, 505].includes(old.status), old.first);
  },

  async 'a plain GET is told to upgrade'(c) {
    const head = await answer(c, { lines: ['Host: localhost'] });
    assert([400, 426].includes(head.status), head.first);
  },

  async 'subprotocols choose the dialect'(c) {
    const cases = [
      [['webrtc-signal.v1'], 'webrtc-signal.v1'],
      [['chat, webrtc-signal.v1'], 'webrtc-signal.v1'],
      [['webrtc-signal.v1,chat'], 'webrtc-signal.v1'],
      [['chat', 'webrtc-signal.v1'], 'webrtc-signal.v1'],
      [[], undefined],
    ];
    for (const [lines, protocol] of cases) {
      const raw = await c.raw({ add: lines.map((line) =>
        `Sec-WebSocket-Protocol: ${line}`) });
      assert.equal(raw.protocol, protocol);
      await raw.finish();
    }
    await answers(c, [400], [
      'chat', 'webrtc-signal.v2', 'webrtc-signal', 'webrtc-signal.v11',
      'WEBRTC-SIGNAL.V1', 'x webrtc-signal.v1',
    ].map((name) => [name, { add: [`Sec-WebSocket-Protocol: ${name}`] }]));
  },

  async 'a refused handshake leaves the connection usable'(c) {
    const raw = await c.rawSocket();
    const head = await raw.request(replace('Sec-WebSocket-Version',
                                           'Sec-WebSocket-Version: 8'));
    assert.equal(head.status, 426);
    const size = Number(head.headers['content-length'] || 0);
    await raw.when(() => raw.bytes.length >= size || undefined, 2000, 'body');
    raw.bytes = raw.bytes.subarray(size);
    if (!raw.ended && head.headers.connection !== 'close') {
      await raw.upgrade();
    }
  },

  async 'frames sent together with the handshake are read'(c) {
    const big = JSON.stringify({ target: 'me', sdp: 'x'.repeat(65000) });
    for (const pipelined of [
      [ME],
      [ME, frame({ payload: '{"target":"me","sdp":"x"}' })],
      [ME, frame({ payload: big })],
      [ME, frame({ opcode: 9, payload: 'p' }),
       ...Array.from({ length: 40 }, (_, i) => frame({
         payload: `{"target":"me","sdp":"${i}"}` }))],
    ]) {
      const raw = await c.raw({ pipelined });
      const wanted = pipelined.slice(1).length;
      let got = 0;
      assert.match(await raw.text(), /^\{"userlist":/);
      while (got < wanted) {
        const { opcode, payload } = await raw.frame();
        if (opcode === 10 || !/^\{"userlist"/.test(payload.toString())) {
          got++;
        }
      }
      raw.send(frame({ opcode: 8 }));
      await raw.closes();
      await raw.finish();
    }
  },

  async 'half a frame with the handshake, and the rest later'(c) {
    for (let at = 0; at < ME.length; at++) {
      const raw = await c.raw({ pipelined: [ME.subarray(0, at)] });
      raw.send(ME.subarray(at));
      assert.match(await raw.text(), /^\{"userlist":\["me"\]\}$/);
      raw.send(frame({ opcode: 8 }));
      await raw.closes();
      await raw.finish();
    }
  },

  async 'a fault with the handshake is answered after the 101'(c) {
    const raw = await c.raw({ pipelined: [frame({ opcode: 3 }),
                                          Buffer.alloc(50000, 1)] });
    await raw.closes(1002);
  },

  async 'a close with the handshake is answered after the 101'(c) {
    const raw = await c.raw({ pipelined: [frame({ opcode: 8 })] });
    await raw.closes();
  },

  async 'a client that closes its side with the handshake is let go'(c) {
    const raw = await c.rawSocket();
    const request = raw.request({ pipelined: [ME] });
    raw.socket.end();
    const head = await request;
    assert.equal(head.status, 101);
    while (!raw.ended) {
      await raw.frame().catch((error) => assert(raw.ended, error));
    }
    assert.equal(raw.error, null);
  },

  async 'a client that dies at each byte harms nobody'(c) {
    const alice = await c.article('alice');
    const hello = [frame({ payload: '{"nickname":"me"}' }),
                   frame({ payload: '{"target":"me","sdp":"x"}' })];
    const whole = Buffer.concat([Buffer.from([
      'GET /webrtc/signal HTTP/1.1', 'Host: localhost', 'Upgrade: websocket',
      'Connection: Upgrade', 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
      'Sec-WebSocket-Version: 13', '', ''].join('\r\n')), ...hello]);
    for (let at = 0; at <= whole.length; at++) {
      const raw = await c.rawSocket();
      raw.send(whole.subarray(0, at));
      await new Promise((resolve) => setImmediate(resolve));
      if (at % 2) {
        raw.socket.end();
      }
      raw.close();
    }
    const end = Date.now() + 5000;
    do {
      assert(Date.now() < end, `${alice.list}`);
      const text = await alice.poll(200);
      alice.list = text ? JSON.parse(text).userlist : alice.list;
    } while (alice.list.length > 1 || alice.inbox.length > 0);
    alice.send({ target: 'alice', sdp: 'x' });
    assert.equal(await alice.relayed(), 'x');
  },
});
