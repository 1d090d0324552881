/** What KVM_RUN returned with, as a union to switch over; payloads as in struct kvm_run. */

import * as X from './exits.ts';
import type { KvmRun } from './kvm-run.ts';

interface Plain<R extends number> {
  readonly reason: R;
}

export interface IoExit extends Plain<typeof X.KVM_EXIT_IO> {
  /** KVM_EXIT_IO_IN or KVM_EXIT_IO_OUT. */
  readonly direction: number;
  readonly size: number;
  readonly port: number;
  readonly count: number;
  /** size * count bytes of the mapping, to read (out) or to fill in (in). */
  readonly data: Uint8Array<SharedArrayBuffer>;
}

export interface MmioExit extends Plain<typeof X.KVM_EXIT_MMIO> {
  readonly physAddr: number;
  readonly len: number;
  readonly isWrite: boolean;
  /** The bytes of the mapping, to read or to fill in. */
  readonly data: Uint8Array<SharedArrayBuffer>;
}

export interface MsrExit extends Plain<typeof X.KVM_EXIT_X86_RDMSR | typeof X.KVM_EXIT_X86_WRMSR> {
  readonly msrReason: number;
  readonly index: number;
  readonly data: bigint;
}

export type KvmExit =
  | (Plain<typeof X.KVM_EXIT_UNKNOWN> & { readonly hardwareExitReason: bigint })
  | (Plain<typeof X.KVM_EXIT_EXCEPTION> & { readonly exception: number; readonly errorCode: number })
  | IoExit
  | (Plain<typeof X.KVM_EXIT_HYPERCALL> & { readonly nr: bigint; readonly args: readonly bigint[]; readonly longmode: boolean })
  | (Plain<typeof X.KVM_EXIT_DEBUG> & {
      readonly exception: number;
      readonly pc: bigint;
      readonly dr6: bigint;
      readonly dr7: bigint;
    })
  | Plain<typeof X.KVM_EXIT_HLT>
  | MmioExit
  | Plain<typeof X.KVM_EXIT_IRQ_WINDOW_OPEN>
  | Plain<typeof X.KVM_EXIT_SHUTDOWN>
  | (Plain<typeof X.KVM_EXIT_FAIL_ENTRY> & { readonly hardwareEntryFailureReason: bigint; readonly cpu: number })
  | Plain<typeof X.KVM_EXIT_INTR>
  | Plain<typeof X.KVM_EXIT_SET_TPR>
  | (Plain<typeof X.KVM_EXIT_TPR_ACCESS> & { readonly rip: bigint; readonly isWrite: boolean })
  | Plain<typeof X.KVM_EXIT_NMI>
  | (Plain<typeof X.KVM_EXIT_INTERNAL_ERROR> & { readonly suberror: number; readonly data: readonly bigint[] })
  | (Plain<typeof X.KVM_EXIT_SYSTEM_EVENT> & { readonly type: number; readonly data: readonly bigint[] })
  | (Plain<typeof X.KVM_EXIT_IOAPIC_EOI> & { readonly vector: number })
  | MsrExit
  | Plain<typeof X.KVM_EXIT_DIRTY_RING_FULL>
  | Plain<typeof X.KVM_EXIT_X86_BUS_LOCK>
  | (Plain<typeof X.KVM_EXIT_NOTIFY> & { readonly flags: number })
  | (Plain<typeof X.KVM_EXIT_MEMORY_FAULT> & { readonly flags: bigint; readonly gpa: bigint; readonly size: bigint })
  | { readonly reason: -1; readonly exitReason: number };

const quads = (view: DataView, offset: number, count: number): bigint[] =>
  Array.from({ length: Math.min(16, count) }, (_, i) => view.getBigUint64(offset + i * 8, true));

const ioExit = (run: KvmRun): IoExit => {
  const length = run.ioSize * run.ioCount;
  return {
    reason: X.KVM_EXIT_IO,
    direction: run.ioDirection,
    size: run.ioSize,
    port: run.ioPort,
    count: run.ioCount,
    data: run.bytes.subarray(run.ioDataOffset, run.ioDataOffset + length),
  };
};

/** Reads the exit that a mapping holds. Numbers that are no exit of x86 come back as reason -1. */
export const readExit = (run: KvmRun): KvmExit => {
  const view = run.view;
  const u32 = (offset: number): number => view.getUint32(offset, true);
  const u64 = (offset: number): bigint => view.getBigUint64(offset, true);
  const reason = run.exitReason;
  switch (reason) {
    case X.KVM_EXIT_UNKNOWN:
      return { reason, hardwareExitReason: u64(32) };
    case X.KVM_EXIT_EXCEPTION:
      return { reason, exception: u32(32), errorCode: u32(36) };
    case X.KVM_EXIT_IO:
      return ioExit(run);
    case X.KVM_EXIT_HYPERCALL:
      return { reason, nr: u64(32), args: quads(view, 40, 6), longmode: u32(96) !== 0 };
    case X.KVM_EXIT_DEBUG:
      return { reason, exception: u32(32), pc: u64(40), dr6: u64(48), dr7: u64(56) };
    case X.KVM_EXIT_MMIO: {
      const len = Math.min(8, run.mmioLen);
      const data = run.bytes.subarray(run.mmioDataOffset, run.mmioDataOffset + len);
      return { reason, physAddr: run.mmioPhysAddr, len, isWrite: run.mmioIsWrite !== 0, data };
    }
    case X.KVM_EXIT_FAIL_ENTRY:
      return { reason, hardwareEntryFailureReason: u64(32), cpu: u32(40) };
    case X.KVM_EXIT_TPR_ACCESS:
      return { reason, rip: u64(32), isWrite: u32(40) !== 0 };
    case X.KVM_EXIT_INTERNAL_ERROR:
      return { reason, suberror: u32(32), data: quads(view, 40, u32(36)) };
    case X.KVM_EXIT_SYSTEM_EVENT:
      return { reason, type: u32(32), data: quads(view, 40, u32(36)) };
    case X.KVM_EXIT_IOAPIC_EOI:
      return { reason, vector: run.bytes[32]! };
    case X.KVM_EXIT_X86_RDMSR:
    case X.KVM_EXIT_X86_WRMSR:
      return { reason, msrReason: u32(40), index: u32(44), data: u64(48) };
    case X.KVM_EXIT_NOTIFY:
      return { reason, flags: u32(32) };
    case X.KVM_EXIT_MEMORY_FAULT:
      return { reason, flags: u64(32), gpa: u64(40), size: u64(48) };
    case X.KVM_EXIT_HLT:
    case X.KVM_EXIT_IRQ_WINDOW_OPEN:
    case X.KVM_EXIT_SHUTDOWN:
    case X.KVM_EXIT_INTR:
    case X.KVM_EXIT_SET_TPR:
    case X.KVM_EXIT_NMI:
    case X.KVM_EXIT_DIRTY_RING_FULL:
    case X.KVM_EXIT_X86_BUS_LOCK:
      return { reason };
    default:
      return { reason: -1, exitReason: reason };
  }
};
