'use strict';
/*
 * pattern.js: what a text has to be like, and texts with blanks to fill in.
 * README.md in this folder says what both look like.
 */

const crypto = require('crypto');

/* A member that the other side left out, where it may: it is left out again
 * where the variable is used. */
const ABSENT = Symbol('absent');

const KINDS = {
  string: (value) => typeof value === 'string',
  whole: (value) => Number.isInteger(value) && value >= 0,
  number: (value) => typeof value === 'number',
  boolean: (value) => typeof value === 'boolean',
  object: (value) => isObject(value),
  list: (value) => Array.isArray(value),
};

function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const isMadeUp = (name) => /^[a-z]/.test(name);

/* The variable that a string stands for, or null. */
function variable(text) {
  const found = typeof text === 'string' && /^\$(\w+)$/.exec(text);
  return found ? found[1] : null;
}

/*
 * The variables of one play.  Those that begin with a small letter are made up
 * when they are first used: names of rooms for room, room2 and so on, names of
 * people for all others.
 */
class Scope {
  /* makes: all are made up when they are used before they are bound. */
  constructor(values = {}, makes = false) {
    this.values = { ...values };
    this.makes = makes;
    this.suffix = crypto.randomBytes(4).toString('hex');
  }

  has(name) {
    return Object.hasOwn(this.values, name) || isMadeUp(name);
  }

  get(name) {
    if (!Object.hasOwn(this.values, name)) {
      if (!isMadeUp(name) && !this.makes) {
        throw new Error(`the variable $${name} has no value yet`);
      }
      this.values[name] = /^room\d*$/.test(name)
        ? crypto.randomBytes(17).toString('base64url').slice(0, 22)
        : `${name}-${this.suffix}`;
    }
    return this.values[name];
  }

  set(name, value) {
    this.values[name] = value;
  }

  /* Back to these values, but for what was made up since. */
  forget(values) {
    const made = Object.entries(this.values).filter(([name]) => isMadeUp(name));
    this.values = { ...values, ...Object.fromEntries(made) };
  }

  copy() {
    const copy = new Scope(this.values, this.makes);
    copy.suffix = this.suffix;
    return copy;
  }
}

function fillString(text, scope) {
  const name = variable(text);
  if (name) {
    return scope.get(name);
  }
  return text.replace(/\$\$|\$\{(\w+)\}/g, (all, inner) =>
    inner ? scope.get(inner) : '$');
}

/* The value that a template stands for. */
function fill(template, scope) {
  if (typeof template === 'string') {
    return fillString(template, scope);
  }
  if (Array.isArray(template)) {
    return template.map((item) => fill(item, scope));
  }
  if (!isObject(template)) {
    return template;
  }
  return Object.fromEntries(Object.entries(template)
    .map(([key, value]) => [fillString(key, scope), fill(value, scope)])
    .filter(([, value]) => value !== ABSENT));
}

const show = (value) => JSON.stringify(value);

const OPERATORS = {
  $any: () => null,
  $kind: (kind, value, m) => KINDS[kind](value)
    ? null : `${m.at} is ${show(value)}, which is no "${kind}"`,
  $maybe: (pattern, value, m) => check(pattern, value, m),
  $all: (patterns, value, m) => first(patterns, (p) => check(p, value, m)),
  $one_of: (patterns, value, m) => {
    const why = patterns.map((p) => attempt(p, value, m));
    return why.includes(null) ? null : why.join('; ');
  },
  $not: (pattern, value, m) => trial(pattern, value, m)
    ? null : `${m.at} is ${show(value)}, which it must not be`,
  $from: (range, value, m) => value >= range[0] && value <= range[1]
    ? null : `${m.at} is ${show(value)}, not from ${range[0]} to ${range[1]}`,
  $chars: (range, value, m) => KINDS.string(value)
      && value.length >= range[0] && value.length <= range[1]
    ? null : `${m.at} is ${show(value)}, not ${range[0]} to ${range[1]} long`,
  $each: (pattern, value, m) => listOf(value, m) || first(value, (item, i) =>
    check(pattern, item, { ...m, at: `${m.at}[${i}]` })),
  $has: (patterns, value, m) => listOf(value, m) || first(patterns, (p) =>
    value.some((item) => attempt(p, item, m) === null)
      ? null : `${m.at} has nothing like ${show(p)}: ${show(value)}`),
  $lacks: (pattern, value, m) => listOf(value, m) || first(value, (item) =>
    trial(pattern, item, m) === null
      ? `${m.at} has ${show(item)}` : null),
  $in_any_order: (patterns, value, m) => listOf(value, m)
    || (value.length === patterns.length ? null
        : `${m.at} has ${value.length} items, not ${patterns.length}`)
    || inAnyOrder(patterns, value, m),
};

const listOf = (value, m) => KINDS.list(value)
  ? null : `${m.at} is ${show(value)}, which is no list`;

function first(list, run) {
  for (const [i, item] of list.entries()) {
    const why = run(item, i);
    if (why) {
      return why;
    }
  }
  return null;
}

/* check() that binds variables only where it succeeds. */
function attempt(pattern, value, m) {
  const scope = m.scope.copy();
  const why = check(pattern, value, { ...m, scope });
  if (why === null) {
    Object.assign(m.scope.values, scope.values);
  }
  return why;
}

/* check() that binds none. */
function trial(pattern, value, m) {
  return check(pattern, value, { ...m, scope: m.scope.copy() });
}

function inAnyOrder(patterns, values, m) {
  const left = [...values];
  return first(patterns, (pattern) => {
    const i = left.findIndex((item) => attempt(pattern, item, m) === null);
    if (i < 0) {
      return `${m.at} has nothing like ${show(pattern)}: ${show(left)}`;
    }
    left.splice(i, 1);
    return null;
  });
}

function checkString(pattern, value, m) {
  const name = variable(pattern);
  if (name && !m.scope.has(name)) {
    m.scope.set(name, value);
    return null;
  }
  const wanted = fillString(pattern, m.scope);
  if (wanted === ABSENT) {
    return `${m.at} is there, with ${show(value)}`;
  }
  return same(wanted, value) ? null
    : `${m.at} is ${show(value)}, not ${show(wanted)}`;
}

function same(a, b) {
  if (typeof a !== 'object' || a === null || b === null) {
    return a === b;
  }
  return typeof b === 'object' && Array.isArray(a) === Array.isArray(b)
    && Object.keys(a).length === Object.keys(b).length
    && Object.keys(a).every((key) =>
      Object.hasOwn(b, key) && same(a[key], b[key]));
}

function checkList(pattern, value, m) {
  return listOf(value, m)
    || first(pattern, (item, i) => i < value.length
      ? check(item, value[i], { ...m, at: `${m.at}[${i}]` })
      : `${m.at} ends after ${value.length} items`)
    || (value.length > pattern.length
      ? `${m.at}[${pattern.length}] is more than was expected` : null);
}

function mayLack(pattern) {
  return isObject(pattern) && Object.hasOwn(pattern, '$maybe');
}

/* A variable that only a $maybe would have bound is absent from now on. */
function lack(pattern, m) {
  const name = variable(pattern.$maybe);
  if (name && !m.scope.has(name)) {
    m.scope.set(name, ABSENT);
  }
  return null;
}

function checkObject(pattern, value, m) {
  if (!isObject(value)) {
    return `${m.at} is ${show(value)}, which is no object`;
  }
  const { $more = m.more, ...members } = pattern;
  const keys = Object.keys(members).map((key) => fillString(key, m.scope));
  const why = first(Object.entries(members), ([key, item], i) => {
    const at = m.at ? `${m.at}.${keys[i]}` : keys[i];
    if (Object.hasOwn(value, keys[i])) {
      return check(item, value[keys[i]], { ...m, at });
    }
    if (mayLack(item)) {
      return lack(item, m);
    }
    return m.scope.values[variable(item)] === ABSENT ? null
      : `${at} is missing`;
  });
  const extra = Object.keys(value).find((key) => !keys.includes(key));
  return why || ($more || extra === undefined ? null
    : `${m.at ? `${m.at}.` : ''}${extra} is more than was expected`);
}

function check(pattern, value, m) {
  if (typeof pattern === 'string') {
    return checkString(pattern, value, m);
  }
  if (Array.isArray(pattern)) {
    return checkList(pattern, value, m);
  }
  if (!isObject(pattern)) {
    return pattern === value ? null
      : `${m.at} is ${show(value)}, not ${show(pattern)}`;
  }
  const [operator, ...others] = Object.keys(pattern);
  if (others.length === 0 && Object.hasOwn(OPERATORS, operator)) {
    return OPERATORS[operator](pattern[operator], value, m);
  }
  return checkObject(pattern, value, m);
}

/*
 * Null where the value is as the pattern says, and its variables are bound
 * then; else what is wrong, in words.  options.more: objects may have members
 * that their pattern does not have.
 */
function match(pattern, value, scope, { more = false } = {}) {
  return attempt(pattern, value, { scope, more, at: '' });
}

module.exports = { ABSENT, Scope, fill, match };
