// Answers that are streamed: `awslambda.streamifyResponse` and the stream that such a handler writes to.

'use strict';

const { Writable } = require('stream');
const { AnswerReader, ERROR_TYPE } = require('./client.cjs');
const { InvalidStreamingOperation, MalformedStreamingHandler, toAnswer } = require('./errors.cjs');

const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');
const HIGH_WATER_MARK = Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark');
const PRELUDE_TYPE = 'application/vnd.awslambda.http-integration-response';
const PRELUDE_END = new Uint8Array(8);

/** Marks the first bytes of a stream as the status and headers of an HTTP answer. */
class HttpResponseStream {
  static from(stream, prelude) {
    stream.setContentType(PRELUDE_TYPE);
    const text = JSON.stringify(prelude);
    stream._onBeforeFirstWrite = (write) => {
      write(text);
      write(PRELUDE_END);
    };
    return stream;
  }
}

/** Give functions the `awslambda` global. */
function installGlobal() {
  if (['1', 'true'].includes(process.env.AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA)) return;
  globalThis.awslambda = {
    streamifyResponse: (handler, options) => {
      handler[STREAMING] = 'response';
      if (options && typeof options.highWaterMark === 'number') handler[HIGH_WATER_MARK] = Math.trunc(options.highWaterMark);
      return handler;
    },
    HttpResponseStream,
  };
}

/** Whether a handler streams its answer. */
function isStreaming(handler) {
  const mark = handler[STREAMING];
  if (mark === undefined || mark === null || mark === false) return false;
  if (mark !== 'response') throw new MalformedStreamingHandler('Only response streaming is supported.');
  return true;
}

/** The request that answers an invocation, one chunk for each write; `done` resolves once it was taken. */
class ResponseStream extends Writable {
  constructor(client, id, highWaterMark) {
    super({ highWaterMark });
    this._client = client;
    this._id = id;
    this._contentType = 'application/octet-stream';
    this._socket = undefined;
    this._trailers = '';
    this._onBeforeFirstWrite = undefined;
    this._begun = false;
    this.done = new Promise((resolve, reject) => {
      this._resolve = resolve;
      this._reject = reject;
    });
    this.done.catch(() => {});
  }

  setContentType(contentType) {
    if (this._begun) throw new InvalidStreamingOperation('Cannot set content-type, too late.');
    this._contentType = contentType;
  }

  write(chunk, encoding, callback) {
    const plain = typeof chunk === 'string' || chunk instanceof Uint8Array || chunk === null;
    if (!this._begun) this._begin();
    return super.write(plain ? chunk : JSON.stringify(chunk), encoding, callback);
  }

  end(chunk, encoding, callback) {
    const done = [chunk, encoding, callback].find((word) => typeof word === 'function');
    if (chunk !== undefined && chunk !== null && chunk !== done) {
      this.write(chunk, typeof encoding === 'string' ? encoding : undefined);
    } else if (!this._begun) {
      this._begin(); // an answer without a body still has its status and headers
    }
    return super.end(done);
  }

  /** End the answer with an error in its trailers. */
  fail(error) {
    if (this.writableEnded || this.destroyed) return;
    const answer = toAnswer(error);
    const body = Buffer.from(JSON.stringify(answer)).toString('base64');
    const type = String(answer.errorType).replace(/[^\x20-\x7e]/g, '?');
    this._trailers = `${ERROR_TYPE}: ${type}\r\nLambda-Runtime-Function-Error-Body: ${body}\r\n`;
    this.end();
  }

  _begin() {
    this._begun = true;
    if (typeof this._onBeforeFirstWrite === 'function') this._onBeforeFirstWrite((chunk) => super.write(chunk));
  }

  _open() {
    const socket = this._client.connect();
    socket.unref(); // a handler that leaves its stream open must not be waited for without end
    const reader = new AnswerReader();
    const lost = (error) => {
      const problem = error instanceof Error ? error : new Error('The Runtime API closed the connection');
      this._reject(problem);
      this.destroy(problem);
    };
    socket.on('error', lost);
    socket.on('close', lost);
    socket.on('data', (bytes) => {
      const answer = reader.add(bytes);
      if (answer === undefined) return;
      socket.off('close', lost);
      socket.destroy();
      if (answer.status === 202) this._resolve();
      else lost(new Error(`The Runtime API answered ${answer.status} to a streamed response`));
    });
    socket.write(this._client.streamHead(this._id, this._contentType));
    this._socket = socket;
  }

  _write(chunk, _encoding, callback) {
    if (this._socket === undefined) this._open();
    if (chunk.length === 0) return callback();
    this._socket.cork();
    this._socket.write(`${chunk.length.toString(16)}\r\n`);
    this._socket.write(chunk);
    this._socket.write('\r\n', callback);
    this._socket.uncork();
  }

  _final(callback) {
    if (this._socket === undefined) this._open();
    this._socket.ref();
    this._socket.write(`0\r\n${this._trailers}\r\n`, callback);
  }

  _destroy(error, callback) {
    if (this._socket !== undefined && error) this._socket.destroy();
    this._reject(error || new Error('The response stream was destroyed'));
    callback(error);
  }
}

const highWaterMarkOf = (handler) => (Number.isInteger(handler[HIGH_WATER_MARK]) ? handler[HIGH_WATER_MARK] : undefined);

module.exports = { ResponseStream, highWaterMarkOf, installGlobal, isStreaming };
