/** Random 64-bit programs of x87 instructions: a loop around straight-line code and forward branches, over a window of memory. */
import { X87 } from '../../decode/table/x87.ts';
import { stackEffect } from '../../jit/x87-depth.ts';
import { le32 } from './assembler.ts';
import type { Random } from './random.ts';

interface Form {
  readonly mnemonic: string;
  readonly byte: number;
  /** The second byte, of memory forms and of those with ST(i) without what is to be added. */
  readonly second: number;
  readonly kind: 'memory' | 'register' | 'fixed';
}

/** What would end the program or make all of it go the slow way, unless it is rare. */
const RARE = /^f(nsave|rstor|ldenv|nstenv|ninit|free|freep|stpnce|incstp|decstp|neni|ndisi|nsetpm|bld|bstp|2xm1|yl2x|yl2xp1|ptan|patan|prem1?|sin|cos|sincos|scale|xtract)$/;

const FORMS: readonly Form[] = X87.trim().split('\n').map((line) => {
  const [byte, selector, mnemonic, operands] = line.trim().split(/\s+/) as [string, string, string, string];
  const group = Number.parseInt(selector.slice(1), 16);
  const kind = operands.startsWith('M') ? 'memory' : /STi/.test(operands) ? 'register' : 'fixed';
  return { mnemonic, byte: Number.parseInt(byte, 16), second: kind === 'memory' ? (group << 3) | 0x86 : kind === 'register' ? 0xc0 | (group << 3) : group, kind };
});
const COMMON = FORMS.filter(({ mnemonic }) => !RARE.test(mnemonic));

/** Where FLDCW finds control words, in the window; what the programs store lies apart. */
export const CONTROL_WORDS = 0x1000;
const MMX = [[0x0f, 0xfc, 0xc1], [0x0f, 0x6f, 0xd3], [0x0f, 0x77]];

export class RandomX87Program {
  readonly #random: Random;
  readonly #iterations: number;
  /** Registers in use, as far as the program keeps count. */
  #depth = 0;

  constructor(random: Random, iterations: number) {
    this.#random = random;
    this.#iterations = iterations;
  }

  /** mov r15d, n; fninit; loop: body; dec r15; jnz loop; ud2. RSI must point to the window. */
  bytes(): number[] {
    const start = [0xdb, 0xe3, 0x41, 0xbf, ...le32(this.#iterations)];
    const body = this.#body(5 + this.#random.below(40));
    return [...start, ...body, 0x49, 0xff, 0xcf, 0x0f, 0x85, ...le32(-(body.length + 9)), 0x0f, 0x0b];
  }

  #body(count: number): number[] {
    const r = this.#random;
    // Now and then the stack is left to itself, and MMX joins in.
    const wild = r.below(6) === 0;
    const mmx = r.below(12) === 0;
    const out: number[] = [];
    for (let i = 0; i < count; i++) {
      if (r.below(10) === 0) {
        const depth = this.#depth;
        const skipped = this.#instruction(wild);
        if (!wild) skipped.push(...this.#restore(depth));
        out.push(0x70 | r.below(16), skipped.length, ...skipped);
      } else out.push(...(mmx && r.below(8) === 0 ? r.pick(MMX) : this.#instruction(wild)));
      if (r.below(8) === 0) out.push(0x48, 0x83, r.pick([0xc0, 0xe8, 0xf8]) | r.below(2), r.below(256));
    }
    if (!wild) out.push(...this.#restore(0));
    return out;
  }

  /** Pushes or pops until as many registers are in use as wanted. */
  #restore(depth: number): number[] {
    const out: number[] = [];
    for (; this.#depth > depth; this.#depth--) out.push(0xdd, 0xd8);
    for (; this.#depth < depth; this.#depth++) out.push(0xd9, this.#random.pick([0xe8, 0xee]));
    return out;
  }

  #instruction(wild: boolean): number[] {
    const r = this.#random;
    for (;;) {
      const form = r.pick(wild || r.below(40) === 0 ? FORMS : COMMON);
      if (!wild && /^f(ninit|nsave|rstor|ldenv|free|freep|incstp|decstp)$/.test(form.mnemonic)) continue;
      const effect = stackEffect(form.mnemonic);
      const reads = form.kind === 'register' ? 1 + r.below(Math.max(1, this.#depth)) : 2;
      if (!wild && (this.#depth + effect > 8 || this.#depth + Math.min(effect, 0) < 0 || (this.#depth < reads && !/^f(i?ld|ld.+|n.*)$/.test(form.mnemonic)))) continue;
      this.#depth = Math.max(0, Math.min(8, this.#depth + effect));
      return this.#encode(form, wild ? r.below(8) : reads - 1);
    }
  }

  #encode({ mnemonic, byte, second, kind }: Form, register: number): number[] {
    if (kind === 'memory') return [byte, second, ...le32(this.#place(mnemonic))];
    return [byte, kind === 'register' ? second | register : second];
  }

  #place(mnemonic: string): number {
    const r = this.#random;
    if (mnemonic === 'fldcw') return CONTROL_WORDS + r.below(32) * 2;
    return r.below(20) === 0 ? 0xff7 + r.below(9) : r.below(60) * 16;
  }
}
