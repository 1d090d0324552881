/**
 * Registers of a vCPU as userspace holds them (CPUX86State): the very structures that KVM's ioctls take, so that putting
 * and getting them copies nothing.
 */

import {
  allocate,
  bytesOf,
  kvmDebugregs,
  kvmMpState,
  kvmRegs,
  kvmSregs,
  kvmVcpuEvents,
  kvmXcrs,
  kvmXsave,
  view,
  KVM_MP_STATE_RUNNABLE,
  KVM_MP_STATE_UNINITIALIZED,
  type Layout,
  type View,
} from '@vm/kvm-run';
import { APIC_BASE_BSP, APIC_BASE_ENABLE, CR0_CD, CR0_ET, CR0_NW, DR6_FIXED, DR7_FIXED, RFLAGS_FIXED } from './bits.ts';

export type SegmentView = X86Env['sregs']['cs'];

/** What a segment register holds besides base, limit and selector. */
export interface SegmentAttributes {
  readonly type: number;
  readonly s: number;
  readonly db?: number;
  readonly l?: number;
  readonly g?: number;
  readonly dpl?: number;
}

const make = <L extends Layout>(layout: L): View<L> => view(layout, allocate(layout));

/** Where the XSAVE area keeps what a reset does not leave at zero (SDM vol. 1, 13.4). */
const XSAVE_FCW = 0;
const XSAVE_MXCSR = 24;
const XSAVE_XSTATE_BV = 512;
const FCW_RESET = 0x37f;
const MXCSR_RESET = 0x1f80;
const XSTATE_FP_SSE = 3;
const DEFAULT_APIC_BASE = 0xfee0_0000;

export class X86Env {
  readonly regs: View<typeof kvmRegs> = make(kvmRegs);
  readonly sregs: View<typeof kvmSregs> = make(kvmSregs);
  readonly xsave: Uint8Array = allocate(kvmXsave);
  readonly xcrs: View<typeof kvmXcrs> = make(kvmXcrs);
  readonly debugregs: View<typeof kvmDebugregs> = make(kvmDebugregs);
  readonly events: View<typeof kvmVcpuEvents> = make(kvmVcpuEvents);
  readonly mpState: View<typeof kvmMpState> = make(kvmMpState);
  /** EAX of CPUID leaf 1: what EDX holds after a reset. */
  signature = 0;
  readonly #bootstrap: boolean;

  /** `bootstrap`: this processor starts by itself; others wait for INIT and SIPI. */
  constructor(bootstrap: boolean) {
    this.#bootstrap = bootstrap;
    this.reset();
  }

  /** Registers after RESET# (x86_cpu_reset; SDM vol. 3A, table 9-1). */
  reset(): void {
    for (const structure of [this.regs, this.sregs, this.xcrs, this.debugregs, this.events]) bytesOf(structure).fill(0);
    this.#resetSegments();
    this.regs.rip = 0xfff0n;
    this.regs.rflags = RFLAGS_FIXED;
    this.regs.rdx = BigInt(this.signature);
    this.sregs.cr0 = CR0_CD | CR0_NW | CR0_ET;
    this.sregs.apic_base = BigInt(DEFAULT_APIC_BASE) | APIC_BASE_ENABLE | (this.#bootstrap ? APIC_BASE_BSP : 0n);
    this.debugregs.dr6 = DR6_FIXED;
    this.debugregs.dr7 = DR7_FIXED;
    this.xcrs.nr_xcrs = 1;
    this.xcrs.xcrs[0]!.value = 1n;
    this.#resetXsave();
    this.mpState.mp_state = this.#bootstrap ? KVM_MP_STATE_RUNNABLE : KVM_MP_STATE_UNINITIALIZED;
  }

  #resetSegments(): void {
    const { sregs } = this;
    for (const name of ['ds', 'es', 'fs', 'gs', 'ss'] as const) setSegment(sregs[name], 0, 0n, 0xffff, { type: 3, s: 1 });
    setSegment(sregs.cs, 0xf000, 0xffff_0000n, 0xffff, { type: 11, s: 1 });
    setSegment(sregs.ldt, 0, 0n, 0xffff, { type: 2, s: 0 });
    setSegment(sregs.tr, 0, 0n, 0xffff, { type: 11, s: 0 });
    sregs.gdt.limit = 0xffff;
    sregs.idt.limit = 0xffff;
  }

  #resetXsave(): void {
    const data = new DataView(this.xsave.buffer);
    this.xsave.fill(0);
    data.setUint16(XSAVE_FCW, FCW_RESET, true);
    data.setUint32(XSAVE_MXCSR, MXCSR_RESET, true);
    data.setUint32(XSAVE_XSTATE_BV, XSTATE_FP_SSE, true);
  }
}

export function setSegment(segment: SegmentView, selector: number, base: bigint, limit: number, attributes: SegmentAttributes): void {
  segment.selector = selector;
  segment.base = base;
  segment.limit = limit;
  segment.type = attributes.type;
  segment.s = attributes.s;
  segment.db = attributes.db ?? 0;
  segment.l = attributes.l ?? 0;
  segment.g = attributes.g ?? 0;
  segment.dpl = attributes.dpl ?? 0;
  segment.present = 1;
  segment.avl = 0;
  segment.unusable = 0;
}
