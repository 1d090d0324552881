import { expect, test } from 'vitest';
import {
  codeView,
  decode,
  DECODE_INVALID,
  DECODE_TOO_LONG,
  DECODE_TRUNCATED,
  format,
  formKey,
  forms,
  Instruction,
  MNEMONICS,
  PFX_LOCK,
  PFX_OPSIZE,
  PFX_REP,
  PFX_REPNE,
  ROWS,
} from './index.ts';

type Mode = 16 | 32 | 64;

function parse(text: string): Uint8Array {
  return Uint8Array.from(text.split(' '), (byte) => Number.parseInt(byte, 16));
}

function decoded(text: string, mode: Mode = 64): Instruction {
  const bytes = parse(text);
  const out = new Instruction();
  expect(decode(codeView(bytes), 0, bytes.length, mode, out)).toBe(bytes.length);
  return out;
}

test.each<[Mode, string, string]>([
  [64, '48 89 e5', 'mov rbp,rsp'],
  [64, '8b 44 8b fc', 'mov eax,dword ptr [rbx+rcx*4-0x4]'],
  [64, '48 8b 05 10 00 00 00', 'mov rax,qword ptr [rip+0x10]'],
  [64, '65 48 8b 04 25 28 00 00 00', 'mov rax,qword ptr gs:[0x28]'],
  [64, '2e 8b 00', 'mov eax,dword ptr [rax]'],
  [64, '67 8b 00', 'mov eax,dword ptr [eax]'],
  [16, '8b 42 fe', 'mov ax,word ptr [bp+si-0x2]'],
  [16, '66 8b 1e 34 12', 'mov ebx,dword ptr [0x1234]'],
  [64, '48 b8 88 77 66 55 44 33 22 11', 'mov rax,0x1122334455667788'],
  [64, 'a1 88 77 66 55 44 33 22 11', 'mov eax,dword ptr [0x1122334455667788]'],
  [64, '48 83 c4 80', 'add rsp,0xffffffffffffff80'],
  [64, '66 83 c0 ff', 'add ax,0xffff'],
  [64, 'c6 00 80', 'mov byte ptr [rax],0x80'],
  [64, '88 e0', 'mov al,ah'],
  [64, '40 88 e0', 'mov al,spl'],
  [64, '41 88 e7', 'mov r15b,spl'],
  [64, 'd1 e0', 'shl eax,0x1'],
  [64, '48 d3 f8', 'sar rax,cl'],
  [64, 'eb fe', 'jmp 0x1000'],
  [64, '66 e8 00 00 00 00', 'call 0x1006'],
  [16, 'e8 00 f0', 'call 0x3'],
  [32, 'ea 78 56 34 12 08 00', 'jmp 0x8:0x12345678'],
  [64, 'f3 48 a5', 'rep movsq'],
  [64, 'f3 65 a6', 'repe gs cmpsb'],
  [64, '67 ab', 'addr32 stosd'],
  [32, 'a5', 'movsd'],
  [64, 'f2 0f 10 c1', 'movsd xmm0,xmm1'],
  [64, 'f0 0f b1 0b', 'lock cmpxchg dword ptr [rbx],ecx'],
  [64, 'f0 48 0f c7 0f', 'lock cmpxchg16b xmmword ptr [rdi]'],
  [64, 'c8 10 00 01', 'enter 0x10,0x1'],
  [64, '0f 22 d8', 'mov cr3,rax'],
  [64, '44 0f 20 c0', 'mov rax,cr8'],
  [64, '8e d8', 'mov ds,eax'],
  [64, '0f 01 10', 'lgdt tbyte ptr [rax]'],
  [64, 'dd 44 24 08', 'fld qword ptr [rsp+0x8]'],
  [64, 'd8 c1', 'fadd st(0),st(1)'],
  [64, '0f 6f c1', 'movq mm0,mm1'],
  [64, 'f3 0f 1e fa', 'endbr64'],
  [64, '66 0f 1f 44 00 00', 'nop word ptr [rax+rax]'],
  [64, 'f3 90', 'pause'],
  [64, '41 90', 'xchg r8d,eax'],
  [64, 'c5 f4 58 c2', 'vaddps ymm0,ymm1,ymm2'],
  [64, 'c4 e2 f1 b8 c2', 'vfmadd231pd xmm0,xmm1,xmm2'],
  [64, 'c4 e3 71 4a c2 30', 'vblendvps xmm0,xmm1,xmm2,xmm3'],
  [64, 'c4 e2 75 92 04 90', 'vgatherdps ymm0,dword ptr [rax+ymm2*4],ymm1'],
  [64, 'c4 e2 f8 f2 c3', 'andn rax,rax,rbx'],
  [32, 'c5 00', 'lds eax,fword ptr [eax]'],
])('%i-bit %s is %s', (mode, bytes, text) => {
  expect(format(decoded(bytes, mode), 0x1000n)).toBe(text);
});

test.each<[Mode, string, string]>([
  [64, '06', 'PUSH ES in 64-bit mode'],
  [64, 'd6', 'SALC in 64-bit mode'],
  [32, '0f 05', 'SYSCALL outside 64-bit mode'],
  [64, 'f0 90', 'LOCK without memory'],
  [64, 'f0 01 c0', 'LOCK with a register destination'],
  [64, 'f0 39 00', 'LOCK with CMP'],
  [64, '8e c8', 'MOV to CS'],
  [64, '8c f0', 'a seventh segment register'],
  [64, '0f 20 c8', 'CR1'],
  [64, '44 0f 21 c0', 'DR8'],
  [64, '0f 0a', 'an undefined opcode'],
  [64, 'f3 0f 14 c0', 'F3 with UNPCKLPS'],
  [64, '66 c5 f4 58 c2', '66 before VEX'],
  [64, '48 c5 f4 58 c2', 'REX before VEX'],
  [64, 'c5 84 28 c2', 'VEX.vvvv where it is no operand'],
  [64, 'c4 e2 75 92 0c 88', 'a gather whose mask is its destination'],
  [64, '62 f1 7c 48 58 c0', 'EVEX'],
])('%i-bit %s is undefined: %s', (mode, text) => {
  const bytes = parse(text);
  expect(decode(codeView(bytes), 0, bytes.length, mode, new Instruction())).toBe(DECODE_INVALID);
});

test('length limits', () => {
  const out = new Instruction();
  const prefixed = (count: number): DataView => codeView(Uint8Array.from([...Array.from({ length: count }, () => 0x66), 0x90, 0, 0, 0]));
  expect(decode(prefixed(14), 0, 18, 64, out)).toBe(15);
  expect(decode(prefixed(15), 0, 18, 64, out)).toBe(DECODE_TOO_LONG);
  const long = codeView(Uint8Array.from([0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x48, 0xc7, 0x84, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
  expect(decode(long, 0, long.byteLength, 64, out)).toBe(DECODE_TOO_LONG);
  expect(decode(long, 1, long.byteLength, 64, out)).toBe(DECODE_TOO_LONG);
  expect(decode(long, 3, long.byteLength, 64, out)).toBe(15);
  expect(decode(codeView(new Uint8Array(0)), 0, 0, 64, out)).toBe(DECODE_TRUNCATED);
});

test('every cut of an instruction is truncated, wherever it stands in the array', () => {
  const out = new Instruction();
  for (const text of ['65 48 8b 84 8b 11 22 33 44', 'c4 e3 71 4a 44 24 08 30', '48 b8 1 2 3 4 5 6 7 8', '66 0f 3a 0f c1 08']) {
    const bytes = parse(text);
    for (const padding of [0, 100]) {
      const padded = new Uint8Array(bytes.length + padding);
      padded.set(bytes);
      for (let end = 0; end < bytes.length; end++) {
        expect(decode(codeView(padded), 0, end, 64, out)).toBe(DECODE_TRUNCATED);
        expect(decode(codeView(padded.subarray(0, end)), 0, end, 64, out)).toBe(DECODE_TRUNCATED);
      }
      expect(decode(codeView(padded), 0, bytes.length, 64, out)).toBe(bytes.length);
    }
  }
});

test('prefixes that are part of the opcode are not reported as repetition', () => {
  expect(decoded('f3 0f 10 c1').prefixes & PFX_REP).toBe(0);
  expect(decoded('f2 0f 10 c1').prefixes & PFX_REPNE).toBe(0);
  expect(decoded('f3 a4').prefixes & PFX_REP).toBe(PFX_REP);
  expect(decoded('f3 c3').prefixes & PFX_REP).toBe(PFX_REP);
  expect(decoded('f0 66 01 00').prefixes).toBe(PFX_LOCK | PFX_OPSIZE);
});

test.each<[Mode, string, number]>([
  [64, '50', 8], [64, '66 50', 2], [32, '50', 4], [16, '50', 2], [16, '66 50', 4],
  [64, 'e8 00 00 00 00', 8], [64, '66 c3', 8], [64, 'c2 00 00', 8], [64, '66 ff 30', 2],
  [64, 'cf', 4], [64, '48 cf', 8], [64, '48 6d', 4], [64, '66 ab', 2], [16, 'ab', 2], [64, '0f a1', 8],
])('%i-bit %s has operand size %i', (mode, bytes, size) => {
  expect(decoded(bytes, mode).operandSize).toBe(size);
});

test('a form tells what a decoded instruction has', () => {
  const kinds = ['', 'reg', 'mem', 'imm', 'rel', 'far'];
  for (const text of ['48 01 03', '0f b6 c4', 'c5 fc 11 00', 'e9 00 00 00 00', 'ff 28', 'd3 20', '6a 01', 'c4 e2 75 93 04 90']) {
    const instruction = decoded(text);
    const form = forms()[instruction.form];
    expect(form?.mnemonic).toBe(MNEMONICS[instruction.mnemonic]);
    expect(form?.row).toBe(ROWS[instruction.row]);
    expect(form?.key).toBe(formKey(instruction));
    const operands = instruction.operands.slice(0, instruction.operandCount);
    expect(form?.operands.map(({ kind, size }) => [kind, size])).toEqual(operands.map(({ kind, size }) => [kinds[kind], size]));
  }
});

test('forms with the same key do the same', () => {
  const sizes = new Map<string, Set<number>>();
  for (const { key, operandSize, operands } of forms()) {
    // Only what reads or writes memory of one size whatever the operand size may share a key across operand sizes.
    if (operands.some(({ kind }) => kind === 'mem')) continue;
    sizes.set(key, (sizes.get(key) ?? new Set()).add(operandSize));
  }
  expect([...sizes].filter(([, all]) => all.size > 1).map(([key]) => key)).toEqual([]);
});

test('code beyond 2 GiB of its view', () => {
  const at = 2 ** 31 + 8;
  const bytes = new Uint8Array(at + 32);
  // movzx r9d, byte [rip + 0x12345678]
  bytes.set([0x44, 0x0f, 0xb6, 0x0d, 0x78, 0x56, 0x34, 0x12], at);
  const ins = new Instruction();
  expect(decode(codeView(bytes), at, bytes.length, 64, ins)).toBe(8);
  expect(ins.dispLo).toBe(0x12345678);
});
