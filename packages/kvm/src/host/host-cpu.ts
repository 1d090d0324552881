/**
 * A physical CPU under the host kernel: its control registers and tables, its local timer and tick, and its interrupts,
 * which go through the gates of the IDT in memory to functions of this program.
 */

import type { HostMemory } from '@vm/kvm-run';
import * as V from '@vm/kvm-run/vmx';
import { HrTimerQueue } from '../irq/hrtimer.ts';
import {
  LOCAL_TIMER_VECTOR,
  POSTED_INTR_VECTOR,
  RESCHEDULE_VECTOR,
  newSavedHostState,
  type HostCpu,
  type SavedHostState,
} from '../types.ts';
import * as B from '../x86-bits.ts';
import { createHostTables, gateAddress, GATE_TEXT_SHIFT, GDT_LIMIT, HOST_KERNEL_CS, HOST_KERNEL_DS, HOST_TSS, IDT_LIMIT } from './tables.ts';

/** Called at each tick of the local timer; true: a signal is pending for the thread. */
export type HostTick = (processor: V.Processor) => boolean;

export class HostCpuSetupError extends Error {
  constructor(what: string) {
    super(`the processor refused ${what} while the host kernel set it up`);
    this.name = 'HostCpuSetupError';
  }
}

const must = (ok: boolean, what: string): void => {
  if (!ok) throw new HostCpuSetupError(what);
};

/** What CPUID says can be set in CR4: bit of CR4, leaf, register (0 EAX to 3 EDX), bit. */
const CR4_FEATURES: readonly (readonly [bit: number, leaf: number, register: number, feature: number])[] = [
  [B.X86_CR4_DE, 1, 3, 2],
  [B.X86_CR4_MCE, 1, 3, 7],
  [B.X86_CR4_PGE, 1, 3, 13],
  [B.X86_CR4_OSFXSR, 1, 3, 24],
  [B.X86_CR4_OSXMMEXCPT, 1, 3, 25],
  [B.X86_CR4_OSXSAVE, 1, 2, 26],
  [B.X86_CR4_FSGSBASE, 7, 1, 0],
  [B.X86_CR4_PKE, 7, 2, 3],
];

const cpuidBit = (processor: V.Processor, leaf: number, register: number, bit: number): boolean => {
  const out = new Uint32Array(4);
  processor.cpuid(0, 0, out);
  if (out[0]! < leaf) return false;
  processor.cpuid(leaf, 0, out);
  return ((out[register]! >>> bit) & 1) !== 0;
};

const enterLongMode = (processor: V.Processor, pgd: number): void => {
  let cr4 = B.X86_CR4_PSE | B.X86_CR4_PAE;
  for (const [bit, leaf, register, feature] of CR4_FEATURES) if (cpuidBit(processor, leaf, register, feature)) cr4 |= bit;
  must(processor.writeCr(4, cr4, 0), 'CR4');
  must(processor.writeCr(3, pgd, 0), 'CR3');
  must(processor.wrmsr(V.MSR_EFER, V.EFER_SCE | V.EFER_LME | V.EFER_NX, 0), 'IA32_EFER');
  const cr0 = B.X86_CR0_PG | B.X86_CR0_AM | B.X86_CR0_WP | B.X86_CR0_NE | B.X86_CR0_ET | B.X86_CR0_MP | B.X86_CR0_PE;
  must(processor.writeCr(0, cr0 >>> 0, 0), 'CR0');
  if ((cr4 & B.X86_CR4_OSXSAVE) !== 0) {
    const out = new Uint32Array(4);
    processor.cpuid(0xd, 0, out);
    must(processor.xsetbv((out[0]! & B.KVM_SUPPORTED_XCR0) >>> 0, 0), 'XCR0');
  }
  if ((cr4 & B.X86_CR4_PKE) !== 0) processor.wrpkru(B.INIT_PKRU_VALUE);
};

/** Linux's system-call entry points are addresses of its text; ours are in the page of the gates. */
const writeSyscallMsrs = (processor: V.Processor, text: number): void => {
  must(processor.wrmsr(V.MSR_STAR, 0, (0x23 << 16) | HOST_KERNEL_CS), 'IA32_STAR');
  must(processor.wrmsr(V.MSR_LSTAR, text, 0), 'IA32_LSTAR');
  must(processor.wrmsr(V.MSR_SYSCALL_MASK, 0x257fd5, 0), 'IA32_FMASK');
  must(processor.wrmsr(V.MSR_IA32_SYSENTER_CS, HOST_KERNEL_CS, 0), 'IA32_SYSENTER_CS');
  must(processor.wrmsr(V.MSR_IA32_SYSENTER_ESP, text, 0), 'IA32_SYSENTER_ESP');
  must(processor.wrmsr(V.MSR_IA32_SYSENTER_EIP, text, 0), 'IA32_SYSENTER_EIP');
};

class Cpu implements HostCpu {
  readonly processor: V.Processor;
  readonly index: number;
  readonly hrtimers: HrTimerQueue;
  readonly vmxonRegion: number;
  readonly gdt: number;
  readonly idt: number;
  readonly tss: number;
  readonly text: number;
  readonly pgd: number;
  readonly cr3: number;
  readonly cr4: number;
  readonly hostXcr0: number;
  readonly handlers: (((cpu: HostCpu, vector: number) => void) | undefined)[] = [];
  readonly uretValues: Uint32Array = new Uint32Array(16);
  readonly uretHost: Uint32Array = new Uint32Array(16);
  uretRegistered = false;
  readonly savedHostState: SavedHostState = newSavedHostState();
  currentVcpu: HostCpu['currentVcpu'] = null;
  fpuOwner: HostCpu['fpuOwner'] = null;
  signalPending = false;
  vmxUsers = 0;
  interrupts = 0;
  readonly #tick: HostTick | null;
  readonly #tickPeriod: number;
  #tickAt: number;
  #armed = Infinity;

  constructor(memory: HostMemory, processor: V.Processor, index: number, tick: HostTick | null, tickHz: number) {
    const tables = createHostTables(memory);
    this.processor = processor;
    this.index = index;
    this.gdt = tables.gdt;
    this.idt = tables.idt;
    this.tss = tables.tss;
    this.text = tables.text;
    this.pgd = tables.pgd;
    this.vmxonRegion = memory.allocPages(1);
    enterLongMode(processor, tables.pgd);
    processor.lgdt(tables.gdt, GDT_LIMIT);
    processor.lidt(tables.idt, IDT_LIMIT);
    must(processor.loadSelector('cs', HOST_KERNEL_CS), 'CS');
    must(processor.loadSelector('ss', HOST_KERNEL_DS), 'SS');
    for (const segment of ['ds', 'es', 'fs', 'gs'] as const) must(processor.loadSelector(segment, 0), segment);
    must(processor.loadSelector('ldtr', 0), 'LDTR');
    must(processor.loadSelector('tr', HOST_TSS), 'TR');
    processor.writeBase('gs', tables.tss, 0);
    writeSyscallMsrs(processor, tables.text);
    this.cr3 = tables.pgd;
    this.cr4 = processor.readCr(4) | B.X86_CR4_VMXE;
    this.hostXcr0 = (this.cr4 & B.X86_CR4_OSXSAVE) !== 0 ? processor.xgetbv() : 0;
    this.hrtimers = new HrTimerQueue(processor, (tsc) => this.#arm(tsc));
    this.#tick = tick;
    this.#tickPeriod = (processor.tscKhz * 1000) / tickHz;
    this.#tickAt = tick === null ? Infinity : processor.rdtsc() + this.#tickPeriod;
    this.handlers[LOCAL_TIMER_VECTOR] = () => this.#localTimer();
    this.handlers[RESCHEDULE_VECTOR] = () => {};
    this.handlers[POSTED_INTR_VECTOR] = () => {};
    this.#arm(Infinity);
    processor.setInterruptFlag(true);
  }

  #arm(tsc: number): void {
    const at = Math.min(tsc, this.#tickAt);
    if (at === this.#armed) return;
    this.#armed = at;
    this.processor.setLocalTimer(at, LOCAL_TIMER_VECTOR);
  }

  /** The local timer's interrupt: the tick, then what is due of the timers, which programs the local timer anew. */
  #localTimer(): void {
    this.#armed = -1;
    if (this.#tick !== null) {
      const now = this.processor.rdtsc();
      if (now >= this.#tickAt) {
        this.#tickAt = now + this.#tickPeriod;
        if (this.#tick(this.processor)) this.signalPending = true;
      }
    }
    this.hrtimers.run();
  }
}

export const createHostCpu = (
  memory: HostMemory,
  processor: V.Processor,
  index: number,
  tick: HostTick | null,
  tickHz: number,
): HostCpu => new Cpu(memory, processor, index, tick, tickHz);

/** Runs the handler that the IDT's gate of a vector leads to, as the processor would on an interrupt or an INT n. */
export const callGate = (cpu: HostCpu, vector: number): void => {
  const address = gateAddress(cpu.processor.memory, cpu.idt, vector);
  if (address < 0) return;
  const at = (address - cpu.text) >>> GATE_TEXT_SHIFT;
  cpu.interrupts++;
  const handler = cpu.handlers[at];
  if (handler !== undefined) handler(cpu, vector);
};

/** STI, and what was waiting for it. */
export const localIrqEnable = (cpu: HostCpu): void => {
  const { processor } = cpu;
  processor.setInterruptFlag(true);
  for (;;) {
    const vector = processor.acknowledgeInterrupt();
    if (vector < 0) return;
    callGate(cpu, vector);
  }
};

export const localIrqDisable = (cpu: HostCpu): void => cpu.processor.setInterruptFlag(false);

/** hardware_enable: VMX on, for the first VM. */
export const hardwareEnable = (cpu: HostCpu): void => {
  if (cpu.vmxUsers++ > 0) return;
  const { processor } = cpu;
  const feature = processor.rdmsr(V.MSR_IA32_FEAT_CTL);
  if ((feature & V.FEAT_CTL_LOCKED) === 0)
    must(processor.wrmsr(V.MSR_IA32_FEAT_CTL, V.FEAT_CTL_LOCKED | V.FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX, 0), 'IA32_FEATURE_CONTROL');
  must(processor.writeCr(4, processor.readCr(4) | B.X86_CR4_VMXE, 0), 'CR4.VMXE');
  const revision = processor.rdmsr(V.MSR_IA32_VMX_BASIC) & 0x7fffffff;
  processor.memory.u32[cpu.vmxonRegion >>> 2] = revision;
  if (processor.vmxon(cpu.vmxonRegion) !== V.VM_SUCCEED) {
    cpu.vmxUsers = 0;
    throw new HostCpuSetupError('VMXON');
  }
};

/** hardware_disable: VMX off, after the last VM. */
export const hardwareDisable = (cpu: HostCpu): void => {
  if (--cpu.vmxUsers > 0) return;
  cpu.processor.vmxoff();
  cpu.processor.writeCr(4, cpu.processor.readCr(4) & ~B.X86_CR4_VMXE, 0);
};
