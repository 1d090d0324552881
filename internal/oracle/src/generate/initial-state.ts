/** The state that cases start from, before their operands are placed. */
import { DATA_RW, local, USER32_CS, USER_CS, USER_DS } from '../address-space.ts';
import type { Random } from '../random.ts';
import * as S from '../state.ts';
import type { Mode } from './encode.ts';
import { extended, integer, quadword } from './values.ts';

const MXCSR_DEFAULT = 0x1f80;
const FCW_DEFAULT = 0x37f;
/** Data segments of 32-bit code besides the flat one. */
const DATA_SEGMENTS = ['data32', 'small', 'down32', 'readOnly', 'odd', 'downPages', 'data16', 'high'] as const;

export interface StateOptions {
  readonly mode: Mode;
  /** Random x87 registers and words. */
  readonly x87: boolean;
  /** x87 registers as MMX instructions use them. */
  readonly mmx: boolean;
  readonly vector: boolean;
}

export function initialState({ mode, x87, mmx, vector }: StateOptions, random: Random): S.State {
  const state = new S.State();
  const registers = mode === 64 ? 16 : 8;
  for (let r = 0; r < registers; r++) state.setGpr(r, mode === 64 ? integer(random) : BigInt.asUintN(32, integer(random)));
  let flags = BigInt(random.next() & S.FLAGS_ARITHMETIC) | 0x202n;
  if (random.oneIn(3)) flags |= BigInt(S.FLAG_DF);
  if (random.oneIn(30)) flags |= BigInt(S.FLAG_AC);
  state.set(S.RFLAGS, flags);
  setSegments(state, mode, random);
  setX87(state, x87, mmx, random);
  setVectors(state, mode, vector, random);
  return state;
}

function setSegments(state: S.State, mode: Mode, random: Random): void {
  if (mode === 16) {
    for (const segment of [S.ES, S.SS, S.DS, S.FS, S.GS]) state.setSelector(segment, local('data16'));
    if (random.oneIn(2)) state.setSelector(S.SS, local('wide16'));
    state.setSelector(S.CS, local('code16'));
    return;
  }
  state.setSelector(S.CS, mode === 64 ? USER_CS : random.oneIn(2) ? USER32_CS : local('code32'));
  state.setSelector(S.SS, USER_DS);
  if (mode === 64) {
    const base = (): bigint => random.pick([0n, BigInt(DATA_RW), 0x1000n, 0xffff_ffff_f000_0000n & 0x7fff_ffff_ffffn, 0x7fn]);
    state.set(S.FS_BASE, base());
    state.set(S.GS_BASE, base());
    return;
  }
  for (const segment of [S.ES, S.DS, S.FS, S.GS]) {
    const usual = segment === S.DS || segment === S.ES ? !random.oneIn(12) : !random.oneIn(3);
    state.setSelector(segment, usual ? USER_DS : random.oneIn(8) ? 0 : local(random.pick(DATA_SEGMENTS)));
  }
}

function setX87(state: S.State, x87: boolean, mmx: boolean, random: Random): void {
  const { view } = state;
  view.setUint16(S.FCW, FCW_DEFAULT, true);
  if (!x87 && !mmx) return;
  const precision = random.pick([0, 2, 3, 3]) << 8;
  const control = 0x40 | (random.oneIn(3) ? random.below(64) : 63) | precision | (random.below(4) << 10);
  view.setUint16(S.FCW, x87 ? control : FCW_DEFAULT, true);
  const top = random.below(8);
  const exceptions = random.oneIn(12) ? random.below(64) : random.oneIn(2) ? random.below(64) & control : 0;
  const pending = exceptions & ~control & 63 ? 0x8080 : 0;
  const conditions = random.next() & 0x4700;
  const stackFault = exceptions & 1 && random.oneIn(2) ? 0x40 : 0;
  if (x87) view.setUint16(S.FSW, (top << 11) | conditions | exceptions | pending | stackFault, true);
  else view.setUint16(S.FSW, (top << 11) | conditions, true);
  view.setUint8(S.FTW, random.oneIn(3) ? random.below(256) : 255);
  for (let i = 0; i < 8; i++) {
    const [significand, exponent] = mmx && random.oneIn(2) ? [quadword(random), 0xffff] as const : extended(random);
    view.setBigUint64(S.ST + i * 16, significand, true);
    view.setUint16(S.ST + i * 16 + 8, exponent, true);
  }
}

function setVectors(state: S.State, mode: Mode, vector: boolean, random: Random): void {
  const { view } = state;
  view.setUint32(S.MXCSR, MXCSR_DEFAULT, true);
  if (!vector) return;
  const masks = random.oneIn(4) ? random.below(64) << 7 : 0x1f80;
  const modes = random.oneIn(3) ? random.pick([0, 0x40, 0x8000, 0x8040]) : 0;
  view.setUint32(S.MXCSR, masks | modes | (random.oneIn(2) ? random.below(4) << 13 : 0) | (random.oneIn(3) ? random.below(64) : 0x20), true);
  const count = mode === 64 ? 16 : 8;
  for (let i = 0; i < count * 2; i++) {
    view.setBigUint64(S.XMM + i * 8, quadword(random), true);
    view.setBigUint64(S.YMM_HIGH + i * 8, quadword(random), true);
  }
  if (random.oneIn(4)) state.bytes.copyWithin(S.XMM + 16, S.XMM, S.XMM + 16);
}
