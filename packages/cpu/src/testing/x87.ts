/** One x87 instruction on the microcode alone, from and to FXSAVE images, and values worth trying. */
import { HostMemory } from '@vm/kvm-run';
import { instantiateMicrocode, type Microcode } from '../microcode/instantiate.ts';
import * as layout from '../state/layout.ts';
import * as record from '../state/record.ts';
import type { NativeCase, NativeResult } from './native.ts';

/** A form of an x87 instruction, as a line of the encoding table gives it. */
export interface X87Form {
  readonly mnemonic: string;
  readonly code: readonly number[];
  /** Numbers of the ST operands. */
  readonly registers: readonly number[];
  /** Bytes of the memory operand, or 0. */
  readonly size: number;
}

const MEMORY_SIZE: Readonly<Record<string, number>> = { Mw: 2, Md: 4, Mq: 8, Mt: 10, Menv: 28, Mfst: 108 };

/** The forms of a line of decode/table/x87.ts, with ST(i) as given. */
export function formOf(line: string, i: number): X87Form | null {
  const [byte, selector, mnemonic, operands] = line.trim().split(/\s+/);
  if (!byte || !selector || !mnemonic || !operands) return null;
  const first = Number.parseInt(byte, 16);
  const size = MEMORY_SIZE[operands] ?? 0;
  const group = Number.parseInt(selector.slice(1), 16);
  // Memory operands are [RDI].
  const second = selector.startsWith('=') ? group : (group << 3) | (size === 0 ? 0xc0 | i : 7);
  const registers = [...operands.matchAll(/ST(0|i)/g)].map((m) => (m[1] === 'i' ? i : 0));
  return { mnemonic, code: [first, second], registers, size };
}

export class X87Machine {
  readonly #memory = HostMemory.create(16 << 20);
  readonly #area = this.#memory.allocPages(Math.ceil(layout.AREA_SIZE / 4096));
  readonly #data = this.#memory.allocPages(1);
  readonly #record = this.#memory.allocPages(1);
  readonly #microcode: Microcode;
  readonly #u8 = new Uint8Array(this.#memory.buffer);
  readonly #view = new DataView(this.#memory.buffer);

  constructor(module?: WebAssembly.Module) {
    const host = { readClock: () => 0, cpuTrace: () => undefined };
    this.#microcode = instantiateMicrocode(this.#memory, this.#area, host, module);
    this.#set(layout.CR0, 0x21);
    this.#set(layout.HOST_PAGES, this.#memory.pages);
    this.#set(layout.PAGE_FLAGS, this.#memory.pageFlags);
    this.#microcode.exports['updateMode']!();
    this.#microcode.exports['flushTlb']!();
  }

  #set(offset: number, value: number): void {
    this.#view.setInt32(this.#area + offset, value, true);
  }

  #get(offset: number): number {
    return this.#view.getInt32(this.#area + offset, true);
  }

  has(mnemonic: string): boolean {
    return this.#microcode.handler(mnemonic) !== undefined;
  }

  /** Runs the form from the state given. */
  run(form: X87Form, input: NativeCase): NativeResult & { status: number } {
    const handler = this.#microcode.handler(form.mnemonic);
    if (!handler) throw new Error(`no handler for ${form.mnemonic}`);
    this.#loadImage(input.fx);
    this.#u8.set(input.memory, this.#data);
    this.#view.setBigUint64(this.#area + layout.RAX, input.rax, true);
    this.#microcode.exports['setRflags']!(input.rflags, -1n);
    const ax = form.mnemonic === 'fnstsw' && form.size === 0;
    const at = this.#record;
    this.#view.setInt32(at + record.REC_P1, ax ? this.#area + layout.RAX : (form.registers[0] ?? 0), true);
    this.#view.setInt32(at + record.REC_P2, form.registers[1] ?? 0, true);
    this.#view.setInt32(at + record.REC_P3, form.size, true);
    for (const slot of [record.REC_BASE, record.REC_INDEX_REG, record.REC_SEG])
      this.#view.setInt32(at + slot, this.#area + layout.ZERO, true);
    this.#view.setBigInt64(at + record.REC_DISP, BigInt(this.#data), true);
    this.#u8[at + record.REC_PREFIX] = 2 << record.PREFIX_OPSIZE_SHIFT;
    const status = handler(at);
    return {
      status,
      fx: this.#saveImage(),
      memory: this.#u8.slice(this.#data, this.#data + 128),
      rax: this.#view.getBigUint64(this.#area + layout.RAX, true),
      rcx: 0n,
      rflags: this.#microcode.exports['getRflags']!() as bigint,
    };
  }

  #loadImage(fx: Uint8Array): void {
    const image = new DataView(fx.buffer, fx.byteOffset, 512);
    const status = image.getUint16(2, true);
    const top = (status >> 11) & 7;
    this.#set(layout.FCW, image.getUint16(0, true));
    this.#set(layout.FSW, status & 0xc7ff);
    this.#set(layout.FTOP, top);
    this.#set(layout.FTAG, image.getUint8(4));
    for (let i = 0; i < 8; i++) {
      this.#u8.set(fx.subarray(32 + i * 16, 42 + i * 16), this.#area + layout.FPR + ((top + i) & 7) * 16);
    }
  }

  #saveImage(): Uint8Array {
    const fx = new Uint8Array(512);
    const image = new DataView(fx.buffer);
    const top = this.#get(layout.FTOP);
    image.setUint16(0, this.#get(layout.FCW), true);
    image.setUint16(2, this.#get(layout.FSW) | (top << 11), true);
    image.setUint8(4, this.#get(layout.FTAG));
    for (let i = 0; i < 8; i++) {
      const at = this.#area + layout.FPR + ((top + i) & 7) * 16;
      fx.set(this.#u8.subarray(at, at + 10), 32 + i * 16);
    }
    return fx;
  }
}

/** A small generator of repeatable random numbers (xorshift32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 1;
  }

  next(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return x >>> 0;
  }

  below(n: number): number {
    return this.next() % n;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }

  u64(): bigint {
    return (BigInt(this.next()) << 32n) | BigInt(this.next());
  }
}

const EXPONENTS = [
  0, 0, 1, 2, 63, 64, 0x3f80, 0x3f81, 0x3f6a, 0x3bcd, 0x3c00, 0x3c01, 0x3fbf, 0x3ffd, 0x3ffe, 0x3ffe, 0x3fff, 0x3fff, 0x4000, 0x4000,
  0x4001, 0x400d, 0x400e, 0x401d, 0x401e, 0x403a, 0x403d, 0x403e, 0x403f, 0x407e, 0x407f, 0x43fe, 0x43ff, 0x5fff, 0x7ffd, 0x7ffe,
  0x7fff, 0x7fff,
];
const SIGNIFICANDS = [
  0n, 1n, 0x8000000000000000n, 0x8000000000000001n, 0xffffffffffffffffn, 0xffffffffffffff00n, 0xc000000000000000n,
  0xc000000000000001n, 0xa000000000000000n, 0x7fffffffffffffffn, 0x8000000000000400n, 0x8000000000000c00n, 0xfffffffffffffc00n,
  0xfffffffffffff800n, 0x8000008000000000n, 0xffffff8000000000n, 0xffffff0000000000n, 0x8000000000000800n,
];

/** Ten bytes: a value near a boundary, a random one, or a special. */
export function extended(random: Random): { signExponent: number; significand: bigint } {
  const sign = random.below(2) << 15;
  const kind = random.below(10);
  let significand = random.below(3) === 0 ? random.u64() : random.pick(SIGNIFICANDS);
  if (kind < 7) significand |= 0x8000000000000000n;
  if (kind === 9 && random.below(2) === 0) return { signExponent: sign, significand: 0n };
  let exponent = random.pick(EXPONENTS);
  if (kind < 3) exponent = 0x3fff + random.below(140) - 70;
  else if (kind === 3) exponent = random.below(0x8000);
  // A short significand now and then, so that exact results occur.
  if (random.below(4) === 0) significand = (significand >> 48n) << 48n;
  return { signExponent: sign | exponent, significand };
}

/** A state: registers of interesting values, a control word, tags mostly in use. */
export function randomImage(random: Random, masked: boolean): Uint8Array {
  const fx = new Uint8Array(512);
  const image = new DataView(fx.buffer);
  const masks = masked ? 0x3f : random.below(64);
  image.setUint16(0, 0x40 | masks | (random.below(4) << 10) | (random.pick([0, 2, 3, 3, 3]) << 8), true);
  const top = random.below(8);
  const sticky = random.below(64) & masks & random.below(64);
  image.setUint16(2, (top << 11) | sticky | (random.below(16) === 0 ? 0x4700 : 0) | (random.below(2) << 9), true);
  const tags = [0xff, 0xff & ~(1 << ((top + 7) & 7)), 0xff & ~(1 << ((top + 7) & 7)), random.below(256)];
  image.setUint8(4, random.pick(tags));
  image.setUint32(24, 0x1f80, true);
  for (let i = 0; i < 8; i++) {
    const value = extended(random);
    image.setBigUint64(32 + i * 16, value.significand, true);
    image.setUint16(40 + i * 16, value.signExponent, true);
  }
  return fx;
}
