/** Memory slots, dirty logs and rings, memory-mapped I/O: programs against the KVM API. */
import { afterEach, describe, expect, test } from 'vitest';
import * as P from '@vm/kvm-run';
import { LAYOUT } from '../../src/layout.ts';
import { Machine, type MachineOptions } from '../../src/machine.ts';

const machines: Machine[] = [];
const machine = (entry: string, options: MachineOptions = {}): Machine => {
  const made = new Machine({ entry, ...options });
  machines.push(made);
  return made;
};
afterEach(() => {
  for (const made of machines.splice(0)) made.close();
});

const LOG = P.KVM_MEM_LOG_DIRTY_PAGES;
const logAll = (m: Machine): number => m.setMemory(0, 0, LAYOUT.RAM_SIZE, m.ram, LOG);

const getLog = (m: Machine, slot = 0): { result: number; frames: number[] } => {
  const bitmap = m.memory.allocPages(1);
  const log = P.view(P.kvmDirtyLog, P.allocate(P.kvmDirtyLog));
  log.slot = slot;
  log.dirty_bitmap = BigInt(bitmap);
  const result = m.vm.ioctl(P.KVM_GET_DIRTY_LOG, P.bytesOf(log));
  const frames = Array.from({ length: 512 }, (_, i) => i).filter((i) => (m.memory.u8[bitmap + (i >> 3)]! >> (i & 7)) & 1);
  m.memory.free(bitmap, 1);
  return { result, frames };
};
const clearLog = (m: Machine, first: number, count: number, bits = 0xff): number => {
  const bitmap = m.memory.allocPages(1);
  m.memory.fill(bitmap, 64, bits);
  const log = P.view(P.kvmClearDirtyLog, P.allocate(P.kvmClearDirtyLog));
  log.first_page = BigInt(first);
  log.num_pages = count;
  log.dirty_bitmap = BigInt(bitmap);
  const result = m.vm.ioctl(P.KVM_CLEAR_DIRTY_LOG, P.bytesOf(log));
  m.memory.free(bitmap, 1);
  return result;
};
const above = (frames: readonly number[]): number[] => frames.filter((frame) => frame >= 0x100);

describe('memory slots', () => {
  test('a slot that moves takes its memory along; where it was is memory-mapped I/O', () => {
    const m = machine('read_at_rbx');
    m.must(m.setMemory(1, 0x380000, 0x1000, m.ram + 0x180000));
    m.setU32(0x180000, 0x11223344);
    const read = (gpa: number): string | bigint => {
      m.vcpu.setRegs({ rbx: BigInt(gpa), rip: BigInt(m.symbol('read_at_rbx')) });
      const exit = m.vcpu.enter();
      return m.vcpu.isDone(exit) ? m.vcpu.reg('rax') : m.vcpu.describe(exit);
    };
    expect(read(0x380000)).toBe(0x11223344n);
    m.must(m.setMemory(1, 0x390000, 0x1000, m.ram + 0x180000));
    expect(read(0x390000)).toBe(0x11223344n);
    expect(read(0x380000)).toBe('mmio read 0x380000 4');
    m.vcpu.finish();
    m.must(m.setMemory(1, 0x390000, 0, 0));
    expect(read(0x390000)).toBe('mmio read 0x390000 4');
  });

  test('read-only memory is read by the guest itself; writes are memory-mapped I/O and change nothing', () => {
    const m = machine('write_pages');
    m.must(m.setMemory(0, 0, 0, 0));
    m.must(m.setMemory(0, 0, 0x100000, m.ram));
    m.must(m.setMemory(1, 0x100000, 0x100000, m.ram + 0x100000, P.KVM_MEM_READONLY));
    m.setU32(0x100000, 0xcafe);
    expect(m.vcpu.describe(m.vcpu.enter())).toBe('mmio write 0x100000 1');
    expect(m.u32(0x100000)).toBe(0xcafe);
  });

  test.for([
    ['device, then memory', 0x3feffe, 0x3feffe, [0xaa, 0xbb], 0xddccbbaan],
    ['memory, then device', 0x3ffffe, 0x400000, [0xaa, 0xbb], 0xbbaa2211n],
  ] as const)('an access over the border of a slot: %s', ([, at, device, answer, value]) => {
    const m = machine('read_at_rbx');
    // The guest's own tables map 4 MiB: a third large page is for the device beyond.
    m.setU32(LAYOUT.PD + 16, 0x400087, 0);
    m.must(m.setMemory(1, 0x3ff000, 0x1000, m.ram + 0x180000));
    m.setU32(0x180000, 0xddcc);
    m.setU32(0x180ffc, 0x22110000);
    m.vcpu.setRegs({ rbx: BigInt(at) });
    const exit = m.vcpu.enter();
    expect(exit).toMatchObject({ reason: P.KVM_EXIT_MMIO, physAddr: device, len: 2, isWrite: false });
    if (exit.reason === P.KVM_EXIT_MMIO) exit.data.set(answer);
    m.vcpu.finish();
    expect(m.vcpu.reg('rax')).toBe(value);
  });

  test('an access over two pages of devices is two exits', () => {
    const m = machine('read_at_rbx');
    m.vcpu.setRegs({ rbx: 0x300ffdn });
    const parts: [number, number][] = [];
    for (let i = 0; i < 2; i++) {
      const exit = m.vcpu.enter();
      if (exit.reason !== P.KVM_EXIT_MMIO) throw new Error(m.vcpu.describe(exit));
      parts.push([exit.physAddr, exit.len]);
      exit.data.fill(0x10 + i);
    }
    m.vcpu.finish();
    expect(parts).toEqual([[0x300ffd, 3], [0x301000, 1]]);
    expect(m.vcpu.reg('rax')).toBe(0x11101010n);
  });
});

describe('KVM_GET_DIRTY_LOG, KVM_CLEAR_DIRTY_LOG', () => {
  test('what was written since the last call', () => {
    const m = machine('write_pages_twice');
    m.must(logAll(m));
    m.vcpu.enter();
    expect(above(getLog(m).frames)).toEqual([0x100]);
    expect(above(getLog(m).frames)).toEqual([]);
    m.vcpu.finish();
    expect(above(getLog(m).frames)).toEqual([0x100, 0x103]);
  });

  test('manual protection: pages stay dirty until they are cleared', () => {
    const m = machine('write_pages_twice', { prepare: (made) => void made.must(made.enableCap(P.KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2)) });
    m.must(logAll(m));
    m.vcpu.enter();
    expect(above(getLog(m).frames)).toEqual([0x100]);
    expect(above(getLog(m).frames)).toEqual([0x100]);
    expect(clearLog(m, 0x100, 64)).toBe(0);
    expect(above(getLog(m).frames)).toEqual([]);
    m.vcpu.finish();
    expect(above(getLog(m).frames)).toEqual([0x100, 0x103]);
  });

  test('KVM_DIRTY_LOG_INITIALLY_SET: all pages are dirty when logging begins', () => {
    const m = machine('write_pages', { prepare: (made) => void made.must(made.enableCap(P.KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 3n)) });
    m.must(logAll(m));
    expect(getLog(m).frames).toHaveLength(512);
    expect(clearLog(m, 0, 512)).toBe(0);
    expect(getLog(m).frames).toEqual([]);
    m.vcpu.finish();
    expect(above(getLog(m).frames)).toEqual([0x100, 0x103]);
  });

  test.for([
    ['a first page that is not a multiple of 64', 1, 64, -P.EINVAL],
    ['a number that is not, before the end', 0, 63, -P.EINVAL],
    ['more than there is', 0, 513, -P.EINVAL],
    ['beyond the end', 576, 0, -P.EINVAL],
    ['the end alone', 448, 64, 0],
  ] as const)('KVM_CLEAR_DIRTY_LOG: %s', ([, first, count, result]) => {
    const m = machine('spin', { prepare: (made) => void made.must(made.enableCap(P.KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2)) });
    m.must(logAll(m));
    expect(clearLog(m, first, count)).toBe(result);
  });

  test.for([[2n, -P.EINVAL], [4n, -P.EINVAL], [1n << 32n, -P.EINVAL], [0n, 0], [1n, 0], [3n, 0]] as const)(
    'KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 with %d: %d',
    ([argument, result]) => expect(machine('spin').enableCap(P.KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, argument)).toBe(result),
  );
});

describe('the dirty ring', () => {
  const RING = 4096;
  const withRing = (entry: string): Machine => machine(entry, { prepare: (m) => void m.must(m.enableCap(P.KVM_CAP_DIRTY_LOG_RING, BigInt(RING))) });
  const ringOf = (m: Machine): DataView => {
    const mapping = m.vcpu.file.mmap(RING, P.KVM_DIRTY_LOG_PAGE_OFFSET * P.PAGE_SIZE);
    if (typeof mapping === 'number') throw new Error(P.errnoName(mapping));
    return new DataView(mapping.buffer, mapping.byteOffset, mapping.byteLength);
  };
  /** Collects entries from `next` on, marking them: the frames. */
  const collect = (ring: DataView, next: number): number[] => {
    const frames: number[] = [];
    for (let i = next; i < RING / 16 && (ring.getUint32(i * 16, true) & P.KVM_DIRTY_GFN_F_DIRTY) !== 0; i++) {
      expect(ring.getUint32(i * 16 + 4, true)).toBe(0);
      frames.push(Number(ring.getBigUint64(i * 16 + 8, true)));
      ring.setUint32(i * 16, P.KVM_DIRTY_GFN_F_RESET, true);
    }
    return frames;
  };

  test('lists pages in the order in which they were written; once reset they are listed anew', () => {
    const m = withRing('write_pages_twice');
    m.must(logAll(m));
    const ring = ringOf(m);
    m.vcpu.enter();
    const first = collect(ring, 0);
    expect(above(first)).toEqual([0x100]);
    expect(m.vm.ioctl(P.KVM_RESET_DIRTY_RINGS, 0)).toBe(first.length);
    m.vcpu.finish();
    expect(above(collect(ring, first.length))).toEqual([0x100, 0x103]);
  });

  test('leaves with KVM_EXIT_DIRTY_RING_FULL before it is full, until userspace collects', () => {
    const m = withRing('touch_pages');
    m.must(logAll(m));
    m.vcpu.setRegs({ rbx: 0x100000n, rdx: 0xffn });
    expect(m.vcpu.enter().reason).toBe(P.KVM_EXIT_DIRTY_RING_FULL);
    expect(m.vcpu.enter().reason).toBe(P.KVM_EXIT_DIRTY_RING_FULL);
    const frames = collect(ringOf(m), 0);
    expect(frames).toHaveLength(RING / 16 - 64);
    expect(m.vm.ioctl(P.KVM_RESET_DIRTY_RINGS, 0)).toBe(frames.length);
    m.vcpu.finish();
  });

  test('takes the place of bitmaps', () => {
    const m = withRing('spin');
    m.must(logAll(m));
    expect(getLog(m).result).toBe(-P.ENXIO);
    expect(machine('spin').vm.ioctl(P.KVM_RESET_DIRTY_RINGS, 0)).toBe(-P.EINVAL);
  });

  test.for([[0n, -P.EINVAL], [5000n, -P.EINVAL], [1024n, -P.EINVAL], [1n << 21n, -P.E2BIG], [4096n, 0]] as const)('of %d bytes: %d', ([size, result]) => {
    machine('spin', { prepare: (m) => expect(m.enableCap(P.KVM_CAP_DIRTY_LOG_RING, size)).toBe(result) });
  });

  test('is asked for before vCPUs and once', () => {
    expect(machine('spin').enableCap(P.KVM_CAP_DIRTY_LOG_RING, 4096n)).toBe(-P.EINVAL);
    machine('spin', {
      prepare: (m) => {
        m.must(m.enableCap(P.KVM_CAP_DIRTY_LOG_RING, 4096n));
        expect(m.enableCap(P.KVM_CAP_DIRTY_LOG_RING, 4096n)).toBe(-P.EINVAL);
      },
    });
  });

  test('does not believe what userspace writes into it', () => {
    const m = withRing('write_pages');
    m.must(logAll(m));
    const ring = ringOf(m);
    for (let i = 0; i < RING / 16; i++) {
      ring.setUint32(i * 16, 0xffffffff, true);
      ring.setUint32(i * 16 + 4, i * 0x1111, true);
      ring.setBigUint64(i * 16 + 8, 0xffffffff_fffffff0n + BigInt(i % 16), true);
    }
    expect(m.vm.ioctl(P.KVM_RESET_DIRTY_RINGS, 0)).toBe(RING / 16);
    m.vcpu.tryEnter();
  });
});

describe('coalesced I/O and ioeventfd', () => {
  test('writes to a zone gather in the ring until something else leaves', () => {
    const m = machine('mmio_twice');
    const zone = P.view(P.kvmCoalescedMmioZone, P.allocate(P.kvmCoalescedMmioZone));
    zone.addr = BigInt(LAYOUT.MMIO);
    zone.size = 0x1000;
    m.must(m.vm.ioctl(P.KVM_REGISTER_COALESCED_MMIO, P.bytesOf(zone)));
    m.vcpu.setRegs({ rcx: 0x01020304n });
    m.vcpu.finish();
    const ring = m.vcpu.run.coalescedRing;
    const view = new DataView(ring.buffer, ring.byteOffset, ring.byteLength);
    expect([view.getUint32(0, true), view.getUint32(4, true)]).toEqual([0, 2]);
    expect([view.getBigUint64(8, true), view.getUint32(16, true), view.getUint32(24, true)]).toEqual([BigInt(LAYOUT.MMIO + 0x20), 4, 0x01020304]);
    m.must(m.vm.ioctl(P.KVM_UNREGISTER_COALESCED_MMIO, P.bytesOf(zone)));
    m.vcpu.setRegs({ rip: BigInt(m.symbol('mmio_twice')) });
    expect(m.vcpu.describe(m.vcpu.enter())).toBe('mmio write 0x300020 4');
  });

  test('an ioeventfd takes the write that matches, and no other', () => {
    const m = machine('mmio_twice');
    const event = P.createEventFd();
    const args = P.view(P.kvmIoeventfd, P.allocate(P.kvmIoeventfd));
    args.datamatch = 7n;
    args.addr = BigInt(LAYOUT.MMIO + 0x20);
    args.len = 4;
    args.fd = m.kvm.install(event);
    args.flags = P.KVM_IOEVENTFD_FLAG_DATAMATCH;
    m.must(m.vm.ioctl(P.KVM_IOEVENTFD, P.bytesOf(args)));
    expect(m.vm.ioctl(P.KVM_IOEVENTFD, P.bytesOf(args))).toBe(-P.EEXIST);
    m.vcpu.setRegs({ rcx: 7n });
    expect(m.vcpu.describe(m.vcpu.enter())).toBe('mmio write 0x300024 4');
    expect(event.read()).toBe(1);
    m.vcpu.finish();
    m.vcpu.setRegs({ rcx: 8n, rip: BigInt(m.symbol('mmio_twice')) });
    expect(m.vcpu.describe(m.vcpu.enter())).toBe('mmio write 0x300020 4');
    expect(event.read()).toBe(0);
    args.flags |= P.KVM_IOEVENTFD_FLAG_DEASSIGN;
    m.must(m.vm.ioctl(P.KVM_IOEVENTFD, P.bytesOf(args)));
    expect(m.vm.ioctl(P.KVM_IOEVENTFD, P.bytesOf(args))).toBe(-P.ENOENT);
  });
});
