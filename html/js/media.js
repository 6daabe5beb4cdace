/**
 * Camera and microphone, and what to say where they cannot be had.
 */

/** Why there is no camera or microphone: `reason` is a key of WHY. */
export class MediaError extends Error {
  /** @param {'insecure' | 'refused' | 'missing' | 'in-use'} reason */
  constructor(reason) {
    super(WHY[reason]);
    this.reason = reason;
  }
}

const WHY = {
  insecure: 'Browsers allow camera and microphone only on secure pages. '
    + 'Open this page with an address that begins with https://',
  refused: 'This page may not use your camera or microphone. '
    + 'Allow them beside the address of the page, then try again.',
  missing: 'No camera or microphone was found. Plug one in, then try again.',
  'in-use': 'Your camera or microphone cannot be used at the moment. '
    + 'Perhaps another program has it: close that, then try again.',
};

/** @type {Record<string, 'refused' | 'missing' | 'in-use'>} */
const REASONS = {
  NotAllowedError: 'refused',
  SecurityError: 'refused',
  NotFoundError: 'missing',
  OverconstrainedError: 'missing',
};

/**
 * Open what is asked for; neither gives an empty stream.
 *
 * @param {{audio: boolean, video: boolean}} wanted
 * @returns {Promise<MediaStream>} rejects with a MediaError
 */
export async function openMedia({ audio, video }) {
  if (!audio && !video) {
    return new MediaStream();
  }
  if (!navigator.mediaDevices) {
    throw new MediaError('insecure');
  }
  try {
    return await navigator.mediaDevices.getUserMedia({
      audio,
      video: video && { width: { ideal: 1280 }, height: { ideal: 720 } },
    });
  } catch (error) {
    const { name } = /** @type {Error} */ (error);
    throw new MediaError(REASONS[name] ?? 'in-use');
  }
}

/** @param {MediaStream | undefined} stream */
export function closeMedia(stream) {
  stream?.getTracks().forEach((track) => track.stop());
}
