/** A VM without a processor, for tests of chips, MMU and emulator: the VMCS is a table, time is a number. */

import { HostMemory, KvmRun, VCPU_MMAP_SIZE } from '@vm/kvm-run';
import type { Processor } from '@vm/kvm-run/vmx';
import { GUEST_CS_AR_BYTES, GUEST_ES_AR_BYTES, GUEST_ES_BASE, GUEST_ES_LIMIT, GUEST_RFLAGS } from '@vm/kvm-run/vmx';
import { KvmIoBus } from '../io-bus.ts';
import { HrTimerQueue } from '../irq/hrtimer.ts';
import { createKvmIrqState } from '../irq/irq-state.ts';
import { kvmCheckRequest } from '../requests.ts';
import type { HostCpu, Kvm, KvmGlobal, KvmMemorySlot, KvmVcpuOps } from '../types.ts';
import { KvmVcpu } from '../types.ts';

/** The parts of Processor that the layer's devices use. */
export class FakeProcessor {
  readonly fields: Map<number, bigint> = new Map();
  high = 0;
  tsc = 1_000_000;
  /** One tick a nanosecond. */
  readonly tscKhz: number = 1_000_000;
  readonly xmm: Uint8Array = new Uint8Array(256);
  readonly memory: HostMemory;
  armed: number = Infinity;

  constructor(memory: HostMemory) {
    this.memory = memory;
  }

  rdtsc(): number {
    return this.tsc;
  }
  vmread(field: number): number {
    const value = this.fields.get(field) ?? 0n;
    this.high = Number(value >> 32n);
    return Number(value & 0xffffffffn);
  }
  vmwrite(field: number, low: number, high = 0): number {
    this.fields.set(field, (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0));
    return 0;
  }
  xsave(address: number): void {
    this.memory.u8.set(this.xmm, address + 160);
  }
  xrstor(address: number): boolean {
    this.xmm.set(this.memory.u8.subarray(address + 160, address + 160 + 256));
    return true;
  }
  requestLook(): void {}
  raiseInterrupt(): void {}
}

export interface Fixture {
  readonly kvm: Kvm;
  readonly memory: HostMemory;
  readonly processor: FakeProcessor;
  readonly vcpus: readonly KvmVcpu[];
  /** What the vCPUs' callbacks were called for, in order. */
  readonly calls: string[];
  /** Lets time pass, and fires timers at their time. */
  advance(ticks: number): void;
  addSlot(baseGfn: number, npages: number, flags?: number, align?: number): KvmMemorySlot;
  took(vcpu: number, request: number): boolean;
}

export function fixture(options: { readonly vcpus?: number; readonly megabytes?: number } = {}): Fixture {
  const memory = HostMemory.create((options.megabytes ?? 2) * 1024 * 1024);
  const processor = new FakeProcessor(memory);
  const hrtimers = new HrTimerQueue(processor, (tsc) => (processor.armed = tsc));
  const calls: string[] = [];
  const cpu = { processor: processor as unknown as Processor, hrtimers, fpuOwner: null } as unknown as HostCpu;
  const global = { memory, cpus: [cpu], vmx: { eptCaps: 0x210000 }, tracer: null } as unknown as KvmGlobal;
  const vcpus: KvmVcpu[] = [];
  const kvm = {
    global,
    memory,
    vcpus,
    memslots: [],
    memslotsGeneration: 0,
    irq: createKvmIrqState(),
    pioBus: new KvmIoBus(),
    mmioBus: new KvmIoBus(),
    fastMmioBus: new KvmIoBus(),
    hrtimers,
    mmu: null,
    bspVcpuId: 0,
    disabledQuirks: 0,
    exitOnEmulationError: false,
    apicAccessPage: 0,
  } as unknown as Kvm;
  for (let i = 0; i < (options.vcpus ?? 1); i++) vcpus.push(newVcpu(kvm, cpu, i, calls));
  return {
    kvm,
    memory,
    processor,
    vcpus,
    calls,
    advance: (ticks) => advance(processor, hrtimers, ticks),
    addSlot: (baseGfn, npages, flags = 0, align = 1) => {
      const userspaceAddr = memory.allocPages(npages, align);
      const slot = { id: kvm.memslots.length, asId: 0, baseGfn, npages, userspaceAddr, flags, dirtyBitmap: bitmap(flags, npages), dirtyRing: null };
      kvm.memslots = [...kvm.memslots, slot].sort((a, b) => a.baseGfn - b.baseGfn);
      return slot;
    },
    took: (vcpu, request) => kvmCheckRequest(request, vcpus[vcpu]!),
  };
}

function bitmap(flags: number, npages: number): Uint32Array | null {
  return (flags & 1) !== 0 ? new Uint32Array(Math.ceil(npages / 32)) : null;
}

function advance(processor: FakeProcessor, timers: HrTimerQueue, ticks: number): void {
  const end = processor.tsc + ticks;
  while (processor.armed <= end) {
    processor.tsc = Math.max(processor.tsc, processor.armed);
    timers.run();
  }
  processor.tsc = end;
}

function newVcpu(kvm: Kvm, cpu: HostCpu, id: number, calls: string[]): KvmVcpu {
  const runAddress = kvm.memory.allocPages(3);
  const page = kvm.memory.allocPages(2);
  const ops: KvmVcpuOps = {
    injectNmi: (vcpu: KvmVcpu) => calls.push(`nmi ${vcpu.vcpuId}`),
    injectSmi: () => false,
    reset: (vcpu: KvmVcpu, init: boolean) => calls.push(`${init ? 'init' : 'reset'} ${vcpu.vcpuId}`),
    deliverSipiVector: (vcpu: KvmVcpu, vector: number) => calls.push(`sipi ${vcpu.vcpuId} ${vector}`),
    setHvTimer: () => -1,
    cancelHvTimer: () => undefined,
  } as unknown as KvmVcpuOps;
  const bytes = kvm.memory.u8.subarray(runAddress, runAddress + VCPU_MMAP_SIZE);
  const run = new KvmRun(bytes);
  const vcpu = new KvmVcpu({ kvm, vcpuId: id, vcpuIdx: id, cpu, run, runAddress, page, ops });
  vcpu.hasX2apic = true;
  vcpu.maxPhyAddr = 40;
  return vcpu;
}

/** Code of 16, 32 or 64 bits with flat segments; paging is off. */
export function setMode(vcpu: KvmVcpu, bits: 16 | 32 | 64, cpl = 0): void {
  const processor = vcpu.processor as unknown as FakeProcessor;
  vcpu.cr0 = bits === 16 ? 0x10 : 0x11;
  vcpu.efer = bits === 64 ? 0x500 : 0;
  processor.vmwrite(GUEST_RFLAGS, 2);
  for (let seg = 0; seg < 6; seg++) {
    processor.vmwrite(GUEST_ES_BASE + seg * 2, 0);
    processor.vmwrite(GUEST_ES_LIMIT + seg * 2, bits === 16 ? 0xffff : 0xffffffff);
    processor.vmwrite(GUEST_ES_AR_BYTES + seg * 2, 0x93 | (cpl << 5) | (bits === 32 ? 0x4000 : 0));
  }
  const code = bits === 64 ? 0x209b : bits === 32 ? 0x409b : 0x9b;
  processor.vmwrite(GUEST_CS_AR_BYTES, code | (cpl << 5));
  vcpu.rflags = 2;
}
