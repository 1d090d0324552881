/** What instructions reach without naming it: pointers in registers, counts, pairs that are compared, return addresses. */
import { CODE, CODE_RX, DATA, DATA_RW, STACK, STACK_LENGTH } from '../address-space.ts';
import type { Random } from '../random.ts';
import { RAX, RBP, RBX, RCX, RDI, RDX, RSI, RSP, type State } from '../state.ts';
import type { Mode } from './encode.ts';
import { integer } from './values.ts';

interface Rule {
  readonly mnemonics: RegExp;
  readonly set: (state: State, mode: Mode, random: Random) => void;
}

/** An address as an offset in the mode's usual segments. */
export function offset(mode: Mode, linear: number): bigint {
  return BigInt(mode === 16 ? linear - DATA : linear);
}

/** Offset of a place to jump to. */
export function codeOffset(mode: Mode, random: Random): bigint {
  return BigInt(CODE_RX + 0x100 + random.below(0x1e00) - (mode === 16 ? CODE : 0));
}

function pointer(mode: Mode, random: Random): bigint {
  return offset(mode, DATA_RW + 0x800 + random.below(0x800));
}

/** A stack pointer with room on both sides. */
export function stackPointer(mode: Mode, random: Random): bigint {
  const misaligned = random.oneIn(6) ? random.below(8) : 0;
  const edge = random.oneIn(40) ? random.pick([0, 8, 2, STACK_LENGTH - 8, STACK_LENGTH - 2]) : 0x800 + random.below(0x100) * 8;
  return offset(mode, STACK + edge + misaligned);
}

const RULES: readonly Rule[] = [
  {
    mnemonics: /^(movs|stos|lods|scas|cmps|ins|outs)[bwdq](_string)?$/,
    set: (state, mode, random) => {
      state.setGpr(RSI, pointer(mode, random));
      state.setGpr(RDI, pointer(mode, random));
      state.setGpr(RCX, BigInt(random.below(random.oneIn(4) ? 60 : 6)));
    },
  },
  { mnemonics: /maskmov(q|dqu)$/, set: (state, mode, random) => state.setGpr(RDI, pointer(mode, random)) },
  { mnemonics: /^xlatb$/, set: (state, mode, random) => state.setGpr(RBX, pointer(mode, random)) },
  { mnemonics: /^(leave|enter)$/, set: (state, mode, random) => state.setGpr(RBP, stackPointer(mode, random)) },
  {
    mnemonics: /^i?div$/,
    set: (state, mode, random) => {
      const sign = random.below(3);
      const width = mode === 64 ? 64 : 32;
      if (sign < 2) state.setGpr(RDX, sign === 0 ? BigInt(random.below(3)) : BigInt.asUintN(width, -1n));
      if (random.oneIn(2)) state.setGpr(RAX, BigInt.asUintN(width, BigInt(random.below(0x7fff) - 0x3fff)));
    },
  },
  {
    mnemonics: /cmp[ei]str/,
    set: (state, mode, random) => {
      const width = mode === 64 ? 64 : 32;
      state.setGpr(RAX, BigInt.asUintN(width, BigInt(random.below(40) - 20)));
      state.setGpr(RDX, BigInt.asUintN(width, random.oneIn(4) ? integer(random) : BigInt(random.below(40) - 20)));
    },
  },
  { mnemonics: /^(loop|j.*cxz)/, set: (state, _mode, random) => { if (random.oneIn(2)) state.setGpr(RCX, BigInt(random.below(3))); } },
];

export function setImplicit(mnemonic: string, state: State, mode: Mode, random: Random): void {
  state.setGpr(RSP, stackPointer(mode, random));
  for (const rule of RULES) if (rule.mnemonics.test(mnemonic)) rule.set(state, mode, random);
}
