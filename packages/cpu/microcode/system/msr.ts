/** Model-specific registers (SDM vol. 4): reading and writing them with the checks of RDMSR and WRMSR. */
import {
  CR0, FS, GS, MSR_APIC_BASE, MSR_CSTAR, MSR_DEBUGCTL, MSR_EFER, MSR_FEATURE_CONTROL, MSR_KERNEL_GS_BASE,
  MSR_LSTAR, MSR_MISC_ENABLE, MSR_PAT, MSR_SFMASK, MSR_SPEC_CTRL, MSR_STAR, MSR_SYSENTER_CS, MSR_SYSENTER_EIP,
  MSR_SYSENTER_ESP, MSR_TSC_ADJUST, MSR_TSC_AUX, MSR_XSS, PHYSICAL_BITS, SEG_BASE, TSC_BASE,
} from "../../src/state/layout";
import {
  MC_BANK_COUNT, MSR_MCG_CTL, MSR_MCG_STATUS, MSR_MC_BANKS, MSR_UCODE_REV, TSC_KHZ, VMX_CAPABILITIES, VMX_CAPABILITY_COUNT,
} from "../../src/state/vmx-layout";
import {
  EFER_LMA, EFER_LME, EFER_NX, EFER_SCE, FEAT_CTL_LOCKED, FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX, MSR_FS_BASE, MSR_GS_BASE,
  MSR_IA32_APICBASE, MSR_IA32_APICBASE_BSP, MSR_IA32_APICBASE_ENABLE, MSR_IA32_ARCH_CAPABILITIES, MSR_IA32_CR_PAT,
  MSR_IA32_DEBUGCTLMSR, MSR_IA32_FEAT_CTL, MSR_IA32_MC0_CTL, MSR_IA32_MCG_CAP, MSR_IA32_MCG_CTL, MSR_IA32_MCG_STATUS,
  MSR_IA32_MISC_ENABLE, MSR_IA32_P5_MC_ADDR, MSR_IA32_P5_MC_TYPE, MSR_IA32_PERF_STATUS, MSR_IA32_PLATFORM_ID,
  MSR_IA32_PRED_CMD, MSR_IA32_SPEC_CTRL, MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_EIP, MSR_IA32_SYSENTER_ESP, MSR_IA32_TSC,
  MSR_IA32_TSC_ADJUST, MSR_IA32_UCODE_REV, MSR_IA32_UCODE_WRITE, MSR_IA32_VMX_BASIC, MSR_IA32_XSS,
  MSR_PLATFORM_INFO,
} from "../../../kvm-run/src/vmx/msrs";
import { cpu, get64, segPointer, set64 } from "../cpu";
import { flushTlb } from "../mmu";
import { CR0_PG, isCanonical, updateMode } from "../mode";
import { badPat } from "../vmx/entry-check";
import { physicalTsc, visibleTsc } from "./clock";
import { cpuidBit } from "./cpuid";
import { isMtrr, readMtrr, writeMtrr } from "./mtrr";

const MSR_EFER_NUMBER: u32 = 0xc0000080;
const MSR_STAR_NUMBER: u32 = 0xc0000081;
const MSR_LSTAR_NUMBER: u32 = 0xc0000082;
const MSR_CSTAR_NUMBER: u32 = 0xc0000083;
const MSR_SFMASK_NUMBER: u32 = 0xc0000084;
const MSR_FS_BASE_NUMBER: u32 = <u32>MSR_FS_BASE;
const MSR_GS_BASE_NUMBER: u32 = <u32>MSR_GS_BASE;
const MSR_KERNEL_GS_BASE_NUMBER: u32 = 0xc0000102;
const MSR_TSC_AUX_NUMBER: u32 = 0xc0000103;

export const EFER_SUPPORTED: i64 = EFER_SCE | EFER_LME | EFER_LMA | EFER_NX;
/** LBR and BTF. */
export const DEBUGCTL_SUPPORTED: i64 = 3;
export const DEBUGCTL_BTF: i64 = 2;
/** Banks and MCG_CTL_P. */
const MCG_CAP: i64 = MC_BANK_COUNT | 0x100;
/** Fast strings, and the bits that say what a processor lacks: BTS (11), PEBS (12). */
const MISC_ENABLE_WRITABLE: i64 = 0x400c51889;
const MISC_ENABLE_READ_ONLY: i64 = 0x1880;
const FEATURE_CONTROL_SUPPORTED: i64 = FEAT_CTL_LOCKED | FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX;
const PLATFORM_ID: i64 = 0;
const BUS_KHZ: f64 = 100000;
const APIC_BASE_FLAGS: i64 = MSR_IA32_APICBASE_BSP | MSR_IA32_APICBASE_ENABLE;
const X2APIC_FLAG: i64 = 0x400;
const SPEC_CTRL_SUPPORTED: i64 = 7;

/** What the last successful readMsr() read. */
export let msrValue: i64 = 0;

/** Offset in the area of an MSR that is one plain 64-bit word there, or 0. */
function plainOffset(index: u32): usize {
  switch (index) {
    case MSR_IA32_SYSENTER_CS: return MSR_SYSENTER_CS;
    case MSR_IA32_SYSENTER_ESP: return MSR_SYSENTER_ESP;
    case MSR_IA32_SYSENTER_EIP: return MSR_SYSENTER_EIP;
    case MSR_IA32_CR_PAT: return MSR_PAT;
    case MSR_IA32_APICBASE: return MSR_APIC_BASE;
    case MSR_IA32_FEAT_CTL: return MSR_FEATURE_CONTROL;
    case MSR_IA32_TSC_ADJUST: return MSR_TSC_ADJUST;
    case MSR_IA32_MISC_ENABLE: return MSR_MISC_ENABLE;
    case MSR_IA32_DEBUGCTLMSR: return MSR_DEBUGCTL;
    case MSR_IA32_MCG_STATUS: return MSR_MCG_STATUS;
    case MSR_IA32_MCG_CTL: return MSR_MCG_CTL;
    case MSR_IA32_UCODE_REV: return MSR_UCODE_REV;
    case MSR_EFER_NUMBER: return MSR_EFER;
    case MSR_STAR_NUMBER: return MSR_STAR;
    case MSR_LSTAR_NUMBER: return MSR_LSTAR;
    case MSR_CSTAR_NUMBER: return MSR_CSTAR;
    case MSR_SFMASK_NUMBER: return MSR_SFMASK;
    case MSR_KERNEL_GS_BASE_NUMBER: return MSR_KERNEL_GS_BASE;
    case MSR_TSC_AUX_NUMBER: return MSR_TSC_AUX;
    default: return 0;
  }
}

/** RDMSR without its privilege check: false where it is to raise #GP(0). */
export function readMsr(index: u32): bool {
  const offset = plainOffset(index);
  if (offset != 0) {
    msrValue = get64(offset);
    return true;
  }
  if (index - MSR_IA32_VMX_BASIC < <u32>VMX_CAPABILITY_COUNT) {
    msrValue = get64(<usize>(VMX_CAPABILITIES + ((index - MSR_IA32_VMX_BASIC) << 3)));
    return true;
  }
  if (index - MSR_IA32_MC0_CTL < <u32>(MC_BANK_COUNT * 4)) {
    msrValue = get64(<usize>(MSR_MC_BANKS + ((index - MSR_IA32_MC0_CTL) << 3)));
    return true;
  }
  if (isMtrr(index)) {
    msrValue = readMtrr(index);
    return true;
  }
  return readOther(index);
}

function readOther(index: u32): bool {
  switch (index) {
    case MSR_IA32_TSC: return got(visibleTsc());
    case MSR_FS_BASE_NUMBER: return got(load<i64>(segPointer(FS) + SEG_BASE));
    case MSR_GS_BASE_NUMBER: return got(load<i64>(segPointer(GS) + SEG_BASE));
    case MSR_IA32_MCG_CAP: return got(MCG_CAP);
    case MSR_IA32_PLATFORM_ID: return got(PLATFORM_ID);
    case MSR_IA32_P5_MC_ADDR:
    case MSR_IA32_P5_MC_TYPE: return got(0);
    // Bits 15:8: the ratio of the TSC to the bus clock.
    case MSR_PLATFORM_INFO:
    case MSR_IA32_PERF_STATUS: return got(<i64>Math.round(load<f64>(cpu + TSC_KHZ) / BUS_KHZ) << 8);
    case MSR_IA32_XSS: return cpuidBit(0xd, 1, 0, 3) && got(get64(MSR_XSS));
    case MSR_IA32_SPEC_CTRL: return cpuidBit(7, 0, 3, 26) && got(get64(MSR_SPEC_CTRL));
    case MSR_IA32_ARCH_CAPABILITIES: return cpuidBit(7, 0, 3, 29) && got(ARCH_CAPABILITIES);
    default: return false;
  }
}

/**
 * The processor speculates nothing: RDCL_NO, IBRS_ALL, SKIP_L1DFL_VMENTRY, SSB_NO, MDS_NO, IF_PSCHANGE_MC_NO, TAA_NO,
 * SBDR_SSDP_NO, FBSDP_NO, PSDP_NO, PBRSB_NO, GDS_NO, RFDS_NO.
 */
const ARCH_CAPABILITIES: i64 = 0x0d00e17b;

function got(value: i64): bool {
  msrValue = value;
  return true;
}

/**
 * WRMSR without its privilege check: false where it is to raise #GP(0). `entry`: VM entry loads the MSR, and EFER's
 * LMA must be what the entry has set already (SDM vol. 3C, 27.4).
 */
export function writeMsr(index: u32, value: i64, entry: bool = false): bool {
  switch (index) {
    case MSR_EFER_NUMBER: return writeEfer(value) && (!entry || !((get64(MSR_EFER) ^ value) & EFER_LMA));
    case MSR_IA32_SYSENTER_CS:
    case MSR_STAR_NUMBER:
    case MSR_SFMASK_NUMBER: return put(plainOffset(index), value);
    case MSR_TSC_AUX_NUMBER: return !(<u64>value >> 32) && put(MSR_TSC_AUX, value);
    case MSR_IA32_SYSENTER_ESP:
    case MSR_IA32_SYSENTER_EIP:
    case MSR_LSTAR_NUMBER:
    case MSR_CSTAR_NUMBER:
    case MSR_KERNEL_GS_BASE_NUMBER: return isCanonical(value) && put(plainOffset(index), value);
    case MSR_FS_BASE_NUMBER: return writeBase(FS, value);
    case MSR_GS_BASE_NUMBER: return writeBase(GS, value);
    case MSR_IA32_CR_PAT: return !badPat(value) && put(MSR_PAT, value);
    default: return writeOther(index, value);
  }
}

function writeOther(index: u32, value: i64): bool {
  switch (index) {
    case MSR_IA32_TSC: return writeTsc(value - physicalTsc());
    case MSR_IA32_TSC_ADJUST: return writeTsc(value - get64(MSR_TSC_ADJUST));
    case MSR_IA32_APICBASE: return writeApicBase(value);
    case MSR_IA32_FEAT_CTL: return writeFeatureControl(value);
    case MSR_IA32_MISC_ENABLE: return writeMiscEnable(value);
    case MSR_IA32_DEBUGCTLMSR: return !(value & ~DEBUGCTL_SUPPORTED) && put(MSR_DEBUGCTL, value);
    case MSR_IA32_SPEC_CTRL: return cpuidBit(7, 0, 3, 26) && !(value & ~SPEC_CTRL_SUPPORTED) && put(MSR_SPEC_CTRL, value);
    case MSR_IA32_PRED_CMD: return cpuidBit(7, 0, 3, 26) && !(value & ~1);
    case MSR_IA32_XSS: return cpuidBit(0xd, 1, 0, 3) && value == 0 && put(MSR_XSS, value);
    case MSR_IA32_MCG_STATUS: return !(value & ~7) && put(MSR_MCG_STATUS, value);
    case MSR_IA32_MCG_CTL: return (value == 0 || value == -1) && put(MSR_MCG_CTL, value);
    // Bits 31:0 are reserved; writing them before CPUID is how the revision is asked for.
    case MSR_IA32_UCODE_REV: return true;
    case MSR_IA32_UCODE_WRITE: return true;
    case MSR_IA32_P5_MC_ADDR:
    case MSR_IA32_P5_MC_TYPE: return true;
    default: break;
  }
  if (index - MSR_IA32_MC0_CTL < <u32>(MC_BANK_COUNT * 4)) return writeBank(index - MSR_IA32_MC0_CTL, value);
  return isMtrr(index) && writeMtrr(index, value);
}

function put(offset: usize, value: i64): bool {
  set64(offset, value);
  return true;
}

function writeBase(seg: i32, value: i64): bool {
  if (!isCanonical(value)) return false;
  store<i64>(segPointer(seg) + SEG_BASE, value);
  return true;
}

/** LMA is the processor's own; LME must not change while paging is on. */
function writeEfer(value: i64): bool {
  const old = get64(MSR_EFER);
  if (value & ~EFER_SUPPORTED) return false;
  if ((value ^ old) & EFER_LME && get64(CR0) & CR0_PG) return false;
  set64(MSR_EFER, (value & ~<i64>EFER_LMA) | (old & EFER_LMA));
  if ((value ^ old) & EFER_NX) flushTlb();
  updateMode();
  return true;
}

/** Writes to the TSC and to IA32_TSC_ADJUST move both by the same amount (SDM vol. 3B, 18.17.3). */
function writeTsc(delta: i64): bool {
  set64(TSC_BASE, get64(TSC_BASE) + delta);
  set64(MSR_TSC_ADJUST, get64(MSR_TSC_ADJUST) + delta);
  return true;
}

/** The processor has no local APIC of its own behind this register: it keeps the base, and refuses x2APIC mode. */
function writeApicBase(value: i64): bool {
  const reserved = ~(((<i64>1 << PHYSICAL_BITS) - 1) & ~0xfff) & ~APIC_BASE_FLAGS;
  return !(value & (reserved | X2APIC_FLAG)) && put(MSR_APIC_BASE, value);
}

function writeFeatureControl(value: i64): bool {
  if (get64(MSR_FEATURE_CONTROL) & FEAT_CTL_LOCKED || value & ~FEATURE_CONTROL_SUPPORTED) return false;
  return put(MSR_FEATURE_CONTROL, value);
}

function writeMiscEnable(value: i64): bool {
  const old = get64(MSR_MISC_ENABLE);
  return put(MSR_MISC_ENABLE, (value & MISC_ENABLE_WRITABLE & ~MISC_ENABLE_READ_ONLY) | (old & MISC_ENABLE_READ_ONLY));
}

/** CTL takes all zeros or all ones in effect; STATUS, ADDR and MISC may be cleared, and nothing else (SDM vol. 3B, 16.3.2). */
function writeBank(register: u32, value: i64): bool {
  if ((register & 3) != 0 && value != 0) return false;
  return put(<usize>(MSR_MC_BANKS + (register << 3)), value);
}
