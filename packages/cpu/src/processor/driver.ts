/**
 * The loop around the interpreter: gives it slices of instructions, and serves what it stops for.
 *
 * Slices exist so that time, timers and interrupts from other threads are looked at, and because V8 replaces running
 * WebAssembly with its optimized version only when the function is called again.
 */
import type { HostMemory } from '@vm/kvm-run';
import { instantiateInterpreter, type Interpreter } from '../interpreter/interpreter.ts';
import { TraceArena } from '../interpreter/trace-arena.ts';
import { Translator } from '../interpreter/translate.ts';
import { DEFAULT_JIT, Jit, type JitOptions } from '../jit/jit.ts';
import type { JitProfile } from '../jit/profile.ts';
import type { Microcode } from '../microcode/instantiate.ts';
import {
  BUDGET, CURRENT_RECORD, INSN_COUNT, SINGLE_STEP, SLICE, ST_COMPILE, ST_DISPATCH, ST_FAULT, ST_POLL, ST_SHUTDOWN, ST_SLICE, ST_TRANSLATE, ST_VMEXIT,
} from '../state/layout.ts';

/** pollEvents(): run exactly one instruction, then poll again (interrupt shadow, single-step). */
export const POLL_STEP = 16;
/** pollEvents(): the processor is halted. */
export const POLL_HALTED = 17;

/** Instructions in a slice at the most: a quarter of a millisecond or so. */
const LONGEST_SLICE = 200_000;

export interface DriverHooks {
  /** Instructions until the next timer, at the most; called before each slice. */
  budget(longest: number): number;
  /** The processor is halted in VMX non-root operation without an exit: waits, returns false to leave the loop. */
  halted(): boolean;
}

/** Why the loop ended. */
export type DriverEnd = 'vmexit' | 'shutdown' | 'halted' | 'budget';

export class Driver {
  readonly #memory: HostMemory;
  readonly #area: number;
  readonly #microcode: Microcode;
  readonly #interpreter: Interpreter;
  readonly #hooks: DriverHooks;
  readonly arena: TraceArena;
  readonly translator: Translator;
  /** Null: nothing is compiled. */
  readonly jit: Jit | null;
  readonly #deliver: () => number;
  readonly #poll: () => number;

  constructor(
    memory: HostMemory, area: number, microcode: Microcode, hooks: DriverHooks, arenaBytes: number, jit: JitOptions | null = DEFAULT_JIT,
    profile: JitProfile | null = null,
  ) {
    this.#memory = memory;
    this.#area = area;
    this.#microcode = microcode;
    this.#hooks = hooks;
    this.jit = jit && new Jit(memory, area, microcode, jit, profile);
    const regions = this.jit?.table ?? new WebAssembly.Table({ element: 'anyfunc', initial: 0 });
    this.#interpreter = instantiateInterpreter(memory, area, microcode, regions);
    const exports = microcode.exports;
    this.#deliver = exports['deliver'] as () => number;
    this.#poll = exports['pollEvents'] as () => number;
    const protect = exports['protectCode'] as (host: number) => void;
    this.arena = new TraceArena(memory, area, arenaBytes, (host) => protect(host), () => this.jit?.reset());
    const fetch = exports['fetch'] as (linear: bigint) => number;
    this.translator = new Translator(memory, area, this.arena, {
      fetch: (linear) => fetch(BigInt.asIntN(64, linear)),
      raiseCodeLimit: exports['raiseCodeLimit'] as () => void,
      numbers: this.#interpreter.numbers,
      heat: jit?.threshold ?? null,
      heatSteps: jit?.steps ?? false,
    });
  }

  /** Bytes of translated code in use are forgotten when code memory changes from outside. */
  codeWritten(address: number, length: number): void {
    (this.#microcode.exports['invalidateCode'] as (host: number, length: number) => void)(address, length);
  }

  /**
   * Runs instructions until a VM exit (or, without VMX, until shutdown, HLT or `limit` instructions).
   */
  run(limit: number = Infinity): DriverEnd {
    const i32 = this.#memory.i32;
    const stepWord = (this.#area + SINGLE_STEP) >>> 2;
    let left = limit;
    let status: number = ST_POLL;
    for (;;) {
      if (status === ST_POLL || status === ST_SLICE) {
        status = this.#poll();
        // What was pending beside a delivered event comes before its handler's first instruction; once, so that time passes in any case.
        if (status === ST_DISPATCH) status = this.#poll();
        if (status === ST_VMEXIT) return 'vmexit';
        if (status === ST_SHUTDOWN) return 'shutdown';
        // An event was delivered, and a debug trap has come of it.
        if (status === ST_POLL) continue;
        if (status === POLL_HALTED) {
          if (!this.#hooks.halted()) return 'halted';
          status = ST_POLL;
          continue;
        }
      }
      if (left <= 0) return 'budget';
      const single = status === POLL_STEP;
      i32[stepWord] = single ? 3 : 0;
      const slice = single ? 1 : Math.min(this.#hooks.budget(LONGEST_SLICE), left);
      status = this.#slice(slice);
      left -= this.#count(slice);
      status = this.#serve(status);
      if (status === ST_VMEXIT) return 'vmexit';
      if (status === ST_SHUTDOWN) return 'shutdown';
    }
  }

  /** One slice, with translation as it is needed. */
  #slice(slice: number): number {
    const i32 = this.#memory.i32;
    i32[(this.#area + BUDGET) >>> 2] = slice;
    i32[(this.#area + SLICE) >>> 2] = slice;
    for (;;) {
      const status = this.#interpreter.run(this.#area);
      if (status === ST_TRANSLATE) {
        if (!this.translator.translate()) return ST_FAULT;
      } else if (status === ST_COMPILE) {
        this.jit!.compile(i32[(this.#area + CURRENT_RECORD) >>> 2]! >>> 0, this.arena, this.translator);
      } else return status;
    }
  }

  /** Adds what the slice executed to INSN_COUNT. */
  #count(slice: number): number {
    const { i32, u32 } = this.#memory;
    const executed = slice - i32[(this.#area + BUDGET) >>> 2]!;
    const at = (this.#area + INSN_COUNT) >>> 2;
    const low = u32[at]! + executed;
    u32[at] = low;
    if (low > 0xffff_ffff) u32[at + 1]!++;
    i32[(this.#area + SLICE) >>> 2] = 0;
    i32[(this.#area + BUDGET) >>> 2] = 0;
    return executed;
  }

  /** Delivers what is pending; a fault during the delivery is delivered in turn. */
  #serve(status: number): number {
    let now = status;
    while (now === ST_FAULT) now = this.#deliver();
    return now === ST_DISPATCH ? ST_POLL : now;
  }

  dispose(): void {
    this.arena.dispose();
  }
}
