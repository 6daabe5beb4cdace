/**
 * How loud a stream is, many times a second.
 */

/* Speech at arm's length lies between: 0 and 1 of the meter, in decibels of
 * full scale. */
const QUIET = -60;
const LOUD = -10;

/**
 * @param {MediaStream} stream with sound
 * @param {(loudness: number) => void} tell called with 0 to 1 before each
 *     repaint
 */
export function watchLevel(stream, tell) {
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  const samples = new Float32Array(analyser.fftSize);
  context.createMediaStreamSource(stream).connect(analyser);

  const look = () => {
    analyser.getFloatTimeDomainData(samples);
    tell(loudness(samples));
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);

  return {
    get asleep() {
      return context.state === 'suspended';
    },
    wake: () => context.resume(),
  };
}

/** @param {Float32Array} samples */
function loudness(samples) {
  const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
  const decibels = 10 * Math.log10(power);
  return Math.min(1, Math.max(0, (decibels - QUIET) / (LOUD - QUIET)));
}
