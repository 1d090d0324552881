/**
 * The states that the system under us gives a program at all. A kernel without IA-32 emulation has no 32-bit code, and one that
 * runs without hardware virtualization itself may refuse to return to a stack pointer that is not canonical: there even NOP
 * faults, which says nothing about the instruction in its place.
 */
import { type Form, forms, RC_SEG } from '@vm/cpu/decode';
import { CODE, CODE_START } from './address-space.ts';
import type { Mode } from './generate/encode.ts';
import { isFar } from './generate/far.ts';
import { makeCase } from './generate/make-case.ts';
import { CASE_STEP, type RunNative, type TestCase } from './records.ts';
import * as S from './state.ts';

export const MODES = [64, 32, 16] as const;

const NOP = 0x90;
const PROBES = 20;

/** NOP in the state and the memory of a case. */
export function nopIn(test: TestCase): TestCase {
  const state = test.state.copy();
  state.set(S.RIP, BigInt(CODE_START - (test.mode === 16 ? CODE : 0)));
  return { ...test, state, code: Uint8Array.of(NOP), codeAddress: CODE_START, flags: test.flags & ~CASE_STEP };
}

/** Which of the cases begin in a state that can be had. */
export function reachable(cases: readonly TestCase[], native: RunNative): boolean[] {
  return native(cases.map(nopIn)).map((result) => typeof result !== 'string' && result.vector === -1);
}

/** Which of the cases keep the bases of FS and GS that the states give: some systems don't let a program have any that it may write. */
export function keepBases(cases: readonly TestCase[], states: readonly S.State[], native: RunNative): boolean[] {
  const probes = cases.map((test, i) => {
    const probe = nopIn(test);
    for (const base of [S.FS_BASE, S.GS_BASE]) probe.state.set(base, states[i]!.get(base));
    return probe;
  });
  return native(probes).map((result, i) => typeof result !== 'string' && [S.FS_BASE, S.GS_BASE].every((base) => result.state.get(base) === states[i]!.get(base)));
}

/** Whether what it does depends on descriptors, of which a system without 32-bit code has not the model's. */
function readsDescriptors(form: Form): boolean {
  const loads = /^(mov|pop)$/.test(form.mnemonic) && form.operands[0]!.regClass === RC_SEG;
  return loads || isFar(form) || /^(lar|lsl|verr|verw|lds|les|lfs|lgs|lss)$/.test(form.mnemonic);
}

/** Whether the form can be tried where these modes can be had. */
export function isReachable(form: Form, mode: Mode, modes: readonly Mode[]): boolean {
  return modes.includes(mode) && (modes.includes(32) || !readsDescriptors(form));
}

/** The modes in which most states can be had. One probe at a time: what does not survive them should not cost much. */
export function reachableModes(native: RunNative): Mode[] {
  const nop = forms().find(({ mnemonic, row }) => mnemonic === 'nop' && row.map === 0)!;
  return MODES.filter((mode) => {
    const probes = Array.from({ length: PROBES }, (_, n) => makeCase(nop, mode, n)).filter((test) => test !== null);
    return reachable(probes, native).filter(Boolean).length > probes.length / 2;
  });
}
