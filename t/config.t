#!/usr/bin/env node
'use strict';
/*
 * config/nginx.conf as it stands, and what `nginx -t` says of wrong values:
 * each error names the directive, the value and what is allowed.
 */

const assert = require('assert');
const fs = require('fs');
const os = require('os');
const path = require('path');
const { execFileSync, spawnSync } = require('child_process');
const { test } = require('./lib/tap');

const TOP = path.join(__dirname, '..');
const STANDING = fs.readFileSync(`${TOP}/config/nginx.conf`, 'utf8');
const SECRET = 'a secret of more than 16 bytes';
const prefix = fs.mkdtempSync(path.join(os.tmpdir(), 'wsig-config-'));

process.on('exit', () => fs.rmSync(prefix, { recursive: true, force: true }));

function makePrefix() {
  for (const folder of ['config', 'run']) {
    fs.mkdirSync(`${prefix}/${folder}`);
  }
  for (const link of ['build', 'html']) {
    fs.symlinkSync(`${TOP}/${link}`, `${prefix}/${link}`);
  }
  const run = `${prefix}/run`;
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt',
    'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=localhost',
    '-keyout', `${run}/key.pem`, '-out', `${run}/cert.pem`],
    { stdio: 'ignore' });
  secret('turn.secret', `${SECRET}\n`);
}

function secret(name, text, mode = 0o600) {
  fs.writeFileSync(`${prefix}/run/${name}`, text);
  fs.chmodSync(`${prefix}/run/${name}`, mode);
}

/* {ok, text} of nginx -t. */
function check(configuration) {
  fs.writeFileSync(`${prefix}/config/nginx.conf`, configuration);
  const run = spawnSync('/usr/sbin/nginx',
    ['-t', '-p', prefix, '-c', 'config/nginx.conf'], { encoding: 'utf8' });
  return { ok: run.status === 0, text: run.stdout + run.stderr };
}

/* The smallest server, with more lines at each level. */
function server({ http = '', server: lines = '', location = '', more = '' }) {
  return `load_module build/ngx_http_webrtc_signal_module.so;
pid run/nginx.pid;
error_log run/error.log;
events {}
http {
    access_log off;
    client_body_temp_path run/client_body;
    proxy_temp_path run/proxy;
    fastcgi_temp_path run/fastcgi;
    uwsgi_temp_path run/uwsgi;
    scgi_temp_path run/scgi;
    ${http}
    server {
        listen unix:${prefix}/run/socket;
        server_name example.org;
        ${lines}
        location = /signal {
            webrtc_signal;
            ${location}
        }
    }
    ${more}
}
`;
}

/* Directive without its prefix, values, what the error has to say. */
const EXPECTED = {
  size: 'a size such as 64k is expected',
  time: 'a time such as 30s is expected',
  origin: 'same or any alone, or origins such as https://example.org:8443',
  url: 'stun:, stuns:, turn: or turns:, a host, a port',
};

const wrong = [
  ['guests', 'some', 'off, call or all is expected'],
  ['guests', '""', 'off, call or all is expected'],
  ['origin', 'example.org', EXPECTED.origin],
  ['origin', 'https://example.org/', EXPECTED.origin],
  ['origin', 'https://', EXPECTED.origin],
  ['origin', 'https://example.org:0', EXPECTED.origin],
  ['origin', 'https://example.org:65536', EXPECTED.origin],
  ['origin', 'https://a.org same', EXPECTED.origin, 'same'],
  ['max_message', '0', EXPECTED.size],
  ['max_message', '1023', 'at least 1k and at most 256k'],
  ['max_message', '257k', 'at least 1k and at most 256k'],
  ['max_message', '64kb', EXPECTED.size],
  ['max_message', '-1', EXPECTED.size],
  ['max_message', '18446744073709551617', EXPECTED.size],
  ['max_backlog', '17m', 'at least 1k and at most 16m'],
  ['max_backlog', 'big', EXPECTED.size],
  ['max_peers', '-1', 'a number from 0 to'],
  ['max_peers', '10k', 'a number from 0 to'],
  ['max_peers', '99999999999', 'a number from 0 to'],
  ['rate', '50', 'a rate such as 50/s is expected'],
  ['rate', '50/m', 'a rate such as 50/s is expected'],
  ['rate', '0/s', 'a rate such as 50/s is expected'],
  ['rate', '50/s burst', 'burst=N is expected', 'burst'],
  ['rate', '50/s burst=0', 'burst=N is expected', 'burst=0'],
  ['rate', '50/s burst=x', 'burst=N is expected', 'burst=x'],
  ['ping', '0', EXPECTED.time],
  ['ping', '999ms', 'at least 1s and at most 1h'],
  ['ping', '2h', 'at least 1s and at most 1h'],
  ['ping', '25sec', EXPECTED.time],
  ['hello_timeout', '0', EXPECTED.time],
  ['hello_timeout', 'never', EXPECTED.time],
  ['ring_timeout', '0s', EXPECTED.time],
  ['ring_timeout', '1.5m', EXPECTED.time],
  ['ice_server', 'http://example.org', EXPECTED.url],
  ['ice_server', 'stun:', EXPECTED.url],
  ['ice_server', 'stun:example.org:0', EXPECTED.url],
  ['ice_server', 'turn:example.org:70000', EXPECTED.url],
  ['ice_server', 'turn:example.org?transport=sctp', EXPECTED.url],
  ['ice_server', 'stun:a.org stun:example.org?transport=udp', EXPECTED.url,
   'stun:example.org?transport=udp'],
  ['turn_ttl', '0', EXPECTED.time],
  ['turn_ttl', '8d', 'at least 1s and at most 7d'],
  ['turn_secret_file', '../run/absent', 'No such file', 'run/absent'],
  ['turn_secret_file', '../run', 'is not a file', 'run'],
  ['turn_secret_file', '../run/open', 'owner and group only', 'run/open'],
  ['turn_secret_file', '../run/short', 'at least 16 bytes', 'run/short'],
  ['turn_secret_file', '../run/empty', 'holds no secret', 'run/empty'],
  ['zone', '/dev/shm/wsig-config/zone 1k', EXPECTED.size, '1k'],
  ['zone', '/dev/shm/wsig-config/zone 9g', EXPECTED.size, '9g'],
  ['zone', '/dev/shm/wsig-config/zone much', EXPECTED.size, 'much'],
  ['zone', `/dev/shm/${'x'.repeat(80)}/zone 1m`, '80', 'x'.repeat(40)],
  ['drain', 'x', EXPECTED.time],
  ['drain', '-1s', EXPECTED.time],
];

const HTTP_ONLY = new Set(['zone', 'drain']);

test('config/nginx.conf is right as it stands', async () => {
  makePrefix();
  secret('open', `${SECRET}\n`, 0o644);
  secret('short', 'short\n');
  secret('empty', '\n\n');
  const { ok, text } = check(STANDING);
  assert(ok, text);
  assert.doesNotMatch(text, /\[(emerg|alert|crit|error)\]/);
  const warnings = text.split('\n').filter((line) => /\[warn\]/.test(line))
    .filter((line) => !/"user" directive makes sense only/.test(line));
  assert.deepEqual(warnings, []);
});

test('a check makes no zone', async () => {
  const zone = `/dev/shm/wsig-config-${process.pid}/zone`;
  const { ok, text } =
    check(server({ http: `webrtc_signal_zone ${zone} 1m;` }));
  assert(ok, text);
  assert(!fs.existsSync(path.dirname(zone)));
});

for (const [name, values, allowed, value = values] of wrong) {
  const line = `webrtc_signal_${name} ${values};`;
  test(line.slice(0, 72), async () => {
    const level = HTTP_ONLY.has(name) ? 'http' : 'location';
    const { ok, text } = check(server({ [level]: line }));
    assert(!ok, 'was taken');
    assert.match(text, /\[emerg\]/);
    for (const word of [`webrtc_signal_${name}`, value.replace('""', ''),
                        allowed]) {
      assert(text.includes(word), `no "${word}" in: ${text}`);
    }
    assert(!text.includes(SECRET) && !text.includes('short\n'), text);
  });
}

/* All that the README's table offers, at each of its levels. */
const right = [
  'realm $host', 'realm calls', 'identity $remote_user', 'guests off',
  'guests call', 'guests all', 'origin same', 'origin any',
  'origin https://example.org https://[::1]:8443 http://a.org:80',
  'max_message 256k', 'max_backlog 16m', 'max_peers 0', 'max_peers 100000',
  'rate 0', 'rate 1/s', 'rate 50/s burst=200', 'ping 500s', 'ping 1m',
  'hello_timeout 100ms', 'ring_timeout 1h', 'ice_server stun:a.org',
  'ice_server stuns:[::1]:5349 stun:192.0.2.1:3478',
  'turn_secret_file ../run/turn.secret', 'turn_ttl 1d',
];

test('right values, at http, server and location', async () => {
  for (const setting of right) {
    for (const level of ['http', 'server', 'location']) {
      const { ok, text } =
        check(server({ [level]: `webrtc_signal_${setting};` }));
      assert(ok, `${setting} in ${level}: ${text}`);
    }
  }
  for (const http of ['webrtc_signal_drain 60s;', 'webrtc_signal_drain 0;']) {
    const { ok, text } = check(server({ http }));
    assert(ok, text);
  }
});

test('a directive in the wrong place, twice, or without a value', async () => {
  for (const [level, line, word] of [
    ['http', 'webrtc_signal;', 'is not allowed here'],
    ['server', 'webrtc_signal_ice;', 'is not allowed here'],
    ['server', 'webrtc_signal_zone /dev/shm/a/zone 1m;', 'is not allowed here'],
    ['location', 'webrtc_signal_drain 1h;', 'is not allowed here'],
    ['location', 'webrtc_signal_ping 1m; webrtc_signal_ping 2m;', 'duplicate'],
    ['location', 'webrtc_signal_ping;', 'number of arguments'],
    ['location', 'webrtc_signal_guests off call;', 'number of arguments'],
  ]) {
    const { ok, text } = check(server({ [level]: line }));
    assert(!ok, `${line} was taken in ${level}`);
    assert(text.includes(word), text);
    assert(text.includes(line.split(/[ ;]/)[0]), text);
  }
});

test('turn: without a secret', async () => {
  const { ok, text } =
    check(server({ location: 'webrtc_signal_ice_server turn:a.org;' }));
  assert(!ok);
  assert.match(text, /"webrtc_signal_ice_server" in location "\/signal": "turn:a\.org" needs a secret/);
});

test('a backlog smaller than a message', async () => {
  const { ok, text } = check(server({ location:
    'webrtc_signal_max_message 64k; webrtc_signal_max_backlog 32k;' }));
  assert(!ok);
  assert.match(text, /"webrtc_signal_max_backlog" in location "\/signal": the backlog of 32k .* 64k/);
});

test('two servers without a usable name ask for a realm', async () => {
  const nameless = (name, line) => `server {
        listen unix:${prefix}/run/${Math.random()};
        ${name}
        location = /signal { webrtc_signal; ${line} }
    }`;
  for (const [one, other] of [['', ''], ['server_name _;', ''],
                              ['server_name ~^a;', 'server_name _;']]) {
    const both = (line) => check(server({ more: nameless(one, '')
                                               + nameless(other, line) }));
    const { ok, text } = both('');
    assert(!ok, `"${one}" and "${other}" were taken`);
    assert.match(text, /webrtc_signal_realm/);
    assert(both('webrtc_signal_realm other;').ok);
  }
});
