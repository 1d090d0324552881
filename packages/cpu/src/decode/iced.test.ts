/**
 * The decoder against iced-x86: every opcode of every map in three modes, with prefixes and ModRM bytes varied
 * systematically, and random byte strings (ROUNDS of them; 200,000 unless the environment says otherwise): the same
 * length, mnemonic and operands, or both invalid, but for the differences explained below.
 */
import * as iced from 'iced-x86';
import { expect, test } from 'vitest';
import { codeView, decode, forms, Instruction, MNEMONICS, type Operand } from './index.ts';
import * as parts from './instruction.ts';

type Mode = 16 | 32 | 64;

const IP = 0x1000n;
const ROUNDS = Number(process.env['ROUNDS'] ?? 200_000);
const TIMEOUT = 120_000 + ROUNDS / 10;

interface Decoded {
  /** 0 if invalid. */
  readonly length: number;
  readonly mnemonic: string;
  readonly operands: readonly string[];
}

const INVALID: Decoded = { length: 0, mnemonic: 'invalid', operands: [] };

const ours = new Instruction();
const theirs = new iced.Instruction();

const CLASS_NAMES: readonly string[] = ['r', 'high', 'seg', 'cr', 'dr', 'st', 'mm', 'v'];

function wide(low: number, high: number): bigint {
  return (BigInt(high) << 32n) | BigInt(low >>> 0);
}

function truncated(value: bigint, bytes: number): string {
  return BigInt.asUintN(Math.max(bytes, 1) * 8, value).toString(16);
}

function registerText(operand: Operand): string {
  const sized = operand.regClass === parts.RC_GPR || operand.regClass === parts.RC_VEC;
  return `${CLASS_NAMES[operand.regClass]}${sized ? operand.size * 8 : ''}:${operand.reg}`;
}

function memoryText(size: number): string {
  let disp = wide(ours.dispLo, ours.dispHi);
  if (ours.memBase === 16) disp += IP + BigInt(ours.length);
  const index = ours.memIndexSize === 0 ? `${ours.memIndex}` : `v${ours.memIndexSize}:${ours.memIndex}`;
  const where = `${ours.memBase},${index},${ours.memScale},${truncated(disp, ours.addressSize)}`;
  return `m${size}[${ours.memSegment}:${where} a${ours.addressSize}]`;
}

function operandText(operand: Operand, position: number): string {
  const immediate = wide(ours.immLo, ours.immHi);
  switch (operand.kind) {
    case parts.OP_REG:
      return registerText(operand);
    case parts.OP_MEM:
      return memoryText(operand.size);
    case parts.OP_IMM:
      return `imm:${position === 1 && MNEMONICS[ours.mnemonic] === 'enter' ? ours.imm2.toString(16) : truncated(immediate, operand.size)}`;
    case parts.OP_REL:
      return `rel:${truncated(IP + BigInt(ours.length) + immediate, ours.operandSize)}`;
    default:
      return `far:${ours.imm2.toString(16)}:${immediate.toString(16)}`;
  }
}

function decodeOurs(bytes: Uint8Array, mode: Mode): Decoded {
  const length = decode(codeView(bytes), 0, bytes.length, mode, ours);
  if (length < 0) return INVALID;
  const mnemonic = MNEMONICS[ours.mnemonic] as string;
  return { length, mnemonic, operands: ours.operands.slice(0, ours.operandCount).map(operandText) };
}

const theirMnemonics = new Map<number, string>(
  Object.entries(iced.Mnemonic).map(([name, value]) => [Number(value), name.toLowerCase()]),
);
const theirRegisters = new Map<number, string>();

function theirRegister(register: iced.Register): string {
  let text = theirRegisters.get(register);
  if (text === undefined) {
    text = describeRegister(register);
    theirRegisters.set(register, text);
  }
  return text;
}

function describeRegister(register: iced.Register): string {
  const name = String(iced.Register[register]);
  const number = iced.RegisterExt.number(register);
  const size = iced.RegisterExt.size(register);
  if (/^[ABCD]H$/.test(name)) return `high:${['AH', 'CH', 'DH', 'BH'].indexOf(name)}`;
  // iced counts AH to BH among the byte registers.
  if (iced.RegisterExt.isGPR(register)) return `r${size * 8}:${size === 1 && number >= 8 ? number - 4 : number}`;
  if (iced.RegisterExt.isVectorRegister(register)) return `v${size * 8}:${number}`;
  if (iced.RegisterExt.isSegmentRegister(register)) return `seg:${number}`;
  return `${name.replace(/\d+$/, '').toLowerCase()}:${number}`;
}

const { Register, OpKind } = iced;

function theirBase(): number {
  const base = theirs.memoryBase;
  if (base === Register.None) return -1;
  return base === Register.RIP || base === Register.EIP ? 16 : iced.RegisterExt.number(base);
}

function theirAddressSize(): number {
  const base = theirs.memoryBase;
  const index = theirs.memoryIndex;
  if (base === Register.RIP) return 8;
  if (base === Register.EIP) return 4;
  if (base !== Register.None) return iced.RegisterExt.size(base);
  const general = index !== Register.None && !iced.RegisterExt.isVectorRegister(index);
  return general ? iced.RegisterExt.size(index) : theirs.memoryDisplSize;
}

function theirMemory(mode: Mode): string {
  const base = theirBase();
  const index = theirs.memoryIndex;
  const vector = index !== Register.None && iced.RegisterExt.isVectorRegister(index);
  const number = index === Register.None ? '-1' : `${iced.RegisterExt.number(index)}`;
  const indexText = vector ? `v${iced.RegisterExt.size(index)}:${number}` : number;
  let segment = iced.RegisterExt.number(theirs.memorySegment);
  // iced keeps overrides that 64-bit mode ignores.
  if (mode === 64 && segment < 4) segment = base === 4 || base === 5 ? 2 : 3;
  const disp = BigInt.asUintN(64, theirs.memoryDisplacement).toString(16);
  const where = `${base},${indexText},${Math.log2(theirs.memoryIndexScale)},${disp}`;
  return `m${iced.MemorySizeExt.size(theirs.memorySize)}[${segment}:${where} a${theirAddressSize()}]`;
}

const IMMEDIATE_SIZES = new Map<number, number>([
  [OpKind.Immediate8, 1], [OpKind.Immediate8_2nd, 1], [OpKind.Immediate16, 2], [OpKind.Immediate32, 4],
  [OpKind.Immediate64, 8], [OpKind.Immediate8to16, 2], [OpKind.Immediate8to32, 4], [OpKind.Immediate8to64, 8],
  [OpKind.Immediate32to64, 8],
]);

function theirOperand(position: number, mode: Mode): string {
  const kind = theirs.opKind(position);
  const immediate = IMMEDIATE_SIZES.get(kind);
  if (immediate !== undefined) return `imm:${truncated(theirs.immediate(position), immediate)}`;
  switch (kind) {
    case OpKind.Register:
      return theirRegister(theirs.opRegister(position));
    case OpKind.Memory:
      return theirMemory(mode);
    case OpKind.FarBranch16:
      return `far:${theirs.farBranchSelector.toString(16)}:${theirs.farBranch16.toString(16)}`;
    case OpKind.FarBranch32:
      return `far:${theirs.farBranchSelector.toString(16)}:${theirs.farBranch32.toString(16)}`;
    case OpKind.NearBranch16:
    case OpKind.NearBranch32:
    case OpKind.NearBranch64:
      return `rel:${theirs.nearBranchTarget.toString(16)}`;
    default:
      return ''; // implicit memory
  }
}

function decodeTheirs(bytes: Uint8Array, mode: Mode): Decoded {
  const decoder = new iced.Decoder(mode, bytes, iced.DecoderOptions.None);
  decoder.ip = IP;
  decoder.decodeOut(theirs);
  decoder.free();
  if (theirs.isInvalid) return INVALID;
  const name = theirMnemonics.get(theirs.mnemonic) as string;
  const string = theirs.isStringInstruction;
  const mnemonic = string && (name === 'movsd' || name === 'cmpsd') ? `${name}_string` : name;
  const operands: string[] = [];
  for (let i = 0; i < theirs.opCount; i++) operands.push(theirOperand(i, mode));
  if (string || name === 'xlatb') operands.length = 0;
  return { length: theirs.length, mnemonic, operands: operands.filter((text) => text !== '') };
}

/** iced's features that this processor has: x86-64-v3, its system instructions, and the markers ENDBR32 and ENDBR64. */
const KNOWN_FEATURES: ReadonlySet<string> = new Set(
  `INTEL8086 INTEL8086_ONLY INTEL186 INTEL286 INTEL386 INTEL486 X64 FPU FPU287 FPU387 CMOV MMX SSE SSE2 SSE3 SSSE3 SSE4_1
   SSE4_2 AES PCLMULQDQ SHA AVX AVX2 FMA F16C BMI1 BMI2 LZCNT POPCNT MOVBE ADX CX8 CMPXCHG16B CPUID TSC MSR RDPMC RDTSCP
   RDPID RDRAND RDSEED FSGSBASE XSAVE XSAVEOPT XSAVEC XSAVES FXSR CLFSH CLFLUSHOPT CLWB INVPCID PKU SMAP VMX INVEPT INVVPID
   MONITOR SYSCALL SEP SMM PAUSE PREFETCHW PREFETCHWT1 MULTIBYTENOP CET_IBT`.split(/\s+/),
);

function known(): boolean {
  return Array.from(theirs.cpuidFeatures()).every((feature) => KNOWN_FEATURES.has(String(iced.CpuidFeature[feature])));
}

interface Difference {
  readonly why: string;
  applies(mine: Decoded, other: Decoded, mode: Mode): boolean;
}

const sameLength = (mine: Decoded, other: Decoded): boolean => mine.length === other.length;

const DIFFERENCES: readonly Difference[] = [
  {
    why: 'an instruction set extension that this processor does not have: #UD',
    applies: (mine, other) => mine === INVALID && other !== INVALID && !known(),
  },
  {
    why: 'hints of the reserved-NOP space (0F 0D, 0F 18 to 0F 1F), which without their feature are NOP r/m: CLDEMOTE, PREFETCHIT, RDSSP',
    applies: (mine, other) =>
      mine.mnemonic === 'nop' && sameLength(mine, other) && /^(?:reservednop|cldemote|prefetchit[01]|rdssp[dq])$/.test(other.mnemonic),
  },
  {
    why: 'WBNOINVD is WBINVD where CPUID does not report it',
    applies: (mine, other) => mine.mnemonic === 'wbinvd' && other.mnemonic === 'wbnoinvd' && sameLength(mine, other),
  },
  {
    why: 'SYSCALL and SYSRET are undefined outside 64-bit mode on Intel processors; AMD has them in legacy mode',
    applies: (mine, other, mode) => mine === INVALID && mode !== 64 && /^(?:syscall|sysret)$/.test(other.mnemonic),
  },
  {
    why: 'F3 REX.B 90 exchanges with R8 (seen so on a processor), iced calls it PAUSE',
    applies: (mine, other) => mine.mnemonic === 'xchg' && other.mnemonic === 'pause' && sameLength(mine, other),
  },
  {
    why: 'ARPL works on 16 bits whatever the operand size',
    applies: (mine, other) => mine.mnemonic === 'arpl' && other.mnemonic === 'arpl' && sameLength(mine, other),
  },
];

/** Forms that some byte string was decoded to. */
const seenForms = new Set<number>();
const unexplained: string[] = [];
let compared = 0;

function bytesText(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
}

function compare(bytes: Uint8Array, mode: Mode): void {
  compared++;
  const mine = decodeOurs(bytes, mode);
  if (mine !== INVALID) seenForms.add(ours.form);
  const other = decodeTheirs(bytes, mode);
  const mineText = `${mine.length} ${mine.mnemonic} ${mine.operands.join()}`;
  const otherText = `${other.length} ${other.mnemonic} ${other.operands.join()}`;
  if (mineText === otherText || DIFFERENCES.some((difference) => difference.applies(mine, other, mode))) return;
  if (unexplained.length < 20) unexplained.push(`${mode}: ${bytesText(bytes)}: ${mineText} | iced: ${otherText}`);
}

function finish(): void {
  expect(unexplained).toEqual([]);
  expect(compared).toBeGreaterThan(0);
}

const MODES: readonly Mode[] = [16, 32, 64];
/** So long that decode does not leave the instruction to its general path. */
const TAIL: readonly number[] = [0x24, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf1, 0x11, 0x22, 0x33, 0x44, 0x55];
/** Every ModRM.reg with memory and with a register; SIB, RIP-relative, 16-bit cases among them. */
const MODRMS: readonly number[] = [
  0x00, 0x0d, 0x54, 0x9c, 0x23, 0x6e, 0xb5, 0x3f, 0xc1, 0xc8, 0xd7, 0xde, 0xe4, 0xed, 0xf2, 0xfa, 0xfb,
];
const EVERY_MODRM: readonly number[] = Array.from({ length: 256 }, (_, i) => i);
const EVERY_OPCODE = EVERY_MODRM;
const PREFIXES: readonly (readonly number[])[] = [
  [], [0x66], [0xf3], [0xf2], [0x67], [0xf0], [0x66, 0xf3], [0x64], [0x2e], [0x48], [0x41], [0x66, 0x44], [0x66, 0x48],
  [0xf3, 0x4f], [0xf2, 0x48], [0x48, 0x66], [0xf2, 0x66, 0x42],
];

test('one-byte and 0F maps', { timeout: TIMEOUT }, () => {
  for (const mode of MODES) {
    for (const prefix of PREFIXES) {
      for (const map of [[], [0x0f]]) {
        for (const opcode of EVERY_OPCODE) {
          if (map.length === 0 && (opcode === 0xc4 || opcode === 0xc5)) continue;
          for (const modrm of prefix.length === 0 ? EVERY_MODRM : MODRMS) {
            compare(Uint8Array.from([...prefix, ...map, opcode, modrm, ...TAIL]), mode);
          }
        }
      }
    }
  }
  finish();
});

test('0F38 and 0F3A maps', { timeout: TIMEOUT }, () => {
  for (const mode of MODES) {
    for (const prefix of PREFIXES) {
      for (const map of [0x38, 0x3a]) {
        for (const opcode of EVERY_OPCODE) {
          for (const modrm of MODRMS) compare(Uint8Array.from([...prefix, 0x0f, map, opcode, modrm, ...TAIL]), mode);
        }
      }
    }
  }
  finish();
});

/** Payloads of C4: map byte, then W vvvv L pp. */
const VEX_MAPS: readonly number[] = [0xe1, 0xe2, 0xe3, 0x42, 0xe4];
const VEX_FIELDS: readonly number[] = [
  0x78, 0x79, 0x7a, 0x7b, 0x7c, 0x7d, 0x7e, 0x7f, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff, 0x21, 0x65,
];

test('VEX maps', { timeout: TIMEOUT }, () => {
  for (const mode of MODES) {
    for (const opcode of EVERY_OPCODE) {
      for (const modrm of MODRMS) {
        for (const fields of VEX_FIELDS) {
          compare(Uint8Array.from([0xc5, fields, opcode, modrm, ...TAIL]), mode);
          for (const map of VEX_MAPS) compare(Uint8Array.from([0xc4, map, fields, opcode, modrm, ...TAIL]), mode);
        }
      }
    }
  }
  for (const mode of MODES) {
    for (const prefix of [0x66, 0xf3, 0xf2, 0xf0, 0x48, 0x67, 0x65]) {
      for (const escape of [0xc4, 0xc5]) {
        for (const first of EVERY_MODRM) compare(Uint8Array.from([prefix, escape, first, 0x79, 0x58, 0xc1, ...TAIL]), mode);
      }
    }
  }
  finish();
});

test('every form was decoded', () => {
  const missing = forms().filter((form) => !seenForms.has(form.index));
  expect(missing.map((form) => `${form.row.opcode.toString(16)} ${form.key}`)).toEqual([]);
});

/** A small generator, so that a failure can be had again. */
function xorshift(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

test(`${ROUNDS} random byte strings`, { timeout: TIMEOUT }, () => {
  const random = xorshift(0x2545f491);
  const lead = [0x66, 0xf2, 0xf3, 0x67, 0x48, 0x0f, 0x0f, 0xc4, 0xc5, 0xf0, 0x41, 0x64];
  for (let round = 0; round < ROUNDS; round++) {
    const bytes = new Uint8Array(1 + (random() % 28));
    for (let i = 0; i < bytes.length; i++) bytes[i] = random() >>> 11;
    for (let i = 0; i < random() % 4 && i < bytes.length; i++) bytes[i] = lead[random() % lead.length] as number;
    compare(bytes, MODES[random() % 3] as Mode);
  }
  finish();
});
