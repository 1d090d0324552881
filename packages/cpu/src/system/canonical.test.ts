/**
 * Addresses that are not canonical (SDM vol. 1, 3.3.7.1; vol. 3A, 7.15: #SS for the stack, #GP else). The outcomes of those that user mode
 * can execute are as recorded from a processor.
 */
import { describe, expect, test } from 'vitest';
import * as L from '../state/layout.ts';
import { type Outcome, type Registers, SystemMachine } from '../testing/system-machine.ts';

const m = new SystemMachine();
const WILD = 0x8000_0000_0000n;
const HIGH = 0xffff_8000_0000_0000n;

function run(code: string, registers: Registers = {}, cpl = 0): Outcome {
  m.enter('long', cpl);
  return m.run(code, registers);
}

describe('memory operands', () => {
  test.each<[string, string, Registers, Outcome]>([
    ['mov eax, [rdi]', '8b 07', { rdi: WILD }, '#GP(0)'],
    ['mov [rdi], eax', '89 07', { rdi: WILD }, '#GP(0)'],
    ['add [rdi], eax', '01 07', { rdi: WILD }, '#GP(0)'],
    ['mov eax, [rdi] at the greatest address', '8b 07', { rdi: HIGH - 1n }, '#GP(0)'],
    ['mov eax, [rbp]', '8b 45 00', { rbp: WILD }, '#SS(0)'],
    ['mov eax, ds:[rbp]', '3e 8b 45 00', { rbp: WILD }, '#SS(0)'],
    ['mov eax, ss:[rdi]', '36 8b 07', { rdi: WILD }, '#GP(0)'],
    ['mov eax, fs:[rbp]', '64 8b 45 00', { rbp: WILD }, '#GP(0)'],
    ['mov eax, [rax+rbp]', '8b 04 28', { rax: 0, rbp: WILD }, '#GP(0)'],
    ['mov eax, [rbp+rax]', '8b 44 05 00', { rax: 0, rbp: WILD }, '#SS(0)'],
    ['mov eax, [rsp]', '8b 04 24', { rsp: WILD }, '#SS(0)'],
    ['mov eax, [r12]', '41 8b 04 24', { r12: WILD }, '#GP(0)'],
    ['mov eax, [r13]', '41 8b 45 00', { r13: WILD }, '#GP(0)'],
    ['mov eax, [rdi] near a wild RSP', '8b 07', { rdi: WILD, rsp: WILD }, '#GP(0)'],
    ['mov rax, [rdi], from canonical to not', '48 8b 07', { rdi: WILD - 4n }, '#GP(0)'],
    ['mov rax, [rdi], from not to canonical', '48 8b 07', { rdi: HIGH - 4n }, '#GP(0)'],
    ['movups xmm0, [rdi]', '0f 10 07', { rdi: WILD }, '#GP(0)'],
    ['movaps xmm0, [rbp], not aligned either', '0f 28 45 00', { rbp: WILD + 8n }, '#GP(0)'],
    ['fld qword [rbp]', 'dd 45 00', { rbp: WILD }, '#SS(0)'],
    ['fxsave [rdi]', '0f ae 07', { rdi: WILD }, '#GP(0)'],
    ['cmpxchg16b [rdi]', '48 0f c7 0f', { rdi: WILD }, '#GP(0)'],
    ['lgdt [rdi]', '0f 01 17', { rdi: WILD }, '#GP(0)'],
    ['sidt [rbp]', '0f 01 4d 00', { rbp: WILD }, '#SS(0)'],
    ['movsb from', 'a4', { rsi: WILD, rdi: 0 }, '#GP(0)'],
    ['movsb to', 'a4', { rsi: m.data, rdi: WILD }, '#GP(0)'],
    ['rep stosq', 'f3 48 ab', { rcx: 4, rdi: WILD }, '#GP(0)'],
    ['rep stosq, no round', 'f3 48 ab', { rcx: 0, rdi: WILD }, 'ok'],
    ['xlatb', 'd7', { rbx: WILD, rax: 0 }, '#GP(0)'],
    ['clflush [rdi]', '0f ae 3f', { rdi: WILD }, '#GP(0)'],
    ['fild word [rsp]', 'df 04 24', { rsp: WILD }, '#SS(0)'],
  ])('%s', (_, code, registers, outcome) => expect(run(code, registers)).toBe(outcome));
});

/** INVLPG (vol. 2A), PREFETCHh (vol. 2B), LEA, NOP: no memory is accessed, no fault. */
test.each<[string, string]>([
  ['lea rax, [rdi]', '48 8d 07'], ['nop [rdi]', '0f 1f 07'], ['prefetcht0 [rdi]', '0f 18 0f'], ['prefetchw [rdi]', '0f 0d 0f'], ['invlpg [rdi]', '0f 01 3f'],
])('%s takes any address', (_, code) => expect(run(code, { rdi: WILD })).toBe('ok'));

describe('the stack', () => {
  test.each<[string, string, Registers, Outcome]>([
    ['push rax, onto', '50', { rsp: WILD + 8n }, '#SS(0)'],
    ['push rax, below', '50', { rsp: WILD }, '#PF(2)'],
    ['pop rax', '58', { rsp: WILD }, '#SS(0)'],
    ['pop [rdi]', '8f 07', { rdi: WILD }, '#GP(0)'],
    ['push [rdi]', 'ff 37', { rdi: WILD }, '#GP(0)'],
    ['push [rdi] onto', 'ff 37', { rdi: m.data, rsp: WILD + 8n }, '#SS(0)'],
    ['ret', 'c3', { rsp: WILD }, '#SS(0)'],
    ['call rax', 'ff d0', { rsp: WILD + 8n, rax: 0 }, '#SS(0)'],
    ['call rel32', 'e8 00 00 00 00', { rsp: WILD + 8n }, '#SS(0)'],
    ['leave', 'c9', { rbp: WILD }, '#SS(0)'],
    ['enter', 'c8 00 00 00', { rsp: WILD + 8n }, '#SS(0)'],
    ['enter with a frame', 'c8 00 00 03', { rbp: WILD + 8n }, '#SS(0)'],
    ['pushfq', '9c', { rsp: WILD + 8n }, '#SS(0)'],
    ['popfq', '9d', { rsp: WILD }, '#SS(0)'],
    ['iretq', '48 cf', { rsp: WILD }, '#SS(0)'],
    ['retfq', '48 cb', { rsp: WILD }, '#SS(0)'],
    ['push fs', '0f a0', { rsp: WILD + 8n }, '#SS(0)'],
  ])('%s', (_, code, registers, outcome) => expect(run(code, registers)).toBe(outcome));
});

/** Vol. 2A and 2B, CALL, JMP, RET: the branch itself faults. */
describe('branch targets', () => {
  test.each<[string, string, Registers]>([
    ['jmp rdi', 'ff e7', { rdi: WILD }], ['call rdi', 'ff d7', { rdi: WILD }], ['jmp [rdi]', 'ff 27', { rdi: 1 }], ['call [rdi]', 'ff 17', { rdi: 1 }], ['ret', 'c3', { rsp: 1 }],
    ['ret 8', 'c2 08 00', { rsp: 1 }],
  ])('%s', (_, code, registers) => {
    const places = Object.fromEntries(Object.entries(registers).map(([name, value]) => [name, value === 1 ? BigInt(m.data) : value]));
    m.memory.view.setBigUint64(m.data, WILD, true);
    expect(run(code, places)).toBe('#GP(0)');
  });

  test('IRETQ and RETFQ', () => {
    m.memory.view.setBigUint64(m.data, WILD, true);
    m.memory.view.setBigUint64(m.data + 8, 8n, true);
    for (const at of [16, 24, 32]) m.memory.view.setBigUint64(m.data + at, at === 16 ? 2n : at === 24 ? BigInt(m.stack) : 0x10n, true);
    for (const code of ['48 cf', '48 cb']) {
      m.enter('long');
      const gdt = m.data + 0x100;
      m.memory.view.setBigUint64(gdt + 8, 0x00af_9b00_0000_ffffn, true);
      m.memory.view.setBigUint64(gdt + 16, 0x00cf_9300_0000_ffffn, true);
      m.set(L.GDTR_BASE, BigInt(gdt));
      expect(m.run(code, { rsp: m.data })).toBe('#GP(0)');
    }
  });
});

/** Vol. 2A, WRFSBASE; vol. 2A, LGDT: bases. */
test.each<[string, string, Registers, Outcome]>([
  ['wrfsbase rdi', 'f3 48 0f ae d7', { rdi: WILD }, '#GP(0)'],
  ['wrgsbase rdi', 'f3 48 0f ae df', { rdi: HIGH }, 'ok'],
  ['wrgsbase edi', 'f3 0f ae df', { rdi: WILD }, 'ok'],
  ['invpcid of an address', '66 0f 38 82 07', { rax: 0, rdi: 0 }, '#GP(0)'],
  ['lgdt of a base', '0f 01 17', { rdi: 8 }, '#GP(0)'],
  ['lidt of a base', '0f 01 1f', { rdi: 8 }, '#GP(0)'],
])('%s', (_, code, registers, outcome) => {
  m.enter('long');
  m.set(L.CR4, m.get(L.CR4) | 0x1_0000n);
  m.update();
  m.memory.view.setBigUint64(m.data, 0n, true);
  m.memory.view.setBigUint64(m.data + 8, WILD, true);
  m.memory.view.setBigUint64(m.data + 10, WILD, true);
  const value = registers.rdi === 0 ? m.data : registers.rdi === 8 ? m.data + 8 : registers.rdi!;
  expect(m.run(code, { ...registers, rdi: value })).toBe(outcome);
});

test('the end of the address space wraps: each half is looked up', () => {
  expect(run('48 8b 07', { rdi: 0xffff_ffff_ffff_fffcn })).toBe('#PF(0)');
  expect(m.get(L.EVENT_ADDRESS)).toBe(0xffff_ffff_ffff_fffcn);
});

/** Vol. 2A: a relative branch to where addresses are not canonical faults itself, with nothing pushed and no counter changed. */
describe('relative branches out of the lower half', () => {
  const TOP = 0x7fff_ffff_f000n;
  test.each<[string, readonly number[], Outcome]>([
    ['jmp rel32', [0xe9, 0, 0x10, 0, 0], '#GP(0)'], ['call rel32', [0xe8, 0, 0x10, 0, 0], '#GP(0)'], ['jz rel32', [0x0f, 0x84, 0, 0x10, 0, 0], '#GP(0)'], ['jnz rel32', [0x0f, 0x85, 0, 0x10, 0, 0], 'ok'],
    ['jmp rel8', [0xeb, 0x7f], '#GP(0)'], ['loop', [0xe2, 0x7f], '#GP(0)'], ['jrcxz', [0xe3, 0x7f], 'ok'], ['jmp back', [0xeb, 0xf0], 'ok'], ['nop', [0x90], 'ok'],
  ])('%s', (_, code, outcome) => {
    m.enter('long');
    const { memory } = m;
    const at = m.stack + 0x4000;
    memory.u8.fill(0, at, at + 0x3000);
    for (const [table, next] of [[at, at + 0x1000], [at + 0x1000, at + 0x2000], [at + 0x2000, m.stack + 0x7000]] as const) memory.view.setBigUint64(table + 511 * 8, BigInt(next) | 7n, true);
    const root = Number(m.get(L.CR3));
    memory.view.setBigUint64(root + 255 * 8, BigInt(at) | 7n, true);
    m.update();
    memory.write(m.stack + 0x7f80, Uint8Array.from(code));
    m.setFlags(0x42n);
    m.set(L.RCX, 5n);
    m.set(L.RIP, TOP + 0xf80n);
    m.set32(L.EVENT_VECTOR, -1);
    const rsp = m.gpr('rsp');
    m.machine.driver.run(1);
    expect(m.pending()).toBe(outcome);
    if (outcome !== 'ok') expect([m.get(L.RIP), m.gpr('rsp'), m.gpr('rcx')]).toEqual([TOP + 0xf80n, rsp, 5n]);
    memory.view.setBigUint64(root + 255 * 8, 0n, true);
  });
});
