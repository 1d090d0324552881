/** A multiplicative hash that puts each target of an indirect branch in a place of its own. */
export interface TargetHash {
  readonly multiplier: number;
  /** (offset * multiplier) >>> shift is the place. */
  readonly shift: number;
  /** Number of the target by place, or -1. */
  readonly places: readonly number[];
}

const TRIES = 64;

/** `offsets`: i32 each, all different. */
export function targetHash(offsets: readonly number[]): TargetHash {
  for (let bits = Math.ceil(Math.log2(offsets.length)); ; bits++) {
    let multiplier = 0x9e37_79b1 | 0;
    for (let attempt = 0; attempt < TRIES; attempt++) {
      const places = place(offsets, multiplier, 32 - bits, 1 << bits);
      if (places) return { multiplier, shift: 32 - bits, places };
      multiplier = Math.imul(multiplier, 0x2c1b_3c6d);
    }
  }
}

function place(offsets: readonly number[], multiplier: number, shift: number, size: number): number[] | null {
  const places = Array.from({ length: size }, () => -1);
  for (const [number, offset] of offsets.entries()) {
    const at = Math.imul(offset, multiplier) >>> shift;
    if (places[at] !== -1) return null;
    places[at] = number;
  }
  return places;
}
