/** What the translator must know of an instruction besides its handler, by mnemonic. */
import { type Instruction, OP_MEM, OP_REG, RC_CR, RC_SEG } from '../decode/instruction.ts';
import { MNEMONICS } from '../decode/table/index.ts';
import { SEMANTICS } from '../semantics/registry.ts';

/** The trace ends: the instruction branches, or may have changed modes, mappings or code. */
const ENDS = 1;
/** The trace ends if the first operand is a segment or control register. */
const ENDS_IF_SPECIAL = 2;
/** LEA, NOP, PREFETCH: only the sum of the address is wanted, if anything. */
const SUM_ONLY = 4;
/** The first operand is only read. */
const READS_FIRST = 8;
/** x87: the size of the memory operand goes to P3. */
const X87 = 16;
const ENTER = 32;
/** IN, OUT: the size of the data register counts, not the operand size. */
const PORT_IN = 64;
const PORT_OUT = 128;
const NO_WAIT = 256;
const POP = 512;
const QUADWORD_INDEX = 1024;
/** Elements of four, of eight bytes that are addressed one by one. */
const ELEMENTS_4 = 2048;
const ELEMENTS_8 = 4096;
const BIT_STRING = 8192;
/** The address is not one that is accessed. */
const UNCHECKED = 16384;

/** A near JMP or CALL through a register or memory; far pointers in memory are longer. */
export function isIndirectNear({ mnemonic, operands, operandSize }: Instruction): boolean {
  const name = MNEMONICS[mnemonic];
  if (name !== 'jmp' && name !== 'call') return false;
  const { kind, size } = operands[0];
  return kind === OP_REG || (kind === OP_MEM && size === operandSize);
}

/** LOOP and its kin go on when they are not taken, as conditional jumps do. */
const COUNTED = new Set(['loop', 'loope', 'loopne', 'jcxz', 'jecxz', 'jrcxz']);

/** Microcode after which the same trace may go on: it changes neither modes nor mappings, unless it leaves by itself. */
const CONTINUES = new Set([
  'cpuid', 'rdtsc', 'rdtscp', 'rdpmc', 'rdmsr', 'in', 'out', 'pushf', 'pushfd', 'pushfq', 'cli', 'smsw', 'str', 'sldt',
  'sgdt', 'sidt', 'lgdt', 'lidt', 'sti', 'popf', 'popfd', 'popfq', 'verr', 'verw', 'lar', 'lsl', 'pause', 'swapgs', 'stac', 'clac', 'rdfsbase',
  'rdgsbase', 'wrfsbase', 'wrgsbase', 'rdpid', 'rdrand', 'rdseed', 'xgetbv', 'pusha', 'pushad', 'popa', 'popad',
  'bound', 'enter', 'arpl', 'aaa', 'aas', 'aam', 'aad', 'daa', 'das', 'cmpxchg8b', 'cmpxchg16b', 'crc32', 'clflush',
  'clflushopt', 'clwb', 'rdpkru', 'wrpkru', 'xlatb', 'emms', 'ldmxcsr', 'stmxcsr',
]);
const CONTINUES_PATTERN = /^(f|x?save|xrstor|movs[bwdq]|stos[bwdq]|lods[bwdq]|cmps[bwdq]|scas[bwdq]|v?p[acehimosux]|vp[bdgrt]|v[abcdefghlmorstuz]|aes|sha|cvt|mov|add[sp]|sub[sp]|mul[sp]|div[sp]|sqrt|u?comis|unpck|max|min|round|blend|dp|h(add|sub)|insert|extract|lddqu|mask|mpsad|rcp|rsqrt|shuf|and|or|xor)/;
const READS_FIRST_PATTERN = /^(cmp|test|bt|push|jmp|call|i?mul|i?div|l[gil]dt|ltr|ver[rw]|lmsw|invlpg|nop|prefetch.*|fld.*|fi?(add|sub|mul|div|com).*|fild|fbld|frstor|f?xrstor.*|v?ldmxcsr|vmptrld|vmclear|vmxon|bound|clflush.*|clwb)$/;

function traitsOf(name: string): number {
  let traits = 0;
  if (name === 'jmp' || name === 'call' || name === 'ret') traits |= ENDS;
  else if (name === 'mov' || name === 'pop') traits |= ENDS_IF_SPECIAL;
  else if (!SEMANTICS.has(name) && !COUNTED.has(name) && name !== 'lea' && !CONTINUES.has(name) && !CONTINUES_PATTERN.test(name)) traits |= ENDS;
  if (name === 'lea' || name === 'nop' || name.startsWith('prefetch')) traits |= SUM_ONLY;
  if (READS_FIRST_PATTERN.test(name)) traits |= READS_FIRST;
  if (name.startsWith('f')) traits |= X87;
  if (/^(fn|fx)/.test(name)) traits |= NO_WAIT;
  if (name === 'pop') traits |= POP;
  if (/^bt[src]?$/.test(name)) traits |= BIT_STRING;
  if (/^vp?gatherq/.test(name)) traits |= QUADWORD_INDEX;
  if (/^v(p?gather[dq](ps|d)|maskmovps|pmaskmovd)$/.test(name)) traits |= ELEMENTS_4;
  if (/^v(p?gather[dq](pd|q)|maskmovpd|pmaskmovq)$/.test(name)) traits |= ELEMENTS_8;
  if (name === 'enter') traits |= ENTER;
  if (name === 'invlpg') traits |= UNCHECKED;
  if (name === 'in') traits |= PORT_IN;
  if (name === 'out') traits |= PORT_OUT;
  return traits;
}

const STRING = /^(?:movs|stos|lods|scas|cmps|ins|outs)([bwdq])(?:_string)?$/;
const ELEMENT: Readonly<Record<string, number>> = { b: 1, w: 2, d: 4, q: 8 };

const TRAITS: Uint16Array = Uint16Array.from(MNEMONICS, traitsOf);
/** Element size of string instructions, 0 for others. `movsd` and `cmpsd` without suffix are SSE2's. */
const ELEMENT_SIZE: Uint8Array = Uint8Array.from(MNEMONICS, (name) =>
  name === 'movsd' || name === 'cmpsd' ? 0 : (ELEMENT[STRING.exec(name)?.[1] ?? ''] ?? 0));

/** Whether what follows the instruction must be looked up. */
export function endsTrace(ins: Instruction): boolean {
  const traits = TRAITS[ins.mnemonic]!;
  if (traits & ENDS) return true;
  const first = ins.operands[0];
  return (traits & ENDS_IF_SPECIAL) !== 0 && first.kind === OP_REG && (first.regClass === RC_CR || first.regClass === RC_SEG);
}

export function wantsSumOnly(ins: Instruction): boolean {
  return (TRAITS[ins.mnemonic]! & SUM_ONLY) !== 0;
}

export function readsFirst(ins: Instruction): boolean {
  return (TRAITS[ins.mnemonic]! & READS_FIRST) !== 0;
}

export function isX87(ins: Instruction): boolean {
  return (TRAITS[ins.mnemonic]! & X87) !== 0;
}

/** x87 instructions that first wait: all but FNSTCW and its kin (SDM vol. 1, 8.7.3), FNINIT aside. */
export function waitsForX87(ins: Instruction): boolean {
  return (TRAITS[ins.mnemonic]! & (X87 | NO_WAIT)) === X87;
}

/** INVLPG: its address is in a segment but not limited by it. */
export function accessesNothing(ins: Instruction): boolean {
  return (TRAITS[ins.mnemonic]! & UNCHECKED) !== 0;
}

/** BT and its kin with the bit's number in a register, which may lie outside the operand. */
export function isBitString(ins: Instruction): boolean {
  return (TRAITS[ins.mnemonic]! & BIT_STRING) !== 0 && ins.operands[1].kind === OP_REG;
}

/** POP: an address with the stack pointer in it is that after the increment (SDM vol. 2B, POP). */
export function isPop(ins: Instruction): boolean {
  return (TRAITS[ins.mnemonic]! & POP) !== 0;
}

export function isEnter(ins: Instruction): boolean {
  return (TRAITS[ins.mnemonic]! & ENTER) !== 0;
}

/** Bytes of an element of gathers and VMASKMOV, 0 of all others. */
export function elementWidth(ins: Instruction): number {
  const traits = TRAITS[ins.mnemonic]!;
  return traits & ELEMENTS_4 ? 4 : traits & ELEMENTS_8 ? 8 : 0;
}

/** Bytes of an index of VGATHERQPS and its kin (8), VGATHERDPS and its kin (4). */
export function gatherIndexWidth(ins: Instruction): number {
  return TRAITS[ins.mnemonic]! & QUADWORD_INDEX ? 8 : 4;
}

/** Element size in bytes of string instructions, IN and OUT; else the operand size. */
export function elementSize(ins: Instruction): number {
  const traits = TRAITS[ins.mnemonic]!;
  if (traits & PORT_IN) return ins.operands[0].size;
  if (traits & PORT_OUT) return ins.operands[1].size;
  return ELEMENT_SIZE[ins.mnemonic]! || ins.operandSize;
}
