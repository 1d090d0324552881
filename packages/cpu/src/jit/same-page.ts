/**
 * Pages that the code has just accessed: an access near an earlier one, by a constant distance, needs no look into the TLB if it
 * stays in that one's page. Nothing takes a page out of the TLB's reach inside a region but microcode.
 */
import type { FunctionBuilder, Value } from '../wasm/function-builder.ts';
import * as op from '../wasm/opcodes.ts';
import type { Sum } from './symbols.ts';

const PAGE = 0x1000;
const PLACES = 4;

/** An access that was translated. */
interface Known {
  readonly sum: Sum;
  readonly writes: boolean;
  /** i32: offset in its page, and host address. */
  readonly offset: Value;
  readonly host: Value;
}

/** An earlier access, and whether (i32) the new one lies in its page. */
export interface SamePage {
  readonly condition: Value;
  host(): Value;
}

export class SamePages {
  readonly #b: FunctionBuilder;
  #known: readonly Known[] = [];
  readonly #places: { readonly offset: Value; readonly host: Value }[] = [];
  #next = 0;

  constructor(b: FunctionBuilder) {
    this.#b = b;
  }

  /** What is known at a point of the code, to return to it where other code comes in between. */
  get state(): unknown {
    return this.#known;
  }

  set state(state: unknown) {
    this.#known = state as readonly Known[];
  }

  forget(): void {
    this.#known = [];
  }

  /** Remembers a translated access. */
  add(sum: Sum, writes: boolean, linear: Value, host: Value): void {
    const b = this.#b;
    const place = this.#place();
    b.set(place.offset, b.and(b.wrap(linear), b.i32(PAGE - 1)));
    b.set(place.host, host);
    this.#known = [{ sum, writes, ...place }, ...this.#known.filter(({ offset }) => offset !== place.offset)];
  }

  #place(): { readonly offset: Value; readonly host: Value } {
    const at = this.#next++ % PLACES;
    return (this.#places[at] ??= { offset: this.#b.permanentLocal(op.I32), host: this.#b.permanentLocal(op.I32) });
  }

  find(sum: Sum, size: number, writes: boolean): SamePage | null {
    const near = this.#known.find((known) => known.sum.unknown === sum.unknown && (known.writes || !writes) && Math.abs(sum.constant - known.sum.constant) <= PAGE - size);
    if (!near) return null;
    const b = this.#b;
    const distance = sum.constant - near.sum.constant;
    // Offsets below zero are large as unsigned numbers.
    const condition = distance >= 0
      ? b.int('leU', near.offset, b.i32(PAGE - size - distance)) : b.int('leU', b.add(near.offset, b.i32(distance)), b.i32(PAGE - size));
    return { condition, host: () => b.add(near.host, b.i32(distance)) };
  }
}
