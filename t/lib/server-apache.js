'use strict';
/*
 * server-apache.js: what is Apache httpd's own about starting a server for a
 * test; the twin of server-nginx.js.
 *
 * Options of startServer that only it knows:
 *   mpm          'event' or 'worker' (or 'prefork', which is to be refused)
 *   serverLimit  children at a time, those that drain included; 4 for each
 *                worker
 *   modules      more modules to load, by their short names
 *   lines        more lines of configuration, of the main server (and of a
 *                location); or a function of the server's files that gives them
 *   hostLines    more lines in each virtual host
 */

const fs = require('fs');
const path = require('path');

const BINARY = process.env.WSIG_APACHE || '/usr/sbin/apache2';
const MODULES = process.env.WSIG_APACHE_MODULES || '/usr/lib/apache2/modules';
const BUILD = path.join(__dirname, '..', '..', 'build');
const MODULE = path.join(BUILD, 'mod_webrtc_signal.so');
const X_WORKER = path.join(BUILD, 'mod_x_worker.so');

const THREADS = 25; // of a child

/* mod_dumpio and the like are no part of it: they add filters. */
const USUAL = ['authz_core', 'authz_host', 'authz_user', 'authn_core',
               'authn_file', 'auth_basic', 'alias', 'dir', 'mime', 'headers',
               'setenvif', 'reqtimeout', 'socache_shmcb', 'ssl', 'status'];

/* Neutral values of `identity` and `realm`; others pass as they are. */
const VALUES = {
  remote_user: '%{REMOTE_USER}',
  cookie_user: '%{reqenv:COOKIE_USER}',
  host: '%{SERVER_NAME}',
  none: '',
};

const CAPITALS = { turn_ttl: 'TurnTTL' };

function directive(name) {
  return 'WebrtcSignal' + (CAPITALS[name] || name.split('_')
    .map((word) => word[0].toUpperCase() + word.slice(1)).join(''));
}

function quoted(value) {
  return /^[\w.:/$,=*%{}-]+$/.test(value) ? value
    : `"${value.replace(/["\\]/g, '\\$&')}"`;
}

function directives(settings, indent) {
  return Object.entries(settings || {}).map(([name, value]) => {
    const values = [].concat(value).map((v) => {
      const words = name === 'identity' || name === 'realm' ? VALUES : {};
      return quoted(Object.hasOwn(words, v) ? words[v] : String(v));
    });

    // a rate is written as two words: '50/s burst=200'
    const words = name === 'rate' ? String(value) : values.join(' ');
    return `${indent}${directive(name)} ${words}\n`;
  }).join('');
}

const KINDS = {
  signal: 'webrtc-signal',
  ice: 'webrtc-signal-ice',
  status: 'webrtc-signal-status',
};

function location(place, { kind, auth, settings, lines }, files) {
  return `    <Location ${place}>\n` +
    `        SetHandler ${KINDS[kind]}\n` +
    (auth ? `        AuthType Basic\n` +
            `        AuthName test\n` +
            `        AuthBasicProvider file\n` +
            `        AuthUserFile ${files.users}\n` +
            `        Require valid-user\n` : '') +
    directives(settings, '        ') +
    (lines || []).map((line) => `        ${line}\n`).join('') +
    `    </Location>\n`;
}

/* `_` and a regular expression are nginx's ways to have no name. */
function names(h) {
  const real = h.names.filter((name) => !/^[_~]/.test(name));
  const first = real.length > 0 && !real[0].startsWith('*') ? real.shift()
                                                            : null;
  return (first ? `    ServerName ${first}\n` : '') +
    (real.length > 0 ? `    ServerAlias ${real.join(' ')}\n` : '');
}

function host(h, port, ssl, o) {
  return `<VirtualHost 127.0.0.1:${port}>\n` +
    names(h) +
    (ssl ? `    SSLEngine on\n` : '') +
    directives(h.settings, '    ') +
    (o.hostLines || []).map((line) => `    ${line}\n`).join('') +
    Object.entries(h.locations)
      .map(([place, l]) => location(place, l, o.files)).join('') +
    `</VirtualHost>\n`;
}

function user() {
  if (process.getuid() !== 0) {
    return '';
  }
  const known = fs.readFileSync('/etc/passwd', 'utf8');
  return /^www-data:/m.test(known) ? 'User www-data\nGroup www-data\n'
                                   : 'User nobody\nGroup nogroup\n';
}

/* As many children as the test has workers, no more and no fewer: there are
 * never spare threads enough to end one, and too few when one is missing. */
function processes(o) {
  const all = THREADS * o.workers;
  if (o.mpm === 'prefork') {
    return `StartServers ${o.workers}\nMaxRequestWorkers ${all}\n`;
  }
  return `ServerLimit ${o.serverLimit || 4 * o.workers}\n` +
    `StartServers ${o.workers}\n` +
    `ThreadLimit ${THREADS}\n` +
    `ThreadsPerChild ${THREADS}\n` +
    `MaxRequestWorkers ${all}\n` +
    `MinSpareThreads ${all - THREADS + 1}\n` +
    `MaxSpareThreads ${all + THREADS}\n`;
}

/* The configuration, as {file name: text}; the first is the main file. */
function configure(o) {
  const { files, ports } = o;
  const load = (name, file) => `LoadModule ${name}_module ${file}\n`;

  return {
    'httpd.conf':
      `ServerRoot ${files.folder}\n` +
      [`mpm_${o.mpm || 'event'}`, ...USUAL, ...(o.modules || [])]
        .map((name) => load(name, `${MODULES}/mod_${name}.so`)).join('') +
      load('webrtc_signal', MODULE) +
      load('x_worker', X_WORKER) +
      user() +
      processes(o) +
      `PidFile ${files.folder}/httpd.pid\n` +
      `DefaultRuntimeDir ${files.folder}\n` +
      `ServerName localhost\n` +
      `Listen 127.0.0.1:${ports.http}\n` +
      `Listen 127.0.0.1:${ports.https}\n` +
      `ListenBacklog 4096\n` +
      `KeepAliveTimeout 30\n` +
      `ServerTokens Prod\n` +
      `ErrorLog ${files.log}\n` +
      `LogLevel warn core:info mpm_${o.mpm || 'event'}:info ` +
      `webrtc_signal:${o.logLevel}\n` +
      `CustomLog ${files.access} ` +
      `"%h %l %u %t \\"%r\\" %>s %O \\"%{User-agent}i\\""\n` +
      `TypesConfig ${files.folder}/mime.types\n` +
      `DirectoryIndex index.html\n` +
      `SSLProtocol ${o.sslProtocols || 'all'}\n` +
      `SSLSessionCache shmcb:${files.folder}/ssl_cache(512000)\n` +
      `SSLCertificateFile ${files.certificate}\n` +
      `SSLCertificateKeyFile ${files.key}\n` +
      `SetEnvIf Cookie "(?:^|; )user=([^;]*)" COOKIE_USER=$1\n` +
      `DocumentRoot ${files.root}\n` +
      `Alias /webrtc/ ${files.html}/\n` +
      `<Directory />\n    AllowOverride None\n    Require all denied\n` +
      `</Directory>\n` +
      `<Directory ${files.root}>\n    Require all granted\n</Directory>\n` +
      `<Directory ${files.html}>\n    Require all granted\n` +
      Object.entries(o.pageHeaders || {}).map(([name, value]) =>
        `    Header always set ${name} ${JSON.stringify(value)}\n`).join('') +
      `</Directory>\n` +
      `WebrtcSignalZone ${o.zone} ${o.zoneSize}\n` +
      // an eighth of nginx's connections is kept for pages, too
      `WebrtcSignalMaxConnections ${Math.floor(o.connections * 7 / 8)}\n` +
      (o.drain ? `WebrtcSignalDrain ${o.drain}\n` : '') +
      (typeof o.lines === 'function' ? o.lines(files) : o.lines || [])
        .map((line) => `${line}\n`).join('') +
      o.hosts.map((h) => host(h, ports.http, false, o)
                         + host(h, ports.https, true, o)).join(''),
    'mime.types':
      'text/html html\ntext/css css\ntext/javascript js mjs\n' +
      'image/svg+xml svg\nimage/png png\napplication/json json\n' +
      'text/plain txt\n',
  };
}

function command(o) {
  return [BINARY, ['-f', path.join(o.files.folder, 'httpd.conf'),
                   '-D', 'FOREGROUND']];
}

function checkCommand(o) {
  return [BINARY, ['-f', path.join(o.files.folder, 'httpd.conf'), '-t']];
}

/* All children look the same, so that it counts when they were there.  (One
 * that has ended has no command line.) */
function workerKind(commandLine, leaving) {
  return commandLine === '' ? null : leaving ? 'old' : 'new';
}

/* Lines of the log that must not be there: a child that crashed (AH00051,
 * AH00052) or did not end (AH00045 and what follows), a full scoreboard
 * (AH03490). */
const TROUBLE = new RegExp('\\[\\w*:(alert|emerg|crit)\\]|Sanitizer'
  + '|AH0005[12]:|AH0004[567]:|AH03490:');

/* What httpd itself says of a child that was killed on purpose. */
function killedLine(pid, signalNumber) {
  return new RegExp(`child pid ${pid} exit signal [^(]*\\(${signalNumber}\\)`);
}

/*
 * Until connections that their clients have closed are gone: a child of httpd
 * 2.4 that is told to stop while a thread of it frees a connection may crash,
 * without any module of ours, since its main thread closes that one, too
 * (close_worker_sockets in event.c).
 */
async function settle(ports, how) {
  if (how !== 'stop' && how !== 'restart') {
    return;
  }
  const ends = Object.values(ports).map((port) =>
    port.toString(16).toUpperCase().padStart(4, '0')).join('|');
  const held = new RegExp( // neither established nor listening, with an inode
    `^ *\\d+: \\w+:(${ends}) \\w+:\\w+ (?!01|0A)(\\S+ +){6}[1-9]`, 'm');
  for (let tries = 0; tries < 250; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    if (!held.test(fs.readFileSync('/proc/net/tcp', 'utf8'))) {
      return;
    }
  }
}

/* The level of a line of the log. */
function level(line) {
  const match = /\[\w*:(\w+)\] \[pid /.exec(line);
  return match && match[1];
}

/* What the check of a configuration says of a wrong value. */
function mistake(text, setting) {
  return text.split('\n').find((line) => line.includes(directive(setting)));
}

module.exports = {
  name: 'apache', configure, command, checkCommand, workerKind, TROUBLE,
  killedLine, level, mistake, settle,
  signals: { reload: 'SIGUSR1', quit: 'SIGWINCH', stop: 'SIGTERM',
             restart: 'SIGHUP' },
  conformance: [{ mpm: 'event' }, { mpm: 'worker' }],
  needs: [BINARY, MODULE, X_WORKER],
};
