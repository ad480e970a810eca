/** What the texts of ledger items have in common. Stored texts lean on it: it never changes, a better one gets a new number. */

/** The nearer to the end, the cheaper to refer to. */
export const DICTIONARY = Buffer.from(
  [
    '"kind":"collected""kind":"quarantined""kind":"evicted""kind":"unresolved""kind":"resolved""siblings":["since":',
    '"kind":"tombstone","kind":"merge""cause":"conflict-copy""cause":"inferred-delete""cause":"rollback""cause":"delete"',
    ',"copyOf":{"key":"","vid":"","unresolved":{"reason":"","since":,"tombstoneAt":17,"due":17',
    'us-east-1us-west-2eu-west-1europe-west1us-central1westeuropeeastusonpremprimarysecondarybackup',
    '"metaDigest":"dJgUx7nFDvv-TCwJeB04XQ","baseToken":"\\"5d41402abc4b2a76b9719d911017c592\\"","0x8D',
    '{"wid":"","vid":"","kind":"delete","basePhys":"absent","baseToken":null,"worker":"","leaseUntil":17},',
    ',"outbox":[{"key":"","id":"superseded/","kind":"superseded","at":17,"vid":"","by":"","site":"","note":"policy"}],',
    ',"outbox":[{"key":"","id":"version/","kind":"version","at":17,"vid":"","site":"aws","note":"put v:"}],"due":17',
    '{"schema":1,"key":"","rev":2,"epoch":1,"dots":{"aws":17},"frontier":["aws:17"],"versions":{"aws:17":{"vid":"aws:17',
    '","dot":{"s":"aws","n":17},"vv":{"aws":17},"kind":"object","hlc":{"ms":17,"c":0},"sizeBytes":1048576,',
    '"crc32c":"AAAAAA==","crc64nvme":"AAAAAAAAAAA=","metaDigest":"',
    '","origin":{"site":"aws","phys":"v:","cause":"put"},"holders":{"aws":{"phys":"v:"},"gcp":{"phys":"g:17',
    '.1"},"azure":{"phys":"202"}}}},"sites":{"aws":{"phys":"v:","token":"\\"","body":"v:","modifiedAt":17',
    ',"vid":"aws:17","past":{"aws":17},"wid":null,"lookedAt":17,"evicted":false,"quarantined":false,"intents":[],"seen":["v:',
    '"]},"gcp":{"phys":"absent","token":null,"body":"","modifiedAt":0,"vid":null,"past":{},"wid":null,"lookedAt":17',
    ',"evicted":false,"quarantined":false,"intents":[{"wid":"","vid":"aws:17","kind":"copy","basePhys":"absent",',
    '"baseToken":null,"worker":"","leaseUntil":17}],"seen":["absent"]},"azure":{"phys":"","token":"\\"0x8D',
    '\\"","body":"","modifiedAt":17,"vid":"aws:17","past":{"aws":17},"wid":"","lookedAt":17,"evicted":false,',
    '"quarantined":false,"intents":[],"seen":[""]}},"outbox":[],"due":null,"unresolved":null,"copyOf":null,"tombstoneAt":null}',
  ].join(''),
);
