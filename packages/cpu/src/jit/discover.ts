/**
 * Finds the code that can be reached from an address: basic blocks along jumps, conditional branches and calls. A function
 * is entered anew for each call, so that its returns are edges to one place: recursion unrolls. Functions that are too large,
 * and calls inside too many calls, leave the region.
 */
import { codeView, decode } from '../decode/decoder.ts';
import { Instruction, OP_REL } from '../decode/instruction.ts';
import { MNEMONICS } from '../decode/table/index.ts';
import type { Handler } from '../interpreter/handlers.ts';
import { endsTrace, isBitString, isIndirectNear, isPop } from '../interpreter/mnemonic-traits.ts';
import type { HandlerTable } from './handler-table.ts';
import type { Block, Edge, RegionInstruction, Terminator } from './region.ts';

/** Guest code as the processor sees it now. */
export interface CodeSource {
  readonly view: DataView;
  /** 16, 32 or 64. */
  readonly mode: number;
  /** Host address of a page by its number relative to the entry's, or 0 where it can't be told without a walk. */
  page(number: number): number;
  readonly handlers: HandlerTable;
  /** Whether the interpreter has been at a host address. */
  seen(host: number): boolean;
  /** Where the indirect branch at a host address went, most often first: offsets from its page, and how often. */
  targets(host: number): readonly { readonly offset: number; readonly count: number }[];
}

export interface Limits {
  /** Instructions of the code around the entry. */
  readonly around: number;
  /** Instructions of a function that is entered for a call. */
  readonly callee: number;
  /** Calls inside calls. */
  readonly depth: number;
  /** Instructions that called functions add in all. */
  readonly callees: number;
}

const LONGEST_INSTRUCTION = 15;
/** A target that an indirect branch takes less often than one time in so many is left to the dispatch. */
const RAREST_TARGET = 64;
const CS = 1;
/** A function that calls itself unrolls to so many calls inside calls; deeper ones go to its code around the entry. */
const RECURSION_DEPTH = 2;

const NOWHERE: Terminator = { kind: 'indirect', targets: [], after: null };

/** A function, or the code around the entry: its blocks by offset. */
interface Context {
  readonly entry: number;
  readonly depth: number;
  /** Who called, and the edge on which its returns go on; null around the entry. */
  readonly caller: { readonly context: Context; readonly after: Edge } | null;
  readonly decoded: Map<number, RegionInstruction>;
  readonly leaders: Set<number>;
  readonly blocks: Map<number, Block>;
  /** Everything that can be reached was decoded. */
  complete: boolean;
}

export class Discovery {
  readonly blocks: Block[] = [];
  /** Pages read, by number. */
  readonly pages: Map<number, number> = new Map();
  readonly #source: CodeSource;
  readonly #limits: Limits;
  readonly #scratch: DataView = codeView(new Uint8Array(32));
  readonly #contexts = new Map<Block, Context>();
  /** The code around the entry. */
  #root: Context | null = null;
  #left: number;

  constructor(source: CodeSource, limits: Limits) {
    this.#source = source;
    this.#limits = limits;
    this.#left = limits.callees;
  }

  /** The block at the offset of the entry, with what can be reached without going into calls; null where nothing can be compiled. */
  around(offset: number): Block | null {
    const root = this.#explore(offset, null, this.#limits.around);
    if (!root.decoded.has(offset)) return null;
    this.#root = root;
    if (this.#limits.callees > 0) this.#joinRecursion(root);
    this.#connect(root);
    return root.blocks.get(offset) ?? null;
  }

  /** Makes the functions that the blocks call part of the region, as far as the limits allow. */
  enterCalls(blocks: ReadonlySet<Block>): void {
    const queue = [...blocks];
    for (const block of queue) {
      const { terminator } = block;
      if (terminator.kind === 'call') this.#enter(block, terminator.target, terminator.after, queue, blocks);
      else if (terminator.kind === 'indirect' && terminator.after)
        for (const target of terminator.targets) this.#enter(block, target, terminator.after, queue, blocks);
    }
  }

  // ---- decoding

  #explore(entry: number, caller: Context['caller'], limit: number): Context {
    const depth = caller ? caller.context.depth + 1 : 0;
    const context: Context = {
      entry, depth, caller, decoded: new Map(), leaders: new Set([entry]), blocks: new Map(), complete: true,
    };
    const queue = [entry];
    for (const at of queue) this.#run(context, at, queue, limit);
    return context;
  }

  /** Where the code around the entry calls the function that it is part of, all of that function's code is around the entry too. */
  #joinRecursion(root: Context): void {
    for (const found of root.decoded.values()) {
      const target = isCall(found) ? relativeTarget(found) : null;
      if (target === null || root.leaders.has(target)) continue;
      const itself = root.decoded.has(target) || this.#explore(target, null, this.#limits.callee).decoded.has(root.entry);
      if (!itself) continue;
      const queue = [target];
      root.leaders.add(target);
      for (const at of queue) this.#run(root, at, queue, this.#limits.around);
    }
  }

  /** Decodes from an offset until control goes elsewhere; queues where it goes. */
  #run(context: Context, from: number, queue: number[], limit: number): void {
    let offset = from;
    while (!context.decoded.has(offset)) {
      if (context.decoded.size >= limit) {
        context.complete = false;
        return;
      }
      const found = this.#decode(offset);
      if (!found) return;
      context.decoded.set(offset, found);
      const after = offset + found.ins.length;
      const target = relativeTarget(found);
      if (target !== null && isCall(found)) {
        // The function itself is explored when it is known to matter.
        this.#leader(context, after, queue);
        return;
      }
      if (target !== null) {
        if (!isConditional(found) || this.#seen(target)) this.#leader(context, target, queue);
        if (isConditional(found)) this.#leader(context, after, queue);
        return;
      }
      if (isIndirectNear(found.ins)) {
        if (isCall(found)) this.#leader(context, after, queue);
        else for (const target of this.#targets(found)) this.#leader(context, target, queue);
      }
      if (endsTrace(found.ins)) return;
      offset = after;
    }
  }

  #leader(context: Context, offset: number, queue: number[]): void {
    if (context.leaders.has(offset)) return;
    context.leaders.add(offset);
    queue.push(offset);
  }

  /** A branch that was never taken leaves the region. */
  #seen(target: number): boolean {
    const host = this.#page(Math.floor(target / 0x1000));
    return host !== 0 && this.#source.seen(host + (target & 0xfff));
  }

  /** Offsets to which an indirect branch goes often enough to matter. */
  #targets(found: RegionInstruction): number[] {
    const page = Math.floor(found.offset / 0x1000);
    const targets = this.#source.targets(this.#page(page) + (found.offset & 0xfff));
    const all = targets.reduce((sum, { count }) => sum + count, 0);
    return targets.filter(({ count }) => count * RAREST_TARGET >= all).map((target) => page * 0x1000 + target.offset);
  }

  #decode(offset: number): RegionInstruction | null {
    const page = Math.floor(offset / 0x1000);
    const host = this.#page(page);
    if (host === 0) return null;
    const ins = new Instruction();
    const at = host + (offset & 0xfff);
    const room = 0x1000 - (offset & 0xfff);
    const length = room >= LONGEST_INSTRUCTION
      ? decode(this.#source.view, at, host + 0x1000, this.#source.mode as 16 | 32 | 64, ins) : this.#decodeNearEnd(at, room, page, ins);
    // Branches with 16-bit targets are too rare to matter in other code.
    if (length <= 0 || (ins.operands[0].kind === OP_REL && ins.operandSize === 2 && ins.mode !== 16)) return null;
    if (ins.mode !== 64 && ins.memory !== null && (ins.memSegment === CS || (ins.mode === 16 && addressedApart(ins)))) return null;
    const handler = this.#handler(ins);
    return handler && { ins, offset, handler };
  }

  /** An instruction that may go on in the next page. */
  #decodeNearEnd(at: number, room: number, page: number, ins: Instruction): number {
    const { view, mode } = this.#source;
    const alone = decode(view, at, at + room, mode as 16 | 32 | 64, ins);
    if (alone > 0) return alone;
    const second = this.#page(page + 1);
    if (second === 0) return 0;
    for (let i = 0; i < room + 16; i++) this.#scratch.setUint8(i, view.getUint8(i < room ? at + i : second + i - room));
    return decode(this.#scratch, 0, room + 16, mode as 16 | 32 | 64, ins);
  }

  #page(number: number): number {
    const known = this.pages.get(number);
    if (known !== undefined) return known;
    const host = this.#source.page(number);
    this.pages.set(number, host);
    return host;
  }

  #handler(ins: Instruction): Handler | null {
    return this.#source.handlers.of(ins);
  }

  // ---- blocks

  /** Makes the context's blocks and the edges between them. */
  #connect(context: Context): void {
    for (const leader of context.leaders) if (context.decoded.has(leader)) this.#block(context, leader);
    for (const block of context.blocks.values()) this.#terminate(context, block);
  }

  #block(context: Context, leader: number): void {
    const instructions: RegionInstruction[] = [];
    let offset = leader;
    for (;;) {
      const found = context.decoded.get(offset);
      if (!found) break;
      instructions.push(found);
      offset += found.ins.length;
      if (endsBlock(found) || context.leaders.has(offset)) break;
    }
    const block: Block = { id: this.blocks.length, offset: leader, instructions, terminator: NOWHERE };
    this.blocks.push(block);
    this.#contexts.set(block, context);
    context.blocks.set(leader, block);
  }

  #terminate(context: Context, block: Block): void {
    const last = block.instructions.at(-1)!;
    const after = last.offset + last.ins.length;
    block.terminator = this.#terminator(context, block, last, after);
  }

  #terminator(context: Context, block: Block, last: RegionInstruction, after: number): Terminator {
    const target = relativeTarget(last);
    if (target !== null && isCall(last)) {
      const again = context.caller || !context.blocks.has(target) ? null : this.#edge(context, target);
      return { kind: 'call', target: { offset: target, block: null }, after: this.#edge(context, after), again };
    }
    if (target !== null) {
      const taken = this.#edge(context, target);
      return isConditional(last) ? { kind: 'branch', taken, next: this.#edge(context, after) } : { kind: 'jump', target: taken };
    }
    if (!endsTrace(last.ins)) return { kind: 'jump', target: this.#edge(context, after) };
    if (!last.handler.semantics) return { kind: 'system' };
    if (isIndirectNear(last.ins)) return this.#indirect(context, last, after);
    if (MNEMONICS[last.ins.mnemonic] !== 'ret') return NOWHERE;
    return context.caller ? { kind: 'return', target: { ...context.caller.after } } : { kind: 'indirect', targets: this.#returns(context), after: null };
  }

  #indirect(context: Context, last: RegionInstruction, after: number): Terminator {
    const targets = this.#targets(last);
    return isCall(last)
      ? { kind: 'indirect', targets: targets.map((offset) => ({ offset, block: null })), after: this.#edge(context, after) }
      : { kind: 'indirect', targets: targets.map((offset) => this.#edge(context, offset)), after: null };
  }

  /** Where the code around the entry returns to inside itself: behind the calls that it makes of itself. */
  #returns(root: Context): Edge[] {
    const calls = [...root.decoded.values()].filter((found) => isCall(found) && root.blocks.has(relativeTarget(found) ?? NaN));
    return calls.map(({ offset, ins }) => this.#edge(root, offset + ins.length));
  }

  #edge(context: Context, offset: number): Edge {
    return { offset, block: context.blocks.get(offset) ?? null };
  }

  /** `selected`: of the blocks around the entry. */
  #enter(block: Block, target: Edge, after: Edge, queue: Block[], selected: ReadonlySet<Block>): void {
    const caller = this.#contexts.get(block)!;
    const again = this.#root!.blocks.get(target.offset);
    if (again && selected.has(again) && caller.depth >= RECURSION_DEPTH) {
      target.block = again;
      return;
    }
    if (caller.depth >= this.#limits.depth) return;
    const inner = this.#explore(target.offset, { context: caller, after }, Math.min(this.#limits.callee, this.#left));
    if (!inner.complete || !inner.decoded.has(target.offset)) return;
    this.#left -= inner.decoded.size;
    this.#connect(inner);
    target.block = inner.blocks.get(target.offset)!;
    queue.push(...inner.blocks.values());
  }
}

/** What addresses memory beside its operand, or after something has changed: 16-bit code checks limits with the address. */
function addressedApart(ins: Instruction): boolean {
  return isBitString(ins) || isPop(ins);
}

function isCall(found: RegionInstruction): boolean {
  return MNEMONICS[found.ins.mnemonic] === 'call';
}

function isConditional(found: RegionInstruction): boolean {
  return MNEMONICS[found.ins.mnemonic] !== 'jmp';
}

function endsBlock(found: RegionInstruction): boolean {
  return endsTrace(found.ins) || relativeTarget(found) !== null;
}

/** Offset of a relative branch's target, or null. */
export function relativeTarget(found: RegionInstruction): number | null {
  const { ins } = found;
  if (ins.operands[0].kind !== OP_REL) return null;
  return found.offset + ins.length + (ins.immLo | 0);
}
