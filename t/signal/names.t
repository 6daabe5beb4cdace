#!/usr/bin/env node
'use strict';
/*
 * What may be a name, in both dialects.
 */

const assert = require('assert');
const { scenarios } = require('../lib/scenarios');
const { Native, Article } = require('../lib/client');

const REFUSED = new RegExp(
  '^[\\p{Cc}\\p{Cf}\\p{Zl}\\p{Zp}\\p{Zs}\\p{Default_Ignorable_Code_Point}]$',
  'u');

/* The first and the last character of each run of refused ones, and their
 * neighbours that are allowed: [[code point, refused], ...]. */
function borders() {
  const found = new Map();
  let before = true;
  for (let code = 1; code <= 0x10ffff; code++) {
    if (code >= 0xd800 && code <= 0xdfff) {
      continue;
    }
    const refused = code !== 0x20 && REFUSED.test(String.fromCodePoint(code));
    if (refused !== before) {
      found.set(code, refused);
      if (code - 1 > 0 && code !== 0xe000) {
        found.set(code - 1, before);
      }
    }
    before = refused;
  }
  return [...found].filter(([code]) => code !== 0x20);
}

async function welcomed(c, name) {
  const client = await c.open(Native);
  client.send({ type: 'hello', name });
  const message = await Promise.race([client.poll(), client.closed]);
  await client.close();
  return message && message.type === 'welcome'
    ? message.name : client.end.code;
}

scenarios({ settings: { rate: '0' } }, {
  async 'the characters at each border of what is refused'(c) {
    const cases = borders();
    assert(cases.length > 60, `${cases.length} cases`);
    for (const [code, refused] of cases) {
      const name = `a${String.fromCodePoint(code)}b`;
      assert.equal(await welcomed(c, name), refused ? 4400 : name,
                   `U+${code.toString(16)}`);
    }
  },

  async 'good names'(c) {
    for (const name of [
      'a', 'x'.repeat(64), '\u20ac'.repeat(21) + 'x', '\u{1d11e}'.repeat(16),
      'a b', 'a  b', 'O\'Neil "the <b>', 'C:\\', '\u00e9', 'e\u0301', '\u{1f600}',
      '!', '0', 'null', '__proto__', 'na\u00efve',
      '\ufffd', '\uffff', '\u{10ffff}',
    ]) {
      assert.equal(await welcomed(c, name), name, JSON.stringify(name));
    }
  },

  async 'bad names'(c) {
    for (const name of [
      '', ' ', '  ', ' a', 'a ', 'x'.repeat(65), '\u20ac'.repeat(22),
      '\u{1d11e}'.repeat(17), 'a\tb', 'a\nb', 'a\u007fb', 'a\u00a0b', 'a\u00ad',
      '\u200b', 'a\u200db', '\u202eabc', '\u2028', '\u3000', 'a\ufe0f', '\ufeff',
      '\u3164', '\u115f', '\u180e', '\u{e0041}', 'x'.repeat(5000),
    ]) {
      assert.equal(await welcomed(c, name), 4400, JSON.stringify(name));
    }
    for (const name of [null, 1, true, [], {}, ['a']]) {
      assert.equal(await welcomed(c, name), 4400, JSON.stringify(name));
    }
    assert.equal(await welcomed(c, undefined), 4400, 'no name');
  },

  async 'names are compared byte for byte'(c) {
    const names = ['bob', 'Bob', '\u00e9', 'e\u0301', 'b\u03bfb'];
    const all = [];
    for (const name of names) {
      all.push(await c.native(name));
    }
    assert.equal(all[4].welcome.count, 5);
  },

  async 'an article nickname may not hold what HTML understands'(c) {
    for (const nickname of ['a<', '>a', 'a&b', 'a"b', 'it\'s', 'a\\b', '',
                            ' a', 'x'.repeat(65), 'a\u200db', 1, null, ['a']]) {
      const client = await c.open(Article);
      client.send({ nickname });
      assert.equal((await client.ends()).code, 4400, JSON.stringify(nickname));
    }
    for (const nickname of ['a', 'x'.repeat(64), 'J\u00f6rg', 'a b', 'a/b', '`']) {
      const client = await c.article(nickname);
      assert.deepEqual(client.list, [nickname]);
      await client.close();
    }
  },
});
