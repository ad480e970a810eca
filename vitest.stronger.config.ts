/** `npm run stronger`: other people's clients and servers. What is missing on this machine is named and not run. */
import { defineConfig } from 'vitest/config';
import { STRONGER, settings } from './vitest.config.ts';

export default defineConfig({ test: { ...settings, maxWorkers: 1, include: STRONGER } });
