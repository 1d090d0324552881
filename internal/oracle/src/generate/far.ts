/** Far JMP, CALL, RET and IRET between Linux's code segments and those of the local table, and to selectors that are none. */
import { type Form, type Instruction, OP_FAR, OP_MEM } from '@vm/cpu/decode';
import { CODE, CODE_RX, CPUNODE, DATA, DATA_RW, DATA_RW_LENGTH, local, STACK, STACK_LENGTH, USER32_CS, USER_CS, USER_DS } from '../address-space.ts';
import { segmentOf } from '../descriptors.ts';
import type { Random } from '../random.ts';
import type { Patch } from '../records.ts';
import * as S from '../state.ts';
import type { Encoded, Mode } from './encode.ts';
import { stackPointer } from './implicit.ts';

const CODE_SEGMENTS: readonly number[] = [USER_CS, USER32_CS, local('code32'), local('code16'), local('smallCode'), local('executeOnly')];
/** Data, descriptors that are not present, Linux's own, null, and what no table has. */
const OTHERS: readonly number[] = [
  USER_DS, local('data16'), local('absentData'), local('absentCode'), local('absentConforming'), CPUNODE, 0x08, 0x10, 0x13, 0, 1, 3, 0xfff8, 0xffff, 0x7ff3,
];
const STACKS: readonly number[] = [USER_DS, local('data32'), local('wide16')];
const OTHER_STACKS: readonly number[] = [0, 3, USER_CS, USER_DS & ~3, local('readOnly'), local('absentData'), local('code32'), 0x18, 0xfff8];
/** IRET's flags: not TF, which would stop the harness again. */
const FLAGS = 0x3f_fed7;

export function isFar(form: Form): boolean {
  return /^(retf|iret[dq]?)$/.test(form.mnemonic) || form.operands.some(({ kind }) => kind === 'far') || (/^(jmp|call)$/.test(form.mnemonic) && form.operands[0]!.far);
}

/** A call from a 16-bit stack into 64-bit code: whether the stack still has a base is open, and AMD's processors can loop in it. */
function selector(form: Form, mode: Mode, random: Random): number {
  if (random.oneIn(4)) return random.pick(OTHERS);
  const code = random.pick(CODE_SEGMENTS);
  if (form.mnemonic === 'call' && mode === 16 && code === USER_CS) return USER32_CS;
  return code & (random.oneIn(12) ? ~random.below(4) : -1);
}

/** An offset at which there is code in the segment, or beyond it. */
function offset(to: number, size: number, random: Random): bigint {
  const { base } = segmentOf(to);
  if (random.oneIn(12)) return random.u64() >> BigInt(random.below(64));
  const place = BigInt((base === CODE ? CODE_RX - CODE : CODE_RX) + 0x100 + random.below(0x1e00));
  return size === 8 && random.oneIn(20) ? place ^ (1n << 60n) : place;
}

/** Elements of `size` bytes one behind the other. */
function elements(size: number, values: readonly bigint[]): Uint8Array {
  const bytes = new Uint8Array(size * values.length);
  values.forEach((value, i) => { for (let b = 0; b < size; b++) bytes[i * size + b] = Number((value >> BigInt(b * 8)) & 0xffn); });
  return bytes;
}

function pointerBytes(form: Form, mode: Mode, size: number, random: Random): Uint8Array {
  const to = selector(form, mode, random);
  return Uint8Array.from([...elements(size, [offset(to, size, random)]), to & 0xff, to >> 8]);
}

/** What RET and IRET find on the stack. */
function frame(form: Form, ins: Instruction, mode: Mode, random: Random): Uint8Array {
  const size = ins.operandSize;
  const to = selector(form, mode, random);
  const values = [offset(to, size, random), BigInt(to)];
  if (form.mnemonic !== 'retf') {
    values.push(BigInt(random.next() & FLAGS));
    if (mode === 64) values.push(stackPointer(64, random), BigInt(random.oneIn(5) ? random.pick(OTHER_STACKS) : random.pick(STACKS)));
  }
  return elements(size, values);
}

/** The part of a patch that lies in a region which can be written. */
function within(address: number, bytes: Uint8Array): Patch[] {
  const region = [[DATA_RW, DATA_RW + DATA_RW_LENGTH], [STACK, STACK + STACK_LENGTH]].find(([from, to]) => address >= from! && address < to!);
  return region ? [{ address, bytes: Uint8Array.from(bytes.subarray(0, region[1]! - address)) }] : [];
}

/** Puts a far pointer or a frame where the instruction finds it: in its bytes, at its memory operand (`target`), on the stack. */
export function aimFar(form: Form, mode: Mode, { ins, immAt }: Encoded, code: Uint8Array, state: S.State, target: number, random: Random): Patch[] {
  const first = ins.operandCount > 0 ? ins.operands[0].kind : -1;
  if (first === OP_FAR) {
    code.set(pointerBytes(form, mode, ins.operandSize, random), immAt);
    return [];
  }
  if (first === OP_MEM) return within(target, pointerBytes(form, mode, ins.operandSize, random));
  return within(Number(state.gpr(S.RSP)) + (mode === 16 ? DATA : 0), frame(form, ins, mode, random));
}
