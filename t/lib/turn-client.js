'use strict';
/*
 * turn-client.js: one who speaks TURN (RFC 8656) with a server, as browsers do,
 * over UDP, TCP or TLS.
 *
 *   const client = await connect(turn.urls.tls, { ca: turn.ca });
 *   client.sign(secret, user);  // or set username and credential
 *   const { error, relayed } = await client.allocate();  // error 0: granted
 *   await client.permit('192.0.2.1');                    // {error: 403, ...}
 *   await client.bind(0x4000, { address, port });
 *   client.send({ address, port }, 'text');
 *   const { from, data } = await client.received();
 *   client.close();
 */

const crypto = require('crypto');
const dgram = require('dgram');
const fs = require('fs');
const net = require('net');
const tls = require('tls');
const { until } = require('./server');

/* Methods (RFC 8489, section 18.2, and RFC 8656, section 17), as the types of
 * their requests. */
const METHODS = { binding: 0x0001, allocate: 0x0003, refresh: 0x0004,
                  permit: 0x0008, bind: 0x0009 };
/* ... and the indications (section 10). */
const SEND = 0x0016;
const DATA = 0x0017;

/* Attributes: RFC 8489, section 14, and RFC 8656, section 18. */
const ATTRIBUTES = {
  username: 0x0006, integrity: 0x0008, error: 0x0009, channel: 0x000C,
  lifetime: 0x000D, peer: 0x0012, data: 0x0013, realm: 0x0014, nonce: 0x0015,
  relayed: 0x0016, family: 0x0017, transport: 0x0019, mapped: 0x0020,
  software: 0x8022,
};
const NAMES = Object.fromEntries(
  Object.entries(ATTRIBUTES).map(([name, type]) => [type, name]));

const FAMILIES = { 4: 1, 6: 2 }; // RFC 8489, section 14.1
const COOKIE = Buffer.from('2112a442', 'hex');
const HEADER = 20; // bytes of it
const PATIENCE = 5000; // ms

/* url: of turn.js; options: ca (path of the CA's certificate, for turns:),
 * from (the client's own address) and those of tls.connect. */
async function connect(url, options = {}) {
  const [, scheme, host, port, transport] =
    /^(turns?):(?:\[?(.+?)\]?):(\d+)\?transport=(\w+)$/.exec(url);
  const client = new Client();
  const opened = transport === 'udp'
    ? overUdp(client, host, Number(port), options)
    : overTcp(client, host, Number(port), scheme === 'turns', options);
  await opened;
  return client;
}

async function overUdp(client, host, port, { from }) {
  const socket = dgram.createSocket(net.isIPv6(host) ? 'udp6' : 'udp4');
  socket.on('message', (message) => client.take(message));
  socket.on('error', () => {}); // a request will say that nobody answers
  if (from) {
    await new Promise((resolve) => socket.bind(0, from, resolve));
  }
  await new Promise((resolve) => socket.connect(port, host, resolve));
  client.put = (message) => socket.send(message);
  client.close = () => socket.close();
  client.repeats = true;
}

async function overTcp(client, host, port, secure, { ca, from, ...more }) {
  const where = { host, port, localAddress: from };
  const socket = secure
    ? tls.connect({ ...where, servername: host, ca: fs.readFileSync(ca),
                    ...more })
    : net.connect(where);
  await new Promise((resolve, reject) => {
    socket.once(secure ? 'secureConnect' : 'connect', resolve);
    socket.once('error', reject);
  });
  let bytes = Buffer.alloc(0);
  socket.on('data', (chunk) => {
    bytes = Buffer.concat([bytes, chunk]);
    for (let n; (n = wholeLength(bytes)) && bytes.length >= n;) {
      client.take(bytes.subarray(0, n));
      bytes = bytes.subarray(n);
    }
  });
  socket.on('error', () => {});
  client.socket = socket;
  client.put = (message) => socket.write(message);
  client.close = () => socket.destroy();
}

/* Of the message that a stream begins with; 0 if that is not known yet.
 * ChannelData is padded there (RFC 8656, section 12.5). */
function wholeLength(bytes) {
  if (bytes.length < 4) {
    return 0;
  }
  const length = bytes.readUInt16BE(2);
  return isChannelData(bytes) ? 4 + padded(length) : HEADER + length;
}

const padded = (length) => (length + 3) & ~3;
const isChannelData = (bytes) => (bytes[0] & 0xc0) === 0x40;

class Client {
  constructor() {
    this.username = null; // without one, requests are not signed
    this.credential = null;
    this.waiting = new Map(); // transaction id -> what takes the answer
    this.inbox = []; // {from, data} from peers
    this.channels = new Map(); // number -> peer
  }

  /* A user's credential as webrtc_signal signs it: the name is
   * EXPIRY:WHO. */
  sign(secret, username) {
    this.username = username;
    this.credential = crypto.createHmac('sha1', secret).update(username)
      .digest('base64');
    return this;
  }

  /* Plain STUN. */
  binding() {
    return this.ask(METHODS.binding, []);
  }

  /* All requests give {error, reason, ...attributes}; error is 0, or the
   * code.  family: 4 or 6; transport: 17 for UDP, 6 for TCP. */
  allocate({ family, lifetime, transport = 17 } = {}) {
    const attributes = [['transport', Buffer.from([transport, 0, 0, 0])]];
    if (family) {
      attributes.push(['family', Buffer.from([FAMILIES[family], 0, 0, 0])]);
    }
    if (lifetime !== undefined) {
      attributes.push(['lifetime', word(lifetime)]);
    }
    return this.request('allocate', attributes);
  }

  /* 0 ends the allocation. */
  refresh(lifetime) {
    return this.request('refresh', [['lifetime', word(lifetime)]]);
  }

  permit(...addresses) {
    return this.request('permit', addresses.map((address) =>
      ['peer', { address, port: 0 }]));
  }

  async bind(number, peer) {
    const channel = Buffer.from([number >> 8, number & 0xff, 0, 0]);
    const answer = await this.request('bind', [['channel', channel],
                                               ['peer', peer]]);
    if (!answer.error) {
      this.channels.set(number, peer);
    }
    return answer;
  }

  /* By a Send indication. */
  send(peer, data) {
    const id = crypto.randomBytes(12);
    this.put(encode(SEND, id, [['peer', peer], ['data', Buffer.from(data)]]));
  }

  /* By ChannelData. */
  sendOn(number, data) {
    const body = Buffer.from(data);
    const message = Buffer.alloc(4 + padded(body.length));
    message.writeUInt16BE(number, 0);
    message.writeUInt16BE(body.length, 2);
    body.copy(message, 4);
    this.put(message);
  }

  /* What came from a peer next: {from, data, channel}. */
  received(ms = PATIENCE) {
    return until(() => this.inbox.shift(), ms, 'data from a peer');
  }

  /* Signed with the long-term credential (RFC 8489, section 9.2) once the
   * server has told realm and nonce; with a new nonce if the old one is
   * stale (438). */
  async request(method, attributes) {
    let answer = null;
    for (let n = 0; n < 3; n++) {
      answer = await this.ask(METHODS[method], attributes);
      const anew = answer.error === 438
        || (answer.error === 401 && this.username && !this.nonce);
      if (!anew) {
        break;
      }
      ({ realm: this.realm, nonce: this.nonce } = answer);
    }
    return answer;
  }

  async ask(type, attributes) {
    const id = crypto.randomBytes(12);
    const key = this.nonce && crypto.createHash('md5').update(
      `${this.username}:${this.realm}:${this.credential}`).digest();
    const message = encode(type, id, !key ? attributes
      : [...attributes, ['username', Buffer.from(this.username)],
         ['realm', this.realm], ['nonce', this.nonce]], key);
    const answer = await this.exchange(message, id.toString('hex'));
    const result = decode(answer);
    if (key && !result.error && !isSigned(answer, key)) {
      throw new Error('an answer whose MESSAGE-INTEGRITY is wrong');
    }
    return result;
  }

  /* A datagram may get lost: it is sent again (RFC 8489, section 6.2.1). */
  async exchange(message, id) {
    let timers;
    try {
      return await new Promise((resolve, reject) => {
        this.waiting.set(id, resolve);
        timers = [
          setInterval(() => this.repeats && this.put(message), 500),
          setTimeout(() => reject(new Error('the TURN server is silent')),
                     PATIENCE)];
        this.put(message);
      });
    } finally {
      timers.forEach(clearTimeout);
      this.waiting.delete(id);
    }
  }

  /* A whole message has come. */
  take(bytes) {
    if (isChannelData(bytes)) {
      const channel = bytes.readUInt16BE(0);
      this.inbox.push({ channel, from: this.channels.get(channel),
        data: bytes.subarray(4, 4 + bytes.readUInt16BE(2)).toString() });
    } else if (bytes.readUInt16BE(0) === DATA) {
      const { peer, data } = decode(bytes);
      this.inbox.push({ from: peer, data: data.toString() });
    } else {
      const take = this.waiting.get(bytes.subarray(8, 20).toString('hex'));
      if (take) {
        take(bytes);
      }
    }
  }
}

function word(number) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(number);
  return bytes;
}

/* attributes: [name, Buffer or {address, port}]; with a key it is signed:
 * MESSAGE-INTEGRITY covers the header with the length that includes it, and
 * all before it (RFC 8489, section 14.5). */
function encode(type, id, attributes, key) {
  const parts = attributes.map(([name, value]) => attribute(name,
    Buffer.isBuffer(value) ? value : xorAddress(value, id)));
  const body = Buffer.concat(parts);
  const header = Buffer.alloc(HEADER);
  header.writeUInt16BE(type, 0);
  header.writeUInt16BE(body.length + (key ? 24 : 0), 2);
  COOKIE.copy(header, 4);
  id.copy(header, 8);
  const message = Buffer.concat([header, body]);
  return key ? Buffer.concat([message, attribute('integrity',
    crypto.createHmac('sha1', key).update(message).digest())]) : message;
}

function attribute(name, value) {
  const bytes = Buffer.alloc(4 + padded(value.length));
  bytes.writeUInt16BE(ATTRIBUTES[name], 0);
  bytes.writeUInt16BE(value.length, 2);
  value.copy(bytes, 4);
  return bytes;
}

/* [{name, value, at}] of a message; at: where the attribute begins. */
function attributesOf(bytes) {
  const all = [];
  for (let at = HEADER; at + 4 <= bytes.length;) {
    const length = bytes.readUInt16BE(at + 2);
    all.push({ name: NAMES[bytes.readUInt16BE(at)], at,
               value: bytes.subarray(at + 4, at + 4 + length) });
    at += 4 + padded(length);
  }
  return all;
}

function decode(bytes) {
  const id = bytes.subarray(8, 20);
  const result = { error: 0 };
  for (const { name, value } of attributesOf(bytes)) {
    if (['peer', 'relayed', 'mapped'].includes(name)) {
      result[name] = fromXorAddress(value, id);
    } else if (name === 'error') { // RFC 8489, section 14.8
      result.error = value[2] * 100 + value[3];
      result.reason = value.subarray(4).toString();
    } else if (name === 'lifetime') {
      result.lifetime = value.readUInt32BE(0);
    } else if (name) {
      result[name] = value;
    }
  }
  return result;
}

function isSigned(bytes, key) {
  const found = attributesOf(bytes).find(({ name }) => name === 'integrity');
  if (!found) {
    return false;
  }
  const covered = Buffer.from(bytes.subarray(0, found.at));
  covered.writeUInt16BE(found.at - HEADER + 24, 2);
  return crypto.createHmac('sha1', key).update(covered).digest()
    .equals(found.value);
}

/* XOR-PEER-ADDRESS and its like (RFC 8489, section 14.2). */
function xorAddress({ address, port }, id) {
  const bytes = addressBytes(address);
  const value = Buffer.concat([
    Buffer.from([0, FAMILIES[net.isIPv6(address) ? 6 : 4],
                 port >> 8, port & 0xff]), bytes]);
  return flip(value, id);
}

function fromXorAddress(value, id) {
  const bytes = flip(Buffer.from(value), id);
  const address = bytes[1] === 1 ? bytes.subarray(4).join('.')
    : bytes.subarray(4).toString('hex').match(/..../g).join(':');
  return { address, port: bytes.readUInt16BE(2) };
}

function flip(value, id) {
  const mask = Buffer.concat([COOKIE, id]);
  value[2] ^= mask[0];
  value[3] ^= mask[1];
  for (let i = 4; i < value.length; i++) {
    value[i] ^= mask[i - 4];
  }
  return value;
}

/* 4 or 16 of them, in the order of the network. */
function addressBytes(text) {
  if (net.isIPv4(text)) {
    return Buffer.from(text.split('.').map(Number));
  }
  const plain = new URL(`http://[${text}]`).hostname.slice(1, -1);
  const [left, right] = plain.split('::').map((half) =>
    half.split(':').filter(Boolean));
  const groups = right === undefined ? left
    : [...left, ...Array(8 - left.length - right.length).fill('0'), ...right];
  return Buffer.from(groups.map((g) => g.padStart(4, '0')).join(''), 'hex');
}

module.exports = { connect, addressBytes };
