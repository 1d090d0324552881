/** EFLAGS.TF: the trap after each instruction and what becomes of it (SDM vol. 3B, 19.3.1.4; vol. 3A, 7.8.3; the instructions' pages). */
import { describe, expect, test } from 'vitest';
import * as L from '../state/layout.ts';
import { EventMachine } from '../testing/event-machine.ts';

const m = new EventMachine();
const TF = 0x100n;
const BS = 0x4000;
const R11 = L.GPR + 11 * 8;

describe('traps, as vector@return address', () => {
  test.each<[name: string, code: string, events: string[]]>([
    ['nop', '90 90 90', ['1@1', '1@2', '1@3']],
    ['jumps: once each', 'eb 00 eb 01 f4 90', ['1@2', '1@5', '1@6']],
    ['call and ret', 'e8 01 00 00 00 90 c3', ['1@6', '1@5', '1@6']],
    ['mov ss holds it back for one instruction', '8e d0 90 90', ['1@3', '1@4']],
    ['mov ds does not', '8e d8 90', ['1@2', '1@3']],
    ['sti does not', 'fb 90', ['1@1', '1@2']],
    ['rep movsb: after each element', 'f3 a4 90', ['1@0', '1@0', '1@2', '1@3']],
    ['rep stosb: after each element', 'f3 aa 90', ['1@0', '1@0', '1@2', '1@3']],
    ['repe cmpsb: after each element', 'f3 a6 90', ['1@0', '1@0', '1@2', '1@3']],
    ['rep lodsb with a zero counter: once', '31 c9 f3 ac 90', ['1@2', '1@4', '1@5']],
    ['int 0x40: it itself, and no trap until its return', 'cd 40 90 90', ['64@2', '1@3', '1@4']],
    ['int3', 'cc 90', ['3@1', '1@2']],
    ['int1', 'f1 90', ['1@1', '1@2']],
    ['ud2: the fault, no trap; on return again', '0f 0b', ['6@0', '6@0']],
    ['popfq clearing TF is trapped', '6a 02 9d 90 90', ['1@2', '1@3']],
    ['pushfq', '9c 90', ['1@1', '1@2']],
    ['hlt: the trap wakes', 'f4 90', ['1@1', '1@2']],
    ['cpuid', '0f a2 90', ['1@2', '1@3']],
    ['mov cr0', '0f 20 c0 0f 22 c0 90', ['1@3', '1@6', '1@7']],
    ['wrmsr', 'b9 81 00 00 c0 0f 30 90', ['1@5', '1@7', '1@8']],
    ['lgdt', '0f 01 15 f9 0f 00 00', ['1@7', '1@8']],
  ])('%s', (_, code, events) => {
    m.begin('long', 0, code, TF);
    m.set(L.RCX, 3n);
    for (const register of [L.RSI, L.RDI]) m.set(register, BigInt(m.data));
    m.set(L.RAX, 0x10n);
    m.memory.write(m.code + 0x1000, m.memory.u8.slice(m.area + L.GDTR_LIMIT, m.area + L.GDTR_LIMIT + 2));
    m.memory.view.setBigUint64(m.code + 0x1002, m.get(L.GDTR_BASE), true);
    expect(m.events(events.length)).toEqual(events);
  });

  test('pop ss holds it back, in 32-bit code', () => {
    m.begin('protected', 0, '6a 10 17 90 90', TF);
    expect(m.events(4)).toEqual(['1@2', '1@4', '1@5', '1@6']);
  });

  test('the instruction that sets TF is not trapped', () => {
    // pushfq; or dword [rsp], 0x100; popfq; nop; nop
    m.begin('long', 0, '9c 81 0c 24 00 01 00 00 9d 90 90', 0n);
    expect(m.events(2)).toEqual(['1@10', '1@11']);
  });

  test('the trap sets DR6.BS, keeps B0 to B3 of earlier ones out, and saves TF; TF is clear in the handler', () => {
    m.begin('long', 0, '90 90', TF);
    m.set(L.DR6, 0xffff_0ff3n);
    expect(m.next()).toEqual({ vector: 1, rip: 1, flags: 0x102, dr6: 0xffff_0ff0 + BS });
    expect(m.flags() & TF).toBe(0n);
  });

  test('INT1 does not set DR6.BS', () => {
    m.begin('long', 0, 'f1', TF);
    expect(m.next()).toEqual({ vector: 1, rip: 1, flags: 0x102, dr6: 0xffff_0ff0 });
  });
});

/** IA32_DEBUGCTL.BTF (vol. 3B, 19.4.3): the trap comes after branches that are taken, and clears BTF. */
describe('on branches, as vector@return address', () => {
  test.each<[name: string, code: string, events: string[]]>([
    ['jmp short', '90 90 eb 01 f4 90', ['1@5']],
    ['jmp near', '90 e9 01 00 00 00 f4 90', ['1@7']],
    ['jz taken', '31 c0 74 01 f4 90', ['1@5']],
    ['jnz not taken, then jz near', '31 c0 75 01 90 0f 84 01 00 00 00 f4 90', ['1@12']],
    ['call, with prefixes', '2e 48 e8 01 00 00 00 f4 90', ['1@8']],
    ['ret', '6a 00 48 8d 05 03 00 00 00 50 c3 f4 90', ['1@12']],
    ['jmp rax', '48 8d 05 03 00 00 00 ff e0 90', ['1@10']],
    ['inc dword is no branch', 'ff 07 eb 00', ['1@4']],
    ['loop', 'b9 02 00 00 00 e2 01 f4 90', ['1@8']],
    ['jrcxz', '31 c9 e3 01 f4 90', ['1@5']],
    ['a software interrupt is its own event', '90 cd 40', ['64@3']],
    ['afterwards each instruction again: BTF is clear', 'eb 00 90 90', ['1@2', '1@3', '1@4']],
  ])('%s', (_, code, events) => {
    m.begin('long', 0, code, TF);
    m.set(L.MSR_DEBUGCTL, 2n);
    m.set(L.RDI, BigInt(m.data));
    expect(m.events(events.length)).toEqual(events);
  });
  test('in 32-bit code, near with an operand-size prefix', () => {
    m.begin('protected', 0, '31 c0 66 0f 85 01 00 90 eb 00', TF);
    m.set(L.MSR_DEBUGCTL, 2n);
    expect(m.events(1)).toEqual(['1@10']);
  });
});

/** SYSCALL and SYSRET: TF counts as it is when they are done, so that the mask of SYSCALL keeps the kernel from being stepped. */
describe('system calls', () => {
  const begin = (cpl: number, code: string, flags: bigint, mask: bigint): number => {
    m.begin('long', cpl, code, flags);
    const entry = m.code + 0x100;
    m.put(entry, '90 90 f4');
    m.set(L.MSR_STAR, 0x0018_0008_0000_0000n);
    m.set(L.MSR_LSTAR, BigInt(entry));
    m.set(L.MSR_SFMASK, mask);
    m.set(L.MSR_SYSENTER_CS, 8n);
    m.set(L.MSR_SYSENTER_EIP, BigInt(entry));
    m.set(L.MSR_SYSENTER_ESP, BigInt(m.stack + 0x600));
    return 0x100;
  };
  test('SYSCALL that masks TF is not trapped', () => {
    begin(3, '0f 05', TF, TF);
    expect(m.next()).toBeNull();
    expect(m.gpr('r11') & TF).toBe(TF);
  });
  test('SYSCALL that leaves TF is', () => {
    const entry = begin(3, '0f 05', TF, 0n);
    expect(m.next()).toMatchObject({ vector: 1, rip: entry });
  });
  test('SYSRET that sets TF is trapped before the user\'s first instruction', () => {
    begin(0, '48 0f 07', 0n, 0n);
    m.set(L.RCX, BigInt(m.code + 0x200));
    m.set(R11, 0x102n);
    expect(m.next()).toMatchObject({ vector: 1, rip: 0x200 });
  });
  test('SYSRET that clears TF is not', () => {
    begin(0, '48 0f 07', TF, 0n);
    m.put(m.code + 0x200, '90 0f 0b');
    m.set(L.RCX, BigInt(m.code + 0x200));
    m.set(R11, 2n);
    expect(m.next()).toMatchObject({ vector: 6, rip: 0x201 });
  });
  test('SYSENTER keeps TF: the trap is at its target', () => {
    const entry = begin(3, '0f 34', TF, 0n);
    expect(m.next()).toMatchObject({ vector: 1, rip: entry });
  });
});
