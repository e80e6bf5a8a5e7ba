// The first thing that a Node.js function's process runs: loads the function, then serves its invocations.
//
//   index.cjs    start, and what ends the process
//   loader.cjs   from the handler's name to the function
//   loop.cjs     from an invocation to its answer
//   client.cjs   the Runtime API, spoken on a plain socket
//   stream.cjs   answers that are streamed
//   logs.cjs     console as Lambda writes it
//   errors.cjs   errors as Lambda names and shows them
//
// CommonJS, because it starts quicker than ES modules, and without `http`, which takes longer to load than all of this.

'use strict';

const { RuntimeClient } = require('./client.cjs');
const { UnhandledPromiseRejection } = require('./errors.cjs');
const logs = require('./logs.cjs');

const EXIT_UNHANDLED_REJECTION = 128;
const EXIT_UNCAUGHT_EXCEPTION = 129;

function main() {
  const client = new RuntimeClient(process.env.AWS_LAMBDA_RUNTIME_API);
  const current = { id: undefined }; // the invocation that an error belongs to; none while the function is loaded
  logs.patchConsole(current);

  const die = (title, error, code) => {
    logs.logError(title, error);
    client.fail(current.id, error).finally(() => process.exit(code));
  };
  process.on('uncaughtException', (error) => die('Uncaught Exception', error, EXIT_UNCAUGHT_EXCEPTION));
  process.on('unhandledRejection', (reason) =>
    die('Unhandled Promise Rejection', new UnhandledPromiseRejection(reason), EXIT_UNHANDLED_REJECTION),
  );

  const { load } = require('./loader.cjs');
  load(process.env.LAMBDA_TASK_ROOT || process.cwd(), process.env._HANDLER || '')
    .then((handler) => require('./loop.cjs').serve(client, current, handler))
    .catch((error) => die('Uncaught Exception', error, EXIT_UNCAUGHT_EXCEPTION));
}

main();
