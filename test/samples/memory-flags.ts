/** How a process that copies large objects is started where memory counts (functions/README.md): V8 lets less garbage pile up. */
export const MEMORY_FLAGS = [
  '--max-semi-space-size=1',
  '--initial-old-space-size=48',
  // Bytes that arrive lie outside V8's heap, and are no reason to collect anything unless told.
  '--external-memory-accounted-in-global-limit',
];
