/**
 * Flags of an operation that has just been staged: its inputs and result stay in locals, conditions become comparisons of
 * them, and the words of the processor's area (state/layout.ts, FLAG_*) are written only where somebody else may look.
 */
import type { FunctionBuilder, Value } from '../wasm/function-builder.ts';
import * as op from '../wasm/opcodes.ts';

export const FLAG_KINDS = ['add', 'sub', 'logic', 'inc', 'dec', 'adc', 'sbb', 'result'] as const;
export type FlagKind = (typeof FLAG_KINDS)[number];

/** Flags whose inputs are held in locals. */
export interface HeldFlags {
  readonly kind: FlagKind;
  /** Bytes. */
  readonly size: number;
}

/** A rotate, whose result is held in a local: CF and OF come from it. */
export interface Rotation {
  readonly left: boolean;
  readonly size: number;
}

/** What is known about the flags at a point of the code; where `held` is null, the area has those that no rotate has set since. */
export interface PendingFlags {
  readonly held: HeldFlags | null;
  readonly rotation: Rotation | null;
}

/** Where the values of pending flags are kept. */
interface Places {
  readonly a: Value;
  readonly b: Value;
  readonly r: Value;
}

export class FlagLocals {
  readonly #narrow: Places;
  readonly #wide: Places;
  /** CF and OF as i32, of kinds that compute them. */
  readonly carry: Value;
  readonly overflow: Value;
  /** Result of a rotate, zero-extended. */
  readonly rotated: Value;
  readonly #f: FunctionBuilder;

  constructor(f: FunctionBuilder) {
    this.#f = f;
    const places = (type: op.ValueType): Places => ({ a: f.permanentLocal(type), b: f.permanentLocal(type), r: f.permanentLocal(type) });
    this.#narrow = places(op.I32);
    this.#wide = places(op.I64);
    this.carry = f.permanentLocal(op.I32);
    this.overflow = f.permanentLocal(op.I32);
    this.rotated = f.permanentLocal(op.I64);
  }

  of(size: number): Places {
    return size === 8 ? this.#wide : this.#narrow;
  }

  #constant(size: number, value: number): Value {
    return size === 8 ? this.#f.i64(value) : this.#f.i32(value);
  }

  /** Sign-extended within its type. */
  #signed(size: number, value: Value): Value {
    return size === 1 ? this.#f.int('extend8S', value) : size === 2 ? this.#f.int('extend16S', value) : value;
  }

  #negative(size: number, value: Value): Value {
    return this.#f.ltS(this.#signed(size, value), this.#constant(size, 0));
  }

  /** CF as i32, or null: the area has it. */
  carryOf({ kind, size }: HeldFlags): Value | null {
    const f = this.#f;
    const { a, b, r } = this.of(size);
    switch (kind) {
      case 'add': return f.ltU(r, a);
      case 'sub': return f.ltU(a, b);
      case 'logic': return f.i32(0);
      case 'inc': case 'dec': return null;
      default: return this.carry;
    }
  }

  zeroOf({ kind, size }: HeldFlags): Value {
    const { a, b, r } = this.of(size);
    return kind === 'sub' ? this.#f.eq(a, b) : this.#f.eqz(r);
  }

  signOf({ size }: HeldFlags): Value {
    return this.#negative(size, this.of(size).r);
  }

  overflowOf({ kind, size }: HeldFlags): Value {
    const f = this.#f;
    const { a, b, r } = this.of(size);
    const smallest = size === 8 ? f.i64(0, 0x8000_0000 | 0) : f.i32(size === 4 ? 0x8000_0000 | 0 : size === 2 ? 0x8000 : 0x80);
    switch (kind) {
      case 'add': case 'adc': return this.#negative(size, f.and(f.xor(a, r), f.xor(b, r)));
      case 'sub': case 'sbb': return this.#negative(size, f.and(f.xor(a, b), f.xor(a, r)));
      case 'logic': return f.i32(0);
      case 'inc': return f.eq(r, smallest);
      case 'dec': return f.eq(a, smallest);
      default: return this.overflow;
    }
  }

  /** SF != OF: less, of signed numbers. */
  lessOf(pending: HeldFlags): Value {
    const { kind, size } = pending;
    const { a, b } = this.of(size);
    if (kind === 'sub') return this.#f.ltS(this.#signed(size, a), this.#signed(size, b));
    if (kind === 'logic') return this.signOf(pending);
    return this.#f.xor(this.signOf(pending), this.overflowOf(pending));
  }

  parityOf({ size }: HeldFlags): Value {
    const f = this.#f;
    const low = f.and(f.wrap(this.of(size).r), f.i32(0xff));
    return f.and(f.xor(f.int('popcnt', low), f.i32(1)), f.i32(1));
  }

  auxiliaryOf({ kind, size }: HeldFlags): Value {
    const f = this.#f;
    if (kind === 'logic' || kind === 'result') return f.i32(0);
    const { a, b, r } = this.of(size);
    const bits = f.wrap(f.xor(f.xor(a, b), r));
    return f.and(f.shrU(bits, f.i32(4)), f.i32(1));
  }

  /** Conditions 0 (O), 2 (B), 4 (E), 6 (BE), 8 (S), 10 (P), 12 (L), 14 (LE); null where the area's CF is needed. */
  positive(pending: HeldFlags, code: number): Value | null {
    const f = this.#f;
    const { a, b } = this.of(pending.size);
    const sub = pending.kind === 'sub';
    switch (code) {
      case 0: return this.overflowOf(pending);
      case 2: return this.carryOf(pending);
      case 4: return this.zeroOf(pending);
      case 6: {
        if (sub) return f.int('leU', a, b);
        const carry = this.carryOf(pending);
        return carry && f.or(carry, this.zeroOf(pending));
      }
      case 8: return this.signOf(pending);
      case 10: return this.parityOf(pending);
      case 12: return this.lessOf(pending);
      default: {
        if (sub) return f.int('leS', this.#signed(pending.size, a), this.#signed(pending.size, b));
        return f.or(this.zeroOf(pending), this.lessOf(pending));
      }
    }
  }
}
