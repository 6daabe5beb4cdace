/**
 * The list of people, one line each, with the buttons to call them.
 */
import { STATES } from './words.js';

/** @typedef {import('./signal.js').User} User */
/** @typedef {(name: string, media: {audio: boolean, video: boolean}) => void} OnCall */

export class People {
  #list;
  #onCall;
  /** @type {Map<string, HTMLLIElement>} */
  #lines = new Map();

  /**
   * @param {HTMLElement} list
   * @param {OnCall} onCall
   */
  constructor(list, onCall) {
    this.#list = list;
    this.#onCall = onCall;
  }

  /** Lines stay where they are, so that nobody's focus or click is lost when
   * somebody else comes or goes.
   * @param {Iterable<User>} users
   */
  show(users) {
    const sorted = [...users].sort((a, b) => a.name.localeCompare(b.name));
    const names = new Set(sorted.map(({ name }) => name));
    for (const [name, line] of this.#lines) {
      if (!names.has(name)) {
        line.remove();
        this.#lines.delete(name);
      }
    }
    sorted.forEach((user, i) => {
      const line = this.#lines.get(user.name) ?? this.#line(user.name);
      fill(line, user);
      if (this.#list.children[i] !== line) {
        this.#list.insertBefore(line, this.#list.children[i] ?? null);
      }
    });
  }

  /** @param {boolean} on */
  enable(on) {
    this.#list.querySelectorAll('button').forEach((button) => {
      button.disabled = !on;
    });
  }

  /** @param {string} name */
  #line(name) {
    const line = document.createElement('li');
    const who = document.createElement('span');
    who.className = 'who';
    const text = document.createElement('bdi');
    text.textContent = name;
    const state = document.createElement('small');
    who.append(text, state);
    line.append(who, this.#button(name, 'camera', true), this.#button(name, 'phone', false));
    this.#lines.set(name, line);
    return line;
  }

  /**
   * @param {string} name
   * @param {string} icon
   * @param {boolean} video
   */
  #button(name, icon, video) {
    const button = document.createElement('button');
    button.type = 'button';
    button.className = video ? 'main icon' : 'icon';
    button.ariaLabel = video ? `Call ${name}` : `Call ${name} with sound only`;
    button.title = button.ariaLabel;
    button.append(picture(icon));
    button.addEventListener('click', () => this.#onCall(name, { audio: true, video }));
    return button;
  }
}

/**
 * @param {HTMLLIElement} line
 * @param {User} user
 */
function fill(line, { state, verified }) {
  const small = /** @type {HTMLElement} */ (line.querySelector('small'));
  const words = STATES[state] + (verified ? ', logged in' : '');
  if (small.textContent !== words) {
    small.textContent = words;
  }
  line.dataset.state = state;
}

/**
 * A picture of icons.svg.
 *
 * @param {string} name
 */
export function picture(name) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  const use = document.createElementNS('http://www.w3.org/2000/svg', 'use');
  use.setAttribute('href', `icons.svg#${name}`);
  svg.setAttribute('aria-hidden', 'true');
  svg.append(use);
  return svg;
}
