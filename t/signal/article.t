#!/usr/bin/env node
'use strict';
/*
 * The article's dialect: nicknames, user lists, and texts that travel as they
 * are.
 */

const assert = require('assert');
const { scenarios } = require('../lib/scenarios');
const { Article } = require('../lib/client');
const { frame } = require('../lib/raw');
const { sleep } = require('../lib/server');

/* Two users, on different workers. */
async function pair(c) {
  const alice = await c.article('alice');
  const bob = await c.article('bob', { off: alice.worker });
  return [alice, bob];
}

/* A new user sends this, and is closed with the code. */
async function closedFor(c, message, code) {
  const mallory = await c.article('mallory');
  mallory.send(message);
  const end = await mallory.ends();
  assert.equal(end.code, code,
               `${JSON.stringify(message)}: ${end.code} "${end.reason}"`);
  return end;
}

function seeded(seed) {
  let state = seed;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor(state / 4294967296 * n);
  };
}

scenarios({ settings: { max_message: '64k', rate: '0' } }, {
  async 'the newcomer gets the list at once, the others soon'(c) {
    const alice = await c.article('alice');
    assert.deepEqual(alice.list, ['alice']);
    const bob = await c.article('bob', { off: alice.worker });
    assert.deepEqual([...bob.list].sort(), ['alice', 'bob']);
    await alice.lists('bob', true, 1000);
    const carol = await c.article('carol', { on: alice.worker });
    assert.deepEqual([...carol.list].sort(), ['alice', 'bob', 'carol']);
    await Promise.all([alice.lists('carol'), bob.lists('carol')]);
    await bob.close();
    await Promise.all([alice.lists('bob', false), carol.lists('bob', false)]);
    await carol.cut();
    await alice.lists('carol', false, 2000);
    assert.deepEqual(alice.list, ['alice']);
  },

  async 'lists are told together when many come at once'(c) {
    const alice = await c.article('alice');
    const many = await Promise.all(Array.from({ length: 40 }, (_, i) =>
      c.article(`user ${i}`)));
    const end = Date.now() + 2000;
    let lists = 0;
    while (alice.list.length < 41 && Date.now() < end) {
      alice.list = JSON.parse(await alice.next()).userlist;
      lists++;
    }
    assert.equal(alice.list.length, 41);
    assert.equal(new Set(alice.list).size, 41);
    assert(lists < 40, `${lists} lists for 40 newcomers`);
    await Promise.all(many.map((user) => user.close()));
    while (alice.list.length > 1) {
      alice.list = JSON.parse(await alice.next()).userlist;
    }
    assert.deepEqual(alice.list, ['alice']);
  },

  async 'a whole call of the article, across workers'(c) {
    const [alice, bob] = await pair(c);
    const say = (from, target, rest) => from.send({ target: target.nickname,
      sdp: JSON.stringify({ from: from.nickname, ...rest }) });
    const offer = { type: 'offer', sdp: 'v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\n' };

    say(alice, bob, { offer });
    assert.deepEqual(JSON.parse(await bob.relayed()),
                     { from: 'alice', offer });
    say(bob, alice, { answer: { ...offer, type: 'answer' } });
    assert.equal(JSON.parse(await alice.relayed()).answer.type, 'answer');
  },

  async 'a text travels byte for byte, unescaped once'(c) {
    const [alice, bob] = await pair(c);
    const cases = [
      ['plain', '"plain"'],
      ['', '""'],
      [' ', '" "'],
      ['"', '"\\""'],
      ['\\', '"\\\\"'],
      ['\\n', '"\\\\n"'],
      ['\n', '"\\n"'],
      ['\\\\u0041', '"\\\\\\\\u0041"'],
      ['A', '"\\u0041"'],
      ['/', '"\\/"'],
      ['/', '"/"'],
      ['\b\f\n\r\t\u0001\u001f\u007f', '"\\b\\f\\n\\r\\t\\u0001\\u001f\u007f"'],
      ['\u00e9\u20ac\u{1d11e}', '"\\u00e9\\u20aC\\ud834\\uDD1E"'],
      ['\u00e9\u20ac\u{1d11e}\ufeff\u2028', '"\u00e9\u20ac\u{1d11e}\ufeff\u2028"'],
      ['{"a" :  [1 ,2]}\n', '"{\\"a\\" :  [1 ,2]}\\n"'],
      ['no {JSON}', '"no {JSON}"'],
      ['[{"userlist":[]}]', '"[{\\"userlist\\":[]}]"'],
      ['{"x":{"userlist":[],"error":1,"from":"bob"}}',
       '"{\\"x\\":{\\"userlist\\":[],\\"error\\":1,\\"from\\":\\"bob\\"}}"'],
      ['"userlist"', '"\\"userlist\\""'],
      ['{"Userlist":[]}', '"{\\"Userlist\\":[]}"'],
      ['{"from":"alice"}', '"{\\"from\\":\\"alice\\"}"'],
      ['{"fr\\u006fm":"\\u0061lice"}',
       '"{\\"fr\\\\u006fm\\":\\"\\\\u0061lice\\"}"'],
      ['null', '"null"'],
      ['\ufffd\uffff\u{10ffff}', '"\ufffd\uffff\u{10ffff}"'],
    ];
    for (const [text, written] of cases) {
      alice.send(`{"target":"bob","sdp":${written}}`);
      assert.equal(await bob.relayed(), text, written);
      alice.send(` { "sdp" : ${written} , "x" : [] , "target" : "\\u0062ob" } `);
      assert.equal(await bob.relayed(), text, written);
    }
  },

  async 'random texts of all sizes travel byte for byte, in order'(c) {
    const [alice, bob] = await pair(c);
    const random = seeded(3);
    const pieces = ['a', '"', '\\', '\n', '\u0001', '\u00e9', '\u20ac',
                    '\u{1f600}', '/', 'u0041', ' '];
    const texts = Array.from({ length: 300 }, (_, i) => {
      let text = `${i} `;
      for (let n = random(random(20) ? 50 : 8000); n > 0; n--) {
        text += pieces[random(pieces.length)];
      }
      return text;
    });
    texts.forEach((text) => alice.send({ target: 'bob', sdp: text }));
    for (const text of texts) {
      assert.equal(await bob.relayed(), text);
    }
  },

  async '64 KB go through, and one byte more is 1009'(c) {
    const [alice, bob] = await pair(c);
    const envelope = (text) => JSON.stringify({ target: 'bob', sdp: text });
    const text = 's'.repeat(65536 - envelope('').length);
    for (let i = 0; i < 10; i++) {
      alice.send(envelope(text));
      assert.equal(await bob.relayed(), text);
    }
    alice.send(envelope(text + 's'));
    await alice.ends(1009);
    await bob.lists('alice', false);
  },

  async 'one may send to oneself'(c) {
    const alice = await c.article('alice');
    alice.send({ target: 'alice', sdp: 'note' });
    assert.equal(await alice.relayed(), 'note');
  },

  async 'only the text travels, nothing else of the envelope'(c) {
    const [alice, bob] = await pair(c);
    alice.send({ target: 'bob', sdp: 'x', from: 'carol', userlist: ['carol'],
                 error: 'no' });
    assert.equal(await bob.relayed(), 'x');
  },

  async 'an unknown target closes with 4404 and says who'(c) {
    const end = await closedFor(c, { target: 'bob', sdp: 'x' }, 4404);
    assert.equal(end.reason, 'user "bob" is not here');
    await closedFor(c, { target: 'Mallory', sdp: 'x' }, 4404);
    // the longest name fits into a reason, or is cut at a character
    const long = await closedFor(c, { target: '\u20ac'.repeat(21), sdp: 'x' },
                                 4404);
    assert.match(long.reason, /^user "\u20ac+/);
  },

  async 'a target that has just left is unknown'(c) {
    const [alice, bob] = await pair(c);
    await bob.close();
    alice.send({ target: 'bob', sdp: 'x' });
    await alice.ends(4404);
  },

  async 'texts that would pass for the server\'s close with 4403'(c) {
    const nest = (n) => '['.repeat(n) + ']'.repeat(n);
    const forged = [
      '{"userlist":[]}', '{"userlist":null}', ' \n{ "userlist" : [] } ',
      '{"error":"x"}', '{"x":1,"error":{}}', '{"from":"bob"}', '{"from":null}',
      '{"from":["mallory"]}', '{"from":"Mallory"}', '{"from":"mallory "}',
      '{"from":""}', '{"\\u0075serlist":[]}', '{"userlis\\u0074":[]}',
      '{"err\\u006Fr":1}', '{"f\\u0072om":"bob"}', '{"from":"b\\u006fb"}',
      '{"from":"mallory","from":"mallory"}', '{"a":1,"a":2}',
      '{"a":1,"\\u0061":2}', '{"from":"mallory","from":"bob"}',
      // what a browser reads though our own profile would not
      '{"userlist":[],"x":"\\ud800"}', '{"from":"bob","x":"\\udc00"}',
      '{"userlist":[],"x":"\\u0000"}', '{"\\u0000":1,"error":1}',
      '{"\\ud800":1,"userlist":[]}', `{"userlist":[],"x":${nest(70)}}`,
      `{"x":${nest(5000)},"from":"bob"}`,
      `{"x":${nest(70)},"x":1}`, '{"\\ud800":1,"\\ud800":1}',
      '{"x":1e999,"error":1}',
    ];
    for (const sdp of forged) {
      JSON.parse(sdp); // a browser would read it
      await closedFor(c, { target: 'mallory', sdp }, 4403);
    }
  },

  async 'a forged text reaches nobody'(c) {
    const [alice, bob] = await pair(c);
    alice.send({ target: 'bob', sdp: '{"userlist":["alice","eve"]}' });
    await alice.ends(4403);
    await bob.lists('alice', false);
    assert.deepEqual(bob.list, ['bob']);
    await bob.none(300);
  },

  async 'faults after the nickname close with a code of the table'(c) {
    for (const message of ['', 'x', '[]', '{}', '{"target":"mallory"}',
                           '{"sdp":"x"}', '{"target":1,"sdp":"x"}',
                           '{"target":"mallory","sdp":1}',
                           '{"target":"mallory","sdp":{}}',
                           '{"target":"mallory","sdp":"\\ud800"}',
                           '{"target":"mallory","sdp":"x","sdp":"y"}']) {
      const mallory = await c.article('mallory');
      mallory.send(message);
      const { code } = await mallory.ends();
      assert([4400, 4401, 4403, 4404].includes(code), `${message}: ${code}`);
    }
  },

  async 'a first text that is no nickname closes with 4400 or 4401'(c) {
    for (const [message, ...codes] of [
      ['', 4400], ['x', 4400], ['[]', 4400], ['{}', 4400, 4401],
      ['{"nickname":1}', 4400], ['{"nickname":null}', 4400],
      ['{"nickname":"a","nickname":"a"}', 4400],
      ['{"nickname":"a\\u0000"}', 4400], ['{"nickname":"<b>"}', 4400],
      ['{"target":"bob","sdp":"x"}', 4401, 4400],
      ['{"type":"hello","name":"alice"}', 4401, 4400],
    ]) {
      const client = await c.open(Article);
      client.send(message);
      const end = await client.ends();
      assert(codes.includes(end.code), `${message}: ${end.code}`);
      assert.notEqual(end.reason, '', 'a reason in words');
    }
  },

  async 'a name that somebody has closes the newcomer with 4409'(c) {
    const alice = await c.article('alice');
    for (const where of [{ on: alice.worker }, { off: alice.worker }]) {
      const other = await c.open(Article, where);
      other.send({ nickname: 'alice' });
      await other.ends(4409);
    }
    alice.send({ target: 'alice', sdp: 'still here' });
    assert.equal(await alice.relayed(), 'still here');
    assert(alice.pings > 0, 'she was asked whether she lives');
  },

  async 'a name is free at once when its holder has left'(c) {
    for (let i = 0; i < 20; i++) {
      const alice = await c.article('alice');
      await alice.close();
    }
    const alice = await c.article('alice');
    await alice.cut();
    await sleep(100);
    const start = Date.now();
    await c.article('alice');
    assert(Date.now() - start < 1000, `${Date.now() - start} ms`);
  },

  async 'a holder that does not answer loses the name after 2 s'(c) {
    const dead = await Promise.all(['dead', 'dead too'].map((nickname) =>
      c.article(nickname, { pong: false })));
    const others = [await c.open(Article, { on: dead[0].worker }),
                    await c.open(Article, { off: dead[1].worker })];
    const start = Date.now();
    await Promise.all(others.map((other, i) => other.enter(dead[i].nickname)));
    const took = Date.now() - start;
    assert(took > 1500 && took < 3500, `${took} ms`);
    await Promise.all(dead.map((holder) => holder.ends(undefined, 2000)));
    for (const other of others) {
      other.send({ target: other.nickname, sdp: 'mine' });
      assert.equal(await other.relayed(), 'mine');
    }
  },

  async 'of two who ask for a dead one\'s name one gets it'(c) {
    const dead = await c.article('dead', { pong: false });
    const others = [await c.open(Article, { on: dead.worker }),
                    await c.open(Article, { off: dead.worker })];
    others.forEach((other) => other.send({ nickname: 'dead' }));
    const seen = await Promise.all(others.map(async (other) => {
      const text = await other.poll(8000);
      return text === null ? other.end && other.end.code
                           : JSON.parse(text).userlist.join();
    }));
    assert.deepEqual(seen.map(String).sort(), ['4409', 'dead']);
  },

  async 'a holder that only sends texts is alive'(c) {
    const holder = await c.article('talker', { pong: false });
    const talk = setInterval(() => holder.send(
      { target: 'talker', sdp: 'x' }), 100);
    const other = await c.open(Article, { off: holder.worker });
    other.send({ nickname: 'talker' });
    try {
      await other.ends(4409);
      assert.equal(holder.end, null);
    } finally {
      clearInterval(talk);
    }
  },

  async 'a user list holds names as JSON'(c) {
    const names = ['J\u00f6rg', '\u{1f600}', 'a/b c', '%s%n', '\u05d0'];
    for (const name of names) {
      await c.article(name);
    }
    const last = await c.article('last');
    assert.deepEqual([...last.list].sort(), [...names, 'last'].sort());
  },
});

scenarios({ settings: { hello_timeout: '1s' } }, {
  async 'who says nothing is closed with 4408'(c) {
    const start = Date.now();
    const silent = await c.open(Article);
    const pinging = await c.raw();
    const halting = await c.raw();
    pinging.send(frame({ opcode: 9 }));
    halting.send(frame({ payload: '{"nick', length: 20 }));
    await silent.ends(4408, 3000);
    const took = Date.now() - start;
    assert(took > 800 && took < 2500, `${took} ms`);
    await pinging.closes(4408);
    await halting.closes(4408);
  },

  async 'who has said it stays'(c) {
    const alice = await c.article('alice');
    await sleep(1500);
    alice.send({ target: 'alice', sdp: 'x' });
    assert.equal(await alice.relayed(), 'x');
  },
});
