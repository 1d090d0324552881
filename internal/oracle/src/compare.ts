/** What the model did beside what the processor did. */
import { codeView, decode, type Form, Instruction } from '@vm/cpu/decode';
import { local, USER_CS } from './address-space.ts';
import { allowance } from './differences.ts';
import type { CaseResult, Difference, TestCase } from './records.ts';
import * as S from './state.ts';
import { undefinedFlags } from './undefined-flags.ts';

const COMPARED_FLAGS = S.FLAGS_ARITHMETIC | S.FLAG_DF | S.FLAG_AC | 0x20_4200;
const PAGE_FAULT = 14;
const SEGMENT_NAMES = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'];

const hex = (value: bigint | number): string => value.toString(16);

function vectorText(state: S.State, i: number): string {
  const { view } = state;
  return [S.YMM_HIGH + i * 16 + 8, S.YMM_HIGH + i * 16, S.XMM + i * 16 + 8, S.XMM + i * 16]
    .map((at) => view.getBigUint64(at, true).toString(16).padStart(16, '0')).join('_');
}

function stText(state: S.State, i: number): string {
  return `${hex(state.view.getUint16(S.ST + i * 16 + 8, true))}:${hex(state.view.getBigUint64(S.ST + i * 16, true))}`;
}

/** Instructions that store the x87 environment: FIP, FCS, FDP, FDS and FOP are not compared. */
const ENVIRONMENT = /^(fnstenv|fnsave|fxsave)/;

function memoryText(list: readonly Difference[]): string {
  return list.toSorted((a, b) => a.address - b.address).map(({ address, low, high }) => `${hex(address)}=${hex(high >>> 0)}_${hex(low >>> 0)}`).join(' ');
}

/** On the way to the harness's handler, IRET makes all null selectors zero. */
function selectorText(state: S.State, segment: number): string {
  const selector = state.selector(segment);
  return selector < 4 ? 'null' : hex(selector);
}

/** What differs, as text, or null. */
export function compare(form: Form, test: TestCase, ours: CaseResult, theirs: CaseResult): string | null {
  const ins = new Instruction();
  const length = decode(codeView(test.code), 0, test.code.length, test.mode, ins);
  const found = differences(form, ins, length > 0, test, ours, theirs);
  if (found.length === 0) return null;
  if (allowance({ form, ins, test, ours, theirs, differing: found.map((text) => text.slice(0, text.indexOf(' '))) }) !== null) return null;
  const left = differences(form, ins, length > 0, test, ours, theirs);
  return left.length === 0 ? null : left.join('; ');
}

function differences(form: Form, ins: Instruction, valid: boolean, test: TestCase, ours: CaseResult, theirs: CaseResult): string[] {
  const found: string[] = [];
  const check = (name: string, a: string, b: string): void => {
    if (a !== b) found.push(`${name} ${a}, the processor has ${b}`);
  };
  const faultText = (r: CaseResult): string => (r.vector < 0 ? 'none' : `${r.vector}(${hex(r.error)})${r.vector === PAGE_FAULT ? `@${hex(r.cr2)}` : ''}`);
  check('fault', faultText(ours), faultText(theirs));
  const [a, b] = [ours.state, theirs.state];
  const narrowStack = test.mode === 16 && test.state.selector(S.SS) === local('data16');
  // Where 64-bit mode was left, the upper halves of registers are undefined (SDM vol. 1, 3.4.1.1); on the way to the handler RSP's goes.
  const leftLong = test.mode === 64 && a.selector(S.CS) !== USER_CS;
  for (let r = 0; r < 16; r++) {
    // The rest of ESP is the kernel's (espfix).
    const mask = r === S.RSP && narrowStack ? 0xffffn : r === S.RSP && leftLong ? 0xffff_ffffn : -1n;
    check(S.GPR_NAMES[r]!, hex(a.gpr(r) & mask), hex(b.gpr(r) & mask));
  }
  check('rip', hex(a.get(S.RIP)), hex(b.get(S.RIP)));
  const open = valid && ours.vector < 0 ? undefinedFlags(form, ins, test.state) : 0;
  const flags = (s: S.State): string => hex(Number(s.get(S.RFLAGS) & 0xffff_ffffn) & COMPARED_FLAGS & ~open);
  check('flags', flags(a), flags(b));
  for (let s = 0; s < 6; s++) check(SEGMENT_NAMES[s]!, selectorText(a, s), selectorText(b, s));
  if (test.mode === 64) for (const [name, at] of [['fs_base', S.FS_BASE], ['gs_base', S.GS_BASE]] as const) check(name, hex(a.get(at)), hex(b.get(at)));
  check('fcw', hex(a.view.getUint16(S.FCW, true)), hex(b.view.getUint16(S.FCW, true)));
  check('fsw', hex(a.view.getUint16(S.FSW, true)), hex(b.view.getUint16(S.FSW, true)));
  check('ftw', hex(a.view.getUint8(S.FTW)), hex(b.view.getUint8(S.FTW)));
  check('mxcsr', hex(a.view.getUint32(S.MXCSR, true)), hex(b.view.getUint32(S.MXCSR, true)));
  for (let i = 0; i < 8; i++) check(`st${i}`, stText(a, i), stText(b, i));
  for (let i = 0; i < 16; i++) check(`ymm${i}`, vectorText(a, i), vectorText(b, i));
  if (!ENVIRONMENT.test(form.mnemonic)) check('memory', memoryText(ours.differences), memoryText(theirs.differences));
  return found;
}
