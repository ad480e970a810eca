/** Which files hold tests, and how they run: few workers, because a laptop or a CI machine may have two cores. */
import { defineConfig } from 'vitest/config';
import './cli/require-node-24.mjs';

const folders = ['shared', 'events', 'functions', 'local', 'cli', 'infra', 'test'];

export default defineConfig({
  test: {
    include: folders.map((folder) => `${folder}/**/*.test.ts`),
    pool: 'threads',
    maxWorkers: 2,
    testTimeout: 30_000,
    allowOnly: false,
  },
});
