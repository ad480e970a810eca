/** What Triplicate publishes, as CloudEvents 1.0 in JSON; a schema for the data of each type lies in `schemas/`. */

import { createHash } from 'node:crypto';
import type { Happening } from '../../shared/model/happening.ts';
import type { LogicalVersion } from '../../shared/model/key-item.ts';
import type { LogEntry, LogKind } from '../../shared/model/log-entry.ts';
import { RESOLVER } from '../../shared/model/site.ts';

export interface CloudEvent {
  readonly specversion: '1.0';
  /** The same whenever the same thing is told again. */
  readonly id: string;
  readonly source: string;
  readonly type: string;
  /** The key; absent where there is none, or where it holds characters that no attribute may have. */
  readonly subject?: string;
  readonly time: string;
  readonly datacontenttype: 'application/json';
  readonly dataschema: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** What the log calls it, and what the type of its event is called. */
const NAMES: Readonly<Record<LogKind | 'replicated' | 'noticed', string>> = {
  version: 'version.seen',
  replicated: 'version.replicated',
  superseded: 'conflict.resolved',
  resolved: 'conflict.copied',
  unresolved: 'conflict.unresolved',
  evicted: 'replica.evicted',
  quarantined: 'replica.quarantined',
  collected: 'delete.forgotten',
  noticed: 'notice.raised',
};

export const EVENT_NAMES: readonly string[] = Object.values(NAMES);

export function toCloudEvent(happening: Happening, namespace: string): CloudEvent {
  const { name, at, key, id, data } = toParts(happening);
  return {
    specversion: '1.0',
    id: key === undefined ? id : `${id}/${digestOf(key)}`,
    source: `/triplicate/${encodeURIComponent(namespace)}`,
    type: `io.triplicate.${name}.v1`,
    ...(key !== undefined && isAttribute(key) ? { subject: key } : {}),
    time: new Date(at).toISOString(),
    datacontenttype: 'application/json',
    dataschema: `urn:triplicate:schema:${name}.v1`,
    data,
  };
}

interface Parts {
  readonly name: string;
  readonly at: number;
  readonly key?: string;
  /** Unique in its namespace, together with the key. */
  readonly id: string;
  readonly data: CloudEvent['data'];
}

function toParts(happening: Happening): Parts {
  switch (happening.kind) {
    case 'logged': {
      const { entry } = happening;
      const { key, at, id, kind } = entry;
      return { name: NAMES[kind], at, key, id, data: { key, ...DATA[kind](entry, happening) } };
    }
    case 'replicated': {
      const { at, key, version, sites } = happening;
      const data = { key, version: version.vid, ...contentOf(version), sites };
      return { name: NAMES.replicated, at, key, id: `replicated/${version.vid}`, data };
    }
    case 'noticed': {
      const { at, notice } = happening;
      const { severity, what, site, key, detail } = notice;
      const where = { ...(site === undefined ? {} : { site }), ...(key === undefined ? {} : { key }) };
      const id = `notice/${what}/${at}/${digestOf(`${site ?? ''} ${detail}`)}`;
      return {
        name: NAMES.noticed,
        at,
        id,
        data: { severity, what, ...where, detail },
        ...(key === undefined ? {} : { key }),
      };
    }
  }
}

type Logged = Extract<Happening, { kind: 'logged' }>;

const DATA: Readonly<Record<LogKind, (entry: LogEntry, logged: Logged) => CloudEvent['data']>> = {
  version: ({ vid, site }, { version }) => ({
    version: vid,
    // Versions that Triplicate makes by itself are born at no site.
    ...(site === undefined || site === RESOLVER ? {} : { site }),
    ...(version === undefined ? {} : { cause: version.origin.cause, ...contentOf(version) }),
  }),
  superseded: ({ vid, by, note }) => ({ loser: vid, winner: by, how: note }),
  resolved: ({ vid }, { copyOf }) => ({
    version: vid,
    ...(copyOf == null ? {} : { copyOf: { key: copyOf.key, version: copyOf.vid } }),
  }),
  unresolved: ({ id, note }) => ({ versions: id.slice(id.indexOf('/') + 1).split(','), reason: note }),
  evicted: ({ vid, site }) => ({ site, ...(vid === undefined ? {} : { version: vid }) }),
  quarantined: ({ site, note }) => ({ site, reason: note }),
  collected: ({ vid }) => ({ version: vid }),
};

function contentOf({ kind, hlc, sizeBytes, crc32c }: LogicalVersion) {
  return {
    kind,
    /** By the clock of the bucket where it was written, or as much later as its past demands. */
    writtenAt: new Date(hlc.ms).toISOString(),
    ...(kind === 'object' ? { sizeBytes, ...(crc32c === '' ? {} : { crc32c }) } : {}),
  };
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, 22);
}

/** CloudEvents forbids control characters, non-characters and lone surrogates in attributes. */
function isAttribute(text: string): boolean {
  return text !== '' && text.isWellFormed() && !/[\p{Cc}\p{Noncharacter_Code_Point}]/u.test(text);
}
