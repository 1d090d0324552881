/**
 * The machine: a PC without PCI, after QEMU's microvm. One 16550A, RTC, keyboard controller, fw_cfg and ACPI power
 * management by ports; interrupt chips and PIT in KVM; kernels are loaded directly, without firmware.
 */

import { KVM_CAP_MAX_VCPUS, KVM_CHECK_EXTENSION, PAGE_SIZE } from '@vm/kvm-run';
import { CpuState } from '../../accel/kvm/cpu-state.ts';
import { kvmInit, type KvmState } from '../../accel/kvm/kvm-all.ts';
import { qemuKvmCpuThreadFn } from '../../accel/kvm/kvm-cpus.ts';
import { KvmMemoryListener, kvmIoListener } from '../../accel/kvm/kvm-memory-listener.ts';
import { AddressSpace } from '../../system/address-space.ts';
import { CharBuffer } from '../../system/chardev.ts';
import { MachineError, type ExitStatus } from '../../system/exit-status.ts';
import { IO_PORTS, IoPortSpace } from '../../system/io-port-space.ts';
import { MemoryRegion } from '../../system/memory-region.ts';
import { RunState } from '../../system/runstate.ts';
import { X86Env } from '../../target/i386/env.ts';
import { kvmArchSetCpuid } from '../../target/i386/kvm/cpuid.ts';
import { kvmSaveIrqchips, kvmSaveLapic } from '../../target/i386/kvm/irqchips.ts';
import { kvmPcSetupIrqRouting } from '../../target/i386/kvm/irq-routing.ts';
import { kvmPutMsrs, kvmResetMsrs } from '../../target/i386/kvm/msrs.ts';
import { KVM_PUT_RESET_STATE, kvmArchPutRegisters } from '../../target/i386/kvm/registers.ts';
import { acpiBuild } from './acpi-build.ts';
import type { BootImage, RomBlob } from './boot/boot-image.ts';
import { loadKernel } from './boot/load-kernel.ts';
import { MemoryPlan } from './boot/memory-plan.ts';
import { pcCmosInit } from './cmos.ts';
import { e820Table, splitRam, type E820Entry, type RamSplit } from './e820.ts';
import { ABOVE_4G, ACPI_TABLES, BIOS_DATA_AREA, EBDA_START, IOAPIC_PINS, KVM_IDENTITY_BASE, KiB, MiB } from './layout.ts';
import { microvmDevicesInit, type MicrovmDevices } from './microvm-devices.ts';
import { microvmFwCfgInit } from './microvm-fw-cfg.ts';
import { allocateRam, type MicrovmOptions } from './microvm-options.ts';
import { mpTable } from './mp-table.ts';

/** 52 physical address bits. */
const PHYSICAL_SPACE: number = 2 ** 52;

export class Microvm {
  readonly kvm: KvmState;
  readonly memory: AddressSpace;
  readonly ioPorts: IoPortSpace;
  readonly runState: RunState;
  readonly cpus: readonly CpuState[];
  readonly devices: MicrovmDevices;
  readonly e820: readonly E820Entry[];
  /** What the guest sends to COM1, in order; the bytes are the receiver's to keep. */
  onSerialOutput: (bytes: Uint8Array) => void;
  readonly #options: MicrovmOptions;
  readonly #ram: RamSplit;
  readonly #ramHost: number;
  readonly #irq0Override: boolean;
  readonly #serialBuffer: CharBuffer = new CharBuffer((bytes) => this.onSerialOutput(bytes));
  readonly #restoreChips: () => void;
  readonly #restoreCpus: readonly (() => void)[];
  #image: Promise<BootImage> | undefined;
  #ramUsed = false;
  #wake: () => void = () => {};
  #closed = false;

  constructor(options: MicrovmOptions) {
    this.#options = options;
    this.onSerialOutput = options.onSerialOutput ?? (() => {});
    const cpus = checkedCpus(options);
    this.#ramHost = allocateRam(options);
    try {
      this.#ram = splitRam(options.memoryMiB * MiB);
      this.e820 = e820Table(this.#ram);
      this.runState = new RunState({ reboot: options.onReboot ?? 'reset', tripleFault: options.onTripleFault ?? 'stop' }, () =>
        this.#notify(),
      );
      this.kvm = kvmInit({ system: options.kvm, memory: options.hostMemory, identityBase: KVM_IDENTITY_BASE });
      this.#irq0Override = kvmPcSetupIrqRouting(this.kvm, IOAPIC_PINS);
      this.memory = new AddressSpace('memory', this.#memoryRegions(), options.hostMemory);
      const ports = MemoryRegion.container('I/O', IO_PORTS);
      const context = {
        options,
        kvm: this.kvm,
        memory: this.memory,
        ioPorts: ports,
        runState: this.runState,
        serialBackend: this.#serialBuffer,
      };
      this.devices = microvmDevicesInit(context);
      this.memory.update();
      this.ioPorts = new IoPortSpace(ports, options.hostMemory);
      this.memory.listen(new KvmMemoryListener(this.kvm));
      this.ioPorts.listen(kvmIoListener(this.kvm));
      microvmFwCfgInit(this.devices.fwCfg, options, this.e820, this.#irq0Override);
      pcCmosInit(this.devices.rtc, this.#ram, cpus);
      this.cpus = Array.from({ length: cpus }, (_, index) => this.#createCpu(index));
      this.#restoreChips = kvmSaveIrqchips(this.kvm);
      this.#restoreCpus = this.cpus.map((cpu) => restoreCpu(cpu));
    } catch (error) {
      this.#freeRam();
      throw error;
    }
  }

  /** COM1. */
  get serial(): { input(bytes: Uint8Array): void } {
    return this.devices.serial;
  }

  /**
   * Reads the kernel, unpacks it and finds places for everything; `run` does it if it was not done. Rejects with
   * LoaderError when the kernel or the initrd cannot be loaded.
   */
  load(): Promise<BootImage> {
    const context = { options: this.#options, e820: this.e820, plan: new MemoryPlan(this.e820), rsdp: ACPI_TABLES };
    this.#image ??= loadKernel(context);
    return this.#image;
  }

  /** Runs the machine until the guest, or `quit`, ends it. A machine that ended starts over when run again. */
  async run(): Promise<ExitStatus> {
    if (this.#closed) throw new MachineError('the machine is closed: make a new one');
    const image = await this.load();
    this.runState.clear();
    this.#systemReset(image);
    const threads = this.cpus.map((cpu) => {
      cpu.unplug = false;
      return qemuKvmCpuThreadFn(cpu, (idle) => this.#waitIoEvent(idle, image));
    });
    await Promise.all(threads);
    this.#serialBuffer.flush();
    return this.runState.exitRequested!;
  }

  /** Resets the machine, as its reset button would. */
  reset(): void {
    this.runState.qemuSystemResetRequest();
  }

  /** Presses the power button: the guest decides what that means. */
  powerdown(): void {
    this.devices.acpiPm.powerButton();
  }

  /** Ends the machine without asking the guest. */
  quit(status: ExitStatus = { code: 0, cause: 'stopped', message: 'the machine was stopped' }): void {
    this.runState.exit(status);
  }

  /** Gives back what the machine holds. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const cpu of this.cpus) cpu.close();
    this.kvm.close();
    this.#freeRam();
  }

  #notify(): void {
    for (const cpu of this.cpus) cpu.cpuExit();
    this.#wake();
  }

  /** The main loop's part between two rounds of a vCPU (qemu_wait_io_event, main_loop_should_exit). */
  async #waitIoEvent(cpu: CpuState, image: BootImage): Promise<void> {
    this.#serialBuffer.flush();
    if (this.runState.exitRequested !== undefined) cpu.unplug = true;
    else if (this.runState.takeReset()) this.#systemReset(image);
    else await Promise.race([this.#options.waitIoEvent(cpu), new Promise<void>((resolve) => (this.#wake = resolve))]);
  }

  /** qemu_system_reset: devices, chips, processors, and what the loaders put into memory. */
  #systemReset(image: BootImage): void {
    // At the first start all is as it was made; input that came early stays where it is.
    if (this.#ramUsed) {
      this.devices.reset();
      this.#restoreChips();
      for (const restore of this.#restoreCpus) restore();
    }
    this.cpus.forEach((cpu) => {
      cpu.env.reset();
      cpu.halted = false;
      cpu.exitRequest = false;
      cpu.run.immediateExit = 0;
    });
    for (const blob of [...this.#tables(), ...image.blobs]) this.#writeBlob(blob);
    const [bootstrap] = this.cpus;
    image.enter(bootstrap!.env);
    for (const cpu of this.cpus) kvmArchPutRegisters(cpu, KVM_PUT_RESET_STATE);
    this.#ramUsed = true;
  }

  #writeBlob(blob: RomBlob): void {
    this.memory.write(blob.address, blob.bytes);
    const rest = (blob.size ?? blob.bytes.length) - blob.bytes.length;
    // Fresh RAM is zero: leave its pages untouched, so that they take no memory of the host.
    if (rest > 0 && this.#ramUsed) this.memory.fill(blob.address + blob.bytes.length, rest, 0);
  }

  /** What firmware would leave in memory. */
  #tables(): RomBlob[] {
    const cpus = this.cpus.length;
    const acpi = acpiBuild({
      cpus,
      keyboard: this.#options.keyboard ?? false,
      com2: this.#options.com2 !== undefined,
      irq0Override: this.#irq0Override,
    });
    const mp = mpTable({ cpus, irq0Override: this.#irq0Override, signature: this.cpus[0]!.env.signature });
    // BIOS data area: segment of the EBDA, KiB of base memory.
    const bda = new Uint8Array(0x100);
    const view = new DataView(bda.buffer);
    view.setUint16(0x0e, EBDA_START >> 4, true);
    view.setUint16(0x13, EBDA_START / KiB, true);
    return [
      { name: 'ACPI tables', address: ACPI_TABLES, bytes: acpi.bytes },
      { name: 'MP table', address: EBDA_START, bytes: mp },
      { name: 'BIOS data area', address: BIOS_DATA_AREA, bytes: bda },
    ];
  }

  #memoryRegions(): MemoryRegion {
    const root = MemoryRegion.container('system', PHYSICAL_SPACE);
    const ram = MemoryRegion.ram('ram', this.#ram.below4g + this.#ram.above4g, this.#ramHost);
    root.addSubregion(0, MemoryRegion.alias('ram-below-4g', ram, 0, this.#ram.below4g));
    if (this.#ram.above4g > 0) root.addSubregion(ABOVE_4G, MemoryRegion.alias('ram-above-4g', ram, this.#ram.below4g, this.#ram.above4g));
    return root;
  }

  #createCpu(index: number): CpuState {
    const { kvm, memory, ioPorts, runState } = this;
    const options = this.#options;
    const kick = options.kick === undefined ? {} : { kick: options.kick };
    const cpu = new CpuState({ index, kvm, env: new X86Env(index === 0), memory, ioPorts, runState, ...kick });
    kvmArchSetCpuid(cpu, { cpus: options.cpus ?? 1, nested: options.nested ?? false });
    return cpu;
  }

  #freeRam(): void {
    this.#options.hostMemory.free(this.#ramHost, (this.#options.memoryMiB * MiB) / PAGE_SIZE);
  }
}

/** Takes down what KVM resets of a vCPU by itself only at its creation; the function it returns puts it back. */
function restoreCpu(cpu: CpuState): () => void {
  const lapic = kvmSaveLapic(cpu);
  const msrs = kvmResetMsrs(cpu);
  return () => {
    lapic();
    kvmPutMsrs(cpu, msrs);
  };
}

function checkedCpus(options: MicrovmOptions): number {
  const cpus = options.cpus ?? 1;
  const most = Math.max(1, options.kvm.ioctl(KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS));
  if (!Number.isInteger(cpus) || cpus < 1 || cpus > most) throw new MachineError(`a machine with ${cpus} processors: KVM has 1 to ${most}`);
  return cpus;
}

/** Makes a machine; throws MachineError for options that make no sense and KvmError when KVM refuses. */
export function createMicrovm(options: MicrovmOptions): Microvm {
  return new Microvm(options);
}
