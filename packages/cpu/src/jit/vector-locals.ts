/** Vector registers of a compiled region in locals, by halves of sixteen bytes: half 0 to 15 the low ones, 16 to 31 the high ones. */
import { XMM, XMM_SIZE } from '../state/layout.ts';
import type { FunctionBuilder, Value } from '../wasm/function-builder.ts';
import * as op from '../wasm/opcodes.ts';

const REGISTERS = 16;
const HALVES = 2 * REGISTERS;
const HALF = 16;

export class VectorLocals {
  readonly #f: FunctionBuilder;
  readonly #area: Value;
  readonly #locals: (Value | undefined)[] = [];
  /** Halves that the region reads or writes, and those that it writes, one bit each. */
  #used = 0;
  #written = 0;
  /** Those that the current instruction works on in the area. */
  #homes = 0;

  constructor(f: FunctionBuilder, area: Value) {
    this.#f = f;
    this.#area = area;
  }

  /** The local of half `part` of a register; null while the instruction works on it in the area. */
  of(register: number, part: number, write: boolean): Value | null {
    const half = part * REGISTERS + register;
    return (this.#homes >>> half) & 1 ? null : this.#local(half, write);
  }

  #local(half: number, write: boolean): Value {
    this.#used |= 1 << half;
    if (write) this.#written |= 1 << half;
    return (this.#locals[half] ??= this.#f.permanentLocal(op.V128));
  }

  /** Brings a register to the area for the rest of the instruction, which may change it there; with `whole` the high half too. */
  home(register: number, whole: boolean): void {
    for (const half of whole ? [register, register + REGISTERS] : [register]) {
      if ((this.#homes >>> half) & 1) continue;
      this.#f.storeV128(this.#area, offsetOf(half), this.#local(half, true));
      this.#homes |= 1 << half;
    }
  }

  /** Takes back what the instruction has worked on in the area. */
  finishInstruction(): void {
    for (let half = 0; half < HALVES; half++) if ((this.#homes >>> half) & 1) this.#load(half);
    this.#homes = 0;
  }

  #load(half: number): void {
    this.#f.set(this.#locals[half]!, this.#f.loadV128(this.#area, offsetOf(half)));
  }

  loadAll(): void {
    for (let half = 0; half < HALVES; half++) if ((this.#used >>> half) & 1) this.#load(half);
  }

  storeAll(): void {
    for (let half = 0; half < HALVES; half++)
      if ((this.#written >>> half) & 1) this.#f.storeV128(this.#area, offsetOf(half), this.#locals[half]!);
  }
}

function offsetOf(half: number): number {
  return XMM + (half & (REGISTERS - 1)) * XMM_SIZE + (half < REGISTERS ? 0 : HALF);
}
