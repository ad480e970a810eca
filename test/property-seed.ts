/** One seed for every property test, so that a run repeats exactly. PROPERTY_SEED=random (or a number) searches elsewhere. */
import fc from 'fast-check';

const USUAL_SEED = 20_260_101;
const asked = process.env.PROPERTY_SEED;

if (asked !== 'random') {
  const seed = asked === undefined ? USUAL_SEED : Number(asked);
  if (!Number.isSafeInteger(seed)) throw new Error(`PROPERTY_SEED is "${asked}": give a whole number, or "random"`);
  fc.configureGlobal({ seed });
}
