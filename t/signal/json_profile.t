#!/usr/bin/env node
'use strict';
/*
 * The profile of JSON that texts have to keep to, through the wire.
 */

const assert = require('assert');
const { scenarios } = require('../lib/scenarios');
const { Native, Article } = require('../lib/client');
const { frame } = require('../lib/raw');

const BS = '\\';

const VALID = [
  '1', '0', '-0', '-1', '10', '1.5', '-0.0', '1e5', '1E5', '1e+5', '1E-5',
  '1.25e10', '1e999', '-1e-999', '9'.repeat(400), '0.' + '1'.repeat(400),
  '18446744073709551616', 'true', 'false', 'null', '""', '"x"', '{}', '[]',
  '[ ]', '{ }', '[1,2]', '[ 1 , 2 ]', '[[],[]]', '{"a":1,"b":[{}]}',
  '\t\n\r 1 \t\n\r', '{"a":{"b":1,"b":2}}', '[{"a":1,"a":1}]',
  `"${BS}"${BS}${BS}${BS}/${BS}b${BS}f${BS}n${BS}r${BS}t"`, '"/"', '"\u007f"',
  `"${BS}u0001${BS}u001f${BS}u007f"`, `"${BS}ud834${BS}udd1e"`,
  `"${BS}uD834${BS}uDD1E"`, `"${BS}udbff${BS}udfff"`, `"${BS}uffff${BS}ufffe"`,
  `"${BS}u0022${BS}u005c"`, '"\u2028\u2029\ufeff\uffff\u{10ffff}"',
  '{"":1}', '{" ":{"":{}}}', '[[[[[[]]]]]]', `"${BS}u000A"`, '"{[}],:"',
  '"\u00a0"',
];

const INVALID = [
  '', ' ', ',', '01', '-01', '00', '+1', '.5', '-.5', '1.', '-', '1e', '1e+',
  '1.e5', '0x10', '1_0', '1,', 'NaN', 'Infinity', '-Infinity', 'nul', 'nulll',
  'True', 'TRUE', 'undefined', "'x'", '"x', 'x"', '"', '[', ']', '{', '}',
  '[1', '1]', '[1,]', '[,1]', '[1,,2]', '[1 2]', '{"a"}', '{"a":}', '{"a":1,}',
  '{,}', '{a:1}', "{'a':1}", '{"a" 1}', '{"a":1 "b":2}', '{"a":1;"b":2}',
  '{1:1}', '{null:1}', '[1}', '{"a":1]', '/* */1', '1//', '#', '1 1', '"a""b"',
  '\u000b1', '\u000c1', '\u00a01', '\u20281', '\ufeff1', '\u00851',
  `"${BS}x41"`, `"${BS}a"`, `"${BS}v"`, `"${BS}0"`, `"${BS}'"`, `"${BS}U0041"`,
  `"${BS}u"`, `"${BS}u1"`, `"${BS}u12"`, `"${BS}u123"`, `"${BS}u123g"`,
  `"${BS}u 123"`, `"${BS}u+123"`, `"${BS}u-123"`, `"${BS}u0x1"`,
  `"${BS}ud800"`, `"${BS}udbff"`, `"${BS}udc00"`, `"${BS}udfff"`,
  `"${BS}ud800x"`, `"${BS}ud800${BS}n"`, `"${BS}ud800${BS}u0041"`,
  `"${BS}ud800${BS}ud800"`, `"${BS}ud800${BS}ud800${BS}udc00"`,
  `"${BS}udc00${BS}ud800"`, `"${BS}ud800 ${BS}udc00"`, `"${BS}uD800"`,
  `"${BS}u0000"`, `{"${BS}u0000":1}`, `[["a${BS}u0000b"]]`,
  `{"a":{"${BS}ud800":1}}`, `"${BS}`, `"${BS}"`,
  ...Array.from({ length: 32 }, (_, i) => `"${String.fromCharCode(i)}"`),
  ...Array.from({ length: 32 }, (_, i) => `{"${String.fromCharCode(i)}":1}`),
  ...[0, 1, 8, 11, 12, 14, 27, 31].map((i) => `${String.fromCharCode(i)}1`),
];

/* Whole texts, not values. */
const INVALID_TEXTS = [
  '', ' ', '[]', '[{"type":"lookup"}]', '"lookup"', '1', 'null', 'true', 'x',
  '{', '}', '{}}', '{}{}', '{} {}', '{}x', 'x{}', '{},', '{}\u0000', '\u0000{}',
  '\ufeff{"type":"lookup","name":"b","ref":"r"}',
  '{"type":"lookup","name":"b","ref":"r"}\ufeff',
  '{"type":"lookup","type":"lookup","name":"b"}',
  '{"type":"lookup","name":"b","name":"b"}',
  '{"type":"lookup","name":"b","x":1,"x":1}',
  '{"type":"lookup","name":"b","x":1,"\\u0078":1}',
  '{"type":"lookup","name":"b","\\u0078":1,"x":1}',
  '{"type":"lookup","name":"b","\\ud834\\udd1e":1,"\u{1d11e}":1}',
  '{"type":"lookup","name":"b","\\/":1,"/":1}',
  '{"type":"lookup","name":"b","":1,"":1}',
  '{"type":"lookup","name":"b","\\n":1,"\\u000a":1}',
  '{"t\\u0079pe":"lookup","name":"b","type":"lookup"}',
];

/* Is this text within the profile?  JSON.parse knows the grammar. */
function withinProfile(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return false;
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    return false;
  }
  const keys = new Set();
  const token = /"(?:[^"\\]|\\.)*"(\s*:)?|[{}[\]]/gs;
  let depth = 0;
  for (let m = token.exec(text); m; m = token.exec(text)) {
    if (m[0] === '{' || m[0] === '[') {
      if (++depth > 64) {
        return false;
      }
    } else if (m[0] === '}' || m[0] === ']') {
      depth--;
    } else {
      const string = JSON.parse(m[0].replace(/\s*:$/, ''));
      if (/\p{Surrogate}|\0/u.test(string)) {
        return false;
      }
      if (depth === 1 && m[1]) {
        if (keys.has(string)) {
          return false;
        }
        keys.add(string);
      }
    }
  }
  return true;
}

/* Ask with this text, whose answer to be is known; tell what came. */
async function verdict(client, text) {
  const { type, code } = await client.ask(text);
  if (type === 'error') {
    assert.equal(code, 'bad-message', text);
    return false;
  }
  assert.equal(type, 'user', text);
  return true;
}

const lookup = (value) =>
  `{"type":"lookup","name":"bob","ref":"7","x":${value}}`;

async function expect(client, text, good) {
  assert.equal(withinProfile(text), good, `the test is wrong: ${text}`);
  assert.equal(await verdict(client, text), good, text);
}

function seeded(seed) {
  let state = seed;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor(state / 4294967296 * n);
  };
}

scenarios({ conformance: true,
            settings: { max_message: '64k', rate: '0' } }, {
  async 'what is within the profile is understood'(c) {
    const client = await c.native('alice');
    for (const value of VALID) {
      await expect(client, lookup(value), true);
      await expect(client, ` \t\r\n${lookup(`[${value}]`)}\n`, true);
    }
  },

  async 'what is not gets bad-message, and the connection stays'(c) {
    const client = await c.native('alice');
    for (const value of INVALID) {
      await expect(client, lookup(value), false);
      await expect(client, lookup(`[0,${value}]`), false);
    }
    for (const text of INVALID_TEXTS) {
      await expect(client, text, false);
    }
    await expect(client, lookup('1'), true);
  },

  async 'keys are compared unescaped, and found so'(c) {
    const client = await c.native('alice');
    const got = await client.ask(
      '{"t\\u0079pe":"look\\u0075p","\\u006eame":"b\\u006fb","r\\u0065f":"\\u0037"}',
      'user');
    assert.equal(got.name, 'bob');
    assert.equal(got.ref, '7');
  },

  async '64 levels are understood, 65 are not'(c) {
    const client = await c.native('alice');
    const arrays = (n) => '['.repeat(n) + ']'.repeat(n);
    const objects = (n) => '{"a":'.repeat(n - 1) + '{}' + '}'.repeat(n - 1);
    for (const nest of [arrays, objects]) {
      await expect(client, lookup(nest(63)), true);
      await expect(client, lookup(nest(64)), false);
      await expect(client, lookup(`[${nest(62)},${nest(62)}]`), true);
      await expect(client, lookup(`[${nest(62)},${nest(63)}]`), false);
    }
    await expect(client, lookup(arrays(30000)), false);
    await expect(client, lookup('['.repeat(60000)), false);
    await expect(client, '{"a":'.repeat(12000), false);
  },

  async 'thousands of keys, and one of them twice'(c) {
    const client = await c.native('alice');
    const keys = Array.from({ length: 6000 }, (_, i) => `"${i}":0`);
    const text = (extra) => lookup(`1,${keys.join(',')}${extra}`);
    await expect(client, text(''), true);
    await expect(client, text(',"5999":0'), false);
    await expect(client, text(',"0":0'), false);
    await expect(client, text(',"\\u0030":0'), false);
  },

  async 'a text cut at every byte gets bad-message'(c) {
    const client = await c.native('alice');
    const text = lookup(
      '[-1.5e+3,"\\ud834\\udd1e\u00e9",{"a":[true,false,null,{}]}]');
    for (let at = 0; at < text.length; at++) {
      await expect(client, text.slice(0, at), false);
    }
    await expect(client, text, true);
  },

  async 'texts with random faults are judged as the profile says'(c) {
    const client = await c.native('alice');
    const random = seeded(7);
    const base = '[-1.5e+3,"\\ud834\\udd1e\u00e9\\n",{"a":[true,null,{}]},0.1]';
    const pieces = ['"', '\\', '\\u', '{', '}', '[', ']', ',', ':', '0', '1',
                    '-', '.', 'e', 'd8', '\\u0000', ' ', '\n', '\t', '\u000b',
                    'null', 'tru', '"a":', '"type":', '"x":1', '\u00e9', '\0'];
    const texts = Array.from({ length: 2000 }, () => {
      let value = base;
      for (let n = 1 + random(2); n > 0; n--) {
        const at = random(value.length);
        const cut = random(3);
        value = value.slice(0, at)
                + (random(3) ? pieces[random(pieces.length)] : '')
                + value.slice(at + cut);
      }
      return lookup(value);
    }).filter((text) => !/[\ud800-\udfff]/.test(text));
    let good = 0;
    const window = 100; // asked before the answers are looked at
    for (let at = 0; at < texts.length; at += window) {
      const some = texts.slice(at, at + window);
      some.forEach((text) => client.send(text));
      for (const text of some) {
        const { type, code } = await client.next();
        const expected = withinProfile(text);
        good += expected;
        assert.equal(code || type, expected ? 'user' : 'bad-message', text);
      }
    }
    assert(good > 100 && good < texts.length - 100, `${good} good ones`);
  },

  async 'a first text outside the profile closes with 4400'(c) {
    const firsts = ['', ' ', 'x', '[]', '"x"', '1', 'null', '{', '{}x', '{}',
                    '\ufeff{"type":"hello","name":"a"}',
                    '{"type":"hello","name":"a","name":"a"}',
                    '{"type":"hello","name":"a","x":"\\ud800"}',
                    '{"type":"hello","name":"a","x":"\\u0000"}',
                    '{"type":"hello","name":"a","x":01}',
                    `{"type":"hello","name":"a","x":${'['.repeat(64)}${
                      ']'.repeat(64)}}`];
    for (const text of firsts) {
      for (const Kind of [Native, Article]) {
        const client = await c.open(Kind);
        client.send(text);
        const { code } = await client.ends();
        // to an article's user {} is a text without a nickname
        assert(code === 4400 || (code === 4401 && text === '{}'
                                 && Kind === Article),
               `${Kind.name}: ${text}: ${code}`);
      }
    }
  },

  async 'a text that is no UTF-8 closes with 1007 wherever it stands'(c) {
    for (const add of [[], ['Sec-WebSocket-Protocol: webrtc-signal.v1']]) {
      const raw = await c.raw({ add });
      raw.send(frame({ payload: Buffer.from('{"type":"\xff"}', 'latin1') }));
      await raw.closes(1007);
    }
  },
});
