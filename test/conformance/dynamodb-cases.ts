/** What a DynamoDB answers to expressions and numbers, told the same way to ours and to those that are not. */

/** Stands before each case; the key is pk 'a', sk 1. */
export const ITEM = {
  pk: { S: 'a' },
  sk: { N: '1' },
  s: { S: 'héllo😀' },
  n: { N: '10.50' },
  b: { B: 'AAEC' },
  t: { BOOL: true },
  z: { NULL: true },
  l: { L: [{ N: '1' }, { S: 'x' }, { N: '3' }] },
  m: { M: { a: { N: '1' }, b: { L: [{ S: 'q' }] }, 'c.d': { S: 'dot' } } },
  ss: { SS: ['a', 'b'] },
  ns: { NS: ['1', '2.0'] },
};

/** holds, fails, or what the refusal says. */
export type Verdict = 'holds' | 'fails' | { readonly refused: string };

const refused = (text: string): Verdict => ({ refused: `Invalid ConditionExpression: ${text}` });
const wrongType = (name: string, type: string) =>
  refused(`Incorrect operand type for operator or function; operator or function: ${name}, operand type: ${type}`);
const wrongCount = (name: string, count: number) =>
  refused(
    `Incorrect number of operands for operator or function; operator or function: ${name}, number of operands: ${count}`,
  );
const misused = (name: string) =>
  refused(`The function is not allowed to be used this way in an expression; function: ${name}`);
const notDistinct = (by: string, first: string) =>
  refused(
    'The first operand must be distinct from the remaining operands for this operator or function; ' +
      `operator: ${by}, first operand: [${first}]`,
  );
const syntax = (token: string, near: string) => refused(`Syntax error; token: "${token}", near: "${near}"`);

export const CONDITIONS: readonly (readonly [expression: string, value: object | undefined, verdict: Verdict])[] = [
  ['attribute_exists(s)', undefined, 'holds'],
  ['attribute_not_exists(s)', undefined, 'fails'],
  ['attribute_exists(nope)', undefined, 'fails'],
  ['attribute_exists(m.a)', undefined, 'holds'],
  ['attribute_exists(l[5])', undefined, 'fails'],
  ['NOT attribute_exists(nope)', undefined, 'holds'],
  ['NOT NOT attribute_exists(s)', undefined, 'holds'],
  ['attribute_exists(s) and not attribute_exists(nope)', undefined, 'holds'],
  ['attribute_exists(nope) OR attribute_exists(s) AND attribute_exists(n)', undefined, 'holds'],
  ['attribute_exists(s) OR attribute_exists(nope) AND attribute_exists(nope)', undefined, 'holds'],
  ['(attribute_exists(s) OR attribute_exists(nope)) AND attribute_exists(nope)', undefined, 'fails'],
  ['(attribute_exists(s))', undefined, 'holds'],
  ['((attribute_exists(s)))', undefined, refused('The expression has redundant parentheses;')],
  ['foo(s)', undefined, refused('Invalid function name; function: foo')],
  ['ATTRIBUTE_EXISTS(s)', undefined, refused('Invalid function name; function: ATTRIBUTE_EXISTS')],
  ['attribute_exists(s, n)', undefined, wrongCount('attribute_exists', 2)],
  [
    'attribute_exists(:v)',
    { N: '1' },
    refused('Operator or function requires a document path; operator or function: attribute_exists'),
  ],
  ['attribute_exists(name)', undefined, refused('Attribute name is a reserved keyword; reserved keyword: name')],
  [
    'attribute_exists(#q)',
    undefined,
    refused('An expression attribute name used in the document path is not defined; attribute name: #q'),
  ],
  ['size(s)', undefined, misused('size')],
  ['s = s', undefined, notDistinct('=', 's')],
  ['contains(s, s)', undefined, notDistinct('contains', 's')],
  ['s IN (:v, s)', { S: 'x' }, notDistinct('IN', 's')],
  ['s', undefined, syntax('<EOF>', 's')],
  ['s IN ()', undefined, syntax(')', '()')],
  ['n == :v', { N: '1' }, syntax('=', '== :v')],
  ['n = 5', undefined, syntax('5', '= 5')],
  ['s < n', undefined, 'fails'],
  ['s = (n)', undefined, 'fails'],
  ['s = :v', { S: 'héllo😀' }, 'holds'],
  ['s <> :v', { S: 'x' }, 'holds'],
  ['nope <> :v', { S: 'x' }, 'holds'],
  ['nope = :v', { S: 'x' }, 'fails'],
  ['n = :v', { N: '1.05e1' }, 'holds'],
  ['n > :v', { N: '9' }, 'holds'],
  ['n < :v', { S: '9' }, 'fails'],
  ['n <> :v', { S: '10.5' }, 'holds'],
  ['t = :v', { BOOL: true }, 'holds'],
  ['t < :v', { BOOL: true }, wrongType('<', 'BOOL')],
  ['l = :v', { L: [{ N: '1.0' }, { S: 'x' }, { N: '3' }] }, 'holds'],
  ['ss = :v', { SS: ['b', 'a'] }, 'holds'],
  ['contains(ss, :v)', { S: 'a' }, 'holds'],
  ['contains(ns, :v)', { N: '2' }, 'holds'],
  ['contains(l, :v)', { S: 'x' }, 'holds'],
  ['contains(s, :v)', { S: 'llo' }, 'holds'],
  ['contains(s, :v)', { N: '1' }, 'fails'],
  ['contains(b, :v)', { B: 'AQI=' }, 'holds'],
  ['contains(ss, :v)', { SS: ['a'] }, 'fails'],
  ['begins_with(s, :v)', { S: 'hé' }, 'holds'],
  ['begins_with(b, :v)', { B: 'AAE=' }, 'holds'],
  ['begins_with(n, :v)', { S: '1' }, 'fails'],
  ['begins_with(s, :v)', { N: '1' }, wrongType('begins_with', 'N')],
  ['attribute_type(z, :v)', { S: 'NULL' }, 'holds'],
  ['attribute_type(s, :v)', { N: '1' }, wrongType('attribute_type', 'N')],
  ['size(s) = :v', { N: '7' }, 'holds'],
  ['size(b) = :v', { N: '3' }, 'holds'],
  ['size(l) = :v', { N: '3' }, 'holds'],
  ['size(m) = :v', { N: '3' }, 'holds'],
  ['size(ss) = :v', { N: '2' }, 'holds'],
  ['size(n) = :v', { N: '4' }, 'fails'],
  ['n BETWEEN :v AND :v', { N: '10.5' }, 'holds'],
  [':v BETWEEN sk AND n', { N: '5' }, 'holds'],
  ['m.b[0] = :v', { S: 'q' }, 'holds'],
  ['pk = :v', { S: 'a' }, 'holds'],
];

/** What is compared of the item afterwards: the attributes that changed, undefined for those that went. */
export type Outcome = Readonly<Record<string, object | undefined>> | { readonly refused: string };

const no = (text: string): Outcome => ({ refused: text });
const wrong = (text: string): Outcome => no(`Invalid UpdateExpression: ${text}`);
const MISSING = no('The provided expression refers to an attribute that does not exist in the item');
const BAD_TYPE = no('An operand in the update expression has an incorrect data type');
const BAD_PATH = no('The document path provided in the update expression is invalid for update');

export const UPDATES: readonly (readonly [expression: string, value: object | undefined, outcome: Outcome])[] = [
  ['SET fresh = :v', { N: '1' }, { fresh: { N: '1' } }],
  ['SET n = n + :v', { N: '1.25' }, { n: { N: '11.75' } }],
  ['SET n = n - :v', { N: '100' }, { n: { N: '-89.5' } }],
  ['SET n = :v - n', { N: '100' }, { n: { N: '89.5' } }],
  ['SET n = s + :v', { N: '1' }, BAD_TYPE],
  ['SET n = nope + :v', { N: '1' }, MISSING],
  ['SET n = n + :v + :v', { N: '1' }, wrong('Syntax error; token: "+", near: ":v + :v"')],
  ['SET fresh = if_not_exists(fresh, :v)', { N: '1' }, { fresh: { N: '1' } }],
  ['SET n = if_not_exists(n, :v) + :v', { N: '1' }, { n: { N: '11.5' } }],
  ['SET l = list_append(l, :v)', { L: [{ S: 'end' }] }, { l: { L: [...ITEM.l.L, { S: 'end' }] } }],
  ['SET l = list_append(:v, l)', { L: [{ S: 'start' }] }, { l: { L: [{ S: 'start' }, ...ITEM.l.L] } }],
  ['SET l[1] = :v', { S: 'new' }, { l: { L: [{ N: '1' }, { S: 'new' }, { N: '3' }] } }],
  ['SET l[10] = :v', { S: 'new' }, { l: { L: [...ITEM.l.L, { S: 'new' }] } }],
  ['SET m.a = :v', { S: 'new' }, { m: { M: { ...ITEM.m.M, a: { S: 'new' } } } }],
  ['SET nope.a = :v', { S: 'new' }, BAD_PATH],
  ['SET s.a = :v', { S: 'new' }, BAD_PATH],
  ['SET fresh = s, s = n', undefined, { fresh: ITEM.s, s: { N: '10.5' } }],
  ['REMOVE s, nope', undefined, { s: undefined }],
  ['REMOVE l[0], l[1], l[9]', undefined, { l: { L: [{ N: '3' }] } }],
  ['REMOVE l[1] SET l[5] = :v', { S: 'new' }, { l: { L: [{ N: '1' }, { N: '3' }, { S: 'new' }] } }],
  ['ADD n :v', { N: '5' }, { n: { N: '15.5' } }],
  ['ADD fresh :v', { N: '5' }, { fresh: { N: '5' } }],
  ['ADD ss :v', { SS: ['b', 'c'] }, { ss: { SS: ['a', 'b', 'c'] } }],
  ['ADD ss :v', { NS: ['1'] }, BAD_TYPE],
  ['DELETE ss :v', { SS: ['a'] }, { ss: { SS: ['b'] } }],
  ['DELETE ss :v', { SS: ['a', 'b'] }, { ss: undefined }],
  ['DELETE nope :v', { SS: ['a'] }, {}],
  ['set fresh = :v remove s', { N: '1' }, { fresh: { N: '1' }, s: undefined }],
  ['SET fresh = :v SET m = :v', { N: '1' }, wrong('The "SET" section can only be used once in an update expression;')],
  [
    'SET m = :v REMOVE m.a',
    { N: '1' },
    wrong(
      'Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [m], path two: [m, a]',
    ),
  ],
  [
    'SET pk = :v',
    { S: '1' },
    no('One or more parameter values were invalid: Cannot update attribute pk. This attribute is part of the key'),
  ],
  ['SET n = n + :v', { N: '1e125' }, no('Attempting to store more than 38 significant digits in a Number')],
  ['', undefined, wrong('The expression can not be empty;')],
];

/** The text that comes back, or null where there is no such number. */
export const NUMBERS: readonly (readonly [given: string, stored: string | null])[] = [
  ['1', '1'],
  ['1.0', '1'],
  ['01', '1'],
  ['-0', '0'],
  ['1e2', '100'],
  ['1E-5', '0.00001'],
  ['.5', '0.5'],
  ['-1.50e3', '-1500'],
  ['12345678901234567890123456789012345678', '12345678901234567890123456789012345678'],
  ['123456789012345678901234567890123456789', null],
  ['1e-130', `0.${'0'.repeat(129)}1`],
  ['1e-131', null],
  ['9.9e125', `99${'0'.repeat(124)}`],
  ['1e126', null],
  ['abc', null],
  ['', null],
  [' 1', null],
  ['0x10', null],
  ['Infinity', null],
];
