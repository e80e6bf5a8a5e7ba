// console as Lambda writes it: text or JSON, filtered by level, in frames on the telemetry pipe when there is one.
//
//   frame   type (4 bytes: 0xa55a0003 text, 0xa55a0002 JSON, and the level), length (4), microseconds (8), message

'use strict';

const fs = require('fs');
const util = require('util');
const { intoError, toLogText } = require('./errors.cjs');

const LEVELS = { TRACE: 1, DEBUG: 2, INFO: 3, WARN: 4, ERROR: 5, FATAL: 6 };
const METHODS = { trace: 'TRACE', debug: 'DEBUG', info: 'INFO', log: 'INFO', warn: 'WARN', error: 'ERROR', fatal: 'FATAL' };
const TEXT_FRAME = 0xa55a0003;
const JSON_FRAME = 0xa55a0002;
const HEADER_BYTES = 16;

let inJson = false;

function patchConsole(current) {
  inJson = (process.env.AWS_LAMBDA_LOG_FORMAT || '').toUpperCase() === 'JSON';
  const least = LEVELS[(process.env.AWS_LAMBDA_LOG_LEVEL || '').toUpperCase()] || LEVELS.TRACE;
  const pipe = process.env._LAMBDA_TELEMETRY_LOG_FD;
  delete process.env._LAMBDA_TELEMETRY_LOG_FD;
  const format = inJson ? jsonRecord : textRecord;
  const write = pipe === undefined ? writeLine : frameWriter(parseInt(pipe, 10));
  for (const [method, level] of Object.entries(METHODS)) {
    const silent = LEVELS[level] < least && level !== 'FATAL';
    console[method] = silent
      ? () => {}
      : (...words) => {
          const now = new Date();
          write(level, now, format(level, now.toISOString(), current, words));
        };
  }
}

/** Log an error of the invocation (or of loading) as Lambda does. */
function logError(title, error) {
  if (inJson) console.error(intoError(error));
  else console.error(title, toLogText(intoError(error)));
}

function textRecord(level, time, current, words) {
  return `${time}\t${current.id}\t${level}\t${util.format(...words)}\n`;
}

function jsonRecord(level, time, current, words) {
  const record = { timestamp: time, level, requestId: current.id };
  if (current.tenantId) record.tenantId = current.tenantId;
  if (words.length === 1) {
    record.message = words[0];
    try {
      return JSON.stringify(record, (_key, value) => (value instanceof Error ? errorFields(value, true) : value));
    } catch {
      record.message = util.format(words[0]); // circular, or a BigInt
      return JSON.stringify(record);
    }
  }
  record.message = util.format(...words);
  const error = words.find((word) => word instanceof Error);
  return JSON.stringify(error ? { ...record, ...errorFields(error, false) } : record);
}

function errorFields(error, withOwn) {
  const fields = {
    errorType: (error.constructor && error.constructor.name) || 'UnknownError',
    errorMessage: error.message,
    stackTrace: typeof error.stack === 'string' ? error.stack.split('\n') : [],
  };
  return withOwn ? { ...fields, ...error } : fields;
}

function writeLine(_level, _now, record) {
  process.stdout.write(record.trimEnd().replace(/\n/g, '\r') + '\n');
}

function frameWriter(pipe) {
  const kind = inJson ? JSON_FRAME : TEXT_FRAME;
  return (level, now, record) => {
    const length = Buffer.byteLength(record);
    const frame = Buffer.allocUnsafe(HEADER_BYTES + length);
    frame.writeUInt32BE((kind | (LEVELS[level] << 2)) >>> 0, 0);
    frame.writeUInt32BE(length, 4);
    frame.writeBigUInt64BE(BigInt(now.valueOf()) * 1000n, 8);
    frame.write(record, HEADER_BYTES);
    for (let done = 0; done < frame.length; ) done += fs.writeSync(pipe, frame, done);
  };
}

module.exports = { patchConsole, logError };
