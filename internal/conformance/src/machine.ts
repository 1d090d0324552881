/**
 * A program against the KVM API, as its users write them: a VM of 2 MiB with the guests of this package, on a processor of
 * its own whose time counts instructions. Each KVM_RUN is bounded: a guest that does not come back is an error, not a hang.
 */
import { assembleProcessor, TEST_JIT } from '@vm/cpu/testing';
import { openKvm, type KvmDevice, type KvmTracer } from '@vm/kvm';
import * as P from '@vm/kvm-run';
import { symbol, type GuestImage } from './guest-image.ts';
import { guestState, writeGuest, type GuestMemory, type Mode } from './guest-state.ts';
import { IMAGES } from './guests.ts';
import { LAYOUT } from './layout.ts';
import { Vcpu } from './vcpu.ts';

export interface MachineOptions {
  readonly mode?: Mode;
  readonly image?: GuestImage;
  /** The label where the guest begins. */
  readonly entry?: string;
  readonly irqchip?: 'none' | 'kernel' | 'split';
  readonly vcpus?: number;
  /** Changes what KVM_GET_SUPPORTED_CPUID gave before the vCPUs get it. */
  readonly cpuid?: (entries: readonly P.View<typeof P.kvmCpuidEntry2>[]) => void;
  /** Called on the VM before it has vCPUs, for capabilities. */
  readonly prepare?: (machine: Machine) => void;
  readonly tracer?: KvmTracer;
  /** Instructions after which a KVM_RUN is given up. */
  readonly limit?: number;
  /** A tick of the host's timer interrupts KVM_RUN with -EINTR, as a signal does. */
  readonly tick?: () => boolean;
}

type Parts = ReturnType<typeof assembleProcessor>;

const MEMORY_BYTES = 24 << 20;
const ARENA_BYTES = 1 << 20;
/** One TSC tick an instruction: a million ticks a millisecond, a tick of the host each. */
const TSC_KHZ = 1_000_000;
const TICK_HZ = 1000;
const DEFAULT_LIMIT = 20_000_000;
const CPUID_ROOM = 128;

export class Machine implements GuestMemory {
  readonly memory: P.HostMemory;
  readonly processor: Parts['processor'];
  readonly #parts: Parts;
  readonly kvm: KvmDevice;
  readonly vm: P.KvmFile;
  readonly vcpus: readonly Vcpu[];
  readonly image: GuestImage;
  readonly mode: Mode;
  /** Host address of guest-physical address 0. */
  readonly ram: number;
  /** The KVM_RUN that runs was given up. */
  overrun = false;
  #until = Infinity;
  readonly #limit: number;

  constructor(options: MachineOptions = {}) {
    const { mode = 'long', irqchip = 'none', vcpus = 1, limit = DEFAULT_LIMIT } = options;
    this.mode = mode;
    this.image = options.image ?? IMAGES[mode];
    this.#limit = limit;
    this.memory = P.HostMemory.create(MEMORY_BYTES);
    this.#parts = assembleProcessor({ memory: this.memory, deterministic: true, tscKhz: TSC_KHZ, traceArenaBytes: ARENA_BYTES, jit: TEST_JIT });
    this.processor = this.#parts.processor;
    this.kvm = openKvm({
      memory: this.memory, processors: [this.processor], tickHz: TICK_HZ, tick: () => this.#tick(options.tick), statistics: true,
      ...(options.tracer === undefined ? {} : { tracer: options.tracer }),
    });
    this.vm = this.open(this.kvm.ioctl(P.KVM_CREATE_VM, 0));
    this.ram = this.memory.allocPages(LAYOUT.RAM_SIZE / P.PAGE_SIZE, LAYOUT.RAM_SIZE / P.PAGE_SIZE);
    this.must(this.setMemory(0, 0, LAYOUT.RAM_SIZE, this.ram));
    if (irqchip === 'kernel') this.must(this.vm.ioctl(P.KVM_CREATE_IRQCHIP, 0));
    if (irqchip === 'split') this.must(this.enableCap(P.KVM_CAP_SPLIT_IRQCHIP, 24n));
    options.prepare?.(this);
    writeGuest(this, mode, this.image);
    this.vcpus = Array.from({ length: vcpus }, (_, id) => this.#createVcpu(id, options));
  }

  #tick(more?: () => boolean): boolean {
    if (this.processor.instructionCount() >= this.#until) this.overrun = true;
    return (more?.() ?? false) || this.overrun;
  }

  #createVcpu(id: number, options: MachineOptions): Vcpu {
    const vcpu = new Vcpu(this, this.open(this.vm.ioctl(P.KVM_CREATE_VCPU, id)));
    const cpuid = this.supportedCpuid();
    options.cpuid?.(P.view(P.kvmCpuid2, cpuid).entries);
    vcpu.must(P.KVM_SET_CPUID2, cpuid);
    vcpu.setState(guestState(this.mode));
    vcpu.setRegs({ rip: BigInt(symbol(this.image, options.entry ?? 'faults')), rsp: BigInt(LAYOUT.STACK - id * 0x400), rflags: 2n });
    return vcpu;
  }

  /** Regions of guest code that were compiled. */
  get regions(): number {
    return this.#parts.driver.jit?.statistics.regions ?? 0;
  }

  /** The first vCPU. */
  get vcpu(): Vcpu {
    return this.vcpus[0]!;
  }

  /** The file of a descriptor that an ioctl returned. */
  open(descriptor: number): P.KvmFile {
    const file = descriptor < 0 ? undefined : this.kvm.file(descriptor);
    if (file === undefined) throw new Error(`no file: ${descriptor < 0 ? P.errnoName(descriptor) : descriptor}`);
    return file;
  }

  must(result: number): number {
    if (result < 0) throw new Error(`ioctl: ${P.errnoName(result)}`);
    return result;
  }

  supportedCpuid(): Uint8Array {
    const bytes = P.allocate(P.kvmCpuid2, CPUID_ROOM);
    P.view(P.kvmCpuid2, bytes).nent = CPUID_ROOM;
    this.must(this.kvm.ioctl(P.KVM_GET_SUPPORTED_CPUID, bytes));
    return bytes;
  }

  /** KVM_SET_USER_MEMORY_REGION */
  setMemory(slot: number, gpa: number, size: number, hva: number, flags = 0): number {
    const region = P.view(P.kvmUserspaceMemoryRegion, P.allocate(P.kvmUserspaceMemoryRegion));
    region.slot = slot;
    region.flags = flags;
    region.guest_phys_addr = BigInt(gpa);
    region.memory_size = BigInt(size);
    region.userspace_addr = BigInt(hva);
    return this.vm.ioctl(P.KVM_SET_USER_MEMORY_REGION, P.bytesOf(region));
  }

  enableCap(capability: number, argument = 1n): number {
    const cap = P.view(P.kvmEnableCap, P.allocate(P.kvmEnableCap));
    cap.cap = capability;
    cap.args[0] = argument;
    return this.vm.ioctl(P.KVM_ENABLE_CAP, P.bytesOf(cap));
  }

  /** KVM_IRQ_LINE */
  irqLine(irq: number, level: number): number {
    const line = P.view(P.kvmIrqLevel, P.allocate(P.kvmIrqLevel));
    line.irq = irq;
    line.level = level;
    return this.vm.ioctl(P.KVM_IRQ_LINE, P.bytesOf(line));
  }

  // ---- guest memory

  write(gpa: number, bytes: Uint8Array): void {
    this.memory.write(this.ram + gpa, bytes);
  }

  u32(gpa: number): number {
    return this.memory.u32[(this.ram + gpa) >>> 2]!;
  }

  setU32(gpa: number, ...values: readonly number[]): void {
    this.write(gpa, new Uint8Array(Uint32Array.from(values).buffer));
  }

  symbol(label: string): number {
    return symbol(this.image, label);
  }

  /** Runs `action` with the limit on. */
  bounded<T>(action: () => T): T {
    this.overrun = false;
    this.#until = this.processor.instructionCount() + this.#limit;
    try {
      return action();
    } finally {
      this.#until = Infinity;
    }
  }

  /** VM exits by the kernel's name of the reason. */
  exitCount(reason: number): number {
    return this.kvm.statistics?.count[reason] ?? 0;
  }

  close(): void {
    for (const vcpu of this.vcpus) vcpu.file.close();
    this.vm.close();
    this.kvm.close();
    this.processor.dispose();
  }
}
