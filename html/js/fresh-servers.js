/**
 * Keeps the ICE servers of a connection fresh: their credentials run out, and
 * whatever is gathered later (ICE restarts, renegotiation) needs good ones.
 */

/** @typedef {import('./call.js').SignalLike} SignalLike */
/** @typedef {import('./call.js').CallOptions} CallOptions */

/* Where the server has no fresh ones for us. */
const RETRY_TIME = 5000;
/* A timer above this one fires at once. */
const LONGEST_TIMER = 2 ** 31 - 1;

export class FreshServers {
  #signal;
  #pc;
  #options;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #stopped = false;

  /**
   * @param {SignalLike} signal
   * @param {RTCPeerConnection} pc
   * @param {CallOptions} options what it was made with besides its servers
   */
  constructor(signal, pc, options) {
    this.#signal = signal;
    this.#pc = pc;
    this.#options = options;
    this.#schedule();
  }

  stop() {
    clearTimeout(this.#timer);
    this.#stopped = true;
  }

  async #renew() {
    const iceServers = await this.#signal.iceServers();
    if (!this.#stopped) {
      this.#pc.setConfiguration({ iceServers, ...this.#options });
      this.#schedule();
    }
  }

  #schedule() {
    const time = Math.min(this.#signal.iceFreshFor || RETRY_TIME, LONGEST_TIMER);
    this.#timer = setTimeout(() => this.#renew(), time);
  }
}
