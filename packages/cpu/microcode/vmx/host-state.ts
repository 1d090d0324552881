/** Loading host state at a VM exit (SDM vol. 3C, 28.5). */
import {
  CR0, CR3, CR4, CS, DR7, DS, ES, FS, GDTR_BASE, GDTR_LIMIT, GS, IDTR_BASE, IDTR_LIMIT, LDTR, MSR_DEBUGCTL, MSR_EFER, MSR_PAT,
  MSR_SYSENTER_CS, MSR_SYSENTER_EIP, MSR_SYSENTER_ESP, RFLAGS_REST, RIP, RSP, SS, TR,
} from "../../src/state/layout";
import { VMX_HOST_IS_CODE } from "../../src/state/vmx-layout";
import {
  VM_EXIT_HOST_ADDR_SPACE_SIZE, VM_EXIT_LOAD_IA32_EFER, VM_EXIT_LOAD_IA32_PAT,
} from "../../../kvm-run/src/vmx/controls";
import {
  HOST_CR0, HOST_CR3, HOST_CR4, HOST_CS_SELECTOR, HOST_DS_SELECTOR, HOST_ES_SELECTOR, HOST_FS_BASE, HOST_FS_SELECTOR,
  HOST_GDTR_BASE, HOST_GS_BASE, HOST_GS_SELECTOR, HOST_IA32_EFER, HOST_IA32_PAT, HOST_IA32_SYSENTER_CS, HOST_IA32_SYSENTER_EIP,
  HOST_IA32_SYSENTER_ESP, HOST_IDTR_BASE, HOST_RIP, HOST_RSP, HOST_SS_SELECTOR, HOST_TR_BASE, HOST_TR_SELECTOR,
  VM_EXIT_CONTROLS,
} from "../../../kvm-run/src/vmx/fields";
import { EFER_LMA, EFER_LME } from "../../../kvm-run/src/vmx/msrs";
import { get32, get64, set32, set64, setSeg } from "../cpu";
import { setFlags } from "../flags";
import { flushTlb, loadPdptes, setApicAccessPage, setEptPointer } from "../mmu";
import { ATTR_UNUSABLE, CR0_PG, CR4_PAE, updateMode } from "../mode";
import { read32, read64 } from "./vmcs";

/** Bits of CR0 that VM entry and exit leave alone: ET, NW, CD and the reserved ones below bit 32. */
export const CR0_KEPT: i64 = 0x7ffaffd0;
const DR7_RESET: i64 = 0x400;
/** Present, code, execute and read, accessed, granularity 4 KiB; present, data, read and write, accessed, 32-bit. */
const CODE_RIGHTS = 0x809b;
const DATA_RIGHTS = 0xc093;
const TSS_RIGHTS = 0x8b;
const RIGHTS_L = 0x2000;
const RIGHTS_DB = 0x4000;
const FLAT: u32 = 0xffffffff;

export function loadHostState(vmcs: usize): void {
  const controls = read32(vmcs, VM_EXIT_CONTROLS);
  const wide = (controls & VM_EXIT_HOST_ADDR_SPACE_SIZE) != 0;
  loadControlState(vmcs, controls, wide);
  loadHostSegments(vmcs, wide);
  set64(GDTR_BASE, read64(vmcs, HOST_GDTR_BASE));
  set32(GDTR_LIMIT, 0xffff);
  set64(IDTR_BASE, read64(vmcs, HOST_IDTR_BASE));
  set32(IDTR_LIMIT, 0xffff);
  set64(RSP, read64(vmcs, HOST_RSP));
  set64(RIP, read64(vmcs, HOST_RIP));
  setFlags(0);
  set32(RFLAGS_REST, 2);
  // Host software in TypeScript has no instructions of its own to fetch and no translations to keep apart.
  if (get32(VMX_HOST_IS_CODE)) enterHostCode();
}

function loadControlState(vmcs: usize, controls: i32, wide: bool): void {
  set64(CR0, (get64(CR0) & CR0_KEPT) | (read64(vmcs, HOST_CR0) & ~CR0_KEPT));
  set64(CR3, read64(vmcs, HOST_CR3));
  set64(CR4, read64(vmcs, HOST_CR4));
  set64(DR7, DR7_RESET);
  set64(MSR_DEBUGCTL, 0);
  set64(MSR_SYSENTER_CS, <i64><u32>read32(vmcs, HOST_IA32_SYSENTER_CS));
  set64(MSR_SYSENTER_ESP, read64(vmcs, HOST_IA32_SYSENTER_ESP));
  set64(MSR_SYSENTER_EIP, read64(vmcs, HOST_IA32_SYSENTER_EIP));
  if (controls & VM_EXIT_LOAD_IA32_PAT) set64(MSR_PAT, read64(vmcs, HOST_IA32_PAT));
  if (controls & VM_EXIT_LOAD_IA32_EFER) set64(MSR_EFER, read64(vmcs, HOST_IA32_EFER));
  const efer = get64(MSR_EFER) & ~<i64>(EFER_LMA | EFER_LME);
  set64(MSR_EFER, wide ? efer | <i64>(EFER_LMA | EFER_LME) : efer);
}

function loadHostSegments(vmcs: usize, wide: bool): void {
  setSeg(CS, read32(vmcs, HOST_CS_SELECTOR), 0, FLAT, CODE_RIGHTS | (wide ? RIGHTS_L : RIGHTS_DB));
  loadData(SS, read32(vmcs, HOST_SS_SELECTOR), 0);
  loadData(DS, read32(vmcs, HOST_DS_SELECTOR), 0);
  loadData(ES, read32(vmcs, HOST_ES_SELECTOR), 0);
  loadData(FS, read32(vmcs, HOST_FS_SELECTOR), read64(vmcs, HOST_FS_BASE));
  loadData(GS, read32(vmcs, HOST_GS_SELECTOR), read64(vmcs, HOST_GS_BASE));
  setSeg(TR, read32(vmcs, HOST_TR_SELECTOR), read64(vmcs, HOST_TR_BASE), 0x67, TSS_RIGHTS);
  setSeg(LDTR, 0, 0, 0, ATTR_UNUSABLE);
}

/** 28.5.2: a null selector makes the segment unusable; its base is loaded all the same (FS, GS). */
function loadData(seg: i32, selector: i32, base: i64): void {
  const rights = DATA_RIGHTS | (selector & 0xffff ? 0 : ATTR_UNUSABLE);
  setSeg(seg, selector, base, FLAT, rights);
}

function enterHostCode(): void {
  setEptPointer(0);
  setApicAccessPage(-1);
  flushTlb();
  updateMode();
  const pae = (get64(CR0) & CR0_PG) != 0 && (get32(CR4) & CR4_PAE) != 0;
  if (pae && !(get32(MSR_EFER) & EFER_LMA)) loadPdptes(get64(CR3));
}
