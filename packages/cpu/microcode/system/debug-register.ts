/** MOV DR (SDM vol. 2B; vol. 3B, 19.2). */
import { CR4, DR0, DR6, DR7, NEXT_RIP, RFLAGS_REST, RIP, ST_DISPATCH, ST_NEXT } from "../../src/state/layout";
import { REC_P1, REC_P2 } from "../../src/state/record";
import { CPU_BASED_MOV_DR_EXITING } from "../../../kvm-run/src/vmx/controls";
import {
  DEBUG_REG_ACCESS_REG_SHIFT, EXIT_REASON_DR_ACCESS, TYPE_MOV_FROM_DR, TYPE_MOV_TO_DR,
} from "../../../kvm-run/src/vmx/exit-reasons";
import { get32, get64, set32, set64 } from "../cpu";
import { debugFault, gp0, ud } from "../event";
import { FLAG_BIT_RF } from "../flags";
import { forgetWatched } from "../mmu";
import { CR4_DE, currentPrivilege, in64BitMode } from "../mode";
import { pointer, readRegister, writeRegister } from "../operand";
import { procControl } from "../vmx/controls";
import { exitInstruction, registerNumber } from "../vmx/intercept";

const DR7_GD: i64 = 0x2000;
const DR6_BD: i64 = 0x2000;
const DR6_ONES: i64 = 0xffff0ff0;
const DR6_BITS: i64 = 0xe00f;
const DR7_ONES: i64 = 0x400;
const DR7_BITS: i64 = 0xffff2bff;
const REGISTER_STEP = 8;

/**
 * Zero where the access may go on, else the status of the fault or exit. The exit comes before the faults for privilege and
 * for DR4 and DR5 (SDM vol. 3C, 26.1.3). General detect is a fault: its frame has RF set (vol. 3B, 19.3.1.1).
 */
function check(number: i32, register: usize, type: i32): i32 {
  if (procControl(CPU_BASED_MOV_DR_EXITING)) {
    const qualification = number | type | (registerNumber(register) << DEBUG_REG_ACCESS_REG_SHIFT);
    return exitInstruction(EXIT_REASON_DR_ACCESS, qualification);
  }
  if ((number == 4 || number == 5) && get32(CR4) & CR4_DE) return ud();
  if (currentPrivilege() != 0) return gp0();
  if (!(get64(DR7) & DR7_GD)) return ST_NEXT;
  set32(RFLAGS_REST, get32(RFLAGS_REST) | FLAG_BIT_RF);
  return debugFault(DR6_BD);
}

/** DR4 and DR5 are DR6 and DR7 without CR4.DE. */
function offsetOf(number: i32): usize {
  if (number < 4) return <usize>(DR0 + number * REGISTER_STEP);
  return number & 1 ? DR7 : DR6;
}

export function op_mov_dr_load(rec: usize): i32 {
  const number = <i32>pointer(rec, REC_P1);
  const register = pointer(rec, REC_P2);
  if (number > 7) return ud();
  const status = check(number, register, TYPE_MOV_TO_DR);
  if (status != ST_NEXT) return status;
  const value = readRegister(register, in64BitMode() ? 8 : 4);
  if (number >= 4 && <u64>value >> 32) return gp0();
  writeDr(number, value);
  set64(RIP, get64(NEXT_RIP));
  return ST_DISPATCH;
}

/** Writes a debug register with its fixed bits. */
export function writeDr(number: i32, value: i64): void {
  const offset = offsetOf(number);
  if (number < 4) set64(offset, value);
  else if (number & 1) set64(offset, (value & DR7_BITS) | DR7_ONES);
  else set64(offset, (value & DR6_BITS) | DR6_ONES);
  forgetWatched();
}

export function op_mov_dr_store(rec: usize): i32 {
  const register = pointer(rec, REC_P1);
  const number = <i32>pointer(rec, REC_P2);
  if (number > 7) return ud();
  const status = check(number, register, TYPE_MOV_FROM_DR);
  if (status != ST_NEXT) return status;
  writeRegister(register, in64BitMode() ? 8 : 4, get64(offsetOf(number)));
  return ST_NEXT;
}
