/** Which forms user mode can try on both sides, and why the others are left out. */
import type { Form } from '@vm/cpu/decode';

interface Exclusion {
  readonly mnemonics: RegExp;
  readonly reason: string;
}

/** What is not run, with the reason and where it is tested instead. */
export const EXCLUSIONS: readonly Exclusion[] = [
  { mnemonics: /^(syscall|sysenter|int)$/, reason: 'would call Linux; microcode tests of events and guests' },
  { mnemonics: /^(int1|int3|into)$/, reason: 'traps that the harness itself stops by; microcode tests of events' },
  { mnemonics: /^(sysret|sysretq|sysexit|sysexitq)$/, reason: 'only privilege 0 may; tests of system calls' },
  { mnemonics: /^(sgdt|sidt|sldt|smsw|str)$/, reason: 'UMIP: Linux emulates some of them after #GP; tests of system instructions' },
  { mnemonics: /^(cpuid|rdtsc|rdtscp|rdpid|rdrand|rdseed|xgetbv|rdpmc)$/, reason: 'results differ from machine to machine; tests of the processor, xsave.ts' },
  { mnemonics: /^(xsave.*|xrstor.*)$/, reason: 'areas of many formats: xsave.ts compares them with the processor, tests of XSAVE have the privileged ones' },
  { mnemonics: /^(vm(call|clear|launch|ptrld|ptrst|read|resume|write|xoff|xon|func|mcall)|invept|invvpid)$/, reason: 'VMX, which AMD does not have; VMX tests' },
  { mnemonics: /^(tpause|umwait|umonitor|monitor|mwait|encls|enclu|getsec|rdpkru|wrpkru|clzero|rsm|pcommit)$/, reason: 'not in the machine at hand or not in user mode' },
  { mnemonics: /^(fneni|fndisi|fnsetpm|ffreep|fstpnce)$/, reason: 'undocumented 8087 and 80287 instructions' },
  { mnemonics: /^(ud[012])$/, reason: 'invalid by design; covered by spoilt encodings' },
  { mnemonics: /^(cli|sti)$/, reason: 'Linux may emulate them; tests of flags' },
];

/** The reason why a form is left out, or null. */
export function excluded(form: Form): string | null {
  const rule = EXCLUSIONS.find(({ mnemonics }) => mnemonics.test(form.mnemonic));
  return rule ? rule.reason : null;
}

/** Instructions that only privilege 0 may execute, or that VMX and IOPL decide about: one case in many is enough. */
export const ALWAYS_FAULTS: RegExp = /^(hlt|in|ins[bwd]|out|outs[bwd]|cli|sti|clts|invd|wbinvd|wbnoinvd|invlpg|invpcid|lgdt|lidt|lldt|ltr|lmsw|rdmsr|wrmsr|swapgs|xsetbv|clac|stac)$/;

/** A name for a form in one mode that does not depend on its number. */
export function formName(form: Form, mode: number): string {
  const { row } = form;
  const place = `${row.vex ? 'vex ' : ''}${['', '66 ', 'f3 ', 'f2 '][Math.max(row.prefix, 0)]}${['', '0f ', '0f38 ', '0f3a '][row.map]}${row.opcode.toString(16).padStart(2, '0')}`;
  const digit = row.digit >= 0 ? `/${row.digit}` : row.modrm >= 0 ? `=${row.modrm.toString(16)}` : '';
  return `${mode}: ${place}${digit} ${form.key}${form.operandSize === 0 ? '' : ` o${form.operandSize * 8}`}`;
}
