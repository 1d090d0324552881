/** The processor as ring-0 host software in TypeScript sees it. */
import type { HostMemory } from '@vm/kvm-run';
import {
  type EntryFailure, FIELD_ENCODINGS, type Processor, raiseInterrupt, raiseRequest, REQUEST_LOOK, REQUEST_NMI,
  type SegmentRegister, takeInterrupt, VM_FAIL_INVALID, VM_FAIL_VALID, VM_INSTRUCTION_ERROR, VM_SUCCEED, VmxFailure,
  type VmxResult, VMXERR_UNSUPPORTED_VMCS_COMPONENT,
} from '@vm/kvm-run/vmx';
import * as L from '../state/layout.ts';
import { LOCAL_TIMER_DEADLINE, LOCAL_TIMER_VECTOR, VMCS_DIRTY } from '../state/vmx-layout.ts';
import { dirtyTable, fieldSlot, slotTable } from '../vmx/vmcs-fields.ts';
import { type Clock, instructionCount } from './clock.ts';
import { readEntryFailure } from './entry-failure.ts';
import type { HostMicrocode } from './microcode-host.ts';
import type { ProcessorProfile } from './profile.ts';
import { loadSelector, SEGMENT_NUMBER, segmentAddress } from './segments.ts';
import { type SwitchObserver, SwitchTrace } from './switch-trace.ts';
import { restoredPkru, xrstor, xsave } from './xsave.ts';

/** Runs the guest that VM entry loaded, until the next VM exit. */
export interface GuestRunner {
  runGuest(): void;
}

export interface ProcessorParts {
  readonly id: number;
  readonly memory: HostMemory;
  readonly area: number;
  readonly microcode: HostMicrocode;
  readonly runner: GuestRunner;
  readonly clock: Clock;
  readonly tscKhz: number;
  readonly profile: ProcessorProfile | null;
  dispose(): void;
}

/** An instruction of host software raised a fault that TypeScript cannot take. */
export class HostFault extends Error {
  constructor(instruction: string, reason: string) {
    super(`${instruction}: ${reason}`);
    this.name = 'HostFault';
  }
}

/** What hostVmentry() returns beside the VmxResults (microcode/vmx/entry.ts). */
const ENTRY_EXITED = 3;
const ENTRY_SHUTDOWN = 4;
const NO_VMCS = 0xffffffff;
/** Bits of an encoding that tell whether an access moves a high half: 64 bits wide or natural, and not the high half itself. */
const HIGH_MASK = 0x2001;
const HAS_HIGH = 0x2000;
const WIDTH_MASK = 0x6000;

const CR_OFFSETS: Readonly<Record<number, number>> = { 0: L.CR0, 2: L.CR2, 3: L.CR3, 4: L.CR4, 8: L.CR8 };
const DR_OFFSETS: Readonly<Record<number, number>> = { 0: L.DR0, 1: L.DR1, 2: L.DR2, 3: L.DR3, 6: L.DR6, 7: L.DR7 };

const SLOTS: Uint16Array = slotTable();
const DIRTY: Uint8Array = dirtyTable();

export class VmxProcessor implements Processor {
  readonly id: number;
  readonly memory: HostMemory;
  readonly gprs: number;
  readonly pendingVectors: number;
  readonly tscKhz: number;
  readonly deterministic: boolean;
  readonly profile: ProcessorProfile | null;
  high = 0;
  readonly #area: number;
  readonly #u32: Uint32Array<SharedArrayBuffer>;
  readonly #microcode: HostMicrocode;
  readonly #runner: GuestRunner;
  readonly #clock: Clock;
  readonly #dispose: () => void;
  /** Word index of CURRENT_VMCS. */
  readonly #current: number;
  #failure: EntryFailure | undefined;
  #observer: SwitchObserver | null = null;
  #trace: SwitchTrace | null = null;

  constructor(parts: ProcessorParts) {
    this.id = parts.id;
    this.memory = parts.memory;
    this.#area = parts.area;
    this.gprs = parts.area + L.GPR;
    this.pendingVectors = parts.area + L.PENDING_VECTORS;
    this.tscKhz = parts.tscKhz;
    this.profile = parts.profile;
    this.deterministic = parts.clock.deterministic;
    this.#u32 = parts.memory.u32;
    this.#microcode = parts.microcode;
    this.#runner = parts.runner;
    this.#clock = parts.clock;
    this.#dispose = () => parts.dispose();
    this.#current = (parts.area + L.CURRENT_VMCS) >>> 2;
  }

  /** Gives the processor's memory back. It must not be used any more. */
  dispose(): void {
    this.#dispose();
  }

  // ---- VMX instructions

  vmxon(address: number): VmxResult {
    const result = this.#microcode.hostVmxon(address);
    if (result < 0) throw new HostFault('VMXON', '#GP(0): CR0, CR4.VMXE or IA32_FEATURE_CONTROL do not allow VMX operation');
    return result as VmxResult;
  }

  vmxoff(): VmxResult {
    return this.#microcode.hostVmxoff() as VmxResult;
  }

  vmclear(address: number): VmxResult {
    return this.#microcode.hostVmclear(address) as VmxResult;
  }

  vmptrld(address: number): VmxResult {
    return this.#microcode.hostVmptrld(address) as VmxResult;
  }

  vmptrst(): number {
    const vmcs = this.#u32[this.#current]!;
    return vmcs === NO_VMCS ? -1 : vmcs;
  }

  vmread(field: number): number {
    const vmcs = this.#u32[this.#current]!;
    const slot = field < FIELD_ENCODINGS ? SLOTS[field]! : 0;
    if (slot === 0 || vmcs === NO_VMCS) throw this.#vmreadFailure(field, vmcs);
    const at = (vmcs + slot) >>> 2;
    this.high = (field & HIGH_MASK) === HAS_HIGH ? this.#u32[at + 1]! : 0;
    return this.#u32[at]!;
  }

  #vmreadFailure(field: number, vmcs: number): VmxFailure {
    const name = `VMREAD of field 0x${field.toString(16)}`;
    if (vmcs === NO_VMCS) return new VmxFailure(name, 0);
    this.#fail(vmcs, VMXERR_UNSUPPORTED_VMCS_COMPONENT);
    return new VmxFailure(name, VMXERR_UNSUPPORTED_VMCS_COMPONENT);
  }

  #fail(vmcs: number, error: number): VmxResult {
    this.#u32[(vmcs + fieldSlot(VM_INSTRUCTION_ERROR)) >>> 2] = error;
    return VM_FAIL_VALID;
  }

  vmwrite(field: number, low: number, high: number = 0): VmxResult {
    const u32 = this.#u32;
    const vmcs = u32[this.#current]!;
    if (vmcs === NO_VMCS) return VM_FAIL_INVALID;
    const slot = field < FIELD_ENCODINGS ? SLOTS[field]! : 0;
    if (slot === 0) return this.#fail(vmcs, VMXERR_UNSUPPORTED_VMCS_COMPONENT);
    const at = (vmcs + slot) >>> 2;
    const value = (field & WIDTH_MASK) === 0 ? low & 0xffff : low >>> 0;
    let changed = u32[at]! !== value;
    u32[at] = value;
    if ((field & HIGH_MASK) === HAS_HIGH) {
      if (u32[at + 1]! !== high >>> 0) changed = true;
      u32[at + 1] = high;
    }
    if (changed) u32[(vmcs + VMCS_DIRTY) >>> 2]! |= DIRTY[field]!;
    return VM_SUCCEED;
  }

  vmlaunch(): VmxResult {
    return this.#enter(1);
  }

  vmresume(): VmxResult {
    return this.#enter(0);
  }

  #enter(launch: number): VmxResult {
    if (this.#u32[(this.#area + L.VMX_MODE) >>> 2] === 0) throw new HostFault('VM entry', '#UD: the processor is not in VMX operation');
    if (this.#trace !== null) return this.#enterObserved(this.#trace, launch);
    const result = this.#microcode.hostVmentry(launch);
    if (result === VM_SUCCEED) {
      this.#failure = undefined;
      this.#runner.runGuest();
      return VM_SUCCEED;
    }
    return this.#entryResult(result);
  }

  /** VMfail, or a VM exit that came before the first instruction. */
  #entryResult(result: number): VmxResult {
    this.#failure = readEntryFailure(this.memory, this.#area);
    if (result === ENTRY_SHUTDOWN) throw new HostFault('VM entry', 'VMX abort: the processor shut down');
    return result === ENTRY_EXITED ? VM_SUCCEED : (result as VmxResult);
  }

  #enterObserved(trace: SwitchTrace, launch: number): VmxResult {
    if (this.vmptrst() < 0) return VM_FAIL_INVALID;
    trace.entryBegins(launch === 1);
    const announce = trace.prepareGuest();
    const result = this.#microcode.hostVmentry(launch);
    if (result === VM_SUCCEED || (result === ENTRY_EXITED && readEntryFailure(this.memory, this.#area) === undefined)) {
      this.#failure = undefined;
      announce();
      if (result === VM_SUCCEED) this.#runner.runGuest();
      trace.exited();
      return VM_SUCCEED;
    }
    const value = this.#entryResult(result);
    trace.entryFailed(this.#failure?.check, result === ENTRY_EXITED);
    return value;
  }

  invept(type: number, eptpLow: number, eptpHigh: number): VmxResult {
    return this.#microcode.hostInvept(type, eptpLow, eptpHigh) as VmxResult;
  }

  invvpid(type: number, vpid: number, linearLow: number, linearHigh: number): VmxResult {
    return this.#microcode.hostInvvpid(type, vpid, linearLow, linearHigh) as VmxResult;
  }

  entryFailure(): EntryFailure | undefined {
    return this.#failure;
  }

  // ---- registers

  /** Low half of an area's i64; the high half goes to `high`. */
  #read64(offset: number): number {
    const at = (this.#area + offset) >>> 2;
    this.high = this.#u32[at + 1]!;
    return this.#u32[at]!;
  }

  rdmsr(index: number): number {
    if (!this.#microcode.hostRdmsr(index)) throw new HostFault(`RDMSR 0x${index.toString(16)}`, '#GP(0)');
    this.high = this.#microcode.hostMsrHigh() >>> 0;
    return this.#microcode.hostMsrLow() >>> 0;
  }

  wrmsr(index: number, low: number, high: number): boolean {
    return this.#microcode.hostWrmsr(index, low, high) !== 0;
  }

  readCr(number: 0 | 2 | 3 | 4 | 8): number {
    return this.#read64(CR_OFFSETS[number]!);
  }

  writeCr(number: 0 | 2 | 3 | 4 | 8, low: number, high: number): boolean {
    if (number === 2) {
      const at = (this.#area + L.CR2) >>> 2;
      this.#u32[at] = low;
      this.#u32[at + 1] = high;
      return true;
    }
    return this.#microcode.hostWriteCr(number, low, high) !== 0;
  }

  readDr(number: 0 | 1 | 2 | 3 | 6 | 7): number {
    return this.#read64(DR_OFFSETS[number]!);
  }

  writeDr(number: 0 | 1 | 2 | 3 | 6 | 7, low: number, high: number): void {
    this.#microcode.hostWriteDr(number, low, high);
  }

  xgetbv(): number {
    return this.#read64(L.XCR0);
  }

  rdpkru(): number {
    return this.#u32[(this.#area + L.PKRU) >>> 2]!;
  }

  wrpkru(value: number): void {
    this.#microcode.hostWrpkru(value);
  }

  xsetbv(low: number, high: number): boolean {
    return this.#microcode.hostXsetbv(low, high) !== 0;
  }

  readSelector(segment: SegmentRegister): number {
    return this.#u32[(segmentAddress(this.#area, SEGMENT_NUMBER[segment]) + L.SEG_SELECTOR) >>> 2]! & 0xffff;
  }

  loadSelector(segment: SegmentRegister, selector: number): boolean {
    if (!loadSelector(this.memory, this.#area, segment, selector)) return false;
    if (segment === 'cs' || segment === 'ss') this.#microcode.updateMode();
    return true;
  }

  readBase(segment: SegmentRegister): number {
    return this.#read64(L.SEG + SEGMENT_NUMBER[segment] * L.SEG_SIZE + L.SEG_BASE);
  }

  writeBase(segment: 'fs' | 'gs', low: number, high: number): void {
    const at = (segmentAddress(this.#area, SEGMENT_NUMBER[segment]) + L.SEG_BASE) >>> 2;
    this.#u32[at] = low;
    this.#u32[at + 1] = high;
  }

  sgdt(): { readonly base: number; readonly limit: number } {
    return this.#table(L.GDTR_BASE, L.GDTR_LIMIT);
  }

  lgdt(base: number, limit: number): void {
    this.#loadTable(L.GDTR_BASE, L.GDTR_LIMIT, base, limit);
  }

  sidt(): { readonly base: number; readonly limit: number } {
    return this.#table(L.IDTR_BASE, L.IDTR_LIMIT);
  }

  lidt(base: number, limit: number): void {
    this.#loadTable(L.IDTR_BASE, L.IDTR_LIMIT, base, limit);
  }

  #table(base: number, limit: number): { readonly base: number; readonly limit: number } {
    return { base: this.#u32[(this.#area + base) >>> 2]!, limit: this.#u32[(this.#area + limit) >>> 2]! };
  }

  #loadTable(baseOffset: number, limitOffset: number, base: number, limit: number): void {
    const at = (this.#area + baseOffset) >>> 2;
    this.#u32[at] = base;
    this.#u32[at + 1] = 0;
    this.#u32[(this.#area + limitOffset) >>> 2] = limit & 0xffff;
  }

  xsave(address: number, mask: number): void {
    xsave(this.memory, this.#area, address, mask);
  }

  xrstor(address: number, mask: number): boolean {
    if (!xrstor(this.memory, this.#area, address, mask)) return false;
    const pkru = restoredPkru(this.memory, this.#area, address, mask);
    if (pkru >= 0) this.wrpkru(pkru);
    return true;
  }

  cpuid(leaf: number, subleaf: number, out: Uint32Array): void {
    const microcode = this.#microcode;
    microcode.cpuidLookup(leaf, subleaf);
    out[0] = microcode.cpuidA.value;
    out[1] = microcode.cpuidB.value;
    out[2] = microcode.cpuidC.value;
    out[3] = microcode.cpuidD.value;
  }

  // ---- time

  rdtsc(): number {
    return this.#microcode.rdtsc();
  }

  idleUntil(tsc: number): void {
    if (!this.deterministic) return;
    const left = tsc - this.rdtsc();
    if (left > 0 && left !== Infinity) this.#clock.advanceTo(this.#clock.now() + left);
  }

  setLocalTimer(tsc: number, vector: number): void {
    this.memory.view.setFloat64(this.#area + LOCAL_TIMER_DEADLINE, tsc, true);
    this.#u32[(this.#area + LOCAL_TIMER_VECTOR) >>> 2] = vector;
  }

  instructionCount(): number {
    return instructionCount(this.memory, this.#area);
  }

  // ---- interrupts

  setInterruptFlag(on: boolean): void {
    this.#u32[(this.#area + L.HOST_IF) >>> 2] = on ? 1 : 0;
  }

  get interruptFlag(): boolean {
    return this.#u32[(this.#area + L.HOST_IF) >>> 2] !== 0;
  }

  acknowledgeInterrupt(): number {
    this.#microcode.pollLocalTimer();
    return takeInterrupt(this.memory.i32, this.pendingVectors);
  }

  raiseInterrupt(vector: number): void {
    raiseInterrupt(this.memory.i32, this.pendingVectors, vector);
  }

  raiseNmi(): void {
    raiseRequest(this.memory.i32, this.pendingVectors, REQUEST_NMI);
  }

  requestLook(): void {
    raiseRequest(this.memory.i32, this.pendingVectors, REQUEST_LOOK);
  }

  // ---- seeing it

  get switchObserver(): SwitchObserver | null {
    return this.#observer;
  }

  set switchObserver(observer: SwitchObserver | null) {
    this.#observer = observer;
    this.#trace = observer === null ? null : new SwitchTrace(this.memory, this.#area, observer);
  }
}
