'use strict';
/*
 * line.js: the server's end of one WebSocket, as serve.js plays it.
 */

const { isCounted } = require('./connection');

class Line {
  constructor(socket, counterpart) {
    this.socket = socket;
    this.counterpart = counterpart;
    this.inbox = []; // texts that no step has asked for yet
    this.sent = 0; // counted texts, to the client
    this.acknowledged = 0;
    this.pongs = 0;
    this.end = null;
    socket.on('message', (data, binary) => this.arrived(data, binary));
    socket.on('pong', () => {
      this.pongs++;
      this.wake();
    });
    socket.on('close', (code) => {
      this.end = { code };
      this.wake();
    });
    socket.on('error', () => {});
  }

  wake() {
    this.counterpart.changed();
  }

  arrived(data, binary) {
    let message = null;
    try {
      message = JSON.parse(data.toString());
    } catch (error) {
      // it stays null
    }
    if (binary || message === null || typeof message.type !== 'string') {
      this.counterpart.fault(`no text with a type: ${data.toString('utf8')}`);
    } else if (message.type === 'ack') {
      this.ack(message);
    } else {
      this.inbox.push(message);
    }
    this.wake();
  }

  ack({ got }) {
    if (!Number.isInteger(got) || got > this.sent || got < this.acknowledged) {
      this.counterpart.fault(`ack of ${got}, where ${this.sent} were sent and `
        + `${this.acknowledged} acknowledged`);
    }
    this.acknowledged = got;
  }

  send(message) {
    if (isCounted(message)) {
      this.sent++;
    }
    this.socket.send(JSON.stringify(message));
  }
}

module.exports = { Line };
