// Errors as Lambda names and shows them.

'use strict';

class RuntimeError extends Error {}
const named = (name) => {
  const type = class extends RuntimeError {};
  Object.defineProperty(type, 'name', { value: name });
  type.prototype.name = `Runtime.${name}`;
  return type;
};

const CallbackHandlerDeprecated = named('CallbackHandlerDeprecated');
const HandlerNotFound = named('HandlerNotFound');
const ImportModuleError = named('ImportModuleError');
const InvalidStreamingOperation = named('InvalidStreamingOperation');
const MalformedHandlerName = named('MalformedHandlerName');
const MalformedStreamingHandler = named('MalformedStreamingHandler');
const NodeJsExit = named('NodeJsExit');
const UserCodeSyntaxError = named('UserCodeSyntaxError');

class UnhandledPromiseRejection extends named('UnhandledPromiseRejection') {
  constructor(reason) {
    super(reason);
    this.reason = reason;
  }
}

const looksLikeError = (value) =>
  value && ['name', 'message', 'stack'].every((key) => typeof value[key] === 'string' && value[key]);

/** What the Runtime API is told of an error. */
function toAnswer(error) {
  try {
    if (error instanceof Error || looksLikeError(error)) {
      return { errorType: error.name, errorMessage: error.message, trace: String(error.stack).split('\n') };
    }
    return { errorType: typeof error, errorMessage: String(error), trace: [] };
  } catch {
    return {
      errorType: 'handled',
      errorMessage:
        'callback called with Error argument, but there was a problem while retrieving one or more of its message, name, and stack',
    };
  }
}

/** What the text log shows of an error: JSON after a tab. */
function toLogText(error) {
  try {
    return '\t' + JSON.stringify(error, (_key, value) => (value instanceof Error ? withItsProperties(value) : value));
  } catch {
    return '\t' + JSON.stringify(toAnswer(error));
  }
}

function withItsProperties(error) {
  const { name: errorType, message: errorMessage, code } = error;
  const shown = { errorType, errorMessage, code, ...error };
  if (typeof error.stack === 'string') shown.stack = error.stack.split('\n');
  return shown;
}

const intoError = (value) => (value instanceof Error ? value : new Error(value));

module.exports = {
  CallbackHandlerDeprecated,
  HandlerNotFound,
  ImportModuleError,
  InvalidStreamingOperation,
  MalformedHandlerName,
  MalformedStreamingHandler,
  NodeJsExit,
  UnhandledPromiseRejection,
  UserCodeSyntaxError,
  intoError,
  toAnswer,
  toLogText,
};
