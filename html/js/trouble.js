/**
 * Opens camera and microphone; where that fails, asks how to go on.
 */
import { MediaError, openMedia } from './media.js';

/**
 * @param {HTMLDialogElement} dialog with a button of each value: again, sound,
 *     nothing, cancel
 * @param {{audio: boolean, video: boolean}} wanted
 * @returns {Promise<MediaStream | null>} null: the person thinks better of it
 */
export async function openOrAsk(dialog, wanted) {
  let now = wanted;
  for (;;) {
    try {
      return await openMedia(now);
    } catch (error) {
      const choice = await ask(dialog, /** @type {MediaError} */ (error), now);
      switch (choice) {
        case 'again':
          break;
        case 'sound':
          now = { audio: true, video: false };
          break;
        case 'nothing':
          now = { audio: false, video: false };
          break;
        default:
          return null;
      }
    }
  }
}

/**
 * @param {HTMLDialogElement} dialog
 * @param {MediaError} error
 * @param {{audio: boolean, video: boolean}} wanted
 * @returns {Promise<string>} the value of the button
 */
function ask(dialog, error, wanted) {
  const one = wanted.video ? 'No camera or microphone' : 'No microphone';
  const title = /** @type {HTMLElement} */ (dialog.querySelector('h2'));
  const text = /** @type {HTMLElement} */ (dialog.querySelector('p'));
  title.textContent = one;
  text.textContent = error.message;
  const without = /** @type {HTMLElement} */ (dialog.querySelector('[value="nothing"]'));
  without.textContent = wanted.video ? 'Go on without either' : 'Go on without it';
  const buttons = dialog.querySelectorAll('button');
  return new Promise((resolve) => {
    let choice = 'cancel';
    buttons.forEach((button) => {
      button.hidden = (button.value === 'sound' && (!wanted.video || error.reason === 'insecure'))
        || (button.value === 'again' && error.reason === 'insecure');
      button.onclick = () => {
        choice = button.value;
        dialog.close();
      };
    });
    dialog.onclose = () => resolve(choice);
    dialog.showModal();
  });
}
