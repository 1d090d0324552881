/** Which instructions which privilege level may execute, and what keeps others from it. */
import { describe, expect, test } from 'vitest';
import * as L from '../state/layout.ts';
import { type Mode, type Outcome, SystemMachine } from '../testing/system-machine.ts';

const m = new SystemMachine();

function outcomes(code: string, cases: readonly (readonly [Mode, number])[], prepare?: () => void): Outcome[] {
  return cases.map(([mode, cpl]) => {
    m.enter(mode, cpl);
    prepare?.();
    return m.run(code, mode === 'real' || mode === 'v86' ? {} : { rdi: m.data, rcx: 0, rax: 0, rdx: 0 });
  });
}

/** SDM vol. 3A, 6.9: privileged instructions, #GP(0) above level 0; which modes know them is from their pages in vol. 2. */
describe('privileged instructions', () => {
  const cases: readonly [name: string, code: string, kernel: Outcome, user: Outcome][] = [
    ['clts', '0f 06', 'ok', '#GP(0)'],
    ['hlt', 'f4', 'ok', '#GP(0)'],
    ['invd', '0f 08', 'ok', '#GP(0)'],
    ['wbinvd', '0f 09', 'ok', '#GP(0)'],
    ['invlpg [rdi]', '0f 01 3f', 'ok', '#GP(0)'],
    ['lgdt [rdi]', '0f 01 17', 'ok', '#GP(0)'],
    ['lidt [rdi]', '0f 01 1f', 'ok', '#GP(0)'],
    ['lldt ax, null', '0f 00 d0', 'ok', '#GP(0)'],
    ['ltr ax, null', '0f 00 d8', '#GP(0)', '#GP(0)'],
    ['lmsw ax', '0f 01 f0', 'ok', '#GP(0)'],
    ['mov eax, cr0', '0f 20 c0', 'ok', '#GP(0)'],
    ['mov eax, cr1', '0f 20 c8', '#UD', '#UD'],
    ['mov eax, cr5', '0f 20 e8', '#UD', '#UD'],
    ['mov eax, cr7', '0f 20 f8', '#UD', '#UD'],
    ['mov cr2, eax', '0f 22 d0', 'ok', '#GP(0)'],
    ['mov cr1, eax', '0f 22 c8', '#UD', '#UD'],
    ['mov eax, dr0', '0f 21 c0', 'ok', '#GP(0)'],
    ['mov dr7, eax', '0f 23 f8', 'ok', '#GP(0)'],
    ['rdmsr, unknown', '0f 32', 'ok', '#GP(0)'],
    ['wrmsr', '0f 30', 'ok', '#GP(0)'],
    ['monitor', '0f 01 c8', 'ok', '#UD'],
    ['mwait', '0f 01 c9', 'ok', '#UD'],
    ['stac, CR4.SMAP clear or not', '0f 01 cb', 'ok', '#UD'],
    ['xsetbv without CR4.OSXSAVE', '0f 01 d1', '#UD', '#UD'],
    ['vmcall outside VMX operation', '0f 01 c1', '#UD', '#UD'],
    ['vmlaunch outside VMX operation', '0f 01 c2', '#UD', '#UD'],
    ['vmxon without CR4.VMXE', 'f3 0f c7 37', '#UD', '#UD'],
    ['vmptrld outside VMX operation', '0f c7 37', '#UD', '#UD'],
    ['vmfunc outside VMX operation', '0f 01 d4', '#UD', '#UD'],
    ['rsm outside system-management mode', '0f aa', '#UD', '#UD'],
    ['getsec without CR4.SMXE', '0f 37', '#UD', '#UD'],
    ['ud2', '0f 0b', '#UD', '#UD'],
  ];
  test.each(cases)('%s', (_, code, kernel, user) => {
    expect(outcomes(code, [['long', 0], ['long', 1], ['long', 3], ['compat', 0], ['compat', 3], ['protected', 0], ['protected', 2], ['pae', 3]]))
      .toEqual([kernel, user, user, kernel, user, kernel, user, user]);
  });

  test('MONITOR and MWAIT are there as long as IA32_MISC_ENABLE says so (SDM vol. 4, table 2-2)', () => {
    const without = (code: string): Outcome => outcomes(code, [['long', 0]], () => m.set(L.MSR_MISC_ENABLE, 1n))[0]!;
    expect([without('0f 01 c8'), without('0f 01 c9')]).toEqual(['#UD', '#UD']);
    const ecx = (enable: bigint): bigint => {
      m.enter('long');
      m.set(L.MSR_MISC_ENABLE, enable);
      m.run('0f a2', { rax: 1 });
      return m.gpr('rcx') & 8n;
    };
    expect([ecx(0x4_0001n), ecx(1n)]).toEqual([8n, 0n]);
  });

  test.each<[name: string, code: string, long: Outcome, user: Outcome, other: Outcome]>([
    ['swapgs', '0f 01 f8', 'ok', '#GP(0)', '#UD'],
    ['syscall without EFER.SCE', '0f 05', '#UD', '#UD', '#UD'],
  ])('%s is for 64-bit mode', (_, code, long, user, other) => {
    const outcome = (mode: Mode, cpl: number): Outcome => outcomes(code, [[mode, cpl]], () => m.set(L.MSR_EFER, m.get(L.MSR_EFER) & ~1n))[0]!;
    expect([outcome('long', 0), outcome('long', 3), outcome('compat', 0), outcome('protected', 0), outcome('real', 0)]).toEqual([long, user, other, other, other]);
  });
});

/** SDM vol. 3B, 22.1 and 22.2.7 (real-address and virtual-8086 mode), and each instruction's page in vol. 2. */
describe('real-address and virtual-8086 mode', () => {
  test.each<[name: string, code: string, real: Outcome, v86: Outcome]>([
    ['clts', '0f 06', 'ok', '#GP(0)'],
    ['hlt', 'f4', 'ok', '#GP(0)'],
    ['invd', '0f 08', 'ok', '#GP(0)'],
    ['lgdt [bx]', '0f 01 17', 'ok', '#GP(0)'],
    ['lmsw ax', '0f 01 f0', 'ok', '#GP(0)'],
    ['mov eax, cr0', '0f 20 c0', 'ok', '#GP(0)'],
    ['mov eax, dr0', '0f 21 c0', 'ok', '#GP(0)'],
    ['rdmsr', '0f 32', 'ok', '#GP(0)'],
    ['invlpg [bx]', '0f 01 3f', 'ok', '#GP(0)'],
    ['sldt ax', '0f 00 c0', '#UD', '#UD'],
    ['str ax', '0f 00 c8', '#UD', '#UD'],
    ['lldt ax', '0f 00 d0', '#UD', '#UD'],
    ['ltr ax', '0f 00 d8', '#UD', '#UD'],
    ['verr ax', '0f 00 e0', '#UD', '#UD'],
    ['verw ax', '0f 00 e8', '#UD', '#UD'],
    ['lar ax, cx', '0f 02 c1', '#UD', '#UD'],
    ['lsl ax, cx', '0f 03 c1', '#UD', '#UD'],
    ['arpl ax, cx', '63 c8', '#UD', '#UD'],
    ['sgdt [bx]', '0f 01 07', 'ok', 'ok'],
    ['smsw ax', '0f 01 e0', 'ok', 'ok'],
    ['sysenter', '0f 34', '#GP', '#GP(0)'],
    ['sysexit', '0f 35', '#GP', '#GP(0)'],
    ['syscall', '0f 05', '#UD', '#UD'],
    ['rdfsbase eax', 'f3 0f ae c0', '#UD', '#UD'],
    ['cli', 'fa', 'ok', '#GP(0)'],
    ['sti', 'fb', 'ok', '#GP(0)'],
    ['pushf', '9c', 'ok', '#GP(0)'],
    ['popf', '9d', 'ok', '#GP(0)'],
    ['iret', 'cf', 'ok', '#GP(0)'],
    ['int 3, one byte', 'cc', '#BP', '#BP'],
    ['int 3, two bytes', 'cd 03', '#BP', '#GP(0)'],
    ['in al, dx', 'ec', 'ok', '#GP(0)'],
  ])('%s', (_, code, real, v86) => {
    const outcome = (mode: Mode): Outcome => outcomes(code, [[mode, 0]], () => m.set32(L.SEG + L.TR * L.SEG_SIZE + L.SEG_LIMIT, 0x66))[0]!;
    expect([outcome('real'), outcome('v86')]).toEqual([real, v86]);
  });
});
