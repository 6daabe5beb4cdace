/**
 * What has gone over the line, counted as the server counts it (from 1 in each
 * direction, across connections): so that after a broken connection both sides
 * send again what the other lacks, and nothing comes twice.
 */

/** @typedef {import('./signal.js').Message} Message */

/* Ours that the server has not acknowledged.  It does so every other second,
 * so this many there are only while the line is down for long. */
const MOST_TEXTS = 1000;
const MOST_CHARACTERS = 2 ** 20;

export class Ledger {
  /** Texts of the server that have come. */
  got = 0;
  /** Of these, as many as the server knows to have come. */
  #acknowledged = 0;
  /** The number of the last text on the present connection. */
  #last = 0;
  #sent = 0;
  /** @type {{number: number, text: string}[]} */
  #kept = [];
  #characters = 0;
  #overflown = false;

  /**
   * Whether a text counts.
   *
   * @param {Message} message
   */
  static counts({ type, call, room }) {
    return !['hello', 'welcome', 'call'].includes(type) && (call !== undefined || room !== undefined);
  }

  /**
   * Keep a text of ours until the server has it.
   *
   * @param {string} text
   */
  keep(text) {
    this.#sent += 1;
    this.#kept.push({ number: this.#sent, text });
    this.#characters += text.length;
    if (this.#kept.length > MOST_TEXTS || this.#characters > MOST_CHARACTERS) {
      this.#overflown = true;
      this.#clear();
    }
  }

  /**
   * The server has this many of ours.
   *
   * @param {number} got
   */
  acknowledged(got) {
    while (this.#kept.length > 0 && this.#kept[0].number <= got) {
      this.#characters -= /** @type {{text: string}} */ (this.#kept.shift()).text.length;
    }
  }

  /** Those that the server may lack, in order. */
  get kept() {
    return this.#kept.map(({ text }) => text);
  }

  /** A counted text has come.  Returns whether it is a new one. */
  hear() {
    this.#last += 1;
    if (this.#last <= this.got) {
      return false;
    }
    this.got = this.#last;
    return true;
  }

  /** How many have come that the server does not know to have come. */
  get owed() {
    return this.got - this.#acknowledged;
  }

  /** What to tell the server, which knows it then. */
  acknowledge() {
    this.#acknowledged = this.got;
    return this.got;
  }

  /** What to claim to have in a `hello`.  Where we could not keep what we sent,
   * that is more than there ever was: the answer is `lost`, as is the truth. */
  get claim() {
    return this.#overflown ? Number.MAX_SAFE_INTEGER : this.got;
  }

  /**
   * Another connection goes on where this one was.
   *
   * @param {number} claimed how many we had when we said `hello` on it; more
   *     may have come on the old one since
   * @param {number} got how many of ours the server has
   */
  resume(claimed, got) {
    this.#last = claimed;
    this.#acknowledged = claimed;
    this.acknowledged(got);
  }

  #clear() {
    this.#kept = [];
    this.#characters = 0;
  }
}
