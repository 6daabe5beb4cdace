#!/usr/bin/env node
'use strict';
/* Two people call each other on the call page, by what they see. */

const { inOwnNetwork, onEachServer } = require('../lib/browser');
inOwnNetwork();

const assert = require('assert');
const { Proxy } = require('../lib/proxy');
const { sleep, until } = require('../lib/server');

/* What Chromium says when a line is cut. */
const CUT = /WebSocket connection to .* failed|Failed to load resource|ERR_/;

async function pair(c, options = {}) {
  const alice = await c.person('alice', options.alice);
  const bob = await c.person('bob', options.bob);
  await alice.join();
  await bob.join();
  await alice.button('Call bob').waitFor();
  return { alice, bob };
}

async function connected({ alice, bob }, choice = 'Answer with camera') {
  await alice.press('Call bob');
  await bob.sees('alice is calling');
  await bob.press(choice);
  await alice.sees('Connected');
  await bob.sees('Connected');
}

const together = (...people) => Promise.all(people.flatMap((p) =>
  [p.seesPicture(), p.hearsSound()]));

/* What ICE calls both ends of the way of the last connection (RFC 8839,
 * section 5.4): it changes when another way is looked for, which takes signals
 * in both directions. */
function way(person) {
  return person.page.evaluate(() => {
    const user = (description) =>
      /^a=ice-ufrag:(.*)$/m.exec(description.sdp)[1];
    const pc = window.connections.at(-1);
    return [user(pc.currentLocalDescription),
            user(pc.currentRemoteDescription)];
  });
}

/* Look for one; returns the names of the old one. */
async function newWay(person) {
  const old = await way(person);
  await person.page.evaluate(() => window.connections.at(-1).restartIce());
  return old;
}

/* Both know of a way, the same, that is not a's old one. */
async function newWays(a, b, old) {
  await until(async () => {
    const [ours, theirs] = [await way(a), await way(b)];
    return !ours.some((name) => old.includes(name))
           && String(ours) === String(theirs.reverse());
  }, 20000, 'another way');
}

/* For the server, too, both are in no call. */
async function free(a, b) {
  await until(() => a.button(`Call ${b.name}`).isEnabled(), 20000,
              `${a.name} to be back`);
  await a.press(`Call ${b.name}`);
  await b.press('Decline');
  await a.sees(`${b.name} declined the call.`);
}

const tests = {
  async 'a call: picture and sound on both sides, then hung up'(c) {
    const { alice, bob } = await pair(c);
    await connected({ alice, bob });
    await Promise.all([alice, bob].flatMap((p) =>
      [p.seesPicture(), p.hearsSound()]));
    await assertRenders(alice);
    await assertRenders(bob);

    await alice.press('Hang up');
    await bob.sees('alice hung up.');
    await alice.button('Call bob').waitFor();
    await bob.button('Call alice').waitFor();
    alice.quiet();
    bob.quiet();
  },

  async 'the second call of the same two works as the first'(c) {
    const { alice, bob } = await pair(c);
    await connected({ alice, bob });
    await bob.press('Hang up');
    await alice.sees('bob hung up.');
    await bob.press('Call alice');
    await alice.press('Answer with camera');
    await Promise.all([alice.seesPicture(), bob.seesPicture()]);
  },

  async 'others see that the two are in a call'(c) {
    const { alice, bob } = await pair(c);
    const carol = await c.person('carol');
    await carol.join();
    await connected({ alice, bob });
    await until(async () =>
      await carol.page.getByText('in a call').count() === 2, 5000,
      'carol to see two in a call');
    await carol.press('Call bob');
    await carol.sees('bob is in another call.');
    await alice.press('Hang up');
    await until(async () =>
      await carol.page.getByText('in a call').count() === 0, 5000,
      'carol to see both free');
  },

  async 'a call with sound only; the camera comes later'(c) {
    const { alice, bob } = await pair(c);
    await alice.press('Call bob with sound only');
    await bob.sees('A call with sound only');
    await bob.press('Answer with sound only');
    await Promise.all([alice.hearsSound(), bob.hearsSound()]);
    assert.equal((await bob.stats()).frames, 0);

    await alice.press('Turn camera on');
    await bob.seesPicture();
    await bob.press('Turn camera on');
    await alice.seesPicture();
  },

  async 'answered without camera: the caller is seen, and sees nobody'(c) {
    const { alice, bob } = await pair(c);
    await connected({ alice, bob }, 'Answer with sound only');
    await bob.seesPicture();
    await alice.hearsSound();
    assert.equal((await alice.stats()).frames, 0);
  },

  async 'the microphone is silenced and comes back'(c) {
    const { alice, bob } = await pair(c);
    await connected({ alice, bob });
    await bob.hearsSound();
    await alice.press('Mute microphone');
    await bob.sees('Microphone is off');
    await until(async () => { // what was under way is played first
      const before = (await bob.stats()).energy;
      await sleep(2500); // the fake device beeps every second
      return (await bob.stats()).energy - before < 1e-6;
    }, 10000, 'silence');

    await alice.press('Turn microphone on');
    await bob.hearsSound();
  },

  async 'the camera is switched off and on'(c) {
    const { alice, bob } = await pair(c);
    await connected({ alice, bob });
    await bob.seesPicture();
    await alice.press('Turn camera off');
    await bob.page.locator('#no-picture', { hasText: 'alice' }).waitFor();
    await sleep(500);
    const before = (await bob.stats()).frames;
    await sleep(1000);
    assert.equal((await bob.stats()).frames, before);
    const live = await alice.page.evaluate(() => document
      .querySelector('#local').srcObject.getVideoTracks().length);
    assert.equal(live, 0, 'the camera is let go');

    await alice.press('Turn camera on');
    await bob.seesPicture();
    await bob.page.locator('#no-picture').waitFor({ state: 'hidden' });
  },

  async 'both call each other at once: one call'(c) {
    const { alice, bob } = await pair(c);
    /* A click of the browser's would wait for a ring dialog to go. */
    await Promise.all([alice.button('Call bob'), bob.button('Call alice')].map(
      (button) => button.evaluate((element) => element.click())));
    /* Perhaps one was so slow that she has to answer. */
    await until(async () => {
      for (const person of [alice, bob]) {
        const answer = person.button('Answer with camera');
        if (await answer.isVisible()) {
          await answer.click({ timeout: 500 }).catch(() => {}); // just gone
        }
      }
      return await alice.page.getByText('Connected').isVisible()
             && await bob.page.getByText('Connected').isVisible();
    }, 30000, 'one call');
    await Promise.all([alice.seesPicture(), bob.seesPicture()]);
    assert(!await bob.button('Decline').isVisible());
    assert(!await alice.button('Decline').isVisible());
  },

  async 'both restart ICE at once: the call goes on'(c) {
    const { alice, bob } = await pair(c);
    await connected({ alice, bob });
    for (let i = 0; i < 4; i++) {
      await Promise.all([alice, bob].map((person) => person.page.evaluate(() =>
        window.connections.at(-1).restartIce())));
      await sleep(i * 20);
    }
    await Promise.all([alice.seesPicture(), bob.seesPicture()]);
    for (const person of [alice, bob]) {
      await until(() => person.page.evaluate(() =>
        window.connections.at(-1).signalingState === 'stable'
        && window.connections.at(-1).connectionState === 'connected'), 10000,
        'the end of the restarts');
    }
    await alice.press('Turn camera off');
    await bob.page.locator('#no-picture', { hasText: 'alice' }).waitFor();
    alice.quiet();
    bob.quiet();
  },

  async 'declined'(c) {
    const { alice, bob } = await pair(c);
    await alice.press('Call bob');
    await bob.press('Decline');
    await alice.sees('bob declined the call.');
    await alice.button('Call bob').waitFor();
  },

  async 'hung up before an answer'(c) {
    const { alice, bob } = await pair(c);
    await alice.press('Call bob');
    await bob.sees('alice is calling');
    await alice.press('Hang up');
    await bob.sees('alice rang, but hung up before you answered.');
    assert(!await bob.button('Decline').isVisible());
  },

  async 'the callee leaves while it rings'(c) {
    const { alice, bob } = await pair(c);
    await alice.press('Call bob');
    await bob.sees('alice is calling');
    await bob.page.close();
    await alice.sees('bob is not here.');
  },

  async 'a name that is taken, and one that cannot be'(c) {
    const { alice } = await pair(c);
    const other = await c.person('other');
    await other.page.getByLabel('Your name').fill('alice');
    await other.press('Join');
    await other.sees('Somebody is here already as “alice”.');
    await other.page.getByLabel('Your name').fill('al\u200bice');
    await other.press('Join');
    await other.sees('This name cannot be used.');
    await other.join('alicia');
    await alice.button('Call alicia').waitFor();
  },

  async 'the name is remembered'(c) {
    const { alice } = await pair(c);
    await alice.page.reload();
    await until(async () => await alice.page.getByLabel('Your name')
      .inputValue() === 'alice', 5000, 'the name');
    await alice.press('Join');
    await alice.sees('You are alice');
  },

  async 'names are text, whatever they look like'(c) {
    const { alice, bob } = await pair(c);
    const name = '<img src=x onerror=alert(1)>';
    const mallory = await c.person(name);
    await mallory.join();
    await mallory.press('Call bob');
    await bob.sees(`${name} is calling`);
    await bob.press('Decline');
    await alice.sees(name);
    assert.equal(await bob.page.locator('main img').count(), 0);
    bob.quiet();
  },

  async 'camera refused: thought better of it'(c) {
    const { alice, bob } = await pair(c, { bob: { permissions: [] } });
    await alice.press('Call bob');
    await bob.press('Answer with camera');
    await bob.sees('This page may not use your camera or microphone.');
    await bob.press('Cancel');
    await alice.sees('bob declined the call.');
  },

  async 'camera refused: on with sound'(c) {
    const { alice, bob } = await pair(c, {
      alice: { permissions: ['microphone'] } });
    await alice.press('Call bob');
    await alice.press('Go on with sound only');
    await bob.press('Answer with camera');
    await Promise.all([bob.hearsSound(), alice.seesPicture()]);
  },

  async 'a page is closed in a call: the other is told'(c) {
    const { alice, bob } = await pair(c);
    await connected({ alice, bob });
    await bob.page.close({ runBeforeUnload: true });
    await alice.sees('bob hung up.', 5000);
  },

  async 'the line to the server is cut: the call notices nothing'(c) {
    const proxy = await Proxy.start(c.s.ports.https);
    const alice = await c.browser.person('alice',
      `https://localhost:${proxy.port}`);
    const bob = await c.person('bob');
    await alice.join();
    await bob.join();
    await connected({ alice, bob });

    await proxy.cut();
    await alice.sees('The line to the server is being restored; '
      + 'the call goes on.');
    await together(alice, bob);
    await bob.sees('Connected');
    const ways = await newWay(alice); // wanted while nobody hears of it
    await proxy.mend();
    await newWays(alice, bob, ways);
    await together(alice, bob);
    await alice.sees('Connected');

    await proxy.cut();
    await alice.press('Hang up');
    await bob.sees('alice hung up.');
    await proxy.mend();
    await free(alice, bob);
    alice.quiet(CUT);
    bob.quiet();
  },

  async 'it rings, and the line is cut on both sides: answered all the same'(c) {
    const proxy = await Proxy.start(c.s.ports.https);
    const base = `https://localhost:${proxy.port}`;
    const alice = await c.browser.person('alice', base);
    const bob = await c.browser.person('bob', base);
    await alice.join();
    await bob.join();
    await alice.press('Call bob');
    await bob.sees('alice is calling');
    await proxy.cut();
    await bob.press('Answer with sound only');
    await sleep(500);
    await proxy.mend();
    await together(bob);
    await bob.press('Hang up');
    await alice.sees('bob hung up.');
    alice.quiet(CUT);
    bob.quiet(CUT);
  },

  async 'the server is reloaded: the call notices nothing'(c) {
    const { alice, bob } = await pair(c);
    await connected({ alice, bob });
    await c.s.reload();
    await Promise.all([alice, bob].map((person) => until(() =>
      person.page.evaluate(() =>
        String(window.sockets.map((socket) => socket.readyState)) === '3,1'),
      20000, 'the move to new workers')));
    await newWays(alice, bob, await newWay(alice));
    await newWays(bob, alice, await newWay(bob));
    await together(alice, bob);
    await alice.press('Hang up');
    await bob.sees('alice hung up.');
    await free(bob, alice);
    alice.quiet();
    bob.quiet();
  },

  async 'all workers are killed: the call goes on'(c) {
    const { alice, bob } = await pair(c);
    await connected({ alice, bob });
    const before = c.s.workers();
    const ways = await way(alice);
    before.forEach((pid) => c.s.kill(pid));
    await newWays(alice, bob, ways); // of itself: texts may be lost
    await together(alice, bob);
    await alice.sees('Connected');
    await bob.sees('Connected');
    await bob.press('Hang up');
    await alice.sees('bob hung up.');
    await free(alice, bob);
    alice.quiet(CUT);
    bob.quiet(CUT);
  },

  /* the last one: no server after it */
  async 'the server ends: people on the page are told'(c) {
    const { alice, bob } = await pair(c);
    await connected({ alice, bob });
    const ended = c.s.quit();
    await alice.sees('The line to the server is being restored; '
      + 'the call goes on.');
    await bob.seesPicture();
    await bob.press('Hang up');
    await alice.sees('bob hung up.');
    await alice.sees('The connection to the server is lost.');
    await ended;
    alice.quiet(CUT);
  },
};

/* The picture is not only decoded but on the page. */
async function assertRenders(person) {
  const [before, after] = await person.page.evaluate(async () => {
    const video = document.querySelector('#remote');
    const now = () => video.getVideoPlaybackQuality().totalVideoFrames;
    const first = now();
    await new Promise((resolve) => setTimeout(resolve, 500));
    return [first, now()];
  });
  assert(after > before, `${person.name}: ${before} frames, then ${after}`);
}

onEachServer({}, tests);

/* Nobody has to be quick in the others. */
onEachServer({ settings: { ring_timeout: '2s' } }, {
  async 'nobody answers'(c) {
    const { alice, bob } = await pair(c);
    await alice.press('Call bob');
    await bob.sees('alice is calling');
    await alice.sees('bob did not answer.');
    await bob.sees('You missed a call from alice.');
  },
});

onEachServer({ settings: { resume: '1s' } }, {
  async 'the line is away for too long: the call goes on, and ends'(c) {
    const proxy = await Proxy.start(c.s.ports.https);
    const alice = await c.browser.person('alice',
      `https://localhost:${proxy.port}`);
    const bob = await c.person('bob');
    await alice.join();
    await bob.join();
    await connected({ alice, bob });

    await proxy.cut();
    await bob.sees('The line to the server is lost; the call goes on.');
    await together(alice, bob);
    await proxy.mend();
    await alice.page.locator('#connection:empty')
      .waitFor({ state: 'attached' });
    await alice.sees('The line to the server is lost; the call goes on.');
    await alice.press('Hang up');
    await bob.sees('alice hung up.');
    await free(bob, alice);
    alice.quiet(CUT);
    bob.quiet();
  },
});
