/** What a region takes for granted, looked at where it is entered: it refuses to run where that is not so. */
import {
  CS, FS, SEG, SEG_BASE, SEG_LIMIT, SEG_SIZE, SS, STACK_HIGH, STACK_LOW, STACK_MASK, TLB_SET, X87_BLOCKED,
} from '../state/layout.ts';
import type { Label } from '../wasm/function-builder.ts';
import type { ConstantEmitter } from './constant-emitter.ts';
import { relativeTarget } from './discover.ts';
import type { RegionInstruction } from './region.ts';
import type { Shape } from './structure.ts';

/** Words of the area that say that the stack is flat in legacy modes, and their values then. */
export const FLAT_STACK: readonly (readonly [word: number, value: 0 | 0xffff_ffff])[] = [
  [STACK_MASK, 0xffff_ffff], [STACK_LOW, 0], [STACK_HIGH, 0xffff_ffff], [SEG + SS * SEG_SIZE + SEG_BASE, 0],
];

const LIMIT_16 = 0xffff;

/** Branches to `refuse` unless all that the code of the region relies on is so. `mode`: 16, 32 or 64. */
export function guardRegion(b: ConstantEmitter, shape: Shape, mode: number, tlbSet: number, refuse: Label): void {
  b.brIf(refuse, b.ne(b.loadI32(b.cpu, TLB_SET), b.i32(tlbSet)));
  const instructions = shape.order.flatMap((block) => block.instructions);
  if (mode === 64) guardTargets(b, instructions, refuse);
  else b.segments.add(CS);
  if (mode === 16) guardRange(b, instructions, refuse);
  if (b.needsFlatStack) guardStack(b, refuse);
  for (const segment of b.segments) guardSegment(b, segment, mode === 16, refuse);
  for (const word of b.blocked) b.brIf(refuse, word === X87_BLOCKED ? b.x87Special() : b.loadI32(b.cpu, word));
}

/**
 * No relative branch may lead out of the canonical addresses: it would fault itself, before it pushes or counts. That takes code
 * near their end, so it is enough that bit 47 is the same around all targets.
 */
function guardTargets(b: ConstantEmitter, instructions: readonly RegionInstruction[], refuse: Label): void {
  const targets = instructions.map(relativeTarget).filter((target) => target !== null);
  const [least, most] = [Math.min(0, ...targets), Math.max(0, ...targets)];
  if (least === 0 && most < 0x1000) return;
  const differ = b.xor(b.add(b.pageRip, b.i64(least)), b.add(b.pageRip, b.i64(most)));
  b.brIf(refuse, b.ltS(b.shl(differ, b.i64(16)), b.i64(0)));
}

/** In 16-bit code IP must not wrap between the region's instructions: it stays within 64 KiB on all ways. */
function guardRange(b: ConstantEmitter, instructions: readonly RegionInstruction[], refuse: Label): void {
  const places = instructions.flatMap((found) => [found.offset, found.offset + found.ins.length, relativeTarget(found) ?? found.offset]);
  for (const offset of [Math.min(...places), Math.max(...places)])
    b.brIf(refuse, b.int('gtU', b.add(b.pageRip, b.i64(offset)), b.i64(LIMIT_16)));
}

/**
 * All of 4 GiB can be addressed, in 16-bit code 64 KiB: the limit, for data also base and rights (writable, not expand-down;
 * SDM vol. 3A, 3.4.5.1). 16-bit code adds the base.
 */
function guardSegment(b: ConstantEmitter, segment: number, narrow: boolean, refuse: Label): void {
  const at = SEG + segment * SEG_SIZE;
  const limit = b.loadI32(b.cpu, at + SEG_LIMIT);
  b.brIf(refuse, narrow ? b.ltU(limit, b.i32(LIMIT_16)) : b.ne(limit, b.i32(-1)));
  if (segment === CS) return;
  b.brIf(refuse, b.isNotWritableData(b.cpu, at));
  if (segment < FS && !narrow) b.brIf(refuse, b.ne(b.loadI64(b.cpu, at + SEG_BASE), b.i64(0)));
}

/** The stack is still flat. */
function guardStack(b: ConstantEmitter, refuse: Label): void {
  for (const [word, wanted] of FLAT_STACK) b.brIf(refuse, b.ne(b.loadI64(b.cpu, word), wanted === 0 ? b.i64(0) : b.i64(-1, 0)));
}
