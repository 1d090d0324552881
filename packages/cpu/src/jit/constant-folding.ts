/** Operators whose operands are known when a region is made. */
import type { Value } from '../wasm/function-builder.ts';
import * as op from '../wasm/opcodes.ts';

export function isZero(value: Value): boolean {
  return value.local < 0 && value.lo === 0 && value.hi === 0;
}

/** Operators whose result is their first operand where the second is zero. */
const NEUTRAL_ZERO = new Set<op.IntegerOp>(['add', 'sub', 'or', 'xor', 'shl', 'shrS', 'shrU', 'rotl', 'rotr']);

/** The value of an operator on constants, or of one that leaves its operand as it is; null: it must be computed. */
export function foldInteger(name: op.IntegerOp, x: Value, y: Value | undefined): Value | null {
  if (!y) return x.local < 0 && x.type === op.I32 ? foldOne(name, x) : x.local < 0 && name === 'eqz' ? constant32(isZero(x) ? 1 : 0) : null;
  if (isZero(y) && NEUTRAL_ZERO.has(name)) return x;
  if (isZero(x) && (name === 'add' || name === 'or' || name === 'xor')) return y;
  if (x.local >= 0 || y.local >= 0) return null;
  return x.type === op.I32 ? foldTwo(name, x.lo, y.lo) : foldWide(name, x, y);
}

function constant32(lo: number): Value {
  return { type: op.I32, local: -1, lo: lo | 0, hi: 0 };
}

function foldOne(name: op.IntegerOp, { lo }: Value): Value | null {
  switch (name) {
    case 'eqz': return constant32(lo === 0 ? 1 : 0);
    case 'extend8S': return constant32((lo << 24) >> 24);
    case 'extend16S': return constant32((lo << 16) >> 16);
    default: return null;
  }
}

function foldTwo(name: op.IntegerOp, x: number, y: number): Value | null {
  switch (name) {
    case 'add': return constant32(x + y);
    case 'sub': return constant32(x - y);
    case 'and': return constant32(x & y);
    case 'or': return constant32(x | y);
    case 'xor': return constant32(x ^ y);
    case 'shl': return constant32(x << y);
    case 'shrU': return constant32(x >>> y);
    case 'shrS': return constant32(x >> y);
    case 'eq': return constant32(x === y ? 1 : 0);
    case 'ne': return constant32(x !== y ? 1 : 0);
    case 'ltU': return constant32(x >>> 0 < y >>> 0 ? 1 : 0);
    case 'remU': return y === 0 ? null : constant32((x >>> 0) % (y >>> 0));
    default: return null;
  }
}

function foldWide(name: op.IntegerOp, x: Value, y: Value): Value | null {
  const wide = (lo: number, hi: number): Value => ({ type: op.I64, local: -1, lo: lo | 0, hi: hi | 0 });
  switch (name) {
    case 'and': return wide(x.lo & y.lo, x.hi & y.hi);
    case 'or': return wide(x.lo | y.lo, x.hi | y.hi);
    case 'xor': return wide(x.lo ^ y.lo, x.hi ^ y.hi);
    case 'add': {
      const low = (x.lo >>> 0) + (y.lo >>> 0);
      return wide(low, x.hi + y.hi + (low > 0xffff_ffff ? 1 : 0));
    }
    default: return null;
  }
}
