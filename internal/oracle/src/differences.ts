/**
 * Where processors may differ without one of them being wrong: results that the manual leaves open, or that AMD's manual
 * (the machine at hand is an AMD64 one) says otherwise than Intel's, which the model follows. Each with its reason.
 */
import { type Form, type Instruction, RC_SEG } from '@vm/cpu/decode';
import type { CaseResult, TestCase } from './records.ts';
import * as S from './state.ts';

export interface Comparison {
  readonly form: Form;
  readonly ins: Instruction;
  readonly test: TestCase;
  readonly ours: CaseResult;
  readonly theirs: CaseResult;
  /** Names of what differs. */
  readonly differing: readonly string[];
}

interface Allowance {
  readonly name: string;
  readonly reason: string;
  /** Whether it explains all that differs; may make `ours` equal in the part that it explains. */
  readonly explains: (c: Comparison) => boolean;
}

/** Single-precision approximations that are near enough to each other are taken over. */
function takeApproximations({ ours, theirs }: Comparison): boolean {
  for (const [from, to] of [[S.XMM, S.XMM + 256], [S.YMM_HIGH, S.YMM_HIGH + 256]] as const) {
    for (let at = from; at < to; at += 4) {
      const [a, b] = [ours.state.view.getFloat32(at, true), theirs.state.view.getFloat32(at, true)];
      if (Math.abs(a - b) <= Math.abs(b) * 2 ** -11) ours.state.view.setUint32(at, theirs.state.view.getUint32(at, true), true);
    }
  }
  return false;
}

/** Transcendental results within one unit in the last place are taken over, with the flags that rounding sets. */
function takeLastPlace({ ours, theirs }: Comparison): boolean {
  for (let at = S.ST; at < S.ST + 128; at += 16) {
    const [a, b] = [ours.state.view, theirs.state.view].map((v) => (BigInt(v.getUint16(at + 8, true)) << 64n) | v.getBigUint64(at, true)) as [bigint, bigint];
    const distance = a > b ? a - b : b - a;
    if (distance !== 0n && distance <= 2n) ours.state.bytes.set(theirs.state.bytes.subarray(at, at + 10), at);
  }
  const rounding = 0x0220; // C1 and PE
  const merged = (ours.state.view.getUint16(S.FSW, true) & ~rounding) | (theirs.state.view.getUint16(S.FSW, true) & rounding);
  ours.state.view.setUint16(S.FSW, merged, true);
  return false;
}

function doubleShiftCount({ form, ins, test }: Comparison): number {
  return (form.operands[2]!.kind === 'imm' ? ins.immLo : Number(test.state.gpr(S.RCX) & 0xffn)) & 31;
}

/** Whether nothing else differs. */
function only({ differing }: Comparison, ...names: readonly string[]): boolean {
  return differing.every((name) => names.includes(name));
}

function near(a: bigint, b: bigint): boolean {
  return a - b < 4096n && b - a < 4096n;
}

/** Whether ST(0) is too large in magnitude: its exponent beyond that of the range. */
function outOfRange(state: S.State, exponent: number): boolean {
  return (state.view.getUint16(S.ST + 8, true) & 0x7fff) >= exponent;
}

function larAgrees({ ours, theirs, ins }: Comparison): boolean {
  const register = ins.operands[0].reg;
  return ((ours.state.gpr(register) ^ theirs.state.gpr(register)) & ~0xf0000n) === 0n;
}

export const ALLOWANCES: readonly Allowance[] = [
  {
    name: 'approximation',
    reason: 'RCPPS, RSQRTPS and their kin may err by 1.5 * 2^-12 (SDM vol. 2B)',
    explains: (c) => /^v?(rcp|rsqrt)[ps]s$/.test(c.form.mnemonic) && takeApproximations(c),
  },
  {
    name: 'double-shift',
    reason: 'SHLD and SHRD by more than the operand has bits: the result is undefined (SDM vol. 2B, SHLD)',
    explains: (c) => /^sh[lr]d$/.test(c.form.mnemonic) && c.form.operands[0]!.size === 2 && doubleShiftCount(c) > 16,
  },
  {
    name: 'prefetch-register',
    reason: 'AMD raises #UD for 0F 0D with a register (APM vol. 3, PREFETCH); to Intel it is a reserved NOP',
    explains: (c) => c.form.row.map === 1 && c.form.row.opcode === 0x0d && c.theirs.vector === 6,
  },
  {
    name: 'push-segment',
    reason: 'a 32-bit push of a segment register writes two bytes or zero-extends (SDM vol. 2B, PUSH)',
    explains: (c) => c.form.mnemonic === 'push' && c.form.operands[0]!.regClass === RC_SEG && c.form.operandSize > 2 && (only(c, 'memory') || [12, 14, 17].includes(c.theirs.vector)),
  },
  {
    name: 'cmpxchg-upper',
    reason: 'AMD leaves the destination register of CMPXCHG alone when it is not equal; Intel writes it back, zero-extended (SDM vol. 2A, CMPXCHG)',
    explains: (c) => c.form.mnemonic === 'cmpxchg' && c.form.operands[0]!.kind === 'reg' && c.form.operands[0]!.size === 4,
  },
  {
    name: 'far-pointer-64',
    reason: 'AMD takes LSS, LFS, LGS and far JMP and CALL with REX.W as those with a 32-bit offset (APM vol. 3, LFS, JMP far)',
    explains: (c) => (/^l[sfg]s$/.test(c.form.mnemonic) || c.form.operands[0]?.far === true) && c.form.operandSize === 8,
  },
  {
    name: 'retf-inner',
    reason: 'RETF and IRET to an inner level: AMD reads the outer stack pointer before it checks the level (SDM vol. 2B, RET: #GP comes first)',
    explains: (c) => /^(retf|iret)/.test(c.form.mnemonic) && c.ours.vector === 13 && [12, 14, 17].includes(c.theirs.vector),
  },
  {
    name: 'iret-canonical',
    reason: 'AMD checks that RIP is canonical behind the segments; to Intel it comes first (SDM vol. 2A, IRET, IA-32e-MODE-RETURN)',
    explains: (c) => c.form.mnemonic.startsWith('iret') && c.test.mode === 64 && c.ours.vector === 13 && c.ours.error === 0 && [11, 12, 13].includes(c.theirs.vector),
  },
  {
    name: 'far-call-stack',
    reason: 'a far CALL between 64-bit and other code: whether its pushes have the old or the new width of addresses is open; AMD takes the new one',
    explains: (c) => c.form.mnemonic === 'call' && c.form.operands[0]!.far && [12, 14].includes(c.ours.vector) && [-1, 12, 14].includes(c.theirs.vector),
  },
  {
    name: 'far-call-pushed',
    reason: 'AMD checks the offset that a far CALL goes to behind its pushes (SDM vol. 2A, CALL: before them)',
    explains: (c) => c.form.mnemonic === 'call' && c.ours.vector === 13 && c.theirs.vector === 13 && c.ours.error === 0 && c.theirs.error === 0 && only(c, 'memory'),
  },
  {
    name: 'fault-address',
    reason: 'the order in which the parts of a long operand are reached is open: another address of the same operand',
    explains: (c) => c.ours.vector === 14 && c.theirs.vector === 14 && c.ours.error === c.theirs.error && near(c.ours.cr2, c.theirs.cr2),
  },
  {
    name: 'x87-conditions',
    reason: 'FFREE leaves C0 to C3 undefined; AMD keeps C1 in FCOMI and its kin, which Intel clears (SDM vol. 2A, FFREE, FCOMI)',
    explains: (c) => /^(ffree|fu?comip?)$/.test(c.form.mnemonic) && only(c, 'fsw') && ((c.ours.state.view.getUint16(S.FSW, true) ^ c.theirs.state.view.getUint16(S.FSW, true)) & ~0x4700) === 0,
  },
  {
    name: 'fyl2xp1-range',
    reason: 'FYL2XP1 and F2XM1 are undefined outside their range (SDM vol. 2A)',
    explains: (c) => (c.form.mnemonic === 'fyl2xp1' && outOfRange(c.test.state, 0x3ffd)) || (c.form.mnemonic === 'f2xm1' && outOfRange(c.test.state, 0x3fff)),
  },
  {
    name: 'mmx-before-xm',
    reason: 'whether an MMX instruction that faults in its SSE or memory part has made the registers MMX ones is open',
    explains: (c) => /^(cvtt?p[sd]2pi|cvtpi2p[sd]|maskmovq)$/.test(c.form.mnemonic) && c.ours.vector >= 0 && c.ours.vector === c.theirs.vector,
  },
  {
    name: 'sha-alignment',
    reason: 'AMD takes misaligned memory for SHA instructions; Intel raises #GP (SDM vol. 2, exceptions type 4)',
    explains: (c) => c.form.mnemonic.startsWith('sha') && c.ours.vector === 13,
  },
  {
    name: 'fxsave-alignment',
    reason: 'a misaligned FXSAVE or FXRSTOR raises #AC or #GP where #AC is enabled (SDM vol. 2A, FXSAVE)',
    explains: (c) => /^fx(save|rstor)/.test(c.form.mnemonic) && c.ours.vector === 13 && c.theirs.vector === 17,
  },
  {
    name: 'call-target-first',
    reason: 'CALL to an address that is not canonical: the model checks the target before the stack, as in the pseudo-code of SDM vol. 2A, CALL',
    explains: (c) => c.form.mnemonic === 'call' && c.ours.vector === 13 && [12, 14, 17].includes(c.theirs.vector),
  },
  {
    name: 'arpl-write',
    reason: 'the model checks that the segment can be written even where ARPL changes nothing',
    explains: (c) => c.form.mnemonic === 'arpl' && c.ours.vector === 13,
  },
  {
    name: 'vaes-256',
    reason: 'the machine has VAES and VPCLMULQDQ of 256 bits, which x86-64-v3 does not have and the model does not offer',
    explains: (c) => /^v(aes|pclmul)/.test(c.form.mnemonic) && c.ours.vector === 6,
  },
  {
    name: 'vex-w-legacy',
    reason: 'outside 64-bit mode VEX.W is ignored by VPEXTRD and VPINSRD (SDM vol. 2B, note 1 to VPEXTRD), not by AMD',
    explains: (c) => c.test.mode !== 64 && /^vp(extr|insr)[dq]$/.test(c.form.mnemonic) && c.theirs.vector === 6,
  },
  {
    name: 'vpermq-w',
    reason: 'AMD ignores VEX.W of VPERMQ and VPERMPD; to Intel W0 is undefined (SDM vol. 2C, VPERMQ)',
    explains: (c) => /^vperm(q|pd)$/.test(c.form.mnemonic) && c.ours.vector === 6,
  },
  {
    name: 'movsxd-16',
    reason: 'AMD reads four bytes of memory for MOVSXD with a 16-bit destination (APM vol. 3); Intel two (SDM vol. 2B, MOVSX)',
    explains: (c) => c.form.mnemonic === 'movsxd' && c.form.operands[0]!.size === 2,
  },
  {
    name: 'fld-denormal',
    reason: 'AMD pushes a denormal although that exception is unmasked; to Intel TOP and registers stay (SDM vol. 1, 8.5.2)',
    explains: (c) => c.form.mnemonic === 'fld' && (c.theirs.state.view.getUint16(S.FSW, true) & ~c.test.state.view.getUint16(S.FCW, true) & 2) !== 0,
  },
  {
    name: 'maskmov-faults',
    reason: 'MASKMOVQ and MASKMOVDQU may check alignment, and pages with a mask of zeros, or not (SDM vol. 2B, MASKMOVQ)',
    explains: (c) => /^v?maskmov(q|dqu)$/.test(c.form.mnemonic) && [14, 17].includes(Math.max(c.ours.vector, c.theirs.vector)),
  },
  {
    name: 'kernel-address',
    reason: 'what lies in the upper half of the address space is the kernel\'s, present or not',
    explains: (c) => c.ours.vector === 14 && c.theirs.vector === 14 && c.theirs.cr2 >> 63n === 1n,
  },
  {
    name: 'mxcsr-mm',
    reason: 'AMD has MXCSR.MM (bit 17), misaligned SSE operands; to Intel the bit is reserved and raises #GP (SDM vol. 1, 10.2.3)',
    explains: (c) => /^(fxrstor|v?ldmxcsr)/.test(c.form.mnemonic) && c.ours.vector === 13 && c.theirs.vector < 0,
  },
  {
    name: 'lar-undefined',
    reason: 'bits 19:16 of what LAR gives are undefined (SDM vol. 2A, LAR)',
    explains: (c) => c.form.mnemonic === 'lar' && c.ours.vector < 0 && c.theirs.vector < 0 && larAgrees(c),
  },
  {
    name: 'lock-ignored',
    reason: 'AMD takes LOCK MOV CR0 for CR8 (APM vol. 3, MOV CRn) and ignores LOCK on VERR, VERW and others',
    explains: (c) => c.test.code.includes(0xf0) && c.ours.vector === 6 && /^(mov|verr|verw|lar|lsl|sldt|str)$/.test(c.form.mnemonic),
  },
  {
    name: 'last-place',
    reason: 'transcendental x87 instructions promise an error below one unit in the last place (SDM vol. 1, 8.3.10)',
    explains: (c) => /^(f2xm1|fyl2x|fyl2xp1|fptan|fpatan|fsin|fcos|fsincos)$/.test(c.form.mnemonic) && takeLastPlace(c),
  },
];

/** The allowance that explains the difference, or null; some only align what is open. */
export function allowance(c: Comparison): string | null {
  return ALLOWANCES.find(({ explains }) => explains(c))?.name ?? null;
}

