/**
 * The photo booth: a live picture, and shots of it that can be saved.
 */
import { MediaError, closeMedia, openMedia } from './media.js';

const FLASH_TIME = 200;
const QUALITY = 0.92;

const video = /** @type {HTMLVideoElement} */ (find('picture'));
const button = /** @type {HTMLButtonElement} */ (find('take'));
const strip = find('strip');

/** @type {MediaStream | undefined} */
let stream;
let taken = 0;

find('again').addEventListener('click', start);
button.addEventListener('click', take);
video.addEventListener('loadeddata', () => {
  button.disabled = false;
});
document.addEventListener('keydown', (event) => {
  const target = /** @type {HTMLElement} */ (event.target);
  const key = event.key === ' ' || event.key === 'Enter';
  /* On a link or a button these keys mean that one. */
  if (key && !event.repeat && !target.closest('a, button')) {
    event.preventDefault();
    take();
  }
});
window.addEventListener('pagehide', () => closeMedia(stream));
start();

async function start() {
  find('trouble').hidden = true;
  try {
    stream = await openMedia({ audio: false, video: true });
    video.srcObject = stream;
  } catch (error) {
    find('trouble-text').textContent = /** @type {MediaError} */ (error).message;
    find('trouble').hidden = false;
  }
}

async function take() {
  if (button.disabled) {
    return;
  }
  const canvas = document.createElement('canvas');
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d')).drawImage(video, 0, 0);
  flash();
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, 'image/jpeg', QUALITY));
  if (blob) {
    taken += 1;
    strip.prepend(shot(taken, URL.createObjectURL(blob), canvas));
    find('status').textContent = `Picture ${taken} taken.`;
  } else {
    find('status').textContent = 'The picture could not be made. Try again.';
  }
}

/**
 * @param {number} number
 * @param {string} url
 * @param {{width: number, height: number}} size
 */
function shot(number, url, { width, height }) {
  const item = document.createElement('li');
  const image = document.createElement('img');
  image.src = url;
  image.alt = `Picture ${number}`;
  image.width = width;
  image.height = height;

  const save = document.createElement('a');
  save.href = url;
  save.download = `picture-${number}.jpg`;
  save.textContent = 'Save';
  save.ariaLabel = `Save picture ${number}`;

  const remove = document.createElement('button');
  remove.type = 'button';
  remove.className = 'plain';
  remove.textContent = 'Delete';
  remove.ariaLabel = `Delete picture ${number}`;
  remove.addEventListener('click', () => {
    item.remove();
    URL.revokeObjectURL(url);
    button.focus();
  });

  item.append(image, save, remove);
  return item;
}

function flash() {
  const { classList } = find('stage');
  classList.add('flash');
  setTimeout(() => classList.remove('flash'), FLASH_TIME);
}

/** @param {string} id */
function find(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}
