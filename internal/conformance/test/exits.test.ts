/**
 * Each exit reason that this processor raises under KVM: a guest that causes it, and what KVM makes of it. `does` is what
 * the guest or userspace sees: `done` the instruction was emulated or the event served, `guest exception N` the guest got
 * it, anything else left to userspace. `count` is the number of exits of the reason, where it is certain.
 */
import { afterEach, describe, expect, test } from 'vitest';
import * as P from '@vm/kvm-run';
import * as V from '@vm/kvm-run/vmx';
import { setGate, setTask, setTaskGate, type Mode } from '../src/guest-state.ts';
import { LAYOUT } from '../src/layout.ts';
import { Machine, type MachineOptions } from '../src/machine.ts';

interface Row {
  readonly reason: number;
  readonly entry: string;
  readonly does: string;
  readonly mode?: Mode;
  readonly options?: MachineOptions;
  readonly prepare?: (m: Machine) => void;
  readonly check?: (m: Machine) => void;
}

type Entry = P.View<typeof P.kvmCpuidEntry2>;
const without = (leaf: number, register: 'ebx' | 'ecx' | 'edx', bit: number) => (entries: readonly Entry[]): void => {
  for (const entry of entries) if (entry.function === leaf && entry.index === 0) entry[register] = (entry[register] & ~(1 << bit)) >>> 0;
};
const cr4 = (bits: bigint) => (m: Machine): void => {
  const sregs = m.vcpu.sregs();
  sregs.cr4 |= bits;
  m.must(m.vcpu.setSregs(sregs));
};
const OSXSAVE = 0x40000n;
const gate = (vector: number, handler: string) => (m: Machine): void => setGate(m, m.mode, vector, m.symbol(handler));
const nmis = (count: number) => (m: Machine): void => {
  gate(2, 'nmi_handler')(m);
  m.setU32(LAYOUT.DATA, 2 - count);
  for (let i = 0; i < count; i++) m.vcpu.must(P.KVM_NMI, 0);
};
const task = (m: Machine): void => {
  setTask(m, m.symbol('task'));
  setTaskGate(m, 0x30);
};
const switched = (m: Machine): void => {
  expect(m.u32(LAYOUT.DATA)).toBe(0x7461736b);
  expect(m.vcpu.sregs().tr).toMatchObject({ selector: LAYOUT.SEL_TSS1, base: BigInt(LAYOUT.TSS1), type: 11 });
};
const quirkOff = (quirk: number): MachineOptions => ({ prepare: (m) => void m.must(m.enableCap(P.KVM_CAP_DISABLE_QUIRKS2, BigInt(quirk))) });
const kernel: MachineOptions = { irqchip: 'kernel' };
const reg = (name: 'rax' | 'rdx' | 'rcx', value: bigint) => (m: Machine): void => expect(m.vcpu.reg(name)).toBe(value);

const EVENTS: readonly Row[] = [
  { reason: V.EXIT_REASON_EXCEPTION_NMI, entry: 'exit_ud', does: 'guest exception 6' },
  { reason: V.EXIT_REASON_EXTERNAL_INTERRUPT, entry: 'spin', does: 'EINTR', options: { tick: () => true } },
  { reason: V.EXIT_REASON_TRIPLE_FAULT, entry: 'exit_triple_fault', does: 'KVM_EXIT_SHUTDOWN' },
  { reason: V.EXIT_REASON_NMI_WINDOW, entry: 'wait_two', does: 'done', options: kernel, prepare: nmis(2) },
  {
    reason: V.EXIT_REASON_INTERRUPT_WINDOW, entry: 'closed_then_open', does: 'KVM_EXIT_IRQ_WINDOW_OPEN',
    prepare: (m) => { m.vcpu.run.requestInterruptWindow = 1; },
  },
  { reason: V.EXIT_REASON_PREEMPTION_TIMER, entry: 'spin_on_timer', does: 'done', options: kernel, prepare: gate(0x40, 'count_and_return') },
];

const INSTRUCTIONS: readonly Row[] = [
  { reason: V.EXIT_REASON_IO_INSTRUCTION, entry: 'exit_out', does: 'out 0x42 1x1' },
  { reason: V.EXIT_REASON_IO_INSTRUCTION, entry: 'exit_outs', does: 'out 0x3f8 1x3' },
  { reason: V.EXIT_REASON_IO_INSTRUCTION, entry: 'exit_ins', does: 'in 0x3f8 2x2' },
  { reason: V.EXIT_REASON_IO_INSTRUCTION, entry: 'exit_ins', does: 'in 0x3f8 1x1', mode: 'real' },
  { reason: V.EXIT_REASON_CR_ACCESS, entry: 'exit_lmsw', does: 'done', check: (m) => expect(m.vcpu.sregs().cr0 & 0xfn).toBe(0xbn) },
  { reason: V.EXIT_REASON_CR_ACCESS, entry: 'exit_mov_to_cr8', does: 'done', check: reg('rdx', 5n) },
  { reason: V.EXIT_REASON_DR_ACCESS, entry: 'exit_mov_to_dr', does: 'done', check: reg('rdx', BigInt(LAYOUT.DATA)) },
  {
    // CR4.DE, of which KVM knows that it is set, is cleared without an exit: and al, 0xf7; mov cr4, rax; mov rdx, dr4; hlt.
    reason: V.EXIT_REASON_DR_ACCESS, entry: 'exit_hlt', does: 'KVM_EXIT_HLT', check: reg('rdx', 0xffff0ff0n),
    prepare: (m) => {
      cr4(8n)(m);
      m.write(m.symbol('exit_hlt'), Uint8Array.of(0x0f, 0x20, 0xe0, 0x24, 0xf7, 0x0f, 0x22, 0xe0, 0x0f, 0x21, 0xe2, 0xf4));
    },
  },
  { reason: V.EXIT_REASON_CPUID, entry: 'exit_cpuid', does: 'done' },
  { reason: V.EXIT_REASON_CPUID, entry: 'exit_cpuid', does: 'done', mode: 'protected' },
  { reason: V.EXIT_REASON_CPUID, entry: 'exit_cpuid', does: 'done', mode: 'real' },
  { reason: V.EXIT_REASON_MSR_READ, entry: 'read_apic_base', does: 'done', check: reg('rax', 0xfee00900n) },
  { reason: V.EXIT_REASON_MSR_READ, entry: 'read_no_msr', does: 'guest exception 13' },
  { reason: V.EXIT_REASON_MSR_WRITE, entry: 'exit_wrmsr', does: 'done', check: (m) => expect(m.vcpu.msr(V.MSR_TSC_AUX)).toBe(0x1234n) },
  { reason: V.EXIT_REASON_HLT, entry: 'exit_hlt', does: 'KVM_EXIT_HLT' },
  { reason: V.EXIT_REASON_HLT, entry: 'exit_hlt', does: 'KVM_EXIT_HLT', mode: 'real' },
  { reason: V.EXIT_REASON_INVD, entry: 'exit_invd', does: 'done' },
  { reason: V.EXIT_REASON_WBINVD, entry: 'exit_wbinvd', does: 'done' },
  { reason: V.EXIT_REASON_RDPMC, entry: 'exit_rdpmc', does: 'guest exception 13' },
  { reason: V.EXIT_REASON_VMCALL, entry: 'exit_vmcall', does: 'done', check: (m) => expect(m.u32(LAYOUT.DATA)).toBe((-P.KVM_ENOSYS) >>> 0) },
  { reason: V.EXIT_REASON_XSETBV, entry: 'exit_xsetbv', does: 'done', prepare: cr4(OSXSAVE) },
  { reason: V.EXIT_REASON_PAUSE_INSTRUCTION, entry: 'pause_loop', does: 'done' },
  { reason: V.EXIT_REASON_MWAIT_INSTRUCTION, entry: 'exit_mwait', does: 'done' },
  { reason: V.EXIT_REASON_MONITOR_INSTRUCTION, entry: 'exit_monitor', does: 'done' },
  { reason: V.EXIT_REASON_MWAIT_INSTRUCTION, entry: 'exit_mwait', does: 'guest exception 6', options: quirkOff(P.KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS) },
  { reason: V.EXIT_REASON_MONITOR_INSTRUCTION, entry: 'exit_monitor', does: 'guest exception 6', options: quirkOff(P.KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS) },
  { reason: V.EXIT_REASON_RDRAND, entry: 'exit_rdrand', does: 'guest exception 6', options: { cpuid: without(1, 'ecx', 30) } },
  { reason: V.EXIT_REASON_RDSEED, entry: 'exit_rdseed', does: 'guest exception 6', options: { cpuid: without(7, 'ebx', 18) } },
];

const VMX: readonly Row[] = ([
  ['VMCLEAR', 'exit_vmclear'], ['VMLAUNCH', 'exit_vmlaunch'], ['VMPTRLD', 'exit_vmptrld'], ['VMPTRST', 'exit_vmptrst'], ['VMREAD', 'exit_vmread'],
  ['VMRESUME', 'exit_vmresume'], ['VMWRITE', 'exit_vmwrite'], ['VMOFF', 'exit_vmxoff'], ['VMON', 'exit_vmxon'], ['INVEPT', 'exit_invept'],
  ['INVVPID', 'exit_invvpid'],
] as const).map(([name, entry]) => ({ reason: V.EXIT_REASON_NAMES.indexOf(name), entry, does: 'guest exception 6' }));

const MEMORY: readonly Row[] = [
  { reason: V.EXIT_REASON_EPT_VIOLATION, entry: 'exit_ept_data', does: 'done' },
  { reason: V.EXIT_REASON_EPT_VIOLATION, entry: 'exit_ept_read', does: 'mmio read 0x300010 4' },
  { reason: V.EXIT_REASON_EPT_VIOLATION, entry: 'exit_ept_write', does: 'mmio write 0x300002 2', mode: 'protected' },
  { reason: V.EXIT_REASON_EPT_MISCONFIG, entry: 'mmio_twice', does: 'mmio write 0x300024 4', prepare: (m) => void m.vcpu.enter() },
  { reason: V.EXIT_REASON_TPR_BELOW_THRESHOLD, entry: 'lower_tpr_to_interrupt', does: 'done', options: kernel, prepare: gate(0x40, 'count_and_return') },
];

const TASKS: readonly Row[] = (['exit_jmp_tss', 'exit_call_tss', 'exit_call_gate', 'exit_int_gate'] as const).map((entry) => (
  { reason: V.EXIT_REASON_TASK_SWITCH, entry, does: 'done', mode: 'protected', prepare: task, check: switched }));

const machines: Machine[] = [];
afterEach(() => {
  for (const made of machines.splice(0)) made.close();
});

const run = (m: Machine): string => {
  const result = m.vcpu.tryEnter();
  return result < 0 ? P.errnoName(result) : m.vcpu.describe(m.vcpu.run.readExit());
};

const ROWS: readonly Row[] = [...EVENTS, ...INSTRUCTIONS, ...VMX, ...MEMORY, ...TASKS];
const nameOf = ({ reason, mode = 'long', entry, does }: Row): string => `${V.exitReasonName(reason)} (${mode}: ${entry}): ${does}`;

describe('what KVM does with each exit', () => {
  test.for(ROWS.map((row) => [nameOf(row), row] as const))('%s', ([, row]) => {
    const m = new Machine({ ...row.options, entry: row.entry, mode: row.mode ?? 'long' });
    machines.push(m);
    row.prepare?.(m);
    expect(run(m)).toBe(row.does);
    expect(m.exitCount(row.reason)).toBeGreaterThan(0);
    row.check?.(m);
  });
});
