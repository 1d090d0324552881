/** RDMSR and WRMSR, with the MSR bitmaps of VMX (SDM vol. 3C, 25.6.9). */
import { NEXT_RIP, RAX, RCX, RDX, RIP, ST_DISPATCH, ST_NEXT } from "../../src/state/layout";
import { CPU_BASED_USE_MSR_BITMAPS } from "../../../kvm-run/src/vmx/controls";
import { EXIT_REASON_MSR_READ, EXIT_REASON_MSR_WRITE } from "../../../kvm-run/src/vmx/exit-reasons";
import { MSR_BITMAP } from "../../../kvm-run/src/vmx/fields";
import { get64, set64 } from "../cpu";
import { gp0 } from "../event";
import { isRam } from "../memory";
import { currentPrivilege } from "../mode";
import { inGuest, procControl } from "../vmx/controls";
import { exitInstruction } from "../vmx/intercept";
import { field64 } from "../vmx/vmcs";
import { msrValue, readMsr, writeMsr } from "./msr";

const LOW_END: u32 = 0x2000;
const HIGH_START: u32 = 0xc0000000;
const HIGH_MAP: u32 = 1024;
const WRITE_MAPS: u32 = 2048;
const LOW_HALF: i64 = 0xffffffff;

/** The bitmap page: reads of low and high MSRs, then writes of low and high ones. MSRs outside both ranges exit. */
function exits(index: u32, write: bool): bool {
  if (!procControl(CPU_BASED_USE_MSR_BITMAPS)) return true;
  let bit: u32;
  let map: u32 = write ? WRITE_MAPS : 0;
  if (index < LOW_END) {
    bit = index;
  } else if (index - HIGH_START < LOW_END) {
    bit = index - HIGH_START;
    map += HIGH_MAP;
  } else return true;
  const bitmap = field64(MSR_BITMAP);
  if (!isRam(bitmap)) return true;
  return ((load<u8>(<usize>bitmap + map + (bit >> 3)) >> (bit & 7)) & 1) != 0;
}

export function op_rdmsr(rec: usize): i32 {
  if (currentPrivilege() != 0) return gp0();
  const index = <u32>get64(RCX);
  if (inGuest() && exits(index, false)) return exitInstruction(EXIT_REASON_MSR_READ, 0);
  if (!readMsr(index)) return gp0();
  set64(RAX, msrValue & LOW_HALF);
  set64(RDX, (msrValue >> 32) & LOW_HALF);
  return ST_NEXT;
}

export function op_wrmsr(rec: usize): i32 {
  if (currentPrivilege() != 0) return gp0();
  const index = <u32>get64(RCX);
  if (inGuest() && exits(index, true)) return exitInstruction(EXIT_REASON_MSR_WRITE, 0);
  const value = (get64(RAX) & LOW_HALF) | (get64(RDX) << 32);
  if (!writeMsr(index, value)) return gp0();
  set64(RIP, get64(NEXT_RIP));
  return ST_DISPATCH;
}
