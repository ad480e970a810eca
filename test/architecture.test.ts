/** Reads every source file and enforces which way imports point, where effects may live and how big a file may be. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { describe, expect, it } from 'vitest';

const interfaces = ['store/store.ts', 'ledger/ledger.ts', 'queue/queue.ts', 'dns/zone.ts', 'alert/alert.ts'].map(
  (file) => `shared/${file}`,
);
const model = 'shared/model/';
const driverFolders = ['shared/store/', 'shared/ledger/', 'shared/queue/', 'shared/dns/', 'shared/alert/'];

/** What a folder may import besides itself: folders (ending in a slash) or single files. Tests may import everything. */
const arrows: Readonly<Record<string, readonly string[]>> = {
  'shared/model/': [],
  'shared/decide/': [model],
  'events/': [model],
  'shared/store/': [model],
  'shared/sqlite/': [model],
  'shared/ledger/': [model, 'shared/sqlite/'],
  'shared/queue/': [model, 'shared/sqlite/'],
  'shared/dns/': [model],
  'shared/alert/': [model],
  'shared/world/': [model, 'shared/decide/rules.ts', ...driverFolders],
  'shared/replicate/': [model, 'shared/decide/', 'shared/world/', ...interfaces, 'shared/store/parallel.ts'],
  'shared/failover/': [model, 'shared/decide/', 'shared/world/', ...interfaces],
  'functions/': [model, 'events/', 'shared/replicate/', 'shared/failover/', 'shared/world/'],
  'local/': ['functions/', 'events/', 'shared/'],
  // What a command runs itself: the worker, the verifier, and how they read the environment.
  'cli/': ['shared/', 'functions/', 'local/'],
  'infra/': [model, 'shared/failover/runbook.ts'],
};

/** A driver is a file of this name in one of the driver folders; no driver imports another one. */
const cloudDrivers = [
  ...['s3', 'gcs', 'azblob', 'dynamodb', 'firestore', 'aztable', 'sqs', 'pubsub', 'servicebus'],
  ...['route53', 'clouddns', 'azuredns', 'sns', 'pagerduty'],
];
const drivers = ['memory', 'sqlite', 'file', ...cloudDrivers];

const outside = 'the real clock, chance, network, environment or arguments';

/** The only places, tests aside, for what reaches outside; `cloud driver` stands for the files named above. */
const places: Readonly<Record<string, readonly string[]>> = {
  'a cloud SDK': ['cloud driver', 'functions/runtime/', 'infra/'],
  'node:sqlite': ['any sqlite.ts'],
  [outside]: ['shared/world/system.ts', 'cloud driver', 'functions/entry/', 'cli/main.ts', 'local/'],
  'the mutation switch withoutRule': ['shared/decide/rules.ts'],
};

const scopes = ['aws-sdk', 'aws-crypto', 'aws-lambda-powertools', 'smithy', 'google-cloud', 'azure', 'pulumi', 'middy'];
const sdks = ['aws-sdk', 'aws-cdk-lib', 'constructs', 'google-auth-library', 'googleapis', 'firebase-admin'];

const modulesOf: Readonly<Record<string, RegExp>> = {
  'a cloud SDK': new RegExp(`^(?:@(?:${scopes.join('|')})|${sdks.join('|')})(?:/|$)`),
  'node:sqlite': /^(?:node:)?sqlite$/,
  [outside]: /^(?:node:)?(?:timers|timers\/promises|process)$/,
};

const free = '(?:(?<![.\\w$])|\\bglobalThis\\.)';
const namesOf: Readonly<Record<string, RegExp>> = {
  [outside]: new RegExp(
    [
      '\\bprocess\\s*\\.\\s*(?:env|argv|hrtime)\\b',
      '\\bDate\\s*\\.\\s*now\\b',
      '\\bnew\\s+Date\\b(?!\\s*\\(\\s*[^\\s)])',
      '\\bperformance\\s*\\.\\s*now\\b',
      '\\bMath\\s*\\.\\s*random\\b',
      '\\b(?:randomUUID|randomBytes|randomInt|getRandomValues)\\b',
      '\\bAbortSignal\\s*\\.\\s*timeout\\b',
      `${free}(?:setTimeout|setInterval|setImmediate)\\b`,
      `${free}fetch\\s*\\(`,
    ].join('|'),
    'g',
  ),
  'the mutation switch withoutRule': /\bwithoutRule\b/g,
};

const linesMax = 500;
const columnsMax = 140;
const roots = ['shared', 'events', 'functions', 'infra', 'cli', 'local', 'test'];

describe('the sources', () => {
  const sources = readSources();

  it('are found', () => {
    expect(Object.keys(sources)).toContain('test/architecture.test.ts');
  });

  it('keep the arrows, the places and the shape', () => {
    expect(violations(sources)).toEqual([]);
  });
});

describe('the checker reports', () => {
  const path = (folder: string, file = 'a.ts') => `${folder}/${file}`;
  const broken: readonly (readonly [rule: string, file: string, line: number, source: string])[] = [
    ['model importing a verb', 'shared/model/site.ts', 2, "\nimport { decide } from '../decide/decide.ts';"],
    [
      'a verb importing a store',
      'shared/decide/decide.ts',
      1,
      "import type { ObjectStore } from '#shared/store/store.ts';",
    ],
    ['events importing a queue', 'events/s3.ts', 1, "export * from '../shared/queue/queue.ts';"],
    ['a store importing a ledger', 'shared/store/store.ts', 1, "import '../ledger/ledger.ts';"],
    ['a driver importing a driver', 'shared/store/s3.ts', 2, "\nimport { open } from './memory.ts';"],
    ['a driver importing a driver late', 'shared/queue/sqs.ts', 1, "const it = await import('./sqlite.ts');"],
    ['a driver folder importing another driver', 'shared/dns/route53/zone.ts', 1, "import '../memory.ts';"],
    ['world importing any other verb', 'shared/world/world.ts', 1, "import { decide } from '../decide/decide.ts';"],
    ['replicate importing a driver', 'shared/replicate/copy.ts', 3, "import {\n  open,\n} from '../store/s3.ts';"],
    ['replicate importing a layer', 'shared/replicate/copy.ts', 1, "import { retry } from '../store/layers/retry.ts';"],
    ['failover importing replicate', 'shared/failover/run.ts', 1, "import '../replicate/replicate.ts';"],
    ['functions importing a store', 'functions/sweeper.ts', 1, "import '#shared/store/store.ts';"],
    ['local importing the cli', 'local/main.ts', 1, "import '../cli/main.ts';"],
    ['cli importing the wire', 'cli/commands/run.ts', 1, "import '../../events/s3.ts';"],
    ['infra importing functions', 'infra/aws/stack.ts', 1, "import '../../functions/replicator.ts';"],
    ['infra importing the runner', 'infra/aws/stack.ts', 1, "import '#shared/failover/run.ts';"],
    ['a source importing a test', 'shared/store/open.ts', 1, "import '../../test/conformance/store.ts';"],
    ['a source importing a test beside it', 'shared/store/open.ts', 1, "import './memory.test.ts';"],
    ['a folder without a row', 'shared/cost/bill.ts', 1, ''],
    ['an import that cannot be read', 'shared/store/open.ts', 1, 'const it = await import(name);'],
    ['an SDK outside a driver', 'shared/replicate/copy.ts', 1, "import { S3Client } from '@aws-sdk/client-s3';"],
    ['an SDK in a local driver', 'shared/queue/memory.ts', 1, "import '@google-cloud/pubsub';"],
    ['an SDK in an entry', 'functions/entry/aws.ts', 1, "import middy from '@middy/core';"],
    ['sqlite outside sqlite.ts', 'shared/ledger/file.ts', 1, "import { DatabaseSync } from 'node:sqlite';"],
    ['timers by import', 'shared/world/world.ts', 1, "import * as timers from 'node:timers/promises';"],
    ['an effect after a comment', 'shared/decide/decide.ts', 3, '/* Date.now\n */ // fetch()\nconst t = Date.now();'],
    ['an effect inside a template', 'shared/decide/decide.ts', 1, 'const t = `at ${' + 'Date.now()}`;'],
    ['an effect after a regular expression', 'shared/decide/decide.ts', 1, 'const r = /[/\'"]/; setTimeout(r);'],
    ['the environment in a driver without a cloud', 'shared/store/file.ts', 1, 'const home = process.env.HOME;'],
    ['arguments in a command', 'cli/commands/run.ts', 1, 'const [, , name] = process.argv;'],
    ['a switched rule', 'shared/replicate/copy.ts', 1, "import { withoutRule } from '../world/world.ts';"],
    ['a switch made in a test', 'test/sim/main.ts', 1, 'export function withoutRule() {}'],
    ['a long file', 'cli/print.ts', linesMax + 1, '\n'.repeat(linesMax + 1)],
    ['a long line', 'cli/print.ts', 2, `\n// ${'-'.repeat(columnsMax)}`],
    ['a note to self', 'cli/print.ts', 1, '// TO' + 'DO: finish'],
    ['a focused test', 'test/sim/sim.test.ts', 1, "it.only('runs', () => {});"],
    ['a skipped test', 'shared/store/s3.test.ts', 1, "describe.skip('s3', () => {});"],
    ...['new Date()', 'new Date', 'performance.now()', 'Math.random()', 'crypto.randomUUID()', 'randomBytes(8)'].map(
      (effect) => [effect, 'shared/replicate/copy.ts', 1, `const it = ${effect};`] as const,
    ),
    ...['setTimeout(f, 1)', 'setInterval(f, 1)', 'setImmediate(f)', 'fetch(url)', 'globalThis.fetch(url)'].map(
      (effect) => [effect, 'shared/replicate/copy.ts', 1, `const it = ${effect};`] as const,
    ),
  ];

  it.each(broken)('%s', (_rule, file, line, source) => {
    expect(violations({ [file]: source })).toEqual([expect.stringMatching(new RegExp(`^${file}:${line} `))]);
  });

  const fine: readonly (readonly [rule: string, file: string, source: string])[] = [
    ['a driver importing its SDK', 'shared/store/s3.ts', "import '@aws-sdk/client-s3';\nconst now = Date.now();"],
    ['a driver importing a helper beside it', 'shared/store/s3.ts', "import { encode } from './encode.ts';"],
    ['the opener importing drivers', 'shared/store/open.ts', "await import('./s3.ts');\nawait import('./file.ts');"],
    ['replicate importing an interface', 'shared/replicate/copy.ts', "import '../store/store.ts';"],
    ['infra importing the runbook', 'infra/aws/stack.ts', "import '#shared/failover/runbook.ts';"],
    ['sqlite in its place', 'shared/queue/sqlite.ts', "import { DatabaseSync } from 'node:sqlite';"],
    ['a test beside its code', 'shared/store/s3.test.ts', "import '../../test/conformance/store.ts';"],
    ['the real world in its place', 'shared/world/system.ts', 'const now = Date.now();\nsetTimeout(now, 1);'],
    ['a date from a number', 'shared/replicate/copy.ts', 'const day = new Date(at).toISOString();'],
    ['pure crypto', 'shared/store/memory.ts', "import { createHash } from 'node:crypto';"],
    ['a method of that name', 'shared/replicate/copy.ts', 'clock.setTimeout(1);\nremote.fetch(key);'],
    [
      'words in comments and strings',
      'shared/model/site.ts',
      '// Date.now, fetch(x)\nconst s = "import \'../x.ts\' fetch(";',
    ],
    ['a quotient', 'shared/model/site.ts', "const n = a / b; // Date.now()\nconst s = 'x' / 2;"],
    ['the rules defining the switch', 'shared/decide/rules.ts', 'export function withoutRule() {}'],
    ['a test using the switch', 'test/mutants.test.ts', "import { withoutRule } from '#shared/decide/rules.ts';"],
  ];

  it.each(fine)('nothing for %s', (_rule, file, source) => {
    expect(violations({ [file]: source })).toEqual([]);
  });

  it.each(Object.keys(arrows))('an import from %s into test', (folder) => {
    const file = path(folder.slice(0, -1));
    expect(violations({ [file]: "import '#shared/../test/x.ts';" })).toEqual([
      expect.stringMatching(new RegExp(`^${file}:1 .*test/x.ts`)),
    ]);
  });
});

/** All findings, each as `file:line what is wrong`. */
function violations(sources: Readonly<Record<string, string>>): string[] {
  return Object.entries(sources).flatMap(([file, source]) => {
    const code = blank(source);
    const found = [...shape(file, source, code)];
    if (isTest(file)) found.push(...matches(code, /(?:function|const|let)\s+withoutRule\b/g, 'redefines withoutRule'));
    else found.push(...imports(file, source, code), ...names(file, code));
    return found.map(({ at, what }) => `${file}:${source.slice(0, at).split('\n').length} ${what}`);
  });
}

interface Finding {
  readonly at: number;
  readonly what: string;
}

function* imports(file: string, source: string, code: string): Generator<Finding> {
  const row = Object.keys(arrows).find((folder) => file.startsWith(folder));
  if (!row) yield { at: 0, what: 'lies in a folder without a row in the table of arrows' };
  yield* matches(code, /\bimport\s*\(\s*(?!['"])/g, 'imports something that is only known when it runs');
  for (const match of code.matchAll(/\b(?:from|import)\s*\(?\s*(['"])(\s*)\1/g)) {
    const at = match.index + match[0].length - 1 - (match[2] ?? '').length;
    const specifier = source.slice(at, match.index + match[0].length - 1);
    const target = resolve(file, specifier);
    if (target === undefined) {
      for (const [what, modules] of Object.entries(modulesOf)) {
        if (modules.test(specifier) && !allowed(what, file))
          yield { at, what: `imports ${specifier}: ${placesText(what)}` };
      }
    } else if (row && (isTest(target) || ![row, ...(arrows[row] ?? [])].some((place) => within(target, place)))) {
      yield { at, what: `imports ${target}: ${row} may import only ${['itself', ...(arrows[row] ?? [])].join(', ')}` };
    } else if (driverOf(file) && driverOf(target) && driverOf(file) !== driverOf(target)) {
      yield { at, what: `imports ${target}: a driver never imports another driver` };
    }
  }
}

function* names(file: string, code: string): Generator<Finding> {
  for (const [what, pattern] of Object.entries(namesOf)) {
    if (!allowed(what, file)) yield* matches(code, pattern, placesText(what));
  }
}

function* shape(file: string, source: string, code: string): Generator<Finding> {
  const lines = source.replace(/\n$/, '').split('\n');
  let at = 0;
  for (const [index, line] of lines.entries()) {
    if (index === linesMax) yield { at, what: `is line ${linesMax + 1}: a file has at most ${linesMax} lines` };
    if (line.length > columnsMax) yield { at, what: `is wider than ${columnsMax} characters` };
    at += line.length + 1;
  }
  yield* matches(source, /\bTO[D]O\b/g, 'leaves a note to self: do it, or write it where users see it');
  if (isTest(file)) yield* matches(code, /\.only\s*\(/g, 'focuses a test');
  // A conformance suite skips with a reason that is printed; nobody else skips.
  if (isTest(file) && !file.startsWith('test/conformance/')) yield* matches(code, /\.skip\s*\(/g, 'skips a test');
}

function* matches(code: string, pattern: RegExp, what: string): Generator<Finding> {
  for (const match of code.matchAll(pattern)) yield { at: match.index, what: `${match[0].trim()}: ${what}` };
}

function placesText(what: string): string {
  return `${what} belongs only in ${places[what]?.join(', ')}`;
}

function allowed(what: string, file: string): boolean {
  return (places[what] ?? []).some((place) => {
    if (place === 'cloud driver') return cloudDrivers.includes(driverOf(file) ?? '');
    if (place === 'any sqlite.ts') return posix.basename(file) === 'sqlite.ts';
    return within(file, place);
  });
}

function within(file: string, place: string): boolean {
  return place.endsWith('/') ? file.startsWith(place) : file === place;
}

/** `s3` for shared/store/s3.ts and for everything under shared/store/s3/. */
function driverOf(file: string): string | undefined {
  const folder = driverFolders.find((it) => file.startsWith(it));
  const name = folder && file.slice(folder.length).split('/')[0]?.replace(/\.ts$/, '');
  return name && drivers.includes(name) ? name : undefined;
}

function isTest(file: string): boolean {
  return file.startsWith('test/') || file.endsWith('.test.ts');
}

/** The file inside the repository that an import means, or undefined for a package. */
function resolve(file: string, specifier: string): string | undefined {
  if (specifier.startsWith('#shared/')) return posix.normalize(specifier.slice(1));
  return specifier.startsWith('.') ? posix.join(posix.dirname(file), specifier) : undefined;
}

const comment = /\/\/[^\n]*|\/\*[\s\S]*?\*\//;
const string = /'(?:\\[\s\S]|[^'\\\n])*'|"(?:\\[\s\S]|[^"\\\n])*"/;
const pattern = /\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\[\n])+\/[a-z]*/;
const token = new RegExp(`${comment.source}|${string.source}|${pattern.source}|[\`{}]`, 'y');

/** The code alone, same length and lines: comments and the insides of strings, templates and patterns become spaces. */
function blank(source: string): string {
  const hollow = (text: string) => text.replace(/[^\n]/g, ' ');
  /** One entry per open brace: true where closing it returns to the text of a template. */
  const braces: boolean[] = [];
  let code = '';
  let at = 0;
  while (at < source.length) {
    token.lastIndex = at;
    let text = token.exec(source)?.[0] ?? source.charAt(at);
    const template = text === '`' || (text === '}' && braces.pop() === true);
    if (text === '{') braces.push(false);
    if (/^\/[^/*]/.test(text) && !/(?:^|[^\w$)\]'"`\s]|\b(?:return|typeof|case|of|in))\s*$/.test(code)) text = '/';
    if (template) {
      text += /(?:\\[\s\S]|\$(?!\{)|[^`\\$])*(?:`|\$\{)/y.exec(source.slice(at + 1))?.[0] ?? source.slice(at + 1);
      if (text.endsWith('${')) braces.push(true);
      code += `${text.charAt(0)}${hollow(text.slice(1, -1))}${text.slice(-1)}`;
    } else if (text.length > 1) {
      const quoted = /^['"]/.test(text);
      code += quoted ? text.charAt(0) + hollow(text.slice(1, -1)) + text.charAt(0) : hollow(text);
    } else code += text;
    at += text.length;
  }
  return code;
}

function readSources(): Record<string, string> {
  const top = join(import.meta.dirname, '..');
  const ignored = ['node_modules', 'dist', 'cdk.out', 'coverage'];
  const read = (folder: string): [string, string][] =>
    readdirSync(join(top, folder), { withFileTypes: true }).flatMap((entry) => {
      const file = `${folder}/${entry.name}`;
      if (entry.isDirectory()) return ignored.includes(entry.name) ? [] : read(file);
      return file.endsWith('.ts') ? [[file, readFileSync(join(top, file), 'utf8')]] : [];
    });
  const existing = readdirSync(top).filter((name) => roots.includes(name));
  return Object.fromEntries(existing.flatMap(read));
}
