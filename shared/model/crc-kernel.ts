/** The inner loop of both CRCs as a WebAssembly module, put together here from its instructions. */

/** Which CRCs one pass over some bytes computes. */
export type Pass = 'both' | 'crc32c' | 'crc64nvme';

export interface Kernel {
  /** The registers, inverted as CRCs want them: set before a pass, read after it. */
  readonly register32: Uint32Array;
  readonly register64: BigUint64Array;
  run(pass: Pass, bytes: Uint8Array): void;
}

/** What is used of it here; the compiler knows it only with all of a browser's names. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array<ArrayBuffer>) => object;
  Instance: new (module: object) => { readonly exports: Readonly<Record<string, unknown>> };
};

/** Row k of a table answers for a byte with k more bytes behind it, so sixteen bytes cost sixteen independent look-ups. */
const ROWS = 16;
const WORD = 8;
const PAGE = 65_536;
/** Where things lie in the module's memory: a page of tables and registers, then the bytes of a pass. */
const TABLE_32 = 0;
const TABLE_64 = TABLE_32 + ROWS * 256 * 4;
const REGISTER_32 = TABLE_64 + ROWS * 256 * 8;
const REGISTER_64 = REGISTER_32 + 8;
const WINDOW = PAGE;
const PASSES: readonly Pass[] = ['both', 'crc32c', 'crc64nvme'];

/** Instructions of WebAssembly, by the names and numbers of its specification. */
const I32 = 0x7f;
const I64 = 0x7e;
const op = {
  block: [0x02, 0x40],
  loop: [0x03, 0x40],
  end: [0x0b],
  br: (depth: number) => [0x0c, depth],
  brIf: (depth: number) => [0x0d, depth],
  get: (local: number) => [0x20, local],
  set: (local: number) => [0x21, local],
  i32Load: (offset: number) => [0x28, 2, ...unsigned(offset)],
  i64Load: (offset: number) => [0x29, 3, ...unsigned(offset)],
  i64Load8: (offset: number) => [0x31, 0, ...unsigned(offset)],
  i32Store: (offset: number) => [0x36, 2, ...unsigned(offset)],
  i64Store: (offset: number) => [0x37, 3, ...unsigned(offset)],
  i32: (value: number) => [0x41, ...signed(value)],
  i64: (value: number) => [0x42, ...signed(value)],
  i32GeU: [0x4f],
  i32Add: [0x6a],
  i32And: [0x71],
  i32Xor: [0x73],
  i64Xor: [0x85],
  i64Shl: [0x86],
  i64ShrU: [0x88],
  i32Wrap: [0xa7],
  i64Extend: [0xad],
} as const;

/** One CRC, as the code below needs to know it. */
interface Sum {
  readonly log2Bytes: 2 | 3;
  readonly table: number;
  readonly register: number;
  /** The local that holds its register, and the first of those that hold what is looked up. */
  readonly local: number;
  readonly words: number;
}

const AT = 0;
const WHOLE = 1;
const END = 2;
const SUM_32: Sum = { log2Bytes: 2, table: TABLE_32, register: REGISTER_32, local: 3, words: 5 };
const SUM_64: Sum = { log2Bytes: 3, table: TABLE_64, register: REGISTER_64, local: 4, words: 7 };
const SUMS: Readonly<Record<Pass, readonly Sum[]>> = {
  both: [SUM_32, SUM_64],
  crc32c: [SUM_32],
  crc64nvme: [SUM_64],
};

/** Both polynomials bit-reversed: the lowest bit is the highest power of x. */
export function openKernel(poly32: number, poly64: bigint): Kernel {
  const module = new WebAssembly.Module(assemble());
  const { exports } = new WebAssembly.Instance(module);
  const { buffer } = exports.memory as { readonly buffer: ArrayBuffer };
  fillTables(new Uint32Array(buffer, TABLE_32, ROWS * 256), new BigUint64Array(buffer, TABLE_64, ROWS * 256));
  const window = new Uint8Array(buffer, WINDOW, PAGE);
  const passes = exports as unknown as Readonly<Record<Pass, (at: number, whole: number, end: number) => void>>;
  return {
    register32: new Uint32Array(buffer, REGISTER_32, 1),
    register64: new BigUint64Array(buffer, REGISTER_64, 1),
    run(pass, bytes) {
      for (let at = 0; at < bytes.length; at += PAGE) {
        const piece = bytes.length <= PAGE ? bytes : bytes.subarray(at, at + PAGE);
        window.set(piece);
        passes[pass](WINDOW, WINDOW + piece.length - (piece.length % ROWS), WINDOW + piece.length);
      }
    },
  };

  function fillTables(table32: Uint32Array, table64: BigUint64Array): void {
    for (let byte = 0; byte < 256; byte++) {
      let c32 = byte;
      let c64 = BigInt(byte);
      for (let bit = 0; bit < 8; bit++) {
        c32 = (c32 >>> 1) ^ (c32 & 1 ? poly32 : 0);
        c64 = (c64 >> 1n) ^ ((c64 & 1n) === 1n ? poly64 : 0n);
      }
      table32[byte] = c32;
      table64[byte] = c64;
    }
    for (let at = 256; at < ROWS * 256; at++) {
      const c32 = table32[at - 256]!;
      const c64 = table64[at - 256]!;
      table32[at] = (c32 >>> 8) ^ table32[c32 & 0xff]!;
      table64[at] = (c64 >> 8n) ^ table64[Number(c64 & 0xffn)]!;
    }
  }
}

/** A module with a memory of two pages and a function for each pass: (at, whole, end), all of them addresses. */
function assemble(): Uint8Array<ArrayBuffer> {
  const functions = PASSES.map((pass) => sized(toCode(SUMS[pass])));
  return Uint8Array.from([
    ...Buffer.from('\0asm'),
    ...[1, 0, 0, 0],
    ...section(1, [[0x60, 3, I32, I32, I32, 0]]),
    ...section(
      3,
      PASSES.map(() => [0]),
    ),
    ...section(5, [[0, 2]]),
    ...section(7, [[...name('memory'), 2, 0], ...PASSES.map((pass, index) => [...name(pass), 0, index])]),
    ...section(10, functions),
  ]);
}

function toCode(sums: readonly Sum[]): number[] {
  // The locals after the three addresses: both registers, then two words for each of them.
  const locals = [2, 1, I32, 5, I64];
  return [
    ...locals,
    ...sums.flatMap(({ log2Bytes, local, register }) => [
      ...op.i32(0),
      ...(log2Bytes === 2 ? op.i32Load(register) : op.i64Load(register)),
      ...op.set(local),
    ]),
    ...whileBelow(WHOLE, ROWS, [...sums.flatMap(loadWords), ...sums.flatMap(lookUpWords)]),
    ...whileBelow(END, 1, sums.flatMap(lookUpByte)),
    ...sums.flatMap(({ log2Bytes, local, register }) => [
      ...op.i32(0),
      ...op.get(local),
      ...(log2Bytes === 2 ? op.i32Store(register) : op.i64Store(register)),
    ]),
    ...op.end,
  ];
}

function whileBelow(bound: number, step: number, body: readonly number[]): number[] {
  return [
    ...op.block,
    ...op.loop,
    ...[...op.get(AT), ...op.get(bound), ...op.i32GeU, ...op.brIf(1)],
    ...body,
    ...[...op.get(AT), ...op.i32(step), ...op.i32Add, ...op.set(AT), ...op.br(0)],
    ...op.end,
    ...op.end,
  ];
}

/** The next two words, the first with the register in it. */
function loadWords(sum: Sum): number[] {
  return [
    ...[...op.get(AT), ...op.i64Load(0), ...registerAsWord(sum), ...op.i64Xor, ...op.set(sum.words)],
    ...[...op.get(AT), ...op.i64Load(WORD), ...op.set(sum.words + 1)],
  ];
}

function lookUpWords(sum: Sum): number[] {
  const found = Array.from({ length: ROWS }, (_, byte) =>
    lookUp(sum, op.get(sum.words + Math.floor(byte / WORD)), byte % WORD, ROWS - 1 - byte),
  );
  return [...joined(sum, found), ...op.set(sum.local)];
}

/** What is left of the register without its lowest byte, and what the table says of that byte. */
function lookUpByte(sum: Sum): number[] {
  const mixed = [...op.get(AT), ...op.i64Load8(0), ...registerAsWord(sum), ...op.i64Xor];
  const rest = [...registerAsWord(sum), ...op.i64(8), ...op.i64ShrU, ...(sum.log2Bytes === 2 ? op.i32Wrap : [])];
  return [...joined(sum, [lookUp(sum, mixed, 0, 0), rest]), ...op.set(sum.local)];
}

function registerAsWord({ log2Bytes, local }: Sum): number[] {
  return [...op.get(local), ...(log2Bytes === 2 ? op.i64Extend : [])];
}

/** The entry for one byte of a word: it is shifted to where it is the distance into the row, then masked. */
function lookUp({ log2Bytes, table }: Sum, word: readonly number[], byte: number, row: number): number[] {
  const shift = 8 * byte - log2Bytes;
  const offset = table + row * (256 << log2Bytes);
  return [
    ...word,
    ...op.i64(Math.abs(shift)),
    ...(shift < 0 ? op.i64Shl : op.i64ShrU),
    ...op.i32Wrap,
    ...op.i32(0xff << log2Bytes),
    ...op.i32And,
    ...(log2Bytes === 2 ? op.i32Load(offset) : op.i64Load(offset)),
  ];
}

function joined({ log2Bytes }: Sum, values: readonly (readonly number[])[]): number[] {
  const xor = log2Bytes === 2 ? op.i32Xor : op.i64Xor;
  return values.flatMap((value, index) => (index === 0 ? [...value] : [...value, ...xor]));
}

function section(id: number, entries: readonly (readonly number[])[]): number[] {
  return [id, ...sized([...unsigned(entries.length), ...entries.flat()])];
}

function sized(bytes: readonly number[]): number[] {
  return [...unsigned(bytes.length), ...bytes];
}

function name(text: string): number[] {
  return sized([...Buffer.from(text)]);
}

/** LEB128, as all numbers in a module are written. */
function unsigned(value: number): number[] {
  const low = value & 0x7f;
  return value > 0x7f ? [low | 0x80, ...unsigned(value >>> 7)] : [low];
}

function signed(value: number): number[] {
  const low = value & 0x7f;
  const rest = value >> 7;
  const complete = (rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0);
  return complete ? [low] : [low | 0x80, ...signed(rest)];
}
