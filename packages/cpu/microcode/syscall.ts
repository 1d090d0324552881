/** SYSCALL SYSRET SYSENTER SYSEXIT (SDM vol. 2). */
import {
  CS, MSR_EFER, MSR_LSTAR, MSR_SFMASK, MSR_STAR, MSR_SYSENTER_CS, MSR_SYSENTER_EIP, MSR_SYSENTER_ESP, NEXT_RIP, PENDING_DEBUG, RCX, RDX, RIP,
  RSP, SS, ST_DISPATCH, ST_POLL,
} from "../src/state/layout";
import { STEP_ARMED } from "../src/state/vmx-layout";
import { getGpr, get32, get64, set32, set64, setGpr, setSeg } from "./cpu";
import { gp0, ud } from "./event";
import { FLAG_BIT_IF, FLAG_BIT_RF, FLAG_BIT_TF, FLAG_BIT_VM, FLAGS_ALL, getRflags, setRflags, testFlag } from "./flags";
import { currentPrivilege, EFER_SCE, in64BitMode, inLongMode, inRealOrV86, isCanonical, updateMode } from "./mode";
import { operandSize } from "./operand";
import { interruptWaits } from "./shadow";

const R11 = 11;
const DR6_BS: i64 = 0x4000;
/** Access rights of the flat segments that these instructions load without looking at a table. */
const CODE64 = 0xa09b;
const CODE32 = 0xc09b;
const DATA = 0xc093;
const DPL3 = 0x60;

function loadFlat(seg: i32, selector: i32, attr: i32): void {
  setSeg(seg, selector, 0, 0xffffffff, attr);
}

/**
 * TF counts as it is after SYSCALL and SYSRET, so that a kernel that masks it is not stepped, and a user to whom it returns with TF traps at
 * once (Linux, arch/x86/entry/common.c, on SYSRET with TF; AMD64 Architecture Programmer's Manual vol. 2, 13.1.4).
 */
function stepAfter(): i32 {
  set32(STEP_ARMED, 0);
  if (!testFlag(FLAG_BIT_TF)) return ST_DISPATCH;
  set64(PENDING_DEBUG, get64(PENDING_DEBUG) | DR6_BS);
  return ST_POLL;
}

/** SYSCALL */
export function op_syscall(rec: usize): i32 {
  if (!in64BitMode() || !(get32(MSR_EFER) & EFER_SCE)) return ud();
  const flags = getRflags();
  set64(RCX, get64(NEXT_RIP));
  setGpr(R11, flags & ~FLAG_BIT_RF);
  const selector = <i32>(get64(MSR_STAR) >> 32) & 0xffff;
  setRflags(flags & ~get64(MSR_SFMASK), FLAGS_ALL & ~FLAG_BIT_VM);
  setRflags(0, FLAG_BIT_RF);
  loadFlat(CS, selector & 0xfffc, CODE64);
  loadFlat(SS, selector + 8, DATA);
  set64(RIP, get64(MSR_LSTAR));
  updateMode();
  return stepAfter();
}

/** SYSRET; operand size 64 returns to 64-bit code, 32 to compatibility mode */
export function op_sysret(rec: usize): i32 {
  if (!in64BitMode() || !(get32(MSR_EFER) & EFER_SCE)) return ud();
  if (currentPrivilege() != 0) return gp0();
  const wide = operandSize(rec) == 8;
  const rip = wide ? get64(RCX) : get64(RCX) & 0xffffffff;
  if (!isCanonical(rip)) return gp0();
  const hadIf = testFlag(FLAG_BIT_IF);
  const base = <i32>(get64(MSR_STAR) >> 48) & 0xffff;
  setRflags(getGpr(R11), FLAGS_ALL & ~(FLAG_BIT_RF | FLAG_BIT_VM));
  setRflags(0, FLAG_BIT_RF);
  loadFlat(CS, (base + (wide ? 16 : 0)) | 3, (wide ? CODE64 : CODE32) | DPL3);
  loadFlat(SS, (base + 8) | 3, DATA | DPL3);
  set64(RIP, rip);
  updateMode();
  const status = stepAfter();
  return !hadIf && testFlag(FLAG_BIT_IF) && interruptWaits() ? ST_POLL : status;
}

/** SYSENTER */
export function op_sysenter(rec: usize): i32 {
  const selector = get32(MSR_SYSENTER_CS) & 0xffff;
  if (inRealOrV86() && !testFlag(FLAG_BIT_VM)) return gp0();
  if ((selector & 0xfffc) == 0) return gp0();
  const long = inLongMode();
  setRflags(0, FLAG_BIT_VM | FLAG_BIT_IF | FLAG_BIT_RF);
  loadFlat(CS, selector & 0xfffc, long ? CODE64 : CODE32);
  loadFlat(SS, (selector & 0xfffc) + 8, DATA);
  set64(RSP, long ? get64(MSR_SYSENTER_ESP) : get64(MSR_SYSENTER_ESP) & 0xffffffff);
  set64(RIP, long ? get64(MSR_SYSENTER_EIP) : get64(MSR_SYSENTER_EIP) & 0xffffffff);
  updateMode();
  return ST_DISPATCH;
}

/** SYSEXIT; operand size 64 returns to 64-bit code */
export function op_sysexit(rec: usize): i32 {
  const selector = get32(MSR_SYSENTER_CS) & 0xfffc;
  if (inRealOrV86() || selector == 0 || currentPrivilege() != 0) return gp0();
  const wide = operandSize(rec) == 8;
  const rip = wide ? get64(RDX) : get64(RDX) & 0xffffffff;
  const rsp = wide ? get64(RCX) : get64(RCX) & 0xffffffff;
  if (!isCanonical(rip) || !isCanonical(rsp)) return gp0();
  loadFlat(CS, (selector + (wide ? 32 : 16)) | 3, (wide ? CODE64 : CODE32) | DPL3);
  loadFlat(SS, (selector + (wide ? 40 : 24)) | 3, DATA | DPL3);
  set64(RIP, rip);
  set64(RSP, rsp);
  updateMode();
  return ST_DISPATCH;
}
