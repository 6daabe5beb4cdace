#!/usr/bin/env node
'use strict';
/*
 * The characters that no name has, all code points of them, against the
 * Unicode tables of Node.
 */

const assert = require('assert');
const { execFileSync } = require('child_process');
const path = require('path');
const { test, diag } = require('../lib/tap');

const build = process.env.WSIG_BUILD
  || path.join(__dirname, '..', '..', 'build');
const REFUSED =
  /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Zs}\p{Default_Ignorable_Code_Point}]/u;

test('the table of refused characters is that of Unicode', () => {
  const output = execFileSync(path.join(build, 't', 'name'), ['table'],
    { encoding: 'ascii' });
  const ours = new Set(output.trim().split('\n').map((hex) => parseInt(hex, 16)));
  const wrong = [];
  const old = parseFloat(process.versions.unicode) < 15;

  for (let c = 0; c <= 0x10ffff; c++) {
    const surrogate = c >= 0xd800 && c <= 0xdfff;
    /* Came with Unicode 15.0. */
    const unknown = old && c >= 0x13439 && c <= 0x1343f;
    if (surrogate || unknown) {
      continue;
    }
    const refused = c !== 0x20 && REFUSED.test(String.fromCodePoint(c));
    if (refused !== ours.has(c)) {
      wrong.push(`U+${c.toString(16)}: ${refused ? 'missing' : 'too much'}`);
    }
  }
  diag(`Unicode ${process.versions.unicode}, ${ours.size} refused`);
  assert.deepStrictEqual(wrong, []);
});
