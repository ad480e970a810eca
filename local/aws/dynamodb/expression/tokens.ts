/** Cuts an expression into tokens, and says where it makes no sense. */

import { type DynamoError, refused } from '../errors.ts';

export interface Token {
  /** word: a bare name or a keyword. name: #x. value: :x. index: digits. symbol: all else. */
  readonly kind: 'word' | 'name' | 'value' | 'index' | 'symbol' | 'end';
  readonly text: string;
  readonly at: number;
}

/** Where an expression was given: ConditionExpression and so on. */
export type Field =
  | 'ConditionExpression'
  | 'KeyConditionExpression'
  | 'FilterExpression'
  | 'ProjectionExpression'
  | 'UpdateExpression';

const EXPRESSION_BYTES_MAX = 4096;
const TOKEN = /\s*(?:([A-Za-z_][A-Za-z0-9_]*)|(#[A-Za-z0-9_]+)|(:[A-Za-z0-9_]+)|([0-9]+)|(<>|<=|>=|[=<>()[\],.+-]))/y;
const KINDS = ['word', 'name', 'value', 'index', 'symbol'] as const;

export function wrongExpression(field: Field, message: string): DynamoError {
  return refused(`Invalid ${field}: ${message}`);
}

export function wrongOperandType(field: Field, operator: string, type: string): DynamoError {
  const what = `operator or function: ${operator}, operand type: ${type}`;
  return wrongExpression(field, `Incorrect operand type for operator or function; ${what}`);
}

export function wrongOperandCount(field: Field, operator: string, count: number): DynamoError {
  const what = `operator or function: ${operator}, number of operands: ${count}`;
  return wrongExpression(field, `Incorrect number of operands for operator or function; ${what}`);
}

/** Ends with a token of kind `end`. */
export function readTokens(field: Field, text: string): readonly Token[] {
  if (text === '') throw wrongExpression(field, 'The expression can not be empty;');
  if (Buffer.byteLength(text) > EXPRESSION_BYTES_MAX)
    throw wrongExpression(
      field,
      `Expression size has exceeded the maximum allowed size; expression size: ${Buffer.byteLength(text)}`,
    );
  const tokens: Token[] = [];
  const pattern = new RegExp(TOKEN);
  for (let at = 0; at < text.length; at = pattern.lastIndex) {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match === null) {
      const rest = text.slice(at).trimStart();
      if (rest === '') break;
      throw syntaxError(
        field,
        text,
        [...tokens, { kind: 'symbol', text: rest.charAt(0), at: text.length - rest.length }],
        tokens.length,
      );
    }
    const which = match.slice(1).findIndex((group) => group !== undefined);
    const found = match[which + 1] as string;
    tokens.push({ kind: KINDS[which] as Token['kind'], text: found, at: pattern.lastIndex - found.length });
  }
  return [...tokens, { kind: 'end', text: '<EOF>', at: text.length }];
}

/** Names the token and its neighbours, as DynamoDB does. */
export function syntaxError(field: Field, text: string, tokens: readonly Token[], index: number): DynamoError {
  const token = tokens[index] as Token;
  const first = tokens[Math.max(0, index - 1)] as Token;
  const last = tokens[index + 1];
  const end = last === undefined || last.kind === 'end' ? text.length : last.at + last.text.length;
  return wrongExpression(field, `Syntax error; token: "${token.text}", near: "${text.slice(first.at, end)}"`);
}
