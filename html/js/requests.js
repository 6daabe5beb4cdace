/**
 * What we have asked the server and still wait for, by `ref`.
 */

/**
 * @typedef {import('./signal.js').Message} Message
 * @typedef {{
 *   message: Message,
 *   asked: boolean,
 *   timer: ReturnType<typeof setTimeout> | undefined,
 *   resolve: (answer: Message) => void,
 *   reject: (error: Error) => void,
 * }} Request
 */

const ANSWER_TIME = 10000;

/** A request that got an error for an answer, or none at all (`lost`). */
export class SignalError extends Error {
  /**
   * @param {string} code
   * @param {string} [message]
   */
  constructor(code, message) {
    super(message || code);
    this.code = code;
  }
}

export class Requests {
  /** @type {Map<string, Request>} */
  #waiting = new Map();
  #next = 1;

  /**
   * @param {Message} message
   * @returns {{message: Message, answer: Promise<Message>}} with its `ref`
   */
  begin(message) {
    const ref = String(this.#next++);
    const whole = { ...message, ref };
    const answer = new Promise((resolve, reject) => {
      this.#waiting.set(ref, { message: whole, asked: false, timer: undefined, resolve, reject });
      this.#limit(ref);
    });
    return { message: whole, answer };
  }

  /**
   * It is on its way.  Returns whether for the first time.
   *
   * @param {Message} message
   */
  asked({ ref }) {
    const request = /** @type {Request} */ (this.#waiting.get(ref));
    const before = request.asked;
    request.asked = true;
    this.#limit(ref);
    return !before;
  }

  /** There is no line: answers cannot come.  What was never asked does not
   * wait longer for that, but what the server may know of is asked again. */
  pause() {
    for (const { asked, timer } of this.#waiting.values()) {
      if (asked) {
        clearTimeout(timer);
      }
    }
  }

  /** All of them, in order. */
  get messages() {
    return [...this.#waiting.values()].map(({ message }) => message);
  }

  /**
   * @param {Message} message perhaps an answer
   * @returns {boolean} whether it was one
   */
  settle(message) {
    const request = this.#take(message.ref);
    if (request && message.type === 'error') {
      request.reject(new SignalError(message.code, message.message));
    } else {
      request?.resolve(message);
    }
    return request !== undefined;
  }

  /** There will be no answers. */
  fail() {
    for (const ref of [...this.#waiting.keys()]) {
      this.#take(ref)?.reject(new SignalError('lost'));
    }
  }

  /** @param {string} ref */
  #limit(ref) {
    const request = /** @type {Request} */ (this.#waiting.get(ref));
    clearTimeout(request.timer);
    request.timer = setTimeout(
      () => this.#take(ref)?.reject(new SignalError('lost')), ANSWER_TIME);
  }

  /** @param {string} ref */
  #take(ref) {
    const request = this.#waiting.get(ref);
    if (request) {
      clearTimeout(request.timer);
      this.#waiting.delete(ref);
    }
    return request;
  }
}
