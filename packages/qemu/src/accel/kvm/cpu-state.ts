import { KVM_CREATE_VCPU, KVM_RUN, KvmRun, type IoctlArgument, type KvmFile } from '@vm/kvm-run';
import type { AddressSpace } from '../../system/address-space.ts';
import type { IoPortSpace } from '../../system/io-port-space.ts';
import type { RunState } from '../../system/runstate.ts';
import type { X86Env } from '../../target/i386/env.ts';
import type { KvmState } from './kvm-all.ts';
import { KvmError, checkIoctl } from './kvm-error.ts';

export interface CpuOptions {
  readonly index: number;
  readonly kvm: KvmState;
  readonly env: X86Env;
  readonly memory: AddressSpace;
  readonly ioPorts: IoPortSpace;
  readonly runState: RunState;
  /** Interrupts the vCPU's thread, where that is another than the caller's. */
  readonly kick?: () => void;
}

/** A vCPU as userspace has it: CPUState with its KVM part. */
export class CpuState {
  readonly index: number;
  readonly kvm: KvmState;
  readonly env: X86Env;
  readonly memory: AddressSpace;
  readonly ioPorts: IoPortSpace;
  readonly runState: RunState;
  readonly file: KvmFile;
  readonly run: KvmRun;
  /** Userspace changed registers that KVM does not know yet. */
  vcpuDirty = false;
  /** Halted with no in-kernel irqchip to wait in. */
  halted = false;
  stopped = false;
  unplug = false;
  exitRequest = false;
  readonly #kick: (() => void) | undefined;

  constructor(options: CpuOptions) {
    this.index = options.index;
    this.kvm = options.kvm;
    this.env = options.env;
    this.memory = options.memory;
    this.ioPorts = options.ioPorts;
    this.runState = options.runState;
    this.#kick = options.kick;
    const descriptor = checkIoctl(KVM_CREATE_VCPU, this.kvm.kvmVmIoctl(KVM_CREATE_VCPU, this.index));
    const file = this.kvm.system.file(descriptor);
    if (file === undefined) throw new KvmError('KVM_CREATE_VCPU', 0, `descriptor ${descriptor} is no open file`);
    this.file = file;
    const mapping = file.mmap(this.kvm.vcpuMmapSize);
    if (typeof mapping === 'number') throw new KvmError('mmap of the vCPU', -mapping);
    this.run = new KvmRun(mapping);
  }

  /** kvm_vcpu_ioctl: the result, negative on error. */
  kvmVcpuIoctl(code: number, argument?: IoctlArgument): number {
    return this.file.ioctl(code, argument);
  }

  /** KVM_RUN. */
  enter(): number {
    return this.file.ioctl(KVM_RUN, 0);
  }

  /** cpu_exit: the vCPU leaves KVM_RUN as soon as the instruction under way is complete. Any thread may call it. */
  cpuExit(): void {
    this.exitRequest = true;
    this.run.immediateExit = 1;
    this.#kick?.();
  }

  close(): void {
    this.file.close();
  }
}
