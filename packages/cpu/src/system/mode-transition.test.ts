/**
 * From real-address mode to 64-bit mode and back, step by step as software does it (SDM vol. 3A, 10.9 and 10.8.5): after each instruction the mode, the sizes
 * of code, and what of a segment register changes and what stays.
 */
import { expect, test } from 'vitest';
import * as L from '../state/layout.ts';
import { SystemMachine } from '../testing/system-machine.ts';

const m = new SystemMachine();
const CODE_16 = 0;
const CODE_32 = 1;
const CODE_64 = 2;
const [PE, PG] = [1n, 1n << 31n];

interface Modes {
  readonly code: number;
  readonly real: number;
  readonly long: number;
  readonly cpl: number;
}

function modes(): Modes {
  return { code: m.get32(L.CODE_MODE), real: m.get32(L.REAL_MODE), long: m.get32(L.LONG_MODE), cpl: m.get32(L.CPL) };
}

const real: Modes = { code: CODE_16, real: 1, long: 0, cpl: 0 };
const protected16: Modes = { ...real, real: 0 };
const protected32: Modes = { ...protected16, code: CODE_32 };
const compat: Modes = { ...protected32, long: 1 };
const long: Modes = { ...compat, code: CODE_64 };

function descriptors(): void {
  const gdt = m.data + 0x800;
  // Null; flat code of 32 bits, data, code of 64 bits, code and data of 16 bits based where the program is.
  [0n, 0x00cf_9b00_0000_ffffn, 0x00cf_9300_0000_ffffn, 0x00af_9b00_0000_ffffn, code16(0x9b), code16(0x93)].forEach((value, i) => m.memory.view.setBigUint64(gdt + i * 8, value, true));
  m.set(L.GDTR_BASE, BigInt(gdt));
  m.set32(L.GDTR_LIMIT, 0x2f);
}

function code16(type: number): bigint {
  const base = BigInt(m.code);
  return 0xffffn | ((base & 0xff_ffffn) << 16n) | (BigInt(type) << 40n) | ((base >> 24n) << 56n);
}

/** One step: executes it and checks where the processor is then. */
function step(code: string, registers: Parameters<SystemMachine['run']>[1], expected: Modes): void {
  expect(m.run(code, registers)).toBe('ok');
  expect(modes()).toEqual(expected);
}

/** The bytes of a far jump to the place where run() puts code, through a code segment. */
function far(selector: number, prefix: string, offset: number, size: 2 | 4): string {
  const bytes = Array.from({ length: size }, (_, i) => ((offset >>> (i * 8)) & 0xff).toString(16));
  return `${prefix} ea ${bytes.join(' ')} ${selector.toString(16)} 00`;
}

test('real, protected, PAE, compatibility, 64-bit mode, and all the way back', () => {
  m.enter('real');
  descriptors();
  const table = BigInt(m.pdptes - 0x2000);

  // Protected mode: CS stays as it is until it is loaded, 16 bits wide and based where it was.
  step('0f 22 c0', { rax: m.get(L.CR0) | PE }, protected16);
  expect(m.segment(L.CS)).toMatchObject({ base: BigInt(m.code), limit: 0xffff });
  step(far(8, '66', m.code, 4), {}, protected32);
  expect(m.segment(L.CS)).toEqual({ selector: 8, attr: 0xc09b, base: 0n, limit: 0xffff_ffff });
  for (const load of ['8e d8', '8e c0', '8e d0']) step(load, { rax: 0x10 }, protected32);
  expect(m.get(L.STACK_MASK)).toBe(0xffff_ffffn);

  // PAE paging, then without it to long mode.
  step('0f 22 e0', { rax: 0x620 }, protected32);
  step('0f 22 d8', { rax: m.pdptes }, protected32);
  step('0f 22 c0', { rax: m.get(L.CR0) | PG }, protected32);
  expect(m.run('0f 30', { rcx: 0xc000_0080, rax: 0x900, rdx: 0 })).toBe('#GP(0)');
  step('0f 22 c0', { rax: m.get(L.CR0) & ~PG }, protected32);
  step('0f 22 d8', { rax: table }, protected32);
  step('0f 30', { rcx: 0xc000_0080, rax: 0x900, rdx: 0 }, protected32);
  step('0f 22 c0', { rax: m.get(L.CR0) | PG }, compat);
  expect(m.get(L.MSR_EFER)).toBe(0xd00n);
  expect(m.run('0f 22 e0', { rax: m.get(L.CR4) & ~0x20n })).toBe('#GP(0)');

  // 64-bit code, and the upper halves of registers.
  step(far(0x18, '', m.code, 4), {}, long);
  step('48 b8 88 77 66 55 44 33 22 11', {}, long);
  expect(m.gpr('rax')).toBe(0x1122_3344_5566_7788n);
  expect(m.get(L.STACK_MASK)).toBe(0xffff_ffff_ffff_ffffn);
  expect(m.run('0f 22 c0', { rax: m.get(L.CR0) & ~PG })).toBe('#GP(0)');

  // Back: far return to compatibility mode, paging off, 16-bit segments, PE off, a far jump that loads CS as real mode does.
  m.memory.view.setBigUint64(m.stack + 0x400, BigInt(m.code), true);
  m.memory.view.setBigUint64(m.stack + 0x408, 8n, true);
  step('48 cb', { rsp: m.stack + 0x400 }, compat);
  step('0f 22 c0', { rax: m.get(L.CR0) & ~PG & 0xffff_ffffn }, protected32);
  expect(m.get(L.MSR_EFER)).toBe(0x900n);
  step('0f 30', { rcx: 0xc000_0080, rax: 0, rdx: 0 }, protected32);
  step('0f 22 e0', { rax: 0 }, protected32);
  step(far(0x20, '', 0, 4), {}, protected16);
  for (const load of ['8e d8', '8e c0', '8e d0']) step(load, { rax: 0x28 }, protected16);
  expect(m.get(L.STACK_MASK)).toBe(0xffffn);
  step('0f 22 c0', { rax: m.get(L.CR0) & ~PE }, real);
  expect(m.segment(L.CS)).toMatchObject({ selector: 0x20, base: BigInt(m.code) });
  m.memory.view.setUint8(0x1234, 0x90);
  step('ea 34 12 00 00', {}, real);
  expect(m.segment(L.CS)).toMatchObject({ selector: 0, base: 0n, limit: 0xffff });
  expect(m.get(L.RIP)).toBe(0x1234n);
});

test('loading a segment register in real-address mode changes selector and base alone, so that a larger limit stays (vol. 3B, 22.1)', () => {
  m.enter('protected');
  descriptors();
  step('8e e0', { rax: 0x10 }, protected32);
  m.setSegment(L.CS, 0x20, 0x9b, BigInt(m.code), 0xffff);
  m.update();
  step('0f 22 c0', { rax: m.get(L.CR0) & ~PE }, real);
  step('8e e0', { rax: 0x1234 }, real);
  expect(m.segment(L.FS)).toMatchObject({ selector: 0x1234, base: 0x1_2340n, limit: 0xffff_ffff });
  // A 32-bit offset beyond 64 KiB: mov eax, fs:[ebx].
  m.memory.view.setUint32(m.data, 0xcafe_f00d, true);
  step('64 66 67 8b 03', { rbx: BigInt(m.data) - 0x1_2340n }, real);
  expect(m.gpr('rax')).toBe(0xcafe_f00dn);
  m.setSegment(L.DS, 0, 0x93, 0n, 0xffff);
  expect(m.run('67 66 8b 03', { rbx: 0x1_0000 })).toBe('#GP');
});

test('CR0.PE alone does not change the privilege level or the width of the stack', () => {
  m.enter('real');
  m.setSegment(L.SS, 0x1000, 0x93, BigInt(m.stack), 0xffff);
  m.update();
  step('0f 22 c0', { rax: m.get(L.CR0) | PE }, protected16);
  expect([m.get(L.STACK_MASK), m.get32(L.CPL)]).toEqual([0xffffn, 0]);
  step('50', { rsp: 0x1_0800n }, protected16);
  expect(m.gpr('rsp')).toBe(0x1_07fen);
});
