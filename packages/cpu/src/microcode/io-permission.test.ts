/** Who may use a port: IOPL and the I/O permission bitmap of the TSS (SDM vol. 1, 19.5; vol. 2A, IN and INS). */
import { expect, it } from 'vitest';
import { type Row, runRow } from '../testing/outcome.ts';
import { type Setup, SystemGuest } from '../testing/system-guest.ts';
import { DATA, segment, TSS } from '../testing/system-tables.ts';

const guest = new SystemGuest();
const IN_40 = 'e4 40';
const IN_DX = 'ec';
const IN_DX_32 = 'ed';
/** The bitmap begins here: port 0x40 is bit 0 of MAP + 8. */
const MAP = TSS + 0x68;
const IO_BASE = TSS + 0x66;

/** A TSS with a bitmap of zeros but for `bytes`, and a limit. */
function tss(bytes: Record<number, number>, more: Setup = {}, limit = 0xfff, type = 0x8b): Setup {
  return { cpl: 3, ...more, segments: { tr: [segment(type, TSS, limit), 0x70], ...more.segments }, words: { [IO_BASE]: 0x68, ...bytes, ...more.words } };
}
const dx = (port: number): Setup => ({ regs: { rdx: port, rdi: DATA, rsi: DATA } });

it.each<Row>([
  ['level 0 may', tss({ [MAP + 8]: 0xff }, { cpl: 0 }), IN_40, 'ok'],
  ['level 3 may at IOPL 3', tss({ [MAP + 8]: 0xff }, { flags: 0x3000 }), IN_40, 'ok'],
  ['level 2 at IOPL 1 may not', tss({ [MAP + 8]: 0xff }, { cpl: 2, flags: 0x1000 }), IN_40, '#GP(0)'],
  ['a clear bit lets through', tss({ [MAP + 8]: 0xfe }), IN_40, 'ok rax=ff'],
  ['a set bit does not', tss({ [MAP + 8]: 1 }), IN_40, '#GP(0) rax=0'],
  ['OUT as well', tss({ [MAP + 8]: 1 }), 'e6 40', '#GP(0)'],
  ['each port of a word counts', tss({ [MAP + 8]: 2 }), 'e4 40', 'ok'],
  ['each port of a word counts: the second', tss({ [MAP + 8]: 2 }), '66 e5 40', '#GP(0)'],
  ['the fourth port of a doubleword', tss({ [MAP + 8]: 8 }), 'e5 40', '#GP(0)'],
  ['the fifth does not count', tss({ [MAP + 8]: 0x10 }), 'e5 40', 'ok'],
  ['an access that crosses bytes of the map', tss({ [MAP + 8]: 0x100 }, dx(0x47)), '66 ed', '#GP(0)'],
  ['a doubleword that crosses bytes of the map', tss({ [MAP + 8]: 0x300 }, dx(0x45)), IN_DX_32, '#GP(0)'],
  ['and ends before the set bit', tss({ [MAP + 8]: 0x200 }, dx(0x45)), IN_DX_32, 'ok'],
  ['virtual-8086 mode asks the map whatever IOPL is', tss({ [MAP + 8]: 1 }, { mode: 'v86', flags: 0x3000 }), IN_40, '#GP(0)'],
  ['virtual-8086 mode, clear', tss({}, { mode: 'v86' }), IN_40, 'ok'],
  ['64-bit mode, set', tss({ [MAP + 8]: 1 }, { mode: 'long' }), IN_40, '#GP(0)'],
  ['64-bit mode, clear', tss({}, { mode: 'long' }), IN_40, 'ok'],
  ['real mode asks nobody', { mode: 'real' }, IN_40, 'ok'],
  ['two bytes of the map are read: the second beyond the limit', tss({}, {}, 0x68 + 8), IN_40, '#GP(0)'],
  ['two bytes of the map are read: within the limit', tss({}, {}, 0x68 + 9), IN_40, 'ok'],
  ['the last port: its second byte must be there', tss({}, dx(0xffff), 0x68 + 0x1fff), IN_DX, '#GP(0)'],
  ['the last port', tss({ [MAP + 0x2000]: 0xff }, dx(0xffff), 0x68 + 0x2000), IN_DX, 'ok'],
  ['beyond the last port the closing byte counts', tss({ [MAP + 0x2000]: 0xff }, dx(0xffff), 0x68 + 0x2000), '66 ed', '#GP(0)'],
  ['no map: its base at the limit', tss({ [IO_BASE]: 0xfff }), IN_40, '#GP(0)'],
  ['no map: a TSS of 103 bytes', tss({ [IO_BASE]: 0 }, {}, 0x66), IN_40, '#GP(0)'],
  ['a map that begins in the TSS itself', tss({ [IO_BASE]: 0, [TSS + 8]: 0 }, {}, 0x67), IN_40, 'ok'],
  ['a 16-bit TSS has none', tss({}, {}, 0xfff, 0x83), IN_40, '#GP(0)'],
  ['INS asks before it looks at memory', tss({ [MAP + 8]: 1 }, { ...dx(0x40), segments: { es: [0n, 0] } }), '6c', '#GP(0) rdi=40000'],
  ['OUTS', tss({ [MAP + 8]: 1 }, dx(0x40)), '6e', '#GP(0) rsi=40000'],
  ['REP INS with a count of 0 asks nobody', tss({ [MAP + 8]: 1 }, dx(0x40)), 'f3 6c', 'ok'],
])('%s', (...row) => expect(runRow(guest, row)).toBe(row[3]));
