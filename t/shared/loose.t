#!/usr/bin/env node
'use strict';
/*
 * The loose scan against JSON.parse: it takes for an object what a browser
 * takes for one, sees the same members, and notices each key that stands
 * twice.
 */

const assert = require('assert');
const { spawnSync } = require('child_process');
const path = require('path');
const { test, diag } = require('../lib/tap');

const build = process.env.WSIG_BUILD
  || path.join(__dirname, '..', '..', 'build');
const TEXTS = Number(process.env.WSIG_TEXTS || 120000);
const WANTED = ['userlist', 'error', 'from'];

let seed = Number(process.env.WSIG_SEED || 2463534242);

/* Marsaglia's xorshift, 32 bits: below n. */
function below(n) {
  seed ^= seed << 13;
  seed ^= seed >>> 17;
  seed ^= seed << 5;
  return (seed >>> 0) % n;
}

const one = (list) => list[below(list.length)];

const KEYS = [
  '"from"', '"\\u0066rom"', '"f\\u0072om"', '"From"', '"fro"', '"fromm"',
  '"error"', '"e\\u0072\\u0072or"', '"userlist"', '"user\\u006cist"',
  '"\\u0075serlist"', '"user list"', '"a"', '"\\u0061"', '""', '"\\u0000"',
  '"\\ud800"', '"\\uD800"', '"\\udc00"', '"\\ud83d\\ude00"', '"😀"',
  '"\\ude00\\ud83d"', '"é"', '"\\u00e9"', '"e\u0301"', '"/"', '"\\/"', '"\\n"',
  '"\\u000a"', '"\\t"', '"__proto__"', '"\ufeff"', '"\u2028"', '"\x7f"',
];
const SCALARS = [
  '0', '-0', '-1', '1.5', '1e9', '1E+9', '1e-999', '1e999', '-0.0e0',
  '123456789012345678901234567890', 'true', 'false', 'null', '""', '"x"',
  '"\\"', '"\\\\"', '"\\b\\f\\n\\r\\t\\/"', '"\\uDEAD"', '"from"',
  '"{\\"from\\":1}"', '01', '1.', '.5', '+1', '1e', '-', 'nul', 'True', 'NaN',
  'Infinity', "'x'", '"\n"', '"\t"', '"\\x"', '"\\u12g4"', '"\\u123"',
  'undefined', '"\u0000"', '0x10', '1_000',
];
const GOOD = 21; // of SCALARS, from the first
const SPACE = ['', '', '', '', ' ', '\n', '\t', '\r', '  '];
const WRONG_SPACE = ['\u00a0', '\ufeff', '\f', '\v', '\u2028', '/**/', '\0'];
const BITS = ['{', '}', '[', ']', ':', ',', '"', '\\', 'u', '0', 'e', '-', '.',
  ' ', '\n', '😀', '\u0000', '\ufeff', 'from', '"from"', '"from":1,', 'é'];

function space() {
  return below(400) === 0 ? one(WRONG_SPACE) : one(SPACE);
}

function list(make, open, close) {
  const items = [];
  for (let n = below(5); n > 0; n--) {
    items.push(space() + make() + space());
  }
  return open + (items.length ? items.join(',') : space()) + close;
}

function value(depth) {
  const kind = below(8);
  if (depth > 0 && kind === 0) {
    return object(depth - 1);
  }
  if (depth > 0 && kind === 1) {
    return list(() => value(depth - 1), '[', ']');
  }
  if (kind === 2 && below(40) === 0) {
    const deep = below(3000);
    return '['.repeat(deep) + ']'.repeat(deep);
  }
  return below(60) === 0 ? one(SCALARS) : SCALARS[below(GOOD)];
}

function object(depth) {
  return list(() => one(KEYS) + space() + ':' + space() + value(depth),
    '{', '}');
}

function mutate(text) {
  const units = Array.from(text);
  for (let n = 1 + below(2); n > 0; n--) {
    const at = below(units.length + 1);
    switch (below(4)) {
      case 0: units.splice(at, 1); break;
      case 1: units.splice(at, 0, one(BITS)); break;
      case 2: units.splice(at, 1, one(BITS)); break;
      default: units.splice(at, below(units.length + 1));
    }
  }
  return units.join('');
}

/* The keys at the top of a text that is known to be an object. */
function topKeys(text) {
  const keys = [];
  let depth = 0;
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\]:]/gs)) {
    if (token === '{' || token === '[') {
      depth++;
    } else if (token === '}' || token === ']') {
      depth--;
    } else if (token === ':' && depth === 1) {
      keys.push(keys.last);
    } else if (depth === 1) {
      keys.last = JSON.parse(token);
    }
  }
  return keys;
}

function expected(text) {
  let root;
  try {
    root = JSON.parse(text);
  } catch {
    return 'invalid';
  }
  if (typeof root !== 'object' || root === null || Array.isArray(root)) {
    return 'invalid';
  }
  const keys = topKeys(text);
  if (new Set(keys).size < keys.length) {
    return 'twice';
  }
  const has = WANTED.filter((key) => Object.hasOwn(root, key));
  return ['object', ...has].join(' ');
}

function texts() {
  const all = ['', ' ', '{}', '{', '[]', 'null', '{}x', '{} ', ' {}', '\ufeff{}',
    '{"from":1}', '{"from":1,"from":2}', '{"a":{"from":1}}', '{"a":1,}',
    '{,}', '{"a"}', '{"a":}', '{"a":1 "b":2}', '{}{}',
    `{"a":${'['.repeat(90000)}${']'.repeat(90000)},"from":1}`,
    `{"a":${'{"a":'.repeat(90000)}1${'}'.repeat(90000)},"from":1}`,
    `{"a":${'['.repeat(90000)}${']'.repeat(89999)},"from":1}`];
  while (all.length < TEXTS) {
    const whole = space() + (below(30) === 0 ? value(3) : object(3)) + space();
    const text = below(2) === 0 ? whole : mutate(whole);
    all.push(text);
  }
  return all.filter((text) => text.isWellFormed());
}

const all = texts();
const input = Buffer.concat(all.flatMap((text) => {
  const bytes = Buffer.from(text);
  const size = Buffer.alloc(4);
  size.writeUInt32BE(bytes.length);
  return [size, bytes];
}));
const wanted = all.map(expected);

for (const kind of ['t', 'asan/t']) {
  test(`the loose scan agrees with JSON.parse (${kind})`, () => {
    const run = spawnSync(path.join(build, kind, 'loose'),
      { input, maxBuffer: 1 << 28 });
    assert.strictEqual(run.status, 0, `${run.stderr}`);
    const said = run.stdout.toString('latin1').split('\n');
    const counts = {};
    const wrong = [];
    wanted.forEach((answer, i) => {
      counts[answer] = (counts[answer] || 0) + 1;
      if (said[i] !== answer) {
        wrong.push(`${said[i]}, not ${answer}: `
          + JSON.stringify(all[i]).slice(0, 300));
      }
    });
    diag(JSON.stringify(counts));
    assert.deepStrictEqual(wrong.slice(0, 5), []);
    assert.ok(counts.object > 1000 && counts.twice > 1000
      && counts.invalid > 1000 && counts['object from'] > 1000);
  });
}
