/** Registers and bits of the local APIC (SDM vol. 3A, ch. 12; arch/x86/include/asm/apicdef.h). */

export const APIC_ID = 0x20;
export const APIC_LVR = 0x30;
export const APIC_TASKPRI = 0x80;
export const APIC_ARBPRI = 0x90;
export const APIC_PROCPRI = 0xa0;
export const APIC_EOI = 0xb0;
export const APIC_LDR = 0xd0;
export const APIC_DFR = 0xe0;
export const APIC_SPIV = 0xf0;
export const APIC_ISR = 0x100;
export const APIC_TMR = 0x180;
export const APIC_IRR = 0x200;
export const APIC_ESR = 0x280;
export const APIC_LVTCMCI = 0x2f0;
export const APIC_ICR = 0x300;
export const APIC_ICR2 = 0x310;
export const APIC_LVTT = 0x320;
export const APIC_LVTTHMR = 0x330;
export const APIC_LVTPC = 0x340;
export const APIC_LVT0 = 0x350;
export const APIC_LVT1 = 0x360;
export const APIC_LVTERR = 0x370;
export const APIC_TMICT = 0x380;
export const APIC_TMCCT = 0x390;
export const APIC_TDCR = 0x3e0;
export const APIC_SELF_IPI = 0x3f0;

export const APIC_VECTOR_MASK = 0xff;
export const APIC_MODE_MASK = 0x700;
export const APIC_DM_FIXED = 0x000;
export const APIC_DM_LOWEST = 0x100;
export const APIC_DM_SMI = 0x200;
export const APIC_DM_REMRD = 0x300;
export const APIC_DM_NMI = 0x400;
export const APIC_DM_INIT = 0x500;
export const APIC_DM_STARTUP = 0x600;
export const APIC_DM_EXTINT = 0x700;
export const APIC_DEST_PHYSICAL = 0x000;
export const APIC_DEST_LOGICAL = 0x800;
export const APIC_ICR_BUSY = 0x1000;
export const APIC_INT_ASSERT = 0x4000;
export const APIC_INT_LEVELTRIG = 0x8000;
export const APIC_SHORT_MASK = 0xc0000;
export const APIC_DEST_NOSHORT = 0x00000;
export const APIC_DEST_SELF = 0x40000;
export const APIC_DEST_ALLINC = 0x80000;
export const APIC_DEST_ALLBUT = 0xc0000;
export const APIC_BROADCAST = 0xff;
export const X2APIC_BROADCAST = 0xffffffff;

export const APIC_SPIV_APIC_ENABLED = 0x100;
export const APIC_SPIV_DIRECTED_EOI = 0x1000;
export const APIC_LVR_DIRECTED_EOI = 0x1000000;
export const APIC_DFR_FLAT = 0xffffffff;
export const APIC_LVT_MASKED = 0x10000;
export const APIC_LVT_LEVEL_TRIGGER = 0x8000;
export const APIC_LVT_TIMER_ONESHOT = 0x00000;
export const APIC_LVT_TIMER_PERIODIC = 0x20000;
export const APIC_LVT_TIMER_TSCDEADLINE = 0x40000;
export const APIC_LVT_TIMER_MASK = 0x60000;

export const APIC_DEFAULT_PHYS_BASE = 0xfee00000;
export const LAPIC_MMIO_LENGTH = 0x1000;
export const MSR_IA32_APICBASE_BSP = 0x100;
export const MSR_IA32_APICBASE_EXTD = 0x400;
export const MSR_IA32_APICBASE_ENABLE = 0x800;
export const APIC_BASE_MSR = 0x800;

/** Six LVT entries: timer, thermal, performance counters, LINT0, LINT1, error (version 0x14, no CMCI). */
export const KVM_APIC_NR_LVT_ENTRIES = 6;
export const APIC_VERSION = 0x14;
/** One cycle of the APIC's bus takes this many nanoseconds (APIC_BUS_CYCLE_NS_DEFAULT). */
export const APIC_BUS_CYCLE_NS = 1;
