/** The safety rules by name. All are always on; only tests may remove one, to prove that its absence is noticed. */

export const RULES = {
  'ledger-first': 'the ledger is read before the bucket, so that an older look never overwrites a newer state',
  'whole-chain': 'where a bucket keeps its history every new version in it is looked at, not only the last',
  rollback: 'a purge that makes an older version current again is a new version with the old content',
  'echo-needs-intent': 'a marker counts as ours only if the ledger waits for that very write',
  'echo-after-base':
    'a write counts as ours only directly after the version it was planned over; one that can no longer land is forgotten',
  'marker-content': 'a marker counts only while the bytes and metadata are those it was written for',
  'inferred-delete': 'a create-only write that lands where something stood proves a delete that nobody saw',
  'delete-by-token': 'where tokens cover bytes alone, a delete over the same token may be our own late one',
  'local-expiry': 'what a site removes by its own lifecycle is missing there, not deleted everywhere',
  'total-order': 'ties are broken by one total order that no site and no worker can see differently',
  'keep-losers': 'under keep-both a loser yields only when its copy stands at enough sites',
  'clock-dots': 'a dot is never below the clock, so that a forgotten key cannot give a dot out twice',
  'intent-first': 'a write is in the ledger before it is in the bucket',
  'fresh-wid': 'every attempt has a write id of its own',
  'exact-precondition': 'a replica is written only over the very version that was looked at',
  'pinned-read': 'bytes and metadata of a copy come from one physical version',
  'checked-read': 'bytes that do not match the known checksums are not copied',
  'parts-complete': 'parts are published only when all are done and add up to the version',
  'ack-when-durable': 'a message is acknowledged only when what it told is in the ledger',
  'listed-before-ack':
    'a message is acknowledged only when its key is not due any more, or is in the index of those that are',
  'epoch-fence': 'a worker of an old epoch cannot change the ledger',
  'sentinel-proof': 'absence is believed only from a bucket that can show its sentinel',
  'unreachable-is-not-absent': 'a site that does not answer is left as it was',
  'deletion-cap': 'a pass that would delete too much stops and asks',
  'outbox-kept': 'a log entry leaves the item only once it is in the log',
  'collect-when-seen': 'a tombstone is forgotten only when old enough and seen at every site',
  quarantine: 'an old replica of a forgotten key is reported, not replicated',
} as const;

export type RuleName = keyof typeof RULES;
export type Rules = Readonly<Record<RuleName, boolean>>;

const names = Object.keys(RULES) as RuleName[];

export const everyRule: Rules = Object.freeze(
  Object.fromEntries(names.map((name) => [name, true])) as Record<RuleName, boolean>,
);

/** For tests only, which test/architecture.test.ts enforces. */
export function withoutRule(name: RuleName): Rules {
  return Object.freeze({ ...everyRule, [name]: false });
}
