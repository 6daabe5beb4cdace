'use strict';
/*
 * server-nginx.js: what is nginx's own about starting a server for a test:
 * its configuration text, its command, its signals and its words in the log.
 * server.js knows the rest; another server is another file like this one.
 */

const fs = require('fs');
const path = require('path');

const BINARY = process.env.WSIG_NGINX || '/usr/sbin/nginx';
const MODULE = path.join(__dirname, '..', '..', 'build',
                         'ngx_http_webrtc_signal_module.so');

/* Neutral values of `identity` and `realm`; others pass as they are. */
const VALUES = {
  remote_user: '$remote_user',
  cookie_user: '$cookie_user',
  host: '$host',
  none: '""',
};

function quoted(value) {
  return /^[\w.:/$,=*-]+$/.test(value) ? value : JSON.stringify(String(value));
}

function directives(settings, indent) {
  return Object.entries(settings || {}).map(([name, value]) => {
    const values = [].concat(value).map((v) => {
      const words = name === 'identity' || name === 'realm' ? VALUES : {};
      return quoted(Object.hasOwn(words, v) ? words[v] : String(v));
    });

    // a rate is written as two words: '50/s burst=200'
    const words = name === 'rate' ? String(value) : values.join(' ');
    return `${indent}webrtc_signal_${name} ${words};\n`;
  }).join('');
}

const KINDS = {
  signal: 'webrtc_signal;',
  ice: 'webrtc_signal_ice;',
  status: 'webrtc_signal_status;',
};

function location(place, { kind, auth, settings }, files) {
  return `        location = ${place} {\n` +
    `            ${KINDS[kind]}\n` +
    (auth ? `            auth_basic "test";\n` +
            `            auth_basic_user_file ${files.users};\n` : '') +
    directives(settings, '            ') +
    `        }\n`;
}

function host(h, first, o) {
  const { files, ports } = o;
  const listen = (port, words) => `        listen 127.0.0.1:${port}${words}` +
    `${first && o.reuseport ? ' reuseport' : ''}` +
    `${first ? ' default_server backlog=4096' : ''};\n`;

  return `    server {\n` +
    listen(ports.http, '') + listen(ports.https, ' ssl') +
    `        server_name ${h.names.join(' ')};\n` +
    directives(h.settings, '        ') +
    Object.entries(h.locations)
      .map(([place, l]) => location(place, l, files)).join('') +
    `        location /webrtc/ {\n` +
    `            alias ${files.html}/;\n` +
    Object.entries(o.pageHeaders || {}).map(([name, value]) =>
      `            add_header ${name} ${JSON.stringify(value)} always;\n`)
      .join('') +
    `        }\n` +
    `        location / {\n            root ${files.root};\n        }\n` +
    `    }\n`;
}

function user() {
  if (process.getuid() !== 0) {
    return '';
  }
  const known = fs.readFileSync('/etc/passwd', 'utf8');
  return /^www-data:/m.test(known) ? 'user www-data;\n'
                                   : 'user nobody nogroup;\n';
}

/* The configuration, as {file name: text}; the first is the main file. */
function configure(o) {
  const { files } = o;
  const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((t) => `    ${t}_temp_path ${files.folder}/temp_${t};\n`).join('');

  return {
    'nginx.conf':
      `load_module ${MODULE};\n` +
      user() +
      `daemon off;\n` +
      `worker_processes ${o.workers};\n` +
      `worker_rlimit_nofile ${Math.max(4096, o.connections + 512)};\n` +
      `pid ${files.folder}/nginx.pid;\n` +
      `error_log ${files.log} ${o.logLevel};\n` +
      `events {\n    worker_connections ${o.connections};\n}\n` +
      `http {\n` + temp +
      `    access_log ${files.access};\n` +
      `    types {\n` +
      `        text/html html;\n        text/css css;\n` +
      `        text/javascript js mjs;\n        image/svg+xml svg;\n` +
      `        image/png png;\n        application/json json;\n` +
      `        text/plain txt;\n    }\n` +
      `    default_type application/octet-stream;\n` +
      `    keepalive_timeout 30s;\n` +
      `    server_tokens off;\n` +
      `    ssl_certificate ${files.certificate};\n` +
      `    ssl_certificate_key ${files.key};\n` +
      (o.sslProtocols ? `    ssl_protocols ${o.sslProtocols};\n` : '') +
      `    add_header X-Worker $pid always;\n` +
      `    webrtc_signal_zone ${o.zone} ${o.zoneSize};\n` +
      (o.drain ? `    webrtc_signal_drain ${o.drain};\n` : '') +
      o.hosts.map((h, i) => host(h, i === 0, o)).join('') +
      `}\n`,
  };
}

function command(o) {
  return [BINARY, ['-p', o.files.folder, '-e', o.files.log,
                   '-c', path.join(o.files.folder, 'nginx.conf')]];
}

function checkCommand(o) {
  const [binary, args] = command(o);
  return [binary, [...args, '-t']];
}

/* Is this command line a worker's?  'new', or 'old' (asked to leave: it says so
 * itself), or null. */
function workerKind(commandLine) {
  if (!/^nginx: worker process/.test(commandLine)) {
    return null;
  }
  return /shutting down/.test(commandLine) ? 'old' : 'new';
}

/* Lines of the log that must not be there. */
const TROUBLE = / \[(alert|emerg|crit)\] |Sanitizer|core dumped|exited on signal/;

/* What nginx itself says of a worker that was killed on purpose. */
function killedLine(pid, signalNumber) {
  return new RegExp(`worker process ${pid} exited on signal ${signalNumber}`);
}

/* The level of a line of the log. */
function level(line) {
  const match = / \[(\w+)\] /.exec(line);
  return match && match[1];
}

/* What the check of a configuration says of a wrong value. */
function mistake(text, setting) {
  return text.split('\n').find((line) => line.includes('[emerg]')
                                && line.includes(`webrtc_signal_${setting}`));
}

module.exports = {
  name: 'nginx', configure, command, checkCommand, workerKind, TROUBLE,
  killedLine, level, mistake,
  signals: { reload: 'SIGHUP', quit: 'SIGQUIT', stop: 'SIGTERM' },
  conformance: [{}],
  needs: [BINARY, MODULE],
};
