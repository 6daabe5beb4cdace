#!/usr/bin/env node
'use strict';
/*
 * Nothing of what people say, nor what opens doors, is in any log.
 */

const assert = require('assert');
const { scenarios } = require('../lib/scenarios');
const { Article, Native } = require('../lib/client');
const { frame } = require('../lib/raw');
const { get } = require('../lib/web');
const { sleep } = require('../lib/server');

const SECRET = 'turn-secret-OQ5XWZ';
const MARK = 'ZEBRA';
const SDP = `v=0\r\no=- ${MARK}-sdp 2 IN IP4 192.0.2.77\r\na=ice-pwd:${MARK}`;

scenarios({ settings: { ice_server: 'turn:turn.test:3478', ping: '1s',
                        max_message: '4k', hello_timeout: '1s' },
            secrets: [SECRET] }, {
  async 'a whole call, and all that can go wrong'(c) {
    const words = new Set([MARK, SECRET, '192.0.2.77']);
    const remember = (ice) => ice.iceServers.forEach((server) => {
      words.add(server.credential);
      words.add(server.username);
    });

    // native, with its errors
    let alice = await c.native('alice');
    const bob = await c.native('bob', { off: alice.worker });
    remember(alice.welcome.ice);
    words.add(alice.welcome.resume);
    remember(await bob.ask({ type: 'ice' }, 'ice'));
    remember(JSON.parse((await get(c.web, '/webrtc/ice')).body));
    const { call } = await alice.ask({ type: 'call', to: 'bob',
      ref: `${MARK}-ref`, info: { topic: `${MARK}-info` } }, 'calling');
    await bob.next('ring');
    bob.send({ type: 'signal', call, data: `${MARK}-early` });
    await bob.next('error');
    bob.send({ type: 'accept', call });
    await bob.next('accepted');
    await alice.next('accepted');
    alice.send({ type: 'signal', call, data: { sdp: SDP } });
    await bob.next('signal');
    bob.send({ type: 'signal', call,
               data: { candidate: `candidate:${MARK} 1 udp 1 192.0.2.77 9` } });
    await alice.next('signal');
    for (const text of [`${MARK} no JSON`, `{"type":"${MARK}"}`,
                        `{"type":"signal","call":"${MARK}","data":1}`,
                        `{"type":"signal","call":"${call}","data":"${MARK}`,
                        `{"type":"call","to":1,"info":"${MARK}"}`,
                        `{"type":"hello","name":"x","resume":"${MARK}"}`]) {
      await alice.ask(text, 'error');
    }
    alice.send({ type: 'signal', call, data: MARK.repeat(1000) });
    await alice.ends(1009);
    alice = await c.again(alice, { off: alice.worker });
    words.add(alice.welcome.resume);
    await c.open(Native).then((eve) => {
      eve.send({ type: 'hello', resume: `${MARK}-token`, name: 'eve', got: 1 });
      return eve.next('welcome');
    });
    alice.send({ type: 'hangup', call });
    await bob.next('ended');

    // the article's, with its refusals
    const ann = await c.article('ann');
    await c.article('ben', { off: ann.worker });
    ann.send({ target: 'ben', sdp: JSON.stringify({ from: 'ann', sdp: SDP }) });
    ann.send({ target: 'nobody', sdp: SDP });
    await ann.ends(4404);
    for (const message of [{ target: 'ben', sdp: `{"from":"${MARK}"}` },
                           { target: 'ben', sdp: { x: SDP } },
                           `${MARK} no JSON`]) {
      const eve = await c.article('eve');
      eve.send(message);
      await eve.ends();
    }
    for (const Kind of [Native, Article]) {
      for (const message of [`${MARK}`, `{"type":"hello","resume":"${MARK}"}`,
                             `{"type":"${MARK}"}`, `{"nickname":1,"x":"${MARK}"}`,
                             `{"target":"x","sdp":"${MARK}"}`]) {
        const client = await c.open(Kind);
        client.send(message);
        await client.ends();
      }
    }

    // faults of the frames, and broken connections
    for (const bytes of [
      frame({ payload: MARK, masked: false }), frame({ rsv: 1, payload: MARK }),
      frame({ opcode: 2, payload: MARK }), frame({ opcode: 9, payload: MARK }),
      frame({ payload: Buffer.concat([Buffer.from(MARK), Buffer.from([255])]) }),
      frame({ opcode: 8, payload: `\u0003\u00e8${MARK}` }),
      frame({ payload: MARK, length: 100 }),
    ]) {
      const raw = await c.raw();
      raw.send(bytes);
      await sleep(20);
      raw.close();
    }
    const mute = await c.open(Native);
    await mute.ends(4408, 4000);

    const logs = c.server.log() + c.server.accessLog();
    assert(logs.length > 500, 'there is a log');
    for (const word of words) {
      assert(!logs.includes(word), `"${word}" is in a log: ${
        logs.split('\n').find((line) => line.includes(word))}`);
    }
    assert.match(c.server.accessLog(), / 101 /, 'a line for each socket');
  },
});
