/** Seeds that once failed, and what each of them found. They run in every test. */

export const KNOWN_SEEDS: ReadonlyArray<readonly [seed: number, found: string]> = [
  [318, 'a worker that knew the lost ledger wrote into its successor, where revision and epoch happened to be equal'],
  [703, 'the answer to a write was bound to an item that had forgotten the intent'],
  [749, 'an upload whose completion was never answered kept its job alive for ever'],
  [1399, 'S3 without versions shows one identity for two writes of the same bytes within a second'],
  [3592, 'a change of storage class after a client patch was taken for our own write'],
  [6904, 'one write of ours into an emptied bucket was enough to make it look like a purge, and delete everywhere'],
  [9420, 'one message that could not be settled left the rest of its batch running without a worker'],
  [12075, 'a rebuild overlooked a client write of equal bytes that lay hidden under our own delete'],
  [17600, 'a key was collected, and the history its bucket still kept was taken for new versions'],
  [21095, 'the answer to our write was thrown away when a client wrote over it at once'],
  [28542, 'a client deleted what we were about to delete; our own delete, coming second, counted as a client delete'],
  [37893, 'a bucket was emptied before anybody had looked at a write in it: nothing to be done, and no violation'],
  [138_607, 'an answer to a create-only write was believed after the absence it was made for had come back'],
  [142_429, 'reseeding a bucket read its remaining history again, and took an old delete for a new one'],
  [
    90_525,
    'a flipped byte was copied: the version had no checksum of its own, and that of the bucket read from went unasked',
  ],
  [40176, 'an intent was forgotten when its write was answered, before a look had shown what it wrote over'],
  [
    209_663,
    'a delete that the client had written over before the pass looked counted for the brake: the checker was wrong',
  ],
  [
    166_918,
    'two ledgers were lost: what the first rebuild named below a delete, the next found under a later write of the client',
  ],
  [342_639, 'a mass deletion reached a copy that the ledger did not know of yet: no listing shows that as vanished'],
  [389_221, 'a rebuild took a copy of ours that a client had put back over a write of its own for our first write'],
  [430_955, 'a rebuild that was fenced on its way reported that it had finished'],
  [434_321, 'a rebuild overlooked a client write of equal bytes that had a delete between it and the earlier ones'],
  [458_921, 'of two equal losers the one was to be kept whose bucket had been emptied, and so neither was'],
  [652_362, 'a lost event that comes months late is no repetition: it may tell of what nobody could see any more'],
  [701_776, 'the same, of a write and a delete among siblings that nobody may decide'],
  [802_726, 'an absence seen before our write and stored after it is the same absence: the checker was wrong'],
  [846_759, 'a rebuild took for ours, by its mark, what a client had put back before a delete of ours hid it'],
  [
    894_879,
    'a rebuild overlooked a hidden write, because the delete of ours above it hid what nobody could name any more',
  ],
];
