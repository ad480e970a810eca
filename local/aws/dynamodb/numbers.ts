/** Numbers of DynamoDB: decimals of up to 38 digits, compared and added as decimals and never as floating point. */

import { refused } from './errors.ts';

/** `0.digits` times ten to the power of `exponent`; no zeros at either end. Zero has no digits. */
interface Decimal {
  readonly negative: boolean;
  readonly digits: string;
  readonly exponent: number;
}

const DIGITS_MAX = 38;
/** 9.99e125 is the largest number, 1e-130 the smallest above zero. */
const EXPONENT_MAX = 126;
const EXPONENT_MIN = -129;

/** The text that DynamoDB stores and answers. Throws what it says of a text that it takes for no number. */
export function toNumberText(text: string): string {
  return textOf(readDecimal(text));
}

export function compareNumbers(a: string, b: string): number {
  return Buffer.compare(toNumberKey(a), toNumberKey(b));
}

/** `factor` 1 adds, -1 subtracts. */
export function addNumbers(a: string, b: string, factor: 1 | -1): string {
  const [left, right] = [readDecimal(a), readDecimal(b)];
  const scale = Math.min(left.exponent - left.digits.length, right.exponent - right.digits.length);
  const sum = scaled(left, scale) + BigInt(factor) * scaled(right, scale);
  return textOf(checked(toDecimal(sum < 0n, `${sum < 0n ? -sum : sum}`, scale)));
}

/** Bytes in the order of the numbers. */
export function toNumberKey(text: string): Buffer {
  const { negative, digits, exponent } = readDecimal(text);
  if (digits === '') return Buffer.of(0x80);
  const bytes = [0x81, ...biased(exponent)];
  for (let i = 0; i < digits.length; i += 2) bytes.push(Number(digits.slice(i, i + 2).padEnd(2, '0')) + 1);
  bytes.push(0);
  return Buffer.from(negative ? bytes.map((byte) => 0xff - byte) : bytes);
}

/** About half a byte a digit, as DynamoDB counts. */
export function numberBytes(text: string): number {
  const { negative, digits } = readDecimal(text);
  return digits === '' ? 1 : Math.ceil(digits.length / 2) + 1 + (negative ? 1 : 0);
}

function readDecimal(text: string): Decimal {
  const match = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,6}))?$/.exec(text);
  if (match === null || (match[2] === '' && (match[3] ?? '') === ''))
    throw refused(`The parameter cannot be converted to a numeric value${text === '' ? '' : `: ${text}`}`);
  const [, sign, whole = '', fraction = '', power = '0'] = match;
  return checked(toDecimal(sign === '-', whole + fraction, Number(power) - fraction.length));
}

/** `integer` times ten to the power of `scale`. */
function toDecimal(negative: boolean, integer: string, scale: number): Decimal {
  const significant = integer.replace(/^0+/, '');
  const digits = significant.replace(/0+$/, '');
  if (digits === '') return { negative: false, digits, exponent: 0 };
  return { negative, digits, exponent: significant.length + scale };
}

function checked(decimal: Decimal): Decimal {
  const { digits, exponent } = decimal;
  if (digits === '') return decimal;
  if (exponent > EXPONENT_MAX)
    throw refused('Number overflow. Attempting to store a number with magnitude larger than supported range');
  if (exponent < EXPONENT_MIN)
    throw refused('Number underflow. Attempting to store a number with magnitude smaller than supported range');
  if (digits.length > DIGITS_MAX) throw refused('Attempting to store more than 38 significant digits in a Number');
  return decimal;
}

function textOf({ negative, digits, exponent }: Decimal): string {
  if (digits === '') return '0';
  const sign = negative ? '-' : '';
  if (exponent <= 0) return `${sign}0.${'0'.repeat(-exponent)}${digits}`;
  if (exponent >= digits.length) return `${sign}${digits.padEnd(exponent, '0')}`;
  return `${sign}${digits.slice(0, exponent)}.${digits.slice(exponent)}`;
}

function scaled({ negative, digits, exponent }: Decimal, scale: number): bigint {
  if (digits === '') return 0n;
  const value = BigInt(digits) * 10n ** BigInt(exponent - digits.length - scale);
  return negative ? -value : value;
}

function biased(exponent: number): readonly [number, number] {
  const value = exponent - EXPONENT_MIN + 1;
  return [value >> 8, value & 0xff];
}
