/** Which files hold tests, and how they run: few workers, because a laptop or a CI machine may have two cores. */
import { configDefaults, defineConfig } from 'vitest/config';
import './cli/require-node-24.mjs';

const folders = ['shared', 'events', 'functions', 'local', 'cli', 'infra', 'test'];

/** Suites against software that is not always there: `npm run stronger`. */
export const STRONGER = ['test/conformance/**/*.test.ts'];

export const settings = {
  pool: 'threads',
  maxWorkers: 2,
  testTimeout: 30_000,
  hookTimeout: 30_000,
  allowOnly: false,
  setupFiles: 'test/property-seed.ts',
} as const;

export default defineConfig({
  test: {
    ...settings,
    include: folders.map((folder) => `${folder}/**/*.test.ts`),
    exclude: [...configDefaults.exclude, ...STRONGER],
  },
});
