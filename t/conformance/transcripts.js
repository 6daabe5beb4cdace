'use strict';
/*
 * transcripts.js: reads files of transcripts, and says what is wrong in them.
 */

const fs = require('fs');
const path = require('path');

/* What a step may do, and what else may stand in it. */
const DEEDS = {
  joins: ['who'], connects: ['who'], refused: ['who', 'after', 'within'],
  sends: ['who'], sends_text: ['who'], sends_long: ['who'],
  writes: ['who'], sends_again: ['who'],
  gets: ['who', 'written', 'within', 'past'],
  gets_in_any_order: ['who', 'within'],
  gets_ack: ['who'], sees: ['who'], quiet: ['who'],
  closes: ['who'], closed: ['who', 'within'], cut: ['who'],
  does: ['who'], away: ['who'], pongs: ['who'],
  waits: [], part: [], for: ['in', 'do'], server: [],
};

class Mistake extends Error {}

function deedOf(step) {
  const deeds = Object.keys(step).filter((key) => Object.hasOwn(DEEDS, key));
  if (deeds.length !== 1) {
    throw new Mistake(`a step does one thing: ${JSON.stringify(step)}`);
  }
  return deeds[0];
}

function checkStep(step) {
  const deed = deedOf(step);
  const extra = Object.keys(step).find((key) =>
    key !== deed && key !== 'why' && !DEEDS[deed].includes(key));
  if (extra) {
    throw new Mistake(`"${extra}" means nothing in ${JSON.stringify(step)}`);
  }
  if (DEEDS[deed].includes('who') && !step.who) {
    throw new Mistake(`who? ${JSON.stringify(step)}`);
  }
}

/* The steps, with the parts in their places. */
function expand(steps, parts) {
  return steps.flatMap((step) => {
    checkStep(step);
    if (step.part !== undefined) {
      if (!Object.hasOwn(parts, step.part)) {
        throw new Mistake(`there is no part "${step.part}"`);
      }
      return expand(parts[step.part], parts);
    }
    return step.for !== undefined
      ? [{ ...step, do: expand(step.do, parts) }] : [step];
  });
}

function flat(steps) {
  return steps.flatMap((step) =>
    step.for !== undefined ? flat(step.do) : [step]);
}

/* What a server has to have for it. */
function needsOf(transcript) {
  const steps = flat(transcript.steps);
  const opened = steps.map((step) => step.joins || step.connects)
    .filter(Boolean);
  return {
    places: [...new Set(opened.map(({ at }) => at || 'open'))],
    logins: [...new Set(opened.map((o) => o.as).filter(Boolean))],
    deeds: [...new Set(steps.map((step) => step.server).filter(Boolean))],
    features: transcript.features || [],
  };
}

function readFile(file) {
  const topic = path.basename(file, '.json');
  try {
    const { transcripts, parts = {} } =
      JSON.parse(fs.readFileSync(file, 'utf8'));
    return transcripts.map((transcript) => {
      const whole = { ...transcript, topic,
                      steps: expand(transcript.steps, parts) };
      return { ...whole, needs: needsOf(whole) };
    });
  } catch (error) {
    throw new Mistake(`${file}: ${error.message}`);
  }
}

/* All transcripts of these files. */
function readAll(files) {
  return files.flatMap(readFile);
}

function filesIn(folder) {
  return fs.readdirSync(folder).filter((name) => name.endsWith('.json')).sort()
    .map((name) => path.join(folder, name));
}

module.exports = { Mistake, deedOf, filesIn, readAll };
