'use strict';
/*
 * random.js: what a test leaves to chance, and can do again.
 *
 * WSIG_SEED repeats it, as far as the machine's timing lets it.
 */

const SEED = Number(process.env.WSIG_SEED || Date.now() % 1e6);

/* A function that gives 0 to 1. */
function seeded(seed = SEED) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 4294967296;
  };
}

module.exports = { SEED, seeded };
