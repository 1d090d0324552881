/** The registers in words, as QEMU prints them (x86_cpu_dump_state), with the bytes of code at RIP. */

import { KVM_TRANSLATE, allocate, kvmTranslation, view } from '@vm/kvm-run';
import type { CpuState } from '../../accel/kvm/cpu-state.ts';
import type { SegmentView, X86Env } from './env.ts';

const CODE_BYTES = 48;
const CODE_BEFORE = 16;

const hex = (value: bigint | number, digits: number): string => value.toString(16).padStart(digits, '0');

const GENERAL: readonly (readonly (keyof X86Env['regs'])[])[] = [
  ['rax', 'rbx', 'rcx', 'rdx'],
  ['rsi', 'rdi', 'rbp', 'rsp'],
  ['r8', 'r9', 'r10', 'r11'],
  ['r12', 'r13', 'r14', 'r15'],
];
const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs', 'ldt', 'tr'] as const;

/** The state in `cpu.env`; call `kvmArchGetRegisters` first. */
export function cpuDumpState(cpu: CpuState): string {
  const { regs, sregs, debugregs } = cpu.env;
  const lines = GENERAL.map((row) => row.map((name) => `${name.toUpperCase().padEnd(3)}=${hex(regs[name], 16)}`).join(' '));
  lines.push(`RIP=${hex(regs.rip, 16)} RFL=${hex(regs.rflags, 8)} CPL=${sregs.cs.selector & 3}`);
  for (const name of SEGMENTS) lines.push(`${name.toUpperCase().padEnd(3)}=${segment(sregs[name])}`);
  lines.push(`GDT=     ${hex(sregs.gdt.base, 16)} ${hex(sregs.gdt.limit, 8)}`);
  lines.push(`IDT=     ${hex(sregs.idt.base, 16)} ${hex(sregs.idt.limit, 8)}`);
  lines.push(`CR0=${hex(sregs.cr0, 8)} CR2=${hex(sregs.cr2, 16)} CR3=${hex(sregs.cr3, 16)} CR4=${hex(sregs.cr4, 8)}`);
  lines.push(`DR6=${hex(debugregs.dr6, 16)} DR7=${hex(debugregs.dr7, 16)} EFER=${hex(sregs.efer, 16)}`);
  lines.push(`Code=${code(cpu)}`);
  return lines.join('\n');
}

function segment(register: SegmentView): string {
  const flags =
    (register.type << 8) |
    (register.s << 12) |
    (register.dpl << 13) |
    (register.present << 15) |
    (register.avl << 20) |
    (register.l << 21) |
    (register.db << 22) |
    (register.g << 23);
  return `${hex(register.selector, 4)} ${hex(register.base, 16)} ${hex(register.limit, 8)} ${hex(flags, 8)}${register.unusable ? ' unusable' : ''}`;
}

/** Bytes around RIP, the one at it in <>; ?? where nothing is mapped. */
function code(cpu: CpuState): string {
  const { regs, sregs } = cpu.env;
  const linear = BigInt.asUintN(64, sregs.cs.base + regs.rip);
  const bytes: string[] = [];
  for (let i = -CODE_BEFORE; i < CODE_BYTES - CODE_BEFORE; i++) {
    const byte = readLinear(cpu, BigInt.asUintN(64, linear + BigInt(i)));
    const text = byte === undefined ? '??' : hex(byte, 2);
    bytes.push(i === 0 ? `<${text}>` : text);
  }
  return bytes.join(' ');
}

function readLinear(cpu: CpuState, address: bigint): number | undefined {
  const request = allocate(kvmTranslation);
  const translation = view(kvmTranslation, request);
  translation.linear_address = address;
  if (cpu.kvmVcpuIoctl(KVM_TRANSLATE, request) < 0 || translation.valid === 0) return undefined;
  const host = cpu.memory.hostAddress(Number(translation.physical_address), 1);
  return host < 0 ? undefined : cpu.memory.memory.u8[host];
}
