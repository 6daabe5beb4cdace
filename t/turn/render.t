#!/usr/bin/env node
'use strict';
/*
 * config/turnserver.sh: what it writes, for whom, what it refuses and in which
 * words, and that no secret shows on the way.
 */

const assert = require('assert');
const crypto = require('crypto');
const fs = require('fs');
const os = require('os');
const path = require('path');
const { execFileSync, spawnSync } = require('child_process');
const { test } = require('../lib/tap');
const { startTurn } = require('../lib/turn');
const { connect } = require('../lib/turn-client');

const RENDERER = path.join(__dirname, '../../config/turnserver.sh');
const ROOT = process.getuid() === 0;
const USER = ROOT ? 'turnserver' : os.userInfo().username;
const NOBODY = 65534;
const SECRET = 'hush-0123456789abcdef';
const OLDER = 'hush of another time';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'wsig-render-'));
const at = (name) => path.join(folder, name);
fs.chmodSync(folder, 0o755); // whoever renders comes in

process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }));

function write(name, text, mode = 0o600) {
  fs.writeFileSync(at(name), text);
  fs.chmodSync(at(name), mode);
  return at(name);
}

function openssl(...args) {
  execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' });
}

function certificate(name, ...more) {
  openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt',
          'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj',
          '/CN=example.org', '-addext', 'subjectAltName=DNS:example.org',
          '-keyout', `${name}.key`, '-out', `${name}.pem`, ...more);
  fs.chmodSync(at(`${name}.key`), 0o644); // of a test, for whoever renders
}

certificate('a');
certificate('b');
write('secret', `${SECRET}\n${OLDER}\n`);

const GOOD = { '--realm': 'example.org', '--secret-file': at('secret'),
               '--cert': at('a.pem'), '--key': at('a.key') };

/* {code, out, err} of the renderer with these arguments. */
function run(args, options = {}) {
  const done = spawnSync(RENDERER, args, { cwd: folder, encoding: 'utf8',
                                           ...options });
  return { code: done.status, out: done.stdout, err: done.stderr };
}

/* Good options but for `changes`: another value, a list, or null for none. */
function render(changes = {}, file = at('out'), options = {}) {
  const args = Object.entries({ ...GOOD, ...changes })
    .filter(([, value]) => value !== null)
    .flatMap(([name, value]) => [].concat(value).flatMap((v) => [name, v]));
  return run([...args, file], options);
}

/* The lines of FILE that are no comments. */
function lines(file = at('out')) {
  return fs.readFileSync(file, 'utf8').split('\n')
    .filter((line) => line && !line.startsWith('#'));
}

/* Changes, and what the one error says beside the name of the first. */
function refuses(changes, expected, options = {}) {
  const before = fs.readdirSync(folder).sort();
  const { code, out, err } = render(changes, options.file || at('none'),
                                    options);
  const { named = Object.keys(changes)[0] } = options;
  const told = `${JSON.stringify(changes)}: ${err}`;
  assert.equal(code, 1, told);
  assert(err.includes(`turnserver.sh: ${named}`), told);
  for (const words of [].concat(expected)) {
    assert(err.includes(words), told);
  }
  assert.equal(out, '');
  assert(!err.includes('hush'), told);
  assert.deepEqual(fs.readdirSync(folder).sort(), before, told);
}

test('--help tells the options', async () => {
  const { code, out, err } = run(['--help']);
  assert.deepEqual([code, err], [0, '']);
  for (const option of ['realm', 'secret-file', 'cert', 'key', 'external-ip',
                        'listening-ip', 'port', 'tls-port', 'allow-peer',
                        'user', 'template']) {
    assert(out.includes(`--${option} `), option);
  }
  assert(out.split('\n').every((line) => line.length <= 80));
});

test('what it writes, whose it is, and what comes next', async () => {
  const { code, out, err } = render();
  assert.deepEqual([code, err], [0, '']);
  const found = fs.statSync(at('out'));
  assert.equal(found.mode & 0o777, 0o600);
  assert.equal(execFileSync('stat', ['-c', '%U', at('out')], {
    encoding: 'utf8' }).trim(), USER);

  const result = lines();
  for (const line of ['realm=example.org', 'listening-port=3478',
                      'tls-listening-port=5349', `cert=${at('a.pem')}`,
                      `pkey=${at('a.key')}`, 'use-auth-secret']) {
    assert(result.includes(line), line);
  }
  assert.deepEqual(result.filter((line) => /secret=/.test(line)),
                   [`static-auth-secret=${SECRET}`,
                    `static-auth-secret=${OLDER}`]);
  assert(result.every((line) => !/@[A-Z_]+@/.test(line)));

  assert(out.startsWith(`wrote ${at('out')}, with 2 secrets\n`
    + `Start coturn, as user ${USER}: `), out);
  assert(out.includes(`turnserver -c ${at('out')} --pidfile=\n`), out);
  for (const word of ['webrtc_signal_ice_server ', 'WebrtcSignalIceServer ',
                      ' turn:example.org:3478?transport=udp',
                      ' turns:example.org:5349?transport=tcp',
                      `webrtc_signal_turn_secret_file ${at('secret')};`,
                      `WebrtcSignalTurnSecretFile ${at('secret')}\n`]) {
    assert(out.includes(word), word);
  }
  assert(!out.includes('hush'));
});

test('all that there are options for', async () => {
  const { code, err } = render({ '--port': '13478', '--tls-port': '15349',
    '--external-ip': '192.88.98.7/10.0.0.7',
    '--listening-ip': ['127.0.0.1', '::1'],
    '--allow-peer': ['10.1.2.3', '10.2.0.0-10.2.0.255', 'fd00::1'] });
  assert.equal(code, 0, err);
  const wanted = ['listening-port=13478', 'tls-listening-port=15349',
    'external-ip=192.88.98.7/10.0.0.7', 'listening-ip=127.0.0.1',
    'listening-ip=::1', 'allowed-peer-ip=10.1.2.3',
    'allowed-peer-ip=10.2.0.0-10.2.0.255', 'allowed-peer-ip=fd00::1'];
  assert.deepEqual(wanted.filter((line) => !lines().includes(line)), []);
});

test('paths that are relative', async () => {
  const { code, err } = run(['--realm', 'example.org', '--secret-file',
    'secret', '--cert', 'a.pem', '--key', 'a.key', 'relative']);
  assert.deepEqual([code, err], [0, '']);
  assert(lines(at('relative')).includes(`cert=${at('a.pem')}`));
});

test('rendered again, it is another file at once', async () => {
  fs.chmodSync(at('out'), 0o644);
  const open = fs.openSync(at('out'));
  const before = fs.readFileSync(open, 'utf8');
  assert.equal(render({ '--realm': 'other.example.org', '--cert': at('a.pem') })
    .code, 0);
  assert.equal(fs.statSync(at('out')).mode & 0o777, 0o600);
  assert(lines().includes('realm=other.example.org'));
  const rest = Buffer.alloc(before.length + 1);
  assert.equal(fs.readSync(open, rest, 0, rest.length, 0), before.length);
  fs.closeSync(open);
  assert(!fs.existsSync(at('out.orig')));
  assert.deepEqual(fs.readdirSync(folder).filter((name) =>
    /^out./.test(name)), []);
});

/* More of them than a line of coturn's holds. */
test('the result tells with which options, however many', async () => {
  const last = 'fd00:0:0:19::-fd00:0:0:19:ffff:ffff:ffff:ffff';
  const many = Array.from({ length: 20 }, (_, i) =>
    ['--allow-peer', last.replaceAll('19', String(i))]).flat();
  const { code, err } = run([...Object.entries(GOOD).flat(), ...many,
                             at('out')]);
  assert.equal(code, 0, err);
  const text = fs.readFileSync(at('out'), 'utf8');
  for (const word of ['--realm', 'example.org', last]) {
    assert(text.includes(`\n#     ${word}\n`), word);
  }
  assert(lines().includes(`allowed-peer-ip=${last}`));
});

test('what somebody else wrote is kept beside it', async () => {
  write('foreign', 'realm=by-hand.example.org\n', 0o640);
  const { code, out } = render({}, at('foreign'));
  assert.equal(code, 0);
  assert(out.includes(`kept what was there as ${at('foreign.orig')}\n`), out);
  assert.equal(fs.readFileSync(at('foreign.orig'), 'utf8'),
               'realm=by-hand.example.org\n');
  assert.equal(render({}, at('foreign')).code, 0);
  assert.match(fs.readFileSync(at('foreign.orig'), 'utf8'), /by-hand/);

  write('foreign', 'realm=again.example.org\n', 0o640);
  refuses({}, 'is there already',
          { file: at('foreign'), named: `"${at('foreign')}"` });
  assert.match(fs.readFileSync(at('foreign'), 'utf8'), /again/);
});

test('a secret is made where there is none', async () => {
  const { code, out } = render({ '--secret-file': at('made') });
  assert.equal(code, 0);
  assert(out.startsWith(`made ${at('made')}, with one secret\n`), out);
  const text = fs.readFileSync(at('made'), 'utf8');
  assert.match(text, /^[0-9a-f]{64}\n$/);
  assert.equal(fs.statSync(at('made')).mode & 0o777, 0o600);
  assert(lines().includes(`static-auth-secret=${text.trim()}`));
  assert(!out.includes(text.trim()));

  assert.equal(render({ '--secret-file': at('made') }).code, 0);
  assert.equal(fs.readFileSync(at('made'), 'utf8'), text);
});

test('secrets as the web server reads them', async () => {
  write('kind', `\r\n\n${SECRET}\r\n\r\nof \u00fc and # and = and ; in="`);
  assert.equal(render({ '--secret-file': at('kind') }).code, 0);
  assert.deepEqual(lines().filter((line) => /^static-/.test(line)),
                   [`static-auth-secret=${SECRET}`,
                    'static-auth-secret=of \u00fc and # and = and ; in="']);
  write('wide', 'x'.repeat(512), 0o640);
  assert.equal(render({ '--secret-file': at('wide') }).code, 0);
});

test('secrets that the web server does not take, or coturn', async () => {
  const no = 'no secret that coturn reads as it stands';
  for (const [text, words] of [
    ['', 'holds no secret'], ['\n\r\n', 'holds no secret'],
    ['hush\n', 'line 1 is'], [`${SECRET}\nhush only\n`, 'line 2 is'],
    ['hush only 15 b.', 'at least 16 bytes'],
    [`# ${SECRET}`, no], [`=${SECRET}`, no], [`"${SECRET}`, no],
    [` ${SECRET}`, no], [`${SECRET} `, no], [`${SECRET};`, no],
    [`hush\t${SECRET}`, no], [`${SECRET}\x7f`, no], [`${SECRET}\r\r`, no],
    [`${SECRET}\0`, 'NUL'], [`static-auth-secret=${SECRET}`, no],
    [`${SECRET}\n${'x'.repeat(513)}`, 'line 2 is'],
    ['hush'.repeat(20000), 'too large'],
  ]) {
    write('bad', text);
    refuses({ '--secret-file': at('bad') }, [`"${at('bad')}"`, words]);
  }
  for (const mode of [0o604, 0o602, 0o601, 0o644]) {
    write('bad', SECRET, mode);
    refuses({ '--secret-file': at('bad') }, [`"${at('bad')}"`,
      `open to every user (mode ${mode.toString(8)})`]);
  }
  fs.rmSync(at('bad'));
  refuses({ '--secret-file': folder }, 'is not a file');
  refuses({ '--secret-file': at('no/where') }, 'there is no folder');
  fs.symlinkSync('nowhere', at('dangling'));
  refuses({ '--secret-file': at('dangling') }, 'is not a file');
});

test('used wrongly', async () => {
  const wrong = [[[], 'missing: --realm --secret-file'],
    [['--realm'], 'needs a value'],
    [['--nosuch', 'x'], 'unknown option "--nosuch"'],
    [['-p', '1'], 'unknown option "-p"'],
    [['--realm', ''], 'needs a value'],
    [['one', 'two'], 'one FILE is expected']];
  for (const name of Object.keys(GOOD)) {
    const rest = Object.entries(GOOD).filter(([other]) => other !== name);
    wrong.push([rest.flat(), `missing: ${name} FILE`]);
  }
  wrong.push([Object.entries(GOOD).flat(), 'missing: FILE']);
  for (const [args, words] of wrong) {
    const { code, out, err } = run(args);
    assert.equal(code, 2, err);
    assert(err.includes(words), err);
    assert(err.includes('try turnserver.sh --help'), err);
    assert.equal(out, '');
  }
});

test('realms and ports', async () => {
  for (const realm of ['https://example.org', 'example.org:3478', 'exam ple',
                       'a\nno-cli', '-a', 'a.', '@KEY@', 'a&b', 'x/y',
                       'x'.repeat(128)]) {
    refuses({ '--realm': realm }, ['a name such as example.org is expected']);
  }
  for (const port of ['0', '65536', '-1', '3478x', '03478', '99999999999999',
                      '1\n2', ' 1']) {
    refuses({ '--port': port }, `"${port}": a number from 1 to 65535`);
  }
  refuses({ '--tls-port': '65536' }, '"65536": a number from 1 to 65535');
  refuses({ '--port': '5349' }, 'both 5349');
  refuses({ '--tls-port': '3478' }, 'both 3478', { named: '--port' });
});

test('addresses', async () => {
  const none = ['example.org', '1.2.3', '1.2.3.256', '1.2.3.04', '1.2.3.4.5',
                '1::2::3', ':1::', '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9',
                '12345::', 'fe80::1%eth0', '[::1]', '::1.2.3.256',
                '1.2.3.4\nno-auth'];
  for (const address of none) {
    refuses({ '--listening-ip': address }, `"${address}"`);
  }
  for (const address of none.slice(0, 2)) {
    refuses({ '--external-ip': address }, `"${address}"`);
    refuses({ '--allow-peer': address }, 'is no IPv4 or IPv6 address');
  }
  for (const [address, words] of [
    ['10.0.0.0/8', 'ranges: FIRST-LAST'],
    ['10.0.0.2-10.0.0.1', 'first and last'], ['10.0.0.1-fd00::', 'first and'],
    ['::', 'every address'], ['0.0.0.0', 'every address'],
    ['::-::ff', 'every address'], ['fd00::1-fd01::ff', 'ranges of IPv6'],
  ]) {
    refuses({ '--allow-peer': address }, [`"${address}"`, words]);
  }
  for (const address of ['10.0.0.7', '172.31.0.1', '192.168.1.1', '100.64.0.1',
                         '127.0.0.1', '169.254.1.1', '192.0.0.1',
                         '192.31.196.1', '192.52.193.1', '192.88.99.1',
                         '192.175.48.1', '168.63.129.16', '203.0.113.7',
                         '224.0.0.1', '0.0.0.0', 'fd00::7', '::1', 'fe80::1',
                         '2001::1', '2001:db8::7', '2002::1',
                         '2620:4f:8000::1', '3fff::1', '::ffff:1.2.3.4']) {
    refuses({ '--external-ip': address },
            `"${address}": ${address} is no address of the internet`);
  }
  for (const [address, words] of [
    ['10.0.0.7/192.88.98.7', 'stands first: 192.88.98.7/10.0.0.7'],
    ['192.88.98.7/fd00::7', 'both have to be IPv4 or both IPv6'],
    ['192.88.98.7/', 'is expected: 198.51.100.7'], ['/10.0.0.7', '198.51'],
    ['192.88.98.7/10.0.0.7/10.0.0.8', '198.51'],
  ]) {
    refuses({ '--external-ip': address }, [`"${address}"`, words]);
  }
});

test('a certificate, and a key that is its own', async () => {
  openssl('x509', '-in', 'a.pem', '-outform', 'DER', '-out', 'a.der');
  openssl('pkey', '-in', 'a.key', '-aes256', '-passout', 'pass:hush',
          '-out', 'locked.key');
  fs.chmodSync(at('locked.key'), 0o644);
  write('words', 'nothing of that kind\n', 0o644);
  // ran out: the dates are of `openssl ca`, the only command that takes them
  write('ca.conf', `[ca]\ndefault_ca = x\n[x]\ndatabase = ${at('index')}
new_certs_dir = ${folder}\nserial = ${at('serial')}\ndefault_md = sha256
policy = p\n[p]\ncommonName = supplied\n`);
  write('index', '');
  write('serial', '01\n');
  openssl('req', '-new', '-key', 'a.key', '-subj', '/CN=example.org',
          '-out', 'a.csr');
  openssl('ca', '-batch', '-config', 'ca.conf', '-selfsign', '-keyfile',
          'a.key', '-in', 'a.csr', '-out', 'old.pem', '-notext', '-startdate',
          '20200101000000Z', '-enddate', '20200102000000Z');
  fs.chmodSync(at('old.pem'), 0o644);

  refuses({ '--cert': at('nosuch') }, 'there is no such file');
  refuses({ '--key': at('nosuch') }, 'there is no such file');
  refuses({ '--cert': folder }, 'there is no such file');
  refuses({ '--cert': at('words') }, 'no certificate in PEM');
  refuses({ '--cert': at('a.der') }, 'no certificate in PEM');
  refuses({ '--cert': at('a.key') }, 'no certificate in PEM');
  refuses({ '--key': at('words') }, 'no private key in PEM');
  refuses({ '--key': at('a.pem') }, 'no private key in PEM');
  refuses({ '--key': at('locked.key') }, 'without a passphrase');
  refuses({ '--key': at('b.key') },
          `does not belong to --cert "${at('a.pem')}"`);
  refuses({ '--cert': at('old.pem') },
          'ran out: notAfter=Jan  2 00:00:00 2020');
  for (const name of ['a b', 'a\nno-cli', 'a#', 'a"', '@KEY@', 'a;']) {
    fs.copyFileSync(at('a.pem'), at(name));
    refuses({ '--cert': at(name) }, 'a path of at most 900 letters');
    fs.rmSync(at(name));
  }
});

test('a certificate for another name is a warning', async () => {
  const { code, err } = render({ '--realm': 'turn.example.net' });
  assert.equal(code, 0, err);
  assert.match(err, /warning: --cert .* is not for turn\.example\.net/);
});

test('the file to write', async () => {
  fs.mkdirSync(at('dir'));
  fs.symlinkSync('out', at('link'));
  refuses({}, 'exists and is no regular file',
          { file: at('dir'), named: `"${at('dir')}"` });
  refuses({}, 'is a symbolic link',
          { file: at('link'), named: `"${at('link')}"` });
  refuses({}, 'a path of at most', { file: at('a b'), named: 'FILE' });
  refuses({}, `there is no folder "${at('no/')}"`,
          { file: at('no/where'), named: `"${at('no/where')}"` });
  refuses({ '--user': 'nosuchuser' }, '"nosuchuser": no such user');
});

test('templates', async () => {
  const words = '@REALM@ @PORT@ @TLS_PORT@ @CERT@ @KEY@'.split(' ')
    .map((word) => `# ${word}\n`).join('');
  const template = (text) => ({ '--template':
    write('template', words + text, 0o644) });
  const wrong = (text, expected) => refuses(template(text), expected,
    { named: expected });

  let { code, err } = render(template('no-cli\n  no-multicast-peers\n'
    + 'syslog\nlog-file=/nowhere/log\nproc-user=nosuchuser\nuser-quota 12\n'));
  assert.equal(code, 0, err);
  assert(lines().includes('  no-multicast-peers'));

  refuses({ '--template': at('nosuch') }, 'cannot be read');
  const here = `of "${at('template')}"`;
  wrong('no-cli\nno-clii\n', `line 7 ${here} has the option "no-clii"`);
  wrong('no-cli\n include=x\n', `line 7 ${here} has the option "include"`);
  wrong('--realm=x\n', `line 6 ${here} has the option "--realm"`);
  wrong('user-quota=12;\n', `line 6 ${here} is wrong: user-quota is a number`);
  wrong('cert=@PATH@\n', `line 6 ${here} has @PATH@`);
  wrong('user-quota=two\n', `line 6 ${here} is wrong: user-quota is a number`);
  wrong(' max-port = 5x\n', `line 6 ${here} is wrong: max-port is a number`);
  wrong('allowed-peer-ip=::\n', `line 6 ${here} is wrong`);
  for (const [line, words] of [['listening-ip=1.2.3.4.5', 'ERROR'],
                               ['realm=x;', 'semicolon']]) {
    refuses(template(`${line}\n`), words,
            { named: 'turnserver does not take the result' });
  }
});

test('what another version of coturn says', async () => {
  fs.mkdirSync(at('later'));
  const says = (line) => {
    fs.writeFileSync(at('later/turnserver'), `#!/bin/sh
${line}
`, { mode: 0o755 });
    return { env: { ...process.env,
                    PATH: `${at('later')}:${process.env.PATH}` } };
  };
  const end = 'echo "0: : ERROR: Unknown user name: "';
  assert.equal(render({}, at('out'), says(
    `echo "0: : ERROR: no-cli option is deprecated"
     echo "0: : Bad configuration format: no-stun-backward-compatibility"
     ${end}`)).code, 0);
  refuses({}, 'has the option "no-cli", which turnserver does not know',
          { ...says(`echo "0: : Bad configuration format: no-cli"; ${end}`),
            named: 'line' });
  refuses({}, 'Wrong address', { ...says(
    `echo "0: : ERROR: Wrong address format: 1"; ${end}`),
    named: 'turnserver does not take' });
  refuses({}, 'help', { ...says('echo help'),
                        named: 'turnserver does not read' });
});

/* What the renderer calls, beside turnserver. */
const COMMANDS = ['bash', 'cat', 'chown', 'cut', 'dirname', 'grep', 'head',
                  'id', 'ln', 'mktemp', 'mv', 'openssl', 'perl', 'rm', 'sed',
                  'setpriv', 'stat', 'test', 'timeout'];

function whereIs(name) {
  return process.env.PATH.split(':').map((bin) => path.join(bin, name))
    .find((file) => fs.existsSync(file));
}

test('without turnserver there is a warning', async () => {
  fs.mkdirSync(at('bin'));
  for (const name of COMMANDS) {
    fs.symlinkSync(whereIs(name), at(`bin/${name}`));
  }
  const { code, err } = render({}, at('out'),
                               { env: { ...process.env, PATH: at('bin') } });
  assert.equal(code, 0, err);
  assert.equal(err, 'turnserver.sh: warning: turnserver is not installed here: '
    + 'options are not checked\n');
});

/*
 * Commands that tell, before each does what it does, their arguments, their
 * environment, and what in the folder `quiet` others may read.
 */
function overhear(quiet, log) {
  const bin = at('ears');
  fs.mkdirSync(bin);
  for (const name of [...COMMANDS, 'turnserver']) {
    fs.writeFileSync(`${bin}/${name}`, `#!/bin/sh
{
    printf '%s ' ${name} "$@"; echo
    ${whereIs('env')}
    ${whereIs('find')} ${quiet} -type f -perm /077 -exec ${whereIs('cat')} {} +
} >>${log}
exec ${whereIs(name)} "$@"
`, { mode: 0o755 });
  }
  return { ...process.env, PATH: bin, TMPDIR: quiet };
}

test('no secret in an argument, or in a file of everybody', async () => {
  const quiet = at('quiet');
  fs.mkdirSync(quiet);
  fs.chmodSync(quiet, 0o755);
  const log = write('overheard', '', 0o666);
  const env = overhear(quiet, log);
  for (const file of [at('secret'), `${quiet}/new`]) {
    const { code, err } = render({ '--secret-file': file }, `${quiet}/result`,
                                 { env });
    assert.deepEqual([code, err], [0, '']);
  }
  assert.deepEqual(fs.readdirSync(quiet), ['new', 'result']);
  const [made] = fs.readFileSync(`${quiet}/new`, 'utf8').split('\n');
  const overheard = fs.readFileSync(log, 'utf8');
  for (const name of ['openssl', 'mktemp', 'mv', 'turnserver', 'stat']) {
    assert(overheard.includes(`\n${name} `), name);
  }
  assert.match(made, /^[0-9a-f]{64}$/);
  for (const secret of [SECRET, OLDER, made]) {
    assert(!overheard.includes(secret));
  }

  // ... and these ears hear
  fs.writeFileSync(`${quiet}/open`, SECRET);
  assert.equal(spawnSync(`${env.PATH}/id`, [OLDER], { env }).status, 1);
  const more = fs.readFileSync(log, 'utf8');
  assert(more.includes(SECRET) && more.includes(OLDER));
});

/* The error that one with a password that `secret` signed gets; 0: none. */
async function allocates(url, secret) {
  const client = await connect(url);
  client.username = `${Math.floor(Date.now() / 1000) + 600}:0123abcd`;
  client.credential = crypto.createHmac('sha1', secret)
    .update(client.username).digest('base64');
  const { error } = await client.allocate();
  client.close();
  return error;
}

test('coturn takes the result without a complaint', async () => {
  const turn = await startTurn({ secrets: [SECRET, OLDER] });
  try {
    assert.equal(await allocates(turn.urls.udp, SECRET), 0);
    assert.equal(await allocates(turn.urls.udp, OLDER), 0);
    assert.equal(await allocates(turn.urls.udp, `${SECRET}x`), 401);
  } finally {
    await turn.stop();
  }
  const log = turn.log();
  assert(log.includes('Black listing: 10.0.0.0-10.255.255.255'));
  assert.doesNotMatch(log,
    /Bad configuration|Wrong|Unknown|semicolon|CONFIG ERROR/);
  assert(!log.includes('hush'));
});

if (ROOT) {
  test('root: a key that coturn cannot read', async () => {
    for (const [name, file] of [['--key', 'a.key'], ['--cert', 'a.pem']]) {
      fs.copyFileSync(at(file), at('closed'));
      fs.chmodSync(at('closed'), 0o600);
      refuses({ [name]: at('closed') }, ['turnserver, whom coturn will run as',
        'install -D -m 600 -o turnserver', at('closed'), 'README']);
    }
    fs.chmodSync(folder, 0o700);
    refuses({}, 'may not enter', { named: `"${at('none')}"` });
    fs.chmodSync(folder, 0o755);
  });

  test('root: a folder where others could put a link', async () => {
    const shared = at('shared');
    fs.mkdirSync(shared);
    for (const [mode, uid] of [[0o775, 0], [0o757, 0], [0o1777, 0],
                               [0o755, NOBODY]]) {
      fs.chmodSync(shared, mode);
      fs.chownSync(shared, uid, 0);
      const words = [`others than root may write to the folder "${shared}/"`,
                     `chown root ${shared}/ && chmod go-w ${shared}/`];
      refuses({}, words, { file: `${shared}/out`, named: `"${shared}/out"` });
      refuses({ '--secret-file': `${shared}/made` }, words);
      assert.deepEqual(fs.readdirSync(shared), []);
    }
    // a secret that is there already is only read
    fs.copyFileSync(at('secret'), `${shared}/secret`);
    assert.equal(render({ '--secret-file': `${shared}/secret` }).code, 0);
    fs.chownSync(shared, 0, 0);
    assert.equal(render({}, `${shared}/out`).code, 0);
  });

  test('root: --user', async () => {
    assert.equal(render({ '--user': 'nobody' }).code, 0);
    assert.equal(fs.statSync(at('out')).uid, NOBODY);
  });

  test('an ordinary user', async () => {
    const nobody = { uid: NOBODY, gid: NOBODY };
    const own = { ...nobody, file: at('own/out') };
    fs.mkdirSync(at('own'));
    fs.chownSync(at('own'), NOBODY, NOBODY);
    refuses({ '--secret-file': at('secret') }, 'cannot be read', own);
    refuses({ '--user': 'turnserver' }, 'only root', own);
    const { code, out, err } = render({ '--secret-file': at('own/secret') },
                                      own.file, nobody);
    assert.deepEqual([code, err], [0, '']);
    assert.equal(fs.statSync(own.file).uid, NOBODY);
    assert.equal(fs.statSync(at('own/secret')).uid, NOBODY);
    assert.match(out, /as user nobody:/);
    refuses({}, 'no permission to write',
            { ...nobody, file: '/none', named: '"/none"' });
  });
}
