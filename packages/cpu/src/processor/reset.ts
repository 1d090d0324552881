/** The processor's state after power-up (SDM vol. 3A, table 10-1), and the tables of the area that never change. */
import type { HostMemory } from '@vm/kvm-run';
import * as L from '../state/layout.ts';
import * as X from '../state/vmx-layout.ts';
import { cpuidTable } from '../system/cpuid.ts';
import { VMX_CAPABILITY_MSRS } from '../vmx/capabilities.ts';
import { fieldMasks } from '../vmx/vmcs-fields.ts';

export interface ResetOptions {
  readonly id: number;
  readonly tscKhz: number;
  readonly deterministic: boolean;
  /** Seed of RDRAND and RDSEED: two words, not both zero. */
  readonly seed: readonly [number, number];
}

const CODE_RIGHTS = 0x9b;
const DATA_RIGHTS = 0x93;
const LDT_RIGHTS = 0x82;
const TSS_RIGHTS = 0x8b;
const RESET_RIP = 0xfff0;
const RESET_CS_BASE = 0xffff0000;
const CR0_RESET = 0x60000010;
const DR6_RESET = 0xffff0ff0;
const DR7_RESET = 0x400;
const PAT_LOW = 0x00070406;
const PAT_HIGH = 0x00070406;
const APIC_BASE = 0xfee00800;
const APIC_BSP = 0x100;
/** Fast strings, MONITOR; no BTS, no PEBS. */
const MISC_ENABLE = 0x41801;
const MXCSR_RESET = 0x1f80;
const FCW_RESET = 0x40;
const NO_VMCS = -1;

/** Writes an i64 field as two halves. */
function put64(memory: HostMemory, area: number, offset: number, low: number, high = 0): void {
  memory.i32[(area + offset) >>> 2] = low;
  memory.i32[(area + offset + 4) >>> 2] = high;
}

function put32(memory: HostMemory, area: number, offset: number, value: number): void {
  memory.i32[(area + offset) >>> 2] = value;
}

/** Puts the processor whose area is at `area` (zeroed) into the reset state. The microcode's updateMode() must follow. */
export function resetProcessor(memory: HostMemory, area: number, options: ResetOptions): void {
  resetRegisters(memory, area, options.id);
  resetSegments(memory, area);
  resetMsrs(memory, area, options.id);
  resetVmx(memory, area, options);
  put32(memory, area, L.EVENT_VECTOR, -1);
  put32(memory, area, L.EXIT_REASON, -1);
  put32(memory, area, L.PAGE_FLAGS, memory.pageFlags);
  put32(memory, area, L.HOST_PAGES, memory.pages);
  put32(memory, area, L.HOST_IF, 0);
  writeCpuid(memory, area, options);
  memory.u8.fill(0xff, area + L.EPT_CACHE, area + L.EPT_CACHE + L.EPT_CACHE_ENTRIES * 16);
}

function resetRegisters(memory: HostMemory, area: number, id: number): void {
  // EDX: the processor's signature.
  const signature = cpuidTable({ apicId: id, tscKhz: 1 }).find((entry) => entry.leaf === 1)!.eax;
  put64(memory, area, L.RDX, signature);
  put64(memory, area, L.RIP, RESET_RIP);
  put32(memory, area, L.RFLAGS_REST, 2);
  // ZF clear and parity odd: result 1.
  put64(memory, area, L.FLAG_RES, 1);
  put64(memory, area, L.CR0, CR0_RESET);
  put64(memory, area, L.XCR0, 1);
  put64(memory, area, L.DR6, DR6_RESET);
  put64(memory, area, L.DR7, DR7_RESET);
  put32(memory, area, L.FCW, FCW_RESET);
  put32(memory, area, L.FTAG, 0xff);
  put32(memory, area, L.MXCSR, MXCSR_RESET);
}

function putSegment(memory: HostMemory, area: number, segment: number, selector: number, base: number, rights: number): void {
  const at = L.SEG + segment * L.SEG_SIZE;
  put64(memory, area, at + L.SEG_BASE, base);
  put32(memory, area, at + L.SEG_LIMIT, 0xffff);
  put32(memory, area, at + L.SEG_ATTR, rights);
  put32(memory, area, at + L.SEG_SELECTOR, selector);
}

function resetSegments(memory: HostMemory, area: number): void {
  putSegment(memory, area, L.CS, 0xf000, RESET_CS_BASE, CODE_RIGHTS);
  for (const segment of [L.ES, L.SS, L.DS, L.FS, L.GS]) putSegment(memory, area, segment, 0, 0, DATA_RIGHTS);
  putSegment(memory, area, L.LDTR, 0, 0, LDT_RIGHTS);
  putSegment(memory, area, L.TR, 0, 0, TSS_RIGHTS);
  put32(memory, area, L.GDTR_LIMIT, 0xffff);
  put32(memory, area, L.IDTR_LIMIT, 0xffff);
}

function resetMsrs(memory: HostMemory, area: number, id: number): void {
  put64(memory, area, L.MSR_PAT, PAT_LOW, PAT_HIGH);
  put64(memory, area, L.MSR_APIC_BASE, APIC_BASE | (id === 0 ? APIC_BSP : 0));
  put64(memory, area, L.MSR_MISC_ENABLE, MISC_ENABLE);
  put32(memory, area, L.APIC_ID, id);
}

function resetVmx(memory: HostMemory, area: number, options: ResetOptions): void {
  put32(memory, area, L.CURRENT_VMCS, NO_VMCS);
  put32(memory, area, X.VMXON_POINTER, NO_VMCS);
  put32(memory, area, X.TLB_TAG_VPID, -1);
  memory.view.setFloat64(area + X.VMX_TIMER_DEADLINE, Infinity, true);
  memory.view.setFloat64(area + X.LOCAL_TIMER_DEADLINE, Infinity, true);
  memory.view.setFloat64(area + X.TSC_KHZ, options.tscKhz, true);
  put32(memory, area, X.DETERMINISTIC, options.deterministic ? 1 : 0);
  put64(memory, area, X.RANDOM_STATE, options.seed[0], options.seed[1]);
  VMX_CAPABILITY_MSRS.forEach(([low, high], i) => put64(memory, area, X.VMX_CAPABILITIES + i * 8, low, high));
  fieldMasks().forEach((mask, i) => put32(memory, area, X.VMCS_FIELD_MASKS + i * 4, mask));
}

function writeCpuid(memory: HostMemory, area: number, options: ResetOptions): void {
  const entries = cpuidTable({ apicId: options.id, tscKhz: options.tscKhz });
  entries.forEach((entry, i) => {
    const words = [entry.leaf, entry.subleaf, entry.significant ? 1 : 0, 0, entry.eax, entry.ebx, entry.ecx, entry.edx];
    memory.u32.set(words, (area + L.CPUID_TABLE) / 4 + i * words.length);
  });
  put32(memory, area, L.CPUID_COUNT, entries.length);
}
