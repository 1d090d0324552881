/** What is wrong with an instruction before it executes: LOCK where it is not allowed, more than 15 bytes, fetching them. */
import { describe, expect, test } from 'vitest';
import * as L from '../state/layout.ts';
import { type Mode, type Outcome, SystemMachine } from '../testing/system-machine.ts';

const m = new SystemMachine();

function run(code: string, mode: Mode = 'long', cpl = 0): Outcome {
  m.enter(mode, cpl);
  m.memory.u8.fill(0, m.data, m.data + 64);
  return m.run(code, mode === 'real' ? {} : { rdi: m.data, rax: 0, rcx: 0 });
}

/** SDM vol. 2A, LOCK: ADD ADC AND BTC BTR BTS CMPXCHG CMPXCHG8B CMPXCHG16B DEC INC NEG NOT OR SBB SUB XOR XADD XCHG with a destination in memory. */
describe('LOCK', () => {
  const ALU = ['add', 'or', 'adc', 'sbb', 'and', 'sub', 'xor'] as const;
  const OPCODES: Record<(typeof ALU)[number], number> = { add: 0, or: 1, adc: 2, sbb: 3, and: 4, sub: 5, xor: 6 };
  const hex = (n: number): string => n.toString(16).padStart(2, '0');

  test.each(ALU)('%s [rdi]', (name) => {
    const n = OPCODES[name];
    for (const code of [`f0 ${hex(n * 8)} 07`, `f0 ${hex(n * 8 + 1)} 07`, `f0 48 ${hex(n * 8 + 1)} 07`, `f0 80 ${hex(n * 8 + 7)} 01`, `f0 83 ${hex(n * 8 + 7)} 01`]) expect(run(code)).toBe('ok');
    // A register as the destination, memory as the source.
    for (const code of [`f0 ${hex(n * 8 + 1)} c0`, `f0 ${hex(n * 8 + 3)} 07`, `f0 ${hex(n * 8 + 5)} 01 00 00 00`, `f0 83 ${hex(n * 8 + 0xc0)} 01`]) expect(run(code)).toBe('#UD');
  });

  test.each([
    ['btc', '0f bb 07'], ['btr', '0f b3 07'], ['bts', '0f ab 07'], ['bts imm8', '0f ba 2f 01'], ['cmpxchg', '0f b1 07'], ['cmpxchg8b', '0f c7 0f'], ['cmpxchg16b', '48 0f c7 0f'],
    ['dec', 'ff 0f'], ['inc', 'fe 07'], ['neg', 'f7 1f'], ['not', 'f7 17'], ['xadd', '0f c1 07'], ['xchg', '87 07'],
  ])('%s [rdi]', (_, code) => expect(run(`f0 ${code}`)).toBe('ok'));

  test.each([
    ['btc eax, eax', '0f bb c0'], ['cmpxchg eax, eax', '0f b1 c0'], ['inc eax', 'ff c0'], ['not eax', 'f7 d0'], ['xadd eax, eax', '0f c1 c0'], ['xchg eax, eax', '87 c0'],
    ['mov [rdi], eax', '89 07'], ['mov eax, [rdi]', '8b 07'], ['cmp [rdi], eax', '39 07'], ['cmp [rdi], imm8', '83 3f 01'], ['test [rdi], eax', '85 07'], ['bt [rdi], eax', '0f a3 07'],
    ['bt [rdi], imm8', '0f ba 27 01'], ['shl [rdi], 1', 'd1 27'], ['mul [rdi]', 'f7 27'], ['push [rdi]', 'ff 37'], ['pop [rdi]', '8f 07'], ['jmp [rdi]', 'ff 27'], ['call [rdi]', 'ff 17'],
    ['movsb', 'a4'], ['nop', '90'], ['pause', 'f3 90'], ['lea rax, [rdi]', '48 8d 07'], ['movups [rdi], xmm0', '0f 11 07'], ['fld [rdi]', 'd9 07'], ['setz [rdi]', '0f 94 07'],
    ['movbe [rdi], eax', '0f 38 f1 07'], ['movnti [rdi], eax', '0f c3 07'], ['clflush [rdi]', '0f ae 3f'], ['invlpg [rdi]', '0f 01 3f'], ['lgdt [rdi]', '0f 01 17'], ['hlt', 'f4'], ['cpuid', '0f a2'],
    ['syscall', '0f 05'], ['int3', 'cc'], ['ret', 'c3'], ['jz', '74 00'], ['in al, dx', 'ec'], ['rdmsr', '0f 32'], ['mfence', '0f ae f0'], ['vaddps', 'c5 f8 58 07'], ['xsave [rdi]', '0f ae 27'],
  ])('%s', (_, code) => {
    expect(run(`f0 ${code}`)).toBe('#UD');
    expect(run(`f0 ${code}`, 'long', 3)).toBe('#UD');
  });

  /** On processors of AMD's it is CR8 without REX (their CR8_LEGACY feature, which is not there). */
  test('mov eax, cr0', () => expect([run('f0 0f 20 c0', 'protected'), run('f0 0f 22 c0', 'real')]).toEqual(['#UD', '#UD']));
});

/** SDM vol. 2A, 2.3.11; vol. 3A, 7.15 (Interrupt 13): an instruction of more than 15 bytes. */
describe('length', () => {
  const prefixes = (count: number, prefix = '66'): string => `${prefix} `.repeat(count);
  test.each<[string, string, Mode, Outcome]>([
    ['15 bytes', `${prefixes(14)}90`, 'long', 'ok'], ['16 bytes', `${prefixes(15)}90`, 'long', '#GP(0)'],
    ['15 bytes, 32-bit code', `${prefixes(14)}90`, 'protected', 'ok'], ['16 bytes, 32-bit code', `${prefixes(15)}90`, 'protected', '#GP(0)'],
    ['16 bytes, 16-bit code', `${prefixes(15)}90`, 'real', '#GP'], ['an immediate beyond', `${prefixes(11)}81 00 01 02 03 04`, 'real', '#GP'],
    ['many more', prefixes(40, '2e'), 'long', '#GP(0)'], ['of an undefined opcode', `${prefixes(15)}0f 0b`, 'long', '#GP(0)'], ['LOCK among the prefixes', `${prefixes(14)}f0 90`, 'long', '#GP(0)'],
  ])('%s', (_, code, mode, outcome) => expect(run(code, mode)).toBe(outcome));
});

/** The priority of what fetching and decoding find (vol. 3A, 7.9): as recorded from a processor, the page fault only where its bytes are wanted. */
describe('at the end of the mapped pages', () => {
  const END = 0x1_0000_0000n;
  /** Executes bytes that end with the last mapped one. */
  function atEnd(code: readonly number[]): Outcome {
    m.enter('long');
    // A linear page of its own before the end of what the tables map.
    const { memory } = m;
    const [directory, table] = [m.stack + 0x4000, m.stack + 0x5000];
    memory.u8.fill(0, directory, directory + 0x2000);
    memory.view.setBigUint64(directory + 511 * 8, BigInt(table) | 7n, true);
    memory.view.setBigUint64(table + 511 * 8, BigInt(m.stack + 0x6000) | 7n, true);
    memory.view.setBigUint64(m.pdptes - 0x1000 + 3 * 8, BigInt(directory) | 7n, true);
    memory.view.setBigUint64(m.pdptes - 0x1000 + 4 * 8, 0n, true);
    m.update();
    memory.write(m.stack + 0x6000 + 0x1000 - code.length, Uint8Array.from(code));
    m.set(L.RIP, END - BigInt(code.length));
    m.set32(L.EVENT_VECTOR, -1);
    m.machine.driver.run(1);
    expect(m.get(L.RIP)).toBe(m.pending() === 'ok' ? END : END - BigInt(code.length));
    return m.pending();
  }
  const many = (count: number): number[] => Array.from({ length: count }, () => 0x66);
  test.each<[string, number[], Outcome]>([
    ['15 prefixes: too long in any case', many(15), '#GP(0)'], ['14 prefixes: one byte is to come', many(14), '#PF(10)'], ['15 bytes', [...many(14), 0x90], 'ok'], ['16 bytes', [...many(15), 0x90], '#GP(0)'],
    ['one byte', [0x90], 'ok'], ['an opcode without its operand', [0x8b], '#PF(10)'], ['half an immediate', [0xb8, 1, 2], '#PF(10)'], ['an undefined opcode', [0x0f, 0x0b], '#UD'], ['half an opcode', [0x0f], '#PF(10)'],
    ['LOCK', [0xf0], '#PF(10)'], ['LOCK NOP', [0xf0, 0x90], '#UD'],
  ])('%s', (_, code, outcome) => {
    expect(atEnd(code)).toBe(outcome);
    if (outcome.startsWith('#PF')) expect(m.get(L.EVENT_ADDRESS)).toBe(END);
  });
});
