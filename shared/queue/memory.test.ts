import { queueConformance } from '../../test/conformance/queue.ts';
import { openMemoryQueue } from './memory.ts';

let time = 1_700_000_000_000;

queueConformance({
  name: 'memory',
  open: async () => openMemoryQueue({ now: () => time }),
  advance: async (ms) => {
    time += ms;
  },
  skip: [
    {
      test: 'a queue opened again has all it had, and its receipts still hold',
      reason: 'memory ends with its process',
    },
  ],
});
