/**
 * The VMX instructions as x86 code executes them: in a guest each exits (SDM vol. 3C, 26.1.2); in VMX root operation, and
 * VMXON outside, they do their work and tell the result in the flags (31.2).
 */
import {
  CR4, CURRENT_VMCS, LONG_MODE, ST_DISPATCH, ST_FAULT, ST_NEXT, ST_SHUTDOWN,
} from "../../src/state/layout";
import { REC_P1, REC_P2 } from "../../src/state/record";
import { VMX_HOST_IS_CODE } from "../../src/state/vmx-layout";
import {
  EXIT_REASON_INVEPT, EXIT_REASON_INVVPID, EXIT_REASON_VMCALL, EXIT_REASON_VMCLEAR, EXIT_REASON_VMLAUNCH,
  EXIT_REASON_VMOFF, EXIT_REASON_VMON, EXIT_REASON_VMPTRLD, EXIT_REASON_VMPTRST, EXIT_REASON_VMREAD, EXIT_REASON_VMRESUME,
  EXIT_REASON_VMWRITE,
} from "../../../kvm-run/src/vmx/exit-reasons";
import { VMXERR_VMCALL_IN_VMX_ROOT_OPERATION } from "../../../kvm-run/src/vmx/instruction-errors";
import { get32, set32 } from "../cpu";
import { gp0, ud } from "../event";
import { FLAG_BIT_CF, FLAG_BIT_ZF, setFlags } from "../flags";
import { ea, fault, readN, writeN } from "../mmu";
import { CR4_VMXE, currentPrivilege, in64BitMode, inRealOrV86 } from "../mode";
import { pointer, readRegister, writeRegister } from "../operand";
import { inGuest, VMX_OUTSIDE, vmxMode } from "./controls";
import { ENTERED, ENTRY_EXITED, ENTRY_SHUTDOWN, vmentry } from "./entry";
import { displacement, exitInstruction, exitWithInformation, operandInformation, registerNumber } from "./intercept";
import {
  invept, invvpid, vmclear, vmptrld, vmread, vmreadValue, vmwrite, VMXON_FAULT, vmxoff, vmxon,
} from "./region";
import { FAIL_INVALID, FAIL_VALID, vmfail } from "./vmcs";

/** VMsucceed clears the six flags; VMfailInvalid sets CF, VMfailValid ZF. */
function tell(result: i32): i32 {
  setFlags(result == FAIL_INVALID ? FLAG_BIT_CF : result == FAIL_VALID ? FLAG_BIT_ZF : 0);
  return ST_NEXT;
}

/** Not in VMX operation, real or virtual-8086 mode, or compatibility mode: #UD; CPL above 0: #GP(0), but in a guest the exit comes first. */
function refused(): i32 {
  if (vmxMode() == VMX_OUTSIDE || inRealOrV86() || (get32(LONG_MODE) && !in64BitMode())) return ud();
  return currentPrivilege() != 0 && !inGuest() ? gp0() : ST_NEXT;
}

function exitMemory(rec: usize, reason: i32): i32 {
  return exitWithInformation(reason, displacement(rec), operandInformation(rec, 0));
}

/** A 64-bit physical address in memory. */
let address: i64 = 0;

function readAddress(rec: usize): bool {
  address = readN<i64>(ea(rec));
  return fault == 0;
}

export function op_vmxon(rec: usize): i32 {
  if (vmxMode() == VMX_OUTSIDE) {
    if (!(get32(CR4) & CR4_VMXE) || inRealOrV86() || (get32(LONG_MODE) && !in64BitMode())) return ud();
    if (currentPrivilege() != 0) return gp0();
  } else {
    const status = refused();
    if (status != ST_NEXT) return status;
    if (inGuest()) return exitMemory(rec, EXIT_REASON_VMON);
  }
  if (!readAddress(rec)) return ST_FAULT;
  const result = vmxon(address);
  return result == VMXON_FAULT ? gp0() : tell(result);
}

export function op_vmxoff(rec: usize): i32 {
  const status = refused();
  if (status != ST_NEXT) return status;
  return inGuest() ? exitInstruction(EXIT_REASON_VMOFF, 0) : tell(vmxoff());
}

export function op_vmclear(rec: usize): i32 {
  const status = refused();
  if (status != ST_NEXT) return status;
  if (inGuest()) return exitMemory(rec, EXIT_REASON_VMCLEAR);
  return readAddress(rec) ? tell(vmclear(address)) : ST_FAULT;
}

export function op_vmptrld(rec: usize): i32 {
  const status = refused();
  if (status != ST_NEXT) return status;
  if (inGuest()) return exitMemory(rec, EXIT_REASON_VMPTRLD);
  return readAddress(rec) ? tell(vmptrld(address)) : ST_FAULT;
}

export function op_vmptrst(rec: usize): i32 {
  const status = refused();
  if (status != ST_NEXT) return status;
  if (inGuest()) return exitMemory(rec, EXIT_REASON_VMPTRST);
  const current = get32(CURRENT_VMCS);
  return writeN<i64>(ea(rec), current == -1 ? -1 : <i64><u32>current) ? tell(0) : ST_FAULT;
}

/** VMREAD r/m, r and VMWRITE r, r/m: `rm` and `register` are the records' operands. */
function exitField(rec: usize, reason: i32, rm: usize, register: usize): i32 {
  const qualification = rm == 0 ? displacement(rec) : 0;
  return exitWithInformation(reason, qualification, operandInformation(rec, rm) | (registerNumber(register) << 28));
}

function operandBytes(): i32 {
  return in64BitMode() ? 8 : 4;
}

export function op_vmread(rec: usize): i32 {
  const status = refused();
  if (status != ST_NEXT) return status;
  const target = pointer(rec, REC_P1);
  const register = pointer(rec, REC_P2);
  if (inGuest()) return exitField(rec, EXIT_REASON_VMREAD, target, register);
  const result = vmread(readRegister(register, operandBytes()));
  if (result != 0) return tell(result);
  if (target != 0) writeRegister(target, operandBytes(), vmreadValue);
  else if (!(in64BitMode() ? writeN<i64>(ea(rec), vmreadValue) : writeN<i32>(ea(rec), <i32>vmreadValue))) return ST_FAULT;
  return tell(0);
}

export function op_vmwrite(rec: usize): i32 {
  const status = refused();
  if (status != ST_NEXT) return status;
  const register = pointer(rec, REC_P1);
  const source = pointer(rec, REC_P2);
  if (inGuest()) return exitField(rec, EXIT_REASON_VMWRITE, source, register);
  let value: i64;
  if (source != 0) value = readRegister(source, operandBytes());
  else {
    value = in64BitMode() ? readN<i64>(ea(rec)) : <i64>readN<u32>(ea(rec));
    if (fault) return ST_FAULT;
  }
  return tell(vmwrite(readRegister(register, operandBytes()), value));
}

/** VMLAUNCH and VMRESUME by x86 code: the next instruction is the guest's, or the host's at HOST_RIP. */
function enter(reason: i32, launch: i32): i32 {
  const status = refused();
  if (status != ST_NEXT) return status;
  if (inGuest()) return exitInstruction(reason, 0);
  set32(VMX_HOST_IS_CODE, 1);
  const result = vmentry(launch);
  if (result == ENTRY_SHUTDOWN) return ST_SHUTDOWN;
  return result == ENTERED || result == ENTRY_EXITED ? ST_DISPATCH : tell(result);
}

export function op_vmlaunch(rec: usize): i32 {
  return enter(EXIT_REASON_VMLAUNCH, 1);
}

export function op_vmresume(rec: usize): i32 {
  return enter(EXIT_REASON_VMRESUME, 0);
}

/** INVEPT and INVVPID: a type in a register, a descriptor of 16 bytes in memory. */
function invalidate(rec: usize, reason: i32): i32 {
  const status = refused();
  if (status != ST_NEXT) return status;
  const register = pointer(rec, REC_P1);
  if (inGuest()) return exitWithInformation(reason, displacement(rec), operandInformation(rec, 0) | (registerNumber(register) << 28));
  const at = ea(rec);
  const first = readN<i64>(at);
  if (fault) return ST_FAULT;
  const second = readN<i64>(at + 8);
  if (fault) return ST_FAULT;
  const type = readRegister(register, operandBytes());
  return tell(reason == EXIT_REASON_INVEPT ? invept(type, first, second) : invvpid(type, first, second));
}

export function op_invept(rec: usize): i32 {
  return invalidate(rec, EXIT_REASON_INVEPT);
}

export function op_invvpid(rec: usize): i32 {
  return invalidate(rec, EXIT_REASON_INVVPID);
}

/** VMCALL exits at any privilege level. */
export function op_vmcall(rec: usize): i32 {
  if (inGuest()) return exitInstruction(EXIT_REASON_VMCALL, 0);
  const status = refused();
  return status != ST_NEXT ? status : tell(vmfail(VMXERR_VMCALL_IN_VMX_ROOT_OPERATION));
}

/** No VM functions are offered: the control "enable VM functions" is always 0. */
export function op_vmfunc(rec: usize): i32 {
  return ud();
}

/** CR4.SMXE cannot be set: GETSEC is undefined. */
export function op_getsec(rec: usize): i32 {
  return ud();
}

/** There is no system-management mode to return from. */
export function op_rsm(rec: usize): i32 {
  return ud();
}
