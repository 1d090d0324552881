import { beforeAll, describe, expect, test } from 'vitest';
import * as L from '../state/layout.ts';
import { bareMachine, type BareMachine } from '../testing/bare-machine.ts';
import { le32 } from '../testing/random-code/assembler.ts';

const RAM = 2 << 20;
const STACK = 0x18_0000;
const UD2 = [0x0f, 0x0b];
const RET = 0xc3;
const ADD_EAX = 0x05;
const XOR_EAX = 0x35;

let interpreter: BareMachine;
let compiler: BareMachine;
beforeAll(() => {
  interpreter = bareMachine(RAM, false, null);
  compiler = bareMachine(RAM, false, { threshold: 60, regions: 4000, entries: 30 });
});

/** Runs code at `at` from zeroed registers until UD2. */
function run(m: BareMachine, at: number, code: readonly number[]): Record<string, bigint> {
  m.memory.write(m.ram + at, Uint8Array.from(code));
  for (let r = 0; r < 16; r++) m.set(L.GPR + r * 8, 0n);
  m.set(L.RSP, BigInt(m.ram + STACK));
  m.setRflags(2n);
  m.set(L.RIP, BigInt(m.ram + at));
  m.set(L.INSN_COUNT, 0n);
  m.set32(L.EVENT_VECTOR, -1);
  expect(m.driver.run(50_000_000)).toBe('shutdown');
  const registers = Array.from({ length: 16 }, (_, r): [string, bigint] => [`r${r}`, m.get(L.GPR + r * 8)]);
  return { ...Object.fromEntries(registers), rip: m.get(L.RIP) - BigInt(m.ram), flags: m.rflags(), count: m.get(L.INSN_COUNT) };
}

function both(at: number, code: readonly number[]): Record<string, bigint> {
  const before = compiler.driver.jit!.statistics.regions;
  const compiled = run(compiler, at, code);
  expect(compiled).toEqual(run(interpreter, at, code));
  expect(compiler.driver.jit!.statistics.regions).toBeGreaterThan(before);
  return compiled;
}

/** mov r15d, n; head: body; dec r15; jnz head; ud2 */
function loop(iterations: number, body: readonly number[]): number[] {
  return [0x41, 0xbf, ...le32(iterations), ...body, 0x49, 0xff, 0xcf, 0x0f, 0x85, ...le32(-(body.length + 9)), ...UD2];
}

/** A computed branch to one of `targets` blocks of eight bytes, which lie `distance` behind it: the loop counter chooses. */
function computed(targets: number, distance: number, branch: number): number[] {
  return [
    0x44, 0x89, 0xf9, // mov ecx, r15d
    0x83, 0xe1, targets - 1, // and ecx, targets - 1
    0x48, 0x8d, 0x15, ...le32(distance), // lea rdx, [rip + distance]
    0x48, 0x8d, 0x14, 0xca, // lea rdx, [rdx + rcx * 8]
    0xff, branch, // jmp or call rdx
  ];
}

function nops(count: number): number[] {
  return Array.from({ length: count }, () => 0x90);
}

/** Blocks of eight bytes: an operation on EAX, then what `end` gives. */
function blocks(count: number, end: (number: number) => number[]): number[] {
  return Array.from({ length: count }, (_, i) => {
    const block = [i % 2 ? ADD_EAX : XOR_EAX, ...le32(i * 0x1_0101 + 7), ...end(i)];
    return [...block, ...nops(8 - block.length)];
  }).flat();
}

describe('computed branches', () => {
  for (const targets of [1, 2, 4, 8, 16]) {
    test(`jump to one of ${targets}`, () => {
      const size = targets * 8;
      // Each block jumps behind the last one.
      const code = loop(4000, [...computed(targets, 6, 0xe2), ...blocks(targets, (i) => [0xeb, size - i * 8 - 7])]);
      both(0x1000 * (1 + targets), code);
    });
  }
  for (const targets of [1, 2, 4, 8, 16, 32]) {
    test(`call of one of ${targets}`, () => {
      const body = computed(targets, 17, 0xd2);
      const code = loop(4000, body);
      both(0x4_0000 + 0x1000 * targets, [...code, ...blocks(targets, () => [RET])]);
    });
  }

  test('targets that appear when the branch has been compiled', () => {
    // ecx = r15d >> 9: another block each 512 iterations.
    const body = computed(8, 6, 0xe2);
    body.splice(3, 3, 0xc1, 0xe9, 9);
    both(0x8_0000, loop(4095, [...body, ...blocks(8, (i) => [0xeb, 64 - i * 8 - 7])]));
  });
});

describe('calls and returns', () => {
  /** f(edi): eax++; if (edi == 0) return; f(edi - 1) twice. */
  const FUNCTION = [
    0xff, 0xc0, // inc eax
    0x85, 0xff, 0x74, 0x12, // test edi, edi; jz end
    0x57, 0xff, 0xcf, 0xe8, ...le32(-14), // push rdi; dec edi; call f
    0xff, 0xcf, 0xff, 0xc7, 0xe8, ...le32(-23), 0x5f, // dec edi; inc edi; call f; pop rdi
    RET,
  ];

  test('recursion', () => {
    const main = loop(30, [0xbf, ...le32(9), 0xe8, ...le32(11)]);
    expect(both(0x9_0000, [...main, ...FUNCTION])['r0']).toBe(30n * 1023n);
  });

  test('a return to elsewhere than behind the call', () => {
    // call f; add eax, 1; add eax, 2 — and f moves its return address on by 3 when ecx is odd.
    const body = [0xe8, ...le32(24 - 5), 0x83, 0xc0, 1, 0x83, 0xc0, 2];
    const f = [0xff, 0xc1, 0xf6, 0xc1, 1, 0x74, 5, 0x48, 0x83, 0x04, 0x24, 3, RET];
    const code = loop(3000, body);
    const distance = code.length - 6 - 5;
    code.splice(7, 4, ...le32(distance));
    expect(both(0xa_0000, [...code, ...f])['r0']).toBe(3000n * 2n + 1500n);
  });

  test('push and return in the place of a jump', () => {
    const body = [0x48, 0x8d, 0x15, ...le32(5), 0x52, RET, 0x83, 0xc0, 9, 0x83, 0xc0, 1];
    expect(both(0xb_0000, loop(3000, body))['r0']).toBe(3000n);
  });

  test('code that goes on in another page, and calls across pages', () => {
    const code = loop(3000, [0xe8, ...le32(0x1000), 0xff, 0xc0]);
    const far = nops(0x1000 + 11 - code.length);
    both(0xc_0fe8, [...code, ...far, 0xff, 0xc1, RET]);
  });
});

describe('system instructions', () => {
  const USER = 0xe_0000;
  const HANDLER = 0xe_0800;
  const CODE64 = 0xa09b;
  const DATA = 0xc093;
  const kernel = (m: BareMachine): void => {
    for (const [segment, attr] of [[L.CS, CODE64], [L.SS, DATA]] as const) m.set32(L.SEG + segment * L.SEG_SIZE + L.SEG_ATTR, attr);
    m.updateMode();
  };

  test('SYSCALL and SYSRET', () => {
    for (const m of [interpreter, compiler]) {
      kernel(m);
      m.set(L.MSR_STAR, (8n << 32n) | (0x10n << 48n));
      m.set(L.MSR_LSTAR, BigInt(m.ram + HANDLER));
      m.set(L.MSR_SFMASK, 0x200n);
      // add rbx, 2; pushf; pop rdx; add rsi, rdx; sysretq
      m.memory.write(m.ram + HANDLER, Uint8Array.from([0x48, 0x83, 0xc3, 2, 0x9c, 0x5a, 0x48, 0x01, 0xd6, 0x48, 0x0f, 0x07]));
    }
    // lea rcx, [rip + 11]; mov r11d, 0x202; sysretq
    const start = [0x48, 0x8d, 0x0d, ...le32(9), 0x41, 0xbb, ...le32(0x202), 0x48, 0x0f, 0x07];
    const state = both(USER, [...start, ...loop(5000, [0xff, 0xc0, 0x0f, 0x05])]);
    expect([state['r0'], state['r3'], interpreter.get32(L.CPL), compiler.get32(L.CPL)]).toEqual([5000n, 10_000n, 3, 3]);
    for (const m of [interpreter, compiler]) kernel(m);
  });

  test.each([
    ['CLI and STI', [0xfa, 0x01, 0xf8, 0xfb, 0xff, 0xc1]],
    ['PUSHF and POPF', [0x9c, 0x01, 0xf8, 0x9d, 0xff, 0xc1]],
    ['MOV CR3', [0x0f, 0x20, 0xda, 0x0f, 0x22, 0xda, 0xff, 0xc1]],
    ['INVLPG', [0x0f, 0x01, 0x3c, 0x24, 0xff, 0xc1]],
    ['CLTS', [0x0f, 0x06, 0xff, 0xc1]],
    ['RDMSR and WRMSR', [0x51, 0xb9, ...le32(0xc000_0103), 0x0f, 0x32, 0xff, 0xc0, 0x0f, 0x30, 0x59, 0xff, 0xc1]],
  ])('%s', (_name, body) => {
    expect(both(0xf_0000 + (body[0]! << 4), loop(5000, body))['r1']).toBe(5000n);
  });
});
