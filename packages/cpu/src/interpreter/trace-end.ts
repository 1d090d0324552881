import type { Instruction } from '../decode/instruction.ts';
import { OP_REG, OP_REL, RC_CR, RC_SEG } from '../decode/instruction.ts';
import { SEMANTICS } from '../semantics/registry.ts';

/** The trace goes on. */
export const TRACE_END_NONE = 0;
/** What follows must be looked up: the instruction branches, or may have changed modes, mappings or code. */
export const TRACE_END_BRANCH = 1;

/** Semantics that always leave. */
const BRANCHES = new Set(['jmp', 'call', 'ret']);

/** Microcode after which the same trace may go on: it changes neither modes nor mappings, unless it leaves by itself. */
const CONTINUES = new Set([
  'cpuid', 'rdtsc', 'rdtscp', 'rdpmc', 'rdmsr', 'in', 'out', 'pushf', 'pushfd', 'pushfq', 'cli', 'smsw', 'str', 'sldt',
  'sgdt', 'sidt', 'lgdt', 'lidt', 'verr', 'verw', 'lar', 'lsl', 'pause', 'swapgs', 'stac', 'clac', 'rdfsbase', 'rdgsbase', 'wrfsbase',
  'wrgsbase', 'rdpid', 'rdrand', 'rdseed', 'xgetbv', 'pusha', 'pushad', 'popa', 'popad', 'bound', 'enter', 'arpl',
  'aaa', 'aas', 'aam', 'aad', 'daa', 'das', 'cmpxchg8b', 'cmpxchg16b', 'crc32', 'clflush', 'clflushopt', 'clwb',
  'rdpkru', 'lds', 'les', 'lfs', 'lgs', 'xlatb',
]);
const CONTINUES_PREFIX = /^(f|x?save|xrstor|movs[bwdq]|stos|lods|cmps[bwdq]|scas|p|v|m|aes|sha|ldmxcsr|stmxcsr|emms|cvt)/;

/** Whether a trace may go on after the instruction. */
export function traceEnd(mnemonic: string, ins: Instruction): number {
  if (BRANCHES.has(mnemonic)) return TRACE_END_BRANCH;
  if (mnemonic === 'mov' || mnemonic === 'pop' || mnemonic === 'push') {
    const target = ins.operands[0];
    const special = target.kind === OP_REG && (target.regClass === RC_CR || target.regClass === RC_SEG);
    return special && mnemonic !== 'push' ? TRACE_END_BRANCH : TRACE_END_NONE;
  }
  if (ins.operands[0].kind === OP_REL || SEMANTICS.has(mnemonic) || mnemonic === 'lea') return TRACE_END_NONE;
  return CONTINUES.has(mnemonic) || CONTINUES_PREFIX.test(mnemonic) ? TRACE_END_NONE : TRACE_END_BRANCH;
}
