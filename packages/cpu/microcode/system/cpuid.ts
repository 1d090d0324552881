/** CPUID: the table in the area, written at reset by src/system/cpuid.ts. */
import {
  CPUID_COUNT, CPUID_TABLE, CR4, MSR_MISC_ENABLE, MSR_XSS, RAX, RBX, RCX, RDX, ST_NEXT, XCR0,
} from "../../src/state/layout";
import { EXIT_REASON_CPUID } from "../../../kvm-run/src/vmx/exit-reasons";
import { cpu, get32, get64, set64 } from "../cpu";
import { CR4_PKE } from "../mode";
import { inGuest } from "../vmx/controls";
import { exitInstruction } from "../vmx/intercept";

const ENTRY_SIZE = 32;
const SUBLEAF_SIGNIFICANT = 1;
const EXTENDED = <u32>0x80000000;
const OSXSAVE_BIT: u32 = 1 << 27;
const CR4_OSXSAVE = 1 << 18;
const OSPKE_BIT: u32 = 1 << 4;
const MONITOR_BIT: u32 = 1 << 3;
/** IA32_MISC_ENABLE, enable monitor FSM: clear, MONITOR and MWAIT are not there (SDM vol. 4, table 2-2). */
export const MISC_ENABLE_MONITOR = 1 << 18;

/** Results of the last cpuidLookup(). */
export let cpuidA: u32 = 0;
export let cpuidB: u32 = 0;
export let cpuidC: u32 = 0;
export let cpuidD: u32 = 0;

function find(leaf: u32, subleaf: u32): usize {
  const count = get32(CPUID_COUNT);
  for (let i = 0; i < count; i++) {
    const entry = cpu + CPUID_TABLE + <usize>(i * ENTRY_SIZE);
    if (load<u32>(entry) != leaf) continue;
    if (!(load<u32>(entry, 8) & SUBLEAF_SIGNIFICANT) || load<u32>(entry, 4) == subleaf) return entry;
  }
  return 0;
}

/** Beyond the largest basic or extended leaf the data of the largest basic leaf are returned (SDM vol. 2A, CPUID). */
function clamp(leaf: u32): u32 {
  const first = find(leaf & EXTENDED, 0);
  const largest: u32 = first == 0 ? 0 : load<u32>(first, 16);
  if (first != 0 && leaf <= largest) return leaf;
  const basic = find(0, 0);
  return basic == 0 ? leaf : load<u32>(basic, 16);
}

export function cpuidLookup(leaf: u32, subleaf: u32): void {
  const actual = clamp(leaf);
  const entry = find(actual, subleaf);
  cpuidA = entry == 0 ? 0 : load<u32>(entry, 16);
  cpuidB = entry == 0 ? 0 : load<u32>(entry, 20);
  cpuidC = entry == 0 ? 0 : load<u32>(entry, 24);
  cpuidD = entry == 0 ? 0 : load<u32>(entry, 28);
  if (actual == 1) {
    cpuidC = get32(CR4) & CR4_OSXSAVE ? cpuidC | OSXSAVE_BIT : cpuidC & ~OSXSAVE_BIT;
    if (!(get32(MSR_MISC_ENABLE) & MISC_ENABLE_MONITOR)) cpuidC &= ~MONITOR_BIT;
  } else if (actual == 7 && subleaf == 0) cpuidC = get32(CR4) & CR4_PKE ? cpuidC | OSPKE_BIT : cpuidC & ~OSPKE_BIT;
  else if (actual == 0xd) enabledState(subleaf);
  else if (actual == 0xb && entry == 0) cpuidC = subleaf & 0xff;
}

/** Leaf 0xd: EBX of subleaf 0 is the size for what XCR0 enables, of subleaf 1 the compacted size for XCR0 and XSS. */
function enabledState(subleaf: u32): void {
  if (subleaf > 1) return;
  const mask = get64(XCR0) | (subleaf == 1 ? get64(MSR_XSS) : 0);
  const a = cpuidA;
  const c = cpuidC;
  const d = cpuidD;
  let size: u32 = 576;
  for (let component: u32 = 2; component < 63; component++) {
    if (!((mask >> component) & 1)) continue;
    const entry = find(0xd, component);
    if (entry == 0) continue;
    const end = subleaf == 1 ? size + load<u32>(entry, 16) : load<u32>(entry, 16) + load<u32>(entry, 20);
    if (end > size) size = end;
  }
  cpuidA = a;
  cpuidB = subleaf == 1 && !(a & 2) ? 0 : size;
  cpuidC = c;
  cpuidD = d;
}

/** One bit of a leaf: does the processor have the feature? `register` 0 to 3 for EAX, EBX, ECX, EDX. */
export function cpuidBit(leaf: u32, subleaf: u32, register: i32, bit: i32): bool {
  const entry = find(leaf, subleaf);
  return entry != 0 && ((load<u32>(entry + 16 + <usize>(register << 2)) >> bit) & 1) != 0;
}

export function op_cpuid(rec: usize): i32 {
  if (inGuest()) return exitInstruction(EXIT_REASON_CPUID, 0);
  cpuidLookup(<u32>get64(RAX), <u32>get64(RCX));
  set64(RAX, <i64>cpuidA);
  set64(RBX, <i64>cpuidB);
  set64(RCX, <i64>cpuidC);
  set64(RDX, <i64>cpuidD);
  return ST_NEXT;
}
