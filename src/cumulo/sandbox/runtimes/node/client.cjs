// The Runtime API, spoken on a plain socket that stays open.
//
// The socket keeps the process alive only while an answer is awaited, so that Node.js notices (`beforeExit`) when a
// function has nothing left to do.

'use strict';

const net = require('net');
const { toAnswer } = require('./errors.cjs');

const API = '/2018-06-01/runtime';
const ERROR_TYPE = 'Lambda-Runtime-Function-Error-Type';
const AGENT = `aws-lambda-nodejs/${process.versions.node}`;
const HEAD_END = Buffer.from('\r\n\r\n');

/** The answers on one connection, cut out of its bytes. */
class AnswerReader {
  constructor() {
    this.bytes = Buffer.alloc(0);
    this.parts = [];
    this.awaited = 0;
  }

  /** Add bytes; the answer once it is whole: {status, headers, body}. */
  add(bytes) {
    this.parts.push(bytes);
    this.awaited -= bytes.length;
    if (this.awaited > 0) return undefined; // a large body: join its parts once, at the end
    this.bytes = this.parts.length === 1 ? bytes : Buffer.concat(this.parts);
    this.parts = [this.bytes];
    return this.take();
  }

  take() {
    const end = this.bytes.indexOf(HEAD_END);
    if (end < 0) return undefined;
    const lines = this.bytes.latin1Slice(0, end).split('\r\n');
    const headers = Object.create(null);
    for (let i = 1; i < lines.length; i++) {
      const colon = lines[i].indexOf(':');
      headers[lines[i].slice(0, colon).toLowerCase()] = lines[i].slice(colon + 1).trim();
    }
    const start = end + HEAD_END.length;
    const status = parseInt(lines[0].slice(9, 12), 10);
    if ((headers['transfer-encoding'] || '').toLowerCase() === 'chunked') {
      const body = unchunk(this.bytes, start);
      return body && { status, headers, body };
    }
    const length = parseInt(headers['content-length'] || '0', 10);
    this.awaited = start + length - this.bytes.length;
    if (this.awaited > 0) return undefined;
    return { status, headers, body: this.bytes.subarray(start, start + length) };
  }
}

function unchunk(bytes, start) {
  const chunks = [];
  for (let at = start; ; ) {
    const line = bytes.indexOf('\r\n', at);
    if (line < 0) return undefined;
    const size = parseInt(bytes.latin1Slice(at, line), 16);
    const chunk = line + 2;
    if (bytes.length < chunk + size + 2) return undefined;
    if (size === 0) return Buffer.concat(chunks);
    chunks.push(bytes.subarray(chunk, chunk + size));
    at = chunk + size + 2;
  }
}

class RuntimeClient {
  constructor(address) {
    const colon = address.lastIndexOf(':');
    this.host = address.slice(0, colon);
    this.port = parseInt(address.slice(colon + 1), 10);
    this.address = address;
    this.idle = undefined;
  }

  /** Wait for an invocation: {headers, body}. */
  async next() {
    const answer = await this.request('GET', `${API}/invocation/next`, '', undefined);
    if (answer.status !== 200) throw new Error(`The Runtime API answered ${answer.status} to next`);
    return answer;
  }

  /** Answer an invocation with a JSON text. */
  respond(id, text) {
    return this.request('POST', `${API}/invocation/${id}/response`, 'Content-Type: application/json\r\n', text);
  }

  /** Report an error of an invocation, or of loading the function when `id` is undefined. */
  fail(id, error) {
    const answer = toAnswer(error);
    const path = id === undefined ? `${API}/init/error` : `${API}/invocation/${id}/error`;
    const type = String(answer.errorType).replace(/[^\x20-\x7e]/g, '?');
    return this.request('POST', path, `Content-Type: application/json\r\n${ERROR_TYPE}: ${type}\r\n`, JSON.stringify(answer));
  }

  /** Open a connection for an answer that is streamed. */
  connect() {
    const socket = net.connect(this.port, this.host);
    socket.setNoDelay(true);
    return socket;
  }

  /** The first lines of a request that answers `id` in chunks. */
  streamHead(id, contentType) {
    return (
      `POST ${API}/invocation/${id}/response HTTP/1.1\r\nHost: ${this.address}\r\nUser-Agent: ${AGENT}\r\n` +
      `Content-Type: ${contentType}\r\nLambda-Runtime-Function-Response-Mode: streaming\r\n` +
      `Transfer-Encoding: chunked\r\nTrailer: ${ERROR_TYPE}, Lambda-Runtime-Function-Error-Body\r\nConnection: close\r\n\r\n`
    );
  }

  request(method, path, extra, text) {
    const head = `${method} ${path} HTTP/1.1\r\nHost: ${this.address}\r\nUser-Agent: ${AGENT}\r\n${extra}`;
    const message =
      text === undefined ? `${head}\r\n` : `${head}Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`;
    const reused = this.idle !== undefined;
    return this.send(message).catch((error) => {
      if (!reused || error.heard) throw error; // else the connection had been closed meanwhile: once more
      return this.send(message);
    });
  }

  send(message) {
    const socket = this.idle || this.connect();
    this.idle = undefined;
    socket.ref();
    return new Promise((resolve, reject) => {
      const reader = new AnswerReader();
      let heard = false;
      const settle = () => socket.removeAllListeners('data').removeAllListeners('close').removeAllListeners('error');
      const lost = (error) => {
        settle();
        socket.on('error', () => {});
        socket.destroy();
        const problem = error instanceof Error ? error : new Error('The Runtime API closed the connection');
        reject(Object.assign(problem, { heard }));
      };
      socket.on('error', lost);
      socket.on('close', lost);
      socket.on('data', (bytes) => {
        heard = true;
        const answer = reader.add(bytes);
        if (answer === undefined) return;
        settle();
        this.keep(socket, answer.headers.connection);
        resolve(answer);
      });
      socket.write(message);
    });
  }

  keep(socket, connection) {
    socket.on('error', () => {});
    if ((connection || '').toLowerCase() === 'close' || this.idle !== undefined) {
      socket.destroy();
      return;
    }
    this.idle = socket;
    socket.unref();
    socket.on('close', () => {
      if (this.idle === socket) this.idle = undefined;
    });
  }
}

module.exports = { RuntimeClient, AnswerReader, ERROR_TYPE };
