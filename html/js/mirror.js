/**
 * The mirror: one's own picture, and how loud one is.
 */
import { watchLevel } from './level.js';
import { MediaError, closeMedia, openMedia } from './media.js';

/* Up at once, down slowly: of the range, at each repaint. */
const FALL = 0.02;

const video = /** @type {HTMLVideoElement} */ (find('picture'));
const meter = /** @type {HTMLMeterElement} */ (find('level'));
const hint = find('level-hint');

/** @type {MediaStream | undefined} */
let stream;

find('again').addEventListener('click', start);
start();

async function start() {
  find('trouble').hidden = true;
  try {
    stream = await openMedia({ audio: true, video: true });
  } catch (error) {
    find('trouble-text').textContent = /** @type {MediaError} */ (error).message;
    find('trouble').hidden = false;
    return;
  }
  video.srcObject = stream;
  await listen(stream);
}

/** @param {MediaStream} source */
async function listen(source) {
  const level = watchLevel(source, (loudness) => {
    meter.value = Math.max(loudness, meter.value - FALL);
  });
  /* A browser may keep sound asleep until the person does something. */
  hint.textContent = level.asleep ? 'Press any key or click to start the level.' : '';
  for (const type of ['pointerdown', 'keydown']) {
    document.addEventListener(type, async () => {
      await level.wake();
      hint.textContent = '';
    }, { once: true });
  }
}

window.addEventListener('pagehide', () => closeMedia(stream));

/** @param {string} id */
function find(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}
