'use strict';
/*
 * proxy.js: a TCP line between a browser and a server that the test can cut,
 * at any byte, or lead to a worker of its choice.
 */

const fs = require('fs');
const net = require('net');

class Proxy {
  /* port: the server's; options.server and options.worker: go to this worker
   * (a process id) alone. */
  static async start(port, { worker = null } = {}) {
    const proxy = new Proxy();
    proxy.target = port;
    proxy.worker = worker;
    proxy.sockets = new Set();
    proxy.lines = new Set(); // pairs of them that are joined
    proxy.cuts = 0;
    proxy.listener = net.createServer((socket) => proxy.carry(socket));
    proxy.listener.on('error', () => {});
    await proxy.listen(0);
    proxy.port = proxy.listener.address().port;
    return proxy;
  }

  listen(port) {
    return new Promise((resolve) =>
      this.listener.listen(port, '127.0.0.1', resolve));
  }

  async carry(near) {
    this.keep(near);
    let far;
    if (this.worker) {
      const first = await new Promise((resolve) => near.once('data', resolve));
      near.pause();
      far = await connectTo(this.worker, this.target, first);
    } else {
      far = net.connect(this.target, '127.0.0.1');
    }
    this.keep(far);
    const line = { near, far, left: Infinity };
    this.lines.add(line);
    near.on('close', () => far.destroy());
    far.on('close', () => {
      near.destroy();
      this.lines.delete(line);
    });
    this.join(line, near, far);
    this.join(line, far, near);
  }

  /* What comes from one side goes to the other, as long as bytes are left. */
  join(line, from, to) {
    from.on('data', (data) => {
      const part = data.subarray(0, line.left);
      line.left -= part.length;
      if (!to.write(part)) {
        from.pause();
        to.once('drain', () => from.resume());
      }
      if (line.left === 0) {
        this.cuts++;
        from.destroy();
        to.destroy();
      }
    });
    from.on('end', () => to.end());
    from.resume(); /* it may have been paused for its first bytes */
  }

  /* Cut each line that is there after so many more bytes, of either way. */
  cutAfter(bytes) {
    this.lines.forEach((line) => {
      line.left = bytes();
    });
  }

  keep(socket) {
    this.sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('error', () => {});
    socket.on('close', () => this.sockets.delete(socket));
  }

  /* Nothing goes through any more, until mend(). */
  cut() {
    this.sockets.forEach((socket) => socket.destroy());
    return new Promise((resolve) => this.listener.close(resolve));
  }

  mend() {
    return this.listen(this.port);
  }
}

/* A connection that this process has accepted, where the first bytes were
 * sent: before them httpd accepts none.  Others are dropped. */
async function connectTo(pid, port, first) {
  for (let tries = 0; tries < 30; tries++) {
    const sockets = Array.from({ length: 6 }, () =>
      net.connect(port, '127.0.0.1'));
    await Promise.all(sockets.map((socket) => new Promise((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
      socket.write(first);
    })));
    const inodes = await Promise.all(sockets.map((socket) =>
      acceptedInode(port, socket.localPort)));
    const found = sockets.find((socket, i) =>
      inodes[i] && holds(pid, inodes[i]));
    sockets.filter((socket) => socket !== found)
      .forEach((socket) => socket.on('error', () => {}).destroy());
    if (found) {
      return found;
    }
  }
  throw new Error(`no connection fell to worker ${pid}`);
}

/* The server's end of a connection, once it is accepted: /proc/net/tcp shows
 * inode 0 before that. */
async function acceptedInode(port, from) {
  const hex = (n) => n.toString(16).toUpperCase().padStart(4, '0');
  const ends = new RegExp(`^ *\\d+: \\w+:${hex(port)} \\w+:${hex(from)} `);
  for (let tries = 0; tries < 100; tries++) {
    const line = fs.readFileSync('/proc/net/tcp', 'utf8').split('\n')
      .find((l) => ends.test(l));
    const inode = line && line.trim().split(/\s+/)[9];
    if (inode && inode !== '0') {
      return inode;
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return null;
}

function holds(pid, inode) {
  return fs.readdirSync(`/proc/${pid}/fd`).some((fd) => {
    try {
      return fs.readlinkSync(`/proc/${pid}/fd/${fd}`) === `socket:[${inode}]`;
    } catch (error) {
      return false; // closed in the meantime
    }
  });
}

module.exports = { Proxy };
