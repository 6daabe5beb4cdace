'use strict';
/*
 * idle-users.js: many users who sit there, in a process of their own (a
 * process has only so many descriptors).
 *
 *   node idle-users.js BASE COUNT PREFIX
 *
 * Tells its parent {ready: n} once all are welcomed, {failed: text} where one
 * is not, {lost: n} when connections end; ends on any message.
 */

const net = require('net');
const tls = require('tls');
const { frame } = require('./raw');

const AT_ONCE = 100; // handshakes

const [base, count, prefix] = process.argv.slice(2);
const url = new URL(base);
const sockets = new Set();
let lost = 0;
let leaving = false;

function open(name) {
  return new Promise((resolve, reject) => {
    const options = { host: url.hostname, port: Number(url.port),
                      rejectUnauthorized: false, servername: 'localhost' };
    const secure = url.protocol === 'wss:';
    const socket = secure ? tls.connect(options) : net.connect(options);
    let head = Buffer.alloc(0);
    let welcomed = false;

    socket.on(secure ? 'secureConnect' : 'connect', () => {
      socket.write(`GET /webrtc/signal HTTP/1.1\r\nHost: localhost\r\n`
        + `Upgrade: websocket\r\nConnection: Upgrade\r\n`
        + `Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n`
        + `Sec-WebSocket-Version: 13\r\n`
        + `Sec-WebSocket-Protocol: webrtc-signal.v1\r\n\r\n`);
      socket.write(frame({ payload: JSON.stringify(
        { type: 'hello', name, watch: 'none' }) }));
    });
    socket.on('data', (data) => {
      if (welcomed) {
        if (data[0] === 0x89) { // a ping, alone: nothing else is sent to us
          socket.write(frame({ opcode: 10, payload: data.subarray(2) }));
        }
        return;
      }
      head = Buffer.concat([head, data]);
      if (head.includes('"type":"welcome"')) {
        welcomed = true;
        sockets.add(socket);
        head = null;
        resolve();
      }
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      sockets.delete(socket);
      if (leaving) {
        leave();
      } else if (welcomed) {
        process.send({ lost: ++lost });
      } else {
        reject(new Error(`${name}: ${head.toString().slice(0, 200)}`));
      }
    });
  });
}

async function openAll() {
  for (let n = 0; n < count; n += AT_ONCE) {
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - n) },
                                 (_, i) => open(`${prefix} ${n + i}`)));
  }
  process.send({ ready: Number(count) });
}

/* Gone for good: who is only lost keeps name and place. */
function leave() {
  if (!leaving) {
    leaving = true;
    sockets.forEach((socket) => socket.write(frame({ opcode: 8 })));
  }
  if (sockets.size === 0) {
    process.exit(0);
  }
}

process.on('message', leave);
process.on('disconnect', () => process.exit(0));
openAll().catch((error) => process.send({ failed: error.message }));
