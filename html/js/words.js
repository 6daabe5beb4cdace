/**
 * What happened, in words for people.
 */

/** @type {Record<string, (name: string) => string>} */
const ENDED = {
  hangup: (name) => `${name} hung up.`,
  declined: (name) => `${name} declined the call.`,
  'no-answer': (name) => `${name} did not answer.`,
  busy: (name) => `${name} is in another call.`,
  unreachable: (name) => `${name} is not here.`,
  gone: (name) => `The connection to ${name} was lost.`,
  cancelled: (name) => `${name} rang, but hung up before you answered.`,
  missed: (name) => `You missed a call from ${name}.`,
  'answered-elsewhere': (name) => `You answered ${name}'s call on another device.`,
  forbidden: (name) => `You may not call ${name}.`,
  limit: () => 'The server carries too many calls at the moment. Try again in a while.',
  'busy-self': () => 'You are in another call already, perhaps in another window.',
  'no-path': (name) => `Your browser and ${name}'s could not find a way to each other. `
    + 'Perhaps a firewall is in between: try another network.',
  'no-relay': (name) => `Your browser and ${name}'s could not find a way to each other, `
    + 'and this site has no relay to help. Try another network.',
  'relay-only': () => 'You opened this page for calls through a relay only, but this site has none. '
    + 'Open it without “?relay”.',
  'relay-refused': () => 'This call needs the relay of this site, which refused it. '
    + 'Load the page again; if that does not help, tell those who run the site.',
  'relay-full': () => 'This call needs the relay of this site, which is full. Try again in a while.',
  'relay-unreachable': () => 'This call needs the relay of this site, which cannot be reached. '
    + 'Try again in a while, or on another network.',
  lost: (name) => `The connection to ${name} was lost.`,
};

/**
 * Why a call is over; empty where there is nothing to say.
 *
 * @param {string} reason of the event `ended`
 * @param {string} name
 */
export function whyEnded(reason, name) {
  if (!reason) {
    return '';
  }
  return ENDED[reason]?.(name) ?? `The call with ${name} failed. Try again.`;
}

/** @type {Record<string, (name: string) => string>} */
const REFUSED = {
  'bad-name': () => 'This name cannot be used. Take another one: up to 64 letters, digits and signs.',
  login: () => 'Only people who are logged in can call here. Log in, then load this page again.',
  'name-taken': (name) => `Somebody is here already as “${name}”. Take another name.`,
  elsewhere: () => 'You have come in from another window or device, so this one has stopped.',
};

/**
 * Why the server does not let us in.
 *
 * @param {string} reason of the event `refused`
 * @param {string} name
 */
export function whyRefused(reason, name) {
  return REFUSED[reason]?.(name) ?? 'The server and this page do not understand each other. Load the page again.';
}

/**
 * @param {number} code of the event `down`
 * @param {boolean} before whether we had been in before
 */
export function whyDown(code, before) {
  if (code === 1013) {
    return 'The server is full at the moment. Trying again …';
  }
  return before ? 'The connection to the server is lost. Trying again …'
    : 'The server cannot be reached. Trying again …';
}

/** @type {Record<string, string>} */
export const STATES = { free: 'free', busy: 'in a call', away: 'away' };
