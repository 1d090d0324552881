/** A vCPU's file with its mapping: ioctls with typed structures, and KVM_RUN. */
import * as P from '@vm/kvm-run';
import type { GuestState, SegmentState } from './guest-state.ts';
import { SEGMENTS } from './guest-state.ts';
import { LAYOUT } from './layout.ts';
import type { Machine } from './machine.ts';

type Regs = P.View<typeof P.kvmRegs>;
type Sregs = P.View<typeof P.kvmSregs>;
type Events = P.View<typeof P.kvmVcpuEvents>;
type Gpr = Exclude<keyof Regs, 'size'>;

const setSegment = (to: P.View<typeof P.kvmSegment>, from: SegmentState): void => {
  const { rights } = from;
  to.selector = from.selector;
  to.base = BigInt(from.base);
  to.limit = from.limit;
  to.type = rights & 15;
  to.s = (rights >> 4) & 1;
  to.dpl = (rights >> 5) & 3;
  to.present = (rights >> 7) & 1;
  to.avl = (rights >> 12) & 1;
  to.l = (rights >> 13) & 1;
  to.db = (rights >> 14) & 1;
  to.g = (rights >> 15) & 1;
  to.unusable = (rights >> 16) & 1;
};

export class GuestRanTooLong extends Error {
  constructor(rip: bigint) {
    super(`the guest ran past its limit; RIP is 0x${rip.toString(16)}`);
    this.name = 'GuestRanTooLong';
  }
}

export class Vcpu {
  readonly machine: Machine;
  readonly file: P.KvmFile;
  readonly run: P.KvmRun;

  constructor(machine: Machine, file: P.KvmFile) {
    this.machine = machine;
    this.file = file;
    const size = machine.must(machine.kvm.ioctl(P.KVM_GET_VCPU_MMAP_SIZE, 0));
    const mapping = file.mmap(size);
    if (typeof mapping === 'number') throw new Error(`mmap: ${P.errnoName(mapping)}`);
    this.run = new P.KvmRun(mapping);
  }

  ioctl(code: number, argument?: P.IoctlArgument): number {
    return this.file.ioctl(code, argument);
  }

  must(code: number, argument?: P.IoctlArgument): number {
    const result = this.file.ioctl(code, argument);
    if (result < 0) throw new Error(`${P.ioctlNames.get(code)}: ${P.errnoName(result)}`);
    return result;
  }

  /** A structure as an ioctl fills it in. */
  get<L extends P.Layout>(code: number, layout: L): P.View<L> {
    const bytes = P.allocate(layout);
    this.must(code, bytes);
    return P.view(layout, bytes);
  }

  // ---- registers

  regs(): Regs {
    return this.get(P.KVM_GET_REGS, P.kvmRegs);
  }

  reg(name: Gpr): bigint {
    return this.regs()[name];
  }

  setRegs(values: Partial<Record<Gpr, bigint>>): void {
    const regs = this.regs();
    for (const [name, value] of Object.entries(values)) regs[name as Gpr] = value;
    this.must(P.KVM_SET_REGS, P.bytesOf(regs));
  }

  sregs(): Sregs {
    return this.get(P.KVM_GET_SREGS, P.kvmSregs);
  }

  setSregs(sregs: Sregs): number {
    return this.ioctl(P.KVM_SET_SREGS, P.bytesOf(sregs));
  }

  setState(state: GuestState): void {
    const sregs = this.sregs();
    for (const name of SEGMENTS) setSegment(sregs[name], state.segments[name]);
    sregs.gdt.base = BigInt(state.gdt.base);
    sregs.gdt.limit = state.gdt.limit;
    sregs.idt.base = BigInt(state.idt.base);
    sregs.idt.limit = state.idt.limit;
    sregs.cr0 = BigInt(state.cr0 >>> 0);
    sregs.cr3 = BigInt(state.cr3);
    sregs.cr4 = BigInt(state.cr4);
    sregs.efer = BigInt(state.efer);
    this.must(P.KVM_SET_SREGS, P.bytesOf(sregs));
  }

  events(): Events {
    return this.get(P.KVM_GET_VCPU_EVENTS, P.kvmVcpuEvents);
  }

  setEvents(events: Events): number {
    return this.ioctl(P.KVM_SET_VCPU_EVENTS, P.bytesOf(events));
  }

  /** KVM_GET_MSRS of one; undefined when there is no such MSR. */
  msr(index: number): bigint | undefined {
    const msrs = this.#oneMsr(index, 0n);
    return this.must(P.KVM_GET_MSRS, P.bytesOf(msrs)) === 1 ? msrs.entries[0]!.data : undefined;
  }

  /** KVM_SET_MSRS of one: 1, or 0 when it was refused. */
  setMsr(index: number, value: bigint): number {
    return this.must(P.KVM_SET_MSRS, P.bytesOf(this.#oneMsr(index, value)));
  }

  #oneMsr(index: number, value: bigint): P.View<typeof P.kvmMsrs> {
    const bytes = P.allocate(P.kvmMsrs, 1);
    new DataView(bytes.buffer).setUint32(0, 1, true);
    const msrs = P.view(P.kvmMsrs, bytes);
    msrs.entries[0]!.index = index;
    msrs.entries[0]!.data = value;
    return msrs;
  }

  /** KVM_INTERRUPT */
  interrupt(vector: number): number {
    const argument = P.view(P.kvmInterrupt, P.allocate(P.kvmInterrupt));
    argument.irq = vector;
    return this.ioctl(P.KVM_INTERRUPT, P.bytesOf(argument));
  }

  mpState(): number {
    return this.get(P.KVM_GET_MP_STATE, P.kvmMpState).mp_state;
  }

  // ---- running

  /** KVM_RUN once: what it returns. Throws when the guest does not come back in time. */
  tryEnter(): number {
    const { machine } = this;
    const result = machine.bounded(() => this.file.ioctl(P.KVM_RUN, 0));
    if (machine.overrun) throw new GuestRanTooLong(this.reg('rip'));
    return result;
  }

  /** KVM_RUN once, which must succeed. */
  enter(): P.KvmExit {
    const result = this.tryEnter();
    if (result < 0) throw new Error(`KVM_RUN: ${P.errnoName(result)}`);
    return this.run.readExit();
  }

  /** Runs to the port that guests end with; anything else in between is an error. */
  finish(): void {
    const exit = this.enter();
    if (!this.isDone(exit)) throw new Error(`the guest did not end: ${this.describe(exit)}`);
  }

  isDone(exit: P.KvmExit): boolean {
    return exit.reason === P.KVM_EXIT_IO && exit.port === LAYOUT.DONE;
  }

  /** An exit in words, for messages and for tables of tests. */
  describe(exit: P.KvmExit): string {
    switch (exit.reason) {
      case P.KVM_EXIT_IO:
        if (exit.port === LAYOUT.DONE) return 'done';
        if (exit.port === LAYOUT.FAULT) return `guest exception ${exit.data[0]}`;
        return `${exit.direction === P.KVM_EXIT_IO_IN ? 'in' : 'out'} 0x${exit.port.toString(16)} ${exit.size}x${exit.count}`;
      case P.KVM_EXIT_MMIO:
        return `mmio ${exit.isWrite ? 'write' : 'read'} 0x${exit.physAddr.toString(16)} ${exit.len}`;
      case P.KVM_EXIT_INTERNAL_ERROR:
        return `internal error ${exit.suberror}`;
      case P.KVM_EXIT_FAIL_ENTRY:
        return `fail entry 0x${exit.hardwareEntryFailureReason.toString(16)} ${this.machine.processor.entryFailure()?.check}`;
      default:
        return P.exitReasonNames[this.run.exitReason] ?? `exit ${this.run.exitReason}`;
    }
  }
}
