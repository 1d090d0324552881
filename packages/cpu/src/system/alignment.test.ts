/**
 * Alignment checks (SDM vol. 3A, 7.15, Interrupt 17, table 7-7): #AC(0) at privilege level 3 with CR0.AM and EFLAGS.AC set. All outcomes at
 * that level are as recorded from a processor.
 */
import { describe, expect, test } from 'vitest';
import * as L from '../state/layout.ts';
import { type Mode, type Outcome, type Registers, SystemMachine } from '../testing/system-machine.ts';

const m = new SystemMachine();
const NOWHERE = 0x1_0000_0000_0000n >> 2n;

interface State {
  readonly mode?: Mode;
  readonly cpl?: number;
  readonly am?: boolean;
  readonly ac?: boolean;
}

function run(code: string, registers: Registers, { mode = 'long', cpl = 3, am = true, ac = true }: State = {}): Outcome {
  m.enter(mode, cpl);
  m.checkAlignment();
  m.set(L.CR4, m.get(L.CR4) | 0x4_0000n);
  m.set(L.XCR0, 7n);
  if (!am) m.set(L.CR0, m.get(L.CR0) & ~0x4_0000n);
  if (!ac) m.setFlags(m.flags() & ~0x4_0000n);
  m.update();
  m.memory.u8.fill(0, m.data, m.data + 0x3000);
  return m.run(code, registers);
}

/** Offsets from an aligned place at which the operand is refused, and at which it is taken. */
type Operand = [name: string, code: string, refused: readonly number[], taken: readonly number[], as?: Outcome];
const operands: readonly Operand[] = [
  ['mov al, [rdi]', '8a 07', [], [0, 1, 3]],
  ['mov ax, [rdi]', '66 8b 07', [1, 3], [0, 2]],
  ['mov eax, [rdi]', '8b 07', [1, 2, 3, 5], [0, 4]],
  ['mov rax, [rdi]', '48 8b 07', [1, 2, 4, 6], [0, 8]],
  ['mov [rdi], eax', '89 07', [1, 2], [0, 4]],
  ['add [rdi], rax', '48 01 07', [4], [0, 8]],
  ['lock add [rdi], eax', 'f0 01 07', [2], [0, 4]],
  ['xchg [rdi], ax', '66 87 07', [1], [2]],
  ['bt [rdi], ecx', '0f a3 0f', [1, 2], [4]],
  ['bt [rdi], rcx', '48 0f a3 0f', [4], [8]],
  ['cmpxchg8b [rdi]', '0f c7 0f', [4, 1], [8]],
  ['cmpxchg16b [rdi]', '48 0f c7 0f', [8], [16], '#GP(0)'],
  ['movnti [rdi], eax', '0f c3 07', [2], [4]],
  ['popcnt eax, [rdi]', 'f3 0f b8 07', [2], [4]],
  ['movsd', 'a5', [1, 2], [0, 4]],
  ['stosq', '48 ab', [4], [8]],
  ['push [rdi]', 'ff 37', [4], [8]],
  ['mov ds, [rdi]', '8e 1f', [1], [2]],
  ['movups xmm0, [rdi]', '0f 10 07', [1, 4, 8], [16]],
  ['movups [rdi], xmm0', '0f 11 07', [8], [16]],
  ['movdqu xmm0, [rdi]', 'f3 0f 6f 07', [8], [16]],
  ['lddqu xmm0, [rdi]', 'f2 0f f0 07', [8], [16]],
  ['movaps xmm0, [rdi]', '0f 28 07', [4, 8], [16], '#GP(0)'],
  ['addps xmm0, [rdi]', '0f 58 07', [8], [16], '#GP(0)'],
  ['vaddps xmm0, xmm0, [rdi]', 'c5 f8 58 07', [8], [16]],
  ['vmovups ymm0, [rdi]', 'c5 fc 10 07', [8], [16, 32]],
  ['vmovaps ymm0, [rdi]', 'c5 fc 28 07', [16], [32], '#GP(0)'],
  ['movsd xmm0, [rdi]', 'f2 0f 10 07', [4], [8]],
  ['movss xmm0, [rdi]', 'f3 0f 10 07', [2], [4]],
  ['movq xmm0, [rdi]', 'f3 0f 7e 07', [4], [8]],
  ['movlps xmm0, [rdi]', '0f 12 07', [4], [8]],
  ['pcmpistri xmm0, [rdi], 0', '66 0f 3a 63 07 00', [8], [16]],
  ['ldmxcsr [rdi]', '0f ae 17', [2], [4]],
  ['stmxcsr [rdi]', '0f ae 1f', [2], [4]],
  ['fld tbyte [rdi]', 'db 2f', [1, 2, 4], [8]],
  ['fstp tbyte [rdi]', 'db 3f', [4], [8]],
  ['fld qword [rdi]', 'dd 07', [4], [8]],
  ['fild word [rdi]', 'df 07', [1], [2]],
  ['fldcw [rdi]', 'd9 2f', [1], [2]],
  ['fnstenv [rdi]', 'd9 37', [1, 2], [4]],
  ['fldenv [rdi]', 'd9 27', [2], [4]],
  ['fnsave [rdi]', 'dd 37', [2], [4]],
  ['fxsave [rdi]', '0f ae 07', [4, 8], [16], '#GP(0)'],
  ['xsave [rdi]', '0f ae 27', [1, 16], [64], '#GP(0)'],
  ['sgdt [rdi]', '0f 01 07', [1, 2], [0, 4, 8]],
  ['prefetcht0 [rdi]', '0f 18 0f', [], [1]],
  ['lea rax, [rdi]', '48 8d 07', [], [1]],
  ['clflush [rdi]', '0f ae 3f', [], [1]],
];

describe('operands', () => {
  test.each<Operand>(operands)('%s', (_, code, refused, taken, as = '#AC(0)') => {
    const at = (offset: number): Outcome => run(code, { rdi: m.data + 64 + offset, rsi: m.data + 64, rcx: 0, rax: 0, rdx: 0 });
    expect(refused.map(at)).toEqual(refused.map(() => as));
    const outcomes = taken.map(at);
    // FSTP of an empty register and the like are masked; DS takes a null selector.
    expect(outcomes).toEqual(taken.map(() => 'ok'));
  });
});

describe('when', () => {
  const code = '8b 07';
  test.each<[string, State, Outcome]>([
    ['at level 3', {}, '#AC(0)'], ['at level 0', { cpl: 0 }, 'ok'], ['at level 1', { cpl: 1 }, 'ok'], ['at level 2', { cpl: 2 }, 'ok'],
    ['without CR0.AM', { am: false }, 'ok'], ['without EFLAGS.AC', { ac: false }, 'ok'], ['in compatibility mode', { mode: 'compat' }, '#AC(0)'],
    ['in protected mode', { mode: 'protected' }, '#AC(0)'], ['in protected mode, at level 0', { mode: 'protected', cpl: 0 }, 'ok'], ['in real-address mode', { mode: 'real' }, 'ok'],
  ])('%s', (_, state, outcome) => expect(run(code, { rdi: state.mode === 'real' ? 1 : m.data + 1, rbx: 1 }, state)).toBe(outcome));

  test('virtual-8086 mode is at level 3: mov ax, [bx]', () => expect(run('8b 07', { rbx: 1 }, { mode: 'v86' })).toBe('#AC(0)'));

  test('aligned SSE operands are checked without it, at each level', () => {
    for (const cpl of [0, 3]) expect(run('0f 28 07', { rdi: m.data + 8 }, { cpl, am: false })).toBe('#GP(0)');
  });

  test('an access that is split between lines or pages is no fault without it', () => {
    for (const offset of [0x3e, 0xffe]) {
      expect(run('8b 07', { rdi: m.data + offset }, { ac: false })).toBe('ok');
      expect(run('f0 01 07', { rdi: m.data + offset, rax: 0 }, { ac: false })).toBe('ok');
    }
  });
});

/** Accesses are checked for being canonical, then for alignment, then by the page tables. */
describe('priority', () => {
  test.each<[string, string, bigint, Outcome]>([
    ['not aligned, not mapped', '8b 07', NOWHERE + 1n, '#AC(0)'],
    ['aligned, not mapped', '8b 07', NOWHERE, '#PF(4)'],
    ['not aligned, not canonical', '8b 07', 0x8000_0000_0001n, '#GP(0)'],
    ['movaps, not aligned, not mapped', '0f 28 07', NOWHERE + 8n, '#GP(0)'],
    ['cmpxchg16b, not aligned, not mapped', '48 0f c7 0f', NOWHERE + 8n, '#GP(0)'],
  ])('%s', (_, code, rdi, outcome) => expect(run(code, { rdi })).toBe(outcome));
});

/** Implicit accesses to system structures are of privilege level 0. */
test('segment descriptors and the I/O map are not checked', () => {
  m.enter('protected', 3);
  m.checkAlignment();
  m.set(L.GDTR_BASE, BigInt(m.data + 1));
  m.set32(L.GDTR_LIMIT, 0xff);
  m.memory.view.setBigUint64(m.data + 1 + 0x28, 0x00cf_f300_0000_ffffn, true);
  expect(m.run('8e d8', { rax: 0x2b })).toBe('ok');
  m.set(L.SEG + L.TR * L.SEG_SIZE + L.SEG_BASE, BigInt(m.stack + 0x1001));
  m.memory.u8.fill(0, m.stack + 0x1000, m.stack + 0x1400);
  m.memory.view.setUint16(m.stack + 0x1001 + 102, 0x68, true);
  m.set32(L.SEG + L.TR * L.SEG_SIZE + L.SEG_LIMIT, 0x3ff);
  expect(m.run('ec', { rdx: 0x60 })).toBe('ok');
});
