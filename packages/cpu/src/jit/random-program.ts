/** Random 64-bit programs that end: a loop around straight-line code, forward branches and calls, over a window of memory. */

/** Numbers from a seed (a linear congruential generator). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  save(): number {
    return this.#state;
  }

  restore(state: number): void {
    this.#state = state;
  }

  /** A number from 0 to below n. */
  below(n: number): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) | 0;
    return (this.#state >>> 8) % n;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
}

const RSI = 6;
const FREE = [0, 1, 2, 3, 5, 7, 8, 9, 10, 11, 12, 13, 14];
const ALU = [0x01, 0x09, 0x11, 0x19, 0x21, 0x29, 0x31, 0x39, 0x85];
const UNARY = [0xff, 0xff, 0xf7, 0xf7, 0xf7];
const UNARY_EXTENSION = [0, 1, 2, 3, 4];
const BIT = [0xa3, 0xab, 0xb3, 0xbb];
const SSE = [[0x66, 0xfe], [0x66, 0xef], [0x66, 0x61], [0xf2, 0x58], [0xf2, 0x59], [0xf3, 0x5c]] as const;

export class RandomProgram {
  readonly #random: Random;
  readonly #iterations: number;

  constructor(seed: number, iterations: number) {
    this.#random = new Random(seed);
    this.#iterations = iterations;
  }

  /** mov r15d, n; loop: body; dec r15; jnz loop; ud2; functions. RSI must point to the window, RSP to a stack. */
  bytes(): number[] {
    const r = this.#random;
    const bodies = Array.from({ length: 2 }, () => [...this.#body(3 + r.below(6), null), 0xc3]);
    const start = [0x41, 0xbf, ...le32(this.#iterations)];
    const length = 5 + r.below(25);
    // Calls have the same length whatever their distance: the first pass finds out where the functions lie.
    const measure = this.#clone(() => this.#body(length, [0, 0]));
    const tail = [0x49, 0xff, 0xcf, 0x0f, 0x85, 0, 0, 0, 0, 0x0f, 0x0b];
    const end = start.length + measure.length + tail.length;
    const functions = [end, end + bodies[0]!.length];
    const body = this.#body(length, functions, start.length);
    tail.splice(5, 4, ...le32(-(body.length + 9)));
    return [...start, ...body, ...tail, ...bodies.flat()];
  }

  /** What the generator would give, without moving it on. */
  #clone<T>(make: () => T): T {
    const saved = this.#random.save();
    const made = make();
    this.#random.restore(saved);
    return made;
  }

  #body(count: number, functions: readonly number[] | null, at = 0): number[] {
    const out: number[] = [];
    for (let i = 0; i < count; i++) {
      if (functions && this.#random.below(8) === 0) {
        const target = functions[this.#random.below(functions.length)]!;
        out.push(0xe8, ...le32(target - (at + out.length + 5)));
      } else if (this.#random.below(6) === 0) {
        const skipped = this.#instruction();
        out.push(0x70 | this.#random.below(16), skipped.length, ...skipped);
      } else out.push(...this.#instruction());
    }
    return out;
  }

  #instruction(): number[] {
    const r = this.#random;
    const [x, y] = [r.pick(FREE), r.pick(FREE)];
    const wide = r.below(2);
    const rex = 0x40 | (wide << 3) | (y >= 8 ? 4 : 0) | (x >= 8 ? 1 : 0);
    const rr = 0xc0 | ((y & 7) << 3) | (x & 7);
    const digit = (n: number): number => 0xc0 | (n << 3) | (x & 7);
    switch (r.below(20)) {
      case 0: return [rex, 0x83, digit(r.below(8)), r.below(256)];
      case 1: return [rex, 0xc7, digit(0), ...le32(r.below(0x100_0000) * 311)];
      case 2: return [rex, r.pick([0xd3, 0xd1]), digit(r.pick([0, 1, 2, 3, 4, 5, 7]))];
      case 3: return [rex, 0xc1, digit(r.pick([0, 1, 2, 3, 4, 5, 7])), r.below(70)];
      case 4: {
        const at = r.below(UNARY.length);
        return [rex, UNARY[at]!, digit(UNARY_EXTENSION[at]!)];
      }
      case 5: return [rex, 0x0f, r.pick([0xaf, 0xb6, 0xbe, 0xb7, 0xbf, 0xbc, 0xbd]), rr];
      case 6: return [rex, 0x0f, 0x40 | r.below(16), rr];
      case 7: return [rex, 0x0f, 0x90 | r.below(16), digit(0)];
      case 8: return [rex, 0x0f, r.pick(BIT), rr];
      case 9: return [rex, 0x0f, r.pick([0xa4, 0xac]), rr, r.below(70)];
      case 10: return [rex, 0x0f, r.pick([0xc1, 0xb1]), rr];
      case 11: return [rex, r.pick([0x87, 0x89, 0x63]), rr];
      // LEA y, [rsi + x * scale + disp]
      case 12: return [0x40 | (wide << 3) | (y >= 8 ? 4 : 0) | (x >= 8 ? 2 : 0), 0x8d, 0x44 | ((y & 7) << 3), (r.below(4) << 6) | ((x & 7) << 3) | RSI, r.below(128)];
      case 13: return [0x50 | (x & 7), 0x58 | (FREE[r.below(5)]! & 7)].flatMap((b, i) => (i === 0 && x >= 8 ? [0x41, b] : [b]));
      case 14: return [0x9c, 0x58 | r.pick([0, 1, 2, 3])];
      case 15: return r.below(2) ? [0x48, 0x99] : [rex & 0x48, 0x98];
      // Without REX: byte registers, the high ones among them.
      case 16: return [r.pick([0x00, 0x08, 0x10, 0x18, 0x20, 0x28, 0x30, 0x38, 0x88]), 0xc0 | (r.pick([0, 1, 2, 3, 4, 5, 6, 7]) << 3) | r.pick([0, 1, 2, 3, 4, 5, 7])];
      case 17: {
        const [prefix, code] = r.pick(SSE);
        return r.below(3) ? [prefix, 0x0f, code, 0xc0 | r.below(64)] : [prefix, 0x0f, code, 0x86 | (r.below(8) << 3), ...le32(this.#place() & ~15)];
      }
      case 18: return [0x48 | (rex & 4), r.pick([0x8b, 0x89, 0x03, 0x01, 0x2b, 0x33, 0x39]), 0x86 | ((y & 7) << 3), ...le32(this.#place())];
      default: return [rex, r.pick(ALU), rr];
    }
  }

  /** An offset into the window, now and then across its page boundary. */
  #place(): number {
    return this.#random.below(10) === 0 ? 0xff9 + this.#random.below(7) : this.#random.below(0x1f00);
  }
}

export function le32(value: number): number[] {
  return [value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, (value >>> 24) & 0xff];
}
