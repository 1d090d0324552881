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

/** All ways in which flags may stand, by number: 0, the area has them. */
export const FLAG_STATES: readonly (HeldFlags | null)[] = [null, ...FLAG_KINDS.flatMap((kind) => [1, 2, 4, 8].map((size) => ({ kind, size })))];

export function flagState(flags: HeldFlags | null): number {
  return flags ? 1 + FLAG_KINDS.indexOf(flags.kind) * 4 + Math.log2(flags.size) : 0;
}

/** What is known about the flags at a point of the code; where `held` is null, the area has those that no rotate has set since. */
export interface PendingFlags {
  readonly held: HeldFlags | null;
  readonly rotation: Rotation | null;
  /** Only the running code knows, by a local that has a number of FLAG_STATES. */
  readonly merged?: true;
}

/** Where ways come together on which flags stand differently. */
export const MERGED: PendingFlags = { held: null, rotation: null, merged: true };

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
  /** How merged flags stand. */
  readonly state: Value;
  readonly #f: FunctionBuilder;

  constructor(f: FunctionBuilder) {
    this.#f = f;
    const places = (type: op.ValueType): Places => ({ a: f.permanentLocal(type), b: f.permanentLocal(type), r: f.permanentLocal(type) });
    this.#narrow = places(op.I32);
    this.#wide = places(op.I64);
    this.carry = f.permanentLocal(op.I32);
    this.overflow = f.permanentLocal(op.I32);
    this.rotated = f.permanentLocal(op.I64);
    this.state = f.permanentLocal(op.I32);
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

  /** Cut to its size. */
  #masked(size: number, value: Value): Value {
    return size >= 4 ? value : this.#f.and(value, this.#f.i32(size === 1 ? 0xff : 0xffff));
  }

  /** Which values must be held: the others follow from them. Where only exits want a value, it is made there. */
  static holds(kind: FlagKind): { readonly operands: boolean; readonly result: boolean } {
    return { operands: kind === 'add' || kind === 'sub' || kind === 'adc' || kind === 'sbb', result: kind !== 'add' && kind !== 'sub' };
  }

  /** The first operand. */
  firstOf({ kind, size }: HeldFlags): Value {
    const { a, r } = this.of(size);
    if (kind === 'inc') return this.#masked(size, this.#f.sub(r, this.#constant(size, 1)));
    return kind === 'dec' ? this.#masked(size, this.#f.add(r, this.#constant(size, 1))) : a;
  }

  secondOf({ kind, size }: HeldFlags): Value {
    return kind === 'inc' || kind === 'dec' ? this.#constant(size, 1) : this.of(size).b;
  }

  resultOf({ kind, size }: HeldFlags): Value {
    const { a, b, r } = this.of(size);
    if (kind === 'add') return this.#masked(size, this.#f.add(a, b));
    return kind === 'sub' ? this.#masked(size, this.#f.sub(a, b)) : r;
  }

  #negative(size: number, value: Value): Value {
    return this.#f.ltS(this.#signed(size, value), this.#constant(size, 0));
  }

  /** CF as i32, or null: the area has it. */
  carryOf(held: HeldFlags): Value | null {
    const f = this.#f;
    const { a, b } = this.of(held.size);
    switch (held.kind) {
      case 'add': return f.ltU(this.resultOf(held), a);
      case 'sub': return f.ltU(a, b);
      case 'logic': return f.i32(0);
      case 'inc': case 'dec': return null;
      default: return this.carry;
    }
  }

  zeroOf(held: HeldFlags): Value {
    const { a, b } = this.of(held.size);
    return held.kind === 'sub' ? this.#f.eq(a, b) : this.#f.eqz(this.resultOf(held));
  }

  signOf(held: HeldFlags): Value {
    return this.#negative(held.size, this.resultOf(held));
  }

  overflowOf(held: HeldFlags): Value {
    const f = this.#f;
    const { kind, size } = held;
    if (kind === 'logic') return f.i32(0);
    if (kind === 'result') return this.overflow;
    const [a, b, r] = [this.firstOf(held), this.secondOf(held), this.resultOf(held)];
    const smallest = size === 8 ? f.i64(0, 0x8000_0000 | 0) : f.i32(size === 4 ? 0x8000_0000 | 0 : size === 2 ? 0x8000 : 0x80);
    switch (kind) {
      case 'add': case 'adc': return this.#negative(size, f.and(f.xor(a, r), f.xor(b, r)));
      case 'sub': case 'sbb': return this.#negative(size, f.and(f.xor(a, b), f.xor(a, r)));
      case 'inc': return f.eq(r, smallest);
      default: return f.eq(a, smallest);
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

  parityOf(held: HeldFlags): Value {
    const f = this.#f;
    const low = f.and(f.wrap(this.resultOf(held)), f.i32(0xff));
    return f.and(f.xor(f.int('popcnt', low), f.i32(1)), f.i32(1));
  }

  auxiliaryOf(held: HeldFlags): Value {
    const f = this.#f;
    if (held.kind === 'logic' || held.kind === 'result') return f.i32(0);
    const bits = f.wrap(f.xor(f.xor(this.firstOf(held), this.secondOf(held)), this.resultOf(held)));
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
