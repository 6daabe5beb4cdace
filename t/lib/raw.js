'use strict';
/*
 * raw.js: a WebSocket client that may do everything wrong, and forgives
 * nothing: bytes out as the test has them, frames in by the letter of RFC
 * 6455.
 */

const assert = require('assert');
const crypto = require('crypto');
const net = require('net');
const tls = require('tls');

const WAIT = 5000;
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/*
 * A client's frame.  Everything can be overridden:
 *   fin, rsv (0..7), opcode, payload (string or bytes), masked, mask (4 bytes)
 *   form    bytes of the extended length: 0, 2 or 8; shortest if left out
 *   length  the length to claim (a BigInt may be beyond 2^53)
 */
function frame({ fin = true, rsv = 0, opcode = 1, payload = '', masked = true,
                 mask = crypto.randomBytes(4), form, length } = {}) {
  const body = Buffer.from(payload);
  const claim = BigInt(length === undefined ? body.length : length);
  const size = form !== undefined ? form
    : claim < 126n ? 0 : claim < 65536n ? 2 : 8;
  const head = Buffer.alloc(2 + size);

  head[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  head[1] = (masked ? 0x80 : 0)
            | (size === 0 ? Number(claim) : size === 2 ? 126 : 127);
  if (size === 2) {
    head.writeUInt16BE(Number(claim), 2);
  } else if (size === 8) {
    head.writeBigUInt64BE(claim, 2);
  }
  if (!masked) {
    return Buffer.concat([head, body]);
  }
  const hidden = Buffer.from(body);
  for (let i = 0; i < hidden.length; i++) {
    hidden[i] ^= mask[i & 3];
  }
  return Buffer.concat([head, mask, hidden]);
}

function closeFrame(code, reason = '', rest = {}) {
  const payload = Buffer.alloc(2 + Buffer.byteLength(reason));
  payload.writeUInt16BE(code, 0);
  payload.write(reason, 2);
  return frame({ opcode: 8, payload, ...rest });
}

class Raw {
  constructor(socket, port, host) {
    this.socket = socket;
    this.port = port;
    this.host = host;
    this.bytes = Buffer.alloc(0);
    this.ended = false; // the server's end of file was read
    this.error = null;
    this.waiting = null;
    socket.on('data', (data) => {
      this.bytes = Buffer.concat([this.bytes, data]);
      this.wake();
    });
    socket.on('end', () => { this.ended = true; this.wake(); });
    socket.on('error', (error) => { this.error = error; this.wake(); });
    socket.on('close', () => { this.closed = true; this.wake(); });
  }

  /* base: 'ws://127.0.0.1:PORT' or 'wss://...'. */
  static connect(base, host) {
    const url = new URL(base);
    const port = Number(url.port);
    const options = { host: url.hostname, port, allowHalfOpen: true,
                      noDelay: true, rejectUnauthorized: false,
                      servername: host || 'localhost' };
    return new Promise((resolve, reject) => {
      const secure = url.protocol === 'wss:';
      const socket = secure ? tls.connect(options) : net.connect(options);
      socket.setNoDelay(true);
      socket.once('error', reject);
      socket.once(secure ? 'secureConnect' : 'connect', () => {
        socket.removeListener('error', reject);
        resolve(new Raw(socket, port, host || `localhost:${port}`));
      });
    });
  }

  wake() {
    if (this.waiting) {
      const waiting = this.waiting;
      this.waiting = null;
      waiting();
    }
  }

  /* Wait until check() is not undefined; what it gives. */
  async when(check, ms, what) {
    const end = Date.now() + ms;
    for (;;) {
      const value = check();
      if (value !== undefined) {
        return value;
      }
      const left = end - Date.now();
      assert(left > 0, `no ${what} within ${ms} ms`);
      assert(!this.error, `${this.error && this.error.message}, no ${what}`);
      assert(!this.ended, `end of file, no ${what}`);
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, left);
        this.waiting = () => { clearTimeout(timer); resolve(); };
      });
    }
  }

  send(...pieces) {
    this.socket.write(Buffer.concat(pieces.map((p) => Buffer.from(p))));
  }

  /* One write of the socket for each piece. */
  async sendCut(pieces) {
    for (const piece of pieces) {
      this.socket.write(piece);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /*
   * Send a request and read the head of the answer: {status, headers, text}.
   * lines: header lines in place of the usual ones; drop/add change those.
   */
  async request({ method = 'GET', path = '/webrtc/signal',
                  version = 'HTTP/1.1', lines, drop = [], add = [],
                  pipelined = [], cut } = {}) {
    this.key = crypto.randomBytes(16).toString('base64');
    const usual = [
      `Host: ${this.host}`, 'Upgrade: websocket', 'Connection: Upgrade',
      `Sec-WebSocket-Key: ${this.key}`, 'Sec-WebSocket-Version: 13'];
    const kept = (lines || usual).filter((line) =>
      !drop.some((name) => line.toLowerCase().startsWith(
        name.toLowerCase() + ':')));
    const text = [`${method} ${path} ${version}`, ...kept, ...add, '', '']
      .join('\r\n');
    const all = Buffer.concat([Buffer.from(text, 'latin1'),
                               ...pipelined.map((p) => Buffer.from(p))]);
    if (cut) {
      await this.sendCut(cut(all));
    } else {
      this.send(all);
    }
    return this.head();
  }

  async head(ms = WAIT) {
    const end = await this.when(() => {
      const at = this.bytes.indexOf('\r\n\r\n');
      return at < 0 ? undefined : at;
    }, ms, 'answer');
    const [first, ...rest] =
      this.bytes.subarray(0, end).toString('latin1').split('\r\n');
    this.bytes = this.bytes.subarray(end + 4);
    const headers = {};
    for (const line of rest) {
      const at = line.indexOf(':');
      const name = line.slice(0, at).toLowerCase();
      const value = line.slice(at + 1).trim();
      headers[name] = name in headers ? `${headers[name]}, ${value}` : value;
    }
    const match = /^HTTP\/1\.1 (\d{3}) /.exec(first);
    assert(match, first);
    return { status: Number(match[1]), headers, first };
  }

  /* The handshake as it should be, and its answer checked. */
  async upgrade(options = {}) {
    const answer = await this.request(options);
    assert.equal(answer.status, 101, answer.first);
    assert.equal(answer.headers.upgrade.toLowerCase(), 'websocket');
    assert.match(answer.headers.connection, /^upgrade$/i);
    assert.equal(answer.headers['sec-websocket-accept'], crypto
      .createHash('sha1').update(this.key + GUID).digest('base64'));
    assert(!('sec-websocket-extensions' in answer.headers));
    this.worker = Number(answer.headers['x-worker']);
    this.protocol = answer.headers['sec-websocket-protocol'];
    return this;
  }

  /* The next frame, checked: {opcode, payload}. */
  frame(ms = WAIT) {
    return this.when(() => this.parse(), ms, 'frame');
  }

  parse() {
    const b = this.bytes;
    if (b.length < 2) {
      return undefined;
    }
    const opcode = b[0] & 15;
    assert.equal(b[0] & 0x70, 0, 'reserved bits of a frame of the server');
    assert.equal(b[0] & 0x80, 0x80, 'a fragment from the server');
    assert([1, 8, 9, 10].includes(opcode), `opcode ${opcode} from the server`);
    assert.equal(b[1] & 0x80, 0, 'a masked frame from the server');

    let size = b[1] & 127;
    let at = 2;
    if (size === 126) {
      if (b.length < 4) {
        return undefined;
      }
      size = b.readUInt16BE(2);
      at = 4;
      assert(size > 125, 'length is not the shortest');
    } else if (size === 127) {
      if (b.length < 10) {
        return undefined;
      }
      size = Number(b.readBigUInt64BE(2));
      at = 10;
      assert(size > 65535, 'length is not the shortest');
    }
    if (opcode >= 8) {
      assert(size <= 125 && at === 2, 'a control frame that is too long');
    }
    if (b.length < at + size) {
      return undefined;
    }
    const payload = Buffer.from(b.subarray(at, at + size));
    this.bytes = b.subarray(at + size);
    return { opcode, payload };
  }

  /* The next text; pings on the way are answered. */
  async text(ms = WAIT) {
    for (;;) {
      const { opcode, payload } = await this.frame(ms);
      if (opcode === 9) {
        this.send(frame({ opcode: 10, payload }));
      } else {
        assert.equal(opcode, 1, opcode === 8
          ? `close ${payload.length ? payload.readUInt16BE(0) : 'empty'} `
            + `"${payload.subarray(2)}" in place of a text` : '');
        return new TextDecoder('utf-8', { fatal: true }).decode(payload);
      }
    }
  }

  /* A close frame with this code (null: without one), then the end of file,
   * without a reset; texts and pings before it are passed over. */
  async closes(code, ms = WAIT) {
    let payload;
    for (;;) {
      const got = await this.frame(ms);
      if (got.opcode === 8) {
        payload = got.payload;
        break;
      }
    }
    if (code === null) {
      assert.equal(payload.length, 0);
    } else if (code !== undefined) {
      assert(payload.length >= 2, 'a close frame without a code');
      assert.equal(payload.readUInt16BE(0), code,
        `closed with ${payload.readUInt16BE(0)} "${payload.subarray(2)}"`);
      new TextDecoder('utf-8', { fatal: true }).decode(payload.subarray(2));
    }
    await this.eof(ms);
    return payload.length >= 2
      ? { code: payload.readUInt16BE(0), reason: payload.subarray(2).toString() }
      : { code: null, reason: '' };
  }

  /* Nothing more comes but the end of file. */
  async eof(ms = WAIT) {
    const end = Date.now() + ms;
    while (!this.ended && !this.error) {
      const left = end - Date.now();
      assert(left > 0, `no end of file within ${ms} ms`);
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, left);
        this.waiting = () => { clearTimeout(timer); resolve(); };
      });
    }
    assert.equal(this.error, null, this.error && this.error.message);
    assert.equal(this.bytes.length, 0, 'bytes after the close');
  }

  close() {
    this.socket.destroy();
  }

  /* Leave in good order, if there is still a way: what this client stood for
   * is gone then. */
  async finish() {
    if (!this.ended && !this.error && !this.closed) {
      this.socket.end(closeFrame(1000));
      this.socket.resume();
      const end = Date.now() + 300;
      while (!this.ended && !this.error && Date.now() < end) {
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
    }
    this.socket.destroy();
  }
}

module.exports = { Raw, frame, closeFrame };
