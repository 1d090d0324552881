/** A processor in VMX root operation with a small guest, for tests: 2 MiB of memory behind EPT, long or real mode. */
import { HostMemory } from '@vm/kvm-run';
import * as V from '@vm/kvm-run/vmx';
import type { Processor } from '@vm/kvm-run/vmx';
import type { JitOptions } from '../jit/jit.ts';
import { assembleProcessor, type AssembledProcessor } from '../processor/create-processor.ts';
import { VMCS_REVISION_ID } from '../state/vmx-layout.ts';
import { TEST_JIT } from './test-jit.ts';

export const GUEST_CODE = 0x1_0000;
export const GUEST_STACK = 0x2_0000;
export const GUEST_IDT = 0x5000;
const GUEST_GDT = 0x4000;
const GUEST_TSS = 0x6000;
const GUEST_PML4 = 0x1000;
const GUEST_PDPT = 0x2000;
const GUEST_PD = 0x3000;
const GUEST_PAGES = 512;
const HOST_CS = 0x10;
const HOST_DS = 0x18;
const HOST_TR = 0x20;
const EPT_RWX_WB = 0x37;
const LARGE = 0x80;
const FLAT = 0xffffffff;

const PIN = V.PIN_BASED_EXT_INTR_MASK | V.PIN_BASED_NMI_EXITING | V.PIN_BASED_VIRTUAL_NMIS;
const PROC = V.CPU_BASED_HLT_EXITING | V.CPU_BASED_UNCOND_IO_EXITING | V.CPU_BASED_ACTIVATE_SECONDARY_CONTROLS;
const PROC2 =
  V.SECONDARY_EXEC_ENABLE_EPT | V.SECONDARY_EXEC_UNRESTRICTED_GUEST | V.SECONDARY_EXEC_ENABLE_VPID |
  V.SECONDARY_EXEC_ENABLE_RDTSCP;
const EXIT = V.VM_EXIT_HOST_ADDR_SPACE_SIZE | V.VM_EXIT_ACK_INTR_ON_EXIT | V.VM_EXIT_LOAD_IA32_EFER | V.VM_EXIT_SAVE_IA32_EFER;
const ENTRY = V.VM_ENTRY_LOAD_IA32_EFER;

export interface VmxGuestOptions {
  readonly mode?: 'long' | 'real';
  readonly deterministic?: boolean;
  readonly jit?: JitOptions | null;
}

export class VmxGuest {
  readonly memory: HostMemory;
  readonly processor: Processor & { dispose(): void };
  readonly parts: AssembledProcessor;
  readonly vmxon: number;
  readonly vmcs: number;
  /** Host address of guest-physical address 0. */
  readonly ram: number;
  readonly ept: number;
  #launched = false;

  constructor(options: VmxGuestOptions = {}) {
    const { mode = 'long', deterministic = true, jit = TEST_JIT } = options;
    this.memory = HostMemory.create(64 << 20);
    this.parts = assembleProcessor({ memory: this.memory, deterministic, traceArenaBytes: 1 << 20, jit });
    this.processor = this.parts.processor;
    this.ram = this.memory.allocPages(GUEST_PAGES, GUEST_PAGES);
    this.vmxon = this.memory.allocPages(1);
    this.vmcs = this.memory.allocPages(1);
    this.ept = this.memory.allocPages(3);
    this.#enterLongMode();
    for (const region of [this.vmxon, this.vmcs]) this.memory.u32[region >>> 2] = VMCS_REVISION_ID;
    this.#vmxon();
    this.#mapGuest();
    this.#controls();
    this.#hostState();
    this.#guestState(mode);
  }

  #enterLongMode(): void {
    const { processor } = this;
    const gdt = this.memory.allocPages(1);
    const put = (selector: number, low: number, high: number): void => {
      this.memory.u32[(gdt + selector) >>> 2] = low;
      this.memory.u32[(gdt + selector + 4) >>> 2] = high;
    };
    put(HOST_CS, 0xffff, 0x00af9b00);
    put(HOST_DS, 0xffff, 0x00cf9300);
    put(HOST_TR, (0x1000 << 16) | 0x67, 0x00008900);
    processor.writeCr(4, 0x2620, 0);
    processor.wrmsr(V.MSR_EFER, V.EFER_SCE | V.EFER_LME | V.EFER_NX, 0);
    processor.writeCr(0, 0x80010033, 0);
    processor.lgdt(gdt, 0xff);
    processor.loadSelector('cs', HOST_CS);
    processor.loadSelector('ss', HOST_DS);
    processor.loadSelector('tr', HOST_TR);
  }

  #vmxon(): void {
    this.processor.wrmsr(V.MSR_IA32_FEAT_CTL, V.FEAT_CTL_LOCKED | V.FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX, 0);
    this.processor.vmxon(this.vmxon);
    this.processor.vmclear(this.vmcs);
    this.processor.vmptrld(this.vmcs);
  }

  #mapGuest(): void {
    const [pml4, pdpt, pd] = [this.ept, this.ept + 0x1000, this.ept + 0x2000];
    this.memory.u32[pml4 >>> 2] = pdpt | 7;
    this.memory.u32[pdpt >>> 2] = pd | 7;
    this.memory.u32[pd >>> 2] = this.ram | EPT_RWX_WB | LARGE;
  }

  /** A control field with the bits that must be one. */
  control(field: number, msr: number, bits: number): void {
    const must = this.processor.rdmsr(msr);
    this.write(field, (must | bits) >>> 0);
  }

  #controls(): void {
    this.control(V.PIN_BASED_VM_EXEC_CONTROL, V.MSR_IA32_VMX_TRUE_PINBASED_CTLS, PIN);
    this.control(V.CPU_BASED_VM_EXEC_CONTROL, V.MSR_IA32_VMX_TRUE_PROCBASED_CTLS, PROC);
    this.write(V.SECONDARY_VM_EXEC_CONTROL, PROC2);
    this.control(V.VM_EXIT_CONTROLS, V.MSR_IA32_VMX_TRUE_EXIT_CTLS, EXIT);
    this.control(V.VM_ENTRY_CONTROLS, V.MSR_IA32_VMX_TRUE_ENTRY_CTLS, ENTRY);
    this.write(V.EPT_POINTER, this.ept | V.VMX_EPTP_MT_WB | V.VMX_EPTP_PWL_4);
    this.write(V.VIRTUAL_PROCESSOR_ID, 1);
    this.write(V.VMCS_LINK_POINTER, FLAT, FLAT);
  }

  #hostState(): void {
    const { processor } = this;
    this.write(V.HOST_CR0, processor.readCr(0));
    this.write(V.HOST_CR3, processor.readCr(3));
    this.write(V.HOST_CR4, processor.readCr(4));
    this.write(V.HOST_IA32_EFER, processor.rdmsr(V.MSR_EFER));
    this.write(V.HOST_CS_SELECTOR, HOST_CS);
    this.write(V.HOST_SS_SELECTOR, HOST_DS);
    this.write(V.HOST_TR_SELECTOR, HOST_TR);
    this.write(V.HOST_RIP, 0x1000);
  }

  #guestState(mode: 'long' | 'real'): void {
    for (const offset of [0, 2, 4, 6, 8, 10]) {
      this.write(V.GUEST_ES_LIMIT + offset, mode === 'long' ? FLAT : 0xffff);
      this.write(V.GUEST_ES_AR_BYTES + offset, mode === 'long' ? 0xc093 : 0x93);
      this.write(V.GUEST_ES_SELECTOR + offset, mode === 'long' ? 0x10 : 0);
    }
    this.write(V.GUEST_CS_AR_BYTES, mode === 'long' ? 0xa09b : 0x9b);
    this.write(V.GUEST_CS_SELECTOR, mode === 'long' ? 8 : 0);
    this.write(V.GUEST_TR_AR_BYTES, 0x8b);
    this.write(V.GUEST_TR_LIMIT, 0x67);
    this.write(V.GUEST_TR_BASE, GUEST_TSS);
    this.write(V.GUEST_LDTR_AR_BYTES, V.VMX_AR_UNUSABLE_MASK);
    this.write(V.GUEST_GDTR_BASE, GUEST_GDT);
    this.write(V.GUEST_GDTR_LIMIT, 0x3f);
    this.write(V.GUEST_IDTR_BASE, mode === 'long' ? GUEST_IDT : 0);
    this.write(V.GUEST_IDTR_LIMIT, mode === 'long' ? 0xfff : 0x3ff);
    this.write(V.GUEST_CR0, mode === 'long' ? 0x80000031 : 0x30);
    this.write(V.GUEST_CR4, mode === 'long' ? 0x2020 : 0x2000);
    this.write(V.GUEST_DR7, 0x400);
    this.write(V.GUEST_RFLAGS, 2);
    this.write(V.GUEST_RIP, GUEST_CODE & (mode === 'long' ? -1 : 0xffff));
    this.write(V.GUEST_RSP, mode === 'long' ? GUEST_STACK : 0x8000);
    if (mode === 'real') {
      this.write(V.GUEST_CS_SELECTOR, GUEST_CODE >> 4);
      this.write(V.GUEST_CS_BASE, GUEST_CODE);
      return;
    }
    this.write(V.GUEST_IA32_EFER, V.EFER_LME | V.EFER_LMA | V.EFER_SCE | V.EFER_NX);
    this.set(V.VM_ENTRY_CONTROLS, V.VM_ENTRY_IA32E_MODE);
    this.#longTables();
  }

  #longTables(): void {
    const { u32 } = this.memory;
    const at = (gpa: number): number => (this.ram + gpa) >>> 2;
    u32[at(GUEST_PML4)] = GUEST_PDPT | 7;
    u32[at(GUEST_PDPT)] = GUEST_PD | 7;
    u32[at(GUEST_PD)] = LARGE | 7;
    this.write(V.GUEST_CR3, GUEST_PML4);
    u32.set([0, 0, 0xffff, 0x00af9b00, 0xffff, 0x00cf9300, 0xffff, 0x00affb00], at(GUEST_GDT));
  }

  /** Sets an interrupt gate of the long-mode IDT. */
  gate(vector: number, target: number): void {
    this.memory.u32.set([(8 << 16) | (target & 0xffff), (target & 0xffff0000) | 0x8e00, 0, 0], (this.ram + GUEST_IDT + vector * 16) >>> 2);
  }

  write(field: number, low: number, high: number = 0): void {
    if (this.processor.vmwrite(field, low, high) !== V.VM_SUCCEED) throw new Error(`VMWRITE ${V.fieldName(field)}`);
  }

  read(field: number): number {
    return this.processor.vmread(field);
  }

  /** Sets bits of a 32-bit field. */
  set(field: number, bits: number): void {
    this.write(field, (this.read(field) | bits) >>> 0);
  }

  clear(field: number, bits: number): void {
    this.write(field, (this.read(field) & ~bits) >>> 0);
  }

  code(bytes: readonly number[], at: number = GUEST_CODE): void {
    this.memory.write(this.ram + at, Uint8Array.from(bytes));
  }

  /** A general register (RAX 0, RCX 1, RDX 2, RBX 3, ...): low half. */
  gpr(index: number): number {
    return this.memory.u32[(this.processor.gprs >>> 2) + index * 2]!;
  }

  setGpr(index: number, low: number, high: number = 0): void {
    this.memory.u32[(this.processor.gprs >>> 2) + index * 2] = low;
    this.memory.u32[(this.processor.gprs >>> 2) + index * 2 + 1] = high;
  }

  /** Enters the guest; the exit reason, bit 31 included. */
  run(): number {
    const result = this.#launched ? this.processor.vmresume() : this.processor.vmlaunch();
    if (result !== V.VM_SUCCEED) throw new Error(`VM entry: VMfail ${result}, ${this.read(V.VM_INSTRUCTION_ERROR)}: ${this.processor.entryFailure()?.check}`);
    const reason = this.read(V.VM_EXIT_REASON);
    if (reason >>> 31 === 0) this.#launched = true;
    return reason;
  }

  /** Steps RIP over the instruction that exited. */
  skip(): void {
    this.write(V.GUEST_RIP, this.read(V.GUEST_RIP) + this.read(V.VM_EXIT_INSTRUCTION_LEN));
  }
}
