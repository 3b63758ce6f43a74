// Node's http: one event loop that must not block, so /block is a timer. The
// stop is server.close().
'use strict';

const http = require('node:http');

function option(name, other) {
  const at = process.argv.indexOf(name);
  return at < 0 ? other : process.argv[at + 1];
}

const port = Number(option('--port', 0));
const address = option('--address', '127.0.0.1');
const hello = Buffer.from('Hello, world!');
const bodies = new Map([
  ['/', hello],
  ['/64k', Buffer.alloc(64 << 10, 'x')],
  ['/10m', Buffer.alloc(10 << 20, 'x')],
]);

function text(response, body) {
  response.writeHead(200, {
    'Content-Type': 'text/plain',
    'Content-Length': body.length,
  });
  response.end(body);
}

function echo(request, response) {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    const body = Buffer.concat(parts);
    response.writeHead(200, { 'Content-Length': body.length });
    response.end(body);
  });
}

const server = http.createServer((request, response) => {
  const body = bodies.get(request.url);
  if (body !== undefined) {
    text(response, body);
  } else if (request.url === '/block') {
    setTimeout(() => text(response, hello), 5);
  } else if (request.url === '/echo') {
    echo(request, response);
  } else {
    response.writeHead(404);
    response.end();
  }
});

process.on('SIGTERM', () => server.close());
server.listen(port, address);
