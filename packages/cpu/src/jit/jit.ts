/**
 * Compiles hot traces into regions. The interpreter counts how much a trace runs at its head (HANDLER_HEAT) and asks for it
 * to be compiled; the head then runs the region (HANDLER_REGION) through the table that all regions share.
 */
import type { HostMemory } from '@vm/kvm-run';
import type { TraceArena } from '../interpreter/trace-arena.ts';
import type { Translator } from '../interpreter/translate.ts';
import type { Microcode } from '../microcode/instantiate.ts';
import { microcodeName } from '../semantics/complex.ts';
import {
  CODE_MODE, CS, PAGE_RIP, SEG, SEG_BASE, SEG_SIZE, SINGLE_STEP, TLB_ENTRIES, TLB_EXECUTE, TLB_SET,
} from '../state/layout.ts';
import {
  HANDLER_HEAT, HANDLER_REGION, REC_HANDLER, REC_IMM, REC_OFFSET, REC_P1, REC_P3, REC_SIZE, TRACE_HEADER_SIZE, TRACE_HOST,
} from '../state/record.ts';
import { type CodeSource, Discovery, type Limits } from './discover.ts';
import { HandlerTable } from './handler-table.ts';
import type { JitProfile } from './profile.ts';
import type { Block, RegionInstruction } from './region.ts';
import { compileRegion, type MicrocodeRecord } from './region-compiler.ts';
import { FLAT_STACK } from './region-guards.ts';
import { cutEdges, type PieceLimits, selectBlocks, type Shape, shapeOf } from './structure.ts';

export interface JitOptions {
  /** Instructions that a trace runs before it is compiled; to find it counts as eight. */
  readonly threshold: number;
  /** Regions alive at the most; above it all are forgotten. */
  readonly regions: number;
  /** How often a region is entered before it is compiled again, with the functions that it calls. */
  readonly entries: number;
  /** Compiles also what is executed one instruction at a time, each on its own; there is no use in it but to test. */
  readonly steps?: boolean;
}

export const DEFAULT_JIT: JitOptions = { threshold: 300_000, regions: 8000, entries: 50_000 };

const LIMITS: Limits = { around: 600, callee: 200, depth: 4, callees: 600 };
/** Called functions would be compiled anew for each of their callers. */
const FIRST_LIMITS: Limits = { ...LIMITS, callees: 0 };
const STEP_LIMITS: Limits = { around: 1, callee: 0, depth: 0, callees: 0 };
const PIECE_LIMITS: PieceLimits = { acyclic: 150, behindLoop: 40 };
/** Records that guards and microcode of one region may take in the arena. */
const LONGEST_RECORDS = 2 * (LIMITS.around + LIMITS.callees);
const MODES = [16, 32, 64];
const NEVER = 0x7fff_ffff;
const TABLE_STEP = 256;

/** What compiling has done so far. */
export interface JitStatistics {
  regions: number;
  /** Guest instructions staged, and bytes of WebAssembly made of them. */
  instructions: number;
  bytes: number;
  /** Traces that could not be compiled. */
  refused: number;
  /** How often all regions were forgotten. */
  flushes: number;
}

export class Jit {
  readonly table: WebAssembly.Table = new WebAssembly.Table({ element: 'anyfunc', initial: TABLE_STEP });
  readonly statistics: JitStatistics = { regions: 0, instructions: 0, bytes: 0, refused: 0, flushes: 0 };
  readonly options: JitOptions;
  readonly #memory: HostMemory;
  readonly #area: number;
  readonly #microcode: Microcode;
  readonly #handlers: HandlerTable;
  readonly #profile: JitProfile | null;
  #next = 0;

  constructor(memory: HostMemory, area: number, microcode: Microcode, options: JitOptions, profile: JitProfile | null = null) {
    this.#profile = profile;
    this.#memory = memory;
    this.#area = area;
    this.#microcode = microcode;
    this.options = options;
    this.#handlers = new HandlerTable((name) => microcodeName(name, (exported) => exported in microcode.exports));
  }

  /** Forgets all regions; the records that ran them are gone. */
  reset(): void {
    for (let i = 0; i < this.#next; i++) this.table.set(i, null);
    if (this.#next > 0) this.statistics.flushes++;
    this.#next = 0;
  }

  /**
   * Compiles the trace whose head is the record; it is interpreted for good if that can't be. Where it has a region, that is made
   * again with the functions that it calls.
   */
  compile(record: number, arena: TraceArena, translator: Translator): void {
    const again = this.#memory.u16[(record + REC_HANDLER) >>> 1] === HANDLER_REGION;
    if (!again && this.#next >= this.options.regions) {
      arena.flush();
      return;
    }
    if (arena.room < LONGEST_RECORDS * REC_SIZE * 2) return this.#refuse(record);
    const flushes = arena.flushes;
    arena.reserve(LONGEST_RECORDS);
    if (arena.flushes !== flushes) return;
    const source = this.#source(record, arena, translator);
    const discovery = new Discovery(source, this.#word(SINGLE_STEP) ? STEP_LIMITS : again ? LIMITS : FIRST_LIMITS);
    const entry = discovery.around(this.#memory.u16[(record + REC_OFFSET) >>> 1]!);
    if (!entry || isSystemAlone(entry)) return this.#refuse(record);
    const selected = selectBlocks(entry, discovery.blocks, PIECE_LIMITS);
    cutEdges(selected);
    discovery.enterCalls(selected);
    const shape = shapeOf(entry, discovery.blocks.length);
    const pages = usedPages(shape, discovery.pages);
    const marks = this.#profile && this.#profile.begin();
    const { bytes, microcode } = compileRegion({
      area: this.#area, tlbSet: this.#word(TLB_SET), flatStack: this.#flatStack(), entry, shape, pages,
      record: this.#recorder(arena, translator),
      head: record, counted: !again, marks,
    });
    this.#install(record, bytes, microcode);
    if (marks) this.#profile!.add(marks, this.#linearPage(), entry.offset, shape, pages, bytes);
    for (const range of codeRanges(shape, pages)) arena.guardRegion(range.host, range.bytes, record);
    this.statistics.regions++;
    this.statistics.bytes += bytes.length;
    for (const block of shape.order) this.statistics.instructions += block.instructions.length;
  }

  #word(offset: number): number {
    return this.#memory.u32[(this.#area + offset) >>> 2]!;
  }

  #flatStack(): boolean {
    return FLAT_STACK.every(([word, value]) => this.#word(word) === value && this.#word(word + 4) === 0);
  }

  #refuse(record: number): void {
    this.statistics.refused++;
    const { u16, u32 } = this.#memory;
    if (u16[(record + REC_HANDLER) >>> 1] === HANDLER_REGION) {
      u32[(record + REC_P3) >>> 2] = NEVER;
      return;
    }
    u32[(record + REC_IMM) >>> 2] = NEVER;
    u32[(record + REC_P1) >>> 2] = 0;
  }

  /** Linear address of the page that RIP is in. */
  #linearPage(): bigint {
    const { view } = this.#memory;
    return view.getBigUint64(this.#area + PAGE_RIP, true) + view.getBigUint64(this.#area + SEG + CS * SEG_SIZE + SEG_BASE, true);
  }

  /** Guest code around the trace, through the execute TLB. */
  #source(record: number, arena: TraceArena, translator: Translator): CodeSource {
    const { u32, view } = this.#memory;
    const host = u32[(record - TRACE_HEADER_SIZE + TRACE_HOST) >>> 2]! & ~0xfff;
    const base = this.#linearPage();
    const table = this.#word(TLB_SET) + TLB_EXECUTE;
    const codeMode = this.#word(CODE_MODE);
    return {
      view,
      mode: MODES[codeMode]!,
      page: (number) => {
        if (number === 0) return host >>> 0;
        const linear = BigInt.asUintN(64, base + BigInt(number) * 0x1000n);
        const entry = table + ((Number((linear >> 12n) & 0xfffffn) & (TLB_ENTRIES - 1)) << 4);
        if (view.getBigUint64(entry, true) !== linear) return 0;
        return (Number(linear & 0xffff_ffffn) + u32[(entry + 8) >>> 2]!) >>> 0;
      },
      handlers: this.#handlers,
      seen: (at) => arena.has(codeMode, at),
      targets: (at) => translator.targets(at, codeMode),
    };
  }

  /** Makes records for the instructions that microcode executes, each once. */
  #recorder(arena: TraceArena, translator: Translator): (instruction: RegionInstruction) => MicrocodeRecord {
    const made = new Map<RegionInstruction, MicrocodeRecord>();
    return (instruction) => {
      const known = made.get(instruction);
      if (known) return known;
      const at = arena.reserve(2);
      const count = translator.recordsOf(instruction.ins, at, instruction.offset & 0xfff);
      arena.keepRecords(at, count);
      const found = count === 2 ? { address: at, record: at + REC_SIZE } : { address: 0, record: at };
      made.set(instruction, found);
      return found;
    };
  }

  #install(record: number, bytes: Uint8Array<ArrayBuffer>, names: readonly string[]): void {
    const microcode: Record<string, (...args: (number | bigint)[]) => number | bigint> = {};
    for (const name of names) microcode[name] = this.#microcode.exports[name]!;
    const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory: this.#memory.memory, regions: this.table }, microcode });
    const { u16, u32 } = this.#memory;
    const region = instance.exports['region']!;
    if (u16[(record + REC_HANDLER) >>> 1] === HANDLER_REGION) {
      this.table.set(u32[(record + REC_IMM) >>> 2]!, region);
      return;
    }
    if (this.#next === this.table.length) this.table.grow(TABLE_STEP);
    this.table.set(this.#next, region);
    u32[(record + REC_IMM) >>> 2] = this.#next++;
    u32[(record + REC_P3) >>> 2] = this.options.entries;
    if (u16[(record + REC_HANDLER) >>> 1] === HANDLER_HEAT) u16[(record + REC_HANDLER) >>> 1] = HANDLER_REGION;
  }
}

/** A region would do no more for it than the interpreter does. */
function isSystemAlone({ instructions, terminator }: Block): boolean {
  return instructions.length === (terminator.kind === 'system' ? 1 : 0);
}

/** The pages in which the region's code lies, by number. */
function usedPages(shape: Shape, pages: ReadonlyMap<number, number>): Map<number, number> {
  const used = new Map<number, number>();
  const use = (offset: number): void => {
    const number = Math.floor(offset / 0x1000);
    used.set(number, pages.get(number)!);
  };
  for (const { offset, ins } of instructionsOf(shape)) {
    use(offset);
    use(offset + ins.length - 1);
  }
  return used;
}

function* instructionsOf(shape: Shape): Generator<RegionInstruction> {
  for (const block of shape.order) yield* block.instructions;
}

interface CodeRange {
  readonly host: number;
  bytes: number;
}

/** The code bytes of the region as runs, none across a page. */
function codeRanges(shape: Shape, pages: ReadonlyMap<number, number>): CodeRange[] {
  const pieces: CodeRange[] = [];
  for (const { offset, ins } of instructionsOf(shape)) {
    for (let at = offset; at < offset + ins.length;) {
      const number = Math.floor(at / 0x1000);
      const bytes = Math.min(offset + ins.length, (number + 1) * 0x1000) - at;
      pieces.push({ host: pages.get(number)! + (at & 0xfff), bytes });
      at += bytes;
    }
  }
  pieces.sort((x, y) => x.host - y.host);
  const runs: CodeRange[] = [];
  for (const piece of pieces) {
    const last = runs.at(-1);
    const joins = last && piece.host <= last.host + last.bytes && piece.host >>> 12 === last.host >>> 12;
    if (joins) last.bytes = Math.max(last.bytes, piece.host + piece.bytes - last.host);
    else runs.push({ ...piece });
  }
  return runs;
}

