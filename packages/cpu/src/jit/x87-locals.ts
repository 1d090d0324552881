/**
 * The x87 register stack of a compiled region, in locals. Slot k is physical register (base + k) & 7, where `base` is TOP when
 * the region is entered; how far TOP has moved since, the depth, is known at each point of the code, so ST(i) is slot
 * (i - depth) & 7. Tags are kept rotated alike. Where two ways to a block have different depths, one of them goes through the
 * area (`align`).
 *
 * The control and status words stay in the area.
 */
import { C1, type X87Stack } from '../semantics/x87/stack.ts';
import { FDP, FIP, FPR, FSW, FTAG, FTOP } from '../state/layout.ts';
import type { Value } from '../wasm/function-builder.ts';
import * as op from '../wasm/opcodes.ts';
import type { ConstantEmitter } from './constant-emitter.ts';

const SLOTS = 8;
const ALL = 0xff;

export class X87Locals implements X87Stack {
  readonly #b: ConstantEmitter;
  readonly #slots: readonly Value[];
  readonly #base: Value;
  readonly #tags: Value;
  readonly #fip: Value;
  readonly #fdp: Value;
  /** Depth where the region is left. */
  readonly #leftDepth: Value;
  /** Pushes less pops since the entry. */
  depth = 0;
  /** Slots that the region reads or writes, and those that it writes, one bit each. */
  used = 0;
  written = 0;
  /** What the code in front of this point has made sure of, in the same block. */
  #knownUsed = 0;
  #knownEmpty = 0;
  #c1Clear = false;

  constructor(b: ConstantEmitter) {
    this.#b = b;
    this.#slots = Array.from({ length: SLOTS }, () => b.permanentLocal(op.V128));
    this.#base = b.permanentLocal(op.I32);
    this.#tags = b.permanentLocal(op.I32);
    this.#fip = b.permanentLocal(op.I64);
    this.#fdp = b.permanentLocal(op.I64);
    this.#leftDepth = b.permanentLocal(op.I32);
  }

  // ---- between instructions

  /** Nothing is known at the start of a block but the depth. */
  enterBlock(depth: number): void {
    this.depth = depth;
    this.#forget();
  }

  #forget(): void {
    this.#knownUsed = 0;
    this.#knownEmpty = 0;
    this.#c1Clear = false;
  }

  /** For the exit that all ways out of the region share. */
  noteDepth(): void {
    this.#b.set(this.#leftDepth, this.#b.i32(this.depth));
  }

  /** Goes on at a block that is entered with another depth. */
  align(depth: number): void {
    if (((depth - this.depth) & 7) !== 0) {
      this.used = ALL;
      this.store(ALL);
      this.depth = depth;
      this.load(ALL);
    }
    this.depth = depth;
  }

  /** Takes the stack, and the slots of a set, from the area. */
  load(set: number): void {
    const b = this.#b;
    this.#forget();
    b.set(this.#base, b.and(b.add(b.loadI32(b.cpu, FTOP), b.i32(this.depth)), b.i32(7)));
    const tags = b.loadI32(b.cpu, FTAG);
    b.set(this.#tags, b.and(b.shrU(b.or(tags, b.shl(tags, b.i32(8))), this.#base), b.i32(0xff)));
    b.set(this.#fip, b.loadI64(b.cpu, FIP));
    b.set(this.#fdp, b.loadI64(b.cpu, FDP));
    for (let k = 0; k < SLOTS; k++) if ((set >> k) & 1) b.set(this.#slots[k]!, b.loadV128(this.#address(k), FPR));
  }

  /** Brings the stack, and the slots of a set, to the area. */
  store(set: number): void {
    this.#store(set, this.#b.i32(this.depth));
  }

  /** The same for the exit. */
  storeLeft(set: number): void {
    this.#store(set, this.#leftDepth);
  }

  #store(set: number, depth: Value): void {
    const b = this.#b;
    b.storeI32(b.cpu, FTOP, b.and(b.sub(this.#base, depth), b.i32(7)));
    const tags = b.shl(this.#tags, this.#base);
    b.storeI32(b.cpu, FTAG, b.and(b.or(tags, b.shrU(tags, b.i32(8))), b.i32(0xff)));
    b.storeI64(b.cpu, FIP, this.#fip);
    b.storeI64(b.cpu, FDP, this.#fdp);
    for (let k = 0; k < SLOTS; k++) if ((set >> k) & 1) b.storeV128(this.#address(k), FPR, this.#slots[k]!);
  }

  #address(slot: number): Value {
    const b = this.#b;
    return b.add(b.cpu, b.shl(b.and(b.add(this.#base, b.i32(slot)), b.i32(7)), b.i32(4)));
  }

  // ---- instructions

  #slot(i: Value): number {
    if (i.local >= 0) throw new Error('an x87 register that is not known');
    return (i.lo - this.depth) & 7;
  }

  #tag(bit: number): Value {
    return this.#b.and(this.#tags, this.#b.i32(bit));
  }

  top(): Value {
    return this.#b.and(this.#b.sub(this.#base, this.#b.i32(this.depth)), this.#b.i32(7));
  }

  requireUsed(i: Value): void {
    const bit = 1 << this.#slot(i);
    if (this.#knownUsed & bit) return;
    this.#b.leaveToMicrocode(this.#b.eqz(this.#tag(bit)));
    this.#knownUsed |= bit;
  }

  requireRoom(): void {
    const bit = 1 << this.#slot(this.#b.i32(7));
    if (this.#knownEmpty & bit) return;
    this.#b.leaveToMicrocode(this.#tag(bit));
    this.#knownEmpty |= bit;
  }

  get(i: Value): Value {
    const slot = this.#slot(i);
    this.used |= 1 << slot;
    return this.#b.copy(this.#slots[slot]!);
  }

  set(i: Value, value: Value): void {
    const slot = this.#slot(i);
    const bit = 1 << slot;
    this.used |= bit;
    this.written |= bit;
    this.#b.set(this.#slots[slot]!, value);
    if (this.#knownUsed & bit) return;
    this.#b.set(this.#tags, this.#b.or(this.#tags, this.#b.i32(bit)));
    this.#knownUsed |= bit;
    this.#knownEmpty &= ~bit;
  }

  push(): void {
    this.depth++;
  }

  pop(): void {
    const bit = 1 << this.#slot(this.#b.i32(0));
    this.#b.set(this.#tags, this.#b.and(this.#tags, this.#b.i32(~bit)));
    this.#knownUsed &= ~bit;
    this.#knownEmpty |= bit;
    this.depth--;
  }

  setPointers(data: Value | null): void {
    this.#b.set(this.#fip, this.#b.currentRip());
    if (data) this.#b.set(this.#fdp, data);
  }

  clearC1(): void {
    const b = this.#b;
    if (this.#c1Clear) return;
    b.storeI32(b.cpu, FSW, b.and(b.loadI32(b.cpu, FSW), b.i32(~C1)));
    this.#c1Clear = true;
  }

  changedStatus(): void {
    this.#c1Clear = false;
  }
}
