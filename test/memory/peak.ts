/** The most memory this process ever had resident. */

import { readFileSync } from 'node:fs';

/**
 * On Linux what a process reports of itself as its maximum begins with what its parent had when it was started; the high
 * water mark of its own memory does not.
 */
export function peakBytes(): number {
  try {
    const [, kib] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
    if (kib !== undefined) return Number(kib) * 1024;
  } catch {
    // Not Linux.
  }
  return process.resourceUsage().maxRSS * 1024;
}
