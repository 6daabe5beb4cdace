'use strict';
/*
 * tap.js: a file's tests, one after the other, told in TAP.
 *
 *   const { test, diag } = require('../lib/tap');
 *   test('two and two', async () => { assert.equal(2 + 2, 4); });
 *
 * A test fails by throwing.  They start when the file has been read; the plan
 * stands at the end, so that a file that dies halfway is seen to.
 */

/* A test may put a clock of its own in their place. */
const { setTimeout, clearTimeout } = globalThis;
const { now } = Date;

const SLOW = 1500; // ms; such tests say how long they took

const queue = [];
let number = 0;
let failed = 0;

function diag(text) {
  for (const line of String(text).split('\n')) {
    console.log(`# ${line}`);
  }
}

function describe(error) {
  if (!(error instanceof Error)) {
    return String(error);
  }
  const lines = (error.stack || error.message).split('\n');
  return lines.filter((line) => !/node:internal/.test(line)).slice(0, 24)
    .join('\n');
}

/* The limit is for the hung ones: what is slow should say so by itself. */
function limited(promise, ms) {
  let timer;
  const limit = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`not done in ${ms} ms`)), ms);
  });
  return Promise.race([promise, limit]).finally(() => clearTimeout(timer));
}

async function attempt(name, run, ms = 30000) {
  const start = now();
  try {
    await limited(run(), ms);
    console.log(`ok ${++number} - ${name}`);
    if (now() - start > SLOW) {
      diag(`${((now() - start) / 1000).toFixed(1)} s`);
    }
    return true;
  } catch (error) {
    failed++;
    console.log(`not ok ${++number} - ${name} (${now() - start} ms)`);
    diag(describe(error));
    return false;
  }
}

/* options.ms: how long it may take. */
function test(name, run, options = {}) {
  later(() => attempt(name, run, options.ms));
}

/* Queue a step that makes tests itself, by attempt(). */
function later(step) {
  queue.push(step);
  if (queue.length === 1) {
    setImmediate(runAll);
  }
}

async function runAll() {
  for (let i = 0; i < queue.length; i++) {
    await queue[i]();
  }
  console.log(`1..${number}`);
  process.exit(failed ? 1 : 0);
}

process.on('unhandledRejection', (error) => {
  diag(`unhandled: ${describe(error)}`);
  process.exit(1);
});

module.exports = { test, attempt, later, diag };
