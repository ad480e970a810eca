/** What one local cloud remembers: a folder with a database and the bytes beside it, or memory. */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Bodies, openBodies } from './bodies.ts';
import { type Database, openDatabase } from './sqlite.ts';

export interface State {
  readonly db: Database;
  readonly bodies: Bodies;
  /** Null in memory. */
  readonly folder: string | null;
  close(): void;
}

/** `folder` null: in memory. One process at a time. */
export function openState(folder: string | null): State {
  if (folder !== null) mkdirSync(folder, { recursive: true });
  const db = openDatabase(folder === null ? null : join(folder, 'state.db'));
  const bodies = openBodies(db, folder === null ? null : join(folder, 'bodies'));
  return {
    db,
    bodies,
    folder,
    close() {
      bodies.close();
      db.close();
    },
  };
}
