/**
 * The call page: come in with a name, see who is there, call, answer.
 */
import { Call } from './call.js';
import { CallView } from './call-view.js';
import { closeMedia } from './media.js';
import { People } from './people.js';
import { Signal } from './signal.js';
import { openOrAsk } from './trouble.js';
import { whyDown, whyEnded, whyRefused } from './words.js';

const NAME_KEY = 'webrtc-signal.name';
const TITLE = document.title;

const status = find('status');
const connection = find('connection');
const nameInput = /** @type {HTMLInputElement} */ (find('name'));
const lookupInput = /** @type {HTMLInputElement} */ (find('lookup-name'));
const ringDialog = /** @type {HTMLDialogElement} */ (find('ring'));
const troubleDialog = /** @type {HTMLDialogElement} */ (find('trouble'));
const people = new People(find('people-list'), dial);
const callView = new CallView(find('call'));

/* ?relay=1 sends everything through the TURN server: to see whether that one
 * works, and for people who do not want to show their address. */
/** @type {import('./call.js').CallOptions} */
const options = new URLSearchParams(location.search).has('relay')
  ? { iceTransportPolicy: 'relay' } : {};

/** @type {Signal | undefined} */
let signal;
let welcomed = false;
/** One that we left while there was no line to say so.  The server keeps its
 * name for a while, and gives it to nobody else.
 * @type {Signal | undefined} */
let unheard;
/** What is wrong with the line to the server. */
let trouble = '';
/** The call that is on: ours, or one that we answer.
 * @type {Call | undefined} */
let current;
/** One that is being answered, while camera and microphone are opened.
 * @type {Call | undefined} */
let answering;
/** Calls that ring, the oldest first.
 * @type {{call: Call, media: string[], verified: boolean}[]} */
let rings = [];
/** Counts what the person set out to do; while a camera is being opened, she
 * may have chosen something else. */
let attempt = 0;

find('join-form').addEventListener('submit', (event) => {
  event.preventDefault();
  join(nameInput.value.trim());
});
find('lookup').addEventListener('submit', (event) => {
  event.preventDefault();
  dial(lookupInput.value.trim(), { audio: true, video: true });
});
find('leave').addEventListener('click', leave);
find('answer').addEventListener('click', () => answer({ audio: true, video: true }));
find('answer-sound').addEventListener('click', () => answer({ audio: true, video: false }));
find('decline').addEventListener('click', decline);
/* Escape */
ringDialog.addEventListener('cancel', decline);

window.addEventListener('pagehide', () => {
  current?.hangUp();
  signal?.bye();
});
/* back again from the browser's page cache */
window.addEventListener('pageshow', (event) => {
  if (event.persisted) {
    signal?.open();
  }
});
window.addEventListener('online', () => signal?.open());

nameInput.value = localStorage.getItem(NAME_KEY) ?? '';
if (!navigator.mediaDevices) {
  say(status, 'Calls need a secure page. Open this one with an address that begins with https://');
}
show();

/** @param {string} name */
function join(name) {
  if (signal || !name) {
    return;
  }
  signal = unheard?.name === name ? unheard : newSignal(name);
  unheard = undefined;
  welcomed = false;
  say(status, '');
  sayLine('');
  signal.open();
  show();
}

/** @param {string} name */
function newSignal(name) {
  const opened = new Signal({ name });
  on(opened, 'welcome', enter);
  on(opened, 'users', showPeople);
  on(opened, 'ring', ring);
  on(opened, 'down', ({ code }) => {
    sayLine(whyDown(code, welcomed));
    show();
  });
  on(opened, 'lost', ({ calls }) => reconcile(calls));
  on(opened, 'refused', ({ reason }) => {
    sayLine(whyRefused(reason, opened.name));
    signal = undefined;
    show();
    nameInput.focus();
  });
  return opened;
}

function enter() {
  const { name, verified } = /** @type {Signal} */ (signal);
  welcomed = true;
  if (!verified) {
    localStorage.setItem(NAME_KEY, name);
  }
  sayLine('');
  find('own-name').textContent = name;
  show();
}

function leave() {
  current?.hangUp();
  attempt += 1;
  rings.splice(0).forEach(({ call }) => call.decline());
  unheard = signal?.connected ? undefined : signal;
  signal?.bye();
  signal = undefined;
  welcomed = false;
  say(status, '');
  sayLine('');
  show();
  nameInput.focus();
}

/**
 * @param {string} name
 * @param {{audio: boolean, video: boolean}} media
 */
async function dial(name, media) {
  if (!signal || current) {
    return;
  }
  const stream = await open(media);
  if (stream) {
    const call = new Call(signal, name, options);
    begin(call, stream);
    call.dial(stream);
  }
}

/** @param {{call: string, from: string, media: string[], verified: boolean}} message */
function ring(message) {
  const call = Call.incoming(/** @type {Signal} */ (signal), message, options);
  const { media, verified } = message;
  rings.push({ call, media, verified });
  on(call, 'ended', ({ reason }) => {
    rings = rings.filter((other) => other.call !== call);
    if (reason) {
      say(status, whyEnded(reason, call.other));
    }
    showRing();
  });
  showRing();
}

/**
 * Texts are lost: ring for what rings and was not told, and hang up what the
 * server still takes for a call of ours.
 *
 * @param {{call: string, state: string, with: string, media: string[]}[]} calls
 */
function reconcile(calls) {
  const users = signal?.users;
  const ours = [current, answering, ...rings.map((other) => other.call)];
  for (const { call, state, with: from, media } of calls) {
    if (ours.some((other) => other?.id === call)) {
      continue; /* It has heard. */
    }
    if (state === 'ringing') {
      ring({ call, from, media, verified: users?.get(from)?.verified ?? false });
    } else if (!current || current.id) { /* else we dial just now: that one */
      signal?.send({ type: 'hangup', call });
    }
  }
}

/** @param {{audio: boolean, video: boolean}} media */
async function answer(media) {
  const next = rings.shift();
  showRing();
  if (!next) {
    return;
  }
  const { call } = next;
  /* one that the server has forgotten, but that still holds */
  current?.hangUp();
  answering = call;
  const stream = await open(media);
  if (answering === call) {
    answering = undefined;
  }
  if (!stream) {
    call.decline();
  } else if (call.state === 'ended') {
    closeMedia(stream);
  } else {
    begin(call, stream);
    call.accept(stream);
  }
}

function decline() {
  rings.shift()?.call.decline();
  showRing();
}

/**
 * @param {{audio: boolean, video: boolean}} media
 * @returns {Promise<MediaStream | null>}
 */
async function open(media) {
  attempt += 1;
  const mine = attempt;
  say(status, media.video ? 'Opening camera and microphone …' : 'Opening microphone …');
  const stream = await openOrAsk(troubleDialog, media);
  if (mine !== attempt) {
    closeMedia(stream ?? undefined);
    return null;
  }
  say(status, '');
  return stream;
}

/**
 * @param {Call} call
 * @param {MediaStream} stream
 */
function begin(call, stream) {
  current = call;
  on(call, 'state', showLine);
  on(call, 'ended', ({ reason }) => {
    closeMedia(stream);
    current = undefined;
    showLine();
    say(status, whyEnded(reason, call.other));
    show();
  });
  show();
  callView.show(call, stream);
}

/** Show the part of the page that fits, and nothing else. */
function show() {
  const inside = welcomed && signal !== undefined;
  find('join').hidden = inside || current !== undefined;
  find('people').hidden = !inside || current !== undefined;
  find('call').hidden = current === undefined;
  find('me').hidden = !inside;
  /** @type {HTMLButtonElement} */ (find('join-button')).disabled = signal !== undefined;
  people.enable(Boolean(signal?.connected));
  document.body.classList.toggle('in-call', current !== undefined);
}

function showPeople() {
  const { users, count } = /** @type {Signal} */ (signal);
  people.show(users?.values() ?? []);
  people.enable(true);
  /* too many for a list, or guests are shown nobody */
  find('lookup').hidden = Boolean(users?.size);
  say(find('people-hint'), hint(users?.size, count));
}

/**
 * @param {number | undefined} listed
 * @param {number} count
 */
function hint(listed, count) {
  if (listed) {
    return '';
  }
  return count > 1 ? `${count} people are here, you among them.`
    : 'You see nobody else here yet. Send somebody the address of this page.';
}

function showRing() {
  const next = rings[0];
  if (!next) {
    ringDialog.close();
    document.title = TITLE;
    return;
  }
  const video = next.media.includes('video');
  find('ring-name').textContent = next.call.other;
  find('ring-text').textContent = `${video ? 'A call with camera' : 'A call with sound only'}`
    + `${next.verified ? ', from somebody who is logged in' : ''}.`;
  document.title = `${next.call.other} is calling`;
  if (!ringDialog.open) {
    ringDialog.showModal();
  }
}

/** @param {string} text */
function sayLine(text) {
  trouble = text;
  showLine();
}

/** A call that goes on without the server says so itself. */
function showLine() {
  say(connection, current?.state === 'connected' && current.waiting ? '' : trouble);
}

/**
 * Only what changes is written: a live region repeats the rest.
 *
 * @param {HTMLElement} element
 * @param {string} text
 */
function say(element, text) {
  if (element.textContent !== text) {
    element.textContent = text;
  }
}

/**
 * @param {EventTarget} target
 * @param {string} type
 * @param {(detail: any) => void} heard
 */
function on(target, type, heard) {
  target.addEventListener(type, (event) => heard(/** @type {CustomEvent} */ (event).detail));
}

/** @param {string} id */
function find(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}
