import { KVM_COALESCED_MMIO_MAX, KVM_EXIT_IO_OUT, type KvmRun } from '@vm/kvm-run';
import type { AddressSpace } from '../../system/address-space.ts';
import type { IoPortSpace } from '../../system/io-port-space.ts';

/** Serves a port exit: `count` accesses, more than one for string instructions (kvm_handle_io). */
export function kvmHandleIo(run: KvmRun, ports: IoPortSpace): void {
  const port = run.ioPort;
  const size = run.ioSize;
  const out = run.ioDirection === KVM_EXIT_IO_OUT;
  let at = run.ioDataOffset;
  for (let i = run.ioCount; i > 0; i--) {
    if (size === 1) {
      if (out) ports.out(port, 1, run.bytes[at]!);
      else run.bytes[at] = ports.in(port, 1);
    } else if (size === 2) {
      if (out) ports.out(port, 2, run.view.getUint16(at, true));
      else run.view.setUint16(at, ports.in(port, 2), true);
    } else {
      if (out) ports.out(port, 4, run.view.getUint32(at, true));
      else run.view.setUint32(at, ports.in(port, 4), true);
    }
    at += size;
  }
}

/** Serves a memory-mapped exit. */
export function kvmHandleMmio(run: KvmRun, memory: AddressSpace): void {
  const length = Math.min(8, run.mmioLen);
  if (run.mmioIsWrite !== 0) memory.write(run.mmioPhysAddr, run.bytes, run.mmioDataOffset, length);
  else memory.read(run.mmioPhysAddr, run.bytes, run.mmioDataOffset, length);
}

const RING_ENTRIES = 8;
const ENTRY_SIZE = 24;

/** Carries out the writes that KVM collected since the last exit (kvm_flush_coalesced_mmio_buffer). */
export function kvmFlushCoalescedMmioBuffer(run: KvmRun, memory: AddressSpace, ports: IoPortSpace): void {
  const ring = run.coalescedRing;
  const words = run.u32;
  const base = (ring.byteOffset - run.bytes.byteOffset) >> 2;
  // At most one ring's worth, so that a kernel that goes on filling it cannot keep this thread here.
  for (let left = KVM_COALESCED_MMIO_MAX; left > 0; left--) {
    const first = words[base]!;
    if (first === Atomics.load(words, base + 1) || first >= KVM_COALESCED_MMIO_MAX) return;
    const entry = base + (RING_ENTRIES + first * ENTRY_SIZE) / 4;
    const address = words[entry]! + words[entry + 1]! * 0x1_0000_0000;
    const length = Math.min(8, words[entry + 2]!);
    const data = (entry + 4) * 4;
    if (words[entry + 3] === 0) memory.write(address, run.bytes, data, length);
    else ports.out(address & 0xffff, length === 4 ? 4 : length === 2 ? 2 : 1, littleEndian(run.bytes, data, length));
    Atomics.store(words, base, (first + 1) % KVM_COALESCED_MMIO_MAX);
  }
}

function littleEndian(bytes: Uint8Array, at: number, length: number): number {
  let value = 0;
  for (let i = Math.min(4, length) - 1; i >= 0; i--) value = (value << 8) | bytes[at + i]!;
  return value >>> 0;
}
