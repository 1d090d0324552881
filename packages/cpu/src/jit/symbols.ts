/**
 * What the compiler knows of values as sums: a value is an unknown one, which has a number, plus a constant. Two addresses over the
 * same unknown lie a known number of bytes apart.
 */
import type { Value } from '../wasm/function-builder.ts';
import * as op from '../wasm/opcodes.ts';

export interface Sum {
  /** Number of the unknown; 0: there is none, the value is constant. */
  readonly unknown: number;
  readonly constant: number;
}

/** Unknowns of 32 bits, zero-extended where they stand in 64: sums over them wrap at 4 GiB. */
const NARROW = 1;
const FAR = 2 ** 31;

export class Symbols {
  /** By local; a sum stands as long as the local keeps its value. */
  readonly #sums: (Sum | null)[] = [];
  #next = 2;
  /** Unknowns that came from others, by how. */
  readonly #derived = new Map<string, number>();

  /** Null: nothing is known. */
  of(value: Value): Sum | null {
    if (value.local >= 0) return this.#sums[value.local] ?? null;
    if (value.type === op.I64 && value.hi === 0) return { unknown: 0, constant: value.lo >>> 0 };
    return value.type === op.I64 && value.hi !== value.lo >> 31 ? null : { unknown: 0, constant: value.lo };
  }

  set(local: number, sum: Sum | null): void {
    this.#sums[local] = sum;
  }

  /** The sum of a local; an unknown of its own where nothing is known. */
  name({ local }: Value): Sum {
    return (this.#sums[local] ??= this.fresh());
  }

  fresh(): Sum {
    return { unknown: (this.#next += 2), constant: 0 };
  }

  add(x: Sum, y: Sum, type: op.ValueType): Sum | null {
    if (type === op.I32) return this.#sum(this.#narrow(x), this.#narrow(y));
    return this.#sum(this.#wide(x), this.#wide(y));
  }

  #sum(x: Sum, y: Sum): Sum | null {
    const constant = x.constant + y.constant;
    if (Math.abs(constant) >= FAR) return null;
    if (x.unknown === 0 || y.unknown === 0) return { unknown: x.unknown + y.unknown, constant };
    return { unknown: this.#from(`${x.unknown}+${y.unknown}`, x.unknown & NARROW), constant };
  }

  shiftLeft(x: Sum, by: number, type: op.ValueType): Sum | null {
    const { unknown, constant } = type === op.I32 ? this.#narrow(x) : this.#wide(x);
    const shifted = constant * 2 ** by;
    if (unknown === 0 || Math.abs(shifted) >= FAR) return null;
    return { unknown: this.#from(`${unknown}<<${by}`, unknown & NARROW), constant: shifted };
  }

  /** The lower half. */
  wrap(x: Sum): Sum {
    return this.#narrow(x);
  }

  #narrow(x: Sum): Sum {
    if (x.unknown === 0 || x.unknown & NARROW) return x;
    return { unknown: this.#from(`${x.unknown}`, NARROW), constant: x.constant };
  }

  /** Of 32 bits in 64: where the sum wraps is not known any more. */
  #wide(x: Sum): Sum {
    if (!(x.unknown & NARROW)) return x;
    return { unknown: this.#from(`${x.unknown}:${x.constant}`, 0), constant: 0 };
  }

  #from(key: string, narrow: number): number {
    const known = this.#derived.get(key);
    if (known !== undefined) return known;
    const unknown = (this.#next += 2) | narrow;
    this.#derived.set(key, unknown);
    return unknown;
  }
}
