/** Hardware breakpoints (SDM vol. 3B, 19.2 and 19.3), as a guest's #DB exits show them. */
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import * as V from '@vm/kvm-run/vmx';
import { NativeBreakpoints } from '../testing/native-breakpoint.ts';
import { GUEST_CODE, GUEST_STACK, VmxGuest } from '../testing/vmx-guest.ts';

const native = NativeBreakpoints.open();
afterAll(() => native?.close());

let guest: VmxGuest;
beforeEach(() => {
  guest = new VmxGuest();
  guest.set(V.VM_ENTRY_CONTROLS, V.VM_ENTRY_LOAD_DEBUG_CONTROLS);
  guest.set(V.VM_EXIT_CONTROLS, V.VM_EXIT_SAVE_DEBUG_CONTROLS);
  guest.write(V.EXCEPTION_BITMAP, 1 << DB);
  guest.setGpr(RDI, DATA);
  guest.setGpr(RSI, OTHER);
  // Pages with breakpoints may have been in use before.
  guest.code([...Array.from({ length: 2 }, () => [0x48, 0x01, 0x07, 0x48, 0x01, 0x06]).flat(), HLT]);
  expect(guest.run()).toBe(V.EXIT_REASON_HLT);
  guest.write(V.GUEST_RIP, GUEST_CODE);
});

const DB = 1;
const PF = 14;
const RAX = 0;
const RCX = 1;
const RDX = 2;
const RSI = 6;
const RDI = 7;
const HLT = 0xf4;
const DATA = 0x3_0000;
const OTHER = 0x3_8000;
const WRITES = 1;
const PORTS = 2;
const ACCESSES = 3;
const LEN: Readonly<Record<number, number>> = { 1: 0, 2: 1, 4: 3, 8: 2 };
const RF = 0x1_0000;
const TF = 0x100;
const BD = 0x2000;
const BS = 0x4000;

interface Watch {
  readonly at: number;
  readonly kind: number;
  readonly length?: number;
  /** Bits of the enable field: 1 local, 2 global. */
  readonly enable?: number;
}

function dr7Of(list: readonly Watch[], more = 0): number {
  const fields = list.map(({ kind, length = 1, enable = 1 }, i) => (enable << (i * 2)) | ((kind | (LEN[length]! << 2)) << (16 + i * 4)));
  return fields.reduce((all, field) => all | field, 0x400 | more) >>> 0;
}

function watch(list: readonly Watch[], more = 0): void {
  list.forEach(({ at }, i) => guest.processor.writeDr(i as 0, at, 0));
  guest.write(V.GUEST_DR7, dr7Of(list, more));
}

/** Runs to the #DB, and tells where it is and why; or to HLT: null. */
function trap(): { offset: number; bits: number } | null {
  const reason = guest.run();
  if (reason === V.EXIT_REASON_HLT) return null;
  expect([reason, guest.read(V.VM_EXIT_INTR_INFO) >>> 0]).toEqual([V.EXIT_REASON_EXCEPTION_NMI, 0x80000301]);
  return { offset: guest.read(V.GUEST_RIP) - GUEST_CODE, bits: guest.read(V.EXIT_QUALIFICATION) };
}

interface Case {
  readonly name: string;
  readonly code: readonly number[];
  readonly watch: readonly Watch[];
  /** Bits of DR6; 0: no trap. */
  readonly bits: number;
  readonly rdi?: number;
}

const MOV_STORE = [0x89, 0x07]; // mov [rdi], eax
const MOV_LOAD = [0x8b, 0x07]; // mov eax, [rdi]
const MOV_STORE_64 = [0x48, 0x89, 0x07];
const ADD_STORE = [0x01, 0x07];
const CMP = [0x39, 0x07];
const STORE_BYTE_7 = [0x88, 0x47, 0x07]; // mov [rdi + 7], al

const CASES: readonly Case[] = [
  { name: 'a write, watched for writes', code: MOV_STORE, watch: [{ at: DATA, kind: WRITES, length: 4 }], bits: 1 },
  { name: 'a read, watched for writes', code: MOV_LOAD, watch: [{ at: DATA, kind: WRITES, length: 4 }], bits: 0 },
  { name: 'a read, watched for both', code: MOV_LOAD, watch: [{ at: DATA, kind: ACCESSES, length: 4 }], bits: 1 },
  { name: 'a write, watched for both', code: MOV_STORE, watch: [{ at: DATA, kind: ACCESSES, length: 4 }], bits: 1 },
  { name: 'read, modify and write', code: ADD_STORE, watch: [{ at: DATA, kind: WRITES, length: 4 }], bits: 1 },
  { name: 'a comparison, watched for writes', code: CMP, watch: [{ at: DATA, kind: WRITES, length: 4 }], bits: 0 },
  { name: 'a comparison, watched for both', code: CMP, watch: [{ at: DATA, kind: ACCESSES, length: 4 }], bits: 1 },
  { name: 'LEA is no access', code: [0x48, 0x8d, 0x07], watch: [{ at: DATA, kind: ACCESSES }], bits: 0 },
  { name: 'a fetch is no data access', code: [0x90], watch: [{ at: GUEST_CODE, kind: ACCESSES, length: 8 }], bits: 0 },
  { name: 'the byte behind the access', code: MOV_STORE, watch: [{ at: DATA + 4, kind: WRITES }], bits: 0 },
  { name: 'the last byte of the access', code: MOV_STORE, watch: [{ at: DATA + 3, kind: WRITES }], bits: 1 },
  { name: 'the byte before the access', code: MOV_STORE, watch: [{ at: DATA - 1, kind: WRITES }], bits: 0 },
  { name: 'eight bytes: the last', code: STORE_BYTE_7, watch: [{ at: DATA, kind: WRITES, length: 8 }], bits: 1 },
  { name: 'four bytes: none of the next four', code: STORE_BYTE_7, watch: [{ at: DATA, kind: WRITES, length: 4 }], bits: 0 },
  { name: 'an address that is not aligned counts as aligned', code: MOV_STORE, watch: [{ at: DATA + 3, kind: WRITES, length: 4 }], bits: 1, rdi: DATA - 3 },
  { name: 'and does not reach further', code: MOV_STORE, watch: [{ at: DATA + 3, kind: WRITES, length: 4 }], bits: 0, rdi: DATA + 4 },
  { name: 'two bytes, aligned', code: STORE_BYTE_7, watch: [{ at: DATA + 7, kind: WRITES, length: 2 }], bits: 1 },
  { name: 'globally enabled', code: MOV_STORE, watch: [{ at: DATA, kind: WRITES, enable: 2 }], bits: 1 },
  { name: 'not enabled', code: MOV_STORE, watch: [{ at: DATA, kind: WRITES, enable: 0 }], bits: 0 },
  { name: 'several at once', code: MOV_STORE_64, bits: 0b1011, watch: [
    { at: DATA, kind: WRITES }, { at: DATA + 7, kind: ACCESSES }, { at: DATA + 8, kind: WRITES }, { at: DATA + 4, kind: WRITES, length: 4 },
  ] },
  { name: 'an access across pages, its first part', code: MOV_STORE, watch: [{ at: DATA + 0xfff, kind: WRITES }], bits: 1, rdi: DATA + 0xffe },
  { name: 'an access across pages, its second part', code: MOV_STORE, watch: [{ at: DATA + 0x1000, kind: WRITES }], bits: 1, rdi: DATA + 0xffe },
  { name: 'another byte of a watched page', code: [...MOV_STORE, ...MOV_LOAD], watch: [{ at: DATA + 0x100, kind: ACCESSES }], bits: 0 },
  { name: 'PUSH', code: [0x50], watch: [{ at: GUEST_STACK - 8, kind: WRITES, length: 8 }], bits: 1 },
  { name: 'CALL', code: [0xe8, 0, 0, 0, 0], watch: [{ at: GUEST_STACK - 1, kind: WRITES }], bits: 1 },
  { name: 'a vector store', code: [0x0f, 0x11, 0x07], watch: [{ at: DATA + 15, kind: WRITES }], bits: 1 },
  { name: 'FNSTENV', code: [0xd9, 0x37], watch: [{ at: DATA + 27, kind: WRITES }], bits: 1 },
  { name: 'FXSAVE writes its registers', code: [0x0f, 0xae, 0x07], watch: [{ at: DATA + 40, kind: WRITES }], bits: 1 },
  { name: 'FXSAVE does not write its last bytes', code: [0x0f, 0xae, 0x07], watch: [{ at: DATA + 500, kind: WRITES }], bits: 0 },
  { name: 'LOCK CMPXCHG', code: [0xf0, 0x0f, 0xb1, 0x07], watch: [{ at: DATA, kind: WRITES }], bits: 1 },
];

describe('data breakpoints', () => {
  test.each(CASES)('$name: $bits', ({ code, watch: list, bits, rdi = DATA }) => {
    guest.set(V.GUEST_CR4, 0x600);
    guest.write(V.GUEST_RFLAGS, 2);
    guest.code([...code, HLT]);
    guest.setGpr(RDI, rdi);
    watch(list);
    expect(trap()).toEqual(bits === 0 ? null : { offset: code.length, bits });
    expect(guest.read(V.GUEST_RFLAGS) & RF).toBe(0);
    if (bits !== 0) expect(trap()).toBe(null);
    // The instruction has been executed once.
    if (code === ADD_STORE) expect(guest.memory.u32[(guest.ram + DATA) >>> 2]).toBe(guest.gpr(RAX) * 3);
  });

  test('go through the guest\'s IDT, with DR6 set and the frame behind the instruction', () => {
    guest.write(V.EXCEPTION_BITMAP, 0);
    guest.gate(DB, GUEST_CODE + 0x100);
    guest.code([0x0f, 0x21, 0xf0, HLT], GUEST_CODE + 0x100); // mov rax, dr6
    guest.code([...MOV_STORE, HLT]);
    watch([{ at: OTHER, kind: WRITES }, { at: DATA, kind: WRITES }]);
    expect(guest.run()).toBe(V.EXIT_REASON_HLT);
    expect(guest.gpr(RAX) >>> 0).toBe(0xffff0ff2);
    expect(guest.memory.u32[(guest.ram + guest.read(V.GUEST_RSP)) >>> 2]).toBe(GUEST_CODE + 2);
  });

  test('in the guest itself: MOV to DR arms them, and disarms them', () => {
    // mov dr0, rdi; mov dr7, rcx; mov [rdi], eax; mov dr7, rsi; mov [rdi], eax
    guest.code([0x0f, 0x23, 0xc7, 0x0f, 0x23, 0xf9, ...MOV_STORE, 0x0f, 0x23, 0xfe, ...MOV_STORE, HLT]);
    guest.setGpr(RCX, 0x10001);
    guest.setGpr(RSI, 0);
    expect(trap()).toEqual({ offset: 8, bits: 1 });
    expect(trap()).toBe(null);
  });

  test('with single-stepping, both reasons', () => {
    guest.code([...MOV_STORE, HLT]);
    guest.write(V.GUEST_RFLAGS, 2 | TF);
    watch([{ at: DATA, kind: WRITES }]);
    expect(trap()).toEqual({ offset: 2, bits: BS | 1 });
  });

  test('the trap of MOV SS waits for the next instruction', () => {
    guest.code([0x8e, 0x17, 0x90, 0x90, HLT]); // mov ss, [rdi]; nop; nop
    guest.memory.u32[(guest.ram + DATA) >>> 2] = 0x10;
    watch([{ at: DATA, kind: ACCESSES }]);
    expect(trap()).toEqual({ offset: 3, bits: 1 });
  });

  test('an instruction that faults reports no match', () => {
    guest.code([0xa4, HLT]); // movsb
    guest.setGpr(RSI, DATA);
    guest.setGpr(RDI, 0x4000_0000);
    guest.write(V.EXCEPTION_BITMAP, (1 << DB) | (1 << PF));
    watch([{ at: DATA, kind: ACCESSES }]);
    expect(guest.run()).toBe(V.EXIT_REASON_EXCEPTION_NMI);
    expect(guest.read(V.VM_EXIT_INTR_INFO) & 0xff).toBe(PF);
    expect(guest.read(V.GUEST_PENDING_DBG_EXCEPTIONS)).toBe(0);
    guest.setGpr(RDI, OTHER);
    expect(trap()).toEqual({ offset: 1, bits: 1 });
  });

  test('the delivery of an interrupt matches, and traps at the handler', () => {
    guest.gate(0x40, GUEST_CODE + 0x100);
    guest.code([0x90, HLT], GUEST_CODE + 0x100);
    guest.code([0xcd, 0x40]);
    watch([{ at: GUEST_STACK - 40, kind: WRITES, length: 8 }]);
    expect(trap()).toEqual({ offset: 0x100, bits: 1 });
    expect(guest.memory.u32[(guest.ram + GUEST_STACK - 40) >>> 2]).toBe(GUEST_CODE + 2);
  });

  test('an external interrupt that matches as it is delivered traps at the handler too', () => {
    guest.clear(V.PIN_BASED_VM_EXEC_CONTROL, V.PIN_BASED_EXT_INTR_MASK);
    guest.gate(0x31, GUEST_CODE + 0x100);
    guest.code([0x90, HLT], GUEST_CODE + 0x100);
    guest.code([0x90, 0x90, HLT]);
    guest.write(V.GUEST_RFLAGS, 0x202);
    guest.processor.raiseInterrupt(0x31);
    watch([{ at: GUEST_STACK - 40, kind: WRITES, length: 8 }]);
    expect(trap()).toEqual({ offset: 0x100, bits: 1 });
  });

  test('a debug handler whose own stack is watched does not trap for ever', () => {
    guest.write(V.EXCEPTION_BITMAP, 0);
    guest.gate(DB, GUEST_CODE + 0x100);
    guest.code([HLT], GUEST_CODE + 0x100);
    guest.code([...MOV_STORE, 0x90]);
    watch([{ at: DATA, kind: WRITES }, { at: GUEST_STACK - 40, kind: WRITES, length: 8 }]);
    expect(guest.run()).toBe(V.EXIT_REASON_HLT);
    expect(guest.read(V.GUEST_RIP)).toBe(GUEST_CODE + 0x100);
  });

  test('in compiled code: at the very store', () => {
    // again: mov [rdi], ecx; add rdi, 8; dec ecx; jnz again
    guest.code([0x89, 0x0f, 0x48, 0x83, 0xc7, 0x08, 0xff, 0xc9, 0x75, 0xf4, HLT]);
    const count = 100_000;
    const place = 90_000;
    guest.setGpr(RDI, 0x4_0000);
    guest.setGpr(RCX, count);
    watch([{ at: 0x4_0000 + place * 8 + 3, kind: WRITES }]);
    expect(trap()).toEqual({ offset: 2, bits: 1 });
    expect(guest.gpr(RCX)).toBe(count - place);
    expect(guest.gpr(RDI)).toBe(0x4_0000 + place * 8);
    expect(trap()).toBe(null);
    expect(guest.gpr(RCX)).toBe(0);
  });
});

describe.skipIf(native === null)('the processor at hand', () => {
  const start = { codeAt: GUEST_CODE, rsi: OTHER, rcx: 0, rsp: GUEST_STACK };
  // Linux takes no addresses that are not aligned.
  const aligned = CASES.filter(({ watch: list }) => list.every(({ at, length = 1 }) => at % length === 0));

  test.each(aligned)('$name: $bits', ({ code, watch: list, bits, rdi = DATA }) => {
    const result = native!.run({ ...start, code, addresses: list.map(({ at }) => at), dr7: dr7Of(list), rdi });
    // INT3 is one byte.
    expect([result.rip - GUEST_CODE, result.dr6 & 0xf]).toEqual([bits === 0 ? code.length + 1 : code.length, bits]);
  });

  test('traps between the elements of REP MOVSB, with RF set', () => {
    const list = [{ at: DATA + 100, kind: WRITES, length: 2 }];
    const result = native!.run({ ...start, code: [0xf3, 0xa4], addresses: [DATA + 100], dr7: dr7Of(list), rdi: DATA, rcx: 200 });
    expect([result.rip, result.rcx, result.rdi, result.rflags & RF]).toEqual([GUEST_CODE, 99, DATA + 101, RF]);
  });
});

describe('repeated string instructions trap after the element', () => {
  const REP_MOVSB = [0xf3, 0xa4];

  test('with RF set and RIP at the instruction while elements are left', () => {
    guest.code([...REP_MOVSB, HLT]);
    guest.setGpr(RSI, OTHER);
    guest.setGpr(RCX, 200);
    watch([{ at: DATA + 100, kind: WRITES, length: 2 }]);
    for (const left of [99, 98]) {
      expect(trap()).toEqual({ offset: 0, bits: 1 });
      expect([guest.gpr(RCX), guest.gpr(RDI)]).toEqual([left, DATA + 200 - left]);
      expect(guest.read(V.GUEST_RFLAGS) & RF).toBe(RF);
    }
    expect(trap()).toBe(null);
    expect([guest.gpr(RCX), guest.read(V.GUEST_RFLAGS) & RF]).toEqual([0, 0]);
  });

  test('behind it after the last one', () => {
    guest.code([...REP_MOVSB, HLT]);
    guest.setGpr(RCX, 5);
    watch([{ at: DATA + 4, kind: WRITES }]);
    expect(trap()).toEqual({ offset: 2, bits: 1 });
    expect(guest.read(V.GUEST_RFLAGS) & RF).toBe(0);
  });

  test.each([
    ['rep stosd', [0xf3, 0xab], { at: DATA + 0x200, kind: WRITES }, 0x400 - 0x81],
    ['repe cmpsb, the source', [0xf3, 0xa6], { at: OTHER + 0x80, kind: ACCESSES }, 0x400 - 0x81],
    ['rep lodsb', [0xf3, 0xac], { at: OTHER + 0x80, kind: ACCESSES }, 0x400 - 0x81],
  ])('%s', (_name, code, one, left) => {
    guest.memory.u8.fill(7, guest.ram + DATA, guest.ram + DATA + 0x1000);
    guest.memory.u8.fill(7, guest.ram + OTHER, guest.ram + OTHER + 0x1000);
    guest.code([...code, HLT]);
    guest.setGpr(RCX, 0x400);
    watch([one]);
    expect(trap()).toEqual({ offset: 0, bits: 1 });
    expect(guest.gpr(RCX)).toBe(left);
  });

  test('a breakpoint on the instruction itself matches once', () => {
    guest.code([0x90, ...REP_MOVSB, 0x90, HLT]);
    guest.setGpr(RCX, 300);
    watch([{ at: GUEST_CODE + 1, kind: 0 }]);
    expect(trap()).toEqual({ offset: 1, bits: 1 });
    expect(guest.gpr(RCX)).toBe(300);
    guest.write(V.GUEST_RFLAGS, 2 | RF);
    expect(trap()).toBe(null);
    expect([guest.gpr(RCX), guest.read(V.GUEST_RFLAGS) & RF]).toEqual([0, 0]);
  });
});

describe('I/O breakpoints', () => {
  interface PortCase {
    readonly name: string;
    readonly code: readonly number[];
    readonly at: number;
    readonly length?: number;
    readonly cr4?: number;
    readonly offset: number | null;
  }

  const PORT_CASES: readonly PortCase[] = [
    { name: 'in al, 0x60', code: [0xe4, 0x60], at: 0x60, offset: 2 },
    { name: 'out 0x60, al', code: [0xe6, 0x60], at: 0x60, offset: 2 },
    { name: 'in al, 0x60 without CR4.DE', code: [0xe4, 0x60], at: 0x60, cr4: 0, offset: null },
    { name: 'the port beside it', code: [0xe4, 0x60], at: 0x61, offset: null },
    { name: 'the second byte of a word', code: [0x66, 0xe5, 0x60], at: 0x61, offset: 3 },
    { name: 'four ports, the last', code: [0xe4, 0x63], at: 0x60, length: 4, offset: 2 },
    { name: 'memory at the same address', code: [0x88, 0x04, 0x25, 0x60, 0, 0, 0], at: 0x60, offset: null },
    { name: 'outsb', code: [0x6e], at: 0x3f8, offset: 1 },
    { name: 'rep outsb', code: [0xf3, 0x6e], at: 0x3f8, offset: 0 },
    { name: 'rep insb', code: [0xf3, 0x6c], at: 0x3f8, offset: 0 },
  ];

  test.each(PORT_CASES)('$name', ({ code, at, length = 1, cr4 = 8, offset }) => {
    guest.clear(V.CPU_BASED_VM_EXEC_CONTROL, V.CPU_BASED_UNCOND_IO_EXITING);
    guest.set(V.GUEST_CR4, cr4);
    guest.code([...code, HLT]);
    guest.setGpr(2, 0x3f8);
    guest.setGpr(RCX, 3);
    watch([{ at, kind: PORTS, length }]);
    expect(trap()).toEqual(offset === null ? null : { offset, bits: 1 });
    if (offset !== 0) return;
    expect([guest.gpr(RCX), guest.read(V.GUEST_RFLAGS) & RF]).toEqual([2, RF]);
    expect(trap()).toEqual({ offset: 0, bits: 1 });
    expect(trap()).toEqual({ offset: 2, bits: 1 });
    expect([guest.gpr(RCX), guest.read(V.GUEST_RFLAGS) & RF]).toEqual([0, 0]);
    expect(trap()).toBe(null);
  });
});

describe('general detect', () => {
  const GD = 0x2000;

  test.each([['mov dr0, rax', [0x0f, 0x23, 0xc0]], ['mov rax, dr6', [0x0f, 0x21, 0xf0]]])('%s is a fault with RF', (_name, code) => {
    guest.code([...code, HLT]);
    watch([], GD);
    expect(trap()).toEqual({ offset: 0, bits: BD });
    expect(guest.read(V.GUEST_RFLAGS) & RF).toBe(RF);
  });

  test('is off in the handler', () => {
    guest.write(V.EXCEPTION_BITMAP, 0);
    guest.gate(DB, GUEST_CODE + 0x100);
    guest.code([0x0f, 0x21, 0xf0, HLT], GUEST_CODE + 0x100);
    guest.code([0x0f, 0x23, 0xc0]);
    watch([], GD);
    expect(guest.run()).toBe(V.EXIT_REASON_HLT);
    expect(guest.gpr(RAX) >>> 0).toBe(0xffff2ff0);
    expect(guest.read(V.GUEST_DR7)).toBe(0x400);
    const frame = (guest.ram + guest.read(V.GUEST_RSP)) >>> 2;
    expect([guest.memory.u32[frame], guest.memory.u32[frame + 4]! & RF]).toEqual([GUEST_CODE, RF]);
  });

  test('"MOV-DR exiting" comes before it, before privilege and before CR4.DE (vol. 3C, 26.1.3)', () => {
    guest.set(V.CPU_BASED_VM_EXEC_CONTROL, V.CPU_BASED_MOV_DR_EXITING);
    guest.set(V.GUEST_CR4, 8);
    guest.write(V.GUEST_CS_AR_BYTES, 0xa0fb);
    guest.write(V.GUEST_SS_AR_BYTES, 0xc0f3);
    guest.memory.u32[(guest.ram + 0x1000) >>> 2]! |= 4;
    guest.code([0x0f, 0x23, 0xe0]); // mov dr4, rax
    watch([], GD);
    expect(guest.run()).toBe(V.EXIT_REASON_DR_ACCESS);
    expect(guest.read(V.EXIT_QUALIFICATION)).toBe(4);
  });
});

describe('instruction breakpoints', () => {
  test('come before the instruction, once more without RF, and not with it', () => {
    guest.code([0x90, 0x90, HLT]);
    watch([{ at: GUEST_CODE + 1, kind: 0 }]);
    expect(trap()).toEqual({ offset: 1, bits: 1 });
    expect(guest.read(V.GUEST_RFLAGS) & RF).toBe(0);
    expect(trap()).toEqual({ offset: 1, bits: 1 });
    guest.write(V.GUEST_RFLAGS, 2 | RF);
    expect(trap()).toBe(null);
    expect(guest.read(V.GUEST_RFLAGS) & RF).toBe(0);
  });

  test.each([['inside the instruction', 1, 1], ['with a length', 0, 4]])('do not match %s', (_name, at, length) => {
    guest.code([0x48, 0x89, 0xc0, HLT]);
    watch([{ at: GUEST_CODE + at, kind: 0, length }]);
    expect(trap()).toBe(null);
  });

  test('elsewhere keep no code from running at full speed, and match in compiled code', () => {
    const FUNCTION = GUEST_CODE + 0x3000;
    // The function is in a page of its own, and called at the end of each round.
    // round: mov ecx, 1000; again: dec ecx; jnz again; call FUNCTION; dec edx; jnz round; hlt
    guest.code([0xb9, 0xe8, 3, 0, 0, 0xff, 0xc9, 0x75, 0xfc, 0xe8, 0xf2, 0x2f, 0, 0, 0xff, 0xca, 0x75, 0xee, HLT]);
    guest.code([0xff, 0xc7, 0xff, 0xc7, 0xc3], FUNCTION); // inc edi; inc edi; ret
    guest.setGpr(RDX, 300);
    guest.setGpr(RDI, 0);
    // Compiled before there are any breakpoints.
    expect(trap()).toBe(null);
    expect(guest.gpr(RDI)).toBe(600);
    guest.write(V.GUEST_RIP, GUEST_CODE);
    guest.setGpr(RDX, 200);
    watch([{ at: FUNCTION + 0x100, kind: 0 }, { at: FUNCTION + 2, kind: 0 }]);
    for (let round = 0; round < 3; round++) {
      expect(trap()).toEqual({ offset: 0x3002, bits: 2 });
      expect([guest.gpr(RDX), guest.gpr(RDI)]).toEqual([200 - round, 600 + round * 2 + 1]);
      guest.write(V.GUEST_RFLAGS, guest.read(V.GUEST_RFLAGS) | RF);
    }
    // Another place of the page: all rounds go by.
    watch([{ at: FUNCTION + 0x100, kind: 0 }]);
    expect(trap()).toBe(null);
    expect(guest.gpr(RDI)).toBe(1000);
  });

  test('on an instruction that crosses pages', () => {
    const last = GUEST_CODE + 0xffe;
    guest.code([0xe9, 0xf9, 0x0f, 0, 0]); // jmp last
    guest.code([0x48, 0x81, 0xc7, 1, 0, 0, 0, HLT], last); // add rdi, 1
    for (const at of [last, last + 2]) {
      guest.write(V.GUEST_RIP, GUEST_CODE);
      guest.write(V.GUEST_RFLAGS, 2);
      guest.setGpr(RDI, 7);
      watch([{ at, kind: 0 }]);
      if (at === last) {
        expect(trap()).toEqual({ offset: 0xffe, bits: 1 });
        guest.write(V.GUEST_RFLAGS, 2 | RF);
      }
      expect(trap()).toBe(null);
      expect(guest.gpr(RDI)).toBe(8);
    }
  });

  test('are armed and disarmed by the page that they are in', () => {
    // mov dr0, rdi; mov dr7, rcx; nop; mov dr7, rsi; nop; hlt
    guest.code([0x0f, 0x23, 0xc7, 0x0f, 0x23, 0xf9, 0x90, 0x0f, 0x23, 0xfe, 0x90, HLT]);
    guest.setGpr(RDI, GUEST_CODE + 6);
    guest.setGpr(RCX, 1);
    guest.setGpr(RSI, 0);
    expect(trap()).toEqual({ offset: 6, bits: 1 });
    guest.write(V.GUEST_RFLAGS, 2 | RF);
    expect(trap()).toBe(null);
  });

  test('in a legacy code segment the address wraps at 4 GiB', () => {
    const real = new VmxGuest({ mode: 'real' });
    guest = real;
    real.set(V.VM_ENTRY_CONTROLS, V.VM_ENTRY_LOAD_DEBUG_CONTROLS);
    real.write(V.EXCEPTION_BITMAP, 1 << DB);
    real.write(V.GUEST_CS_BASE, 0xffff_fff0);
    real.write(V.GUEST_RIP, 0x20);
    real.write(V.GUEST_CS_SELECTOR, 0xffff);
    real.code([0x90, 0x90, HLT], 0x10);
    watch([{ at: 0x11, kind: 0 }]);
    const reason = real.run();
    // Virtual-8086 alone ties the base to the selector; where entry refuses the state there is nothing to see.
    expect(reason).toBe(V.EXIT_REASON_EXCEPTION_NMI);
    expect(real.read(V.GUEST_RIP)).toBe(0x21);
  });
});
