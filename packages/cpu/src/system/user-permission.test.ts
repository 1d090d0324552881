/** What CR4, IOPL and the TSS give to user code or take from it: UMIP, FSGSBASE, TSD, PCE, PVI, VME, IOPL, the I/O map. */
import { describe, expect, test } from 'vitest';
import * as L from '../state/layout.ts';
import { type Mode, type Outcome, type Registers, SystemMachine } from '../testing/system-machine.ts';

const m = new SystemMachine();
const [VME, PVI, TSD, PCE, UMIP, FSGSBASE] = [1n, 2n, 4n, 0x100n, 0x800n, 0x1_0000n];
const [IF, VIF, VIP] = [0x200n, 0x8_0000n, 0x10_0000n];

function run(mode: Mode, cpl: number, code: string, { cr4 = 0n, flags = 0n, registers = {} }: { cr4?: bigint; flags?: bigint; registers?: Registers } = {}): Outcome {
  m.enter(mode, cpl);
  m.set(L.CR4, m.get(L.CR4) | cr4);
  m.setFlags(m.flags() | flags);
  m.update();
  return m.run(code, mode === 'v86' || mode === 'real' ? registers : { rdi: m.data, ...registers });
}

/** CR4.UMIP (vol. 3A, 2.5; the instructions' pages in vol. 2B): #GP(0) above level 0. */
describe('UMIP', () => {
  test.each([
    ['sgdt [rdi]', '0f 01 07'], ['sidt [rdi]', '0f 01 0f'], ['sldt eax', '0f 00 c0'], ['str eax', '0f 00 c8'], ['smsw eax', '0f 01 e0'], ['sldt [rdi]', '0f 00 07'], ['smsw [rdi]', '0f 01 27'],
  ])('%s', (_, code) => {
    const of = (mode: Mode, cpl: number, cr4: bigint): Outcome => run(mode, cpl, code, { cr4 });
    expect([of('long', 0, UMIP), of('long', 1, UMIP), of('long', 3, UMIP), of('compat', 3, UMIP), of('protected', 3, UMIP), of('long', 3, 0n), of('protected', 3, 0n)])
      .toEqual(['ok', '#GP(0)', '#GP(0)', '#GP(0)', '#GP(0)', 'ok', 'ok']);
  });
  test.each<[string, string, Outcome, Outcome]>([['sgdt [bx]', '0f 01 07', 'ok', '#GP(0)'], ['smsw ax', '0f 01 e0', 'ok', '#GP(0)'], ['sldt ax', '0f 00 c0', '#UD', '#UD'], ['str ax', '0f 00 c8', '#UD', '#UD']])(
    '%s in real-address and virtual-8086 mode', (_, code, real, v86) => expect([run('real', 0, code, { cr4: UMIP }), run('v86', 3, code, { cr4: UMIP })]).toEqual([real, v86]));
});

/** RDFSBASE and its kin (vol. 2B): #UD without CR4.FSGSBASE or outside 64-bit mode. */
test.each([['rdfsbase', 'f3 48 0f ae c0'], ['rdgsbase', 'f3 48 0f ae c8'], ['wrfsbase', 'f3 48 0f ae d0'], ['wrgsbase', 'f3 0f ae d8']])('FSGSBASE: %s rax', (_, code) => {
  const of = (mode: Mode, cpl: number, cr4: bigint): Outcome => run(mode, cpl, mode === 'long' ? code : code.replace('48 ', ''), { cr4, registers: { rax: 0x1234 } });
  expect([of('long', 0, FSGSBASE), of('long', 3, FSGSBASE), of('long', 3, 0n), of('long', 0, 0n), of('compat', 3, FSGSBASE), of('protected', 0, FSGSBASE)]).toEqual(['ok', 'ok', '#UD', '#UD', '#UD', '#UD']);
});

test('WRFSBASE of 32 bits zero-extends, RDFSBASE of 32 bits too', () => {
  m.enter('long', 3);
  m.set(L.CR4, m.get(L.CR4) | FSGSBASE);
  m.update();
  expect(m.run('f3 48 0f ae d0', { rax: 0xffff_8123_9000_0000n })).toBe('ok');
  expect(m.segment(L.FS).base).toBe(0xffff_8123_9000_0000n);
  expect(m.run('f3 0f ae c1', { rcx: -1n })).toBe('ok');
  expect(m.gpr('rcx')).toBe(0x9000_0000n);
  expect(m.run('f3 0f ae d0')).toBe('ok');
  expect(m.segment(L.FS).base).toBe(0x9000_0000n);
});

/** RDTSC, RDTSCP, RDPMC (vol. 2B). There is no counter for RDPMC to read: the index is never valid. */
test.each<[string, Mode, number, string, bigint, Outcome]>([
  ['rdtsc', 'long', 3, '0f 31', 0n, 'ok'], ['rdtsc', 'long', 3, '0f 31', TSD, '#GP(0)'], ['rdtsc', 'long', 1, '0f 31', TSD, '#GP(0)'], ['rdtsc', 'long', 0, '0f 31', TSD, 'ok'],
  ['rdtsc', 'real', 0, '0f 31', TSD, 'ok'], ['rdtsc', 'v86', 3, '0f 31', TSD, '#GP(0)'], ['rdtscp', 'long', 3, '0f 01 f9', TSD, '#GP(0)'], ['rdtscp', 'long', 3, '0f 01 f9', 0n, 'ok'],
  ['rdpid rax', 'long', 3, 'f3 0f c7 f8', TSD, 'ok'], ['rdpmc', 'long', 3, '0f 33', 0n, '#GP(0)'], ['rdpmc', 'long', 3, '0f 33', PCE, '#GP(0)'], ['rdpmc', 'long', 0, '0f 33', 0n, '#GP(0)'],
])('%s in %s mode, level %i', (_, mode, cpl, code, cr4, outcome) => expect(run(mode, cpl, code, { cr4 })).toBe(outcome));

/** CLI and STI (vol. 2A, tables 3-7 and 4-19): the flag that changes or the fault, by mode, IOPL, VME and PVI. */
describe('CLI and STI', () => {
  const cases: readonly [mode: Mode, cpl: number, iopl: number, cr4: bigint, vip: bigint, cli: Outcome, sti: Outcome][] = [
    ['real', 0, 0, 0n, 0n, 'IF', 'IF'],
    ['protected', 0, 0, 0n, 0n, 'IF', 'IF'],
    ['protected', 1, 0, 0n, 0n, '#GP(0)', '#GP(0)'],
    ['protected', 1, 0, PVI, 0n, '#GP(0)', '#GP(0)'],
    ['protected', 1, 1, 0n, 0n, 'IF', 'IF'],
    ['protected', 3, 2, 0n, 0n, '#GP(0)', '#GP(0)'],
    ['protected', 3, 3, 0n, 0n, 'IF', 'IF'],
    ['protected', 3, 3, PVI, VIP, 'IF', 'IF'],
    ['protected', 3, 0, PVI, 0n, 'VIF', 'VIF'],
    ['protected', 3, 0, PVI, VIP, 'VIF', '#GP(0)'],
    ['protected', 3, 0, VME, 0n, '#GP(0)', '#GP(0)'],
    ['long', 3, 0, 0n, 0n, '#GP(0)', '#GP(0)'],
    ['long', 3, 0, PVI, 0n, 'VIF', 'VIF'],
    ['long', 3, 3, 0n, 0n, 'IF', 'IF'],
    ['v86', 3, 3, 0n, 0n, 'IF', 'IF'],
    ['v86', 3, 3, VME, VIP, 'IF', 'IF'],
    ['v86', 3, 0, 0n, 0n, '#GP(0)', '#GP(0)'],
    ['v86', 3, 2, PVI, 0n, '#GP(0)', '#GP(0)'],
    ['v86', 3, 2, VME, 0n, 'VIF', 'VIF'],
    ['v86', 3, 2, VME, VIP, 'VIF', '#GP(0)'],
  ];
  test.each(cases)('%s, level %i, IOPL %i, CR4 %i, VIP %i', (mode, cpl, iopl, cr4, vip, cli, sti) => {
    const both = IF | VIF;
    const effect = (code: string, before: bigint): Outcome => {
      const outcome = run(mode, cpl, code, { cr4, flags: before | vip | (BigInt(iopl) << 12n) });
      const changed = (m.flags() ^ before) & both;
      return outcome !== 'ok' ? outcome : changed === IF ? 'IF' : changed === VIF ? 'VIF' : `changed ${changed}`;
    };
    expect([effect('fa', both), effect('fb', 0n)]).toEqual([cli, sti]);
  });
});

/** IN, OUT, INS, OUTS (vol. 1, 19.5): IOPL, then the bits of the I/O map; in virtual-8086 mode the map alone. */
describe('I/O permission', () => {
  interface Task {
    readonly map?: number;
    readonly limit?: number;
    readonly type?: number;
    readonly forbidden?: number;
  }
  function io(mode: Mode, cpl: number, iopl: number, code: string, { map = 0x68, limit = 0x68 + 0x2000, type = 0x8b, forbidden = 0x61 }: Task = {}): Outcome {
    m.enter(mode, cpl);
    const tss = m.stack + 0x4000;
    m.memory.u8.fill(0, tss, tss + 0x3000);
    m.memory.view.setUint16(tss + 102, map, true);
    m.memory.u8[tss + map + (forbidden >> 3)]! |= 1 << (forbidden & 7);
    m.memory.u8[tss + map + 0x2000] = 0xff;
    m.setSegment(L.TR, 0x40, type, BigInt(tss), limit);
    m.setFlags(m.flags() | (BigInt(iopl) << 12n));
    return m.run(code, mode === 'v86' ? { rdx: 0x60, rdi: 0 } : { rdx: 0x60, rdi: m.data, rsi: m.data });
  }
  test.each<[string, Mode, number, number, string, Task, Outcome]>([
    ['byte at an allowed port', 'long', 3, 0, 'ec', {}, 'ok'],
    ['two bytes, the second forbidden', 'long', 3, 0, '66 ed', {}, '#GP(0)'],
    ['four bytes, the last forbidden', 'long', 3, 0, 'ef', { forbidden: 0x63 }, '#GP(0)'],
    ['four bytes, the next forbidden', 'long', 3, 0, 'ef', { forbidden: 0x64 }, 'ok'],
    ['immediate port', 'long', 3, 0, 'e4 61', {}, '#GP(0)'],
    ['INS', 'long', 3, 0, '6c', { forbidden: 0x60 }, '#GP(0)'],
    ['OUTS', 'protected', 3, 0, '6e', { forbidden: 0x60 }, '#GP(0)'],
    ['IOPL 3 needs no map', 'long', 3, 3, 'ec', { forbidden: 0x60 }, 'ok'],
    ['level 1, IOPL 1', 'protected', 1, 1, 'ec', { forbidden: 0x60 }, 'ok'],
    ['level 2, IOPL 1', 'protected', 2, 1, 'ec', { forbidden: 0x60 }, '#GP(0)'],
    ['level 0', 'long', 0, 0, 'ec', { forbidden: 0x60 }, 'ok'],
    ['virtual-8086 mode looks at the map whatever IOPL is', 'v86', 3, 3, 'ec', { forbidden: 0x60 }, '#GP(0)'],
    ['virtual-8086 mode, allowed', 'v86', 3, 0, 'ec', {}, 'ok'],
    ['no map: its base is beyond the limit', 'long', 3, 0, 'ec', { map: 0x2fff, limit: 0x67 }, '#GP(0)'],
    ['a limit that cuts the map off', 'long', 3, 0, 'ec', { limit: 0x68 + 12 }, '#GP(0)'],
    ['both bytes of the map lie within', 'long', 3, 0, 'ec', { limit: 0x68 + 13 }, 'ok'],
    ['a limit below the base field', 'long', 3, 0, 'ec', { limit: 0x66 }, '#GP(0)'],
    ['a 16-bit TSS', 'protected', 3, 0, 'ec', { type: 0x83 }, '#GP(0)'],
  ])('%s', (_, mode, cpl, iopl, code, task, outcome) => expect(io(mode, cpl, iopl, code, task)).toBe(outcome));

  test('a short TSS is refused before its map base is looked for', () => {
    m.enter('long', 3);
    m.setSegment(L.TR, 0x40, 0x8b, 0x2000_0000_0000n, 0x50);
    expect(m.run('ec', { rdx: 0x60 })).toBe('#GP(0)');
  });
});

/** INVLPG (vol. 2A) knows but one fault, of the privilege level: it accesses nothing, so segments do not limit it. */
test.each<[string, string, () => void]>([
  ['beyond the limit', '0f 01 3f', () => m.setSegment(L.DS, 0x10, 0xc093, 0n, 0xfff)],
  ['with a null segment', '0f 01 3f', () => m.setSegment(L.DS, 0, 0x1_0000)],
  ['beyond an expand-down segment', '0f 01 3f', () => m.setSegment(L.DS, 0x10, 0xc097, 0n, 0xffff_ffff)],
])('INVLPG %s', (_, code, prepare) => {
  m.enter('protected');
  prepare();
  expect(m.run(code, { rdi: 0x1234_5678 })).toBe('ok');
});

/** VERR, LAR and their kin, ARPL, SLDT and STR need no privilege. */
test.each([['lar eax, ecx', '0f 02 c1'], ['lsl eax, ecx', '0f 03 c1'], ['verr ax', '0f 00 e0'], ['verw ax', '0f 00 e8'], ['sldt eax', '0f 00 c0'], ['str eax', '0f 00 c8'], ['smsw eax', '0f 01 e0']])('%s at level 3', (_, code) =>
  expect([run('protected', 3, code), run('long', 3, code)]).toEqual(['ok', 'ok']));
