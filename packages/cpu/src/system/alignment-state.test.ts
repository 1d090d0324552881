/** Whether accesses are checked for alignment follows EFLAGS.AC, CR0.AM and the privilege level at once, however they change (SDM vol. 3A, 7.15). */
import { describe, expect, test } from 'vitest';
import * as L from '../state/layout.ts';
import { EventMachine } from '../testing/event-machine.ts';

const m = new EventMachine();
const AC = 0x4_0000n;
const AM = 0x4_0000n;
/** mov eax, [rdi], which is not aligned; after it ud2, to tell that it was executed. */
const LOAD = '8b 07 0f 0b';

function begin(cpl: number, code: string, flags = 0n): void {
  m.begin('long', cpl, code, flags);
  m.set(L.CR0, m.get(L.CR0) | AM);
  m.set(L.MSR_STAR, 0x0018_0008_0000_0000n);
  m.set(L.RDI, BigInt(m.data + 1));
  m.update();
}

const frame = (rip: number, cs: number, flags: bigint, ss: number): void => {
  const at = m.stack + 0x400;
  [BigInt(rip), BigInt(cs), flags, BigInt(m.stack + 0x600), BigInt(ss)].forEach((value, i) => m.memory.view.setBigUint64(at + i * 8, value, true));
  m.set(L.RSP, BigInt(at));
};

describe('events, as vector@return address', () => {
  test.each<[name: string, cpl: number, code: string, flags: bigint, event: string]>([
    ['as it is', 3, LOAD, AC, '17@0'],
    ['without AC', 3, LOAD, 0n, '6@2'],
    ['POPFQ sets AC', 3, `68 02 00 04 00 9d ${LOAD}`, 0n, '17@6'],
    ['POPFQ clears AC', 3, `6a 02 9d ${LOAD}`, AC, '6@5'],
    ['POPF of 16 bits leaves AC set', 3, `66 6a 02 66 9d ${LOAD}`, AC, '17@5'],
    ['at level 0 POPFQ sets AC for nothing', 0, `68 02 00 04 00 9d ${LOAD}`, 0n, '6@8'],
    // Many times, so that the load is compiled where code is compiled.
    ['a loop that crosses alignments', 3, 'b9 10 00 00 00 48 83 c7 07 8b 07 48 83 c7 04 ff c9 75 f8', AC, '17@9'],
  ])('%s', (_, cpl, code, flags, event) => {
    begin(cpl, code, flags);
    m.set(L.RSP, BigInt(m.stack + 0x600));
    if (code.startsWith('b9')) {
      m.set(L.RDI, BigInt(m.data));
      const seen = m.next(200);
      expect(`${seen?.vector}@${seen?.rip}`).toBe(event);
      return;
    }
    expect(m.events(1)).toEqual([event]);
  });

  test('IRETQ to level 3 with AC', () => {
    begin(0, '48 cf');
    m.put(m.code + 0x100, LOAD);
    frame(m.code + 0x100, 0x33, AC | 2n, 0x2b);
    expect(m.events(1)).toEqual([`17@${0x100}`]);
  });

  test('SYSRET with AC in R11', () => {
    begin(0, '48 0f 07');
    m.put(m.code + 0x100, LOAD);
    m.set(L.RCX, BigInt(m.code + 0x100));
    m.set(L.GPR + 11 * 8, AC | 2n);
    expect(m.events(1)).toEqual([`17@${0x100}`]);
  });

  test('SYSCALL leaves AC set: the kernel is not checked, and the user again after SYSRET', () => {
    begin(3, `0f 05 ${LOAD}`, AC);
    m.put(m.code + 0x100, '8b 07 48 0f 07');
    m.set(L.MSR_LSTAR, BigInt(m.code + 0x100));
    expect(m.events(1)).toEqual(['17@2']);
  });

  test('the handler of #AC is not checked, and its error code is 0', () => {
    begin(3, LOAD, AC);
    expect(m.next()).toMatchObject({ vector: 17, rip: 0 });
    expect(m.memory.view.getBigUint64(Number(m.gpr('rsp')), true)).toBe(0n);
    expect(m.get32(L.CPL)).toBe(0);
    m.put(Number(m.get(L.RIP)), LOAD);
    expect(m.next()).toMatchObject({ vector: 6 });
  });

  test('CR0.AM set between two returns to the user', () => {
    begin(0, '0f 22 c0 48 cf');
    m.set(L.CR0, m.get(L.CR0) & ~AM);
    m.update();
    m.put(m.code + 0x100, LOAD);
    for (const [value, event] of [[m.get(L.CR0), `6@${0x102}`], [m.get(L.CR0) | AM, `17@${0x100}`]] as const) {
      frame(m.code + 0x100, 0x33, AC | 2n, 0x2b);
      m.set(L.RAX, value);
      m.set(L.RIP, BigInt(m.code));
      const seen = m.next();
      expect(`${seen?.vector}@${seen?.rip}`).toBe(event);
    }
  });
});
