/**
 * Tracepoints as the kernel's trace file shows them: the line of ftrace (kernel/trace/trace_output.c,
 * trace_print_context), and each event in its own format (arch/x86/kvm/trace.h, include/trace/events/kvm.h).
 */
import { exitReasonName } from '@vm/kvm-run/vmx';

export type TraceValue = number | bigint | string;
type Format = (...fields: readonly TraceValue[]) => string;

const hex = (value: TraceValue | undefined): string => BigInt.asUintN(64, BigInt(value ?? 0)).toString(16);
const hex8 = (value: TraceValue | undefined): string => `0x${BigInt.asUintN(32, BigInt(value ?? 0)).toString(16).padStart(8, '0')}`;
const hex16 = (value: TraceValue | undefined): string => `0x${hex(value).padStart(16, '0')}`;
const bits = (value: TraceValue | undefined, shift: number, mask: number): number => Number((BigInt(value ?? 0) >> BigInt(shift)) & BigInt(mask));
const readWrite = (value: TraceValue | undefined): string => (Number(value) === 0 ? 'read' : 'write');
const coalesced = (value: TraceValue | undefined): string => (Number(value) === 0 ? '' : ' (coalesced)');

const DELIVERY_MODES = ['Fixed', 'LowPrio', 'SMI', 'Res3', 'NMI', 'INIT', 'SIPI', 'ExtINT'];
const IRQCHIPS = ['PIC master', 'PIC slave', 'IOAPIC'];
const SHORTHANDS = ['dst', 'self', 'all', 'all-but-self'];
const MMIO_TYPES = ['unsatisfied-read', 'read', 'write'];
const EXCEPTIONS = ['DE', 'DB', 'NMI', 'BP', 'OF', 'BR', 'UD', 'NM', 'DF', '9', 'TS', 'NP', 'SS', 'GP', 'PF', '15', 'MF', 'AC', 'MC', 'XM', 'VE', 'CP'];
const USERSPACE_EXITS: Readonly<Record<number, string>> = {
  0: 'UNKNOWN', 1: 'EXCEPTION', 2: 'IO', 3: 'HYPERCALL', 4: 'DEBUG', 5: 'HLT', 6: 'MMIO', 7: 'IRQ_WINDOW_OPEN', 8: 'SHUTDOWN', 9: 'FAIL_ENTRY',
  10: 'INTR', 11: 'SET_TPR', 17: 'INTERNAL_ERROR', 24: 'SYSTEM_EVENT', 26: 'IOAPIC_EOI', 29: 'X86_RDMSR', 30: 'X86_WRMSR', 31: 'DIRTY_RING_FULL',
  33: 'X86_BUS_LOCK', 37: 'NOTIFY', 39: 'MEMORY_FAULT',
};
const EINTR = 4;
const FAILED_VMENTRY = 0x80000000;

/** Register names of the local APIC, by offset / 16. */
const APIC_REGISTERS: Readonly<Record<number, string>> = {
  0x2: 'ID', 0x3: 'LVR', 0x8: 'TASKPRI', 0x9: 'ARBPRI', 0xa: 'PROCPRI', 0xb: 'EOI', 0xc: 'RRR', 0xd: 'LDR', 0xe: 'DFR', 0xf: 'SPIV', 0x10: 'ISR',
  0x18: 'TMR', 0x20: 'IRR', 0x28: 'ESR', 0x30: 'ICR', 0x31: 'ICR2', 0x32: 'LVTT', 0x33: 'LVTTHMR', 0x34: 'LVTPC', 0x35: 'LVT0', 0x36: 'LVT1',
  0x37: 'LVTERR', 0x38: 'TMICT', 0x39: 'TMCCT', 0x3e: 'TDCR', 0x3f: 'SELF_IPI', 0x40: 'EFEAT', 0x41: 'ECTRL',
};

function apicRegister(offset: TraceValue | undefined): string {
  const name = APIC_REGISTERS[Number(offset) >> 4];
  return name === undefined ? `0x${hex(offset)}` : `APIC_${name}`;
}

function exitReason(reason: TraceValue | undefined): string {
  const value = Number(reason) >>> 0;
  return `${exitReasonName(value & 0xffff)}${value >= FAILED_VMENTRY ? ' FAILED_VMENTRY' : ''}`;
}

function userspaceExit(reason: TraceValue | undefined, errno: TraceValue | undefined): string {
  const code = Number(errno ?? 0);
  if (code < 0) return `reason ${code === -EINTR ? 'restart' : 'error'} (${-code})`;
  const name = USERSPACE_EXITS[Number(reason)];
  return `reason ${name === undefined ? String(reason) : `KVM_EXIT_${name}`} (${reason})`;
}

function exception(vector: TraceValue | undefined): string {
  return `#${EXCEPTIONS[Number(vector)] ?? String(vector)}`;
}

function routing(entry: TraceValue | undefined): string {
  const mode = DELIVERY_MODES[bits(entry, 8, 7)];
  return `(${mode}|${bits(entry, 11, 1) ? 'logical' : 'physical'}|${bits(entry, 15, 1) ? 'level' : 'edge'}${bits(entry, 16, 1) ? '|masked' : ''})`;
}

// The first field of each event is the vCPU, which only some formats show.
const FORMATS: Readonly<Record<string, Format>> = {
  kvm_entry: (vcpu, rip) => `vcpu ${vcpu}, rip 0x${hex(rip)}`,
  kvm_exit: (vcpu, reason, rip, info1, info2, intrInfo, errorCode) =>
    `vcpu ${vcpu} reason ${exitReason(reason)} rip 0x${hex(rip)} info1 ${hex16(info1)} info2 ${hex16(info2)} intr_info ${hex8(intrInfo)} error_code ${hex8(errorCode)}`,
  kvm_userspace_exit: (_vcpu, reason, errno) => userspaceExit(reason, errno),
  kvm_vcpu_wakeup: (_vcpu, ns, waited, valid) => `${Number(waited) ? 'wait' : 'poll'} time ${ns} ns, polling ${Number(valid) ? 'valid' : 'invalid'}`,
  kvm_cpuid: (_vcpu, leaf, index, rax, rbx, rcx, rdx, found) =>
    `func ${hex(leaf)} idx ${hex(index)} rax ${hex(rax)} rbx ${hex(rbx)} rcx ${hex(rcx)} rdx ${hex(rdx)}, cpuid entry ${Number(found) ? 'found' : 'not found'}`,
  kvm_pio: (_vcpu, rw, port, size, count, value) =>
    `pio_${readWrite(rw)} at 0x${hex(port)} size ${size} count ${count} val 0x${hex(value)} ${Number(count) > 1 ? '(...)' : ''}`,
  kvm_mmio: (_vcpu, type, length, gpa, value) => `mmio ${MMIO_TYPES[Number(type)] ?? type} len ${length} gpa 0x${hex(gpa)} val 0x${hex(value)}`,
  kvm_fast_mmio: (_vcpu, gpa) => `fast mmio at gpa 0x${hex(gpa)}`,
  kvm_msr: (_vcpu, write, index, data, failed) => `msr_${readWrite(write)} ${hex(index)} = 0x${hex(data)}${Number(failed) ? ' (#GP)' : ''}`,
  kvm_cr: (_vcpu, rw, register, value) => `cr_${readWrite(rw)} ${hex(register)} = 0x${hex(value)}`,
  kvm_page_fault: (vcpu, rip, address, errorCode) => `vcpu ${vcpu} rip 0x${hex(rip)} address ${hex16(address)} error_code 0x${hex(errorCode)}`,
  kvm_emulate_insn: (_vcpu, rip, base, bytes, failed) => `${hex(base)}:${hex(rip)}: ${bytes}${Number(failed) ? ' failed' : ''}`,
  kvm_hypercall: (_vcpu, nr, a0, a1, a2, a3) => `nr 0x${hex(nr)} a0 0x${hex(a0)} a1 0x${hex(a1)} a2 0x${hex(a2)} a3 0x${hex(a3)}`,
  kvm_inj_virq: (_vcpu, vector, soft, reinjected) => `${Number(soft) ? 'Soft/INTn' : 'IRQ'} 0x${hex(vector)}${Number(reinjected) ? ' [reinjected]' : ''}`,
  kvm_inj_exception: (_vcpu, vector, hasError, errorCode, reinjected) =>
    `${exception(vector)}${Number(hasError) ? ` (0x${hex(errorCode)})` : ''}${Number(reinjected) ? ' [reinjected]' : ''}`,
  kvm_inj_nmi: () => '',
  kvm_apic: (_vcpu, rw, register, value) => `apic_${readWrite(rw)} ${apicRegister(register)} = 0x${hex(value)}`,
  kvm_apic_ipi: (_vcpu, icr, destination) =>
    `dst ${hex(destination)} vec ${bits(icr, 0, 255)} (${DELIVERY_MODES[bits(icr, 8, 7)]}|${bits(icr, 11, 1) ? 'logical' : 'physical'}|${bits(icr, 14, 1) ? 'assert' : 'de-assert'}|${bits(icr, 15, 1) ? 'level' : 'edge'}|${SHORTHANDS[bits(icr, 18, 3)]})`,
  kvm_apic_accept_irq: (_vcpu, apic, mode, trigger, vector) =>
    `apicid ${hex(apic)} vec ${vector} (${DELIVERY_MODES[bits(mode, 8, 7)]}|${Number(trigger) ? 'level' : 'edge'})`,
  kvm_eoi: (_vcpu, apic, vector) => `apicid ${hex(apic)} vector ${vector}`,
  kvm_pv_eoi: (_vcpu, apic, vector) => `apicid ${hex(apic)} vector ${vector}`,
  kvm_pic_set_irq: (_vcpu, chip, pin, elcr, imr, merged) =>
    `chip ${chip} pin ${pin} (${bits(elcr, Number(pin), 1) ? 'level' : 'edge'}${bits(imr, Number(pin), 1) ? '|masked' : ''})${coalesced(merged)}`,
  kvm_ioapic_set_irq: (_vcpu, pin, entry, merged) =>
    `pin ${pin} dst ${hex(bits(entry, 56, 255))} vec ${bits(entry, 0, 255)} ${routing(entry)}${coalesced(merged)}`,
  kvm_msi_set_irq: (_vcpu, address, data) =>
    `dst ${hex(bits(address, 12, 255))} vec ${bits(data, 0, 255)} (${DELIVERY_MODES[bits(data, 8, 7)]}|${bits(address, 2, 1) ? 'logical' : 'physical'}|${bits(data, 15, 1) ? 'level' : 'edge'}${bits(address, 3, 1) ? '|rh' : ''})`,
  kvm_set_irq: (_vcpu, gsi, level, source) => `gsi ${gsi} level ${Number(level)} source ${source}`,
  kvm_ack_irq: (_vcpu, chip, pin) => `irqchip ${IRQCHIPS[Number(chip)] ?? chip} pin ${pin}`,
  kvm_fpu: (_vcpu, load) => (Number(load) ? 'load' : 'unload'),
  kvm_hv_timer_state: (vcpu, used) => `vcpu_id ${hex(vcpu)} hv_timer ${hex(used)}`,
  kvm_write_tsc_offset: (vcpu, previous, next) => `vcpu=${vcpu} prev=${previous} next=${next}`,
  kvm_wait_lapic_expire: (vcpu, delta) => `vcpu ${vcpu}: delta ${delta} (${Number(delta) < 0 ? 'early' : 'late'})`,
};

/** Where and when an event happened. */
export interface TraceContext {
  readonly pid: number;
  readonly cpu: number;
  /** Nanoseconds. */
  readonly time: number;
}

/** One line of the trace file, without the line feed. `names` are the event's fields, for those without a format here. */
export function formatTracepoint(context: TraceContext, name: string, names: readonly string[], fields: readonly TraceValue[]): string {
  const format = FORMATS[name];
  const text = format === undefined ? names.map((field, at) => `${field} ${fields[at] ?? ''}`).join(' ') : format(...fields);
  return `${formatContext(context)} ${name}: ${text}`.trimEnd();
}

function formatContext({ pid, cpu, time }: TraceContext): string {
  const seconds = Math.floor(time / 1e9);
  const micro = Math.floor((time % 1e9) / 1000);
  return `${'vm'.padStart(16)}-${String(pid).padEnd(7)} [${String(cpu).padStart(3, '0')}] ..... ${String(seconds).padStart(5)}.${String(micro).padStart(6, '0')}:`;
}
