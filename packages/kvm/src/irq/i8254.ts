import { KVM_PIT_FLAGS_HPET_LEGACY, KVM_PIT_FLAGS_SPEAKER_DATA_ON, KVM_PIT_SPEAKER_DUMMY } from '@vm/kvm-run';
import type { KvmIoDevice } from '../io-bus.ts';
import type { IrqKvm } from './types.ts';
import type { IrqAckNotifier, IrqMaskNotifier } from './irq-notifier.ts';
import { HrTimer } from './hrtimer.ts';
import { KVM_PIT_IRQ_SOURCE_ID } from './irq-state.ts';
import {
  kvmRegisterIrqAckNotifier,
  kvmRegisterIrqMaskNotifier,
  kvmUnregisterIrqAckNotifier,
  kvmUnregisterIrqMaskNotifier,
} from './irq-notifier.ts';
import { kvmApicNmiWdDeliver } from './lapic-accept.ts';
import { kvmSetIrq } from './irq-routing.ts';

/**
 * The 8254 interval timer and the speaker port (Intel 8254 data sheet; arch/x86/kvm/i8254.c). A counter is not stepped: it is computed from
 * the time since its count was loaded. Times are host TSC ticks.
 */

export const KVM_PIT_FREQ = 1193182;
const KVM_PIT_BASE_ADDRESS = 0x40;
const KVM_SPEAKER_BASE_ADDRESS = 0x61;
/** A guest may not make channel 0 fire more often (min_timer_period_us). */
const MIN_PERIOD_NS = 200_000;

/** Which byte comes next: 1 the low one, alone (the default), 2 the high one alone, 3 and 4 low and high in turn. */
const RW_STATE_MSB = 2;
const RW_STATE_WORD0 = 3;
const RW_STATE_WORD1 = 4;

/** Names and widths are those of struct kvm_pit_channel_state. */
export interface PitChannel {
  /** Initial count, 1 to 0x10000, as written (BCD digits in BCD mode). */
  count: number;
  latchedCount: number;
  countLatched: number;
  statusLatched: number;
  status: number;
  readState: number;
  writeState: number;
  writeLatch: number;
  rwMode: number;
  mode: number;
  bcd: number;
  gate: number;
  /** Host TSC at which the count was loaded. */
  loadTime: number;
  /** A control word was written, and no count since (the status byte's bit 6). */
  nullCount: boolean;
}

export interface KvmPit {
  readonly kvm: IrqKvm;
  readonly channels: readonly [PitChannel, PitChannel, PitChannel];
  readonly device: KvmIoDevice;
  readonly speaker: KvmIoDevice | null;
  readonly timer: HrTimer;
  flags: number;
  /** Ticks of channel 0's period. */
  period: number;
  periodic: boolean;
  /** Lost-tick policy: a tick waits until the guest has acknowledged the one before. */
  reinject: boolean;
  /** Ticks that wait. */
  pending: number;
  irqAck: boolean;
  readonly ackNotifier: IrqAckNotifier;
  readonly maskNotifier: IrqMaskNotifier;
}

function newChannel(): PitChannel {
  return {
    count: 0x10000,
    latchedCount: 0,
    countLatched: 0,
    statusLatched: 0,
    status: 0,
    readState: 0,
    writeState: 0,
    writeLatch: 0,
    rwMode: 0,
    mode: 0xff,
    bcd: 0,
    gate: 0,
    loadTime: 0,
    nullCount: false,
  };
}

/** kvm_create_pit, for KVM_CREATE_PIT and KVM_CREATE_PIT2. KVM_PIT_SPEAKER_DUMMY asks for the speaker port; without it userspace has it. */
export function kvmCreatePit(kvm: IrqKvm, flags: number): KvmPit | null {
  const pit: KvmPit = {
    kvm,
    channels: [newChannel(), newChannel(), newChannel()],
    device: {
      read: (_vcpu, address, _length, result) => pitIoportRead(pit, address & 3, result),
      write: (_vcpu, address, _length, low) => pitIoportWrite(pit, address & 3, low & 0xff),
    },
    speaker: (flags & KVM_PIT_SPEAKER_DUMMY) === 0 ? null : speakerDevice(() => pit),
    timer: new HrTimer(() => pitTimerFn(pit)),
    flags: 0,
    period: 0,
    periodic: false,
    reinject: false,
    pending: 0,
    irqAck: true,
    ackNotifier: { gsi: 0, irqAcked: () => pitAckIrq(pit) },
    maskNotifier: { irq: 0, masked: (masked) => pitMaskNotifier(pit, masked) },
  };
  if (!kvm.pioBus.register(KVM_PIT_BASE_ADDRESS, 4, pit.device)) return null;
  if (pit.speaker !== null && !kvm.pioBus.register(KVM_SPEAKER_BASE_ADDRESS, 4, pit.speaker)) {
    kvm.pioBus.unregister(pit.device);
    return null;
  }
  kvm.irq.vpit = pit;
  kvmPitSetReinject(pit, true);
  kvmPitReset(pit);
  return pit;
}

/** kvm_free_pit. */
export function kvmFreePit(kvm: IrqKvm): void {
  const pit = kvm.irq.vpit;
  if (pit === null) return;
  kvmPitSetReinject(pit, false);
  kvm.hrtimers.cancel(pit.timer);
  kvm.pioBus.unregister(pit.device);
  if (pit.speaker !== null) kvm.pioBus.unregister(pit.speaker);
  kvm.irq.vpit = null;
}

export function kvmPitReset(pit: KvmPit): void {
  pit.flags = 0;
  pit.channels.forEach((channel, i) => {
    channel.mode = 0xff;
    channel.gate = i === 2 ? 0 : 1;
    loadCount(pit, i, 0);
  });
  resetReinject(pit);
}

// ---- counting

function now(pit: KvmPit): number {
  return pit.kvm.hrtimers.now();
}

function fromBcd(value: number): number {
  return (value & 15) + 10 * ((value >> 4) & 15) + 100 * ((value >> 8) & 15) + 1000 * ((value >> 12) & 15);
}

function toBcd(value: number): number {
  const digit = (unit: number): number => Math.floor(value / unit) % 10;
  return digit(1) | (digit(10) << 4) | (digit(100) << 8) | (digit(1000) << 12);
}

/** The count in binary; the greatest is written as 0. */
function initialCount(channel: PitChannel): number {
  if (channel.bcd === 0) return channel.count;
  return channel.count === 0x10000 ? 10000 : Math.max(1, fromBcd(channel.count));
}

/** Clock pulses of the 8254 since the count was loaded. */
function clocks(pit: KvmPit, channel: PitChannel): number {
  return Math.floor((now(pit) - channel.loadTime) * (KVM_PIT_FREQ / (pit.kvm.hrtimers.khz * 1000)));
}

/** pit_get_count: the counting element, by mode. */
function getCount(pit: KvmPit, channel: PitChannel): number {
  const d = clocks(pit, channel);
  const n = initialCount(channel);
  let count: number;
  switch (channel.mode) {
    case 0:
    case 1:
    case 4:
    case 5: {
      // One-shot modes wrap around and go on counting.
      const range = channel.bcd !== 0 ? 10000 : 0x10000;
      count = (((n - d) % range) + range) % range;
      break;
    }
    case 3:
      // A square wave counts down by two, twice a period.
      count = n - ((2 * d) % n);
      break;
    default:
      count = n - (d % n);
  }
  return channel.bcd !== 0 ? toBcd(count % 10000) : count & 0xffff;
}

/** pit_get_out: the level of the OUT pin. */
function getOut(pit: KvmPit, channel: PitChannel): number {
  const d = clocks(pit, channel);
  const n = initialCount(channel);
  switch (channel.mode) {
    case 1:
      return d < n ? 0 : 1;
    case 2:
      // Low for the one clock in which the count is 1.
      return d % n === n - 1 ? 0 : 1;
    case 3:
      return d % n < (n + 1) >> 1 ? 1 : 0;
    case 4:
    case 5:
      return d === n ? 0 : 1;
    default:
      return d >= n ? 1 : 0;
  }
}

function latchCount(pit: KvmPit, channel: PitChannel): void {
  if (channel.countLatched !== 0) return;
  channel.latchedCount = getCount(pit, channel);
  channel.countLatched = channel.rwMode;
}

function latchStatus(pit: KvmPit, channel: PitChannel): void {
  if (channel.statusLatched !== 0) return;
  channel.status =
    (getOut(pit, channel) << 7) |
    ((channel.nullCount ? 1 : 0) << 6) |
    (channel.rwMode << 4) |
    ((channel.mode & 7) << 1) |
    channel.bcd;
  channel.statusLatched = 1;
}

function setGate(pit: KvmPit, channel: PitChannel, gate: number): void {
  // A rising edge restarts modes 1, 2, 3 and 5; modes 0 and 4 only pause, which is not modelled (as in the kernel).
  const restarts = channel.mode === 1 || channel.mode === 2 || channel.mode === 3 || channel.mode === 5;
  if (restarts && channel.gate < gate) channel.loadTime = now(pit);
  channel.gate = gate;
}

// ---- channel 0's interrupt

function resetReinject(pit: KvmPit): void {
  pit.pending = 0;
  pit.irqAck = true;
}

/** kvm_pit_set_reinject, KVM_REINJECT_CONTROL. */
export function kvmPitSetReinject(pit: KvmPit, reinject: boolean): void {
  if (pit.reinject === reinject) return;
  pit.reinject = reinject;
  if (reinject) {
    resetReinject(pit);
    kvmRegisterIrqAckNotifier(pit.kvm, pit.ackNotifier);
    kvmRegisterIrqMaskNotifier(pit.kvm, pit.maskNotifier);
  } else {
    kvmUnregisterIrqAckNotifier(pit.kvm, pit.ackNotifier);
    kvmUnregisterIrqMaskNotifier(pit.kvm, pit.maskNotifier);
  }
}

/** pit_do_work: one edge on the timer's line, unless the guest still owes the acknowledgement of the last. */
function pitDoWork(pit: KvmPit): void {
  if (pit.reinject) {
    if (!pit.irqAck) return;
    pit.irqAck = false;
  }
  kvmSetIrq(pit.kvm, KVM_PIT_IRQ_SOURCE_ID, 0, 1, false);
  kvmSetIrq(pit.kvm, KVM_PIT_IRQ_SOURCE_ID, 0, 0, false);
  // NMI watchdog through the virtual wire: the PIT's line also reaches LINT0 of every local APIC.
  if (pit.kvm.irq.vapicsInNmiMode > 0) for (const vcpu of pit.kvm.vcpus) kvmApicNmiWdDeliver(vcpu);
}

/** kvm_pit_ack_irq: the guest acknowledged; a tick that waits follows. */
function pitAckIrq(pit: KvmPit): void {
  pit.irqAck = true;
  if (pit.pending === 0) return;
  pit.pending--;
  if (pit.pending > 0) pitDoWork(pit);
}

function pitMaskNotifier(pit: KvmPit, masked: boolean): void {
  // Unmasked: ticks lost while masked are not made up for (pit_mask_notifer).
  if (!masked) resetReinject(pit);
}

/** pit_timer_fn. */
function pitTimerFn(pit: KvmPit): number {
  if (pit.reinject) pit.pending++;
  pitDoWork(pit);
  return pit.periodic ? pit.timer.expires + pit.period : -1;
}

/** create_pit_timer. */
function createTimer(pit: KvmPit, channel: PitChannel, periodic: boolean): void {
  const queue = pit.kvm.hrtimers;
  queue.cancel(pit.timer);
  if (pit.kvm.irq.vioapic === null || (pit.flags & KVM_PIT_FLAGS_HPET_LEGACY) !== 0) return;
  const period = (initialCount(channel) * queue.khz * 1000) / KVM_PIT_FREQ;
  pit.period = periodic ? Math.max(period, queue.ticks(MIN_PERIOD_NS)) : period;
  pit.periodic = periodic;
  resetReinject(pit);
  queue.start(pit.timer, channel.loadTime + period);
}

/** pit_load_count. */
function loadCount(pit: KvmPit, index: number, value: number): void {
  const channel = pit.channels[index]!;
  channel.count = value === 0 ? 0x10000 : value;
  channel.loadTime = now(pit);
  channel.nullCount = false;
  if (index !== 0) return;
  switch (channel.mode) {
    case 0:
    case 1:
    case 4:
      createTimer(pit, channel, false);
      break;
    case 2:
    case 3:
      createTimer(pit, channel, true);
      break;
    default:
      pit.kvm.hrtimers.cancel(pit.timer);
  }
}

// ---- ports

function writeControl(pit: KvmPit, value: number): void {
  const index = value >> 6;
  if (index === 3) {
    for (let i = 0; i < 3; i++) {
      if ((value & (2 << i)) === 0) continue;
      if ((value & 0x20) === 0) latchCount(pit, pit.channels[i]!);
      if ((value & 0x10) === 0) latchStatus(pit, pit.channels[i]!);
    }
    return;
  }
  const channel = pit.channels[index]!;
  const access = (value >> 4) & 3;
  if (access === 0) {
    latchCount(pit, channel);
    return;
  }
  const mode = (value >> 1) & 7;
  channel.rwMode = access;
  channel.readState = access;
  channel.writeState = access;
  channel.mode = mode > 5 ? mode - 4 : mode;
  channel.bcd = value & 1;
  channel.nullCount = true;
}

function pitIoportWrite(pit: KvmPit, port: number, value: number): boolean {
  if (port === 3) {
    writeControl(pit, value);
    return true;
  }
  const channel = pit.channels[port]!;
  switch (channel.writeState) {
    case RW_STATE_MSB:
      loadCount(pit, port, value << 8);
      break;
    case RW_STATE_WORD0:
      channel.writeLatch = value;
      channel.writeState = RW_STATE_WORD1;
      break;
    case RW_STATE_WORD1:
      loadCount(pit, port, channel.writeLatch | (value << 8));
      channel.writeState = RW_STATE_WORD0;
      break;
    default:
      loadCount(pit, port, value);
  }
  return true;
}

function readLatched(channel: PitChannel): number {
  switch (channel.countLatched) {
    case RW_STATE_WORD0:
      channel.countLatched = RW_STATE_MSB;
      return channel.latchedCount & 0xff;
    case RW_STATE_MSB:
      channel.countLatched = 0;
      return channel.latchedCount >> 8;
    default:
      channel.countLatched = 0;
      return channel.latchedCount & 0xff;
  }
}

function readCounter(pit: KvmPit, channel: PitChannel): number {
  const count = getCount(pit, channel);
  switch (channel.readState) {
    case RW_STATE_MSB:
      return (count >> 8) & 0xff;
    case RW_STATE_WORD0:
      channel.readState = RW_STATE_WORD1;
      return count & 0xff;
    case RW_STATE_WORD1:
      channel.readState = RW_STATE_WORD0;
      return (count >> 8) & 0xff;
    default:
      return count & 0xff;
  }
}

function pitIoportRead(pit: KvmPit, port: number, result: Uint32Array): boolean {
  if (port === 3) return true;
  const channel = pit.channels[port]!;
  if (channel.statusLatched !== 0) {
    channel.statusLatched = 0;
    result[0] = channel.status;
  } else {
    result[0] = channel.countLatched !== 0 ? readLatched(channel) : readCounter(pit, channel);
  }
  return true;
}

/** Port 0x61: channel 2's gate and output, the speaker's data bit, and a bit that toggles about every 15 microseconds. */
function speakerDevice(pitOf: () => KvmPit): KvmIoDevice {
  return {
    read: (_vcpu, address, _length, result) => {
      if (address !== KVM_SPEAKER_BASE_ADDRESS) return false;
      const pit = pitOf();
      const channel = pit.channels[2];
      const refresh = Math.floor(pit.kvm.hrtimers.nanoseconds(now(pit)) / 16384) & 1;
      result[0] =
        ((pit.flags & KVM_PIT_FLAGS_SPEAKER_DATA_ON) !== 0 ? 2 : 0) |
        channel.gate |
        (getOut(pit, channel) << 5) |
        (refresh << 4);
      return true;
    },
    write: (_vcpu, address, _length, low) => {
      if (address !== KVM_SPEAKER_BASE_ADDRESS) return false;
      const pit = pitOf();
      if ((low & 2) !== 0) pit.flags |= KVM_PIT_FLAGS_SPEAKER_DATA_ON;
      else pit.flags &= ~KVM_PIT_FLAGS_SPEAKER_DATA_ON;
      setGate(pit, pit.channels[2], low & 1);
      return true;
    },
  };
}

// ---- KVM_GET_PIT2 and KVM_SET_PIT2: struct kvm_pit_state2, 112 bytes

export const KVM_PIT_STATE_SIZE = 72;
export const KVM_PIT_STATE2_SIZE = 112;
const CHANNEL_SIZE = 24;
const CHANNEL_BYTES = [
  'countLatched',
  'statusLatched',
  'status',
  'readState',
  'writeState',
  'writeLatch',
  'rwMode',
  'mode',
  'bcd',
  'gate',
] as const satisfies readonly (keyof PitChannel)[];

/** kvm_vm_ioctl_get_pit and _get_pit2: the image may be 72 bytes (no flags) or 112. */
export function kvmGetPit(pit: KvmPit, image: DataView): void {
  pit.channels.forEach((channel, i) => {
    const at = i * CHANNEL_SIZE;
    image.setUint32(at, channel.count, true);
    image.setUint16(at + 4, channel.latchedCount, true);
    CHANNEL_BYTES.forEach((field, j) => image.setUint8(at + 6 + j, channel[field]));
    const ns = Math.floor(pit.kvm.hrtimers.nanoseconds(channel.loadTime));
    image.setBigInt64(at + 16, BigInt(ns), true);
  });
  if (image.byteLength >= KVM_PIT_STATE2_SIZE) {
    image.setUint32(72, pit.flags, true);
    for (let at = 76; at < KVM_PIT_STATE2_SIZE; at += 4) image.setUint32(at, 0, true);
  }
}

/** kvm_vm_ioctl_set_pit and _set_pit2: counting starts anew from the counts. */
export function kvmSetPit(pit: KvmPit, image: DataView): void {
  const before = pit.flags & KVM_PIT_FLAGS_HPET_LEGACY;
  if (image.byteLength >= KVM_PIT_STATE2_SIZE)
    pit.flags = image.getUint32(72, true) & (KVM_PIT_FLAGS_HPET_LEGACY | KVM_PIT_FLAGS_SPEAKER_DATA_ON);
  const legacyStarts = before === 0 && (pit.flags & KVM_PIT_FLAGS_HPET_LEGACY) !== 0;
  pit.channels.forEach((channel, i) => {
    const at = i * CHANNEL_SIZE;
    channel.latchedCount = image.getUint16(at + 4, true);
    CHANNEL_BYTES.forEach((field, j) => (channel[field] = image.getUint8(at + 6 + j)));
    const mode = channel.mode;
    if (i === 0 && legacyStarts) channel.mode = 0xff;
    loadCount(pit, i, Math.min(image.getUint32(at, true), 0x10000) & 0x1ffff);
    channel.mode = mode;
    channel.rwMode &= 3;
    channel.bcd &= 1;
    channel.gate &= 1;
  });
}
