/** The control and status word of the x87. */
import { FCW, FSW } from '../../state/layout.ts';
import type { Emitter, Semantics } from '../emitter.ts';

/** Bits of the control word that can be written; bit 6 always reads one. */
const CONTROL_BITS = 0x1f3f;
const CONTROL_ONE = 0x40;
const MASKS = 0x3f;
const TOP_SHIFT = 11;

function storeControl(b: Emitter): void {
  b.requireX87();
  b.write(0, b.loadI32(b.cpu, FCW));
}

function storeStatus(b: Emitter): void {
  b.requireX87();
  b.write(0, b.or(b.loadI32(b.cpu, FSW), b.shl(b.x87.top(), b.i32(TOP_SHIFT))));
}

/** With all exceptions masked nothing becomes pending. */
function loadControl(b: Emitter): void {
  b.requireX87();
  const value = b.read(0);
  b.leaveToMicrocode(b.ne(b.and(value, b.i32(MASKS)), b.i32(MASKS)));
  b.storeI32(b.cpu, FCW, b.or(b.and(value, b.i32(CONTROL_BITS)), b.i32(CONTROL_ONE)));
}

/** FWAIT: nothing is pending. */
function wait(b: Emitter): void {
  b.requireX87();
}

export const x87ControlSemantics: Readonly<Record<string, Semantics>> = { fnstcw: storeControl, fnstsw: storeStatus, fldcw: loadControl, wait };
