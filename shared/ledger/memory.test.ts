import { ledgerConformance } from '../../test/conformance/ledger.ts';
import { type MemoryLedger, openMemoryLedger } from './memory.ts';

ledgerConformance({
  name: 'memory',
  open: async () => openMemoryLedger(),
  plantRow: async (ledger, key, text) => (ledger as MemoryLedger).plantRow(key, text),
  skip: [{ test: 'a ledger opened again has all it had', reason: 'memory ends with its process' }],
});
