/**
 * The way from a region to the next one: RIP is looked up as the interpreter's dispatch does it (execute TLB, then the traces by
 * host address), and the region that stands at the head of the trace is called in tail position. Whatever is out of the
 * ordinary is left to the dispatch.
 */
import { tlbOffset } from '../semantics/tlb-entry.ts';
import {
  CS, PAGE_RIP, SEG, SEG_BASE, SEG_SIZE, TLB_EXECUTE, TLB_SET, TRACE_HASH, TRACE_HASH_MULTIPLIER, TRACE_HASH_SHIFT,
} from '../state/layout.ts';
import { HANDLER_REGION, REC_HANDLER, REC_IMM } from '../state/record.ts';
import type { FunctionBuilder, Label, Value } from '../wasm/function-builder.ts';
import * as op from '../wasm/opcodes.ts';

/** CODE_MODE by the width of code. */
export const CODE_MODES: Readonly<Record<number, number>> = { 16: 0, 32: 1, 64: 2 };

/** Where regions are called: the table that they share, and their type, in the module being made. */
export interface RegionCallee {
  readonly table: number;
  readonly type: number;
}

/** Calls the region at RIP, with all state in the area but PAGE_RIP; branches to `giveUp` where there is none. */
export function chain(b: FunctionBuilder, cpu: Value, mode: number, rip: Value, callee: RegionCallee, giveUp: Label): void {
  const linear = mode === 64 ? rip : b.and(b.add(rip, b.loadI64(cpu, SEG + CS * SEG_SIZE + SEG_BASE)), b.i64(-1, 0));
  const entry = b.add(b.loadI32(cpu, TLB_SET), tlbOffset(b, linear));
  b.brIf(giveUp, b.ne(b.loadI64(entry, TLB_EXECUTE), b.and(linear, b.i64(-0x1000))));
  const host = b.add(b.wrap(linear), b.loadI32(entry, TLB_EXECUTE + 8));
  const hashed = b.shrU(b.mul(host, b.i32(TRACE_HASH_MULTIPLIER)), b.i32(TRACE_HASH_SHIFT));
  const slot = b.shl(b.xor(hashed, b.i32(CODE_MODES[mode]!)), b.i32(3));
  const traces = cpu.lo + TRACE_HASH;
  b.brIf(giveUp, b.ne(b.loadI32(slot, traces), host));
  const record = b.loadI32(slot, traces + 4);
  b.brIf(giveUp, b.ne(b.load(op.I32_LOAD16_U, record, REC_HANDLER), b.i32(HANDLER_REGION)));
  b.storeI64(cpu, PAGE_RIP, b.sub(rip, b.extendU(b.and(host, b.i32(0xfff)))));
  b.returnCallIndirect(callee.table, callee.type, b.loadI32(record, REC_IMM));
}
