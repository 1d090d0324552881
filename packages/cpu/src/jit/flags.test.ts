/**
 * Each operation that sets flags, in each width, with values at which flags change; whoever reads them after it: all
 * conditions by SETcc, CMOVcc and Jcc, PUSHF, and INC, which leaves CF. In a compiled loop, and interpreted.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import * as L from '../state/layout.ts';
import { bareMachine, type BareMachine } from '../testing/bare-machine.ts';
import { Assembler, type Label, le32 } from '../testing/random-code/assembler.ts';

const RAM = 2 << 20;
const INPUT = 0x10_0000;
const OUTPUT = 0x11_0000;
const STACK = 0x18_0000;
const INPUT_SIZE = 24;
const OUTPUT_SIZE = 40;
const [RESULT, RESULT_HIGH, PUSHED] = [16, 24, 32];

/** Bytes for a width; x is in RAX (and RDX), y in RCX. */
type Encoding = (width: number) => readonly number[] | null;

function prefix(width: number): number[] {
  return width === 2 ? [0x66] : width === 8 ? [0x48] : [];
}

/** Opcode, of which the byte form is one less, and what follows. */
function sized(opcode: number, ...rest: readonly number[]): Encoding {
  return (width) => [...prefix(width), width === 1 ? opcode - 1 : opcode, ...rest];
}

/** 0F opcodes, with forms of bytes or without. */
function extended(opcode: number, bytes: boolean, ...rest: readonly number[]): Encoding {
  return (width) => (width > 1 ? [...prefix(width), 0x0f, opcode, ...rest] : bytes ? [0x0f, opcode - 1, ...rest] : null);
}

function counting(opcode: number): Encoding {
  return (width) => (width === 1 ? null : width === 2 ? [0x66, 0xf3, 0x0f, opcode, 0xc1] : [0xf3, ...(width === 8 ? [0x48] : []), 0x0f, opcode, 0xc1]);
}

/** VEX of map 2: prefix field, opcode, ModRM, vvvv. */
function bmi(field: number, opcode: number, modrm: number, vvvv: number): Encoding {
  return (width) => (width < 4 ? null : [0xc4, 0xe2, (width === 8 ? 0x80 : 0) | ((~vvvv & 15) << 3) | field, opcode, modrm]);
}

function carrying(mandatory: number): Encoding {
  return (width) => (width < 4 ? null : [mandatory, ...(width === 8 ? [0x48] : []), 0x0f, 0x38, 0xf6, 0xc1]);
}

function onlyAt(one: number, ...bytes: readonly number[]): Encoding {
  return (width) => (width === one ? bytes : null);
}

const OPERATIONS: Readonly<Record<string, Encoding>> = {
  add: sized(0x01, 0xc8), adc: sized(0x11, 0xc8), sub: sized(0x29, 0xc8), sbb: sized(0x19, 0xc8), cmp: sized(0x39, 0xc8),
  and: sized(0x21, 0xc8), or: sized(0x09, 0xc8), xor: sized(0x31, 0xc8), test: sized(0x85, 0xc8), 'xor itself': sized(0x31, 0xc0),
  inc: sized(0xff, 0xc0), dec: sized(0xff, 0xc8), neg: sized(0xf7, 0xd8), not: sized(0xf7, 0xd0),
  ...Object.fromEntries(['rol', 'ror', 'rcl', 'rcr', 'shl', 'shr', 'sal', 'sar'].flatMap((name, digit) => [
    [`${name} by CL`, sized(0xd3, 0xc0 | (digit << 3))], [`${name} by 1`, sized(0xd1, 0xc0 | (digit << 3))],
    [`${name} by 0`, sized(0xc1, 0xc0 | (digit << 3), 0)], [`${name} by 11`, sized(0xc1, 0xc0 | (digit << 3), 11)],
  ])),
  mul: sized(0xf7, 0xe1), 'imul wide': sized(0xf7, 0xe9), imul: extended(0xaf, false, 0xc1),
  bt: extended(0xa3, false, 0xc8), bts: extended(0xab, false, 0xc8), btr: extended(0xb3, false, 0xc8), btc: extended(0xbb, false, 0xc8),
  'bt immediate': extended(0xba, false, 0xe0, 7), bsf: extended(0xbc, false, 0xc1), bsr: extended(0xbd, false, 0xc1),
  'shld by 5': extended(0xa4, false, 0xc8, 5), 'shld by CL': extended(0xa5, false, 0xc8), 'shrd by 5': extended(0xac, false, 0xc8, 5), 'shrd by CL': extended(0xad, false, 0xc8),
  cmpxchg: extended(0xb1, true, 0xc9), 'cmpxchg equal': extended(0xb1, true, 0xca), xadd: extended(0xc1, true, 0xc8),
  popcnt: counting(0xb8), tzcnt: counting(0xbc), lzcnt: counting(0xbd),
  blsr: bmi(0, 0xf3, 0xc9, 0), blsmsk: bmi(0, 0xf3, 0xd1, 0), blsi: bmi(0, 0xf3, 0xd9, 0), andn: bmi(0, 0xf2, 0xc1, 2), bextr: bmi(0, 0xf7, 0xc2, 1), bzhi: bmi(0, 0xf5, 0xc2, 1),
  adcx: carrying(0x66), adox: carrying(0xf3),
  cmc: onlyAt(1, 0xf5), clc: onlyAt(1, 0xf8), stc: onlyAt(1, 0xf9), sahf: onlyAt(1, 0x9e), lahf: onlyAt(1, 0x9f), 'add; mov': onlyAt(8, 0x48, 0x01, 0xc8, 0xb8, 1, 0, 0, 0),
};

/** What stands in front of the operation, and leaves CF as bit 0 of R10: in the area, and as flags that are not yet computed. */
const BEFORE: readonly (readonly number[])[] = [
  [0x41, 0x0f, 0xba, 0xe2, 0], // bt r10d, 0
  [0x45, 0x89, 0xd3, 0x41, 0x83, 0xe3, 1, 0x41, 0xf7, 0xdb], // mov r11d, r10d; and r11d, 1; neg r11d
  [0x45, 0x89, 0xd3, 0x41, 0xc1, 0xe3, 31, 0x45, 0x01, 0xdb], // mov r11d, r10d; shl r11d, 31; add r11d, r11d
];
const LOAD = [0x48, 0x8b, 0x06, 0x48, 0x8b, 0x4e, 8, 0x48, 0x89, 0xc2, 0x44, 0x8b, 0x56, 16]; // mov rax, [rsi]; mov rcx, [rsi+8]; mov rdx, rax; mov r10d, [rsi+16]

function store(a: Assembler, register: number, at: number): void {
  a.emit(0x48, 0x89, 0x47 | (register << 3), at);
}

/** Writes all conditions, as bytes 0 and 1, and the rest of what the operation did. */
type Reader = (a: Assembler, prepare: () => void) => void;

function results(a: Assembler): void {
  store(a, 0, RESULT);
  store(a, 2, RESULT_HIGH);
}

const READERS: Readonly<Record<string, Reader>> = {
  'SETcc and PUSHF': (a, prepare) => {
    prepare();
    results(a);
    for (let code = 0; code < 16; code++) a.emit(0x0f, 0x90 | code, 0x47, code);
    a.emit(0x9c, 0x8f, 0x47, PUSHED);
  },
  'PUSHF and CMOVcc': (a, prepare) => {
    prepare();
    results(a);
    a.emit(0x9c, 0x8f, 0x47, PUSHED);
    prepare();
    // mov edx, 0; cmovcc edx, r12d; mov [rdi+code], dl
    for (let code = 0; code < 16; code++) a.emit(0xba, 0, 0, 0, 0, 0x41, 0x0f, 0x40 | code, 0xd4, 0x88, 0x57, code);
  },
  Jcc: (a, prepare) => {
    for (let code = 0; code < 16; code++) {
      const [taken, after]: Label[] = [{ at: -1 }, { at: -1 }];
      prepare();
      a.jcc(code, taken!);
      a.emit(0xc6, 0x47, code, 0);
      a.jmp(after!);
      a.place(taken!);
      a.emit(0xc6, 0x47, code, 1);
      a.place(after!);
    }
    results(a);
  },
  LAHF: (a, prepare) => {
    prepare();
    results(a);
    a.emit(0x9f, 0x88, 0x27); // lahf; mov [rdi], ah
  },
  'SETcc after INC': (a, prepare) => {
    prepare();
    a.emit(0x41, 0xff, 0xc5); // inc r13d
    results(a);
    for (let code = 0; code < 16; code++) a.emit(0x0f, 0x90 | code, 0x47, code);
  },
};

function program(operation: readonly number[], before: readonly number[], reader: Reader, cases: number): Uint8Array {
  const a = new Assembler(64);
  a.emit(0x41, 0xbf, ...le32(cases)); // mov r15d, cases
  const head = a.here();
  reader(a, () => a.emit(...LOAD, ...before, ...operation));
  a.emit(0x48, 0x83, 0xc6, INPUT_SIZE, 0x48, 0x83, 0xc7, OUTPUT_SIZE); // add rsi, ..; add rdi, ..
  a.emit(0x41, 0xff, 0xcf); // dec r15d
  a.jcc(5, head);
  a.emit(0x0f, 0x0b);
  return a.finish(0);
}

function values(width: number): bigint[] {
  const bits = BigInt(width * 8);
  const top = 1n << (bits - 1n);
  const inside = [0n, 1n, 2n, 0xfn, 0x10n, top - 1n, top, top + 1n, (1n << bits) - 1n];
  // What lies above the width must not matter.
  return [...inside, 0xa5c3_0f1e_5a3c_f0e1n];
}

function inputs(width: number): BigUint64Array<ArrayBuffer> {
  const all = values(width).flatMap((x) => values(width).flatMap((y) => [[x, y, 0n], [x, y, 1n]]));
  return BigUint64Array.from(all.flat());
}

function run(m: BareMachine, code: Uint8Array, input: BigUint64Array<ArrayBuffer>): Uint8Array {
  const cases = input.length / 3;
  m.memory.write(m.ram, code);
  m.memory.write(m.ram + INPUT, new Uint8Array(input.buffer));
  for (let r = 0; r < 16; r++) m.set(L.GPR + r * 8, 0n);
  m.set(L.GPR + 6 * 8, BigInt(m.ram + INPUT));
  m.set(L.GPR + 7 * 8, BigInt(m.ram + OUTPUT));
  m.set(L.GPR + 12 * 8, 1n);
  m.set(L.RSP, BigInt(m.ram + STACK));
  m.setRflags(2n);
  m.set(L.RIP, BigInt(m.ram));
  m.set32(L.EVENT_VECTOR, -1);
  m.driver.run();
  expect(m.event()).toBe(6);
  return m.memory.u8.slice(m.ram + OUTPUT, m.ram + OUTPUT + cases * OUTPUT_SIZE);
}

let interpreter: BareMachine;
let compiler: BareMachine;
beforeAll(() => {
  interpreter = bareMachine(RAM, false, null);
  compiler = bareMachine(RAM, false, { threshold: 100, regions: 2000, entries: 1 });
});

/** What differs first between compiled and interpreted, or null. */
function difference(width: number, code: Uint8Array): string | null {
  const input = inputs(width);
  const [ours, theirs] = [run(compiler, code, input), run(interpreter, code, input)];
  const at = ours.findIndex((byte, i) => byte !== theirs[i]);
  if (at < 0) return null;
  const number = Math.floor(at / OUTPUT_SIZE);
  const [x, y, carry] = input.subarray(number * 3);
  return `of ${x!.toString(16)}, ${y!.toString(16)}, carry ${carry}: byte ${at % OUTPUT_SIZE} is ${ours[at]}, interpreted ${theirs[at]}`;
}

describe.each(Object.entries(READERS))('flags as %s sees them', (_, reader) => {
  test.each(Object.entries(OPERATIONS))('after %s', (name, encoding) => {
    const wrong: string[] = [];
    for (const width of [1, 2, 4, 8]) {
      const operation = encoding(width);
      if (!operation) continue;
      for (const [i, before] of BEFORE.entries()) {
        const regions = compiler.driver.jit!.statistics.regions;
        const found = difference(width, program(operation, before, reader, inputs(width).length / 3));
        if (found !== null) wrong.push(`${name}, ${width} bytes, before it ${i}: ${found}`);
        expect(compiler.driver.jit!.statistics.regions).toBeGreaterThan(regions);
      }
    }
    expect(wrong).toEqual([]);
  });
});
