/** PUSHA POPA ENTER (SDM vol. 2). */
import { ST_FAULT, ST_NEXT, STACK_MASK } from "../src/state/layout";
import { REC_IMM, REC_P2 } from "../src/state/record";
import { get64, getGpr, setGpr } from "./cpu";
import { ud } from "./event";
import { in64BitMode } from "./mode";
import { operandSize } from "./operand";
import { commitStack, openStack, peek, pop, probeTop, push, skip, stackFault, stackPointer } from "./stack";

const SP = 4;
const BP = 5;

// @ts-ignore: decorator
@inline
function setSized(index: i32, size: i32, value: i64): void {
  if (size == 2) setGpr(index, (getGpr(index) & ~0xffff) | (value & 0xffff));
  else setGpr(index, size == 4 ? value & 0xffffffff : value);
}

/** PUSHA, PUSHAD */
export function op_pusha(rec: usize): i32 {
  if (in64BitMode()) return ud();
  const size = operandSize(rec);
  openStack();
  // The stack pointer that is pushed is the one from before.
  for (let i = 0; i < 8; i++) if (!push(size, getGpr(i))) return ST_FAULT;
  commitStack();
  return ST_NEXT;
}

/** POPA, POPAD */
export function op_popa(rec: usize): i32 {
  if (in64BitMode()) return ud();
  const size = operandSize(rec);
  openStack();
  // All must be readable before the first register changes.
  for (let i = 0; i < 8; i++) {
    peek(size, i * size);
    if (stackFault) return ST_FAULT;
  }
  for (let i = 7; i >= 0; i--) {
    const value = pop(size);
    if (i != SP) setSized(i, size, value);
  }
  commitStack();
  return ST_NEXT;
}

/** ENTER imm16, imm8: IMM is the frame's size, P2 the nesting level */
export function op_enter(rec: usize): i32 {
  const size = operandSize(rec);
  const imm = load<i64>(rec + REC_IMM);
  const level = load<i32>(rec + REC_P2) & 31;
  const mask = get64(STACK_MASK);
  openStack();
  if (!push(size, getGpr(BP))) return ST_FAULT;
  const frame = stackPointer;
  for (let i = 1; i < level; i++) {
    const top = stackPointer;
    // The outer frames' pointers lie below where BP points.
    const value = peek(size, getGpr(BP) - i * size - top);
    if (stackFault || !push(size, value)) return ST_FAULT;
  }
  if (level > 0 && !push(size, frame)) return ST_FAULT;
  skip(-(imm & 0xffff));
  // What the stack pointer points at must be writable (SDM vol. 2A, ENTER).
  if (!probeTop(size)) return ST_FAULT;
  commitStack();
  setSized(BP, size, mask == 0xffff && size == 4 ? frame & 0xffffffff : frame);
  return ST_NEXT;
}
