import { beforeEach, describe, expect, test } from 'vitest';
import { le32 } from '../testing/random-code/assembler.ts';
import * as L from '../state/layout.ts';
import { bareMachine, type BareMachine } from '../testing/bare-machine.ts';

const UD2 = [0x0f, 0x0b];
let machine: BareMachine;

beforeEach(() => {
  machine = bareMachine(8 << 20);
  machine.set(L.RSP, BigInt(machine.ram + 0x10_0000));
});

/** Puts code at an offset of the program's memory and runs from there until UD2. */
function run(code: readonly number[], offset = 0, limit = 1_000_000): void {
  machine.memory.write(machine.ram + offset, Uint8Array.from(code));
  machine.set(L.RIP, BigInt(machine.ram + offset));
  machine.set32(L.EVENT_VECTOR, -1);
  machine.driver.run(limit);
}

function stoppedAt(): number {
  return Number(machine.get(L.RIP)) - machine.ram;
}

describe('traces', () => {
  test('a loop runs linked within its page and counts every instruction', () => {
    // mov ecx, 1000; l: dec ecx; jnz l; ud2
    run([0xb9, 0xe8, 3, 0, 0, 0xff, 0xc9, 0x75, 0xfc, ...UD2]);
    expect(machine.event()).toBe(6);
    expect(stoppedAt()).toBe(9);
    expect(machine.get(L.INSN_COUNT)).toBe(2001n);
  });

  test('code across a page boundary, with an instruction that straddles it', () => {
    // mov eax, 0x12345678 straddles; inc eax; ud2
    run([0x90, 0xb8, 0x78, 0x56, 0x34, 0x12, 0xff, 0xc0, ...UD2], 0xffc);
    expect(machine.get(L.RAX)).toBe(0x12345679n);
    expect(stoppedAt()).toBe(0x1004);
  });

  test('a straddling instruction is translated anew when its second page changes', () => {
    const code = [0xb8, 0x78, 0x56, 0x34, 0x12, 0xc3];
    machine.memory.write(machine.ram + 0xffd, Uint8Array.from(code));
    // call twice with a store into the immediate's tail between: call f; mov byte [rel tail], 0x99; call f; ud2
    const f = 0xffd;
    const at = 0x200;
    const call = (from: number): number[] => [0xe8, ...le32(f - (from + 5))];
    const tail = 0x1001;
    const program = [...call(at), 0xc6, 0x05, ...le32(tail - (at + 5 + 7)), 0x99, ...call(at + 12), ...UD2];
    run(program, at);
    expect(machine.get(L.RAX)).toBe(0x99345678n);
  });

  test('a store into the running trace takes effect at the next instruction', () => {
    // mov byte [rel imm], 0x55 ; mov al, 0x11 (immediate patched) ; ud2
    run([0xc6, 0x05, 1, 0, 0, 0, 0x55, 0xb0, 0x11, ...UD2]);
    expect(machine.get(L.RAX) & 0xffn).toBe(0x55n);
  });

  test('data next to code in the same page can be written without losing the code', () => {
    const before = machine.driver.translator.translated;
    // mov ecx, 500; l: add dword [rel data], 3; dec ecx; jnz l; ud2 ... data at +0x800
    run([0xb9, 0xf4, 1, 0, 0, 0x83, 0x05, ...le32(0x800 - 12), 3, 0xff, 0xc9, 0x75, 0xf5, ...UD2]);
    expect(machine.memory.view.getUint32(machine.ram + 0x800, true)).toBe(1500);
    expect(machine.driver.translator.translated - before).toBeLessThan(20);
  });

  test('code written from outside is translated anew', () => {
    run([0xb8, 1, 0, 0, 0, ...UD2]);
    run([0xb8, 2, 0, 0, 0, ...UD2]);
    expect(machine.get(L.RAX)).toBe(2n);
  });

  test('the budget bounds a loop without end', () => {
    run([0xeb, 0xfe], 0, 100_000);
    expect(machine.get(L.INSN_COUNT)).toBeGreaterThanOrEqual(100_000n);
    expect(machine.get(L.INSN_COUNT)).toBeLessThan(100_100n);
    expect(stoppedAt()).toBe(0);
  });

  test('when the arena is full everything is translated again', () => {
    const lines: number[] = [];
    // 60 pages of: inc eax; jmp +0 ... each a trace of its own; two rounds through them exceed a small arena
    for (let i = 0; i < 40_000; i++) lines.push(0xff, 0xc0, 0xeb, 0x00);
    run([...lines, ...UD2], 0x1000);
    run([...lines, ...UD2], 0x1000);
    expect(machine.driver.arena.flushes).toBeGreaterThan(0);
    expect(machine.get(L.RAX)).toBe(80_000n);
  });
});

describe('faults', () => {
  test.each([
    ['undefined opcode', [0x0f, 0xff, 0xc0], 6],
    ['divide by zero', [0x31, 0xc9, 0xf7, 0xf1], 0],
    ['load from a non-canonical address', [0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x8b, 0x08], 13],
    ['load from an unmapped page', [0x48, 0xb8, 0, 0, 0, 0, 0x10, 0, 0, 0, 0x8b, 0x08], 14],
  ])('%s: RIP stays at the instruction', (_name, code, vector) => {
    run(code);
    expect(machine.event()).toBe(vector);
    const last = vector === 6 ? 0 : vector === 0 ? 2 : 10;
    expect(stoppedAt()).toBe(last);
  });

  test('a push that faults leaves RSP', () => {
    machine.set(L.RSP, 0x1_0000_0000_0000n);
    run([0x50]);
    expect(machine.get(L.RSP)).toBe(0x1_0000_0000_0000n);
    expect(machine.event()).not.toBe(-1);
  });

  test('an instruction of more than fifteen bytes is a general-protection fault', () => {
    run([...Array<number>(15).fill(0x66), 0x90]);
    expect(machine.event()).toBe(13);
  });
});

test('accesses that cross pages read and write both', () => {
  // mov rax, [rbx]; add rax, 1; mov [rbx], rax; ud2
  const at = machine.ram + 0x4000 - 3;
  machine.memory.view.setBigUint64(at, 0x1122_3344_5566_77ffn, true);
  machine.set(L.RBX, BigInt(at));
  run([0x48, 0x8b, 0x03, 0x48, 0x83, 0xc0, 1, 0x48, 0x89, 0x03, ...UD2]);
  expect(machine.memory.view.getBigUint64(at, true)).toBe(0x1122_3344_5566_7800n);
});
