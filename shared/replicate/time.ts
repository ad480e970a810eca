/** How long one invocation of a function may go on; a process that stays has no end. */

import type { World } from '../world/world.ts';

/** Something that takes so long must not be begun any more: another invocation goes on. */
export function isTimeUp({ deadlineAt, clock }: World, neededMs = 0): boolean {
  return deadlineAt !== undefined && clock.now() + neededMs >= deadlineAt;
}

/** The same world, for as long as one invocation has got. */
export function withDeadline(world: World, deadlineAt: number): World {
  return { ...world, deadlineAt };
}
