#!/usr/bin/env node
'use strict';
/*
 * RFC 6455 from outside: frames.  An article user who sends to herself is the
 * echo: {"target":"me","sdp":TEXT} comes back as TEXT.
 */

const assert = require('assert');
const { scenarios } = require('../lib/scenarios');
const { frame, closeFrame } = require('../lib/raw');

const ME = frame({ payload: '{"nickname":"me"}' });

/* A raw connection that is registered as "me". */
async function registered(c, options = {}) {
  const raw = await c.raw(options);
  raw.send(ME);
  assert.match(await raw.text(), /^\{"userlist":/);
  return raw;
}

/* The next text that is no user list. */
async function echo(raw) {
  for (;;) {
    const text = await raw.text();
    if (!text.startsWith('{"userlist":')) {
      return text;
    }
  }
}

const envelope = (text) => JSON.stringify({ target: 'me', sdp: text });

/* An echo request of exactly size bytes, and its echo. */
function sized(size) {
  const text = 'x'.repeat(size - envelope('').length);
  return [envelope(text), text];
}

/* Each of these first bytes after the registration closes with the code. */
async function refused(c, cases, code) {
  for (const [what, ...bytes] of cases) {
    const raw = await registered(c);
    raw.send(...bytes);
    try {
      await raw.closes(code);
    } catch (error) {
      error.message = `${what}: ${error.message}`;
      throw error;
    }
    await raw.finish();
  }
}

/* A random generator that gives the same numbers in each run. */
function seeded(seed) {
  let state = seed;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor(state / 4294967296 * n);
  };
}

const INVALID_UTF8 = [
  ['a lone continuation', [0x80]],
  ['a lone continuation, the last', [0xbf]],
  ['overlong in two', [0xc0, 0xaf]],
  ['overlong in two, c1', [0xc1, 0xbf]],
  ['overlong in three', [0xe0, 0x80]],
  ['overlong in three, 9f', [0xe0, 0x9f]],
  ['overlong in four', [0xf0, 0x80]],
  ['overlong in four, 8f', [0xf0, 0x8f]],
  ['a surrogate', [0xed, 0xa0]],
  ['a surrogate, the last', [0xed, 0xbf]],
  ['above U+10FFFF', [0xf4, 0x90]],
  ['f5', [0xf5]],
  ['ff', [0xff]],
  ['fe', [0xfe]],
  ['cut short, then ASCII', [0xe2, 0x82, 0x41]],
  ['cut short, then a new one', [0xc3, 0xc3]],
];

const WORDS = 'a\u00e9\u07ff\u0800\u20ac\ud7ff\ue000\uffff\u{10000}\u{1d11e}'
              + '\u{10ffff}\u007f\u0080';

scenarios({ conformance: true, connections: 4096,
            settings: { max_message: '64k', rate: '0' } }, {
  async 'frames without a mask close with 1002'(c) {
    await refused(c, [
      ['text', frame({ payload: envelope('x'), masked: false })],
      ['ping', frame({ opcode: 9, masked: false })],
      ['close', frame({ opcode: 8, masked: false })],
      ['empty text', frame({ masked: false })],
    ], 1002);
  },

  async 'any mask is taken off, also one of zeros'(c) {
    const raw = await registered(c);
    for (const mask of [[0, 0, 0, 0], [255, 255, 255, 255], [0, 0, 0, 1],
                        [0x80, 0, 0x7f, 1]]) {
      for (let size = 0; size < 20; size++) {
        const text = WORDS.slice(0, 4) + 'y'.repeat(size);
        raw.send(frame({ payload: envelope(text), mask: Buffer.from(mask) }));
        assert.equal(await echo(raw), text);
      }
    }
  },

  async 'reserved bits close with 1002'(c) {
    for (let rsv = 1; rsv < 8; rsv++) {
      await refused(c, [
        [`text, rsv ${rsv}`, frame({ rsv, payload: envelope('x') })],
        [`ping, rsv ${rsv}`, frame({ rsv, opcode: 9 })],
        [`close, rsv ${rsv}`, frame({ rsv, opcode: 8 })],
        [`continuation, rsv ${rsv}`, frame({ fin: false, payload: '{' }),
         frame({ rsv, opcode: 0, payload: '}' })],
      ], 1002);
    }
  },

  async 'unknown opcodes close with 1002, binary with 1003'(c) {
    for (const opcode of [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]) {
      await refused(c, [[`opcode ${opcode}`, frame({ opcode })]], 1002);
    }
    await refused(c, [
      ['binary', frame({ opcode: 2, payload: envelope('x') })],
      ['empty binary', frame({ opcode: 2 })],
      ['fragmented binary', frame({ opcode: 2, fin: false, payload: 'x' })],
    ], 1003);

    const raw = await c.raw();
    raw.send(frame({ opcode: 2, payload: '{"nickname":"me"}' }));
    await raw.closes(1003);
  },

  async 'texts of all lengths up to 64 KB pass'(c) {
    const raw = await registered(c);
    for (const size of [30, 124, 125, 126, 127, 128, 255, 256, 1000, 4095, 4096,
                        16383, 16384, 16385, 32767, 32768, 65534, 65535,
                        65536]) {
      const [request, text] = sized(size);
      raw.send(frame({ payload: request }));
      assert.equal(await echo(raw), text, `${size} bytes`);
    }
  },

  async 'echoes at the borders of the length field are written shortest'(c) {
    const raw = await registered(c);
    for (const size of [1, 2, 125, 126, 127, 65500]) {
      const text = 'z'.repeat(size);
      raw.send(frame({ payload: envelope(text) }));
      assert.equal(await echo(raw), text);
    }
  },

  async 'more than 64 KB close with 1009, before the payload comes'(c) {
    const head = (length) => frame({ length, form: 8, payload: '' });
    await refused(c, [
      ['64 KB and 1, whole', frame({ payload: sized(65537)[0] })],
      ['64 KB and 1', head(65537)],
      ...[17n, 20n, 24n, 31n, 32n, 33n, 40n, 48n, 53n, 62n].map((bit) =>
        [`2^${bit}`, head(1n << bit)]),
      ['2^32 - 1', head((1n << 32n) - 1n)],
      ['2^32 + 5', head((1n << 32n) + 5n)],
      ['2^63 - 1', head((1n << 63n) - 1n)],
    ], 1009);
  },

  async 'fragments are counted together: 64 KB pass, one byte more 1009'(c) {
    const raw = await registered(c);
    const [request, text] = sized(65536);
    raw.send(frame({ fin: false, payload: request.slice(0, 65535) }),
             frame({ opcode: 0, payload: request.slice(65535) }));
    assert.equal(await echo(raw), text);

    raw.send(frame({ fin: false, payload: request }),
             frame({ fin: false, opcode: 0 }));
    raw.send(frame({ fin: false, opcode: 0, payload: 'x' }));
    await raw.closes(1009);
  },

  async 'a length of 2^63 and more closes with 1002'(c) {
    await refused(c, [1n << 63n, (1n << 63n) + 1n, (1n << 64n) - 1n]
      .map((length) => [`length ${length}`, frame({ length, form: 8 })]), 1002);
  },

  async 'a length that is not the shortest closes with 1002'(c) {
    await refused(c, [
      ['two bytes for 125', frame({ payload: 'x'.repeat(125), form: 2 })],
      ['eight bytes for 0', frame({ form: 8 })],
      ['eight bytes for 65535', frame({ form: 8, length: 65535 })],
    ], 1002);
  },

  async 'control frames that are long or fragmented close with 1002'(c) {
    for (const opcode of [8, 9, 10]) {
      await refused(c, [
        [`opcode ${opcode}, 126 bytes`,
         frame({ opcode, payload: Buffer.alloc(126, 0x03) })],
        [`opcode ${opcode}, 70000 bytes claimed`,
         frame({ opcode, form: 8, length: 70000 })],
        [`opcode ${opcode}, no fin`, frame({ opcode, fin: false })],
      ], 1002);
    }
  },

  async 'pings come back, in order, of every size'(c) {
    const raw = await registered(c);
    for (let size = 0; size <= 125; size++) {
      raw.send(frame({ opcode: 9, payload: Buffer.alloc(size, size) }));
    }
    for (let size = 0; size <= 125; size++) {
      let got;
      do {
        got = await raw.frame();
      } while (got.opcode === 1); // a user list
      assert.equal(got.opcode, 10);
      assert.deepEqual(got.payload, Buffer.alloc(size, size));
    }
  },

  async 'a pong that nobody asked for is ignored'(c) {
    const raw = await registered(c);
    raw.send(frame({ opcode: 10, payload: 'hm' }), frame({ opcode: 10 }),
             frame({ payload: envelope('x') }));
    assert.equal(await echo(raw), 'x');
  },

  async 'fragments with control frames in between are one text'(c) {
    const raw = await registered(c);
    const text = 'abcdefgh';
    const whole = envelope(text);
    for (let at = 0; at <= whole.length; at++) {
      raw.send(frame({ fin: false, payload: whole.slice(0, at) }),
               frame({ opcode: 9, payload: `p${at}` }),
               frame({ opcode: 10, payload: 'pong' }),
               frame({ fin: false, opcode: 0 }),
               frame({ opcode: 9 }),
               frame({ opcode: 0, payload: whole.slice(at) }));
      const seen = [];
      while (seen.length < 3) {
        const { opcode, payload } = await raw.frame();
        if (!payload.toString().startsWith('{"userlist":')) {
          seen.push(`${opcode} ${payload}`);
        }
      }
      assert.deepEqual(seen, [`10 p${at}`, '10 ', `1 ${text}`]);
    }
  },

  async 'a text in a hundred fragments, one of which is empty'(c) {
    const raw = await registered(c);
    const text = WORDS.repeat(20);
    const bytes = Buffer.from(envelope(text));
    const pieces = [];
    for (let at = 0; at < bytes.length; at += 7) {
      pieces.push(bytes.subarray(at, at + 7));
    }
    pieces.splice(5, 0, Buffer.alloc(0));
    raw.send(...pieces.map((payload, i) => frame({
      payload, opcode: i === 0 ? 1 : 0, fin: i === pieces.length - 1 })));
    assert.equal(await echo(raw), text);
  },

  async 'fragments out of order close with 1002'(c) {
    await refused(c, [
      ['continuation of nothing', frame({ opcode: 0, payload: 'x' })],
      ['last piece of nothing, empty', frame({ opcode: 0 })],
      ['unfinished piece of nothing', frame({ opcode: 0, fin: false })],
      ['text within a text', frame({ fin: false, payload: '{' }),
       frame({ payload: '}' })],
      ['fragment within a text', frame({ fin: false, payload: '{' }),
       frame({ fin: false, payload: '}' })],
      ['binary within a text', frame({ fin: false, payload: '{' }),
       frame({ opcode: 2, payload: '}' })],
      ['continuation after the end', frame({ payload: envelope('x') }),
       frame({ opcode: 0, payload: 'x' })],
    ], 1002);
  },

  async 'a close between fragments is answered'(c) {
    const raw = await registered(c);
    raw.send(frame({ fin: false, payload: '{"target":' }), closeFrame(1000));
    await raw.closes(1000);
  },

  async 'UTF-8 survives a cut at every byte, of fragments and of TCP'(c) {
    const raw = await registered(c);
    const bytes = Buffer.from(envelope(WORDS));
    for (let at = 0; at <= bytes.length; at++) {
      raw.send(frame({ fin: false, payload: bytes.subarray(0, at) }),
               frame({ opcode: 0, payload: bytes.subarray(at) }));
      assert.equal(await echo(raw), WORDS, `fragments at ${at}`);

      const whole = frame({ payload: bytes });
      await raw.sendCut([whole.subarray(0, at + 6), whole.subarray(at + 6)]);
      assert.equal(await echo(raw), WORDS, `cut at ${at}`);
    }
  },

  async 'what is no UTF-8 closes with 1007, at the byte that shows it'(c) {
    for (const [what, bad] of INVALID_UTF8) {
      const start = Buffer.from('{"target":"me","sdp":"');
      const bytes = Buffer.concat([start, Buffer.from(bad)]);
      await refused(c, [
        [`${what}, whole text`,
         frame({ payload: Buffer.concat([bytes, Buffer.from('"}')]) })],
        [`${what}, in a fragment`, frame({ fin: false, payload: bytes })],
        [`${what}, in a frame that has not ended`,
         frame({ payload: bytes, length: bytes.length + 100 })],
        [`${what}, cut by fragments`,
         frame({ fin: false, payload: bytes.subarray(0, bytes.length - 1) }),
         frame({ fin: false, opcode: 0,
                 payload: bytes.subarray(bytes.length - 1) })],
      ], 1007);
    }
  },

  async 'a text that ends within a character closes with 1007'(c) {
    for (const bad of [[0xc3], [0xe2, 0x82], [0xf0, 0x9d, 0x84], [0xf4]]) {
      await refused(c, [
        ['whole', frame({ payload: Buffer.from(bad) })],
        ['last fragment empty',
         frame({ fin: false, payload: Buffer.from(bad) }), frame({ opcode: 0 })],
      ], 1007);
    }
  },

  async 'good close codes are answered and arrive'(c) {
    const good = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000,
                  3001, 3999, 4000, 4001, 4400, 4999];
    for (const code of good) {
      const raw = await registered(c);
      raw.send(closeFrame(code, 'good bye \u20ac'));
      const end = await raw.closes();
      assert([code, 1000].includes(end.code), `${code}: ${end.code}`);
      await raw.finish();
    }
  },

  async 'bad close codes are answered with 1002'(c) {
    const bad = [0, 1, 500, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999,
                 2000, 2999, 5000, 5001, 9999, 32768, 65535];
    await refused(c, bad.map((code) => [`${code}`, closeFrame(code)]), 1002);
    await refused(c, bad.map((code) => [`${code} with words`,
                                        closeFrame(code, 'why')]), 1002);
    await refused(c, [['one byte', frame({ opcode: 8, payload: 'x' })]], 1002);
  },

  async 'codes 1012 to 1014 are answered'(c) {
    for (const code of [1012, 1013, 1014]) {
      const raw = await registered(c);
      raw.send(closeFrame(code));
      const end = await raw.closes();
      assert([code, 1000, 1002].includes(end.code), `${code}: ${end.code}`);
      await raw.finish();
    }
  },

  async 'an empty close, and one with 123 bytes of reason'(c) {
    let raw = await registered(c);
    raw.send(frame({ opcode: 8 }));
    assert([null, 1000].includes((await raw.closes()).code));

    raw = await registered(c);
    raw.send(closeFrame(1000, 'r'.repeat(123)));
    assert.equal((await raw.closes()).code, 1000);
  },

  async 'a reason that is no UTF-8 closes with 1007'(c) {
    const payload = Buffer.from([0x03, 0xe8, 0xff]);
    const cut = Buffer.from([0x03, 0xe8, 0xe2, 0x82]);
    await refused(c, [['ff', frame({ opcode: 8, payload })],
                      ['cut', frame({ opcode: 8, payload: cut })]], 1007);
  },

  async 'what stands behind a close is not looked at'(c) {
    const raw = await registered(c);
    raw.send(frame({ payload: envelope('before') }), closeFrame(1000),
             frame({ payload: envelope('after') }), frame({ opcode: 9 }));
    assert.equal(await echo(raw), 'before');
    await raw.closes(1000);
  },

  async 'the close arrives though much more was sent behind the fault'(c) {
    for (const first of [frame({ opcode: 3 }), frame({ masked: false }),
                         frame({ payload: 'no JSON' }), closeFrame(1000)]) {
      const raw = await c.raw();
      const junk = Buffer.alloc(65536, 0x55);
      raw.send(first, junk, junk, junk, junk);
      await raw.closes();
      await raw.finish();
    }
  },

  async 'half close: what came before it is answered, then both are closed'(c) {
    let raw = await registered(c);
    raw.send(frame({ payload: envelope('last words') }), closeFrame(1000));
    raw.socket.end();
    assert.equal(await echo(raw), 'last words');
    await raw.closes(1000);

    raw = await registered(c);
    raw.socket.end();
    raw.bytes = Buffer.alloc(0);
    while (!raw.ended) {
      await raw.frame().catch((error) => assert(raw.ended, error));
    }
    assert.equal(raw.error, null);
  },

  async 'a frame that never ends, and then half a close, is an end'(c) {
    const raw = await registered(c);
    raw.send(frame({ payload: 'x', length: 1000 }));
    raw.socket.end();
    while (!raw.ended) {
      await raw.frame().catch((error) => assert(raw.ended, error));
    }
    assert.equal(raw.error, null);
    // the name is free again
    const other = await registered(c);
    other.send(frame({ payload: envelope('x') }));
    assert.equal(await echo(other), 'x');
  },

  async 'a conversation byte by byte'(c) {
    const raw = await c.rawSocket();
    const bytes = Buffer.concat([ME,
      frame({ opcode: 9, payload: 'ping' }),
      frame({ fin: false, payload: envelope(WORDS).slice(0, 25) }),
      frame({ opcode: 9 }),
      frame({ opcode: 0, payload: envelope(WORDS).slice(25) }),
      frame({ payload: sized(200)[0] }),
      closeFrame(1000, 'done')]);
    await raw.upgrade({ cut: (all) => [...all].map((b) => Buffer.from([b])) });
    const sent = raw.sendCut([...bytes].map((b) => Buffer.from([b])));

    const seen = [];
    while (seen.length < 5) {
      const { opcode, payload } = await raw.frame(10000);
      if (!payload.toString().startsWith('{"userlist":')) {
        seen.push([opcode, opcode === 8 ? payload.readUInt16BE(0)
                                        : payload.toString()]);
      }
    }
    await sent;
    assert.deepEqual(seen, [[10, 'ping'], [10, ''], [1, WORDS],
                            [1, sized(200)[1]], [8, 1000]]);
    await raw.eof();
  },

  async 'random frames in random cuts'(c) {
    const random = seeded(20);
    const raw = await registered(c);
    const expected = [];
    const frames = [];
    for (let i = 0; i < 150; i++) {
      const text = `${i} ` + WORDS.repeat(random(random(10) ? 4 : 1000));
      const bytes = Buffer.from(envelope(text));
      let at = 0;
      for (let n = random(4); n >= 0; n--) {
        const end = n === 0 ? bytes.length
                            : at + random(bytes.length - at + 1);
        frames.push(frame({ payload: bytes.subarray(at, end), fin: n === 0,
                            opcode: at === 0 && !frames.open ? 1 : 0 }));
        frames.open = n !== 0;
        at = end;
        if (random(3) === 0) {
          frames.push(frame({ opcode: 9, payload: `${i}` }));
          expected.push(`10 ${i}`);
        }
      }
      // the text's echo stands before the ping that followed its last piece
      const last = expected[expected.length - 1];
      if (last === `10 ${i}` && frames[frames.length - 1][0] === 0x89) {
        expected.splice(-1, 0, `1 ${text}`);
      } else {
        expected.push(`1 ${text}`);
      }
    }
    const all = Buffer.concat(frames);
    const pieces = [];
    for (let at = 0; at < all.length;) {
      const size = 1 + random(random(2) ? 20 : 20000);
      pieces.push(all.subarray(at, at + size));
      at += size;
    }
    const sent = raw.sendCut(pieces);
    for (const want of expected) {
      let got;
      do {
        const { opcode, payload } = await raw.frame();
        got = `${opcode} ${payload}`;
      } while (got.startsWith('1 {"userlist":'));
      assert.equal(got, want);
    }
    await sent;
  },
});
