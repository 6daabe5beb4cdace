/**
 * One connection to the server: says hello, hands on what comes, and tells of
 * its end, unless it was us who closed it.
 */

/** @typedef {import('./signal.js').Message} Message */

const PROTOCOL = 'webrtc-signal.v1';
/* A network that swallows everything keeps a browser waiting for minutes. */
const WELCOME_TIME = 15000;

/** Codes of ours.  GONE leaves for good; after ASIDE the server keeps our
 * place for the connection that comes instead. */
export const GONE = 1000;
export const ASIDE = 4000;

/** What a browser says of a connection that broke (RFC 6455, 7.1.5). */
export const BROKEN = 1006;

export class Line {
  #socket;
  #timer;
  /** Whether the handshake went well; then `hello` is said. */
  opened = false;
  welcomed = false;
  /** How many texts of the server we had when we said `hello`. */
  claimed = 0;

  /**
   * @param {URL} url
   * @param {{hello: () => Message, heard: (text: Message) => void, ended: (code: number) => void}} on
   */
  constructor(url, { hello, heard, ended }) {
    const socket = new WebSocket(url, PROTOCOL);
    this.#socket = socket;
    socket.onopen = () => {
      this.opened = true;
      socket.send(JSON.stringify(hello()));
    };
    socket.onmessage = ({ data }) => heard(JSON.parse(data));
    socket.onclose = ({ code }) => {
      this.close(code);
      ended(code);
    };
    this.#timer = setTimeout(() => {
      this.close(ASIDE);
      ended(BROKEN);
    }, WELCOME_TIME);
  }

  welcome() {
    clearTimeout(this.#timer);
    this.welcomed = true;
  }

  /**
   * Returns false where the connection is about to close.
   *
   * @param {string} text
   */
  send(text) {
    if (this.#socket.readyState !== WebSocket.OPEN) {
      return false;
    }
    this.#socket.send(text);
    return true;
  }

  /** @param {number} code */
  close(code) {
    const socket = this.#socket;
    clearTimeout(this.#timer);
    socket.onopen = socket.onmessage = socket.onclose = null;
    this.welcomed = false;
    if (socket.readyState < 2) { // WebSocket.CLOSING
      socket.close(code);
    }
  }
}
