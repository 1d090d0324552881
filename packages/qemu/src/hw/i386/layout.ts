/** Every fixed address, port and interrupt line of the machine. */

export const KiB = 1024;
export const MiB: number = 1024 * KiB;
export const GiB: number = 1024 * MiB;

// ---- Low memory: what the loaders leave there for the kernel
/** The interrupt vectors and BIOS data area of a PC. */
export const BIOS_DATA_AREA = 0x400;
export const GDT_ADDRESS = 0x500;
export const PVH_START_INFO = 0x6000;
/** struct boot_params, the "zero page". */
export const ZERO_PAGE = 0x7000;
/** Identity page tables for the 64-bit entry: one page each, then one page directory per GiB. */
export const PML4_ADDRESS = 0x9000;
export const PDPT_ADDRESS = 0xa000;
export const PAGE_DIRECTORIES = 0xb000;
export const IDENTITY_MAPPED: number = 4 * GiB;
export const SETUP_DATA = 0x10000;
/** What no kernel may be loaded to: the vectors and data of a BIOS, and the GDT of the start. */
export const BOOT_TABLES_END = 0x1000;
/** Where multiboot's information begins, unless the kernel is there. */
export const MULTIBOOT_INFO = 0x12000;
export const MULTIBOOT_INFO_SIZE = 0xe000;
export const COMMAND_LINE = 0x20000;
export const COMMAND_LINE_MAX = 0x10000;
/** Memory below this belongs to the above, but for multiboot kernels. */
export const LOADER_AREA_END = 0x30000;
export const BOOT_STACK_TOP = 0x8000;

// ---- The first MiB's upper part
/** Extended BIOS data area: the last KiB of base memory; the MP table is in it. */
export const EBDA_START = 0x9fc00;
export const EBDA_END = 0xa0000;
/** Where operating systems search for the RSDP; all ACPI tables are here. */
export const ACPI_TABLES = 0xe0000;
export const ACPI_TABLES_END = 0x100000;
export const HIGH_MEMORY = 0x100000;

// ---- Physical address space
/** RAM up to here; the rest of it begins at 4 GiB. */
export const MAX_RAM_BELOW_4G: number = 3 * GiB;
export const ABOVE_4G: number = 4 * GiB;
export const IOAPIC_ADDRESS = 0xfec0_0000;
export const LAPIC_ADDRESS = 0xfee0_0000;
/** A page for real mode's identity map and three for its TSS, which KVM needs (KVM_SET_TSS_ADDR). */
export const KVM_IDENTITY_BASE = 0xfeff_c000;
export const KVM_IDENTITY_SIZE = 0x4000;

// ---- Ports
export const PORT_I8042_DATA = 0x60;
export const PORT_I8042_COMMAND = 0x64;
export const PORT_RTC = 0x70;
export const PORT_POST = 0x80;
export const PORT_92 = 0x92;
export const PORT_DEBUGCON = 0x402;
export const PORT_DEBUGCON_BOCHS = 0xe9;
export const PORT_COM1 = 0x3f8;
export const PORT_COM2 = 0x2f8;
export const PORT_DEBUG_EXIT = 0x501;
/** Where kvm-unit-tests and many others expect isa-debug-exit. */
export const PORT_DEBUG_EXIT_TESTS = 0xf4;
export const PORT_FW_CFG = 0x510;
export const PORT_FW_CFG_DMA = 0x514;
export const PORT_ACPI_PM = 0x600;
export const PORT_RESET = 0xcf9;

// ---- Interrupt lines (GSIs)
export const IRQ_KEYBOARD = 1;
export const IRQ_COM2 = 3;
export const IRQ_COM1 = 4;
export const IRQ_RTC = 8;
export const IRQ_SCI = 9;
export const IOAPIC_PINS = 24;
