/** Numbers from a seed (a linear congruential generator): the same everywhere, and cheap to begin anew. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** A number from 0 to below n. */
  below(n: number): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) | 0;
    return (this.#state >>> 8) % n;
  }

  /** True once in n times. */
  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }

  /** A number of 32 bits: small ones, those around powers of two, and others. */
  word(): number {
    switch (this.below(4)) {
      case 0: return this.below(20) - 10;
      case 1: return ((1 << this.below(32)) - this.below(2)) | 0;
      default: return (this.below(0x1_0000) << 16) | this.below(0x1_0000);
    }
  }
}

/** The seed of a part, by the seed of the whole and the part's number. */
export function seedOf(whole: number, part: number): number {
  let mixed = Math.imul(whole ^ Math.imul(part + 1, 0x9e37_79b1), 0x85eb_ca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0xc2b2_ae35);
  return (mixed ^ (mixed >>> 13)) | 0;
}
