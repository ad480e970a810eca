/** I15: when a message is acknowledged, the ledger has seen what stood at its site, or something newer. */

import { ABSENT, isAbsent } from '#shared/model/object.ts';
import type { Acknowledged, History, Stood, Violation } from '../history.ts';

export function ackSafety(history: History): readonly Violation[] {
  const violations: Violation[] = [];
  for (const ack of history.acknowledged) {
    const said = ack.item?.sites[ack.site]?.phys ?? ABSENT;
    if (ack.hintedPhys !== undefined && ack.item?.sites[ack.site]?.seen.includes(ack.hintedPhys)) continue;
    if (dropped(history, ack) || stoodMeanwhile(history, ack, said)) continue;
    violations.push({
      invariant: 'I15',
      step: ack.step,
      text: `${ack.site} ${ack.key}: acknowledged while the ledger knows only ${said}`,
    });
  }
  return violations;
}

function stoodMeanwhile({ stood }: History, { site, key, receivedAt, step }: Acknowledged, said: string): boolean {
  let standing: Stood | null = null;
  for (const it of stood) {
    if (it.site !== site || it.key !== key) continue;
    if (it.step > step) break;
    if (it.step > receivedAt && matches(standing, said)) return true;
    standing = it;
  }
  return matches(standing, said);
}

function matches(standing: Stood | null, said: string): boolean {
  if (standing === null || standing.phys === null) return isAbsent(said) || !said.includes('|');
  return standing.phys === said;
}

function dropped({ drops, disasters }: History, { receivedAt, step }: Acknowledged): boolean {
  return drops.some((at) => at >= receivedAt && at <= step) || disasters.length > 0;
}
