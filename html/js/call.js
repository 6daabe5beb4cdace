/**
 * One call: asks, rings, answers, and carries sound and picture through an
 * RTCPeerConnection by perfect negotiation (the caller offers first and is the
 * impolite side).  Knows neither window nor document: it is handed a signal
 * and media streams.
 *
 * Events:
 *   state   `state` or what we know of the other side has changed
 *   track   a track of the other side has come; it is in `remote` already
 *   ended   it is over; detail: {reason}, a word of protocol.md's `ended` or
 *           of its error codes, or `no-path` (the browsers could not reach
 *           each other), a RelayTrouble (they could not, and that may be why),
 *           `relay-only` (we may use relays only, and there is none), `lost`
 *           (they could, but no longer), `failed`.  Empty where this side hung
 *           up.
 */
import { FreshServers } from './fresh-servers.js';
import { Gathering, RELAY_TROUBLES, hasRelay, isRelayed } from './relay.js';

/**
 * What a call needs of a signal.
 *
 * @typedef {EventTarget & {
 *   connected: boolean,
 *   keptFor: number,
 *   send: (message: any) => boolean,
 *   request: (message: any) => Promise<any>,
 *   iceServers: () => Promise<RTCIceServer[]>,
 *   iceFreshFor: number,
 * }} SignalLike
 *
 * @typedef {'new' | 'calling' | 'ringing' | 'connecting' | 'connected' | 'interrupted' | 'ended'} CallState
 * @typedef {{iceTransportPolicy?: RTCIceTransportPolicy}} CallOptions
 * @typedef {{audio: boolean, video: boolean}} Sending
 */

const CONNECT_TIME = 20000;
const RECOVER_TIME = 20000;
/* So much longer than the server keeps our place does a call that is not
 * answered yet wait for the line: it sees the end of it later than we do. */
const LINE_TIME = 5000;
/* A call that is interrupted restarts ICE.  What is direct may come back by
 * itself; an allocation that a relay has lost does not. */
const HICCUP_TIME = 3000;
/* One side is enough: the caller, whose offers win when they collide.  The
 * callee steps in where nothing comes of that: perhaps the caller sees no
 * interruption. */
const CALLEE_TIME = 3000;
/* Again, if the relay is not back yet; not so soon that a slow way has no
 * chance to be found. */
const RESTART_EVERY = 4000;
/* ... but sooner where it is clear that nothing will come of it. */
const VAIN_TIME = 1000;
/* The statistics of a moment ago, which browsers keep, are out of date. */
const PATH_TIME = 100;
/* Long enough for a last text on the data channel to leave. */
const LAST_WORDS_TIME = 300;

/** What a side says that gives up, so that the other does not take it for
 * somebody who hung up. */
const GIVE_UPS = ['no-path', 'lost', ...RELAY_TROUBLES];

export class Call extends EventTarget {
  #signal;
  #options;
  /** @type {string | undefined} */
  #id;
  #polite = false;
  /** Whether the server still knows this call. */
  #signalled = true;
  /** Whether the line to the server is lost, and may come back. */
  #waiting = false;
  /** Whether a call without a way has waited for that once. */
  #waited = false;
  #restartWanted = false;
  /** The number of our last offer. */
  #offers = 0;
  /** @type {RTCPeerConnection | undefined} */
  #pc;
  /** @type {RTCDataChannel | undefined} */
  #channel;
  /** @type {MediaStream | undefined} */
  #local;
  /** @type {FreshServers | undefined} */
  #servers;
  /** @type {Gathering | undefined} */
  #gathering;
  #joined = false;
  #offering = false;
  #ignoring = false;
  #everConnected = false;
  /** Signals are worked off one after the other. */
  #work = Promise.resolve();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #restartTimer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #pathTimer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #lineTimer;
  #listening = new AbortController();

  /**
   * @param {SignalLike} signal
   * @param {string} other the name at the other end
   * @param {CallOptions} [options]
   */
  constructor(signal, other, options = {}) {
    super();
    this.#signal = signal;
    this.#options = options;
    this.other = other;
    /** @type {CallState} */
    this.state = 'new';
    /** What the other side sends. */
    this.remote = new MediaStream();
    /** What the other side says that it is sending at present.
     * @type {Sending} */
    this.remoteSending = { audio: true, video: true };
    /** Whether it goes through a relay, once that is known.
     * @type {boolean | undefined} */
    this.relayed = undefined;
    for (const type of ['accepted', 'signal', 'ended', 'error']) {
      this.#hear(type, (detail) => this.#receive(type, detail));
    }
    this.#hear('down', () => this.#lineDown());
    this.#hear('welcome', (welcome) => this.#lineUp(welcome));
    this.#hear('gone', () => this.#unsignalled('lost'));
  }

  /**
   * The call that a `ring` announces.
   *
   * @param {SignalLike} signal
   * @param {any} ring
   * @param {CallOptions} [options]
   */
  static incoming(signal, ring, options) {
    const call = new Call(signal, ring.from, options);
    call.#id = ring.call;
    call.state = 'ringing';
    return call;
  }

  get id() {
    return this.#id;
  }

  /** Whether the server still carries this call's signals. */
  get signalled() {
    return this.#signalled;
  }

  /** Whether the line to the server is being restored. */
  get waiting() {
    return this.#waiting;
  }

  /**
   * Ask the other to talk.
   *
   * @param {MediaStream} stream what to send, perhaps empty
   */
  async dial(stream) {
    this.#local = stream;
    this.#become('calling');
    let answer;
    try {
      const media = kinds(stream);
      answer = await this.#signal.request({ type: 'call', to: this.other, media });
    } catch (error) {
      this.#end(/** @type {any} */ (error).code ?? 'failed');
      return;
    }
    /* Both dialled each other: the older call, which is theirs, goes on. */
    const glare = answer.type === 'ended' && answer.reason === 'glare';
    this.#id = glare ? answer.into : answer.call;
    this.#polite = glare;
    if (this.#over) {
      this.#signal.send({ type: 'hangup', call: this.#id });
    } else if (answer.type === 'ended' && !glare) {
      this.#end(answer.reason);
    }
  }

  /**
   * Answer a ringing call.
   *
   * @param {MediaStream} stream what to send, perhaps empty
   */
  accept(stream) {
    this.#local = stream;
    this.#polite = true;
    if (this.state === 'ringing') {
      this.#sendAccept(stream);
    }
  }

  /** @param {MediaStream} stream */
  #sendAccept(stream) {
    this.#signal.send({ type: 'accept', call: this.#id, media: kinds(stream) });
  }

  decline() {
    this.#signal.send({ type: 'decline', call: this.#id });
    this.#end('');
  }

  /** End the call, whatever its state. */
  hangUp() {
    this.#leave('');
  }

  /**
   * Send another track of a kind, or none; the stream that we were given
   * changes with it.
   *
   * @param {'audio' | 'video'} kind
   * @param {MediaStreamTrack | null} track
   */
  async replace(kind, track) {
    const local = /** @type {MediaStream} */ (this.#local);
    local.getTracks().filter((old) => old.kind === kind).forEach((old) => local.removeTrack(old));
    if (track) {
      local.addTrack(track);
    }
    const transceiver = this.#pc?.getTransceivers().find(
      ({ receiver }) => receiver.track.kind === kind);
    if (transceiver) {
      await transceiver.sender.replaceTrack(track);
      if (track && !transceiver.direction.includes('send')) {
        transceiver.direction = 'sendrecv';
      }
    } else if (track && this.#joined) {
      this.#pc?.addTrack(track, local);
    }
    this.tell();
  }

  /** Tell the other side what it gets at present. */
  tell() {
    const sends = (/** @type {string} */ kind) => this.#local?.getTracks().some(
      (track) => track.kind === kind && track.enabled && track.readyState === 'live');
    this.#say({ sending: { audio: Boolean(sends('audio')), video: Boolean(sends('video')) } });
  }

  /**
   * @param {string} type
   * @param {any} detail
   */
  #receive(type, detail) {
    if (this.#id === undefined || detail.call !== this.#id || this.#over) {
      return;
    }
    switch (type) {
      case 'accepted':
        if (!this.#local) {
          this.#end(''); /* we dialled them, and that has become this call */
        } else if (this.state !== 'connecting' && !this.#pc) {
          this.#start();
        }
        break;
      case 'signal':
        if (GIVE_UPS.includes(detail.data?.gaveUp)) {
          /* At once: what comes next is their `hangup`. */
          this.#leave(this.#whyGiveUp(detail.data.gaveUp));
        } else if (detail.data?.again) {
          this.#later(() => this.#offerAgain());
        } else {
          this.#later(() => this.#negotiate(detail.data));
        }
        break;
      case 'ended':
        this.#unsignalled(detail.reason);
        break;
      case 'error':
        /* Of an answered call, "call-unknown" tells what `ended` would. */
        this.#unsignalled(detail.code);
        break;
    }
  }

  /**
   * The server has dropped the call.  A connection that stands outlives that,
   * unless somebody wanted the end.
   *
   * @param {string} reason
   */
  #unsignalled(reason) {
    this.#signalled = this.#waiting = false;
    this.#servers?.stop(); /* without signals there are no restarts */
    const meant = ['hangup', 'declined'].includes(reason);
    if (meant || !this.#everConnected) {
      this.#end(reason);
    } else {
      this.#tellState();
    }
  }

  #lineDown() {
    if (!this.#signalled) {
      return;
    }
    this.#waiting = true;
    if (!this.#pc) {
      const reason = this.state === 'ringing' && !this.#local ? 'missed' : 'lost';
      this.#lineTimer ??= setTimeout(() => this.#leave(reason), this.#signal.keptFor + LINE_TIME);
    }
    this.#tellState();
  }

  /** @param {any} welcome */
  #lineUp({ lost, calls }) {
    const back = this.#waiting;
    this.#waiting = this.#waited = false;
    clearTimeout(this.#lineTimer);
    this.#lineTimer = undefined;
    if (back && this.#timer !== undefined) { /* what we wait for can go on now */
      clearTimeout(this.#timer);
      this.#timer = undefined;
      this.#giveUpAfter(RECOVER_TIME);
    }
    if (lost && this.#signalled) {
      this.#reconcile(calls);
    } else if (back && (this.#restartWanted || this.state === 'interrupted')) {
      this.#later(() => this.#restart());
    }
    this.#restartWanted = false;
    this.#tellState();
  }

  /**
   * Texts are lost: go on from what the server knows.
   *
   * @param {{call: string, state: 'calling' | 'ringing' | 'answered'}[]} calls
   */
  #reconcile(calls) {
    if (this.#id === undefined) {
      return; /* We dial, and that is asked again. */
    }
    const known = calls.find(({ call }) => call === this.#id);
    if (!known) {
      this.#unsignalled('gone');
    } else if (known.state === 'ringing' && this.#local) {
      this.#sendAccept(this.#local);
    } else if (known.state === 'answered') {
      const fresh = !this.#pc; /* What it offers will be the first. */
      this.#receive('accepted', known);
      if (this.#polite || !fresh) {
        this.#later(() => this.#offerAgain());
      }
    }
  }

  #start() {
    this.#become('connecting');
    this.#later(async () => this.#connect(await this.#signal.iceServers()));
    this.#giveUpAfter(CONNECT_TIME);
  }

  /** @param {RTCIceServer[]} iceServers */
  #connect(iceServers) {
    if (this.#over) {
      return; /* while they were on their way */
    }
    if (this.#options.iceTransportPolicy === 'relay' && !hasRelay(iceServers)) {
      this.#post({ gaveUp: 'no-relay' });
      this.#leave('relay-only');
      return;
    }
    const pc = new RTCPeerConnection({ iceServers, ...this.#options });
    this.#pc = pc;
    this.#servers = new FreshServers(this.#signal, pc, this.#options);
    this.#gathering = new Gathering(pc);
    this.#gathering.addEventListener('vain', () => this.#stranded());
    pc.onnegotiationneeded = () => this.#guard(() => this.#offer());
    /* null: that was the last one (end-of-candidates) */
    pc.onicecandidate = ({ candidate }) => this.#post({ candidate });
    pc.ontrack = ({ track }) => {
      this.remote.addTrack(track);
      this.dispatchEvent(new CustomEvent('track', { detail: { track } }));
    };
    pc.onconnectionstatechange = () => this.#watch();
    if (!this.#polite) {
      this.#join();
    }
  }

  /** Give the connection what we send.  The polite side does so once it has
   * the first offer, so that it answers that and makes none of its own. */
  #join() {
    const pc = /** @type {RTCPeerConnection} */ (this.#pc);
    this.#joined = true;
    this.#channel = pc.createDataChannel('call', { negotiated: true, id: 0 });
    this.#channel.onopen = () => this.tell();
    this.#channel.onmessage = ({ data }) => this.#hearSay(JSON.parse(data));
    this.#channel.onclose = () => this.#leave('hangup');
    this.#local?.getTracks().forEach((track) => pc.addTrack(track, /** @type {MediaStream} */ (this.#local)));
  }

  async #offer() {
    const pc = /** @type {RTCPeerConnection} */ (this.#pc);
    try {
      this.#offering = true;
      await pc.setLocalDescription();
      this.#offers += 1;
      this.#post({ description: pc.localDescription, offer: this.#offers });
    } finally {
      this.#offering = false;
    }
  }

  /** Descriptions are lost, perhaps.  The impolite side makes a new offer: one
   * of the other's would be ignored while an old one of its own is open. */
  async #offerAgain() {
    if (this.#polite) {
      this.#post({ again: true });
    } else if (this.#pc) {
      this.#gathering?.begin();
      this.#pc.restartIce();
      await this.#offer();
    }
  }

  /** @param {{description?: RTCSessionDescriptionInit, offer?: number, candidate?: RTCIceCandidateInit | null}} data */
  async #negotiate({ description, offer: number, candidate }) {
    const pc = this.#pc;
    if (!pc) {
      return;
    }
    if (!description) {
      await this.#addCandidate(pc, candidate);
      return;
    }
    const offer = description.type === 'offer';
    if (!offer && (pc.signalingState !== 'have-local-offer' || (number ?? this.#offers) !== this.#offers)) {
      return; /* of nothing that we offer, or no longer */
    }
    const collision = offer && (this.#offering || pc.signalingState !== 'stable');
    this.#ignoring = collision && !this.#polite;
    if (this.#ignoring) {
      return;
    }
    if (offer && restartsIce(pc, description)) {
      /* We gather anew, too, and their restart is as good as ours. */
      this.#gathering?.begin();
      this.#restartAfter(RESTART_EVERY);
    }
    await pc.setRemoteDescription(description);
    if (offer) {
      if (!this.#joined) {
        this.#join();
      }
      await pc.setLocalDescription();
      this.#post({ description: pc.localDescription, offer: number });
    }
  }

  /**
   * @param {RTCPeerConnection} pc
   * @param {RTCIceCandidateInit | null | undefined} candidate
   */
  async #addCandidate(pc, candidate) {
    try {
      await pc.addIceCandidate(candidate ?? undefined);
      /* It may name what we had met without knowing what it is. */
      this.#findPathSoon();
    } catch (error) {
      /* Candidates of an offer that we ignored are in vain; any other may
       * be one of a kind that this browser does not know. */
      if (!this.#ignoring) {
        console.warn('candidate not taken', error);
      }
    }
  }

  #watch() {
    const pc = /** @type {RTCPeerConnection} */ (this.#pc);
    switch (pc.connectionState) {
      case 'connected':
        clearTimeout(this.#timer);
        this.#timer = undefined;
        this.#everConnected = true;
        this.#become('connected');
        this.#watchPath();
        break;
      case 'disconnected':
        if (this.#everConnected) {
          this.#become('interrupted');
          this.#giveUpAfter(RECOVER_TIME);
          this.#recover(this.relayed ? 0 : HICCUP_TIME);
        }
        break;
      case 'failed':
        if (!this.#signalled) {
          this.#giveUp();
        } else {
          this.#become(this.#everConnected ? 'interrupted' : 'connecting');
          this.#giveUpAfter(RECOVER_TIME);
          this.#recover(0);
        }
        break;
    }
  }

  /** @param {number} patience in milliseconds */
  #recover(patience) {
    if (this.#restartTimer === undefined) {
      this.#restartAfter(patience);
    }
  }

  /** @param {number} time in milliseconds */
  #restartAfter(time) {
    clearTimeout(this.#restartTimer);
    this.#restartTimer = setTimeout(() => {
      this.#restartTimer = undefined;
      this.#later(() => this.#restart());
    }, this.#polite ? time + CALLEE_TIME : time);
  }

  /** Look for a way again, until there is one or the time is over. */
  async #restart() {
    const pc = /** @type {RTCPeerConnection} */ (this.#pc);
    if (this.#waiting) {
      this.#restartWanted = true;
    } else if (this.#signalled && pc.connectionState !== 'connected') {
      this.#gathering?.begin();
      pc.restartIce();
      this.#restartAfter(RESTART_EVERY);
    }
  }

  #watchPath() {
    /* Not every browser tells; then it is as we found it at first. */
    const transport = this.#pc?.sctp?.transport?.iceTransport;
    if (transport) {
      transport.onselectedcandidatepairchange = () => this.#findPathSoon();
    }
    this.#findPathSoon();
  }

  #findPathSoon() {
    clearTimeout(this.#pathTimer);
    if (!this.#over) {
      this.#pathTimer = setTimeout(() => this.#guard(() => this.#findPath()), PATH_TIME);
    }
  }

  async #findPath() {
    const relayed = await isRelayed(/** @type {RTCPeerConnection} */ (this.#pc));
    if (relayed !== undefined && relayed !== this.relayed && !this.#over) {
      this.relayed = relayed;
      this.#tellState();
    }
  }

  /** We have nothing that the other side could reach us by.  Without a relay
   * we can still reach the other side, unless we may use relays only. */
  #stranded() {
    if (this.#over) {
      return;
    }
    if (this.#everConnected) {
      this.#restartAfter(VAIN_TIME);
    } else if (this.#options.iceTransportPolicy === 'relay') {
      this.#giveUp();
    }
  }

  /** @param {number} time */
  #giveUpAfter(time) {
    this.#timer ??= setTimeout(() => this.#timeIsUp(), time);
  }

  #timeIsUp() {
    this.#timer = undefined;
    if (this.#waiting && !this.#waited) {
      this.#waited = true; /* A way may be found once there are signals. */
      this.#giveUpAfter(this.#signal.keptFor);
    } else {
      this.#giveUp();
    }
  }

  #giveUp() {
    const reason = this.#whyGiveUp();
    this.#post({ gaveUp: reason });
    this.#leave(reason);
  }

  /** @param {string} [theirs] why the other side has given up; of no interest
   * once we were connected */
  #whyGiveUp(theirs) {
    const ours = this.#gathering?.trouble;
    if (this.#everConnected) {
      return (this.relayed && ours) || 'lost';
    }
    /* They may have found out more than we have so far. */
    return RELAY_TROUBLES.find((trouble) => trouble === ours || trouble === theirs)
      ?? theirs ?? 'no-path';
  }

  /** @param {any} text from the other side's data channel */
  #hearSay(text) {
    if (text.hangup) {
      this.#leave('hangup');
    } else if (text.sending) {
      const { audio, video } = text.sending;
      this.remoteSending = { audio: audio === true, video: video === true };
      this.#tellState();
    }
  }

  /** @param {object} text */
  #say(text) {
    if (this.#channel?.readyState === 'open') {
      this.#channel.send(JSON.stringify(text));
    }
  }

  /** @param {object} data */
  #post(data) {
    if (this.#signalled) {
      this.#signal.send({ type: 'signal', call: this.#id, data });
    }
  }

  /** @param {() => Promise<void>} step */
  #later(step) {
    this.#work = this.#work.then(() => this.#guard(step));
  }

  /** @param {() => Promise<void>} step */
  async #guard(step) {
    try {
      if (!this.#over) {
        await step();
      }
    } catch (error) {
      if (!this.#over) { /* or else the connection was closed under it */
        console.error(error);
        this.#leave('failed');
      }
    }
  }

  get #over() {
    return this.state === 'ended';
  }

  /**
   * End it from this side.
   *
   * @param {string} reason
   */
  #leave(reason) {
    if (this.#over) {
      return;
    }
    this.#say({ hangup: true });
    if (this.#signalled && this.#id) {
      this.#signal.send({ type: 'hangup', call: this.#id });
    }
    this.#end(reason);
  }

  /** @param {string} reason */
  #end(reason) {
    if (this.#over) {
      return;
    }
    clearTimeout(this.#timer);
    clearTimeout(this.#restartTimer);
    clearTimeout(this.#pathTimer);
    clearTimeout(this.#lineTimer);
    this.#servers?.stop();
    this.#listening.abort();
    this.state = 'ended';
    const pc = this.#pc;
    if (pc) {
      pc.onconnectionstatechange = pc.onicecandidate = pc.onnegotiationneeded = pc.ontrack = null;
      setTimeout(() => pc.close(), LAST_WORDS_TIME);
    }
    this.dispatchEvent(new CustomEvent('ended', { detail: { reason } }));
  }

  /** @param {CallState} state */
  #become(state) {
    if (!this.#over && this.state !== state) {
      this.state = state;
      this.#tellState();
    }
  }

  #tellState() {
    this.dispatchEvent(new CustomEvent('state'));
  }

  /**
   * @param {string} type
   * @param {(detail: any) => void} heard
   */
  #hear(type, heard) {
    const { signal } = this.#listening;
    this.#signal.addEventListener(type, (event) => heard(/** @type {CustomEvent} */ (event).detail), { signal });
  }
}

/** @param {MediaStream} stream */
function kinds(stream) {
  return stream.getTracks().map(({ kind }) => kind);
}

/**
 * Whether an offer asks for new ways (RFC 8839, section 4.4.1.1.1).
 *
 * @param {RTCPeerConnection} pc
 * @param {RTCSessionDescriptionInit} offer
 */
function restartsIce(pc, offer) {
  const present = pc.remoteDescription;
  return present !== null && user(present.sdp) !== user(offer.sdp);
}

/** @param {string | undefined} sdp */
function user(sdp) {
  return /^a=ice-ufrag:(.*)$/m.exec(sdp ?? '')?.[1];
}
