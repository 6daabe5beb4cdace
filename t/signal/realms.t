#!/usr/bin/env node
'use strict';
/*
 * Who shares a realm with whom, and which pages may open a socket.
 */

const assert = require('assert');
const { scenarios } = require('../lib/scenarios');
const { Native, Article } = require('../lib/client');
const { free } = require('../lib/call');

const TEAM = '/team/signal';
const ANY = '/any/signal';
const LIST = '/list/signal';

const options = {
  settings: { rate: '0' },
  locations: {
    [TEAM]: { kind: 'signal', settings: { realm: 'team' } },
    [ANY]: { kind: 'signal', settings: { origin: 'any' } },
    [LIST]: { kind: 'signal', settings: {
      origin: ['https://a.test', 'http://b.test:8080'] } },
  },
  hosts: [
    { names: ['one.test', 'www.one.test'] },
    { names: ['two.test'],
      locations: { [TEAM]: { kind: 'signal', settings: { realm: 'team' } } } },
    { names: ['three.test'], settings: { realm: 'one.test' } },
    { names: ['*.many.test'], settings: { realm: 'host' } },
  ],
};

async function status(c, settings) {
  const client = new Native(c.url(settings.path), settings);
  c.clients.push(client);
  await client.opened.catch(() => {});
  await client.close();
  return client.status;
}

scenarios(options, {
  async 'a realm is a server, by its first name'(c) {
    const one = await c.native('alice', { host: 'one.test' });
    const two = await c.native('alice', { host: 'two.test' });
    const here = await c.native('alice');
    assert.equal(one.welcome.realm, 'one.test');
    assert.equal(two.welcome.realm, 'two.test');
    assert.equal(here.welcome.realm, 'localhost');
    for (const alice of [one, two, here]) {
      assert.equal(alice.welcome.count, 1);
      const got = await alice.ask({ type: 'call', to: 'bob' }, 'error');
      assert.equal(got.code, 'unreachable');
    }
    const bob = await c.native('bob', { host: 'www.one.test' });
    assert.equal(bob.welcome.realm, 'one.test');
    await one.shows({ bob: 'free' });
    await free(one, bob);
    assert.equal(two.users.size, 0);
    assert.deepEqual(two.deltas, []);
  },

  async 'one may be shared by name, and by location'(c) {
    const one = await c.native('alice', { host: 'one.test' });
    const three = await c.native('bob', { host: 'three.test' });
    assert.equal(three.welcome.realm, 'one.test');
    await free(one, three);

    const here = await c.native('carol', { path: TEAM });
    const two = await c.native('dave', { path: TEAM, host: 'two.test' });
    assert.equal(here.welcome.realm, 'team');
    assert.deepEqual(two.welcome.users.map((u) => u.name), ['carol']);
    await free(here, two);
    assert.equal(one.users.has('carol'), false);
  },

  async 'it may come from a variable'(c) {
    const a = await c.native('alice', { host: 'a.many.test' });
    const b = await c.native('alice', { host: 'b.many.test' });
    const bob = await c.native('bob', { host: 'a.many.test' });
    assert.equal(a.welcome.realm, 'a.many.test');
    assert.equal(b.welcome.realm, 'b.many.test');
    await free(a, bob);
    assert.equal(b.welcome.count, 1);
  },

  async 'the plain and the TLS port of one name share it'(c) {
    const other = c.base === c.server.ws ? c.server.wss : c.server.ws;
    const alice = await c.native('alice', { host: 'one.test' });
    const bob = new Native(`${other}/webrtc/signal`, { host: 'one.test' });
    c.clients.push(bob);
    await bob.hello('bob');
    await free(alice, bob);
  },

  async 'dialects do not see one another'(c) {
    const native = await c.native('alice');
    const article = await c.article('alice');
    assert.deepEqual(article.list, ['alice']);
    const bob = await c.article('bob');
    assert.deepEqual([...bob.list].sort(), ['alice', 'bob']);
    assert.equal((await native.ask({ type: 'lookup', name: 'bob' }, 'user'))
      .state, 'absent');
    assert.equal((await native.ask({ type: 'call', to: 'bob' }, 'error')).code,
                 'unreachable');
    const carol = await c.native('carol');
    assert.equal(carol.welcome.count, 2);
    bob.send({ target: 'carol', sdp: 'x' });
    await bob.ends(4404);
    await native.shows({ carol: 'free', bob: null });
    const two = await c.article('alice', { host: 'two.test' });
    assert.deepEqual(two.list, ['alice']);
    two.send({ target: 'bob', sdp: 'x' });
    await two.ends(4404);
  },

  async 'by default only pages of the same host and port may connect'(c) {
    const port = new URL(c.base).port;
    const scheme = c.scheme === 'ws' ? 'http' : 'https';
    const here = `localhost:${port}`;
    const cases = [
      [undefined, 101],
      [`${scheme}://${here}`, 101],
      [`${scheme}://LOCALHOST:${port}`, 101],
      ['null', 403], ['', 403], [`${scheme}://evil.test`, 403],
      [`${scheme}://localhost`, 403], [`${scheme}://localhost:1`, 403],
      [`${scheme}://${here}0`, 403], [`${scheme}://x${here}`, 403],
      [`${scheme}://${here}.evil.test`, 403],
      [`${scheme}://${here}@evil.test`, 403],
      [`${scheme}://evil.test/${here}`, 403],
      [`${scheme}://${here}/`, 403], [`${scheme}://evil.test#${here}`, 403],
      [here, 403], [`//${here}`, 403], [`://${here}`, 403],
      [`${scheme}://${here} ${scheme}://evil.test`, 403],
    ];
    for (const [origin, expected] of cases) {
      const raw = await c.rawSocket(here);
      const head = await raw.request({
        add: origin === undefined ? [] : [`Origin: ${origin}`] });
      // an empty Origin is no browser's: refused, or as good as absent
      const allowed = origin === '' ? [403, 101] : [expected];
      assert(allowed.includes(head.status), `${origin}: ${head.first}`);
      await raw.finish();
    }
    const raw = await c.rawSocket(here);
    const head = await raw.request({ add: [
      `Origin: ${scheme}://${here}`, 'Origin: https://evil.test'] });
    assert(head.status >= 400, `two origins: ${head.first}`);
  },

  async 'the port of the scheme may be left out'(c) {
    const scheme = c.scheme === 'ws' ? 'http' : 'https';
    assert.equal(await status(c, { host: 'one.test',
                                   origin: `${scheme}://one.test` }), 101);
    assert.equal(await status(c, { host: 'one.test',
                                   origin: `${scheme}://two.test` }), 403);
  },

  async 'any origin, or those of a list'(c) {
    for (const origin of ['https://evil.test', 'null', 'x']) {
      assert.equal(await status(c, { path: ANY, origin }), 101, origin);
    }
    for (const [origin, expected] of [
      ['https://a.test', 101], ['http://b.test:8080', 101], [undefined, 101],
      ['http://a.test', 403], ['https://a.test:8080', 403],
      ['https://b.test:8080', 403], ['http://b.test', 403], ['null', 403],
      ['https://a.test.evil.test', 403], ['https://a.tes', 403],
    ]) {
      assert.equal(await status(c, { path: LIST, origin }), expected, origin);
    }
    assert.equal(await status(c, { path: LIST,
      origin: c.web.replace(/^ws/, 'http') }), 403, 'same is not in the list');
  },

  async 'article pages obey the origin too'(c) {
    const client = new Article(c.url(), { origin: 'https://evil.test' });
    await client.opened.catch(() => {});
    assert.equal(client.status, 403);
  },
});
