/** What programs of test/ say of arguments that they cannot take. */

export function whole(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) fail(`--${name} ${text}: expected a whole number`);
  return value;
}

export function fail(text: string): never {
  console.error(text);
  process.exit(2);
}
