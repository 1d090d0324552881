/** A KVM whose guest is a script: each KVM_RUN does the next step. It records the calls that it gets. */

import {
  E2BIG,
  EINTR,
  KVM_API_VERSION,
  KVM_CHECK_EXTENSION,
  KVM_CREATE_VCPU,
  KVM_CREATE_VM,
  KVM_EXIT_IO,
  KVM_EXIT_IO_IN,
  KVM_EXIT_IO_OUT,
  KVM_EXIT_MMIO,
  KVM_GET_API_VERSION,
  KVM_GET_MSRS,
  KVM_GET_MSR_INDEX_LIST,
  KVM_GET_SUPPORTED_CPUID,
  KVM_GET_VCPU_MMAP_SIZE,
  KVM_IRQ_LINE,
  KVM_PIO_PAGE_OFFSET,
  KVM_RUN,
  KVM_SET_MSRS,
  KvmRun,
  VCPU_MMAP_SIZE,
  ioctlNames,
  ioctlReads,
  ioctlWrites,
  kvmCpuidEntry2,
  type EventFd,
  type IoctlArgument,
  type KvmFile,
  type KvmSystem,
} from '@vm/kvm-run';

export interface Call {
  readonly name: string;
  readonly argument: IoctlArgument;
}

/** What one KVM_RUN does; returns its result. */
export type Step = (run: KvmRun) => number;

/** Leaves that the fake supports: enough for what userspace changes in them. */
const CPUID: readonly (readonly number[])[] = [
  [0, 0, 0, 0x16, 0x756e6547, 0x6c65746e, 0x49656e69],
  [1, 0, 0, 0x806ea, 0x00000800, 1 << 5, 1 << 28],
  [0x0b, 0, 1, 0, 0, 0, 0],
  [0x0b, 1, 1, 0, 0, 0, 0],
];

export class FakeKvm implements KvmSystem {
  readonly calls: Call[] = [];
  readonly mapping: Uint8Array<SharedArrayBuffer> = new Uint8Array(new SharedArrayBuffer(VCPU_MMAP_SIZE));
  readonly run: KvmRun = new KvmRun(this.mapping);
  /** Levels of the lines, by GSI. */
  readonly lines: Map<number, number> = new Map();
  steps: Step[] = [];
  /** Results that calls are to have instead of success, by name. */
  readonly results: Map<string, number> = new Map();
  /** Capabilities that are not there. */
  readonly lacking: Set<number> = new Set();
  readonly #state: Map<number, Uint8Array> = new Map();
  readonly #files: KvmFile[] = [];

  named(name: string): Call[] {
    return this.calls.filter((call) => call.name === name);
  }

  file(descriptor: number): KvmFile | undefined {
    return this.#files[descriptor - 3];
  }

  install(_event: EventFd): number {
    return 100;
  }

  mmap(): Uint8Array<SharedArrayBuffer> {
    return this.mapping;
  }

  close(): number {
    return 0;
  }

  ioctl(code: number, argument?: IoctlArgument): number {
    const name = ioctlNames.get(code) ?? `0x${code.toString(16)}`;
    this.calls.push({ name, argument: argument instanceof Uint8Array ? argument.slice() : argument });
    const forced = this.results.get(name);
    if (forced !== undefined) return forced;
    switch (code) {
      case KVM_GET_API_VERSION:
        return KVM_API_VERSION;
      case KVM_CHECK_EXTENSION:
        return this.lacking.has(Number(argument)) ? 0 : 8;
      case KVM_GET_VCPU_MMAP_SIZE:
        return VCPU_MMAP_SIZE;
      case KVM_CREATE_VM:
      case KVM_CREATE_VCPU:
        this.#files.push(this);
        return this.#files.length + 2;
      case KVM_RUN:
        return this.#enter();
      case KVM_IRQ_LINE: {
        const words = new Uint32Array((argument as Uint8Array).slice().buffer);
        this.lines.set(words[0]!, words[1]!);
        return 0;
      }
      case KVM_GET_SUPPORTED_CPUID:
        return this.#supportedCpuid(argument as Uint8Array);
      case KVM_GET_MSR_INDEX_LIST:
        return this.#msrIndexList(argument as Uint8Array);
      case KVM_GET_MSRS:
      case KVM_SET_MSRS:
        return new DataView((argument as Uint8Array).buffer).getUint32(0, true);
      default:
        return this.#transfer(code, argument);
    }
  }

  #enter(): number {
    if (this.run.immediateExit !== 0) return -EINTR;
    const step = this.steps.shift();
    return step === undefined ? -EINTR : step(this.run);
  }

  /** GET gives what the SET of the same number, or of the neighbouring one, stored. */
  #transfer(code: number, argument: IoctlArgument): number {
    if (!(argument instanceof Uint8Array)) return 0;
    const name = (ioctlNames.get(code) ?? '').replace('KVM_SET_', 'KVM_GET_');
    const key = [...ioctlNames].find(([, other]) => other === name)?.[0] ?? code;
    const isGet = (ioctlNames.get(code) ?? '').startsWith('KVM_GET_') && ioctlReads(code);
    const stored = this.#state.get(key);
    if (isGet) argument.set(stored?.subarray(0, argument.length) ?? new Uint8Array(0));
    else if (ioctlWrites(code) || ioctlReads(code)) this.#state.set(key, argument.slice());
    return 0;
  }

  #supportedCpuid(bytes: Uint8Array): number {
    const view = new DataView(bytes.buffer);
    if (view.getUint32(0, true) < CPUID.length) return -E2BIG;
    view.setUint32(0, CPUID.length, true);
    CPUID.forEach((words, i) => words.forEach((word, j) => view.setUint32(8 + i * kvmCpuidEntry2.size + j * 4, word, true)));
    return 0;
  }

  #msrIndexList(bytes: Uint8Array): number {
    const indices = [0x10, 0x174, 0x277];
    const view = new DataView(bytes.buffer);
    const room = view.getUint32(0, true);
    view.setUint32(0, indices.length, true);
    if (room < indices.length) return -E2BIG;
    indices.forEach((index, i) => view.setUint32(4 + i * 4, index, true));
    return 0;
  }
}

// ---- steps

export function out(port: number, size: 1 | 2 | 4, ...values: readonly number[]): Step {
  return (run) => {
    run.exitReason = KVM_EXIT_IO;
    run.setIo(KVM_EXIT_IO_OUT, size, port, values.length);
    values.forEach((value, i) => {
      for (let j = 0; j < size; j++) run.bytes[KVM_PIO_PAGE_OFFSET * 4096 + i * size + j] = value >>> (8 * j);
    });
    return 0;
  };
}

/** An input; `then` sees what userspace answered, at the next KVM_RUN. */
export function input(port: number, size: 1 | 2 | 4, then: (value: number) => void): Step[] {
  return [
    (run) => {
      run.exitReason = KVM_EXIT_IO;
      run.setIo(KVM_EXIT_IO_IN, size, port, 1);
      return 0;
    },
    (run) => {
      let value = 0;
      for (let j = 0; j < size; j++) value += run.bytes[KVM_PIO_PAGE_OFFSET * 4096 + j]! * 256 ** j;
      then(value);
      return -EINTR;
    },
  ];
}

export function mmio(address: number, isWrite: boolean, bytes: readonly number[]): Step {
  return (run) => {
    run.exitReason = KVM_EXIT_MMIO;
    run.setMmio(address, bytes.length, isWrite ? 1 : 0);
    run.bytes.set(bytes, run.mmioDataOffset);
    return 0;
  };
}

/** An exit with a payload of 32-bit words from the start of the union. */
export function exit(reason: number, ...words: readonly number[]): Step {
  return (run) => {
    run.exitReason = reason;
    words.forEach((word, i) => (run.u32[8 + i] = word));
    return 0;
  };
}
