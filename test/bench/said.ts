/** Sentences that are longer than a line of source. */

export function said(...parts: readonly string[]): string {
  return parts.join(' ');
}
