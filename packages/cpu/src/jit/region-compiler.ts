/**
 * Stages a region into one WebAssembly function: () -> status. It takes BUDGET and PAGE_RIP from the processor's area and
 * leaves BUDGET, RIP, registers and flags there. Which registers calls of microcode in the middle of it must save and read again
 * is known at the end alone: they are put in then.
 *
 *   prologue: is what was taken for granted still so? registers into locals
 *   (where control comes to another page of code: is it still in place?)
 *   block exit
 *     block for each way in which flags may stand
 *       blocks along the dominator tree; whoever leaves for a known place sets its offset, the instructions completed in the
 *       block and the status, and branches to the end of the block for the flags as they stand there
 *     end: these flags to the area
 *   end exit
 *   registers, BUDGET and RIP to the area; on to the next region, or back to the interpreter
 */
import { MNEMONICS } from '../decode/table/index.ts';
import { tlbOffset } from '../semantics/tlb-entry.ts';
import {
  BUDGET, CODE_MODE, CS, CURRENT_RECORD, NEXT_RIP, PAGE_RIP, RIP, SEG, SEG_BASE, SEG_SIZE,
  ST_COMPILE, ST_DISPATCH, ST_FAULT, ST_INTERPRET, ST_SLICE, ST_TRANSLATE, TLB_EXECUTE, TLB_SET,
} from '../state/layout.ts';
import { REC_P3 } from '../state/record.ts';
import type { Label, Value } from '../wasm/function-builder.ts';
import { ModuleBuilder } from '../wasm/module-builder.ts';
import * as op from '../wasm/opcodes.ts';
import { chain, CODE_MODES } from './chain.ts';
import { ConstantEmitter } from './constant-emitter.ts';
import { deadFlags, flagsDeadAtStart } from './dead-flags.ts';
import { rotationCode } from './flag-emitter.ts';
import { flagsRead } from './flag-flow.ts';
import { FLAG_STATES, flagState, type HeldFlags, MERGED, type PendingFlags } from './lazy-flags.ts';
import { COUNT_INSTRUCTIONS, COUNT_RUNS, type RegionMarks } from './profile.ts';
import { pagesToGuard } from './page-guards.ts';
import { guardRegion } from './region-guards.ts';
import type { Block, Edge, RegionInstruction, Terminator } from './region.ts';
import type { Shape } from './structure.ts';
import { targetHash } from './target-hash.ts';
import { stackEffect, x87Depths, x87Place } from './x87-depth.ts';

export interface RegionSource {
  /** The stack is flat now (legacy modes). */
  readonly flatStack: boolean;
  readonly area: number;
  readonly tlbSet: number;
  readonly entry: Block;
  readonly shape: Shape;
  /** Host addresses of the pages that the code lies in, by number relative to the entry's page. */
  readonly pages: ReadonlyMap<number, number>;
  /** Host address of the record with which microcode executes the instruction, and of one that computes its address first, or 0. */
  record(instruction: RegionInstruction): MicrocodeRecord;
  /** The record that runs the region, and whether it counts down how often that may be (REC_P3). */
  readonly head: number;
  readonly counted: boolean;
  /** Null: there is no profile. */
  readonly marks: RegionMarks | null;
}

export interface MicrocodeRecord {
  readonly record: number;
  readonly address: number;
}

/** The module's bytes; it exports `region` and imports what `microcode` names. */
export interface CompiledRegion {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly microcode: readonly string[];
}

interface Import {
  readonly name: string;
  readonly params: readonly op.ValueType[];
  readonly result: op.ValueType | null;
}

/** Type and table of regions: the first ones of each module. */
const REGION_TYPE = { params: [], results: [op.I32] } as const;
const REGION_CALLEE = { table: 0, type: 0 } as const;
/** Up to so many targets are compared one after the other. */
const FEW_TARGETS = 3;

/** The way out for flags of which only the running code knows how they stand; the others have the numbers of FLAG_STATES. */
const MERGED_EXIT = FLAG_STATES.length;

export function compileRegion(source: RegionSource): CompiledRegion {
  const region = new RegionFunction(source);
  return assemble(region, region.build(), source.marks);
}

function assemble(region: RegionFunction, body: Uint8Array, marks: RegionMarks | null): CompiledRegion {
  const module = new ModuleBuilder();
  module.name = marks && marks.name;
  module.type(REGION_TYPE);
  module.importTable('env', 'regions');
  for (const { name, params, result } of region.imports)
    module.importFunction('microcode', name, { params, results: result === null ? [] : [result] });
  module.exportFunction('region', module.addFunction(REGION_TYPE, body));
  return { bytes: module.finish(), microcode: region.imports.map(({ name }) => name) };
}

/** Where in the code registers go to the area, or come from it, and the x87 stack's depth there. */
interface Transfer {
  readonly at: number;
  readonly load: boolean;
  readonly depth: number;
}

class RegionFunction {
  readonly imports: Import[] = [];
  readonly #source: RegionSource;
  readonly #b: ConstantEmitter;
  readonly #budget: Value;
  readonly #rip: Value;
  readonly #status: Value;
  readonly #x87: ReturnType<typeof x87Place>;
  /** Depth of the x87 stack at which blocks are entered, by position; empty where it is not in locals. */
  readonly #depths: readonly number[];
  readonly #offset: Value;
  readonly #undone: Value;
  /** Of the rotate after which the region is left, if its flags are pending; else zero. */
  readonly #rotation: Value;
  #rotates = false;
  #exit: Label = 0;
  #known: Label = 0;
  /** Whether a block, or one behind it, reads the flags that stand at its start, by position. */
  readonly #flagsRead: readonly boolean[];
  /** How flags stand, by number, where ways come together on which that differs. */
  readonly #merged = new Set<number>();
  /** Where to leave with flags pending, by how they stand. */
  readonly #exits: Label[] = [];
  readonly #taken = new Set<number>();
  /** Labels of loops and of the ends of blocks in front of merges, by position. */
  readonly #loops: Label[] = [];
  readonly #merges: Label[] = [];
  /** Pages to look at in front of each block, by position. */
  readonly #guardedPages: readonly (readonly number[])[];
  readonly #transfers: Transfer[] = [];
  /** Instructions of the current block that have completed. */
  #completed = 0;
  #current!: RegionInstruction;

  constructor(source: RegionSource) {
    this.#source = source;
    this.#guardedPages = pagesToGuard(source.shape);
    this.#flagsRead = flagsRead(source.shape);
    this.#x87 = x87Place(source.shape);
    this.#depths = this.#x87 === 'locals' ? x87Depths(source.shape) : [];
    const b = new ConstantEmitter(source.area, source.tlbSet, source.flatStack, this.#x87 === 'locals', {
      leave: () => this.#leaveInstruction(),
      microcode: (name, params, result) => this.#import({ name, params, result }),
    });
    this.#b = b;
    this.#budget = b.permanentLocal(op.I32);
    this.#rip = b.permanentLocal(op.I64);
    this.#status = b.permanentLocal(op.I32);
    this.#offset = b.permanentLocal(op.I32);
    this.#undone = b.permanentLocal(op.I32);
    this.#rotation = b.permanentLocal(op.I32);
  }

  #import(wanted: Import): number {
    const known = this.imports.findIndex(({ name }) => name === wanted.name);
    return known >= 0 ? known : this.imports.push(wanted) - 1;
  }

  build(): Uint8Array {
    const b = this.#b;
    const first = this.#source.entry.instructions[0]!;
    b.begin(first.ins, first.handler.shape, first.offset);
    this.#exit = b.block();
    this.#known = b.block();
    for (let i = FLAG_STATES.length - 1; i >= 0; i--) this.#exits[i] = b.block();
    this.#exits[MERGED_EXIT] = b.block();
    this.#tree(0);
    this.#mergedExit();
    FLAG_STATES.forEach((flags, i) => this.#knownExit(flags, i));
    b.end();
    b.pending = null;
    if (this.#rotates) b.if(this.#rotation, () => b.storeRotation(this.#rotation));
    b.set(this.#budget, b.sub(this.#budget, this.#undone));
    b.set(this.#rip, b.ripAt(b.extendS(this.#offset)));
    b.end();
    this.#epilogue();
    const body = b.code.take();
    // What is saved must have been loaded.
    if (this.#transfers.length > 0) b.used |= b.written;
    b.retireLocals();
    this.#prologue(first.offset);
    let done = 0;
    for (const transfer of this.#transfers) {
      b.code.bytes(body.subarray(done, transfer.at));
      this.#emit(transfer);
      done = transfer.at;
    }
    b.code.bytes(body.subarray(done));
    return b.finish();
  }

  #transfer(load: boolean): void {
    const { code, x87Locals } = this.#b;
    this.#transfers.push({ at: code.length, load, depth: x87Locals?.depth ?? 0 });
    if (load) x87Locals?.enterBlock(x87Locals.depth);
  }

  #emit({ load, depth }: Transfer): void {
    const b = this.#b;
    b.resetLocals();
    b.x87Locals?.enterBlock(depth);
    if (load) {
      b.loadRegisters(b.used);
      b.x87Locals?.load(b.x87Locals.used);
    } else {
      b.storeRegisters(b.written);
      b.x87Locals?.store(b.x87Locals.written);
    }
  }

  // ---- entry and exit

  #prologue(offset: number): void {
    const b = this.#b;
    b.resetLocals();
    b.set(b.pageRip, b.loadI64(b.cpu, PAGE_RIP));
    const go = b.block();
    const refuse = b.block();
    guardRegion(b, this.#source.shape, this.#source.entry.instructions[0]!.ins.mode, this.#source.tlbSet, refuse);
    b.br(go);
    b.end();
    b.storeI64(b.cpu, RIP, b.rip(offset));
    b.return(b.i32(ST_INTERPRET));
    b.end();
    if (this.#source.counted) this.#countEntry(offset);
    b.set(this.#budget, b.loadI32(b.cpu, BUDGET));
    this.#countRun();
    b.loadRegisters(b.used);
    b.x87Locals?.enterBlock(0);
    b.x87Locals?.load(b.x87Locals.used);
  }

  /** With a profile: a run begins with this budget; what is left of it at the end is taken off again. */
  #countRun(): void {
    const counters = this.#source.marks?.counters ?? 0;
    if (counters === 0) return;
    const b = this.#b;
    const at = b.i32(counters);
    b.storeI64(at, COUNT_RUNS, b.add(b.loadI64(at, COUNT_RUNS), b.i64(1)));
    b.storeI64(at, COUNT_INSTRUCTIONS, b.add(b.loadI64(at, COUNT_INSTRUCTIONS), b.extendS(this.#budget)));
  }

  /** On each way out: what is left of the budget. */
  #storeBudget(left: Value): void {
    const b = this.#b;
    b.storeI32(b.cpu, BUDGET, left);
    const counters = this.#source.marks?.counters ?? 0;
    if (counters === 0) return;
    const at = b.i32(counters);
    b.storeI64(at, COUNT_INSTRUCTIONS, b.sub(b.loadI64(at, COUNT_INSTRUCTIONS), b.extendS(left)));
  }

  #countEntry(offset: number): void {
    const b = this.#b;
    const head = b.i32(this.#source.head);
    const left = b.sub(b.loadI32(head, REC_P3), b.i32(1));
    b.storeI32(head, REC_P3, left);
    b.ifPlain(b.int('ltS', left, b.i32(0)), () => {
      b.storeI32(b.cpu, CURRENT_RECORD, head);
      b.storeI64(b.cpu, RIP, b.rip(offset));
      b.return(b.i32(ST_COMPILE));
    });
  }

  /** Another page of the region must still be where it was, in the execute TLB; else the interpreter looks for it. */
  #guardPage(block: Block, number: number): void {
    const b = this.#b;
    const host = this.#source.pages.get(number)!;
    const base = b.loadI64(b.cpu, SEG + CS * SEG_SIZE + SEG_BASE);
    const linear = b.add(b.add(b.pageRip, base), b.i64(number * 0x1000));
    const entry = tlbOffset(b, linear);
    const table = this.#source.tlbSet + TLB_EXECUTE;
    const moved = b.or(b.ne(b.loadI64(entry, table), linear), b.ne(b.add(b.wrap(linear), b.loadI32(entry, table + 8)), b.i32(host)));
    b.ifPlain(moved, () => this.#leave(block.offset, ST_INTERPRET));
  }

  #epilogue(): void {
    const b = this.#b;
    b.storeRegisters(b.written);
    b.x87Locals?.storeLeft(b.x87Locals.written);
    this.#storeBudget(this.#budget);
    const giveUp = b.block();
    b.brIf(giveUp, b.ne(this.#status, b.i32(ST_DISPATCH)));
    b.brIf(giveUp, b.int('leS', this.#budget, b.i32(0)));
    chain(b, b.cpu, this.#source.entry.instructions[0]!.ins.mode, this.#rip, REGION_CALLEE, giveUp);
    b.end();
    b.storeI64(b.cpu, RIP, this.#rip);
    b.push(this.#status);
  }

  /** Leaves for the RIP that was computed. */
  #leaveToRip(): void {
    const b = this.#b;
    b.storeFlags();
    b.x87Locals?.noteDepth();
    b.set(this.#status, b.i32(ST_DISPATCH));
    b.br(this.#exit);
  }

  /** Leaves for an offset, with instructions of the block completed that the budget does not know of. */
  #leave(offset: number, status: number, completed = 0): void {
    const b = this.#b;
    const exit = b.pending?.merged ? MERGED_EXIT : flagState(b.pending?.held ?? null);
    this.#taken.add(exit);
    b.x87Locals?.noteDepth();
    if (b.pending?.rotation) {
      this.#rotates = true;
      b.set(this.#rotation, b.i32(rotationCode(b.pending.rotation)));
    }
    b.set(this.#offset, b.i32(offset));
    b.set(this.#status, b.i32(status));
    b.set(this.#undone, b.i32(completed));
    b.br(this.#exits[exit]!);
  }

  #leaveInstruction(): void {
    this.#leave(this.#current.offset, ST_INTERPRET, this.#completed);
  }

  /** To the way out for the flags as they stand. */
  #mergedExit(): void {
    const b = this.#b;
    b.end();
    if (!this.#taken.has(MERGED_EXIT)) return;
    for (const state of this.#merged) this.#taken.add(state);
    b.brTable(FLAG_STATES.map((_flags, state) => this.#exits[state]!), this.#exits[0]!, b.flags.state);
  }

  #knownExit(held: HeldFlags | null, number: number): void {
    const b = this.#b;
    b.end();
    if (!this.#taken.has(number)) return;
    b.resetLocals();
    b.pending = held && { held, rotation: null };
    b.storeFlags();
    b.br(this.#known);
  }

  // ---- the dominator tree

  #tree(at: number): void {
    const { loopHead, merge, children } = this.#source.shape;
    const inner = children[at]!.filter((child) => merge[child]);
    if (loopHead[at]) {
      this.#settleFlags(at);
      this.#loops[at] = this.#b.loop();
      this.#b.forget();
    }
    this.#within(at, inner);
    if (loopHead[at]) this.#b.end();
  }

  /** In front of a block that is entered from several places, on all ways to it the flags stand as this says. */
  #flagsAt(at: number): 'dead' | 'merged' | 'stored' {
    const guarded = this.#guardedPages[at]!.length > 0;
    // Whoever neither sees them nor can be left before they are overwritten.
    if (!guarded && flagsDeadAtStart(this.#source.shape.order[at]!.instructions)) return 'dead';
    return this.#flagsRead[at] ? 'stored' : 'merged';
  }

  #settleFlags(at: number): void {
    const b = this.#b;
    switch (this.#flagsAt(at)) {
      case 'dead': b.pending = null; break;
      case 'merged':
        if (!b.pending?.merged) this.#merged.add(b.merge());
        break;
      default: b.flush();
    }
  }

  /** The block, in front of which blocks end where merges begin: the one that comes last in order is outermost. */
  #within(at: number, merges: readonly number[]): void {
    const b = this.#b;
    const next = merges.at(-1);
    if (next === undefined) {
      this.#block(this.#source.shape.order[at]!, at);
      return;
    }
    this.#merges[next] = b.block();
    this.#within(at, merges.slice(0, -1));
    b.end();
    b.pending = this.#flagsAt(next) === 'merged' ? MERGED : null;
    b.forget();
    this.#tree(next);
  }

  #block(block: Block, at: number): void {
    const b = this.#b;
    this.#completed = 0;
    b.branch = null;
    b.inLoop = this.#source.shape.inLoop[at]!;
    b.x87Locals?.enterBlock(this.#depths[at]!);
    for (const page of this.#guardedPages[at]!) this.#guardPage(block, page);
    const dead = deadFlags(block.instructions);
    const last = block.terminator.kind === 'system' ? block.instructions.length - 1 : -1;
    for (const instruction of block.instructions) {
      this.#current = instruction;
      b.flagsDead = dead[this.#completed]!;
      b.begin(instruction.ins, instruction.handler.shape, instruction.offset);
      if (this.#completed === last) return this.#leaveBySystem(instruction);
      if (instruction.handler.semantics) {
        instruction.handler.semantics(b);
        b.finishInstruction();
      } else this.#callMicrocode(instruction);
      this.#completed++;
    }
    b.flagsDead = false;
    if (this.#completed > 0) b.set(this.#budget, b.sub(this.#budget, b.i32(this.#completed)));
    this.#terminate(block.terminator, at);
  }

  #terminate(end: Terminator, at: number): void {
    switch (end.kind) {
      case 'jump': case 'call': return this.#goTo(end.target, at);
      case 'branch': return this.#fork(end.taken, end.next, at);
      case 'interpret': return this.#leave(end.offset, ST_INTERPRET);
      case 'system': throw new Error('nothing comes after a system instruction');
      case 'indirect': return this.#select(end.targets.filter(({ block }) => block !== null), at);
      default: return this.#select([end.target], at);
    }
  }

  /** Goes to the one of the targets that the branch computed, or leaves. */
  #select(targets: readonly Edge[], at: number): void {
    const b = this.#b;
    b.set(this.#rip, this.#indirectTarget());
    if (targets.length > FEW_TARGETS) return this.#switch(targets, at);
    for (const target of targets) this.#goToIf(target, at);
    this.#leaveToRip();
  }

  /** The same through a table, by a hash that keeps the targets apart. */
  #switch(targets: readonly Edge[], at: number): void {
    const b = this.#b;
    const { multiplier, shift, places } = targetHash(targets.map(({ offset }) => offset));
    const pending = b.pending;
    const other = b.block();
    const arms: Label[] = [];
    for (let i = targets.length - 1; i >= 0; i--) arms[i] = b.block();
    const offset = b.wrap(b.sub(this.#rip, b.pageRip));
    const hashed = b.shrU(b.mul(offset, b.i32(multiplier)), b.i32(shift));
    b.brTable(places.map((arm) => (arm < 0 ? other : arms[arm]!)), other, hashed);
    const { knowledge } = b;
    for (const target of targets) {
      b.end();
      b.pending = pending;
      b.knowledge = knowledge;
      this.#goToIf(target, at);
      b.br(other);
    }
    b.end();
    b.pending = pending;
    this.#leaveToRip();
  }

  #goToIf(target: Edge, at: number): void {
    const b = this.#b;
    b.ifPlain(b.isAt(this.#rip, target.offset), () => this.#goTo(target, at));
  }

  #indirectTarget(): Value {
    const { branch } = this.#b;
    if (branch?.kind !== 'indirect') throw new Error(`${this.#b.form.mnemonic} gave no target`);
    return branch.rip;
  }

  #fork(taken: Edge, next: Edge, at: number): void {
    const b = this.#b;
    const condition = b.branch?.kind === 'relative' ? b.branch.condition : null;
    if (!condition) throw new Error(`${b.form.mnemonic} gave no condition`);
    const pending: PendingFlags | null = b.pending;
    if (condition.local < 0) {
      this.#goTo(condition.lo !== 0 ? taken : next, at);
      return;
    }
    b.ifPlain(condition, () => this.#goTo(taken, at));
    b.pending = pending;
    this.#goTo(next, at);
  }

  #goTo(edge: Edge, from: number): void {
    const to = edge.block ? this.#source.shape.position[edge.block.id]! : -1;
    if (to < 0) return this.#leave(edge.offset, ST_DISPATCH);
    const x87 = this.#b.x87Locals;
    const depth = x87?.depth ?? 0;
    x87?.align(this.#depths[to]!);
    this.#goInside(edge, to, from);
    if (x87) x87.depth = depth;
  }

  #goInside(edge: Edge, to: number, from: number): void {
    const b = this.#b;
    if (to <= from) {
      b.ifPlain(b.int('leS', this.#budget, b.i32(0)), () => this.#leave(edge.offset, ST_SLICE));
      this.#settleFlags(to);
      b.br(this.#loops[to]!);
    } else if (this.#source.shape.merge[to]) {
      this.#settleFlags(to);
      b.br(this.#merges[to]!);
    } else this.#tree(to);
  }

  // ---- microcode in the middle of a region

  /** What microcode may have changed is read again. */
  #callMicrocode(instruction: RegionInstruction): void {
    const b = this.#b;
    const before = this.#enterMicrocode(instruction);
    const status = this.#microcodeStatus(instruction);
    b.ifPlain(status, () => this.#leaveMicrocode(status, before));
    if (b.x87Locals) b.x87Locals.depth += stackEffect(MNEMONICS[instruction.ins.mnemonic]!);
    this.#transfer(true);
    b.forget();
    const moved = b.ne(b.loadI32(b.cpu, TLB_SET), b.i32(this.#source.tlbSet));
    b.ifPlain(this.#x87 === 'none' ? moved : b.or(moved, b.x87Special()), () => {
      b.set(this.#budget, b.sub(before, b.i32(1)));
      this.#leave(instruction.offset + instruction.ins.length, ST_DISPATCH);
    });
  }

  /** The region ends with microcode, and chains on from wherever that went, unless the code's mode is another one. */
  #leaveBySystem(instruction: RegionInstruction): void {
    const b = this.#b;
    const { ins, offset } = instruction;
    const before = this.#enterMicrocode(instruction);
    const status = this.#microcodeStatus(instruction);
    b.ifPlain(b.eqz(status), () => {
      b.storeI64(b.cpu, RIP, b.rip(offset + ins.length));
      b.set(status, b.i32(ST_DISPATCH));
    });
    b.ifPlain(b.ne(status, b.i32(ST_DISPATCH)), () => this.#leaveMicrocode(status, before));
    const budget = b.sub(before, b.i32(1));
    this.#storeBudget(budget);
    const giveUp = b.block();
    b.brIf(giveUp, b.int('leS', budget, b.i32(0)));
    b.brIf(giveUp, b.ne(b.loadI32(b.cpu, CODE_MODE), b.i32(CODE_MODES[ins.mode]!)));
    chain(b, b.cpu, ins.mode, b.loadI64(b.cpu, RIP), REGION_CALLEE, giveUp);
    b.end();
    b.return(b.i32(ST_DISPATCH));
  }

  /** The area gets all that microcode may look at; returns the budget, which the instruction has not been taken from. */
  #enterMicrocode({ ins, offset }: RegionInstruction): Value {
    const b = this.#b;
    b.flush();
    this.#transfer(false);
    const page = Math.floor(offset / 0x1000);
    b.storeI64(b.cpu, PAGE_RIP, b.rip(page * 0x1000));
    b.storeI64(b.cpu, RIP, b.rip(offset));
    b.storeI64(b.cpu, NEXT_RIP, b.rip(offset + ins.length));
    const before = b.sub(this.#budget, b.i32(this.#completed));
    b.storeI32(b.cpu, BUDGET, before);
    const { address } = this.#source.record(this.#current);
    if (address !== 0) {
      const status = this.#call('op_address', address);
      b.ifPlain(status, () => this.#leaveMicrocode(status, before));
    }
    return before;
  }

  #microcodeStatus({ handler }: RegionInstruction): Value {
    return this.#call(handler.microcode!, this.#source.record(this.#current).record);
  }

  #call(name: string, record: number): Value {
    const b = this.#b;
    b.storeI32(b.cpu, CURRENT_RECORD, b.i32(record));
    return b.call(this.#import({ name, params: [op.I32], result: op.I32 }), op.I32, b.i32(record));
  }

  /** As the interpreter does after a handler: the instruction has completed unless it faulted. RIP and registers stand in the area. */
  #leaveMicrocode(status: Value, before: Value): void {
    const b = this.#b;
    const undone = b.or(b.eq(status, b.i32(ST_FAULT)), b.eq(status, b.i32(ST_TRANSLATE)));
    this.#storeBudget(b.select(undone, before, b.sub(before, b.i32(1))));
    b.return(status);
  }
}
