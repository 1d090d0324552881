/**
 * struct kvm_run over a vCPU's mapping: the page that KVM_RUN and userspace share, in the kernel's byte layout
 * (linux/kvm.h of Linux 6.1), followed by the page of port I/O data and the ring of coalesced I/O.
 *
 * Fields on hot paths are plain numbers. `immediate_exit` may be set by any thread.
 */

import { readExit, type KvmExit } from './kvm-exit.ts';

/** Byte offsets in the mapping. */
export const kvmRunOffsets = {
  request_interrupt_window: 0,
  immediate_exit: 1,
  exit_reason: 8,
  ready_for_interrupt_injection: 12,
  if_flag: 13,
  flags: 14,
  cr8: 16,
  apic_base: 24,
  exit: 32,
  kvm_valid_regs: 288,
  kvm_dirty_regs: 296,
  s: 304,
} as const;

export const KVM_RUN_SIZE = 2352;
export const KVM_PIO_PAGE_OFFSET = 1;
export const KVM_COALESCED_MMIO_PAGE_OFFSET = 2;
export const KVM_DIRTY_LOG_PAGE_OFFSET = 64;
const PAGE = 4096;
/** Bytes of the mapping: kvm_run, port I/O data, coalesced ring (what KVM_GET_VCPU_MMAP_SIZE returns). */
export const VCPU_MMAP_SIZE: number = 3 * PAGE;
/** Entries that the ring holds (KVM_COALESCED_MMIO_MAX). */
export const KVM_COALESCED_MMIO_MAX: number = Math.floor((PAGE - 8) / 24);

export class KvmRun {
  readonly bytes: Uint8Array<SharedArrayBuffer>;
  readonly view: DataView<SharedArrayBuffer>;
  /** The page of port I/O data. */
  readonly pioData: Uint8Array<SharedArrayBuffer>;
  /** The ring of coalesced I/O: struct kvm_coalesced_mmio_ring. */
  readonly coalescedRing: Uint8Array<SharedArrayBuffer>;
  readonly u32: Uint32Array<SharedArrayBuffer>;
  readonly u16: Uint16Array<SharedArrayBuffer>;

  /** `bytes` is the whole mapping, four-byte aligned. */
  constructor(bytes: Uint8Array<SharedArrayBuffer>) {
    if (bytes.length < VCPU_MMAP_SIZE) throw new RangeError(`a vCPU's mapping has ${VCPU_MMAP_SIZE} bytes, not ${bytes.length}`);
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.u32 = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 2);
    this.u16 = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 1);
    this.pioData = bytes.subarray(KVM_PIO_PAGE_OFFSET * PAGE, (KVM_PIO_PAGE_OFFSET + 1) * PAGE);
    this.coalescedRing = bytes.subarray(KVM_COALESCED_MMIO_PAGE_OFFSET * PAGE, (KVM_COALESCED_MMIO_PAGE_OFFSET + 1) * PAGE);
  }

  get requestInterruptWindow(): number {
    return this.bytes[0]!;
  }
  set requestInterruptWindow(value: number) {
    this.bytes[0] = value;
  }
  get immediateExit(): number {
    return Atomics.load(this.bytes, 1);
  }
  set immediateExit(value: number) {
    Atomics.store(this.bytes, 1, value);
  }
  get exitReason(): number {
    return this.u32[2]!;
  }
  set exitReason(value: number) {
    this.u32[2] = value;
  }
  get readyForInterruptInjection(): number {
    return this.bytes[12]!;
  }
  set readyForInterruptInjection(value: number) {
    this.bytes[12] = value;
  }
  get ifFlag(): number {
    return this.bytes[13]!;
  }
  set ifFlag(value: number) {
    this.bytes[13] = value;
  }
  get flags(): number {
    return this.u16[7]!;
  }
  set flags(value: number) {
    this.u16[7] = value;
  }
  /** Task priority, 0 to 15. */
  get cr8(): number {
    return this.u32[4]!;
  }
  set cr8(value: number) {
    this.u32[4] = value;
    this.u32[5] = 0;
  }
  get apicBase(): number {
    return this.u32[6]! + this.u32[7]! * 0x1_0000_0000;
  }
  set apicBase(value: number) {
    this.u32[6] = value;
    this.u32[7] = value / 0x1_0000_0000;
  }

  // ---- KVM_EXIT_IO
  /** KVM_EXIT_IO_IN or KVM_EXIT_IO_OUT. */
  get ioDirection(): number {
    return this.bytes[32]!;
  }
  /** Bytes of one access. */
  get ioSize(): number {
    return this.bytes[33]!;
  }
  get ioPort(): number {
    return this.u16[17]!;
  }
  get ioCount(): number {
    return this.u32[9]!;
  }
  /** Where the data are, from the start of the mapping. */
  get ioDataOffset(): number {
    return this.u32[10]!;
  }
  setIo(direction: number, size: number, port: number, count: number): void {
    this.bytes[32] = direction;
    this.bytes[33] = size;
    this.u16[17] = port;
    this.u32[9] = count;
    this.u32[10] = KVM_PIO_PAGE_OFFSET * PAGE;
    this.u32[11] = 0;
  }

  // ---- KVM_EXIT_MMIO
  get mmioPhysAddr(): number {
    return this.u32[8]! + this.u32[9]! * 0x1_0000_0000;
  }
  /** Where the data are, from the start of the mapping: up to eight bytes. */
  readonly mmioDataOffset = 40;
  get mmioLen(): number {
    return this.u32[12]!;
  }
  get mmioIsWrite(): number {
    return this.bytes[52]!;
  }
  setMmio(physAddr: number, len: number, isWrite: number): void {
    this.u32[8] = physAddr;
    this.u32[9] = physAddr / 0x1_0000_0000;
    this.u32[12] = len;
    this.bytes[52] = isWrite;
  }

  /** The exit that KVM_RUN left, as a discriminated union. */
  readExit(): KvmExit {
    return readExit(this);
  }
}
