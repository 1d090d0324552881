/**
 * The x87 register stack as semantics see it. Registers are vectors of sixteen bytes as they lie in the area: significand in
 * the low lane, sign and exponent in the other, whose upper six bytes are zero.
 *
 * An instruction checks first (operands in use, room for a push, memory), then computes, then changes the stack.
 */
import { FDP, FIP, FPR, FSW, FTAG, FTOP } from '../../state/layout.ts';
import type { Value } from '../../wasm/function-builder.ts';
import type { Emitter } from '../emitter.ts';

/** C1 of the status word. */
export const C1 = 0x200;

export interface X87Stack {
  /** TOP, as i32. */
  top(): Value;
  /** Nothing has been changed yet: leaves the instruction to the microcode where ST(i) is empty. */
  requireUsed(i: Value): void;
  /** The same where ST(7), which a push makes ST(0), is in use. */
  requireRoom(): void;
  get(i: Value): Value;
  /** Writes ST(i), which is in use from then on. */
  set(i: Value, value: Value): void;
  /** Decrements TOP; the new ST(0) is set afterwards. */
  push(): void;
  /** Marks ST(0) empty and increments TOP. */
  pop(): void;
  /** The last-instruction pointers; null: the instruction has no memory operand. */
  setPointers(data: Value | null): void;
  clearC1(): void;
  /** The status word has been written by other means. */
  changedStatus(): void;
}

/** The stack in the processor's area. */
export class MemoryStack implements X87Stack {
  readonly #b: Emitter;
  /** TOP and tags as the area has them, where an instruction has begun by loading them. */
  #held: { top: Value; tags: Value } | null = null;

  constructor(b: Emitter) {
    this.#b = b;
  }

  /** Loads TOP and tags once for all of the instruction. To be called where all ways through its code come by. */
  begin(): void {
    this.#held = { top: this.#b.loadI32(this.#b.cpu, FTOP), tags: this.#b.loadI32(this.#b.cpu, FTAG) };
  }

  top(): Value {
    return this.#held ? this.#held.top : this.#b.loadI32(this.#b.cpu, FTOP);
  }

  #register(i: Value): Value {
    return this.#b.and(this.#b.add(this.top(), i), this.#b.i32(7));
  }

  #bit(i: Value): Value {
    return this.#b.shl(this.#b.i32(1), this.#register(i));
  }

  #address(i: Value): Value {
    return this.#b.add(this.#b.cpu, this.#b.shl(this.#register(i), this.#b.i32(4)));
  }

  #tags(): Value {
    return this.#held ? this.#held.tags : this.#b.loadI32(this.#b.cpu, FTAG);
  }

  #setTags(tags: Value): void {
    this.#b.storeI32(this.#b.cpu, FTAG, tags);
    if (this.#held) this.#held.tags = tags;
  }

  requireUsed(i: Value): void {
    this.#b.leaveToMicrocode(this.#b.eqz(this.#b.and(this.#tags(), this.#bit(i))));
  }

  requireRoom(): void {
    this.#b.leaveToMicrocode(this.#b.and(this.#tags(), this.#bit(this.#b.i32(7))));
  }

  get(i: Value): Value {
    return this.#b.loadV128(this.#address(i), FPR);
  }

  set(i: Value, value: Value): void {
    this.#b.storeV128(this.#address(i), FPR, value);
    this.#setTags(this.#b.or(this.#tags(), this.#bit(i)));
  }

  #move(by: number): void {
    const top = this.#register(this.#b.i32(by));
    this.#b.storeI32(this.#b.cpu, FTOP, top);
    if (this.#held) this.#held.top = top;
  }

  push(): void {
    this.#move(-1);
  }

  pop(): void {
    const b = this.#b;
    this.#setTags(b.and(this.#tags(), b.xor(this.#bit(b.i32(0)), b.i32(-1))));
    this.#move(1);
  }

  setPointers(data: Value | null): void {
    const b = this.#b;
    b.storeI64(b.cpu, FIP, b.currentRip());
    if (data) b.storeI64(b.cpu, FDP, data);
  }

  clearC1(): void {
    const b = this.#b;
    b.storeI32(b.cpu, FSW, b.and(b.loadI32(b.cpu, FSW), b.i32(~C1)));
  }

  changedStatus(): void {
    // Nothing is known of it.
  }
}
