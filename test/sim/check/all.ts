/** Every checker, one per invariant of docs/PROTOCOL.md that a simulation can judge. None knows how the core works. */

import type { Checker } from '../history.ts';
import { ackSafety } from './ack-safety.ts';
import { boundedMetadata } from './bounded-metadata.ts';
import { brake } from './brake.ts';
import { causality } from './causality.ts';
import { convergence } from './convergence.ts';
import { dotUniqueness } from './dot-uniqueness.ts';
import { dueFound } from './due-found.ts';
import { durableHistory } from './durable-history.ts';
import { echo } from './echo.ts';
import { epochSafety } from './epoch-safety.ts';
import { idempotence } from './idempotence.ts';
import { integrity } from './integrity.ts';
import { noLostUpdate } from './no-lost-update.ts';
import { noResurrection } from './no-resurrection.ts';
import { noStorm } from './no-storm.ts';
import { pinnedReads } from './pinned-reads.ts';
import { rebuilt } from './rebuilt.ts';
import { resolution } from './resolution.ts';

export const checkers: readonly Checker[] = [
  noLostUpdate,
  convergence,
  noStorm,
  idempotence,
  dotUniqueness,
  echo,
  causality,
  resolution,
  noResurrection,
  integrity,
  pinnedReads,
  epochSafety,
  ackSafety,
  dueFound,
  durableHistory,
  rebuilt,
  boundedMetadata,
  brake,
];
