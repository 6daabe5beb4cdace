#!/usr/bin/env node
'use strict';
/*
 * config/nginx.conf and config/httpd.conf as they stand, and what the server's
 * own check says of wrong values: each error names the directive, the value
 * and what is allowed.  The tables are those of both servers.
 */

const assert = require('assert');
const fs = require('fs');
const os = require('os');
const path = require('path');
const { execFileSync, spawn, spawnSync } = require('child_process');
const { servers, freePorts, until } = require('./lib/server');
const { get } = require('./lib/web');
const { test } = require('./lib/tap');

const TOP = path.join(__dirname, '..');
const MODULES = '/usr/lib/apache2/modules';
const SECRET = 'a secret of more than 16 bytes';
const prefix = fs.mkdtempSync(path.join(os.tmpdir(), 'wsig-config-'));
const children = new Set();
let port = 1; // of virtual hosts that nobody visits

process.on('exit', () => {
  children.forEach((child) => child.kill('SIGKILL'));
  fs.rmSync(prefix, { recursive: true, force: true });
});

function makePrefix() {
  fs.chmodSync(prefix, 0o755);
  for (const folder of ['config', 'run', 'root']) {
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
  secret('open', `${SECRET}\n`, 0o644);
  secret('short', 'short\n');
  secret('empty', '\n\n');
}

function secret(name, text, mode = 0o600) {
  fs.writeFileSync(`${prefix}/run/${name}`, text);
  fs.chmodSync(`${prefix}/run/${name}`, mode);
}

makePrefix();

/*
 * What differs between the servers.  Levels of a configuration are called
 * whole, host and location; RUN in a value is the folder with the secrets, as
 * the server reads relative paths.
 */
const KINDS = {
  nginx: {
    file: 'nginx.conf',
    command: ['/usr/sbin/nginx', '-t', '-p', prefix, '-c', 'config/nginx.conf'],
    run: '../run',
    wrong: /\[emerg\]/,
    endpoint: 'webrtc_signal',
    values: { host: '$host', user: '$remote_user' },
    directive: (name) => `webrtc_signal_${name}`,
    line: (words) => `${words};`,

    /* The smallest server, with more lines at each level. */
    server: ({ whole = '', host = '', location = '', more = '' }) =>
      `load_module build/ngx_http_webrtc_signal_module.so;
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
    ${whole}
    server {
        listen unix:${prefix}/run/socket;
        server_name example.org;
        ${host}
        location = /signal {
            webrtc_signal;
            ${location}
        }
    }
    ${more}
}
`,

    nameless: (name, line) => `server {
        listen unix:${prefix}/run/${Math.random()};
        ${name && `server_name ${name};`}
        location = /signal { webrtc_signal; ${line} }
    }
`,

    /* In the wrong place, twice, or without a value. */
    misplaced: [
      ['whole', 'webrtc_signal;', 'is not allowed here'],
      ['host', 'webrtc_signal_ice;', 'is not allowed here'],
      ['host', 'webrtc_signal_zone /dev/shm/a/zone 1m;', 'is not allowed here'],
      ['location', 'webrtc_signal_drain 1h;', 'is not allowed here'],
      ['location', 'webrtc_signal_ping 1m; webrtc_signal_ping 2m;',
       'duplicate'],
      ['location', 'webrtc_signal_guests "";', 'off, call or all is expected'],
      ['location', 'webrtc_signal_ping;', 'number of arguments'],
      ['location', 'webrtc_signal_guests off call;', 'number of arguments'],
    ],
  },

  apache: {
    file: 'httpd.conf',
    command: ['/usr/sbin/apache2', '-t', '-d', prefix, '-f',
              'config/httpd.conf'],
    run: 'run',
    wrong: /Syntax error on line \d+ of \S+httpd\.conf:/,
    endpoint: 'SetHandler webrtc-signal',
    values: { host: '%{HTTP_HOST}', user: '%{REMOTE_USER}' },
    directive: (name) => 'WebrtcSignal' + (name === 'turn_ttl' ? 'TurnTTL'
      : name.replace(/(?:^|_)(.)/g, (all, first) => first.toUpperCase())),
    line: (words) => words,

    server: ({ whole = '', host = '', location = '', more = '', port = 1 }) =>
      `LoadModule mpm_event_module ${MODULES}/mod_mpm_event.so
LoadModule authz_core_module ${MODULES}/mod_authz_core.so
LoadModule webrtc_signal_module build/mod_webrtc_signal.so
${process.getuid() === 0 ? 'User www-data\nGroup www-data' : ''}
DefaultRuntimeDir run
PidFile run/httpd.pid
ErrorLog run/error.log
DocumentRoot root
ServerName localhost
Listen 127.0.0.1:${port}
${whole}
<VirtualHost *:${port}>
    ServerName example.org
    ${host}
    <Location /signal>
        SetHandler webrtc-signal
        ${location}
    </Location>
</VirtualHost>
${more}
`,

    nameless: (name, line) => `<VirtualHost 127.0.0.1:${++port}>
    ${name && `ServerName ${name}`}
    <Location /signal>
        SetHandler webrtc-signal
        ${line}
    </Location>
</VirtualHost>
`,

    misplaced: [
      ['host', 'WebrtcSignalZone /dev/shm/a/zone 1m', 'cannot occur within'],
      ['location', 'WebrtcSignalZone /dev/shm/a/zone 1m', 'not allowed in'],
      ['host', 'WebrtcSignalDrain 1h', 'cannot occur within'],
      ['location', 'WebrtcSignalDrain 1h', 'not allowed in'],
      ['host', 'WebrtcSignalMaxConnections 9', 'cannot occur within'],
      ['location', 'WebrtcSignalMaxConnections 9', 'not allowed in'],
      ['whole', 'WebrtcSignalDrain 1h\nWebrtcSignalDrain 2h', 'duplicate'],
      ['location', 'WebrtcSignalPing 1m\nWebrtcSignalPing 2m', 'duplicate'],
      ['location', 'WebrtcSignalIdentity a\nWebrtcSignalIdentity b',
       'duplicate'],
      ['location', 'WebrtcSignalGuests ""', 'off, call or all'],
      ['location', 'WebrtcSignalPing', 'takes one argument'],
      ['location', 'WebrtcSignalOrigin', 'takes one argument or more'],
      ['location', 'WebrtcSignalGuests off call', 'takes one argument'],
      ['location', 'WebrtcSignalRealm %{HTTP_HOST', 'an expression such as'],
      ['location', 'WebrtcSignalIdentity %{no:thing}', 'an expression such as'],
      ['whole', 'WebrtcSignalMaxConnections 0', 'a number from 1 to'],
      ['whole', 'WebrtcSignalMaxConnections many', 'a number from 1 to'],
    ],
  },
};
/* What stands there as a comment, to be taken in. */
function withExamples(configuration) {
  const whole = configuration.replace(/^( *)#(?=\w)/gm, '$1');
  assert.notEqual(whole, configuration);
  return whole;
}

/* {ok, text} of the server's own check. */
function check(kind, configuration) {
  fs.writeFileSync(`${prefix}/config/${kind.file}`, configuration);
  const [binary, ...args] = kind.command;
  const run = spawnSync(binary, args, { encoding: 'utf8' });
  return { ok: run.status === 0, text: run.stdout + run.stderr };
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
  ['resume', '500ms', '0 alone, or a time such as 30s is expected, at least '
   + '1s and at most 1h'],
  ['resume', '61m', EXPECTED.time],
  ['resume', 'off', EXPECTED.time],
  ['ice_server', 'http://example.org', EXPECTED.url],
  ['ice_server', 'stun:', EXPECTED.url],
  ['ice_server', 'stun:example.org:0', EXPECTED.url],
  ['ice_server', 'turn:example.org:70000', EXPECTED.url],
  ['ice_server', 'turn:example.org?transport=sctp', EXPECTED.url],
  ['ice_server', 'stun:a.org stun:example.org?transport=udp', EXPECTED.url,
   'stun:example.org?transport=udp'],
  ['turn_ttl', '0', EXPECTED.time],
  ['turn_ttl', '8d', 'at least 1s and at most 7d'],
  ['turn_secret_file', 'RUN/absent', 'No such file', 'run/absent'],
  ['turn_secret_file', 'RUN', 'is not a file', 'run'],
  ['turn_secret_file', 'RUN/open', 'owner and group only', 'run/open'],
  ['turn_secret_file', 'RUN/short', 'at least 16 bytes', 'run/short'],
  ['turn_secret_file', 'RUN/empty', 'holds no secret', 'run/empty'],
  ['zone', '/dev/shm/wsig-config/zone 1k', EXPECTED.size, '1k'],
  ['zone', '/dev/shm/wsig-config/zone 9g', EXPECTED.size, '9g'],
  ['zone', '/dev/shm/wsig-config/zone much', EXPECTED.size, 'much'],
  ['zone', `/dev/shm/${'x'.repeat(80)}/zone 1m`, '80', 'x'.repeat(40)],
  ['drain', 'x', EXPECTED.time],
  ['drain', '-1s', EXPECTED.time],
];

const WHOLE_ONLY = new Set(['zone', 'drain']);

/* All that the README's table offers, at each of its levels. */
const right = [
  'realm HOST', 'realm calls', 'identity USER', 'identity ""', 'guests off',
  'guests call', 'guests all', 'origin same', 'origin any',
  'origin https://example.org https://[::1]:8443 http://a.org:80',
  'max_message 256k', 'max_backlog 16m', 'max_peers 0', 'max_peers 100000',
  'rate 0', 'rate 1/s', 'rate 50/s burst=200', 'ping 500s', 'ping 1m',
  'hello_timeout 100ms', 'ring_timeout 1h', 'resume 0', 'resume 1h',
  'ice_server stun:a.org',
  'ice_server stuns:[::1]:5349 stun:192.0.2.1:3478',
  'turn_secret_file RUN/turn.secret', 'turn_ttl 1d',
];

/* 'ping 1m' as this server writes it. */
function setting(kind, words) {
  const [name, ...values] = words.split(' ');
  const text = values.join(' ').replace('HOST', kind.values.host)
    .replace('USER', kind.values.user).replace('RUN', kind.run);
  return kind.line(`${kind.directive(name)} ${text}`);
}

function tests(server) {
  const kind = KINDS[server];
  const tried = (levels) => check(kind, kind.server(levels));

  test(`config/${kind.file} is right, also with its examples`, async () => {
    const standing = fs.readFileSync(`${TOP}/config/${kind.file}`, 'utf8');
    for (const configuration of [standing, withExamples(standing)]) {
      const { ok, text } = check(kind, configuration);
      assert(ok, text);
      const said = text.split('\n').filter((line) =>
        line && !/"user" directive makes sense only/.test(line)
        && !/Syntax OK|syntax is ok|test is successful/.test(line));
      assert.deepEqual(said, []);
    }
  });

  test(`${server}: a check makes no zone`, async () => {
    const zone = `/dev/shm/wsig-config-${process.pid}/zone`;
    const { ok, text } =
      tried({ whole: setting(kind, `zone ${zone} 1m`) });
    assert(ok, text);
    assert(!fs.existsSync(path.dirname(zone)));
  });

  for (const [name, values, allowed, value = values] of wrong) {
    const line = setting(kind, `${name} ${values}`);
    test(`${server}: ${line.slice(0, 60)}`, async () => {
      const { ok, text } =
        tried({ [WHOLE_ONLY.has(name) ? 'whole' : 'location']: line });
      assert(!ok, 'was taken');
      assert.match(text, kind.wrong);
      for (const word of [`"${kind.directive(name)}"`, allowed,
                          value.replace('RUN', 'run')]) {
        assert(text.includes(word), `no "${word}" in: ${text}`);
      }
      assert(!text.includes(SECRET) && !text.includes('short\n'), text);
    });
  }

  test(`${server}: right values, at each level`, async () => {
    for (const words of right) {
      for (const level of ['whole', 'host', 'location']) {
        const { ok, text } = tried({ [level]: setting(kind, words) });
        assert(ok, `${words}, ${level}: ${text}`);
      }
    }
    for (const words of ['drain 60s', 'drain 0']) {
      const { ok, text } = tried({ whole: setting(kind, words) });
      assert(ok, text);
    }
  });

  test(`${server}: in the wrong place, twice, without a value`, async () => {
    for (const [level, line, word] of kind.misplaced) {
      const { ok, text } = tried({ [level]: line });
      assert(!ok, `${line} was taken in ${level}`);
      assert(text.includes(word), text);
      assert(text.includes(line.split(/[ ;]/)[0]), text);
    }
  });

  const place = (name) =>
    new RegExp(`"${kind.directive(name)}" in location "/signal" of the `
               + '(server|host) in \\S+:\\d+: ');

  test(`${server}: turn: without a secret`, async () => {
    for (const level of ['whole', 'host', 'location']) {
      const { ok, text } =
        tried({ [level]: setting(kind, 'ice_server turn:a.org') });
      assert(!ok);
      assert.match(text, place('ice_server'));
      assert.match(text, /"turn:a\.org" needs a secret/);
    }
    assert(tried({ whole: setting(kind, 'turn_secret_file RUN/turn.secret'),
                   location: setting(kind, 'ice_server turn:a.org') }).ok);
  });

  test(`${server}: a backlog smaller than a message`, async () => {
    const { ok, text } = tried({ host: setting(kind, 'max_message 64k'),
                                 location: setting(kind, 'max_backlog 32k') });
    assert(!ok);
    assert.match(text, place('max_backlog'));
    assert.match(text, /the backlog of 32k .* 64k/);
  });

  test(`${server}: two hosts without a name ask for a realm`, async () => {
    const names = server === 'nginx' ? [['', ''], ['_', ''], ['~^a', '_']]
                                     : [['', ''], ['_', '']];
    for (const [one, other] of names) {
      const both = (line) => tried({ more: kind.nameless(one, '')
                                           + kind.nameless(other, line) });
      const { ok, text } = both('');
      assert(!ok, `"${one}" and "${other}" were taken`);
      assert(text.includes(kind.directive('realm')), text);
      assert(text.includes(`"${kind.endpoint}"`), text);
      const said = both(setting(kind, 'realm other'));
      assert(said.ok, said.text);
    }
  });
}

/* Run the server of KINDS.apache with these lines while visit(base) goes on;
 * returns what it logged. */
async function runApache(levels, visit) {
  const [listen] = await freePorts(1);
  const zone = `/dev/shm/wsig-config-${process.pid}/zone`;
  fs.writeFileSync(`${prefix}/config/httpd.conf`, KINDS.apache.server({
    ...levels, port: listen,
    whole: `WebrtcSignalZone ${zone} 1m\n${levels.whole}` }));
  fs.rmSync(`${prefix}/run/error.log`, { force: true });
  const child = spawn('/usr/sbin/apache2', ['-d', prefix, '-f',
    'config/httpd.conf', '-DFOREGROUND'], { stdio: 'ignore' });
  const gone = new Promise((resolve) => { child.on('close', resolve); });
  children.add(child);
  const base = `http://127.0.0.1:${listen}`;
  await until(() => get(base, '/').catch(() => false), 10000, 'httpd');
  try {
    await visit(base);
  } finally {
    child.kill('SIGTERM');
    await gone;
    children.delete(child);
    fs.rmSync(path.dirname(zone), { recursive: true, force: true });
  }
  return fs.readFileSync(`${prefix}/run/error.log`, 'utf8');
}

/* What .htaccess may say under which AllowOverride. */
const HTACCESS = {
  AuthConfig: ['WebrtcSignalIdentity %{REMOTE_USER}',
               'WebrtcSignalGuests call'],
  Limit: ['WebrtcSignalOrigin https://a.test'],
  FileInfo: ['WebrtcSignalIceServer stun:a.test', 'SetHandler webrtc-signal'],
  never: ['WebrtcSignalRealm other', 'WebrtcSignalMaxMessage 1k',
          'WebrtcSignalMaxBacklog 1m', 'WebrtcSignalMaxPeers 0',
          'WebrtcSignalRate 0', 'WebrtcSignalPing 1h',
          'WebrtcSignalHelloTimeout 1h', 'WebrtcSignalRingTimeout 1h',
          'WebrtcSignalResume 0',
          'WebrtcSignalTurnSecretFile run/turn.secret',
          'WebrtcSignalTurnTTL 7d', 'WebrtcSignalZone /dev/shm/x/zone 1m',
          'WebrtcSignalDrain 1h', 'WebrtcSignalMaxConnections 1'],
};

function apacheTests() {
  test('config/webrtc_signal.conf is right, also with examples', async () => {
    const conf = fs.readFileSync(`${TOP}/config/webrtc_signal.conf`, 'utf8');
    for (const whole of [conf, withExamples(conf)]) {
      const { ok, text } =
        check(KINDS.apache, KINDS.apache.server({ whole }));
      assert(ok, text);
    }
  });

  test('apache: no place for children that drain is a warning', async () => {
    const warned = /:warn\].*"ServerLimit" 4 leaves no place .* more than 4 is/;
    for (const [limit, expected] of [[4, true], [5, false]]) {
      const { ok, text } =
        check(KINDS.apache, KINDS.apache.server({ whole: 'ThreadsPerChild 25\n'
          + `MaxRequestWorkers 100\nServerLimit ${limit}` }));
      assert(ok, text);
      assert.equal(warned.test(text), expected, text);
    }
  });

  const OVERRIDES = ['None', 'AuthConfig', 'Limit', 'FileInfo', 'All', 'List'];
  const folder = (override) => `${prefix}/root/${override}`;
  const whole = OVERRIDES.map((override) => {
    fs.mkdirSync(folder(override));
    return `<Directory ${folder(override)}>
    ${override === 'List' ? 'AllowOverrideList WebrtcSignalIceServer'
                          : `AllowOverride ${override}`}
</Directory>`;
  }).join('\n');
  const host = '<LocationMatch "^/[A-Z]\\w+/signal$">\n' +
    'SetHandler webrtc-signal\n</LocationMatch>';

  /* The status of a plain request for an endpoint in that folder: 426 is what
   * a working one says. */
  async function ask(base, override, lines, headers = {}) {
    fs.writeFileSync(`${folder(override)}/.htaccess`, `${lines}\n`);
    const { status } = await get(base, `/${override}/signal`, { headers });
    return status;
  }

  test('apache: .htaccess may say what AllowOverride lets it', async () => {
    let refused = 0;
    const log = await runApache({ whole, host }, async (base) => {
      for (const [needs, lines] of Object.entries(HTACCESS)) {
        for (const override of OVERRIDES) {
          for (const line of lines) {
            const may = override === 'None' || override === needs
              || (override === 'All' && needs !== 'never')
              || (override === 'List' && /IceServer/.test(line));
            refused += !may;
            assert.equal(await ask(base, override, line), may ? 426 : 500,
                         `${line}, AllowOverride ${override}`);
          }
        }
      }
    });
    assert.equal(log.match(/\.htaccess: \w+ not allowed here/g).length,
                 refused);
  });

  test('apache: a wrong value in .htaccess is told in the log', async () => {
    const log = await runApache({ whole, host }, async (base) => {
      for (const line of ['WebrtcSignalGuests some',
                          'WebrtcSignalOrigin a.test',
                          'WebrtcSignalIceServer turn:a.test']) {
        assert.equal(await ask(base, 'All', line), 500, line);
      }
    });
    for (const words of [
      '"WebrtcSignalGuests": invalid value "some": off, call or all',
      '"WebrtcSignalOrigin": invalid value "a.test": same or any',
      '"WebrtcSignalIceServer": "turn:a.test" needs a secret']) {
      assert(log.includes(words), log);
    }
  });

  test('apache: what .htaccess says counts', async () => {
    const handshake = { Connection: 'Upgrade', Upgrade: 'websocket',
      'Sec-WebSocket-Version': '13', Origin: 'https://b.test',
      'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAAAA==' };
    await runApache({ whole, host }, async (base) => {
      for (const override of ['Limit', 'All']) {
        assert.equal(await ask(base, override,
          'WebrtcSignalOrigin https://a.test', handshake), 403);
      }
    });
  });
}

for (const server of servers) {
  tests(server);
  if (server === 'apache') {
    apacheTests();
  }
}
