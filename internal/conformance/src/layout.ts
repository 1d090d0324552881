/** Where things stand in the guests' memory. The assembler gets the same constants (tools/assemble.ts). */
export const LAYOUT = {
  IVT: 0x0000,
  PML4: 0x1000,
  PDPT: 0x2000,
  PD: 0x3000,
  GDT: 0x4000,
  IDT: 0x5000,
  TSS: 0x6000,
  /** A second TSS, to switch to. */
  TSS1: 0x6100,
  /** Grows down to 0x7000. */
  STACK: 0x7ff0,
  CODE: 0x8000,
  /** A page for data, below 64 KiB so that real mode reaches it. */
  DATA: 0xf000,
  RAM_SIZE: 0x20_0000,
  /** Linear and guest-physical address without memory behind it. */
  MMIO: 0x30_0000,
  /** Linear address that the guest's own page tables do not map. */
  UNMAPPED: 0x40_0000,
  // ---- selectors
  SEL_CODE: 0x08,
  SEL_DATA: 0x10,
  SEL_TSS: 0x18,
  /** The second TSS; in long mode the high half of the first. */
  SEL_TSS1: 0x20,
  SEL_TASK_GATE: 0x28,
  SEL_LDT: 0x30,
  // ---- ports: a guest is done; an exception that it did not expect (its vector in AL)
  DONE: 0xf4,
  FAULT: 0xf5,
  UART: 0x3f8,
} as const;
