'use strict';
/*
 * library.js: the browser library of this project as a client under test, and
 * a model for what drives another one.  Lines on its standard input say what
 * its user does.
 */

const { createInterface } = require('readline');
const WebSocket = require('ws');
const { load } = require('../../lib/page');

/* As in a browser, what goes wrong shows in `close` alone. */
globalThis.WebSocket = class extends WebSocket {
  constructor(...args) {
    super(...args);
    this.on('error', () => {});
  }
};

async function main() {
  const { Signal } = await load('signal.js');
  const signal = new Signal({ name: 'alice', url: process.env.WSIG_URL });
  let call; // the present one
  signal.addEventListener('ring', ({ detail }) => { call = detail.call; });

  const deeds = {
    call: async (to) => {
      ({ call } = await signal.request({ type: 'call', to }));
    },
    accept: () => signal.request({ type: 'accept', call }),
    hangup: () => signal.send({ type: 'hangup', call }),
    signal: (data) => signal.send({ type: 'signal', call, data }),
    leave: () => signal.bye(),
  };
  signal.open();
  for await (const line of createInterface({ input: process.stdin })) {
    for (const [deed, value] of Object.entries(JSON.parse(line))) {
      Promise.resolve(deeds[deed](value)).catch(() => {}); // a page would tell
    }
  }
}

main();
