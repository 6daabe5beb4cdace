/**
 * A call on the page: both pictures, what is going on, and the buttons.
 */
import { MediaError, openMedia } from './media.js';

/** @typedef {import('./call.js').Call} Call */

/** @type {Record<string, (name: string) => string>} */
const STATES = {
  new: (name) => `Calling ${name} …`,
  calling: (name) => `Calling ${name} …`,
  ringing: () => 'Connecting …',
  connecting: () => 'Connecting …',
  connected: () => 'Connected',
  interrupted: (name) => `The connection to ${name} is interrupted. Waiting for it to come back …`,
};

export class CallView {
  #section;
  /** @type {Call | undefined} */
  #call;
  #stream = new MediaStream();

  /** @param {HTMLElement} section */
  constructor(section) {
    this.#section = section;
    this.#button('#hang-up').onclick = () => this.#call?.hangUp();
    this.#button('#microphone').onclick = () => this.#toggle('audio');
    this.#button('#camera').onclick = () => this.#toggle('video');
  }

  /**
   * @param {Call} call
   * @param {MediaStream} stream what we send
   */
  show(call, stream) {
    this.#call = call;
    this.#stream = stream;
    this.#find('#call-name').textContent = call.other;
    this.#video('#local').srcObject = stream;
    this.#video('#remote').srcObject = call.remote;
    call.addEventListener('state', () => this.#update());
    call.addEventListener('track', () => this.#update());
    call.addEventListener('ended', () => this.#clear());
    this.#update();
    this.#button('#hang-up').focus();
  }

  #clear() {
    this.#call = undefined;
    this.#video('#local').srcObject = null;
    this.#video('#remote').srcObject = null;
  }

  #update() {
    const call = this.#call;
    if (!call || call.state === 'ended') {
      return;
    }
    const seen = call.remoteSending.video && call.remote.getVideoTracks().length > 0;
    const heard = call.remoteSending.audio || call.state !== 'connected';
    this.#section.dataset.state = call.state;
    this.#say('#call-state', state(call));
    this.#say('#no-picture', seen ? '' : call.other);
    this.#video('#remote').classList.toggle('dark', !seen);
    this.#find('#remote-muted').hidden = heard;
    this.#showButtons();
  }

  #showButtons() {
    const speaks = this.#track('audio')?.enabled;
    const shown = this.#track('video');
    this.#face('#microphone', 'microphone', Boolean(speaks), 'Mute microphone', 'Turn microphone on');
    this.#face('#camera', 'camera', Boolean(shown), 'Turn camera off', 'Turn camera on');
    this.#video('#local').hidden = !shown;
  }

  /** @param {'audio' | 'video'} kind */
  #track(kind) {
    return this.#stream.getTracks().find((track) => track.kind === kind && track.readyState === 'live');
  }

  /** The microphone is only silenced, so that it is back at once; the camera
   * is let go, so that its lamp goes out.
   * @param {'audio' | 'video'} kind
   */
  async #toggle(kind) {
    const call = this.#call;
    const track = this.#track(kind);
    if (track && kind === 'audio') {
      track.enabled = !track.enabled;
      call?.tell();
    } else if (track) {
      track.stop();
      await call?.replace(kind, null);
    } else {
      await this.#open(kind);
    }
    this.#showButtons();
  }

  /** @param {'audio' | 'video'} kind */
  async #open(kind) {
    const call = this.#call;
    try {
      const fresh = await openMedia({ audio: kind === 'audio', video: kind === 'video' });
      const [track] = fresh.getTracks();
      if (call && call === this.#call) {
        await call.replace(kind, track);
      } else {
        track.stop();
      }
    } catch (error) {
      if (!(error instanceof MediaError)) {
        throw error;
      }
      this.#say('#call-state', error.message);
    }
  }

  /**
   * @param {string} selector
   * @param {string} icon
   * @param {boolean} on
   * @param {string} toOff
   * @param {string} toOn
   */
  #face(selector, icon, on, toOff, toOn) {
    const button = this.#button(selector);
    button.classList.toggle('off', !on);
    button.querySelector('use')?.setAttribute('href', `icons.svg#${icon}${on ? '' : '-off'}`);
    const words = /** @type {HTMLElement} */ (button.querySelector('span'));
    words.textContent = on ? toOff : toOn;
  }

  /** Only what changes is written: a live region repeats the rest.
   * @param {string} selector
   * @param {string} text
   */
  #say(selector, text) {
    const element = this.#find(selector);
    if (element.textContent !== text) {
      element.textContent = text;
    }
  }

  /** @param {string} selector */
  #find(selector) {
    return /** @type {HTMLElement} */ (this.#section.querySelector(selector));
  }

  /** @param {string} selector */
  #button(selector) {
    return /** @type {HTMLButtonElement} */ (this.#find(selector));
  }

  /** @param {string} selector */
  #video(selector) {
    return /** @type {HTMLVideoElement} */ (this.#find(selector));
  }
}

/** @param {Call} call */
function state(call) {
  if (call.state === 'connected' && !call.signalled) {
    return 'The line to the server is lost; the call goes on.';
  }
  if (call.state === 'connected' && call.waiting) {
    return 'The line to the server is being restored; the call goes on.';
  }
  if (call.state === 'connected' && call.relayed !== undefined) {
    return call.relayed ? 'Connected through the relay' : 'Connected directly';
  }
  return STATES[call.state](call.other);
}
