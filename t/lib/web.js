'use strict';
/*
 * web.js: plain HTTP requests.
 */

const http = require('http');
const https = require('https');

/* {status, headers, body} of a request.  base: 'http://...' or 'https://...';
 * options: method, host (Host header and SNI), auth ('user:password'),
 * headers, agent. */
function get(base, path, options = {}) {
  const url = new URL(base);
  const headers = { ...(options.host && { Host: options.host }),
                    ...options.headers };
  return new Promise((resolve, reject) => {
    const request = (url.protocol === 'https:' ? https : http).request({
      host: '127.0.0.1', port: url.port, path,
      method: options.method || 'GET', headers, auth: options.auth,
      agent: options.agent || false, rejectUnauthorized: false,
      servername: options.host || 'localhost',
    }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (data) => { body += data; });
      response.on('end', () => resolve({
        status: response.statusCode, headers: response.headers, body }));
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end();
  });
}

module.exports = { get };
