/** Limits and types of segments at each access (SDM vol. 3A, 6.3 to 6.5 and 22.1.1; vol. 1, 6.2.3 for the stack's size). */
import { describe, expect, it } from 'vitest';
import { outcome, type Row, runRow } from '../testing/outcome.ts';
import { type Setup, SystemGuest } from '../testing/system-guest.ts';
import {
  BIG, CODE, CODE_OF, CODE_READ, DATA, EXECUTE_ONLY, EXPAND_DOWN, OWN, PAGES, READ_ONLY, READ_WRITE, segment, STACK_BASE,
} from '../testing/system-tables.ts';

const guest = new SystemGuest();
/** A data segment with base DATA in a register. */
const data = (name: string, attr: number, limit: number, offset: number, base = DATA): Setup =>
  ({ segments: { [name]: [segment(attr, base, limit), OWN] }, regs: { rbx: offset, rsi: offset, rdi: offset, rcx: 1 } });
const ds = (attr: number, limit: number, offset: number, base?: number): Setup => data('ds', attr, limit, offset, base);
const READ8 = '8a 03';
const READ16 = '66 8b 03';
const READ32 = '8b 03';
const WRITE32 = '89 03';

const LIMITS: readonly Row[] = [
  ['a byte at the limit', ds(READ_WRITE, 0xff, 0xff), READ8, 'ok'],
  ['a byte beyond', ds(READ_WRITE, 0xff, 0x100), READ8, '#GP(0)'],
  ['a word across', ds(READ_WRITE, 0xff, 0xff), READ16, '#GP(0)'],
  ['a doubleword at the limit', ds(READ_WRITE, 0xff, 0xfc), READ32, 'ok'],
  ['a doubleword across', ds(READ_WRITE, 0xff, 0xfd), READ32, '#GP(0)'],
  ['a write across', ds(READ_WRITE, 0xff, 0xfd), WRITE32, '#GP(0)'],
  ['in pages', ds(READ_WRITE | PAGES, 0, 0xffc), READ32, 'ok'],
  ['in pages, across', ds(READ_WRITE | PAGES, 0, 0xffd), READ32, '#GP(0)'],
  ['around 4 GiB', ds(READ_WRITE | PAGES, 0xf_ffff, 0xffff_fffd), READ32, '#GP(0)'],
  ['the linear address wraps at 4 GiB', { ...ds(READ_WRITE | PAGES, 0xf_ffff, 0x5_0000, 0xffff_0000), dwords: { [DATA]: 0x1234_5678 } }, READ32, 'ok rax=12345678'],
  ['expand-down: at the limit', ds(EXPAND_DOWN, 0xff, 0xff), READ8, '#GP(0)'],
  ['expand-down: behind the limit', ds(EXPAND_DOWN, 0xff, 0x100), READ32, 'ok'],
  ['expand-down: across the limit', ds(EXPAND_DOWN, 0xff, 0xfe), READ32, '#GP(0)'],
  ['expand-down: small ends at 64 KiB', ds(EXPAND_DOWN, 0xff, 0xfffd), READ32, '#GP(0)'],
  ['expand-down: small, the last bytes', ds(EXPAND_DOWN, 0xff, 0xfffc), READ32, 'ok'],
  ['expand-down: big goes on', ds(EXPAND_DOWN | BIG, 0xff, 0x1_0000), READ32, 'ok'],
  ['expand-down: big, around 4 GiB', ds(EXPAND_DOWN | BIG, 0xff, 0xffff_fffe), READ32, '#GP(0)'],
  ['expand-down: a limit of 4 GiB leaves nothing', ds(EXPAND_DOWN | BIG | PAGES, 0xf_ffff, 0xffff_ffff), READ8, '#GP(0)'],
  ['SS gives #SS', data('ss', READ_WRITE | BIG, 0xff, 0xfd), '36 8b 03', '#SS(0)'],
  ['EBP addresses SS', { ...data('ss', READ_WRITE | BIG, 0xff, 0), regs: { rbp: 0xfd } }, '8b 45 00', '#SS(0)'],
  ['FS gives #GP', data('fs', READ_WRITE, 0xff, 0xfd), '64 8b 03', '#GP(0)'],
  ['read-only: read', ds(READ_ONLY, 0xff, 0), READ32, 'ok'],
  ['read-only: write', ds(READ_ONLY, 0xff, 0), WRITE32, '#GP(0)'],
  ['read-only: read and write', ds(READ_ONLY, 0xff, 0), '01 03', '#GP(0)'],
  ['code: read', ds(CODE_READ, 0xff, 0), READ32, 'ok'],
  ['code: write', ds(CODE_READ, 0xff, 0), WRITE32, '#GP(0)'],
  ['execute-only: read', ds(EXECUTE_ONLY, 0xff, 0), READ32, '#GP(0)'],
  ['CS: read', { regs: { rbx: DATA } }, '2e 8b 03', 'ok'],
  ['CS: write', { regs: { rbx: DATA } }, '2e 89 03', '#GP(0)'],
  ['POP writes within DS', ds(READ_WRITE, 0xff, 0xfd), '8f 03', '#GP(0)'],
  ['POP reads the stack first', { segments: { ds: [segment(READ_WRITE, DATA, 0xff), OWN], ss: [segment(READ_WRITE | BIG, DATA, 0xff), OWN] }, regs: { rbx: 0xfd, rsp: 0xfd } }, '8f 03', '#SS(0)'],
  ['MOVS reads within DS', ds(READ_WRITE, 0xff, 0xfd), 'a5', '#GP(0)'],
  ['MOVS writes within ES', data('es', READ_WRITE, 0xff, 0xfd), 'a5', '#GP(0)'],
  ['STOS writes within ES', data('es', READ_WRITE, 0xff, 0xfd), 'ab', '#GP(0) rdi=fd'],
  ['REP STOS up to the limit', { ...data('es', READ_WRITE, 0xff, 0xf8), regs: { rdi: 0xf8, rcx: 3 } }, 'f3 ab', '#GP(0) rdi=100 rcx=1'],
  ['XLAT', { ...ds(READ_WRITE, 0xff, 0x100), regs: { rbx: 0x100 } }, 'd7', '#GP(0)'],
  ['FLD of ten bytes', ds(READ_WRITE, 0xff, 0xf7), 'db 2b', '#GP(0)'],
  ['FXSAVE', ds(READ_WRITE, 0x1fe, 0), '0f ae 03', '#GP(0)'],
  ['BOUND: the second bound', ds(READ_WRITE, 0xff, 0xfc), '62 03', '#GP(0)'],
  ['a far pointer\'s selector', ds(READ_WRITE, 0xff, 0xfb), 'ff 2b', '#GP(0)'],
  ['LGDT: all six bytes', ds(READ_WRITE, 0xff, 0xfb), '0f 01 13', '#GP(0)'],
  ['CMPXCHG8B', ds(READ_WRITE, 0xff, 0xf9), '0f c7 0b', '#GP(0)'],
  ['BT beyond by its register', { ...ds(READ_WRITE, 0xff, 0xf8), regs: { rbx: 0xf8, rax: 64 } }, '0f a3 03', '#GP(0)'],
  ['64-bit mode has none', { mode: 'long', ...ds(READ_WRITE, 0xff, DATA) }, READ32, 'ok'],
  ['real mode: a word at 0xffff', { mode: 'real', regs: { rbx: 0xffff } }, '8b 07', '#GP'],
  ['real mode: on the stack', { mode: 'real', regs: { rbp: 0xffff } }, '8b 46 00', '#SS'],
  ['real mode: 16-bit sums wrap', { mode: 'real', regs: { rbx: 0xffff }, words: { [DATA + 4]: 0x1234 } }, '8b 47 05', 'ok rax=1234'],
  ['real mode: 32-bit sums do not', { mode: 'real', regs: { rbx: 0xffff } }, '67 8b 43 05', '#GP'],
  ['virtual-8086 mode: a word at 0xffff', { mode: 'v86', regs: { rbx: 0xffff } }, '8b 07', '#GP(0)'],
  ['16-bit addressing in 32-bit code wraps', { ...ds(READ_WRITE, 0xffff, 0xffff), words: { [DATA + 4]: 0x1234 } }, '67 66 8b 47 05', 'ok rax=1234'],
];

/** SS as a small or big stack at STACK_BASE. */
const stack = (rsp: number, attr: number, limit: number, more: Setup = {}): Setup =>
  ({ ...more, regs: { ...more.regs, rsp }, segments: { ss: [segment(attr, STACK_BASE, limit), 0x10] } });
const SMALL = READ_WRITE;
const WIDE = READ_WRITE | BIG;
const STACKS: readonly Row[] = [
  ['PUSH keeps the upper half of ESP on a small stack', stack(0x1234_1000, SMALL, 0xffff, { regs: { rax: 0x77 } }), '50', 'ok rsp=12340ffc stack32=77'],
  ['PUSH wraps at 0', stack(0x1234_0000, SMALL, 0xffff, { regs: { rax: 0x77 } }), '50', 'ok rsp=1234fffc d[5fffc]=77'],
  ['PUSH across 0', stack(2, SMALL, 0xffff), '50', '#SS(0) rsp=2'],
  ['PUSH on a big stack', stack(0x1_1000, WIDE, 0x1_ffff), '50', 'ok rsp=10ffc'],
  ['PUSH beyond the limit', stack(0x1004, WIDE, 0xfff), '50', '#SS(0)'],
  ['PUSH at the limit', stack(0x1000, WIDE, 0xfff), '50', 'ok rsp=ffc'],
  ['PUSH below 0 of a big stack', stack(0, WIDE, 0xffff), '50', '#SS(0) rsp=0'],
  ['PUSH on an expand-down stack', stack(0x1004, EXPAND_DOWN | BIG, 0xfff), '50', 'ok rsp=1000'],
  ['PUSH below the limit of an expand-down stack', stack(0x1003, EXPAND_DOWN | BIG, 0xfff), '50', '#SS(0)'],
  ['PUSH of a segment register', stack(0x1000, EXPAND_DOWN | BIG, 0xfff), '1e', '#SS(0)'],
  ['POP wraps at 64 KiB', stack(0x1234_fffc, SMALL, 0xffff, { dwords: { [STACK_BASE + 0xfffc]: 0x77 } }), '58', 'ok rsp=12340000 rax=77'],
  ['POP across 64 KiB', stack(0xfffe, SMALL, 0xffff), '58', '#SS(0) rsp=fffe'],
  ['POP beyond the limit', stack(0xffd, WIDE, 0xfff), '58', '#SS(0)'],
  ['POP to memory', stack(0x1000, WIDE, 0xffff, { regs: { rbx: DATA } }), '8f 03', 'ok rsp=1004'],
  ['CALL', stack(2, SMALL, 0xffff), 'e8 00 01 00 00', '#SS(0) rsp=2 rip=30000'],
  ['CALL wraps', stack(0, SMALL, 0xffff), 'e8 00 01 00 00', 'ok rsp=fffc rip=30105 d[5fffc]=30005'],
  ['RET', stack(0xffe, WIDE, 0xfff), 'c3', '#SS(0)'],
  ['RET with an immediate wraps', stack(0xfff8, SMALL, 0xffff, { dwords: { [STACK_BASE + 0xfff8]: CODE } }), 'c2 08 00', 'ok rsp=4'],
  ['PUSHA wraps', stack(0x10, SMALL, 0xffff, { regs: { rax: 0xa, rdi: 0xd } }), '60', 'ok rsp=fff0 d[5000c]=a d[5fff0]=d'],
  ['PUSHA in part beyond', stack(0x1010, EXPAND_DOWN | BIG, 0xfff, { regs: { rax: 0xa } }), '60', '#SS(0) rsp=1010'],
  ['POPA', stack(0xfff0, SMALL, 0xffef), '61', '#SS(0)'],
  ['PUSHF', stack(0x1002, EXPAND_DOWN | BIG, 0xfff), '9c', '#SS(0)'],
  ['POPF', stack(0xffe, WIDE, 0xfff), '9d', '#SS(0)'],
  ['ENTER', stack(0x1000, WIDE, 0xfff, { regs: { rbp: 0x77 } }), 'c8 10 00 00', 'ok rsp=fec rbp=ffc d[50ffc]=77'],
  ['ENTER beyond the stack', stack(0x10, WIDE, 0xffff), 'c8 10 00 00', '#SS(0) rsp=10'],
  ['ENTER on a small stack', stack(0x1234_1000, SMALL, 0xffff, { regs: { rbp: 0x5678_0077 } }), 'c8 10 00 00', 'ok rsp=12340fec rbp=12340ffc'],
  ['ENTER of 16 bits', stack(0x1234_1000, SMALL, 0xffff, { regs: { rbp: 0x5678_0077 } }), '66 c8 10 00 00', 'ok rsp=12340fee rbp=56780ffe'],
  ['ENTER with levels', stack(0x1000, WIDE, 0xffff, { regs: { rbp: 0x2000 }, dwords: { [STACK_BASE + 0x1ffc]: 0x11 } }), 'c8 00 00 02', 'ok rbp=ffc rsp=ff4 stack32=ffc,11,2000'],
  ['LEAVE', stack(0, WIDE, 0xfff, { regs: { rbp: 0xffd } }), 'c9', '#SS(0)'],
  ['LEAVE on a small stack', stack(0x1234_0000, SMALL, 0xffff, { regs: { rbp: 0x5678_1000 }, dwords: { [STACK_BASE + 0x1000]: 0x77 } }), 'c9', 'ok rsp=12341004 rbp=77'],
  ['real mode: PUSH at 1', { mode: 'real', regs: { rsp: 1 } }, '50', '#SS'],
  ['real mode: POP at 0xffff', { mode: 'real', regs: { rsp: 0xffff } }, '58', '#SS'],
  ['real mode: PUSH at 0', { mode: 'real', regs: { rsp: 0, rax: 0x77 } }, '50', 'ok rsp=fffe stack16=77'],
  ['an unusable stack', { segments: { ss: [0n, 0] } }, '50', '#SS(0)'],
];

/** Code at CODE in a segment with that base. */
const code = (limit: number, more: Setup = {}): Setup => ({ rip: 0, ...more, segments: { cs: [segment(CODE_READ | BIG, CODE, limit), CODE_OF(0)] } });
const BRANCHES: readonly Row[] = [
  ['JMP at the limit', code(0x105), 'e9 00 01 00 00', 'ok rip=105'],
  ['JMP beyond the limit', code(0x104), 'e9 00 01 00 00', '#GP(0) rip=0'],
  ['JMP backwards beyond 0', code(0x1000), 'eb f0', '#GP(0) rip=0'],
  ['a short JMP', code(0x10), 'eb 7f', '#GP(0) rip=0'],
  ['Jcc taken', code(0x10), '75 7f', '#GP(0) rip=0'],
  ['Jcc not taken', code(0x10), '74 7f', 'ok rip=2'],
  ['LOOP taken', code(0x10, { regs: { rcx: 2 } }), 'e2 7f', '#GP(0) rip=0 rcx=2'],
  ['JECXZ taken', code(0x10), 'e3 7f', '#GP(0) rip=0'],
  ['CALL', code(0x104), 'e8 00 01 00 00', '#GP(0) rip=0 rsp=5f000'],
  ['JMP r32', code(0x104, { regs: { rax: 0x105 } }), 'ff e0', '#GP(0) rip=0'],
  ['CALL r32', code(0x104, { regs: { rax: 0x105 } }), 'ff d0', '#GP(0) rip=0 rsp=5f000'],
  ['RET', code(0x104, { dwords: { 0x5_f000: 0x105 } }), 'c3', '#GP(0) rip=0 rsp=5f000'],
  ['a 16-bit JMP wraps', code(0x1_0000), '66 e9 fc ff', 'ok rip=0'],
  ['a 16-bit JMP beyond the limit', code(0x10), '66 e9 00 01', '#GP(0) rip=0'],
  ['a 16-bit Jcc beyond the limit', code(0x10), '66 75 7f', '#GP(0) rip=0'],
  ['a 16-bit Jcc not taken', code(0x10), '66 74 7f', 'ok rip=3'],
  ['JMP around 4 GiB', { rip: 0, segments: { cs: [segment(CODE_READ, CODE), CODE_OF(0)] } }, 'eb f0', 'ok rip=fffffff2'],
  ['real mode: a short JMP wraps at 64 KiB', { mode: 'real' }, 'eb f0', 'ok rip=fff2'],
  ['real mode: a 32-bit JMP does not', { mode: 'real' }, '66 e9 f0 ff ff ff', '#GP rip=0'],
  ['an instruction up to the limit', code(0x105, { rip: 0x104 }), '66 90', 'ok rip=106'],
  ['an instruction across the limit', code(0x104, { rip: 0x104 }), '66 90', '#GP(0) rip=104'],
  ['an instruction across the limit and the page', code(0xfff, { rip: 0xfff }), '66 90', '#GP(0) rip=fff'],
  ['an instruction behind the limit', code(0x103, { rip: 0x104 }), '90', '#GP(0) rip=104'],
];

describe('segment limits', () => {
  it.each(LIMITS)('data: %s', (...row) => expect(runRow(guest, row)).toBe(row[3]));
  it.each(STACKS)('stack: %s', (...row) => expect(runRow(guest, row)).toBe(row[3]));
  it('code runs up to the limit, within a page and at its end', () => {
    for (const limit of [0x104, 0xfff]) {
      guest.reset(code(limit, { rip: limit - 2 }));
      guest.run('90 90 90 90', 5);
      expect(outcome(guest, '#GP(0) rip=?')).toBe(`#GP(0) rip=${(limit + 1).toString(16)}`);
    }
  });
  it.each(BRANCHES)('branch: %s', (...row) => expect(runRow(guest, row)).toBe(row[3]));
});
