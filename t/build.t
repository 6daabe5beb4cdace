#!/usr/bin/env node
'use strict';
/*
 * `make install` where the headers of both servers are there, or of one: the
 * module of the other is left out, and a line says which packages it wants.
 */

const assert = require('assert');
const fs = require('fs');
const os = require('os');
const path = require('path');
const { execFile } = require('child_process');
const { promisify } = require('util');
const { test } = require('./lib/tap');

const TOP = path.join(__dirname, '..');
const MODULES = ['mod_webrtc_signal.so', 'ngx_http_webrtc_signal_module.so'];

const tmp = fs.mkdtempSync(path.join(os.tmpdir(), 'wsig-build-'));
process.on('exit', () => fs.rmSync(tmp, { recursive: true, force: true }));

/* {files, left}: what was installed, the lines about what was left out. */
async function install(variables = [], bin = '') {
  const root = fs.mkdtempSync(path.join(tmp, 'root-'));
  const env = { ...process.env, PATH: `${bin}:${process.env.PATH}` };
  for (const name of ['MAKEFLAGS', 'MAKELEVEL', 'MFLAGS']) {
    delete env[name];
  }
  const { stdout } = await promisify(execFile)('make',
    ['install', `DESTDIR=${root}`, ...variables], { cwd: TOP, env });
  return { files: list(root).map((file) => path.basename(file)).sort(),
           left: stdout.split('\n').filter((line) => /^left out/.test(line)) };
}

function list(folder) {
  return fs.readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const name = path.join(folder, entry.name);
    return entry.isDirectory() ? list(name) : [name];
  });
}

const modules = (files) => files.filter((file) => MODULES.includes(file));

test('with the headers of both, both modules are installed', async () => {
  const { files, left } = await install();
  assert.deepEqual(modules(files), MODULES);
  assert.deepEqual(left, []);
}, { ms: 90000 });

test('without those of nginx, Apache\'s module and the pages', async () => {
  const { files, left } = await install(['NGINX_SRC=/nonexistent']);
  assert.deepEqual(modules(files), ['mod_webrtc_signal.so']);
  assert(files.includes('signal.js'));
  assert.equal(left.length, 1);
  assert.match(left[0], /nginx-dev/);
}, { ms: 90000 });

test('without those of Apache, nginx\'s module and the pages', async () => {
  // an apxs that cannot be run is as good as none
  fs.writeFileSync(path.join(tmp, 'apxs'), '#!/bin/sh\nexit 127\n',
                   { mode: 0o755 });
  const { files, left } = await install([], tmp);
  assert.deepEqual(modules(files), ['ngx_http_webrtc_signal_module.so']);
  assert(!files.includes('webrtc_signal.load'));
  assert(files.includes('signal.js'));
  assert.equal(left.length, 1);
  assert.match(left[0], /apache2-dev and apache2-ssl-dev/);
}, { ms: 90000 });
