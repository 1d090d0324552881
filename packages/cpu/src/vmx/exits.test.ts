import { beforeEach, describe, expect, test } from 'vitest';
import * as V from '@vm/kvm-run/vmx';
import { GUEST_CODE, GUEST_STACK, VmxGuest } from '../testing/vmx-guest.ts';

let guest: VmxGuest;
beforeEach(() => {
  guest = new VmxGuest();
});

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RBX = 3;
const RDI = 7;
const HLT = 0xf4;
const proc = (bits: number) => (g: VmxGuest): void => g.set(V.CPU_BASED_VM_EXEC_CONTROL, bits);
const secondary = (bits: number) => (g: VmxGuest): void => g.set(V.SECONDARY_VM_EXEC_CONTROL, bits);
const nothing = (): void => {};

interface ExitCase {
  readonly name: string;
  readonly code: readonly number[];
  readonly reason: number;
  readonly prepare?: (g: VmxGuest) => void;
  readonly qualification?: number;
  readonly information?: number;
  /** What happens without `prepare`: the instruction completes (HLT follows), or #UD, or it exits all the same. */
  readonly otherwise?: 'completes' | 'ud' | 'gp';
}

const CASES: readonly ExitCase[] = [
  { name: 'CPUID', code: [0x0f, 0xa2], reason: V.EXIT_REASON_CPUID },
  { name: 'HLT', code: [HLT], reason: V.EXIT_REASON_HLT },
  { name: 'INVD', code: [0x0f, 0x08], reason: V.EXIT_REASON_INVD },
  { name: 'VMCALL', code: [0x0f, 0x01, 0xc1], reason: V.EXIT_REASON_VMCALL },
  { name: 'RDMSR without bitmaps', code: [0x0f, 0x32], reason: V.EXIT_REASON_MSR_READ },
  { name: 'WRMSR without bitmaps', code: [0x0f, 0x30], reason: V.EXIT_REASON_MSR_WRITE },
  { name: 'VMCLEAR [rbx+8]', code: [0x66, 0x0f, 0xc7, 0x73, 8], reason: V.EXIT_REASON_VMCLEAR, qualification: 8,
    information: (2 << 7) | (3 << 15) | (1 << 22) | (3 << 23) },
  { name: 'VMPTRLD [rbx]', code: [0x0f, 0xc7, 0x33], reason: V.EXIT_REASON_VMPTRLD },
  { name: 'VMPTRST [rbx]', code: [0x0f, 0xc7, 0x3b], reason: V.EXIT_REASON_VMPTRST },
  { name: 'VMXON [rbx]', code: [0xf3, 0x0f, 0xc7, 0x33], reason: V.EXIT_REASON_VMON },
  { name: 'VMXOFF', code: [0x0f, 0x01, 0xc4], reason: V.EXIT_REASON_VMOFF },
  { name: 'VMLAUNCH', code: [0x0f, 0x01, 0xc2], reason: V.EXIT_REASON_VMLAUNCH },
  { name: 'VMRESUME', code: [0x0f, 0x01, 0xc3], reason: V.EXIT_REASON_VMRESUME },
  { name: 'VMREAD rbx, rcx', code: [0x0f, 0x78, 0xcb], reason: V.EXIT_REASON_VMREAD, information: 0x400 | (3 << 3) | (1 << 28) },
  { name: 'VMWRITE rcx, rbx', code: [0x0f, 0x79, 0xcb], reason: V.EXIT_REASON_VMWRITE, information: 0x400 | (3 << 3) | (1 << 28) },
  { name: 'INVEPT rcx, [rbx]', code: [0x66, 0x0f, 0x38, 0x80, 0x0b], reason: V.EXIT_REASON_INVEPT },
  { name: 'INVVPID rcx, [rbx]', code: [0x66, 0x0f, 0x38, 0x81, 0x0b], reason: V.EXIT_REASON_INVVPID },
  { name: 'RDTSC', code: [0x0f, 0x31], reason: V.EXIT_REASON_RDTSC, prepare: proc(V.CPU_BASED_RDTSC_EXITING), otherwise: 'completes' },
  { name: 'RDTSCP', code: [0x0f, 0x01, 0xf9], reason: V.EXIT_REASON_RDTSCP, prepare: proc(V.CPU_BASED_RDTSC_EXITING), otherwise: 'completes' },
  { name: 'RDPMC', code: [0x0f, 0x33], reason: V.EXIT_REASON_RDPMC, prepare: proc(V.CPU_BASED_RDPMC_EXITING), otherwise: 'gp' },
  { name: 'PAUSE', code: [0xf3, 0x90], reason: V.EXIT_REASON_PAUSE_INSTRUCTION, prepare: proc(V.CPU_BASED_PAUSE_EXITING), otherwise: 'completes' },
  { name: 'INVLPG [rbx+16]', code: [0x0f, 0x01, 0x7b, 16], reason: V.EXIT_REASON_INVLPG, prepare: proc(V.CPU_BASED_INVLPG_EXITING),
    qualification: 16, otherwise: 'completes' },
  { name: 'MONITOR', code: [0x0f, 0x01, 0xc8], reason: V.EXIT_REASON_MONITOR_INSTRUCTION, prepare: proc(V.CPU_BASED_MONITOR_EXITING), otherwise: 'completes' },
  { name: 'MWAIT', code: [0x0f, 0x01, 0xc9], reason: V.EXIT_REASON_MWAIT_INSTRUCTION, prepare: proc(V.CPU_BASED_MWAIT_EXITING), otherwise: 'completes' },
  { name: 'WBINVD', code: [0x0f, 0x09], reason: V.EXIT_REASON_WBINVD, prepare: secondary(V.SECONDARY_EXEC_WBINVD_EXITING), otherwise: 'completes' },
  { name: 'RDRAND ebx', code: [0x0f, 0xc7, 0xf3], reason: V.EXIT_REASON_RDRAND, prepare: secondary(V.SECONDARY_EXEC_RDRAND_EXITING),
    information: (3 << 3) | (1 << 11), otherwise: 'completes' },
  { name: 'RDSEED rbx', code: [0x48, 0x0f, 0xc7, 0xfb], reason: V.EXIT_REASON_RDSEED, prepare: secondary(V.SECONDARY_EXEC_RDSEED_EXITING),
    information: (3 << 3) | (2 << 11), otherwise: 'completes' },
  { name: 'SGDT [rbx+4]', code: [0x0f, 0x01, 0x43, 4], reason: V.EXIT_REASON_GDTR_IDTR, prepare: secondary(V.SECONDARY_EXEC_DESC),
    qualification: 4, information: (2 << 7) | (3 << 15) | (1 << 22) | (3 << 23), otherwise: 'completes' },
  { name: 'STR bx', code: [0x66, 0x0f, 0x00, 0xcb], reason: V.EXIT_REASON_LDTR_TR, prepare: secondary(V.SECONDARY_EXEC_DESC),
    information: 0x400 | (3 << 3) | (1 << 28), otherwise: 'completes' },
  { name: 'INVPCID rcx, [rbx]', code: [0x66, 0x0f, 0x38, 0x82, 0x0b], reason: V.EXIT_REASON_INVPCID,
    prepare: (g) => {
      secondary(V.SECONDARY_EXEC_ENABLE_INVPCID)(g);
      proc(V.CPU_BASED_INVLPG_EXITING)(g);
    }, otherwise: 'ud' },
  { name: 'MOV CR3, rax', code: [0x0f, 0x22, 0xd8], reason: V.EXIT_REASON_CR_ACCESS, prepare: proc(V.CPU_BASED_CR3_LOAD_EXITING), qualification: 3 },
  { name: 'MOV rdx, CR3', code: [0x0f, 0x20, 0xda], reason: V.EXIT_REASON_CR_ACCESS, prepare: proc(V.CPU_BASED_CR3_STORE_EXITING),
    qualification: 0x213, otherwise: 'completes' },
  { name: 'MOV CR8, rcx', code: [0x44, 0x0f, 0x22, 0xc1], reason: V.EXIT_REASON_CR_ACCESS, prepare: proc(V.CPU_BASED_CR8_LOAD_EXITING),
    qualification: 0x108, otherwise: 'completes' },
  { name: 'MOV rcx, CR8', code: [0x44, 0x0f, 0x20, 0xc1], reason: V.EXIT_REASON_CR_ACCESS, prepare: proc(V.CPU_BASED_CR8_STORE_EXITING),
    qualification: 0x118, otherwise: 'completes' },
  { name: 'MOV DR7, rdx', code: [0x0f, 0x23, 0xfa], reason: V.EXIT_REASON_DR_ACCESS, prepare: proc(V.CPU_BASED_MOV_DR_EXITING),
    qualification: 0x207, otherwise: 'completes' },
  { name: 'MOV rdx, DR6', code: [0x0f, 0x21, 0xf2], reason: V.EXIT_REASON_DR_ACCESS, prepare: proc(V.CPU_BASED_MOV_DR_EXITING),
    qualification: 0x216, otherwise: 'completes' },
];

const UD = 6;
const GP = 13;

describe('instructions that exit', () => {
  test.each(CASES)('$name', ({ code, reason, prepare = nothing, qualification = 0, information }) => {
    guest.code([...code, HLT]);
    prepare(guest);
    expect(guest.run()).toBe(reason);
    expect(guest.read(V.GUEST_RIP)).toBe(GUEST_CODE);
    expect(guest.read(V.VM_EXIT_INSTRUCTION_LEN)).toBe(code.length);
    expect(guest.read(V.EXIT_QUALIFICATION)).toBe(qualification);
    if (information !== undefined) expect(guest.read(V.VMX_INSTRUCTION_INFO)).toBe(information);
    expect(guest.read(V.VM_EXIT_INTR_INFO)).toBe(0);
  });

  test.each(CASES.filter((c) => c.otherwise !== undefined))('$name without its control', ({ code, otherwise }) => {
    guest.code([...code, HLT]);
    guest.write(V.EXCEPTION_BITMAP, (1 << UD) | (1 << GP));
    if (otherwise === 'completes') {
      expect(guest.run()).toBe(V.EXIT_REASON_HLT);
      expect(guest.read(V.GUEST_RIP)).toBe(GUEST_CODE + code.length);
      return;
    }
    expect(guest.run()).toBe(V.EXIT_REASON_EXCEPTION_NMI);
    expect(guest.read(V.VM_EXIT_INTR_INFO) & 0xff).toBe(otherwise === 'ud' ? UD : GP);
  });

  test('XSETBV exits, and is undefined without CR4.OSXSAVE', () => {
    guest.code([0x0f, 0x01, 0xd1]);
    guest.write(V.EXCEPTION_BITMAP, 1 << UD);
    expect(guest.run()).toBe(V.EXIT_REASON_EXCEPTION_NMI);
    guest.set(V.GUEST_CR4, 1 << 18);
    expect(guest.run()).toBe(V.EXIT_REASON_XSETBV);
  });

  test.each([['XSAVES', 0x2f], ['XRSTORS', 0x1f]])('%s is there with its control alone, and exits for nothing while IA32_XSS is zero', (_name, modrm) => {
    guest.code([0x0f, 0xc7, modrm, HLT]);
    guest.set(V.GUEST_CR4, 1 << 18);
    guest.write(V.EXCEPTION_BITMAP, (1 << UD) | (1 << GP));
    guest.setGpr(RDI, 0x30000);
    guest.setGpr(RAX, 1);
    guest.memory.u32[(guest.ram + 0x30000 + 524) >>> 2] = 0x80000000;
    expect(guest.run()).toBe(V.EXIT_REASON_EXCEPTION_NMI);
    expect(guest.read(V.VM_EXIT_INTR_INFO) & 0xff).toBe(UD);
    secondary(V.SECONDARY_EXEC_ENABLE_XSAVES)(guest);
    guest.write(V.XSS_EXIT_BITMAP, 0xffffffff, 0xffffffff);
    expect(guest.run()).toBe(V.EXIT_REASON_HLT);
  });

  const userMode = (): void => {
    guest.write(V.GUEST_CS_AR_BYTES, 0xa0fb);
    guest.write(V.GUEST_SS_AR_BYTES, 0xc0f3);
    guest.memory.u32[(guest.ram + 0x1000) >>> 2]! |= 4;
  };

  test('privilege comes before the exit', () => {
    guest.code([0x0f, 0x08]);
    userMode();
    guest.write(V.EXCEPTION_BITMAP, 1 << GP);
    expect(guest.run()).toBe(V.EXIT_REASON_EXCEPTION_NMI);
    expect(guest.read(V.VM_EXIT_INTR_INFO) >>> 0).toBe(0x80000b0d);
  });

  test('INVPCID: #UD without its control comes before privilege, #GP before the exit', () => {
    guest.code([0x66, 0x0f, 0x38, 0x82, 0x0b]);
    userMode();
    guest.write(V.EXCEPTION_BITMAP, (1 << UD) | (1 << GP));
    expect(guest.run()).toBe(V.EXIT_REASON_EXCEPTION_NMI);
    expect(guest.read(V.VM_EXIT_INTR_INFO) & 0xff).toBe(UD);
    secondary(V.SECONDARY_EXEC_ENABLE_INVPCID)(guest);
    proc(V.CPU_BASED_INVLPG_EXITING)(guest);
    expect(guest.run()).toBe(V.EXIT_REASON_EXCEPTION_NMI);
    expect(guest.read(V.VM_EXIT_INTR_INFO) & 0xff).toBe(GP);
  });

  test('a guest goes from one PCID to another and back, also across exits that keep translations by VPID', () => {
    const tables = 0x40000;
    const entry = (at: number, low: number): void => void (guest.memory.u32[(guest.ram + at) >>> 2] = low);
    // A second address space, in which the page at 0x30000 is another: code and stack stay where they are.
    entry(tables, (tables + 0x1000) | 7);
    entry(tables + 0x1000, (tables + 0x2000) | 7);
    entry(tables + 0x2000, (tables + 0x3000) | 7);
    for (let page = 0; page < 512; page++) entry(tables + 0x3000 + page * 8, (page << 12) | 7);
    entry(tables + 0x3000 + 0x30 * 8, 0x31007);
    entry(0x30000, 0x1111);
    entry(0x31000, 0x2222);
    guest.write(V.GUEST_CR4, 0x22020);
    guest.write(V.GUEST_CR3, 0x1000);
    // mov rcx, [rdi]; mov cr3, rax; mov rdx, [rdi]; cpuid; mov rdx, [rdi]; mov cr3, rbx; mov rcx, [rdi]; hlt
    guest.code([0x48, 0x8b, 0x0f, 0x0f, 0x22, 0xd8, 0x48, 0x8b, 0x17, 0x0f, 0xa2, 0x48, 0x8b, 0x17, 0x0f, 0x22, 0xdb, 0x48, 0x8b, 0x0f, HLT]);
    guest.setGpr(RAX, tables | 1, 0x80000000);
    guest.setGpr(RBX, 0x1000, 0x80000000);
    guest.setGpr(RDI, 0x30000);
    expect(guest.run()).toBe(V.EXIT_REASON_CPUID);
    expect([guest.gpr(RCX), guest.gpr(RDX), guest.read(V.GUEST_CR3)]).toEqual([0x1111, 0x2222, tables | 1]);
    guest.skip();
    guest.setGpr(RCX, 0);
    guest.setGpr(RDX, 0);
    expect(guest.run()).toBe(V.EXIT_REASON_HLT);
    expect([guest.gpr(RCX), guest.gpr(RDX), guest.read(V.GUEST_CR3)]).toEqual([0x1111, 0x2222, 0x1000]);
  });
});

describe('control registers', () => {
  test('CR0: host-owned bits exit when they differ from the shadow, and read as the shadow', () => {
    guest.write(V.CR0_GUEST_HOST_MASK, 8);
    guest.write(V.CR0_READ_SHADOW, 8);
    // mov rax, cr0; mov cr0, rax; and al, 0xf7; mov cr0, rax
    guest.code([0x0f, 0x20, 0xc0, 0x0f, 0x22, 0xc0, 0x24, 0xf7, 0x0f, 0x22, 0xc0, HLT]);
    expect(guest.run()).toBe(V.EXIT_REASON_CR_ACCESS);
    expect(guest.read(V.GUEST_RIP)).toBe(GUEST_CODE + 8);
    expect(guest.gpr(RAX) & 8).toBe(0);
    expect(guest.read(V.GUEST_CR0) & 8).toBe(0);
  });

  test('CLTS and LMSW', () => {
    guest.write(V.CR0_GUEST_HOST_MASK, 8);
    guest.write(V.CR0_READ_SHADOW, 8);
    guest.code([0x0f, 0x06, 0x0f, 0x01, 0xf0, HLT]);
    expect(guest.run()).toBe(V.EXIT_REASON_CR_ACCESS);
    expect(guest.read(V.EXIT_QUALIFICATION)).toBe(0x20);
    guest.skip();
    guest.setGpr(RAX, 0x1231);
    expect(guest.run()).toBe(V.EXIT_REASON_CR_ACCESS);
    expect(guest.read(V.EXIT_QUALIFICATION)).toBe(0x12310030);
  });

  test('CR3-target values do not exit', () => {
    guest.set(V.CPU_BASED_VM_EXEC_CONTROL, V.CPU_BASED_CR3_LOAD_EXITING);
    guest.write(V.CR3_TARGET_COUNT, 2);
    guest.write(V.CR3_TARGET_VALUE1, 0x1000);
    guest.setGpr(RAX, 0x1000);
    guest.code([0x0f, 0x22, 0xd8, HLT]);
    expect(guest.run()).toBe(V.EXIT_REASON_HLT);
  });

  test('CR4: reserved bits fault, VMXE cannot be cleared', () => {
    guest.write(V.EXCEPTION_BITMAP, 1 << GP);
    guest.setGpr(RAX, 0x20);
    guest.code([0x0f, 0x22, 0xe0]);
    expect(guest.run()).toBe(V.EXIT_REASON_EXCEPTION_NMI);
    guest.setGpr(RAX, 0x80002020);
    expect(guest.run()).toBe(V.EXIT_REASON_EXCEPTION_NMI);
  });

  test('TPR shadow: CR8 is the virtual TPR, and the threshold exits after the write', () => {
    const page = guest.memory.allocPages(1);
    guest.memory.u8[page + 0x80] = 0x80;
    guest.set(V.CPU_BASED_VM_EXEC_CONTROL, V.CPU_BASED_TPR_SHADOW);
    guest.write(V.VIRTUAL_APIC_PAGE_ADDR, page);
    guest.write(V.TPR_THRESHOLD, 4);
    // mov rax, cr8; mov cr8, rcx; hlt
    guest.code([0x44, 0x0f, 0x20, 0xc0, 0x44, 0x0f, 0x22, 0xc1, HLT]);
    guest.setGpr(RCX, 3);
    expect(guest.run()).toBe(V.EXIT_REASON_TPR_BELOW_THRESHOLD);
    expect(guest.gpr(RAX)).toBe(8);
    expect(guest.read(V.GUEST_RIP)).toBe(GUEST_CODE + 8);
    expect(guest.memory.u8[page + 0x80]).toBe(0x30);
    guest.write(V.TPR_THRESHOLD, 3);
    expect(guest.run()).toBe(V.EXIT_REASON_HLT);
  });
});

describe('I/O', () => {
  const io: readonly (readonly [string, readonly number[], number])[] = [
    ['in al, 0x60', [0xe4, 0x60], 0x600048],
    ['in eax, dx', [0xed], 0x3f8000b],
    ['out dx, ax', [0x66, 0xef], 0x3f80001],
    ['out 0x80, al', [0xe6, 0x80], 0x800040],
    ['rep insb', [0xf3, 0x6c], 0x3f80038],
    ['outsd', [0x6f], 0x3f80013],
  ];
  test.each(io)('%s', (_, code, qualification) => {
    guest.code(code);
    guest.setGpr(RDX, 0x3f8);
    guest.setGpr(RCX, 4);
    guest.setGpr(RDI, 0x8000);
    expect(guest.run()).toBe(V.EXIT_REASON_IO_INSTRUCTION);
    expect(guest.read(V.EXIT_QUALIFICATION)).toBe(qualification);
    expect(guest.read(V.VM_EXIT_INSTRUCTION_LEN)).toBe(code.length);
    if (code.includes(0x6c)) {
      expect(guest.read(V.GUEST_LINEAR_ADDRESS)).toBe(0x8000);
      expect(guest.read(V.VMX_INSTRUCTION_INFO)).toBe(2 << 7);
    }
  });

  test('bitmaps choose ports, every byte of an access counts, and other ports read ones', () => {
    const [a, b] = [guest.memory.allocPages(1), guest.memory.allocPages(1)];
    guest.set(V.CPU_BASED_VM_EXEC_CONTROL, V.CPU_BASED_USE_IO_BITMAPS);
    guest.write(V.IO_BITMAP_A, a);
    guest.write(V.IO_BITMAP_B, b);
    guest.memory.u8[a + (0x3fb >> 3)] = 1 << (0x3fb & 7);
    guest.memory.u8[b] = 1;
    guest.setGpr(RDX, 0x3f8);
    // in ax, dx; in eax, dx
    guest.code([0x66, 0xed, 0xed]);
    expect(guest.run()).toBe(V.EXIT_REASON_IO_INSTRUCTION);
    expect(guest.read(V.GUEST_RIP)).toBe(GUEST_CODE + 2);
    expect(guest.gpr(RAX) & 0xffff).toBe(0xffff);
    guest.setGpr(RDX, 0x8000);
    guest.code([0xec], GUEST_CODE + 2);
    expect(guest.run()).toBe(V.EXIT_REASON_IO_INSTRUCTION);
  });
});

describe('MSR bitmaps', () => {
  test('reads and writes of low and high MSRs; MSRs outside the ranges exit', () => {
    const bitmap = guest.memory.allocPages(1);
    guest.set(V.CPU_BASED_VM_EXEC_CONTROL, V.CPU_BASED_USE_MSR_BITMAPS);
    guest.write(V.MSR_BITMAP, bitmap);
    guest.memory.u8[bitmap + 1024 + (0x102 >> 3)] = 1 << 2;
    const attempt = (op: number, msr: number): number => {
      guest.code([0x0f, op, HLT]);
      guest.write(V.GUEST_RIP, GUEST_CODE);
      guest.setGpr(RCX, msr);
      guest.setGpr(RAX, 0x1234);
      guest.setGpr(RDX, 0);
      return guest.run();
    };
    expect(attempt(0x32, V.MSR_KERNEL_GS_BASE)).toBe(V.EXIT_REASON_MSR_READ);
    expect(attempt(0x30, V.MSR_KERNEL_GS_BASE)).toBe(V.EXIT_REASON_HLT);
    expect(guest.processor.rdmsr(V.MSR_KERNEL_GS_BASE)).toBe(0x1234);
    expect(attempt(0x32, V.MSR_IA32_SYSENTER_CS)).toBe(V.EXIT_REASON_HLT);
    expect(attempt(0x32, 0x4b564d00)).toBe(V.EXIT_REASON_MSR_READ);
    guest.memory.u8[bitmap + 2048 + (V.MSR_IA32_SYSENTER_ESP >> 3)] = 1 << (V.MSR_IA32_SYSENTER_ESP & 7);
    expect(attempt(0x30, V.MSR_IA32_SYSENTER_ESP)).toBe(V.EXIT_REASON_MSR_WRITE);
  });
});

describe('EPT', () => {
  test('a violation tells the access, both addresses, and is the instruction untouched', () => {
    // mov [rax], ecx at an unmapped guest-physical address
    guest.memory.u32[(guest.ram + 0x2008) >>> 2] = 0x40000000 | 0x87;
    guest.setGpr(RAX, 0x40001234);
    guest.code([0x89, 0x08]);
    expect(guest.run()).toBe(V.EXIT_REASON_EPT_VIOLATION);
    expect(guest.read(V.GUEST_PHYSICAL_ADDRESS)).toBe(0x40001234);
    expect(guest.read(V.GUEST_LINEAR_ADDRESS)).toBe(0x40001234);
    expect(guest.read(V.EXIT_QUALIFICATION)).toBe(V.EPT_VIOLATION_ACC_WRITE | V.EPT_VIOLATION_GVA_IS_VALID | V.EPT_VIOLATION_GVA_TRANSLATED);
    expect(guest.read(V.GUEST_RIP)).toBe(GUEST_CODE);
    expect(guest.read(V.VM_EXIT_INSTRUCTION_LEN)).toBe(2);
  });

  test('INVEPT makes a changed mapping take effect', () => {
    // l: mov eax, [0x3000]; vmcall; jmp l
    guest.code([0x8b, 0x04, 0x25, 0, 0x30, 0, 0, 0x0f, 0x01, 0xc1, 0xeb, 0xf4]);
    expect(guest.run()).toBe(V.EXIT_REASON_VMCALL);
    guest.memory.u32[(guest.ept + 0x2000) >>> 2]! &= ~1;
    expect(guest.processor.invept(1, guest.read(V.EPT_POINTER), 0)).toBe(V.VM_SUCCEED);
    guest.skip();
    expect(guest.run()).toBe(V.EXIT_REASON_EPT_MISCONFIG);
  });
});

describe('exceptions', () => {
  test('the bitmap takes exceptions out of the guest with their error code', () => {
    guest.write(V.EXCEPTION_BITMAP, 1 << UD);
    guest.code([0x0f, 0x0b]);
    expect(guest.run()).toBe(V.EXIT_REASON_EXCEPTION_NMI);
    expect(guest.read(V.VM_EXIT_INTR_INFO) >>> 0).toBe(0x80000306);
    expect(guest.read(V.GUEST_RIP)).toBe(GUEST_CODE);
  });

  test('page faults obey mask and match, and tell the address', () => {
    guest.setGpr(RAX, 0xc0000000);
    guest.code([0x89, 0x08]);
    guest.write(V.EXCEPTION_BITMAP, 1 << 14);
    expect(guest.run()).toBe(V.EXIT_REASON_EXCEPTION_NMI);
    expect(guest.read(V.VM_EXIT_INTR_INFO) >>> 0).toBe(0x80000b0e);
    expect(guest.read(V.VM_EXIT_INTR_ERROR_CODE)).toBe(2);
    expect(guest.read(V.EXIT_QUALIFICATION)).toBe(0xc0000000);
    // A write does not match 0 under mask 2: it does not exit, and the guest's handler halts.
    guest.write(V.PAGE_FAULT_ERROR_CODE_MASK, 2);
    guest.gate(14, GUEST_CODE + 0x100);
    guest.code([HLT], GUEST_CODE + 0x100);
    expect(guest.run()).toBe(V.EXIT_REASON_HLT);
    expect(guest.processor.readCr(2)).toBe(0xc0000000);
  });

  test('INT3 exits as a software exception with its length', () => {
    guest.write(V.EXCEPTION_BITMAP, 1 << 3);
    guest.code([0xcc]);
    expect(guest.run()).toBe(V.EXIT_REASON_EXCEPTION_NMI);
    expect(guest.read(V.VM_EXIT_INTR_INFO) >>> 0).toBe(0x80000603);
    expect(guest.read(V.VM_EXIT_INSTRUCTION_LEN)).toBe(1);
  });

  test('a triple fault', () => {
    guest.write(V.GUEST_IDTR_LIMIT, 0);
    guest.code([0x0f, 0x0b]);
    expect(guest.run()).toBe(V.EXIT_REASON_TRIPLE_FAULT);
  });

  test('an exit in the middle of delivery tells the event in the IDT-vectoring information', () => {
    guest.write(V.GUEST_IDTR_BASE, 0x40000000);
    guest.memory.u32[(guest.ram + 0x2008) >>> 2] = 0x40000000 | 0x87;
    guest.code([0xcd, 0x30]);
    expect(guest.run()).toBe(V.EXIT_REASON_EPT_VIOLATION);
    expect(guest.read(V.IDT_VECTORING_INFO_FIELD) >>> 0).toBe(0x80000430);
    expect(guest.read(V.VM_EXIT_INSTRUCTION_LEN)).toBe(2);
    expect(guest.read(V.GUEST_RIP)).toBe(GUEST_CODE);
  });
});

describe('VM exit', () => {
  test('stores and loads MSRs by its lists, and loads host state', () => {
    const lists = guest.memory.allocPages(1);
    guest.memory.u32.set([V.MSR_LSTAR, 0, 0, 0], lists >>> 2);
    guest.memory.u32.set([V.MSR_LSTAR, 0, 0x77, 0], (lists + 64) >>> 2);
    guest.processor.wrmsr(V.MSR_LSTAR, 0x55, 0);
    guest.write(V.VM_EXIT_MSR_STORE_ADDR, lists);
    guest.write(V.VM_EXIT_MSR_STORE_COUNT, 1);
    guest.write(V.VM_EXIT_MSR_LOAD_ADDR, lists + 64);
    guest.write(V.VM_EXIT_MSR_LOAD_COUNT, 1);
    guest.write(V.HOST_GS_BASE, 0x1234, 5);
    guest.code([HLT]);
    expect(guest.run()).toBe(V.EXIT_REASON_HLT);
    expect(guest.memory.u32[(lists + 8) >>> 2]).toBe(0x55);
    expect(guest.processor.rdmsr(V.MSR_LSTAR)).toBe(0x77);
    expect(guest.processor.readBase('gs')).toBe(0x1234);
    expect(guest.processor.high).toBe(5);
    expect(guest.processor.readCr(3)).toBe(guest.read(V.HOST_CR3));
    expect(guest.read(V.GUEST_RSP)).toBe(GUEST_STACK);
  });

  test('reports each step of entry and exit to the observer, in order', () => {
    const steps: string[] = [];
    guest.processor.switchObserver = ({ phase, step, what, value }) => steps.push(`${phase} ${step} ${what} ${value}`);
    guest.code([HLT]);
    guest.run();
    guest.processor.switchObserver = null;
    const at = (text: string): number => steps.findIndex((step) => step.startsWith(text));
    const order = [
      'entry VMLAUNCH', 'entry check controls PIN_BASED', 'entry load guest state GUEST_CR0', 'exit exit information VM_EXIT_REASON 12',
      'exit save guest state GUEST_RIP 65536', 'exit load host state HOST_CR0',
    ].map(at);
    expect(order).not.toContain(-1);
    expect(order).toEqual(order.toSorted((a, b) => a - b));
  });
});
