/** RDMSR and WRMSR: which values each register refuses (SDM vol. 4, chapter 2; vol. 2B, WRMSR: #GP(0) for reserved bits and non-canonical addresses). */
import { describe, expect, test } from 'vitest';
import * as V from '@vm/kvm-run/vmx';
import * as L from '../state/layout.ts';
import { type Mode, type Outcome, SystemMachine } from '../testing/system-machine.ts';

const m = new SystemMachine();
const LOW = 0xffff_ffffn;
const NON_CANONICAL = [0x0000_8000_0000_0000n, 0xffff_7fff_ffff_ffffn, 1n << 63n, 0x0001_0000_0000_0000n];
const CANONICAL = [0n, 0x0000_7fff_ffff_ffffn, 0xffff_8000_0000_0000n, 0xffff_ffff_ffff_ffffn];

function write(index: number, value: bigint, mode: Mode = 'long'): Outcome {
  m.enter(mode);
  return m.run('0f 30', { rcx: index, rax: value & LOW, rdx: value >> 32n });
}

function read(index: number): bigint | Outcome {
  const outcome = m.run('0f 32', { rcx: index });
  return outcome === 'ok' ? (m.gpr('rdx') << 32n) | m.gpr('rax') : outcome;
}

describe('addresses must be canonical, also where the processor is not in 64-bit mode', () => {
  test.each<[string, number]>([
    ['FS.base', V.MSR_FS_BASE], ['GS.base', V.MSR_GS_BASE], ['KERNEL_GS_BASE', 0xc000_0102], ['LSTAR', V.MSR_LSTAR], ['CSTAR', 0xc000_0083],
    ['SYSENTER_ESP', V.MSR_IA32_SYSENTER_ESP], ['SYSENTER_EIP', V.MSR_IA32_SYSENTER_EIP],
  ])('%s', (_, index) => {
    for (const mode of ['long', 'compat', 'protected'] as const) {
      for (const value of NON_CANONICAL) expect(write(index, value, mode)).toBe('#GP(0)');
      for (const value of CANONICAL) {
        expect(write(index, value, mode)).toBe('ok');
        expect(read(index)).toBe(value);
      }
    }
  });
});

describe('EFER', () => {
  const [SCE, LME, LMA, NXE] = [1n, 0x100n, 0x400n, 0x800n];
  const reserved = [...Array(64).keys()].filter((n) => ![0, 8, 10, 11].includes(n));
  test.each(reserved)('bit %i is reserved', (n) => expect(write(V.MSR_EFER, 0xd01n | (1n << BigInt(n)))).toBe('#GP(0)'));
  test.each<[string, Mode, bigint, Outcome, bigint]>([
    ['LME cannot be cleared with paging on', 'long', SCE | NXE, '#GP(0)', SCE | LME | LMA | NXE],
    ['LME cannot be set with paging on', 'pae', LME, '#GP(0)', 0n],
    ['LME can be set without paging', 'protected', LME | SCE | NXE, 'ok', LME | SCE | NXE],
    ['LMA is the processor\'s: a one is ignored', 'protected', LMA, 'ok', 0n],
    ['LMA is the processor\'s: a zero is ignored', 'long', LME, 'ok', LME | LMA],
    ['in real mode', 'real', LME, 'ok', LME],
  ])('%s', (_, mode, value, outcome, after) => {
    expect(write(V.MSR_EFER, value, mode)).toBe(outcome);
    expect(m.get(L.MSR_EFER)).toBe(after);
  });
});

test.each<[string, number, bigint, Outcome]>([
  ['STAR takes all bits', V.MSR_STAR, (1n << 64n) - 1n, 'ok'],
  ['SYSENTER_CS takes any selector', V.MSR_IA32_SYSENTER_CS, 0xffffn, 'ok'],
  ['TSC_AUX, upper half', V.MSR_TSC_AUX, 1n << 32n, '#GP(0)'],
  ['TSC_AUX', V.MSR_TSC_AUX, LOW, 'ok'],
  ['PAT, memory types 0 1 4 5 6 7', V.MSR_IA32_CR_PAT, 0x0706_0504_0100_0606n, 'ok'],
  ['PAT, memory type 2', V.MSR_IA32_CR_PAT, 0x0200_0000_0000_0000n, '#GP(0)'],
  ['PAT, memory type 3', V.MSR_IA32_CR_PAT, 3n, '#GP(0)'],
  ['PAT, reserved bit 3', V.MSR_IA32_CR_PAT, 8n, '#GP(0)'],
  ['DEBUGCTL, reserved', V.MSR_IA32_DEBUGCTLMSR, 1n << 40n, '#GP(0)'],
  ['APIC_BASE beyond the physical addresses', V.MSR_IA32_APICBASE, 1n << BigInt(L.PHYSICAL_BITS), '#GP(0)'],
  ['APIC_BASE, reserved bit', V.MSR_IA32_APICBASE, 0xfee0_0801n, '#GP(0)'],
  ['XSS, no component', V.MSR_IA32_XSS, 0n, 'ok'],
  ['XSS, a component that is not there', V.MSR_IA32_XSS, 0x100n, '#GP(0)'],
  ['MTRR physical mask, reserved', V.MSR_MTRRphysBase0 + 1, 1n << 62n, '#GP(0)'],
  ['MCG_CAP is read-only', V.MSR_IA32_MCG_CAP, 0n, '#GP(0)'],
  ['MC0_STATUS, ones', V.MSR_IA32_MC0_CTL + 1, 1n, '#GP(0)'],
  ['VMX capabilities are read-only', V.MSR_IA32_VMX_BASIC, 0n, '#GP(0)'],
  ['FEATURE_CONTROL, reserved', V.MSR_IA32_FEAT_CTL, 1n << 8n, '#GP(0)'],
  ['SPEC_CTRL, which CPUID does not report', V.MSR_IA32_SPEC_CTRL, 0n, '#GP(0)'],
  ['PRED_CMD, which CPUID does not report', V.MSR_IA32_PRED_CMD, 1n, '#GP(0)'],
  ['ARCH_CAPABILITIES is read-only', V.MSR_IA32_ARCH_CAPABILITIES, 0n, '#GP(0)'],
  ['TSC_DEADLINE, which CPUID does not report', 0x6e0, 0n, '#GP(0)'],
  ['x2APIC registers outside x2APIC mode', 0x80b, 0n, '#GP(0)'],
])('WRMSR: %s', (_, index, value, outcome) => expect(write(index, value)).toBe(outcome));

test.each([0x12345, 0x6e0, 0x802, 0xc000_0084 + 0x1000, 0x4000_0000, 0xffff_ffff, V.MSR_IA32_SPEC_CTRL, V.MSR_IA32_PRED_CMD])('RDMSR of %i, which is not there', (index) => {
  m.enter('long');
  expect(read(index)).toBe('#GP(0)');
});

test('the index is ECX alone, and both halves are zero-extended', () => {
  m.enter('long');
  m.set(L.MSR_LSTAR, 0xffff_8000_9000_0000n);
  expect(m.run('0f 32', { rcx: 0x1234_5678_c000_0082n, rax: -1n, rdx: -1n })).toBe('ok');
  expect([m.gpr('rax'), m.gpr('rdx')]).toEqual([0x9000_0000n, 0xffff_8000n]);
  expect(m.run('0f 30', { rcx: 0x1_c000_0082n, rax: 0xffff_ffff_0000_1000n, rdx: 0xabcd_0000_0000_0000n })).toBe('ok');
  expect(m.get(L.MSR_LSTAR)).toBe(0x1000n);
});
