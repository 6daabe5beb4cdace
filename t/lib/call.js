'use strict';
/*
 * call.js: steps of a call that several tests take.
 */

const assert = require('assert');

/* a dials b; the call's id, once it rings. */
async function ring(a, b, rest = {}) {
  const { call } = await a.ask({ type: 'call', to: b.name, ...rest }, 'calling');
  const rung = await b.next('ring');
  assert.equal(rung.call, call);
  return call;
}

/* ... once it is answered. */
async function answered(a, b, rest = {}) {
  const call = await ring(a, b, rest);
  b.send({ type: 'accept', call });
  assert.equal((await b.next('accepted')).call, call);
  assert.equal((await a.next('accepted')).call, call);
  return call;
}

async function ended(client, call, reason) {
  const message = await client.next('ended');
  assert.equal(message.call, call);
  assert.equal(message.reason, reason);
  return message;
}

/* Nothing waits for these, also after the server has answered once more. */
async function quiet(...clients) {
  for (const client of clients) {
    await client.ask({ type: 'lookup', name: 'x' }, 'user');
  }
}

/* Both are in no call: they can call one another, and answer. */
async function free(a, b) {
  await quiet(a, b);
  const call = await answered(a, b);
  a.send({ type: 'hangup', call });
  await ended(b, call, 'hangup');
  await quiet(a, b);
}

module.exports = { ring, answered, ended, quiet, free };
