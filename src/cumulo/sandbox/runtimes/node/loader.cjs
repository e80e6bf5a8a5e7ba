// From the handler's name to the function: `folder/file.export.path`.

'use strict';

const fs = require('fs');
const { createRequire } = require('module');
const path = require('path');
const errors = require('./errors.cjs');
const stream = require('./stream.cjs');

const requireHere = createRequire(path.join(__dirname, 'index.mjs')); // error messages name AWS's file
const TYPESCRIPT_SINCE = 24;

/** Load the function; errors are of Runtime's types where Lambda has one. */
async function load(root, name) {
  if (name.includes('..')) {
    throw new errors.MalformedHandlerName(
      `'${name}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`,
    );
  }
  const base = path.basename(name);
  const folder = name.slice(0, name.indexOf(base));
  const dot = base.indexOf('.');
  if (dot < 0) throw new errors.MalformedHandlerName('Bad handler');
  const [file, property] = [base.slice(0, dot), base.slice(dot + 1)];

  stream.installGlobal();
  const exported = await loadModule(root, folder, file);
  const handler = property.split('.').reduce((value, key) => value && value[key], exported);
  if (!handler) throw new errors.HandlerNotFound(`${name} is undefined or not exported`);
  if (typeof handler !== 'function') throw new errors.HandlerNotFound(`${name} is not a function`);
  return handler;
}

async function loadModule(root, folder, file) {
  try {
    const found = candidates(path.resolve(root, folder, file)).find(([name]) => fs.existsSync(name));
    if (found) {
      const [name, isModule] = found;
      return isModule ? await import(name) : requireHere(name);
    }
    return requireHere(requireHere.resolve(file, { paths: [root, folder] }));
  } catch (error) {
    if (error instanceof SyntaxError) {
      const syntax = new errors.UserCodeSyntaxError(String(error));
      syntax.stack = error.stack;
      throw syntax;
    }
    if (error && error.code === 'MODULE_NOT_FOUND') throw new errors.ImportModuleError(String(error));
    throw error;
  }
}

/** The files that a name can stand for, in Lambda's order, and whether each is an ES module. */
function candidates(base) {
  const isModule = insideModulePackage(path.dirname(base));
  const files = [['', false], ['.js', isModule], ['.mjs', true], ['.cjs', false]];
  if (parseInt(process.versions.node, 10) >= TYPESCRIPT_SINCE) {
    files.push(['.ts', isModule], ['.mts', true], ['.cts', false]);
  }
  return files.map(([extension, esm]) => [base + extension, esm]).filter(([name]) => !isFolder(name));
}

/** Whether the nearest package.json says "type": "module". */
function insideModulePackage(folder) {
  if (folder.endsWith('/node_modules')) return false;
  const file = path.join(folder, 'package.json');
  if (fs.existsSync(file)) {
    try {
      return JSON.parse(fs.readFileSync(file, 'utf8')).type === 'module';
    } catch (error) {
      console.warn(`${file} cannot be read, it will be ignored for ES module detection purposes.`, error);
      return false;
    }
  }
  return folder === '/' ? false : insideModulePackage(path.dirname(folder));
}

function isFolder(name) {
  const stat = fs.statSync(name, { throwIfNoEntry: false });
  return stat !== undefined && stat.isDirectory();
}

module.exports = { load };
