#!/usr/bin/env node
'use strict';
/*
 * Who has logged in is who he is: what the browser claims is ignored.
 */

const assert = require('assert');
const { scenarios } = require('../lib/scenarios');
const { Native, Article } = require('../lib/client');
const { ended } = require('../lib/call');

const MEMBERS = '/members/signal';
const LONG = 'x'.repeat(65);

const options = {
  settings: { rate: '0' },
  users: { alice: 'a', bob: 'b', 'Dr. No': 'd', [LONG]: 'x', 'z\u200bw': 'z',
           'J\u00f6rg': 'j' },
  locations: { [MEMBERS]: { kind: 'signal', auth: true,
                            settings: { identity: 'remote_user' } } },
};

const login = (name, password = name[0].toLowerCase()) =>
  ({ path: MEMBERS, auth: `${name}:${password}` });

async function status(c, Kind, settings) {
  const client = new Kind(c.url(settings.path), settings);
  c.clients.push(client);
  await client.opened.catch(() => {});
  return client.status;
}

scenarios(options, {
  async 'without a login there is no socket'(c) {
    assert.equal(await status(c, Native, { path: MEMBERS }), 401);
    assert.equal(await status(c, Native, login('alice', 'wrong')), 401);
    assert.equal(await status(c, Article, { path: MEMBERS }), 401);
    assert.equal(await status(c, Native, login('alice')), 101);
  },

  async 'the name is the login\'s, whatever hello says'(c) {
    for (const claim of [undefined, 'bob', 'alice', 'x'.repeat(64)]) {
      const alice = await c.native(claim, login('alice'));
      assert.equal(alice.welcome.name, 'alice');
      assert.equal(alice.welcome.verified, true);
      await alice.close();
    }
    const drNo = await c.native(undefined, login('Dr. No'));
    assert.equal(drNo.welcome.name, 'Dr. No');
    const joerg = await c.native(undefined, login('J\u00f6rg'));
    assert.equal(joerg.welcome.name, 'J\u00f6rg');
    await drNo.shows({ 'J\u00f6rg': 'free' });
    assert.equal(drNo.users.get('J\u00f6rg').verified, true);
  },

  async 'nobody says from for another'(c) {
    const alice = await c.native('bob', login('alice'));
    const bob = await c.native('alice', login('bob'));
    const { call } = await alice.ask({ type: 'call', to: 'bob', from: 'eve',
                                       verified: false, name: 'eve' },
                                     'calling');
    const rung = await bob.next('ring');
    assert.equal(rung.from, 'alice');
    assert.equal(rung.verified, true);
    bob.send({ type: 'accept', call, from: 'eve', name: 'eve' });
    await bob.next('accepted');
    assert.equal((await alice.next('accepted')).from, 'bob');
    alice.send({ type: 'signal', call, from: 'eve', data: 1 });
    assert.equal((await bob.next('signal')).from, 'alice');
    alice.send({ type: 'hangup', call, from: 'bob' });
    await ended(bob, call, 'hangup');
  },

  async 'a differing nickname is refused with 4403'(c) {
    const alice = await c.article('alice', login('alice'));
    assert.deepEqual(alice.list, ['alice']);
    const eve = await c.open(Article, login('bob'));
    eve.send({ nickname: 'eve' });
    await eve.ends(4403);
    const taker = await c.open(Article, login('bob'));
    taker.send({ nickname: 'alice' });
    await taker.ends(4403);
    await alice.none(200);
  },

  async 'a guest does not get a name that its owner holds'(c) {
    const alice = await c.native(undefined, login('alice'));
    const guest = await c.open(Native);
    guest.send({ type: 'hello', name: 'alice' });
    await guest.ends(4409);
    await alice.ask({ type: 'ice' }, 'ice');

    const article = await c.article('bob', login('bob'));
    const other = await c.open(Article);
    other.send({ nickname: 'bob' });
    await other.ends(4409);
    assert.equal(article.end, null);
  },

  async 'the owner evicts a guest of the article\'s dialect'(c) {
    const guest = await c.article('bob');
    const bob = await c.open(Article, { ...login('bob'), off: guest.worker });
    await bob.enter('bob');
    await guest.ends(4410);
    bob.send({ target: 'bob', sdp: 'me' });
    assert.equal(await bob.relayed(), 'me');
  },

  async 'a login that is no name is refused with 403 and a line'(c) {
    for (const name of [LONG, 'z\u200bw']) {
      assert.equal(await status(c, Native, login(name)), 403, name);
      assert.equal(await status(c, Article, login(name)), 403, name);
    }
    const lines = c.server.logged(/identity|name/,
                                  'error', 'warn', 'notice', 'info');
    assert(lines.length > 0, 'a line in the log');
  },

  async 'the same login twice are two devices of one user'(c) {
    const phone = await c.native(undefined, login('alice'));
    const desk = await c.native(undefined, { ...login('alice'),
                                             off: phone.worker });
    assert.equal(desk.welcome.count, 1);
    const bob = await c.native(undefined, login('bob'));
    assert.equal(bob.welcome.count, 2);
    await phone.close();
    await bob.ask({ type: 'ice' }, 'ice');
    assert.equal((await bob.ask({ type: 'lookup', name: 'alice' }, 'user'))
      .state, 'free');
    await desk.close();
    await bob.shows({ alice: null });
    assert.equal(bob.contradiction, undefined);
  },
});
