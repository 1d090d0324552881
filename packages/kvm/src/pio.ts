/**
 * Port I/O (kvm_fast_pio, emulator_pio_in and relatives of arch/x86/kvm/x86.c): first the devices of KVM on the port
 * bus, then userspace, with the data in the second page of the vCPU's mapping.
 */

import { KVM_EXIT_IO, KVM_EXIT_IO_IN, KVM_EXIT_IO_OUT, KVM_X86_QUIRK_OUT_7E_INC_RIP } from '@vm/kvm-run';
import { kvmRegisterReadHi, kvmRegisterReadLo, kvmRegisterWrite, kvmRipReadHi, kvmRipReadLo } from './cache-regs.ts';
import { kvmSkipEmulatedInstruction } from './skip.ts';
import { VCPU_REGS_RAX, type KvmVcpu } from './types.ts';

const PAGE_SIZE = 4096;

const tracePio = (vcpu: KvmVcpu, rw: number, size: number, port: number, count: number): void => {
  if (vcpu.tracer === null) return;
  const { pioData } = vcpu.run;
  let value = 0;
  for (let i = Math.min(size, 4) - 1; i >= 0; i--) value = value * 256 + pioData[i]!;
  vcpu.tracer.event('kvm_pio', vcpu.vcpuId, rw, port, size, count, value);
};

const load = (bytes: Uint8Array, at: number, size: number): number => {
  let value = 0;
  for (let i = size - 1; i >= 0; i--) value = ((value << 8) | bytes[at + i]!) >>> 0;
  return value;
};

const store = (bytes: Uint8Array, at: number, size: number, value: number): void => {
  for (let i = 0; i < size; i++) bytes[at + i] = value >>> (i * 8);
};

/**
 * kernel_pio: `count` accesses with data in the page of port data, to devices of KVM. False: the first of them has no
 * device. A later one that has none is dropped, respectively reads zeros.
 */
const kernelPio = (vcpu: KvmVcpu, input: boolean, size: number, port: number, count: number): boolean => {
  const bus = vcpu.kvm.pioBus;
  const { pioData } = vcpu.run;
  for (let i = 0; i < count; i++) {
    const at = i * size;
    if (input) {
      if (bus.read(vcpu, port, size)) store(pioData, at, size, bus.result[0]!);
      else if (i === 0) return false;
      else store(pioData, at, size, 0);
    } else if (!bus.write(vcpu, port, size, load(pioData, at, size), 0) && i === 0) return false;
  }
  return true;
};

/** emulator_pio_in_out: true when a device of KVM did it; otherwise kvm_run asks userspace. */
const emulatorPioInOut = (vcpu: KvmVcpu, input: boolean, size: number, port: number, count: number): boolean => {
  if (!input && vcpu.tracer !== null) tracePio(vcpu, 1, size, port, count);
  vcpu.pioPort = port;
  vcpu.pioIn = input;
  vcpu.pioCount = count;
  vcpu.pioSize = size;
  if (kernelPio(vcpu, input, size, port, count)) {
    vcpu.pioCount = 0;
    if (input && vcpu.tracer !== null) tracePio(vcpu, 0, size, port, count);
    return true;
  }
  const { run } = vcpu;
  run.exitReason = KVM_EXIT_IO;
  run.setIo(input ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT, size, port, count);
  return false;
};

/** How many accesses of `size` bytes one exit to userspace can carry. */
export const pioMaxCount = (size: number): number => Math.floor(PAGE_SIZE / size);

/**
 * emulator_pio_in_emulated, for string input: `count` elements into `data`. False: userspace must give them; call again
 * with the same arguments when the instruction is emulated again.
 */
export const emulatorPioIn = (
  vcpu: KvmVcpu,
  size: number,
  port: number,
  data: Uint8Array,
  offset: number,
  count: number,
): boolean => {
  if (vcpu.pioCount !== 0) {
    vcpu.pioCount = 0;
    if (vcpu.tracer !== null) tracePio(vcpu, 0, size, port, count);
  } else if (!emulatorPioInOut(vcpu, true, size, port, count)) return false;
  data.set(vcpu.run.pioData.subarray(0, size * count), offset);
  return true;
};

/** emulator_pio_out, for string output. False: userspace must take them; the instruction is done nevertheless. */
export const emulatorPioOut = (
  vcpu: KvmVcpu,
  size: number,
  port: number,
  data: Uint8Array,
  offset: number,
  count: number,
): boolean => {
  vcpu.run.pioData.set(data.subarray(offset, offset + size * count));
  const done = emulatorPioInOut(vcpu, false, size, port, count);
  if (done) vcpu.pioCount = 0;
  return done;
};

const rememberRip = (vcpu: KvmVcpu): void => {
  vcpu.pioRipLo = kvmRipReadLo(vcpu);
  vcpu.pioRipHi = kvmRipReadHi(vcpu);
};

/** kvm_is_linear_rip: userspace has not moved the vCPU elsewhere meanwhile. */
const ripUnchanged = (vcpu: KvmVcpu): boolean => vcpu.pioRipLo === kvmRipReadLo(vcpu) && vcpu.pioRipHi === kvmRipReadHi(vcpu);

/** Puts what was read into AL, AX or EAX. */
const writeRax = (vcpu: KvmVcpu, size: number): void => {
  const value = load(vcpu.run.pioData, 0, size);
  if (size === 4) kvmRegisterWrite(vcpu, VCPU_REGS_RAX, value, 0);
  else {
    const mask = size === 2 ? 0xffff : 0xff;
    const old = kvmRegisterReadLo(vcpu, VCPU_REGS_RAX);
    kvmRegisterWrite(vcpu, VCPU_REGS_RAX, (old & ~mask) | value, kvmRegisterReadHi(vcpu, VCPU_REGS_RAX));
  }
};

/** complete_fast_pio_out */
export const completeFastPioOut = (vcpu: KvmVcpu): number => {
  vcpu.pioCount = 0;
  return ripUnchanged(vcpu) ? kvmSkipEmulatedInstruction(vcpu) : 1;
};

const completeFastPioOutPort7e = (vcpu: KvmVcpu): number => {
  vcpu.pioCount = 0;
  return 1;
};

/** complete_fast_pio_in */
export const completeFastPioIn = (vcpu: KvmVcpu): number => {
  vcpu.pioCount = 0;
  if (!ripUnchanged(vcpu)) return 1;
  if (vcpu.tracer !== null) tracePio(vcpu, 0, vcpu.pioSize, vcpu.pioPort, 1);
  writeRax(vcpu, vcpu.pioSize);
  return kvmSkipEmulatedInstruction(vcpu);
};

/** kvm_fast_pio_out: 1 when a device of KVM took it, 0 when userspace must. */
export const kvmFastPioOut = (vcpu: KvmVcpu, size: number, port: number): number => {
  store(vcpu.run.pioData, 0, size, kvmRegisterReadLo(vcpu, VCPU_REGS_RAX));
  if (emulatorPioInOut(vcpu, false, size, port, 1)) return kvmSkipEmulatedInstruction(vcpu);
  // Old firmware resets by port 0x7e and expects RIP to be past the instruction (KVM_X86_QUIRK_OUT_7E_INC_RIP).
  if (port === 0x7e && (vcpu.kvm.disabledQuirks & KVM_X86_QUIRK_OUT_7E_INC_RIP) === 0) {
    vcpu.completeUserspaceIo = completeFastPioOutPort7e;
    kvmSkipEmulatedInstruction(vcpu);
  } else {
    rememberRip(vcpu);
    vcpu.completeUserspaceIo = completeFastPioOut;
  }
  return 0;
};

/** kvm_fast_pio_in */
export const kvmFastPioIn = (vcpu: KvmVcpu, size: number, port: number): number => {
  if (emulatorPioInOut(vcpu, true, size, port, 1)) {
    writeRax(vcpu, size);
    return kvmSkipEmulatedInstruction(vcpu);
  }
  rememberRip(vcpu);
  vcpu.completeUserspaceIo = completeFastPioIn;
  return 0;
};

/** kvm_fast_pio: IN and OUT of one element. */
export const kvmFastPio = (vcpu: KvmVcpu, size: number, port: number, input: boolean): number =>
  input ? kvmFastPioIn(vcpu, size, port) : kvmFastPioOut(vcpu, size, port);

