/** XGETBV, XSETBV, RDPKRU, WRPKRU, RDRAND, RDSEED. */
import { CR4, NEXT_RIP, PKRU, RAX, RCX, RDX, RIP, ST_DISPATCH, ST_NEXT, XCR0 } from "../../src/state/layout";
import { PREFIX_OPSIZE_SHIFT, REC_P1, REC_PREFIX } from "../../src/state/record";
import { RANDOM_STATE } from "../../src/state/vmx-layout";
import { SECONDARY_EXEC_RDRAND_EXITING, SECONDARY_EXEC_RDSEED_EXITING } from "../../../kvm-run/src/vmx/controls";
import { EXIT_REASON_RDRAND, EXIT_REASON_RDSEED, EXIT_REASON_XSETBV } from "../../../kvm-run/src/vmx/exit-reasons";
import { get32, get64, set32, set64 } from "../cpu";
import { gp0, ud } from "../event";
import { FLAG_BIT_CF, setFlags } from "../flags";
import { flushTlbKeys } from "../mmu";
import { CR4_PKE, currentPrivilege, updateMode } from "../mode";
import { pointer, writeRegister } from "../operand";
import { inUse } from "../xsave/components";
import { inGuest, secondaryControl } from "../vmx/controls";
import { exitWithInformation, exitInstruction, registerNumber } from "../vmx/intercept";
import { cpuidA, cpuidD, cpuidLookup } from "./cpuid";

const CR4_OSXSAVE = 1 << 18;
const LOW_HALF: i64 = 0xffffffff;
const X87: i64 = 1;
const SSE: i64 = 2;
const AVX: i64 = 4;

/** The components of XCR0 that CPUID leaf 0xd reports. */
function supportedXcr0(): i64 {
  cpuidLookup(0xd, 0);
  return <i64>cpuidA | (<i64>cpuidD << 32);
}

/** Index 0 is XCR0, index 1 those of its components that are in use (SDM vol. 2D, XGETBV). */
export function op_xgetbv(rec: usize): i32 {
  if (!(get32(CR4) & CR4_OSXSAVE)) return ud();
  const index = <u32>get64(RCX);
  if (index > 1) return gp0();
  const value = index == 0 ? get64(XCR0) : get64(XCR0) & inUse();
  set64(RAX, value & LOW_HALF);
  set64(RDX, (value >> 32) & LOW_HALF);
  return ST_NEXT;
}

export function op_xsetbv(rec: usize): i32 {
  if (!(get32(CR4) & CR4_OSXSAVE)) return ud();
  if (currentPrivilege() != 0) return gp0();
  if (inGuest()) return exitInstruction(EXIT_REASON_XSETBV, 0);
  const value = (get64(RAX) & LOW_HALF) | (get64(RDX) << 32);
  if (<u32>get64(RCX) != 0 || !writeXcr0(value)) return gp0();
  set64(RIP, get64(NEXT_RIP));
  return ST_DISPATCH;
}

/** False: XSETBV raises #GP(0). */
export function writeXcr0(value: i64): bool {
  if (!(value & X87) || value & ~supportedXcr0() || (value & AVX && !(value & SSE))) return false;
  set64(XCR0, value);
  updateMode();
  return true;
}

export function op_rdpkru(rec: usize): i32 {
  if (!(get32(CR4) & CR4_PKE)) return ud();
  if (<u32>get64(RCX) != 0) return gp0();
  set64(RAX, <i64><u32>get32(PKRU));
  set64(RDX, 0);
  return ST_NEXT;
}

export function op_wrpkru(rec: usize): i32 {
  if (!(get32(CR4) & CR4_PKE)) return ud();
  if ((<u32>get64(RCX) | <u32>get64(RDX)) != 0) return gp0();
  writePkru(get32(RAX));
  return ST_NEXT;
}

/** Sets PKRU; translations of the keys whose two bits change are forgotten. Used for host software in TypeScript too. */
export function writePkru(value: i32): void {
  const changed = get32(PKRU) ^ value;
  if (changed == 0) return;
  set32(PKRU, value);
  let keys = 0;
  for (let key = 0; key < 16; key++) if ((changed >> (key << 1)) & 3) keys |= 1 << key;
  flushTlbKeys(keys);
}

/** xorshift64*, seeded by the host software at reset. */
function nextRandom(): i64 {
  let state = <u64>get64(RANDOM_STATE);
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  set64(RANDOM_STATE, <i64>state);
  return <i64>(state * 0x2545f4914f6cdd1d);
}

function random(rec: usize, reason: i32): i32 {
  const register = pointer(rec, REC_P1);
  const size = (<i32>load<u8>(rec + REC_PREFIX) >> PREFIX_OPSIZE_SHIFT) & 3;
  const control = reason == EXIT_REASON_RDRAND ? SECONDARY_EXEC_RDRAND_EXITING : SECONDARY_EXEC_RDSEED_EXITING;
  // Table 28-13: destination register, operand size.
  if (secondaryControl(control))
    return exitWithInformation(reason, 0, (registerNumber(register) << 3) | ((size - 1) << 11));
  writeRegister(register, 1 << size, nextRandom());
  setFlags(FLAG_BIT_CF);
  return ST_NEXT;
}

export function op_rdrand(rec: usize): i32 {
  return random(rec, EXIT_REASON_RDRAND);
}

export function op_rdseed(rec: usize): i32 {
  return random(rec, EXIT_REASON_RDSEED);
}
