import { beforeEach, describe, expect, test } from 'vitest';
import * as V from '@vm/kvm-run/vmx';
import { GUEST_CODE, GUEST_STACK, VmxGuest } from '../testing/vmx-guest.ts';

let guest: VmxGuest;
beforeEach(() => {
  guest = new VmxGuest();
});

const HLT = 0xf4;
const HANDLER = GUEST_CODE + 0x100;
/** jmp $ */
const LOOP = [0xeb, 0xfe];
const IRETQ = [0x48, 0xcf];
const inject = (info: number): void => guest.write(V.VM_ENTRY_INTR_INFO_FIELD, (info | V.INTR_INFO_VALID_MASK) >>> 0);

function handler(vector: number, code: readonly number[] = [HLT]): void {
  guest.gate(vector, HANDLER);
  guest.code(code, HANDLER);
}

function stack(slot: number): number {
  return guest.memory.u32[(guest.ram + guest.read(V.GUEST_RSP) + slot * 8) >>> 2]!;
}

describe('event injection', () => {
  test('an external interrupt goes through the IDT before the first instruction', () => {
    handler(0x40);
    guest.write(V.GUEST_RFLAGS, 0x202);
    inject(0x40);
    expect(guest.run()).toBe(V.EXIT_REASON_HLT);
    expect(guest.read(V.GUEST_RIP)).toBe(HANDLER);
    expect(guest.read(V.GUEST_RSP)).toBe(GUEST_STACK - 40);
    expect(stack(0)).toBe(GUEST_CODE);
    expect(guest.read(V.GUEST_RFLAGS) & 0x200).toBe(0);
    expect(guest.read(V.VM_ENTRY_INTR_INFO_FIELD) >>> 31).toBe(0);
  });

  test('an exception with error code', () => {
    handler(13);
    inject(0xb0d);
    guest.write(V.VM_ENTRY_EXCEPTION_ERROR_CODE, 0x18);
    guest.run();
    expect(stack(0)).toBe(0x18);
    expect(stack(1)).toBe(GUEST_CODE);
  });

  test('a software interrupt pushes the RIP behind the instruction', () => {
    handler(0x80);
    inject(0x480);
    guest.write(V.VM_ENTRY_INSTRUCTION_LEN, 2);
    guest.run();
    expect(stack(0)).toBe(GUEST_CODE + 2);
  });

  test('the exception bitmap does not concern injected events', () => {
    handler(6);
    guest.write(V.EXCEPTION_BITMAP, 1 << 6);
    inject(0x306);
    expect(guest.run()).toBe(V.EXIT_REASON_HLT);
  });

  test('an EPT violation during injection reports the event', () => {
    guest.write(V.GUEST_IDTR_BASE, 0x40000000);
    guest.memory.u32[(guest.ram + 0x2008) >>> 2] = 0x40000000 | 0x87;
    guest.write(V.GUEST_RFLAGS, 0x202);
    inject(0x40);
    expect(guest.run()).toBe(V.EXIT_REASON_EPT_VIOLATION);
    expect(guest.read(V.IDT_VECTORING_INFO_FIELD) >>> 0).toBe(0x80000040);
  });

  test('an injected NMI blocks NMIs until IRET', () => {
    handler(2, [0x0f, 0xa2, ...IRETQ]);
    guest.code([HLT]);
    inject(0x202);
    expect(guest.run()).toBe(V.EXIT_REASON_CPUID);
    expect(guest.read(V.GUEST_INTERRUPTIBILITY_INFO)).toBe(V.GUEST_INTR_STATE_NMI);
    guest.set(V.CPU_BASED_VM_EXEC_CONTROL, V.CPU_BASED_NMI_WINDOW_EXITING);
    guest.skip();
    expect(guest.run()).toBe(V.EXIT_REASON_NMI_WINDOW);
    expect(guest.read(V.GUEST_RIP)).toBe(GUEST_CODE);
  });
});

describe('external interrupts and NMIs of the physical CPU', () => {
  test('leave the guest, acknowledged, whatever RFLAGS.IF says', () => {
    guest.code(LOOP);
    guest.processor.raiseInterrupt(0x31);
    guest.processor.raiseInterrupt(0xec);
    expect(guest.run()).toBe(V.EXIT_REASON_EXTERNAL_INTERRUPT);
    expect(guest.read(V.VM_EXIT_INTR_INFO) >>> 0).toBe(0x800000ec);
    expect(guest.run()).toBe(V.EXIT_REASON_EXTERNAL_INTERRUPT);
    expect(guest.read(V.VM_EXIT_INTR_INFO) >>> 0).toBe(0x80000031);
    expect(guest.processor.acknowledgeInterrupt()).toBe(-1);
  });

  test('without "acknowledge interrupt on exit" the vector stays pending', () => {
    guest.clear(V.VM_EXIT_CONTROLS, V.VM_EXIT_ACK_INTR_ON_EXIT);
    guest.code(LOOP);
    guest.processor.raiseInterrupt(0x31);
    expect(guest.run()).toBe(V.EXIT_REASON_EXTERNAL_INTERRUPT);
    expect(guest.read(V.VM_EXIT_INTR_INFO)).toBe(0);
    expect(guest.processor.acknowledgeInterrupt()).toBe(0x31);
  });

  test('an NMI', () => {
    guest.code(LOOP);
    guest.processor.raiseNmi();
    expect(guest.run()).toBe(V.EXIT_REASON_EXCEPTION_NMI);
    expect(guest.read(V.VM_EXIT_INTR_INFO) >>> 0).toBe(0x80000202);
  });

  test('without "external-interrupt exiting" they go to the guest, once IF is set', () => {
    guest.clear(V.PIN_BASED_VM_EXEC_CONTROL, V.PIN_BASED_EXT_INTR_MASK);
    handler(0x31, [0x0f, 0xa2]);
    // sti; nop; nop
    guest.code([0xfb, 0x90, 0x90, HLT]);
    guest.processor.raiseInterrupt(0x31);
    expect(guest.run()).toBe(V.EXIT_REASON_CPUID);
    // STI lets one instruction through.
    expect(stack(0)).toBe(GUEST_CODE + 2);
  });

  test('the local timer', () => {
    guest.code(LOOP);
    const deadline = guest.processor.rdtsc() + 10_000;
    guest.processor.setLocalTimer(deadline, 0xec);
    expect(guest.run()).toBe(V.EXIT_REASON_EXTERNAL_INTERRUPT);
    expect(guest.processor.rdtsc()).toBeGreaterThanOrEqual(deadline);
    expect(guest.processor.rdtsc()).toBeLessThan(deadline + 100);
  });
});

describe('windows', () => {
  test('the interrupt window opens behind the shadow of STI', () => {
    guest.set(V.CPU_BASED_VM_EXEC_CONTROL, V.CPU_BASED_INTR_WINDOW_EXITING);
    guest.code([0xfb, 0x90, 0x90, HLT]);
    expect(guest.run()).toBe(V.EXIT_REASON_INTERRUPT_WINDOW);
    expect(guest.read(V.GUEST_RIP)).toBe(GUEST_CODE + 2);
    expect(guest.read(V.GUEST_INTERRUPTIBILITY_INFO)).toBe(0);
  });

  test('it is open at once when interrupts are, and ends HLT', () => {
    guest.set(V.CPU_BASED_VM_EXEC_CONTROL, V.CPU_BASED_INTR_WINDOW_EXITING);
    guest.write(V.GUEST_RFLAGS, 0x202);
    guest.write(V.GUEST_ACTIVITY_STATE, V.GUEST_ACTIVITY_HLT);
    expect(guest.run()).toBe(V.EXIT_REASON_INTERRUPT_WINDOW);
    expect(guest.read(V.GUEST_RIP)).toBe(GUEST_CODE);
  });

  test('an exit in the shadow of STI saves the blocking', () => {
    guest.code([0xfb, HLT]);
    expect(guest.run()).toBe(V.EXIT_REASON_HLT);
    expect(guest.read(V.GUEST_INTERRUPTIBILITY_INFO)).toBe(V.GUEST_INTR_STATE_STI);
  });

  test('an exit behind MOV SS saves the blocking, and the shadow ends with the next instruction', () => {
    // mov ss, ax; cpuid; hlt
    guest.setGpr(0, 0x10);
    guest.code([0x8e, 0xd0, 0x0f, 0xa2, HLT]);
    expect(guest.run()).toBe(V.EXIT_REASON_CPUID);
    expect(guest.read(V.GUEST_INTERRUPTIBILITY_INFO)).toBe(V.GUEST_INTR_STATE_MOV_SS);
    guest.write(V.GUEST_INTERRUPTIBILITY_INFO, 0);
    guest.skip();
    guest.run();
    expect(guest.read(V.GUEST_INTERRUPTIBILITY_INFO)).toBe(0);
  });
});

describe('VMX-preemption timer', () => {
  test('counts the TSC shifted right, and exits before the instruction', () => {
    guest.set(V.PIN_BASED_VM_EXEC_CONTROL, V.PIN_BASED_VMX_PREEMPTION_TIMER);
    guest.write(V.VMX_PREEMPTION_TIMER_VALUE, 100);
    guest.code(LOOP);
    const start = guest.processor.rdtsc();
    expect(guest.run()).toBe(V.EXIT_REASON_PREEMPTION_TIMER);
    const shift = guest.processor.rdmsr(V.MSR_IA32_VMX_MISC) & 31;
    const elapsed = guest.processor.rdtsc() - start;
    expect(elapsed).toBeGreaterThan(99 * 2 ** shift);
    expect(elapsed).toBeLessThan(101 * 2 ** shift);
  });

  test('a value of zero exits before the first instruction', () => {
    guest.set(V.PIN_BASED_VM_EXEC_CONTROL, V.PIN_BASED_VMX_PREEMPTION_TIMER);
    guest.code([HLT]);
    expect(guest.run()).toBe(V.EXIT_REASON_PREEMPTION_TIMER);
    expect(guest.processor.instructionCount()).toBe(0);
  });

  test('its value is saved where the exit controls say so', () => {
    guest.set(V.PIN_BASED_VM_EXEC_CONTROL, V.PIN_BASED_VMX_PREEMPTION_TIMER);
    guest.set(V.VM_EXIT_CONTROLS, V.VM_EXIT_SAVE_VMX_PREEMPTION_TIMER);
    guest.write(V.VMX_PREEMPTION_TIMER_VALUE, 1000);
    // mov ecx, 320; l: dec ecx; jnz l; hlt
    guest.code([0xb9, 0x40, 1, 0, 0, 0xff, 0xc9, 0x75, 0xfc, HLT]);
    expect(guest.run()).toBe(V.EXIT_REASON_HLT);
    expect(guest.read(V.VMX_PREEMPTION_TIMER_VALUE)).toBe(1000 - 20);
  });

  test('it wakes a halted guest', () => {
    guest.clear(V.CPU_BASED_VM_EXEC_CONTROL, V.CPU_BASED_HLT_EXITING);
    guest.set(V.PIN_BASED_VM_EXEC_CONTROL, V.PIN_BASED_VMX_PREEMPTION_TIMER);
    guest.write(V.VMX_PREEMPTION_TIMER_VALUE, 1_000_000);
    guest.code([HLT]);
    expect(guest.run()).toBe(V.EXIT_REASON_PREEMPTION_TIMER);
    expect(guest.read(V.GUEST_ACTIVITY_STATE)).toBe(V.GUEST_ACTIVITY_HLT);
    expect(guest.read(V.GUEST_RIP)).toBe(GUEST_CODE + 1);
  });
});

describe('monitor trap flag and single-step', () => {
  test('MTF exits after each instruction', () => {
    guest.set(V.CPU_BASED_VM_EXEC_CONTROL, V.CPU_BASED_MONITOR_TRAP_FLAG);
    guest.code([0x90, 0x90, 0x90]);
    for (let i = 1; i <= 3; i++) {
      expect(guest.run()).toBe(V.EXIT_REASON_MONITOR_TRAP_FLAG);
      expect(guest.read(V.GUEST_RIP)).toBe(GUEST_CODE + i);
    }
  });

  test('MTF exits right behind an injected event', () => {
    guest.set(V.CPU_BASED_VM_EXEC_CONTROL, V.CPU_BASED_MONITOR_TRAP_FLAG);
    handler(6);
    inject(0x306);
    expect(guest.run()).toBe(V.EXIT_REASON_MONITOR_TRAP_FLAG);
    expect(guest.read(V.GUEST_RIP)).toBe(HANDLER);
  });

  test('a pending MTF exit is injected as an event', () => {
    guest.set(V.CPU_BASED_VM_EXEC_CONTROL, V.CPU_BASED_MONITOR_TRAP_FLAG);
    inject(0x700);
    expect(guest.run()).toBe(V.EXIT_REASON_MONITOR_TRAP_FLAG);
    expect(guest.read(V.GUEST_RIP)).toBe(GUEST_CODE);
  });

  test('RFLAGS.TF traps after each instruction, through the bitmap or the IDT', () => {
    guest.write(V.GUEST_RFLAGS, 0x102);
    guest.write(V.EXCEPTION_BITMAP, 2);
    guest.code([0x90, 0x90, HLT]);
    expect(guest.run()).toBe(V.EXIT_REASON_EXCEPTION_NMI);
    expect(guest.read(V.VM_EXIT_INTR_INFO) >>> 0).toBe(0x80000301);
    expect(guest.read(V.EXIT_QUALIFICATION)).toBe(0x4000);
    expect(guest.read(V.GUEST_RIP)).toBe(GUEST_CODE + 1);
    guest.write(V.EXCEPTION_BITMAP, 0);
    handler(1);
    expect(guest.run()).toBe(V.EXIT_REASON_HLT);
    expect(guest.read(V.GUEST_RIP)).toBe(HANDLER);
    expect(stack(0)).toBe(GUEST_CODE + 2);
    expect(guest.processor.readDr(6) & 0x4000).toBe(0x4000);
  });

  test('a pending debug exception is delivered before the first instruction', () => {
    handler(1);
    guest.write(V.GUEST_PENDING_DBG_EXCEPTIONS, 0x4000);
    expect(guest.run()).toBe(V.EXIT_REASON_HLT);
    expect(stack(0)).toBe(GUEST_CODE);
  });
});

describe('time', () => {
  test('the offset applies to RDTSC and to reads of the MSR', () => {
    const bitmap = guest.memory.allocPages(1);
    guest.set(V.CPU_BASED_VM_EXEC_CONTROL, V.CPU_BASED_USE_TSC_OFFSETTING | V.CPU_BASED_USE_MSR_BITMAPS);
    guest.write(V.MSR_BITMAP, bitmap);
    guest.write(V.TSC_OFFSET, 0, 0x10);
    // rdtsc; vmcall; rdmsr; hlt
    guest.code([0x0f, 0x31, 0x0f, 0x01, 0xc1, 0x0f, 0x32, HLT]);
    guest.run();
    expect(guest.gpr(2)).toBe(0x10);
    guest.skip();
    guest.setGpr(1, V.MSR_IA32_TSC);
    guest.setGpr(2, 0);
    guest.run();
    expect(guest.gpr(2)).toBe(0x10);
  });

  test('two deterministic runs count and time alike', () => {
    const run = (): number[] => {
      const g = new VmxGuest();
      // l: rdtsc; xor ebx, eax; dec ecx; jnz l; hlt
      g.code([0x0f, 0x31, 0x31, 0xc3, 0xff, 0xc9, 0x75, 0xf8, HLT]);
      g.setGpr(1, 100_000);
      g.run();
      return [g.gpr(3), g.processor.instructionCount(), g.processor.rdtsc()];
    };
    expect(run()).toEqual(run());
  });
});
