/** Values that are worth trying: edges of each width, numbers of each floating-point kind, and random ones. */
import type { Random } from '../random.ts';

const INTEGERS: readonly bigint[] = [0n, 1n, 2n, 0x7fn, 0x80n, 0xffn, 0x7fffn, 0x8000n, 0xffffn, 0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn,
  0x7fff_ffff_ffff_ffffn, 0x8000_0000_0000_0000n, 0xffff_ffff_ffff_ffffn, 0x0101_0101_0101_0101n];

export function integer(random: Random): bigint {
  const kind = random.below(8);
  if (kind < 2) return random.pick(INTEGERS);
  if (kind === 2) return BigInt(random.below(70));
  if (kind === 3) return BigInt.asUintN(64, -BigInt(random.below(70)));
  if (kind === 4) return BigInt(random.next());
  return random.u64();
}

const SINGLES: readonly number[] = [0, 0x80000000, 1, 0x807fffff, 0x00800000, 0x80800001, 0x3f800000, 0xbf800000, 0x3fc00000, 0x40200000, 0x4b000001,
  0xcb000000, 0x4effffff, 0x4f000000, 0xcf000000, 0x5f000000, 0xdf000000, 0x7f7fffff, 0x7f800000, 0xff800000, 0x7f800001, 0x7fc00000, 0xffc12345,
  0xff812345];
const DOUBLES: readonly bigint[] = [0n, 1n, 0x8000000000000000n, 0x000fffffffffffffn, 0x0010000000000000n, 0x3ff0000000000000n, 0xbfe0000000000000n,
  0x3ff8000000000000n, 0x4004000000000000n, 0x41dfffffffc00000n, 0x41e0000000000000n, 0xc1e0000000000000n, 0xc1e0000000200000n,
  0x43e0000000000000n, 0xc3e0000000000000n, 0x7fefffffffffffffn, 0x7ff0000000000000n, 0xfff0000000000000n, 0x7ff0000000000001n,
  0x7ff8000000012345n, 0xfff8000000000000n, 0xfff4000000000000n, 0x36a0000000000000n, 0x47efffffe0000000n, 0x47effffff0000000n,
  0x3810000000000000n];
const HALVES: readonly number[] = [0, 0x8000, 1, 0x83ff, 0x0400, 0x3c00, 0xbc00, 0x7bff, 0x7c00, 0xfc00, 0x7c01, 0x7e00, 0xfe55];
const PATTERNS: readonly bigint[] = [0n, 0xffffffffffffffffn, 0x8080808080808080n, 0x7f7f7f7f7f7f7f7fn, 0x8000800080008000n, 0x8000000080000000n,
  0x7fff7fff7fff7fffn, 0x0001000100010001n, 0x0000000000000005n, 0x0000000000000011n, 0x00000000000000ffn, 0x6161626200006364n];

function singlePair(random: Random): bigint {
  const one = (): bigint => BigInt(random.oneIn(2) ? random.pick(SINGLES) : ((0x3d000000 + (random.next() >>> 5)) ^ ((random.next() & 1) << 31)) >>> 0);
  return (one() << 32n) | one();
}

/** Eight bytes for a vector: packed integers, singles, doubles or halves. */
export function quadword(random: Random): bigint {
  switch (random.below(7)) {
    case 0: return random.pick(DOUBLES);
    case 1: return singlePair(random);
    case 2: return random.pick(PATTERNS);
    case 3: return (0x3fc0000000000000n + (random.u64() >> 8n)) ^ (random.u64() & 0x8000000000000000n);
    case 4: return singlePair(random);
    case 5: return [0, 1, 2, 3].reduce((word) => (word << 16n) | BigInt(random.oneIn(2) ? random.pick(HALVES) : random.below(65536)), 0n);
    default: return random.u64();
  }
}

const EXPONENTS: readonly number[] = [0, 1, 2, 0x3ffe, 0x3fff, 0x4000, 0x403d, 0x403e, 0x403f, 0x7ffe, 0x7fff];
const SIGNIFICANDS: readonly bigint[] = [0n, 1n, 0x8000000000000000n, 0x8000000000000001n, 0xc000000000000000n, 0xffffffffffffffffn,
  0x7fffffffffffffffn, 0xa000000000000000n, 0xfffffffffffffffen, 0x4000000000000000n, 0x8000000000000400n, 0x8000008000000000n];

/** An x87 register: significand, then sign and exponent. */
export function extended(random: Random): readonly [bigint, number] {
  const sign = random.below(2) << 15;
  if (random.oneIn(3)) return [random.pick(SIGNIFICANDS), sign | random.pick(EXPONENTS)];
  if (random.oneIn(4)) return [0x8000000000000000n | (BigInt(random.below(200)) << 56n), sign | (0x3fff + random.below(12))];
  const exponent = random.oneIn(4) ? random.below(0x8000) : 0x3fff - 40 + random.below(100);
  return [0x8000000000000000n | random.u64(), sign | exponent];
}
