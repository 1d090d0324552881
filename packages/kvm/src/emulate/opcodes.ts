/**
 * The instructions that the emulator knows: all that reaches device memory or ports in practice. Operands are written
 * as in the SDM's opcode maps (vol. 2D, A.2): E r/m, G register of ModRM, I immediate, O offset, M memory, V and W vector
 * register and vector r/m, X and Y string source and destination, A accumulator, Z register of the opcode, C CL, D DX,
 * 1 the constant. Widths: b w d q, v operand size, z operand size but at most 4, y 4 or 8, x 16, s sign-extended byte.
 */

import type { EmulateCtxt } from './ctxt.ts';
import * as alu from './alu.ts';
import * as slow from './alu-slow.ts';
import * as flow from './execute-flow.ts';
import * as string from './execute-string.ts';
import * as vector from './execute-vector.ts';

/** Carries an instruction out on the operands in the context; X86EMUL_*. */
export type Execute = (c: EmulateCtxt) => number;

/** One operand: kind and width, one letter each. */
export interface OperandSpec {
  readonly kind: string;
  readonly width: string;
}

export interface Opcode {
  readonly name: string;
  readonly operands: readonly OperandSpec[];
  readonly execute: Execute;
  /** A ModRM byte follows. */
  readonly modrm: boolean;
  /** Works on vector registers. */
  readonly vector: boolean;
  /** A register bit offset may reach beyond the memory operand. */
  readonly bits: boolean;
  /** The destination is not read. */
  readonly mov: boolean;
  /** The destination is not written. */
  readonly noWrite: boolean;
  /** LOCK is allowed. */
  readonly lock: boolean;
  /** A string instruction: rep repeats it. */
  readonly string: boolean;
  /** Operand size is 8 in 64-bit mode without a prefix. */
  readonly stack: boolean;
  /** Two memory operands, so that the address that the exit gave may be of either. */
  readonly twoMem: boolean;
  /** The access must be aligned to its size. */
  readonly aligned: boolean;
}

/** A row: name, operands, what it does, attributes. */
type Row = readonly [name: string, operands: string, execute: Execute, attributes?: string];
/** By opcode; a row, or eight rows for ModRM's reg field. */
type Entry = Row | readonly (Row | null)[];

const { add, adc, sbb, sub, and, or, xor, inc, dec, not, neg, mov } = alu;

const arithmetic: readonly (readonly [string, Execute, string])[] = [
  ['add', add, 'lock'],
  ['or', or, 'lock'],
  ['adc', adc, 'lock'],
  ['sbb', sbb, 'lock'],
  ['and', and, 'lock'],
  ['sub', sub, 'lock'],
  ['xor', xor, 'lock'],
  ['cmp', sub, 'nowrite'],
];
const shifts: readonly (readonly [string, Execute])[] = [
  ['rol', slow.rol],
  ['ror', slow.ror],
  ['rcl', slow.rcl],
  ['rcr', slow.rcr],
  ['shl', slow.shl],
  ['shr', slow.shr],
  ['shl', slow.shl],
  ['sar', slow.sar],
];

const group1 = (operands: string): Row[] => arithmetic.map(([name, execute, how]) => [name, operands, execute, how]);
const group2 = (operands: string): Row[] => shifts.map(([name, execute]) => [name, operands, execute]);
const group3 = (e: string, imm: string): Row[] => [
  ['test', `${e} ${imm}`, and, 'nowrite'],
  ['test', `${e} ${imm}`, and, 'nowrite'],
  ['not', e, not, 'lock'],
  ['neg', e, neg, 'lock'],
  ['mul', e, slow.mul, 'nowrite'],
  ['imul', e, slow.imulWide, 'nowrite'],
  ['div', e, slow.div, 'nowrite'],
  ['idiv', e, slow.idiv, 'nowrite'],
];
const group8: (Row | null)[] = [
  null,
  null,
  null,
  null,
  ['bt', 'Ev Ib', slow.bt, 'nowrite'],
  ['bts', 'Ev Ib', slow.bts, 'lock'],
  ['btr', 'Ev Ib', slow.btr, 'lock'],
  ['btc', 'Ev Ib', slow.btc, 'lock'],
];

const oneByte: [opcode: number, entry: Entry][] = [
  [0x63, ['movsxd', 'Gv Ed', slow.movsx, 'mov']],
  [0x68, ['push', 'Iz', flow.push, 'nowrite stack']],
  [0x69, ['imul', 'Gv Ev Iz', slow.imul3, 'mov']],
  [0x6a, ['push', 'Is', flow.push, 'nowrite stack']],
  [0x6b, ['imul', 'Gv Ev Is', slow.imul3, 'mov']],
  [0x6c, ['ins', 'Yb D', string.ins, 'mov string']],
  [0x6d, ['ins', 'Yz D', string.ins, 'mov string']],
  [0x6e, ['outs', 'Xb D', string.outs, 'nowrite string']],
  [0x6f, ['outs', 'Xz D', string.outs, 'nowrite string']],
  [0x80, group1('Eb Ib')],
  [0x81, group1('Ev Iz')],
  [0x83, group1('Ev Is')],
  [0x84, ['test', 'Eb Gb', and, 'nowrite']],
  [0x85, ['test', 'Ev Gv', and, 'nowrite']],
  [0x86, ['xchg', 'Eb Gb', alu.xchg, 'lock']],
  [0x87, ['xchg', 'Ev Gv', alu.xchg, 'lock']],
  [0x88, ['mov', 'Eb Gb', mov, 'mov']],
  [0x89, ['mov', 'Ev Gv', mov, 'mov']],
  [0x8a, ['mov', 'Gb Eb', mov, 'mov']],
  [0x8b, ['mov', 'Gv Ev', mov, 'mov']],
  [0x8c, ['mov', 'Ew S', mov, 'mov']],
  [0x8f, [['pop', 'Ev', flow.pop, 'mov stack twomem'], null, null, null, null, null, null, null]],
  [0xa0, ['mov', 'Ab Ob', mov, 'mov']],
  [0xa1, ['mov', 'Av Ov', mov, 'mov']],
  [0xa2, ['mov', 'Ob Ab', mov, 'mov']],
  [0xa3, ['mov', 'Ov Av', mov, 'mov']],
  [0xa4, ['movs', 'Yb Xb', mov, 'mov string twomem']],
  [0xa5, ['movs', 'Yv Xv', mov, 'mov string twomem']],
  [0xa6, ['cmps', 'Xb Yb', sub, 'nowrite string twomem']],
  [0xa7, ['cmps', 'Xv Yv', sub, 'nowrite string twomem']],
  [0xaa, ['stos', 'Yb Ab', mov, 'mov string']],
  [0xab, ['stos', 'Yv Av', mov, 'mov string']],
  [0xac, ['lods', 'Ab Xb', mov, 'mov string']],
  [0xad, ['lods', 'Av Xv', mov, 'mov string']],
  [0xae, ['scas', 'Ab Yb', sub, 'nowrite string']],
  [0xaf, ['scas', 'Av Yv', sub, 'nowrite string']],
  [0xc0, group2('Eb Ib')],
  [0xc1, group2('Ev Ib')],
  [0xc6, [['mov', 'Eb Ib', mov, 'mov'], null, null, null, null, null, null, null]],
  [0xc7, [['mov', 'Ev Iz', mov, 'mov'], null, null, null, null, null, null, null]],
  [0xd0, group2('Eb 1')],
  [0xd1, group2('Ev 1')],
  [0xd2, group2('Eb C')],
  [0xd3, group2('Ev C')],
  [0xe4, ['in', 'Ab Ib', string.portIn, 'mov']],
  [0xe5, ['in', 'Az Ib', string.portIn, 'mov']],
  [0xe6, ['out', 'Ab Ib', string.portOut, 'nowrite']],
  [0xe7, ['out', 'Az Ib', string.portOut, 'nowrite']],
  [0xec, ['in', 'Ab D', string.portIn, 'mov']],
  [0xed, ['in', 'Az D', string.portIn, 'mov']],
  [0xee, ['out', 'Ab D', string.portOut, 'nowrite']],
  [0xef, ['out', 'Az D', string.portOut, 'nowrite']],
  [0xf6, group3('Eb', 'Ib')],
  [0xf7, group3('Ev', 'Iz')],
  [0xfe, [['inc', 'Eb', inc, 'lock'], ['dec', 'Eb', dec, 'lock'], null, null, null, null, null, null]],
  [
    0xff,
    [
      ['inc', 'Ev', inc, 'lock'],
      ['dec', 'Ev', dec, 'lock'],
      ['call', 'Ev', flow.call, 'nowrite stack twomem'],
      null,
      ['jmp', 'Ev', flow.jmp, 'nowrite stack'],
      null,
      ['push', 'Ev', flow.push, 'nowrite stack twomem'],
      null,
    ],
  ],
];

const twoByte: [opcode: number, entry: Entry][] = [
  [0x0d, ['prefetchw', 'Eb', flow.nop, 'mov nowrite']],
  [0x12, ['movlps', 'Vq Mq', vector.movLow, 'mov']],
  [0x13, ['movlps', 'Mq Vq', mov, 'mov']],
  [0x16, ['movhps', 'Vq Mq', vector.movHighLoad, 'mov']],
  [0x17, ['movhps', 'Mq Vq', vector.movHighStore, 'mov']],
  [0x18, ['prefetch', 'Eb', flow.nop, 'mov nowrite']],
  [0x1f, ['nop', 'Ev', flow.nop, 'mov nowrite']],
  [0x10, ['movups', 'Vx Wx', vector.movVector, 'mov']],
  [0x11, ['movups', 'Wx Vx', vector.movVector, 'mov']],
  [0x28, ['movaps', 'Vx Wx', vector.movVector, 'mov aligned']],
  [0x29, ['movaps', 'Wx Vx', vector.movVector, 'mov aligned']],
  [0x2b, ['movntps', 'Mx Vx', vector.movVector, 'mov aligned']],
  [0x6e, ['movd', 'Vy Ey', vector.movLoad, 'mov']],
  [0x6f, ['movdqa', 'Vx Wx', vector.movVector, 'mov aligned']],
  [0x7e, ['movd', 'Ey Vy', mov, 'mov']],
  [0x7f, ['movdqa', 'Wx Vx', vector.movVector, 'mov aligned']],
  [0xa3, ['bt', 'Ev Gv', slow.bt, 'nowrite bits']],
  [0xa4, ['shld', 'Ev Gv Ib', slow.shld]],
  [0xa5, ['shld', 'Ev Gv C', slow.shld]],
  [0xab, ['bts', 'Ev Gv', slow.bts, 'lock bits']],
  [0xac, ['shrd', 'Ev Gv Ib', slow.shrd]],
  [0xad, ['shrd', 'Ev Gv C', slow.shrd]],
  [0xae, [null, null, null, null, null, null, null, ['clflush', 'Mb', flow.nop, 'mov nowrite']]],
  [0xaf, ['imul', 'Gv Ev', slow.imul2]],
  [0xb0, ['cmpxchg', 'Eb Gb', slow.cmpxchg, 'lock']],
  [0xb1, ['cmpxchg', 'Ev Gv', slow.cmpxchg, 'lock']],
  [0xb3, ['btr', 'Ev Gv', slow.btr, 'lock bits']],
  [0xb6, ['movzx', 'Gv Eb', mov, 'mov']],
  [0xb7, ['movzx', 'Gv Ew', mov, 'mov']],
  [0xba, group8],
  [0xbb, ['btc', 'Ev Gv', slow.btc, 'lock bits']],
  [0xbc, ['bsf', 'Gv Ev', slow.bsf]],
  [0xbd, ['bsr', 'Gv Ev', slow.bsr]],
  [0xbe, ['movsx', 'Gv Eb', slow.movsx, 'mov']],
  [0xbf, ['movsx', 'Gv Ew', slow.movsx, 'mov']],
  [0xc0, ['xadd', 'Eb Gb', slow.xadd, 'lock']],
  [0xc1, ['xadd', 'Ev Gv', slow.xadd, 'lock']],
  [0xc3, ['movnti', 'My Gy', mov, 'mov']],
  [0xc7, [null, ['cmpxchg8b', 'Mp', slow.cmpxchg8b, 'lock'], null, null, null, null, null, null]],
  [0xd6, ['movq', 'Wq Vq', mov, 'mov']],
  [0xe7, ['movntdq', 'Mx Vx', vector.movVector, 'mov aligned']],
];

/** Of the rows above, those whose mandatory prefix changes what they are: key is prefix << 8 | opcode. */
const prefixed: [key: number, row: Row | null][] = [
  [0xf310, ['movss', 'Vd Wd', vector.movLoad, 'mov']],
  [0xf311, ['movss', 'Wd Vd', mov, 'mov']],
  [0xf210, ['movsd', 'Vq Wq', vector.movLoad, 'mov']],
  [0xf211, ['movsd', 'Wq Vq', mov, 'mov']],
  [0xf36f, ['movdqu', 'Vx Wx', vector.movVector, 'mov']],
  [0xf37f, ['movdqu', 'Wx Vx', vector.movVector, 'mov']],
  [0xf37e, ['movq', 'Vq Wq', vector.movLoad, 'mov']],
  [0xf3bc, ['tzcnt', 'Gv Ev', slow.tzcnt, 'mov']],
  [0xf3bd, ['lzcnt', 'Gv Ev', slow.lzcnt, 'mov']],
  [0xf3b8, ['popcnt', 'Gv Ev', slow.popcnt, 'mov']],
  // Without a prefix these are MMX, whose registers the emulator does not keep.
  [0x006e, null],
  [0x006f, null],
  [0x007e, null],
  [0x007f, null],
  [0x00d6, null],
  [0x00e7, null],
];

const threeByte: [opcode: number, entry: Entry][] = [
  [0x2a, ['movntdqa', 'Vx Mx', vector.movVector, 'mov aligned']],
  [0xf0, ['movbe', 'Gv Mv', slow.movbe, 'mov']],
  [0xf1, ['movbe', 'Mv Gv', slow.movbe, 'mov']],
];

function opcode([name, operands, execute, attributes = '']: Row): Opcode {
  const has = (attribute: string): boolean => attributes.split(' ').includes(attribute);
  return {
    name,
    operands: operands.split(' ').map((spec) => ({ kind: spec[0]!, width: spec[1] ?? '' })),
    modrm: /[EGMVWS]/.test(operands),
    vector: /[VW]/.test(operands),
    execute,
    mov: has('mov'),
    noWrite: has('nowrite'),
    lock: has('lock'),
    string: has('string'),
    stack: has('stack'),
    twoMem: has('twomem') || has('bits'),
    bits: has('bits'),
    aligned: has('aligned'),
  };
}

/** A slot of a table: an opcode, or eight by ModRM's reg field. */
export type OpcodeSlot = Opcode | readonly (Opcode | null)[] | null;

function isRow(entry: Entry): entry is Row {
  return typeof entry[0] === 'string';
}

function table(entries: readonly [number, Entry][]): readonly OpcodeSlot[] {
  const slots: OpcodeSlot[] = Array.from({ length: 256 }, () => null);
  for (const [code, entry] of entries)
    slots[code] = isRow(entry) ? opcode(entry) : entry.map((row) => (row === null ? null : opcode(row)));
  return slots;
}

function arithmeticRows(): [number, Entry][] {
  return arithmetic.flatMap(([name, execute, how], i): [number, Entry][] => {
    const forms = ['Eb Gb', 'Ev Gv', 'Gb Eb', 'Gv Ev', 'Ab Ib', 'Av Iz'];
    return forms.map((operands, j) => [i * 8 + j, [name, operands, execute, how]]);
  });
}

/** The condition of cmovcc and setcc is in the opcode's low four bits. */
function conditionRows(): [number, Entry][] {
  return Array.from({ length: 16 }, (_, i): [number, Entry][] => [
    [0x40 + i, ['cmovcc', 'Gv Ev', flow.cmovcc]],
    [0x90 + i, ['setcc', 'Eb', flow.setcc, 'mov']],
  ]).flat();
}

export const oneByteOpcodes: readonly OpcodeSlot[] = table([...arithmeticRows(), ...oneByte]);
export const twoByteOpcodes: readonly OpcodeSlot[] = table([...conditionRows(), ...twoByte]);
export const threeByteOpcodes: readonly OpcodeSlot[] = table(threeByte);
/** Two-byte opcodes by mandatory prefix; null: not emulated with that prefix. */
export const prefixedOpcodes: ReadonlyMap<number, Opcode | null> = new Map(
  prefixed.map(([key, row]) => [key, row === null ? null : opcode(row)]),
);
