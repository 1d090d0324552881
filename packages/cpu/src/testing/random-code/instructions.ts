/**
 * Random instructions of straight-line code. [RSI + distance] is memory that they may change; RSI and RSP keep their
 * values. Tables by kind, each line an opcode with what may follow it.
 */
import { le16, le32 } from './assembler.ts';
import { type Mode, WINDOW_BYTES } from './modes.ts';
import type { Random } from './random.ts';

const RSI = 6;
const LOW = [0, 1, 2, 3, 5, 7];
const HIGH = [8, 9, 10, 11, 12, 13, 14, 15];
const PAGE = 0x1000;
/** From the beginning of the data to the last byte of their segment, in some 16-bit programs. */
const END_OF_SEGMENT = 0x47ff;

/** What a ModRM byte addresses: a register, or memory at a distance from RSI, perhaps plus a scaled register. */
type Place = { readonly register: number } | { readonly distance: number; readonly index: number; readonly scale: number };

const ALU_DIGITS = [0, 1, 2, 3, 4, 5, 6, 7];
const SHIFT_DIGITS = [0, 1, 2, 3, 4, 5, 7];
/** 0F opcodes of `reg, r/m`: IMUL MOVZX MOVSX BSF BSR, POPCNT TZCNT LZCNT with F3. */
const EXTENDED = [0xaf, 0xb6, 0xbe, 0xb7, 0xbf, 0xbc, 0xbd];
const COUNTS = [0xb8, 0xbc, 0xbd];
/** 0F opcodes of `r/m, reg`: BT BTS BTR BTC. */
const BITS = [0xa3, 0xab, 0xb3, 0xbb];
/** Without operands, all modes: CBW CWD SAHF LAHF CMC CLC STC CLD PUSHF-POP is apart. */
const PLAIN = [[0x98], [0x99], [0x9e], [0x9f], [0xf5], [0xf8], [0xf9], [0xfc], [0x90]];
const LEGACY = [[0x27], [0x2f], [0x37], [0x3f], [0xd5, 0x0a], [0xd4, 0x0a], [0xd6]];

/** SSE and SSE2: mandatory prefix (0: none) and opcode after 0F, operands `xmm, xmm/m128`. */
const SSE: readonly (readonly [number, number])[] = [
  [0, 0x54], [0, 0x57], [0, 0x58], [0, 0x59], [0, 0x5c], [0, 0x5e], [0, 0x51], [0, 0x5d], [0, 0x14], [0, 0x28],
  [0x66, 0x58], [0x66, 0x59], [0x66, 0x5e], [0x66, 0x51], [0x66, 0x14], [0x66, 0x61], [0x66, 0x62], [0x66, 0x6c], [0x66, 0x6f],
  [0x66, 0x74], [0x66, 0x76], [0x66, 0xd4], [0x66, 0xd5], [0x66, 0xdb], [0x66, 0xe5], [0x66, 0xeb], [0x66, 0xef], [0x66, 0xf4],
  [0x66, 0xf6], [0x66, 0xfa], [0x66, 0xfe], [0x66, 0x63], [0x66, 0x67], [0x66, 0xd3], [0x66, 0xf2], [0xf3, 0x5b], [0x66, 0x5b],
];
/** The same with a scalar in memory: bytes of it. */
const SCALAR: readonly (readonly [number, number])[] = [
  [0xf2, 0x58], [0xf2, 0x59], [0xf2, 0x5c], [0xf2, 0x5e], [0xf2, 0x51], [0xf2, 0x5a], [0xf2, 0x10], [0xf3, 0x58], [0xf3, 0x59], [0xf3, 0x5c],
  [0xf3, 0x5e], [0xf3, 0x51], [0xf3, 0x5a], [0xf3, 0x10], [0x66, 0x2e], [0, 0x2e], [0, 0x2f], [0xf3, 0x7e],
];
const SSE_STORES: readonly (readonly [number, number])[] = [[0xf2, 0x11], [0xf3, 0x11], [0, 0x11], [0x66, 0x7f], [0xf3, 0x7f], [0x66, 0xd6], [0, 0x29]];
/** AVX: prefix field (0 none, 1 66, 2 F3, 3 F2) and opcode of map 1, `vec, vec, vec/m`. */
const AVX: readonly (readonly [number, number])[] = [
  [0, 0x58], [0, 0x59], [1, 0x5c], [1, 0x58], [1, 0xfe], [1, 0xef], [1, 0xdb], [1, 0x62], [1, 0xd4], [0, 0x57], [3, 0x58], [2, 0x59], [1, 0x76],
];
/** BMI: map, prefix field, opcode, digit or -1; `reg, vvvv, r/m` in some order. */
const BMI: readonly (readonly [number, number, number, number])[] = [
  [2, 0, 0xf2, -1], [2, 0, 0xf7, -1], [2, 0, 0xf3, 1], [2, 0, 0xf3, 2], [2, 0, 0xf3, 3], [2, 0, 0xf5, -1], [2, 2, 0xf5, -1], [2, 3, 0xf5, -1],
  [2, 3, 0xf6, -1], [2, 1, 0xf7, -1], [2, 2, 0xf7, -1], [2, 3, 0xf7, -1],
];
/** x87: register forms, which keep the stack's depth or nearly so. */
const X87: readonly (readonly [number, number])[] = [
  [0xd8, 0xc1], [0xd8, 0xca], [0xd8, 0xe1], [0xd8, 0xf2], [0xdc, 0xc1], [0xdc, 0xca], [0xde, 0xc1], [0xde, 0xc9], [0xd9, 0xc0], [0xd9, 0xc9],
  [0xd9, 0xe0], [0xd9, 0xe1], [0xd9, 0xe8], [0xd9, 0xeb], [0xd9, 0xee], [0xd9, 0xfa], [0xd9, 0xfc], [0xdd, 0xd9], [0xdb, 0xf1], [0xdf, 0xe0], [0xda, 0xc1],
  [0xd9, 0xf6], [0xd9, 0xe5], [0xd9, 0xf8],
];
/** x87 with memory: opcode, digit. */
const X87_MEMORY: readonly (readonly [number, number])[] = [
  [0xd9, 0], [0xd9, 2], [0xd9, 3], [0xdd, 0], [0xdd, 2], [0xdd, 3], [0xdb, 0], [0xdb, 2], [0xdb, 5], [0xdb, 7], [0xd8, 0], [0xdc, 1], [0xda, 4], [0xdf, 5], [0xd9, 7],
];

export class RandomInstructions {
  readonly #mode: Mode;
  readonly #registers: readonly number[];

  constructor(mode: Mode) {
    this.#mode = mode;
    this.#registers = mode === 64 ? [...LOW, ...HIGH] : LOW;
  }

  /** The bytes of one instruction, or of a few that belong together. */
  next(r: Random): number[] {
    const kind = r.below(34);
    switch (kind) {
      case 0: case 1: case 2: return this.#alu(r);
      case 3: return this.#immediate(r);
      case 4: return this.#shift(r);
      case 5: return this.#unary(r);
      case 6: return this.#form(r, [0x0f, r.pick(EXTENDED)], r.pick([2, 4, 8]));
      case 7: return this.#form(r, [0x0f, 0x40 | r.below(16)], r.pick([2, 4, 8]));
      case 8: return this.#form(r, [0x0f, 0x90 | r.below(16)], 1, { digit: 0 });
      case 9: return this.#form(r, [0x0f, r.pick(BITS)], r.pick([2, 4, 8]), { registers: !r.oneIn(12) });
      case 10: return [...this.#form(r, [0x0f, 0xba], r.pick([2, 4, 8]), { digit: 4 + r.below(4), immediate: [r.below(256)] })];
      case 11: return this.#form(r, [0x0f, r.pick([0xa4, 0xac])], r.pick([2, 4, 8]), { immediate: [r.below(70)] });
      case 12: return this.#form(r, [0x0f, r.pick([0xa5, 0xad])], r.pick([2, 4, 8]));
      case 13: return this.#exchange(r);
      case 14: return this.#form(r, [0x8d], this.#mode === 16 ? r.pick([2, 4]) : r.pick([2, 4, 8]), { memory: true });
      case 15: return [...this.#pushed(r)];
      case 16: return r.pick(PLAIN).flatMap((byte) => (this.#mode === 64 && r.oneIn(2) && byte !== 0x9e ? [0x48, byte] : [byte]));
      case 17: return this.#mode === 64 ? this.#form(r, [0x63], r.pick([4, 8])) : [...r.pick(LEGACY)];
      case 18: return this.#form(r, r.pick([[0x0f, 0xc1], [0x0f, 0xb1]]), r.pick([2, 4, 8]));
      case 19: return this.#form(r, [0x0f, r.pick(COUNTS)], r.pick([2, 4, 8]), { prefix: 0xf3 });
      case 20: return this.#bswap(r);
      case 21: case 22: return this.#sse(r);
      case 23: return this.#avx(r);
      case 24: return this.#bmi(r);
      case 25: return this.#x87(r);
      case 26: return this.#string(r);
      case 27: return this.#byteAlu(r);
      case 28: return this.#form(r, [r.pick([0x89, 0x8b, 0x01, 0x03, 0x2b, 0x33, 0x39])], r.pick([2, 4, 8]), { memory: true });
      case 29: return this.#form(r, r.pick([[0x88], [0x8a], [0x00], [0x38], [0x2a]]), 1);
      case 30: return this.#moved(r);
      case 31: return this.#frame(r);
      case 32: return this.#form(r, [0x0f, 0x38, r.pick([0xf0, 0xf1])], r.pick([2, 4, 8]), r.oneIn(2) ? { memory: true } : { prefix: 0xf2, registers: true });
      default: return this.#form(r, [0x0f, 0x38, 0xf6], r.pick([4, 8]), { prefix: r.pick([0x66, 0xf3]), registers: true });
    }
  }

  // ---- encoding

  #register(r: Random): number {
    return r.pick(this.#registers);
  }

  /** Now and then across the end of a page, or of the segment. */
  #distance(r: Random): number {
    if (this.#mode === 16 && r.oneIn(20)) return END_OF_SEGMENT - r.below(16);
    if (r.oneIn(8)) return PAGE * (1 + r.below(3)) - 1 - r.below(16);
    return r.below(WINDOW_BYTES - 64);
  }

  #memory(r: Random): Place {
    const index = r.oneIn(40) ? this.#register(r) : -1;
    return { distance: this.#distance(r), index: this.#mode === 16 ? -1 : index, scale: r.below(4) };
  }

  #place(r: Random, memory: boolean | null): Place {
    const inMemory = memory ?? r.oneIn(4);
    return inMemory ? this.#memory(r) : { register: this.#register(r) };
  }

  /** ModRM and what follows it. */
  #modrm(field: number, place: Place): number[] {
    const reg = (field & 7) << 3;
    if ('register' in place) return [0xc0 | reg | (place.register & 7)];
    const { distance, index, scale } = place;
    if (this.#mode === 16) return [0x84 | reg, ...le16(distance)];
    if (index < 0) return [0x80 | reg | RSI, ...le32(distance)];
    return [0x84 | reg, (scale << 6) | ((index & 7) << 3) | RSI, ...le32(distance)];
  }

  /** Prefixes, REX, opcode, ModRM. `width` 8 is 4 where there is no REX. */
  #encode(opcode: readonly number[], width: number, field: number, place: Place, prefix: number, isDigit: boolean): number[] {
    const bytes: number[] = [];
    const size = this.#mode !== 64 && width === 8 ? 4 : width;
    if ((size === 2 && this.#mode !== 16) || (size === 4 && this.#mode === 16)) bytes.push(0x66);
    if (prefix) bytes.push(prefix);
    if (this.#mode === 64) {
      const extension = 'register' in place ? (place.register >> 3) : (place.index > 0 ? (place.index >> 3) << 1 : 0);
      const rex = (size === 8 ? 8 : 0) | (isDigit ? 0 : (field >> 3) << 2) | extension;
      if (rex) bytes.push(0x40 | rex);
    }
    bytes.push(...opcode, ...this.#modrm(field, place));
    return bytes;
  }

  #form(r: Random, opcode: readonly number[], width: number, more: FormOptions = {}): number[] {
    const { digit = -1, memory = null, registers = false, prefix = 0, immediate = [] } = more;
    let place = this.#place(r, memory ?? (registers ? false : null));
    // Byte registers without REX: the high ones are of the first four, of which none is RSI.
    if (width === 1 && 'register' in place && this.#mode === 64 && place.register >= 8) place = { register: place.register & 3 };
    let field = digit >= 0 ? digit : this.#register(r);
    if (width === 1 && digit < 0 && field >= 8) field &= 7;
    return [...this.#encode(opcode, width, field, place, prefix, digit >= 0), ...immediate];
  }

  // ---- kinds

  #alu(r: Random): number[] {
    const operation = r.below(9);
    const direction = r.oneIn(2) ? 1 : 3;
    return this.#form(r, [operation === 8 ? 0x85 : (operation << 3) | direction], r.pick([2, 4, 4, 8, 8]));
  }

  #byteAlu(r: Random): number[] {
    const field = r.below(8);
    return [(r.below(8) << 3) | (r.oneIn(2) ? 0 : 2), 0xc0 | (field << 3) | r.below(8)];
  }

  #immediate(r: Random): number[] {
    const width = r.pick([1, 2, 4, 8]);
    const digit = r.pick(ALU_DIGITS);
    if (width === 1) return this.#form(r, [0x80], 1, { digit, immediate: [r.below(256)] });
    if (r.oneIn(2)) return this.#form(r, [0x83], width, { digit, immediate: [r.below(256)] });
    return this.#form(r, [0x81], width, { digit, immediate: width === 2 ? le16(r.word()) : le32(r.word()) });
  }

  #shift(r: Random): number[] {
    const digit = r.pick(SHIFT_DIGITS);
    const byte = r.oneIn(4);
    const width = byte ? 1 : r.pick([2, 4, 8]);
    const opcode = r.pick([0xd1, 0xd3, 0xc1]) - (byte ? 1 : 0);
    return this.#form(r, [opcode], width, { digit, immediate: (opcode | 1) === 0xc1 ? [r.below(70)] : [] });
  }

  #unary(r: Random): number[] {
    const width = r.pick([1, 2, 4, 8]);
    const low = width === 1 ? 0 : 1;
    if (r.oneIn(3)) return this.#form(r, [0xfe | low], width, { digit: r.below(2) });
    // Division faults more often than not.
    const digit = r.oneIn(10) ? 6 + r.below(2) : 2 + r.below(4);
    return this.#form(r, [0xf6 | low], width, { digit });
  }

  #exchange(r: Random): number[] {
    if (r.oneIn(6)) {
      const wide = this.#mode === 64 && r.oneIn(2);
      // CMPXCHG16B wants alignment.
      const place = { distance: this.#distance(r) & ~(r.oneIn(8) ? 0 : 15), index: -1, scale: 0 };
      return this.#encode([0x0f, 0xc7], wide ? 8 : this.#mode === 16 ? 2 : 4, 1, place, 0, true);
    }
    const lock = r.oneIn(4);
    const bytes = this.#form(r, lock ? r.pick([[0x01], [0x0f, 0xc1], [0x0f, 0xb1], [0x31]]) : [0x87], r.pick([2, 4, 8]), lock ? { memory: true } : {});
    return lock ? [0xf0, ...bytes] : bytes;
  }

  /** PUSH and POP of registers, memory and flags. */
  #pushed(r: Random): number[] {
    const [from, to] = [this.#register(r), this.#register(r)];
    const rex = (register: number): number[] => (register >= 8 ? [0x41] : []);
    const pop = [...rex(to), 0x58 | (to & 7)];
    switch (r.below(5)) {
      case 0: return [0x9c, ...pop];
      case 1: return [...this.#form(r, [0xff], this.#mode === 16 ? 2 : 4, { digit: 6, memory: true }), ...pop];
      case 2: return [...rex(from), 0x50 | (from & 7), ...this.#form(r, [0x8f], this.#mode === 16 ? 2 : 4, { digit: 0, memory: true })];
      case 3: return [0x68, ...(this.#mode === 16 ? le16(r.word()) : le32(r.word())), ...pop];
      default: return [...rex(from), 0x50 | (from & 7), ...pop];
    }
  }

  #bswap(r: Random): number[] {
    const register = this.#register(r);
    const rex = this.#mode === 64 ? [0x40 | (r.below(2) << 3) | (register >> 3)] : this.#mode === 16 ? [0x66] : [];
    return [...rex, 0x0f, 0xc8 | (register & 7)];
  }

  #vector(r: Random): number {
    return r.below(this.#mode === 64 ? 16 : 8);
  }

  #sse(r: Random): number[] {
    const kind = r.below(8);
    const [prefix, opcode] = kind < 4 ? r.pick(SSE) : kind < 6 ? r.pick(SCALAR) : r.pick(SSE_STORES);
    if (kind === 7) return this.#convert(r);
    // Most aligned, but not all.
    const distance = this.#distance(r) & ~(kind < 4 && !r.oneIn(16) ? 15 : 0);
    const place: Place = r.oneIn(2) ? { register: this.#vector(r) } : { distance, index: -1, scale: 0 };
    return this.#encodeVector(prefix, opcode, this.#vector(r), place, false);
  }

  /** Between vector and general registers: CVTSI2SD CVTTSD2SI MOVD. */
  #convert(r: Random): number[] {
    const [prefix, opcode] = r.pick([[0xf2, 0x2a], [0xf3, 0x2a], [0x66, 0x6e]]);
    if (r.oneIn(2)) return this.#encodeVector(prefix!, opcode!, this.#vector(r), { register: this.#register(r) }, r.oneIn(2));
    const [back, from] = r.pick([[0xf2, 0x2c], [0xf3, 0x2d], [0x66, 0xd7]]);
    return this.#encodeVector(back!, from!, this.#register(r), { register: this.#vector(r) }, r.oneIn(2));
  }

  #encodeVector(prefix: number, opcode: number, field: number, place: Place, wide: boolean): number[] {
    const bytes: number[] = prefix ? [prefix] : [];
    const rex = ((field >> 3) << 2) | ('register' in place ? place.register >> 3 : 0) | (wide ? 8 : 0);
    if (this.#mode === 64 && rex) bytes.push(0x40 | rex);
    return [...bytes, 0x0f, opcode, ...this.#modrm(field, place)];
  }

  /** Three bytes of VEX: map, prefix field, W, vvvv, L. */
  #vex(map: number, prefix: number, wide: boolean, vvvv: number, long: boolean, opcode: number, field: number, place: Place): number[] {
    const rm = 'register' in place ? place.register : RSI;
    const first = ((field & 8) === 0 ? 0x80 : 0) | 0x40 | ((rm & 8) === 0 ? 0x20 : 0) | map;
    const second = (wide ? 0x80 : 0) | ((~vvvv & 15) << 3) | (long ? 4 : 0) | prefix;
    return [0xc4, first, second, opcode, ...this.#modrm(field, place)];
  }

  #avx(r: Random): number[] {
    const [prefix, opcode] = r.pick(AVX);
    const place: Place = r.oneIn(2) ? { register: this.#vector(r) } : { distance: this.#distance(r), index: -1, scale: 0 };
    return this.#vex(1, prefix, false, this.#vector(r), prefix < 2 && r.oneIn(2), opcode, this.#vector(r), place);
  }

  #bmi(r: Random): number[] {
    const [map, prefix, opcode, digit] = r.pick(BMI);
    const wide = this.#mode === 64 && r.oneIn(2);
    const place = this.#place(r, null);
    const plain: Place = 'register' in place ? place : { ...place, index: -1 };
    return this.#vex(map, prefix, wide, this.#register(r), false, opcode, digit >= 0 ? digit : this.#register(r), plain);
  }

  #x87(r: Random): number[] {
    if (r.oneIn(2)) return [...r.pick(X87)];
    const [opcode, digit] = r.pick(X87_MEMORY);
    return [opcode, ...this.#modrm(digit, { distance: this.#distance(r), index: -1, scale: 0 })];
  }

  /** A string instruction from one part of the window to another, most with REP; the index registers come back. */
  #string(r: Random): number[] {
    const [rdi, rcx] = [7, 1];
    const width = r.below(this.#mode === 64 ? 4 : 3);
    const opcode = r.pick([0xa4, 0xa4, 0xaa, 0xac, 0xa6, 0xae]) | (width === 0 ? 0 : 1);
    const size = width === 1 ? (this.#mode === 16 ? [] : [0x66]) : width === 2 ? (this.#mode === 16 ? [0x66] : []) : width === 3 ? [0x48] : [];
    const repeat = r.pick([[0xf3], [0xf3], [0xf2], []]);
    const down = r.oneIn(6);
    const wide = this.#mode === 64 ? [0x48] : [];
    const lea = (to: number): number[] => [...wide, 0x8d, ...this.#modrm(to, { distance: 0x200 + r.below(WINDOW_BYTES - 0x600), index: -1, scale: 0 })];
    const count = r.pick([0, 1, 2, 3, 7, 31, 64]);
    const mov = this.#mode === 16 ? [0xb8 | rcx, ...le16(count)] : [0xb8 | rcx, ...le32(count)];
    return [
      0x56, 0x57, ...mov, ...lea(rdi), ...lea(RSI), ...(down ? [0xfd] : []), ...repeat, ...size, opcode, ...(down ? [0xfc] : []), 0x5f, 0x5e,
    ];
  }

  /** MOV of an immediate or between registers, XLAT not: it reads where RBX points. */
  #moved(r: Random): number[] {
    if (r.oneIn(3)) return this.#form(r, [0xc6], 1, { digit: 0, immediate: [r.below(256)] });
    const width = r.pick([2, 4, 8]);
    return this.#form(r, [0xc7], width, { digit: 0, immediate: width === 2 ? le16(r.word()) : le32(r.word()) });
  }

  /** ENTER and LEAVE, PUSHA and POPA, around nothing: RBP or all come back. */
  #frame(r: Random): number[] {
    if (this.#mode !== 64 && r.oneIn(2)) return [0x60, 0x61];
    return [0xc8, ...le16(r.below(64)), r.below(3), 0xc9];
  }
}

interface FormOptions {
  /** The opcode's extension, instead of a register. */
  readonly digit?: number;
  /** True: memory only. */
  readonly memory?: boolean;
  readonly registers?: boolean;
  readonly prefix?: number;
  readonly immediate?: readonly number[];
}

