'use strict';
/*
 * talker.js: two who call one another again and again, and send numbers, while
 * the test does its worst to their connections.
 *
 * Each has to get the other's numbers once and in order.  A number may be
 * missing only where one of the two was told `lost` since the one before, and a
 * call ends by hanging up alone.  What is against that stands in `wrong`.
 */

const assert = require('assert');
const { Durable } = require('./durable');
const { sleep } = require('./server');

const WAIT = 15000; // ms, for anything that has to come about

class Talker extends Durable {
  constructor(url, options) {
    super(url, options);
    this.other = null;
    this.wrong = [];
    this.seen = 0;    // of the welcomes
    this.numbers = 0; // that came, in all calls
    this.gaps = 0;
    this.over();
  }

  /* In no call. */
  over() {
    this.call = null;
    this.state = 'free';
    this.hungUp = false;
    this.said = 0;  // the next number to send
    this.heardTo = 0;
    this.losses = 0; // of both, when the last number came
  }

  bothLost() {
    return this.lost + this.other.lost;
  }

  arrived(text) {
    const welcomes = this.seen;
    this.seen = this.welcomes.length;
    super.arrived(text);
    if (this.seen > welcomes) {
      this.review(this.welcome);
    }
    this.inbox.splice(0).forEach((message) => this.take(message));
  }

  take(message) {
    const { type, call } = message;
    if (type === 'ring') {
      this.rung(call);
    } else if (type === 'error') {
      this.wrong.push(`${this.name} got ${JSON.stringify(message)}`);
    } else if (type === 'calling') {
      this.call = this.call || call;
    } else if (call !== this.call) {
      this.wrong.push(`${this.name}, in ${this.call}: ${
        JSON.stringify(message)}`);
    } else if (type === 'accepted') {
      this.state = 'answered';
    } else if (type === 'ended') {
      this.ended(message.reason);
    } else if (type === 'signal') {
      this.number(message.data[0]);
    }
  }

  rung(call) {
    this.call = call;
    this.state = 'answering';
    this.send({ type: 'accept', call });
  }

  ended(reason) {
    if (reason !== 'hangup' || !(this.other.hungUp || this.hungUp)) {
      this.wrong.push(`${this.name}'s call ended: ${reason}`);
    }
    this.state = 'over';
  }

  number(n) {
    this.numbers++;
    if (n !== this.heardTo) {
      this.gaps++;
      if (n < this.heardTo || this.bothLost() === this.losses) {
        this.wrong.push(`${this.name} got ${n}, not ${this.heardTo}`);
      }
    }
    this.heardTo = n + 1;
    this.losses = this.bothLost();
  }

  /* After a loss: what the server knows decides. */
  review({ resumed, lost, calls }) {
    if (resumed && !lost || this.welcomes.length === 1) {
      return;
    }
    if (!resumed) {
      this.wrong.push(`${this.name} lost its place`);
    }
    const entry = calls.find(({ call }) => call === this.call) || calls[0];
    if (!entry) {
      if (this.call && this.state !== 'over') {
        this.ended(this.other.hungUp ? 'hangup' : 'not listed');
      }
    } else if (this.hungUp) {
      this.send({ type: 'hangup', call: entry.call });
    } else if (entry.state === 'ringing') {
      this.rung(entry.call);
    } else {
      this.call = entry.call;
      this.state = entry.state === 'answered' ? 'answered' : this.state;
    }
  }

  /* The next number, and as many words as descriptions may have. */
  say() {
    const words = 'x'.repeat(this.random() ** 6 * 8000);
    this.send({ type: 'signal', call: this.call, data: [this.said++, words] });
  }

  hangUp() {
    this.hungUp = true;
    this.state = 'over';
    this.send({ type: 'hangup', call: this.call });
  }

  /* Was all heard that the other has said?  Or, after a loss, as much as will
   * come. */
  heardAll() {
    return this.heardTo === this.other.said
           || this.bothLost() > this.losses;
  }
}

let sequence = 0;

async function until(check, what, ms = WAIT) {
  const end = Date.now() + ms;
  while (!check()) {
    assert(Date.now() < end, `${what}: not within ${ms} ms`);
    await sleep(5);
  }
}

/* Calls between the two for as long as going(); random gives 0 to 1. */
async function talk(a, b, random, going) {
  a.other = b;
  b.other = a;
  let calls = 0;
  for (; going(); calls++, [a, b] = [b, a]) {
    const where = () => `${a.name} (${a.state}) and ${b.name} (${b.state})`;
    a.over();
    b.over();
    a.losses = b.losses = a.bothLost();
    a.send({ type: 'call', to: b.name, ref: `t${++sequence}` });
    await until(() => a.state === 'answered' && b.state === 'answered',
                `${where()} in a call`);
    for (let steps = 20 + random() * 100; steps > 0 && going(); steps--) {
      for (const side of [a, b]) {
        for (let n = Math.floor(random() * 4); n > 0; n--) {
          side.say();
        }
      }
      await sleep(random() * 20);
    }
    await until(() => a.joined && b.joined && a.heardAll() && b.heardAll(),
                `${where()}: all numbers (${a.heardTo} of ${b.said}, ${
                  b.heardTo} of ${a.said})`);
    (random() < 0.5 ? a : b).hangUp();
    await until(() => a.state === 'over' && b.state === 'over',
                `${where()}: the end of the call`);
  }
  return calls;
}

module.exports = { Talker, talk };
