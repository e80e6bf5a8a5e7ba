// From an invocation to its answer, and on to the next.
//
// Before Node.js 24 a handler may answer through a callback (or context.succeed, fail and done), and the answer then
// waits until nothing is left to do, unless context.callbackWaitsForEmptyEventLoop is false.

'use strict';

const errors = require('./errors.cjs');
const logs = require('./logs.cjs');
const stream = require('./stream.cjs');

const NO_CALLBACKS_SINCE = 24;
const CALLBACK_DEPRECATED =
  'ERROR: AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. ' +
  'You need to modify this function to use a supported handler signature to use Node.js 24 or later. ' +
  'For more information see https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html.';
const NEVER_SETTLED =
  'The Lambda runtime client detected an unexpected Node.js exit code. ' +
  'This is most commonly caused by a Promise that was never settled. ' +
  'For more information, see https://nodejs.org/docs/latest/api/process.html#exit-codes';

const isPromise = (value) => Boolean(value) && typeof value.then === 'function';

/** Serve invocations until the process ends. */
function serve(client, current, handler) {
  const streaming = stream.isStreaming(handler);
  const modern = hasNoCallbacks();
  if (modern && !streaming && handler.length >= 3) throw new errors.CallbackHandlerDeprecated(CALLBACK_DEPRECATED);
  const idle = new Idle();
  const answer = streaming ? answerStreamed : modern ? answerModern : answerClassic;

  const once = async () => {
    idle.then(undefined);
    const { headers, body } = await client.next();
    const context = contextOf(headers);
    current.id = context.awsRequestId;
    current.tenantId = context.tenantId;
    moveTrace(headers['lambda-runtime-trace-id']);
    answer({ client, handler, context, text: body.utf8Slice(), idle, next });
  };
  const next = () => {
    setImmediate(() => {
      once().catch((error) => {
        console.error(`Unexpected Top Level Error: ${error}`);
        process.exit(1);
      });
    });
  };
  next();
}

/** What to do when the process has nothing left to do. */
class Idle {
  constructor() {
    this.todo = undefined;
    process.on('beforeExit', () => {
      const todo = this.todo;
      this.todo = undefined;
      if (todo) todo();
    });
  }

  then(todo) {
    this.todo = todo;
  }
}

/** Async handlers, and handlers that answer through a callback. */
function answerClassic({ client, handler, context, text, idle, next }) {
  let finished = false;
  let waits = true;
  const once = (action) => (...words) => {
    if (finished) return;
    finished = true;
    idle.then(undefined);
    action(...words);
  };
  const fail = (error) => failed(client, context, error, next);
  const respond = (result) => {
    let answer;
    try {
      answer = serialized(result);
    } catch (error) {
      fail(error);
      return;
    }
    client.respond(context.awsRequestId, answer).then(next);
  };
  const done = (error, result) => (error === undefined || error === null ? respond(result) : fail(error));
  const callback = (error, result) => {
    if (!waits || (error !== undefined && error !== null)) done(error, result);
    else idle.then(() => setImmediate(() => respond(result)));
  };

  Object.defineProperty(context, 'callbackWaitsForEmptyEventLoop', {
    get: () => waits,
    set: (value) => {
      waits = value;
    },
    enumerable: true,
  });
  context.done = once(done);
  context.succeed = once((result) => done(null, result));
  context.fail = once((error) => done(error === undefined || error === null ? 'handled' : error));
  idle.then(once(() => (handler.constructor.name === 'AsyncFunction' ? fail(new errors.NodeJsExit(NEVER_SETTLED)) : respond(null))));
  try {
    const result = handler(JSON.parse(text), context, once(callback));
    if (isPromise(result)) result.then(context.succeed, context.fail);
  } catch (error) {
    context.fail(error);
  }
}

/** Handlers of Node.js 24 and later: what they return, or what their promise becomes, is the answer. */
async function answerModern({ client, handler, context, text, idle, next }) {
  idle.then(() => failed(client, context, new errors.NodeJsExit(NEVER_SETTLED), next));
  let answer;
  try {
    answer = serialized(await handler(JSON.parse(text), context));
  } catch (error) {
    idle.then(undefined);
    failed(client, context, error, next);
    return;
  }
  idle.then(undefined);
  client.respond(context.awsRequestId, answer).then(next);
}

/** Handlers that write their answer to a stream. */
async function answerStreamed({ client, handler, context, text, idle, next }) {
  const answer = new stream.ResponseStream(client, context.awsRequestId, stream.highWaterMarkOf(handler));
  context.callbackWaitsForEmptyEventLoop = !hasNoCallbacks();
  const fail = (error) => {
    logs.logError('Invoke Error', error);
    answer.on('error', () => {}); // the connection may be what failed
    answer.fail(error);
  };
  const unfinished = () => {
    if (answer.writableEnded) return;
    fail('Response stream is not finished.');
  };
  idle.then(unfinished);
  try {
    const result = handler(JSON.parse(text), answer, context);
    if (!isPromise(result)) fail('Streaming does not support non-async handlers.');
    else if ((await result) !== undefined) console.warn('Streaming handlers ignore return values.');
  } catch (error) {
    fail(error);
  }
  await answer.done.catch((error) => logs.logError('Invoke Error', error));
  idle.then(undefined);
  if (context.callbackWaitsForEmptyEventLoop) idle.then(next);
  else next();
}

function failed(client, context, error, next) {
  logs.logError('Invoke Error', error);
  client.fail(context.awsRequestId, error).then(next);
}

function serialized(result) {
  try {
    const text = JSON.stringify(result === undefined ? null : result);
    return text === undefined ? 'null' : text;
  } catch {
    throw new Error('Unable to stringify response body');
  }
}

/** The context object, but for what answers. */
function contextOf(headers) {
  const deadline = parseInt(headers['lambda-runtime-deadline-ms'], 10);
  const { env } = process;
  return {
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: parsed(headers['lambda-runtime-client-context']),
    identity: parsed(headers['lambda-runtime-cognito-identity']),
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    awsRequestId: headers['lambda-runtime-aws-request-id'],
    tenantId: headers['lambda-runtime-aws-tenant-id'],
    getRemainingTimeInMillis: () => deadline - Date.now(),
  };
}

const parsed = (text) => (text ? JSON.parse(text) : undefined);

function moveTrace(trace) {
  if (trace) process.env._X_AMZN_TRACE_ID = trace;
  else delete process.env._X_AMZN_TRACE_ID;
}

function hasNoCallbacks() {
  const match = /^AWS_Lambda_nodejs(\d+)\.x$/.exec(process.env.AWS_EXECUTION_ENV || '');
  return match !== null && parseInt(match[1], 10) >= NO_CALLBACKS_SINCE;
}

module.exports = { serve };
