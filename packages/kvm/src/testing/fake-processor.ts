/**
 * A physical CPU for tests of KVM alone: VMCS fields are kept by encoding, VMX capabilities allow everything, and a
 * "guest" is a function that is called at each VM entry and leaves an exit in the VMCS.
 */

import type { HostMemory } from '@vm/kvm-run';
import * as V from '@vm/kvm-run/vmx';

type Halves = [low: number, high: number];

/** What the fake's guest does: sets exit fields by `exit`, may change registers. */
export type FakeGuest = (processor: FakeProcessor) => void;

const CAPABILITY_MSRS: readonly number[] = [
  V.MSR_IA32_VMX_PINBASED_CTLS,
  V.MSR_IA32_VMX_PROCBASED_CTLS,
  V.MSR_IA32_VMX_PROCBASED_CTLS2,
  V.MSR_IA32_VMX_EXIT_CTLS,
  V.MSR_IA32_VMX_ENTRY_CTLS,
];

export class FakeProcessor implements V.Processor {
  readonly id = 0;
  readonly memory: HostMemory;
  readonly gprs: number;
  readonly pendingVectors: number;
  high = 0;
  tsc = 1000;
  readonly tscKhz = 1_000_000;
  readonly deterministic = true;
  switchObserver: V.Processor['switchObserver'] = null;
  interruptFlag = false;
  /** Every VMCS by address; the current one is `fields`. */
  readonly vmcss: Map<number, Map<number, Halves>> = new Map();
  current = -1;
  readonly launches: string[] = [];
  readonly msrs: Map<number, Halves> = new Map();
  readonly crs: Map<number, Halves> = new Map();
  readonly selectors: Map<string, number> = new Map();
  guest: FakeGuest;
  timer: number = Infinity;
  timerVector = 0;
  wakes = 0;
  invalidations: string[] = [];

  constructor(memory: HostMemory, guest: FakeGuest) {
    this.memory = memory;
    const page = memory.allocPages(1);
    this.gprs = page;
    this.pendingVectors = page + 0x400;
    this.guest = guest;
    for (const index of CAPABILITY_MSRS) this.msrs.set(index, [0, 0xffffffff]);
    this.msrs.set(V.MSR_IA32_VMX_EPT_VPID_CAP, [0xffffffff, 0xffffffff]);
    this.msrs.set(V.MSR_IA32_VMX_CR4_FIXED0, [0x2000, 0]);
  }

  get fields(): Map<number, Halves> {
    return this.vmcss.get(this.current)!;
  }

  /** Leaves an exit in the current VMCS. */
  exit(reason: number, values: Readonly<Record<number, number>> = {}): void {
    this.vmwrite(V.VM_EXIT_REASON, reason);
    this.vmwrite(V.IDT_VECTORING_INFO_FIELD, 0);
    this.vmwrite(V.VM_EXIT_INTR_INFO, 0);
    for (const [field, value] of Object.entries(values)) this.vmwrite(Number(field), value);
  }

  /** The guest takes the event that entry injects; as hardware does, the field's valid bit goes. */
  #deliver(): void {
    const info = this.vmread(V.VM_ENTRY_INTR_INFO_FIELD);
    this.vmwrite(V.VM_ENTRY_INTR_INFO_FIELD, info & 0x7fffffff);
  }

  vmxon(): V.VmxResult {
    return V.VM_SUCCEED;
  }
  vmxoff(): V.VmxResult {
    return V.VM_SUCCEED;
  }
  vmclear(address: number): V.VmxResult {
    this.vmcss.set(address, new Map());
    if (this.current === address) this.current = -1;
    return V.VM_SUCCEED;
  }
  vmptrld(address: number): V.VmxResult {
    this.current = address;
    return V.VM_SUCCEED;
  }
  vmptrst(): number {
    return this.current;
  }
  vmread(field: number): number {
    const [low, high] = this.fields.get(field) ?? [0, 0];
    this.high = high;
    return low;
  }
  vmwrite(field: number, low: number, high = 0): V.VmxResult {
    this.fields.set(field, [low >>> 0, high >>> 0]);
    return V.VM_SUCCEED;
  }
  vmlaunch(): V.VmxResult {
    return this.#enter('launch');
  }
  vmresume(): V.VmxResult {
    return this.#enter('resume');
  }
  #enter(how: string): V.VmxResult {
    this.launches.push(how);
    this.guest(this);
    this.#deliver();
    return V.VM_SUCCEED;
  }
  invept(): V.VmxResult {
    this.invalidations.push('invept');
    return V.VM_SUCCEED;
  }
  invvpid(): V.VmxResult {
    this.invalidations.push('invvpid');
    return V.VM_SUCCEED;
  }
  entryFailure(): undefined {}
  rdmsr(index: number): number {
    const [low, high] = this.msrs.get(index) ?? [0, 0];
    this.high = high;
    return low;
  }
  wrmsr(index: number, low: number, high: number): boolean {
    this.msrs.set(index, [low >>> 0, high >>> 0]);
    return true;
  }
  readCr(number: number): number {
    const [low, high] = this.crs.get(number) ?? [0, 0];
    this.high = high;
    return low;
  }
  writeCr(number: number, low: number, high: number): boolean {
    this.crs.set(number, [low >>> 0, high >>> 0]);
    return true;
  }
  readDr(): number {
    this.high = 0;
    return 0;
  }
  writeDr(): void {}
  pkru = 0;
  rdpkru(): number {
    return this.pkru;
  }
  wrpkru(value: number): void {
    this.pkru = value;
  }
  xgetbv(): number {
    this.high = 0;
    return 3;
  }
  xsetbv(): boolean {
    return true;
  }
  readSelector(segment: V.SegmentRegister): number {
    return this.selectors.get(segment) ?? 0;
  }
  loadSelector(segment: V.SegmentRegister, selector: number): boolean {
    this.selectors.set(segment, selector);
    return true;
  }
  readBase(): number {
    this.high = 0;
    return 0;
  }
  writeBase(): void {}
  sgdt(): { readonly base: number; readonly limit: number } {
    return { base: 0, limit: 0 };
  }
  lgdt(): void {}
  sidt(): { readonly base: number; readonly limit: number } {
    return { base: 0, limit: 0 };
  }
  lidt(): void {}
  xsave(): void {}
  xrstor(): boolean {
    return true;
  }
  /** A small Intel processor: leaves 0, 1, 7, 0xd and the extended ones. */
  cpuid(leaf: number, subleaf: number, out: Uint32Array): void {
    const answers: Readonly<Record<number, readonly number[]>> = {
      0: [0xd, 0x756e6547, 0x6c65746e, 0x49656e69],
      1: [0x306f2, 0, 0x7fffffff & ~(1 << 5), 0x0fabfbff],
      7: subleaf === 0 ? [0, 0x00100481, 0, 0] : [0, 0, 0, 0],
      0xd: subleaf === 0 ? [3, 576, 576, 0] : [0, 0, 0, 0],
      0x80000000: [0x80000008, 0, 0, 0],
      0x80000001: [0, 0, 0x121, 0x2c100800],
      0x80000008: [0x3027, 0, 0, 0],
    };
    out.set(answers[leaf >>> 0] ?? [0, 0, 0, 0]);
  }
  rdtsc(): number {
    return this.tsc;
  }
  idleUntil(tsc: number): void {
    this.tsc = Math.max(this.tsc, tsc);
    if (this.tsc >= this.timer) {
      this.timer = Infinity;
      this.raiseInterrupt(this.timerVector);
    }
  }
  setLocalTimer(tsc: number, vector: number): void {
    this.timer = tsc;
    this.timerVector = vector;
  }
  instructionCount(): number {
    return 0;
  }
  setInterruptFlag(on: boolean): void {
    this.interruptFlag = on;
  }
  acknowledgeInterrupt(): number {
    return V.takeInterrupt(this.memory.i32, this.pendingVectors);
  }
  raiseInterrupt(vector: number): void {
    V.raiseInterrupt(this.memory.i32, this.pendingVectors, vector);
  }
  raiseNmi(): void {}
  requestLook(): void {
    this.wakes++;
  }
}
