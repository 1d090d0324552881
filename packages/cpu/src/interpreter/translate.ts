/**
 * Turns guest code into traces of records: decodes from the host page that RIP lies in, up to an unconditional branch,
 * an instruction that may change what follows, the page's end, or the longest trace.
 */
import type { HostMemory } from '@vm/kvm-run';
import { codeView, decode } from '../decode/decoder.ts';
import { DECODE_TOO_LONG, DECODE_TRUNCATED } from '../decode/general.ts';
import {
  Instruction, type Operand, OP_FAR, OP_IMM, OP_REG, OP_REL, PFX_LOCK, PFX_REP, PFX_REPNE, RC_GPR,
  RC_GPR_HIGH, RC_MMX, RC_VEC,
} from '../decode/instruction.ts';
import { forms } from '../decode/forms.ts';
import {
  CODE_HOST, CODE_LIMIT, CODE_MODE, CS, EA, FPR, GPR, PAGE_RIP, RIP, SEG, SEG_BASE, SEG_SIZE, SINGLE_STEP, XMM, XMM_SIZE, ZERO,
} from '../state/layout.ts';
import {
  HANDLER_EXIT_TRACE, HANDLER_HEAT, ADDRESS_AFTER_STACK, ADDRESS_AFTER_X87, ADDRESS_OF_BIT, ADDRESS_UNCHECKED, ELEMENT_BYTES, ELEMENT_INDEX_BYTES, ELEMENT_INDEX_WIDTH, ELEMENT_SEGMENT, ELEMENT_WIDTH, PREFIX_ADDRSIZE_SHIFT, PREFIX_LOCK, PREFIX_OPSIZE_SHIFT, PREFIX_REP, PREFIX_REPNE, REC_BASE, REC_DISP, REC_HANDLER,
  PROFILE_COUNT, PROFILE_ENTRIES, PROFILE_ENTRY_SIZE, PROFILE_OFFSET, REC_IMM, REC_INDEX, REC_INDEX_REG, REC_LENGTH, REC_LINK, REC_OFFSET, REC_P1, REC_P2, REC_P3, REC_PREFIX, REC_SCALE,
  REC_SEG, REC_SIZE, TRACE_HEADER_SIZE,
} from '../state/record.ts';
import { PREFIX_LINKABLE } from './generate.ts';
import {
  HANDLER_ADDRESS, HANDLER_ADDRESS_32, HANDLER_CHECK_PAGE, HANDLER_GOTO, HANDLER_TOO_LONG, HANDLER_UNDEFINED, handlerKey, semanticName,
} from './handlers.ts';
import { accessesNothing, elementSize, elementWidth, endsTrace, gatherIndexWidth, isBitString, isEnter, isIndirectNear, isPop, isX87, readsFirst, waitsForX87, wantsSumOnly } from './mnemonic-traits.ts';
import type { TraceArena } from './trace-arena.ts';

/** Instructions in a trace at the most; record indices are bytes. */
const LONGEST_TRACE = 48;
/** An instruction has at most an address record in front. */
const LONGEST_RECORDS = 2 * LONGEST_TRACE + 4;
/** Finding a trace takes as long as so many instructions. */
const DISPATCH = 8;
const MODES = [16, 32, 64] as const;
const FS = 4;
const RSP = 4;
const POINTER_PLACES = [REC_P1, REC_P2, REC_P3, REC_IMM] as const;

export interface TranslatorHost {
  /** Host address of code at a linear address, or 0 with an event pending. */
  fetch(linear: bigint): number;
  /** Makes #GP(0) pending: RIP lies beyond the limit of the code segment. */
  raiseCodeLimit(): void;
  /** Handler number by key. */
  readonly numbers: ReadonlyMap<string, number>;
  /** Instructions that a trace runs before it is compiled, finding it counted as some; null: nothing is compiled. */
  readonly heat: number | null;
  /** Traces of single instructions are compiled as others are. */
  readonly heatSteps: boolean;
}

/** Of an indirect branch. */
export interface BranchTarget {
  /** From the beginning of the branch's page. */
  readonly offset: number;
  readonly count: number;
}

/** Address size in bytes to the two bits of REC_PREFIX; operand sizes likewise with 1 as 0. */
function sizeBits(bytes: number): number {
  return bytes === 8 ? 3 : bytes === 4 ? 2 : bytes === 2 ? 1 : 0;
}

export class Translator {
  readonly #memory: HostMemory;
  readonly #area: number;
  readonly #arena: TraceArena;
  readonly #host: TranslatorHost;
  #instruction: Instruction = new Instruction();
  /** The page's offsets that lie in the code segment: from #begin to before #end. */
  #begin = 0;
  #end = Infinity;
  readonly #scratch = new Uint8Array(32);
  readonly #scratchView = codeView(this.#scratch);
  /** Profiles of indirect branches by place and mode; they are gone with the traces. */
  #profiles = { flushes: 0, places: new Map<number, number>() };
  /** Handler number by form, address size and mode; 0 where it was not looked up yet. */
  readonly #numbers = new Uint16Array(forms().length * 32);
  /** Mnemonics seen that nothing executes; they raise #UD. */
  readonly unknown: Map<string, number> = new Map<string, number>();
  /** Instructions translated. */
  translated = 0;

  constructor(memory: HostMemory, area: number, arena: TraceArena, host: TranslatorHost) {
    this.#memory = memory;
    this.#area = area;
    this.#arena = arena;
    this.#host = host;
  }

  /** Makes the trace at RIP. False: the code can't be fetched, and an event is pending. */
  translate(): boolean {
    // Zero: the trace there is out of date.
    const wanted = this.#word(CODE_HOST);
    const host = wanted || this.#fetchAtRip();
    if (host === 0) return false;
    const codeMode = this.#word(CODE_MODE);
    const single = this.#word(SINGLE_STEP);
    const header = this.#arena.reserve(LONGEST_RECORDS);
    return this.#build(header, host, codeMode, single);
  }

  #word(offset: number): number {
    return this.#memory.u32[(this.#area + offset) >>> 2]!;
  }

  #linearRip(): bigint {
    const view = this.#memory.view;
    const linear = view.getBigUint64(this.#area + RIP, true) + view.getBigUint64(this.#area + SEG + CS * SEG_SIZE + SEG_BASE, true);
    return this.#word(CODE_MODE) === 2 ? BigInt.asUintN(64, linear) : BigInt.asUintN(32, linear);
  }

  #fetchAtRip(): number {
    return this.#host.fetch(this.#linearRip()) >>> 0;
  }

  /** Finds out which offsets of the page lie in the code segment; false: RIP does not, and #GP(0) is pending. */
  #withinSegment(offset: number, codeMode: number): boolean {
    if (codeMode === 2) {
      this.#begin = 0;
      this.#end = Infinity;
      return true;
    }
    const rip = this.#word(RIP);
    this.#begin = offset - rip;
    this.#end = offset + this.#word(CODE_LIMIT) + 1 - rip;
    return this.#beforeEnd(offset + 1);
  }

  /** Does what ends before the page's offset `end` lie in the code segment? Else #GP(0) is pending. */
  #beforeEnd(end: number): boolean {
    if (end <= this.#end) return true;
    this.#host.raiseCodeLimit();
    return false;
  }

  #build(header: number, host: number, codeMode: number, single: number): boolean {
    if (!this.#withinSegment(host & 0xfff, codeMode)) return false;
    const mode = MODES[codeMode]!;
    const page = host - (host & 0xfff);
    const end = page + 0x1000;
    const longest = single ? 1 : LONGEST_TRACE;
    const ins = this.#instruction;
    let at = host;
    const { heat, heatSteps } = this.#host;
    const heated = heat !== null && (!single || heatSteps);
    const first = header + TRACE_HEADER_SIZE;
    let record = heated ? this.#plain(first, HANDLER_HEAT, host - page, 0, 0) : first;
    let count = 0;
    let ended = false;
    while (count < longest && !ended && at < end) {
      const length = decode(this.#memory.view, at, end, mode, ins);
      if (length === DECODE_TRUNCATED) {
        if (count === 0) return this.#buildCrossing(header, host, codeMode, single);
        break;
      }
      if (at - page + length > this.#end) {
        if (count === 0) return this.#beforeEnd(at - page + length);
        break;
      }
      if (length <= 0) {
        record = this.#plain(record, length === DECODE_TOO_LONG ? HANDLER_TOO_LONG : HANDLER_UNDEFINED, at - page, count, 1);
        at += 1;
        ended = true;
        break;
      }
      record = this.#instructionRecords(record, at - page, count);
      ended = endsTrace(ins);
      at += length;
      count++;
    }
    record = this.#ending(record, at - page, count, ended);
    if (heated) this.#setHeat(first, count, heat);
    this.translated += count;
    const records = (record - header - TRACE_HEADER_SIZE) / REC_SIZE;
    this.#arena.keep(header, host, at - host, records, codeMode + single, 0);
    // The last record leaves the trace, the one in front of it is the branch.
    if (heated && ended && isIndirectNear(ins)) this.#setProfile(record - 2 * REC_SIZE, at - ins.length, codeMode);
    return true;
  }

  /** Branches at one place share their profile, whichever trace they stand in. */
  #setProfile(record: number, host: number, codeMode: number): void {
    if (this.#profiles.flushes !== this.#arena.flushes) this.#profiles = { flushes: this.#arena.flushes, places: new Map() };
    const key = host * 4 + codeMode;
    const known = this.#profiles.places.get(key) ?? this.#arena.allocate(PROFILE_ENTRIES * PROFILE_ENTRY_SIZE);
    this.#profiles.places.set(key, known);
    this.#set(record, REC_IMM, known);
  }

  /** Where the indirect branch at a host address went, most often first: offsets from its page, and how often. */
  targets(host: number, codeMode: number): BranchTarget[] {
    const { flushes, places } = this.#profiles;
    const profile = flushes === this.#arena.flushes ? (places.get(host * 4 + codeMode) ?? 0) : 0;
    if (profile === 0) return [];
    const { i32, u32 } = this.#memory;
    const found: BranchTarget[] = [];
    for (let entry = profile; entry < profile + PROFILE_ENTRIES * PROFILE_ENTRY_SIZE; entry += PROFILE_ENTRY_SIZE) {
      const count = u32[(entry + PROFILE_COUNT) >>> 2]!;
      if (count > 0) found.push({ offset: i32[(entry + PROFILE_OFFSET) >>> 2]!, count });
    }
    return found.sort((x, y) => y.count - x.count);
  }

  #setHeat(record: number, count: number, heat: number): void {
    this.#set(record, REC_IMM, heat);
    this.#set(record, REC_P1, count + DISPATCH);
    this.#set(record, REC_P2, heat);
  }

  /** Records for an instruction decoded elsewhere, to be executed apart from any trace; returns how many. */
  recordsOf(ins: Instruction, record: number, offset: number): number {
    const own = this.#instruction;
    this.#instruction = ins;
    const end = this.#instructionRecords(record, offset, 0);
    this.#instruction = own;
    return (end - record) / REC_SIZE;
  }

  /** One instruction whose bytes begin in this page and end in the next. */
  #buildCrossing(header: number, host: number, codeMode: number, single: number): boolean {
    const page = host - (host & 0xfff);
    const first = page + 0x1000 - host;
    const second = this.#host.fetch(BigInt.asUintN(64, this.#linearRip() + BigInt(first))) >>> 0;
    if (second === 0) return false;
    const bytes = this.#scratch;
    bytes.set(this.#memory.u8.subarray(host, host + first), 0);
    bytes.set(this.#memory.u8.subarray(second, second + 16), first);
    const length = decode(this.#scratchView, 0, first + 16, MODES[codeMode]!, this.#instruction);
    if (!this.#beforeEnd((host & 0xfff) + length)) return false;
    const guard = this.#arena.guard(header, second, Math.max(1, length - first), HANDLER_CHECK_PAGE);
    const own = this.#arena.reserve(LONGEST_RECORDS);
    // The guard is lost if making room forgot everything; then begin again.
    if (own < guard) return this.#buildCrossing(own, host, codeMode, single);
    let record = own + TRACE_HEADER_SIZE;
    this.#clear(record, HANDLER_CHECK_PAGE, host - page, 0, 1);
    this.#set(record, REC_P1, second);
    this.#set(record, REC_P2, guard);
    record += REC_SIZE;
    if (length <= 0) {
      record = this.#plain(record, length === DECODE_TOO_LONG ? HANDLER_TOO_LONG : HANDLER_UNDEFINED, host - page, 0, 1);
    } else record = this.#instructionRecords(record, host - page, 0);
    record = this.#plain(record, HANDLER_EXIT_TRACE, host - page + Math.max(1, length), 1, 0);
    this.translated++;
    this.#arena.keep(own, host, first, (record - own - TRACE_HEADER_SIZE) / REC_SIZE, codeMode + single, second);
    return true;
  }

  /** What follows the last instruction. */
  #ending(record: number, offset: number, count: number, ended: boolean): number {
    if (!ended) {
      // Ran into the longest trace or the page's end.
      const next = this.#plain(record, HANDLER_GOTO, offset, count, 0);
      this.#setImmediate(record, offset);
      if (offset < 0x1000) this.#memory.u8[record + REC_PREFIX] = PREFIX_LINKABLE;
      return next;
    }
    return this.#plain(record, HANDLER_EXIT_TRACE, offset, count, 0);
  }

  #set(record: number, field: number, value: number): void {
    this.#memory.u32[(record + field) >>> 2] = value;
  }

  #setImmediate(record: number, value: number): void {
    this.#set(record, REC_IMM, value);
    this.#set(record, REC_IMM + 4, value < 0 ? -1 : 0);
  }

  #clear(record: number, handler: number, offset: number, index: number, length: number): void {
    const { u8, u16, u32 } = this.#memory;
    for (let i = record >>> 2; i < (record + REC_SIZE) >>> 2; i++) u32[i] = 0;
    u16[(record + REC_HANDLER) >>> 1] = handler;
    u8[record + REC_INDEX] = index;
    u8[record + REC_LENGTH] = length;
    u16[(record + REC_OFFSET) >>> 1] = offset;
  }

  #plain(record: number, handler: number, offset: number, index: number, length: number): number {
    this.#clear(record, handler, offset, index, length);
    return record + REC_SIZE;
  }

  /** The records of the decoded instruction; returns the next free record. */
  #instructionRecords(record: number, offset: number, index: number): number {
    const ins = this.#instruction;
    const handler = this.#handlerNumber();
    let at = record;
    const { memory } = ins;
    const apart = memory !== null && this.#addressApart();
    if (apart) at = this.#addressRecord(at, offset, index, memory);
    this.#clear(at, handler, offset, index, ins.length);
    this.#memory.u8[at + REC_PREFIX] = this.#prefixBits();
    this.#setAddressRegisters(at, memory, apart, offset);
    this.#setOperands(at, offset);
    return at + REC_SIZE;
  }

  #prefixBits(): number {
    const ins = this.#instruction;
    let bits = (sizeBits(elementSize(ins)) << PREFIX_OPSIZE_SHIFT) | (sizeBits(ins.addressSize) << PREFIX_ADDRSIZE_SHIFT);
    const { prefixes } = ins;
    if (prefixes & PFX_REP) bits |= PREFIX_REP;
    if (prefixes & PFX_REPNE) bits |= PREFIX_REPNE;
    if (prefixes & PFX_LOCK) bits |= PREFIX_LOCK;
    return bits;
  }

  /** Whether the address needs a record of its own: not flat and 64 bits wide. LEA only needs the sum. */
  #addressApart(): boolean {
    const ins = this.#instruction;
    // Gathers and VMASKMOV address element by element, in microcode.
    if (wantsSumOnly(ins) || elementWidth(ins) !== 0) return false;
    return ins.mode !== 64 || ins.addressSize !== 8;
  }

  #addressRecord(record: number, offset: number, index: number, memory: Operand): number {
    const ins = this.#instruction;
    const plain = ins.mode === 32 && ins.addressSize === 4 && !waitsForX87(ins) && !accessesNothing(ins) && !isBitString(ins) && !isPop(ins);
    this.#clear(record, plain ? HANDLER_ADDRESS_32 : HANDLER_ADDRESS, offset, index, ins.length);
    this.#memory.u8[record + REC_PREFIX] = sizeBits(ins.addressSize) << PREFIX_ADDRSIZE_SHIFT;
    this.#set(record, REC_P1, ins.memSegment);
    this.#set(record, REC_P2, memory.size);
    this.#set(record, REC_P3, ins.operands[0] === memory && !readsFirst(ins) ? 1 : 0);
    if (waitsForX87(ins)) this.#setImmediate(record, ADDRESS_AFTER_X87);
    if (accessesNothing(ins)) this.#setImmediate(record, ADDRESS_UNCHECKED);
    if (isPop(ins)) {
      this.#set(record, REC_IMM, ADDRESS_AFTER_STACK);
      this.#set(record, REC_IMM + 4, ins.operandSize);
    }
    if (isBitString(ins)) {
      this.#set(record, REC_IMM, ADDRESS_OF_BIT + ins.operands[1].size);
      this.#set(record, REC_IMM + 4, this.#pointer(ins.operands[1]));
    }
    this.#setSum(record, offset, this.#segmentBase(ins.memSegment));
    if (isPop(ins) && ins.memBase === RSP) this.#set(record, REC_DISP, ins.dispLo + ins.operandSize);
    return record + REC_SIZE;
  }

  #setAddressRegisters(record: number, memory: Operand | null, apart: boolean, offset: number): void {
    const ins = this.#instruction;
    const zero = this.#area + ZERO;
    if (memory === null || apart) {
      this.#set(record, REC_BASE, memory === null ? zero : this.#area + EA);
      this.#set(record, REC_INDEX_REG, zero);
      // Instructions with implicit memory operands find the overriding segment here, by its base.
      this.#set(record, REC_SEG, memory === null && ins.segmentOverride >= 0 ? this.#segmentBase(ins.segmentOverride) : zero);
      return;
    }
    this.#setSum(record, offset, !wantsSumOnly(ins) && ins.memSegment >= FS ? this.#segmentBase(ins.memSegment) : zero);
  }

  #segmentBase(segment: number): number {
    return this.#area + SEG + segment * SEG_SIZE + SEG_BASE;
  }

  #setSum(record: number, offset: number, segment: number): void {
    const ins = this.#instruction;
    const zero = this.#area + ZERO;
    const { memBase, memIndex } = ins;
    const relative = memBase === 16;
    const base = relative ? this.#area + PAGE_RIP : memBase >= 0 ? this.#area + GPR + memBase * 8 : zero;
    this.#set(record, REC_BASE, base);
    const indexed = memIndex >= 0 && ins.memIndexSize === 0;
    this.#set(record, REC_INDEX_REG, indexed ? this.#area + GPR + memIndex * 8 : zero);
    this.#set(record, REC_SEG, segment);
    this.#memory.u8[record + REC_SCALE] = ins.memScale;
    let lo = ins.dispLo | 0;
    let hi = ins.dispHi | 0;
    if (relative) {
      const sum = (lo >>> 0) + offset + ins.length;
      lo = sum | 0;
      if (sum > 0xffff_ffff) hi++;
    }
    this.#set(record, REC_DISP, lo);
    this.#set(record, REC_DISP + 4, hi);
  }

  #setOperands(record: number, offset: number): void {
    const ins = this.#instruction;
    const { operands, operandCount } = ins;
    for (let i = 0; i < operandCount; i++) {
      const operand = operands[i]!;
      if (operand.kind === OP_REG) {
        this.#set(record, POINTER_PLACES[i]!, this.#pointer(operand));
      } else if (operand.kind === OP_IMM) {
        this.#set(record, REC_IMM, ins.immLo);
        this.#set(record, REC_IMM + 4, ins.immHi);
      } else if (operand.kind === OP_REL) this.#setBranch(record, offset);
      else if (operand.kind === OP_FAR) {
        this.#set(record, REC_IMM, ins.immLo);
        this.#set(record, REC_IMM + 4, ins.imm2);
      }
    }
    if (isEnter(ins)) this.#set(record, REC_P2, ins.imm2);
    if (elementWidth(ins) !== 0) this.#setElements(record);
    if (!isX87(ins)) return;
    if (ins.memory !== null) this.#set(record, REC_P3, ins.memory.size);
  }

  /** What microcode must know of gathers and VMASKMOV, which address memory element by element. */
  #setElements(record: number): void {
    const ins = this.#instruction;
    const { u8 } = this.#memory;
    if (ins.memIndexSize !== 0) this.#set(record, REC_P2, this.#area + XMM + ins.memIndex * XMM_SIZE);
    u8[record + REC_IMM + ELEMENT_WIDTH] = elementWidth(ins);
    u8[record + REC_IMM + ELEMENT_INDEX_WIDTH] = gatherIndexWidth(ins);
    u8[record + REC_IMM + ELEMENT_BYTES] = (ins.operands[0].kind === OP_REG ? ins.operands[0] : ins.operands[1]).size;
    u8[record + REC_IMM + ELEMENT_INDEX_BYTES] = ins.memIndexSize;
    u8[record + REC_IMM + ELEMENT_SEGMENT] = ins.memSegment;
  }

  #pointer(operand: Operand): number {
    switch (operand.regClass) {
      case RC_GPR: return this.#area + GPR + operand.reg * 8;
      case RC_GPR_HIGH: return this.#area + GPR + operand.reg * 8 + 1;
      case RC_VEC: return this.#area + XMM + operand.reg * XMM_SIZE;
      case RC_MMX: return this.#area + FPR + operand.reg * 16;
      default: return operand.reg;
    }
  }

  #setBranch(record: number, offset: number): void {
    const ins = this.#instruction;
    const target = offset + ins.length + (ins.immLo | 0);
    this.#setImmediate(record, target);
    this.#set(record, REC_LINK, 0);
    const sizeMatters = ins.operandSize === 2;
    if (!sizeMatters && target >= Math.max(0, this.#begin) && target < Math.min(0x1000, this.#end)) this.#memory.u8[record + REC_PREFIX]! |= PREFIX_LINKABLE;
  }

  /** The handler for the decoded instruction, through a cache on what decides it. */
  #handlerNumber(): number {
    const ins = this.#instruction;
    const at = (ins.form << 5) | (sizeBits(ins.operandSize) << 3) | (sizeBits(ins.addressSize) << 1) | (ins.mode === 64 ? 1 : 0);
    const known = this.#numbers[at]!;
    if (known !== 0) return known;
    return (this.#numbers[at] = this.#findHandler());
  }

  #findHandler(): number {
    const ins = this.#instruction;
    const form = forms()[ins.form]!;
    const name = semanticName(form.mnemonic, form.operands, ins.operandSize, ins.addressSize);
    const key = handlerKey(name, form.operands, ins.operandSize, ins.mode === 64);
    const number = this.#host.numbers.get(key) ?? this.#host.numbers.get(name);
    if (number !== undefined) return number;
    this.unknown.set(key, (this.unknown.get(key) ?? 0) + 1);
    return HANDLER_UNDEFINED;
  }
}
