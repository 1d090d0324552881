/**
 * The CMOS real-time clock: an MC146818A after hw/rtc/mc146818rtc.c and the data sheet. Time runs with the injected
 * clock from the wall clock's time at reset (or what the guest set); alarm, periodic and update-ended interrupts,
 * BCD or binary, 12 or 24 hours; 128 bytes of CMOS memory behind ports 0x70 (index) and 0x71 (data).
 */

import { NANOSECONDS_PER_SECOND, QemuTimer, type TimerService } from '../../system/timer.ts';
import { qemuIrqOnChange, type QemuIrq } from '../../system/irq.ts';
import type { MemoryRegionOps } from '../../system/memory-region.ts';

export const RTC_SECONDS = 0x00;
export const RTC_SECONDS_ALARM = 0x01;
export const RTC_MINUTES = 0x02;
export const RTC_MINUTES_ALARM = 0x03;
export const RTC_HOURS = 0x04;
export const RTC_HOURS_ALARM = 0x05;
export const RTC_DAY_OF_WEEK = 0x06;
export const RTC_DAY_OF_MONTH = 0x07;
export const RTC_MONTH = 0x08;
export const RTC_YEAR = 0x09;
export const RTC_REG_A = 0x0a;
export const RTC_REG_B = 0x0b;
export const RTC_REG_C = 0x0c;
export const RTC_REG_D = 0x0d;
export const RTC_CENTURY = 0x32;
export const CMOS_SIZE = 128;

export const REG_A_UIP = 0x80;
export const REG_B_SET = 0x80;
export const REG_B_PIE = 0x40;
export const REG_B_AIE = 0x20;
export const REG_B_UIE = 0x10;
export const REG_B_DM = 0x04;
export const REG_B_24H = 0x02;
export const REG_C_IRQF = 0x80;
export const REG_C_PF = 0x40;
export const REG_C_AF = 0x20;
export const REG_C_UF = 0x10;
const REG_D_VRT = 0x80;

/** Update in progress is seen this long before the seconds change (244 us in the data sheet). */
const UIP_NS = 244_000;
const CRYSTAL_HZ = 32_768;
const SECOND = NANOSECONDS_PER_SECOND;
const ALARM_DONT_CARE = 0xc0;
/** Divider bits of register A that let the clock run on a 32,768 Hz crystal. */
const DIVIDER_RUNNING = 0x20;

export class MC146818RtcState implements MemoryRegionOps {
  readonly impl = { min: 1, max: 1 } as const;
  readonly #irq: QemuIrq;
  readonly #timers: TimerService;
  readonly #periodic: QemuTimer;
  readonly #second: QemuTimer;
  readonly #cmos: Uint8Array = new Uint8Array(CMOS_SIZE);
  #index = 0;
  /** Guest time: nanoseconds since 1970 at clock time `#baseClock`. */
  #base = 0;
  #baseClock = 0;
  #nextPeriodic = 0;
  /** Seconds already looked at for the alarm and the update flag. */
  #seen = 0;

  constructor(irq: QemuIrq, timers: TimerService) {
    this.#irq = qemuIrqOnChange(irq);
    this.#timers = timers;
    this.#periodic = new QemuTimer(timers, () => this.#periodicTick());
    this.#second = new QemuTimer(timers, () => this.#secondTick());
    this.#cmos[RTC_REG_A] = 0x26;
    this.#cmos[RTC_REG_B] = REG_B_24H;
    this.#cmos[RTC_REG_D] = REG_D_VRT;
    this.#baseClock = timers.now();
    this.#base = timers.wallClock() * 1e6;
    this.#seen = Math.floor(this.#base / SECOND);
  }

  /** A reset clears interrupt enables and flags, and leaves time and memory alone. */
  reset(): void {
    this.#cmos[RTC_REG_B]! &= ~(REG_B_PIE | REG_B_AIE | REG_B_UIE);
    this.#cmos[RTC_REG_C] = 0;
    this.#index = 0;
    this.#irq(false);
    this.#schedule();
  }

  /** Sets a byte of CMOS memory, for firmware to find (rtc_set_memory). */
  setMemory(address: number, value: number): void {
    if (address >= 0 && address < CMOS_SIZE) this.#cmos[address] = value;
  }

  read(offset: number): number {
    if ((offset & 1) === 0) return 0xff;
    switch (this.#index) {
      case RTC_REG_A:
        return (this.#cmos[RTC_REG_A]! & ~REG_A_UIP) | (this.#updateInProgress() ? REG_A_UIP : 0);
      case RTC_REG_C:
        return this.#readC();
      default:
        if (this.#isTime(this.#index)) this.#storeTime();
        return this.#cmos[this.#index]!;
    }
  }

  write(offset: number, _size: number, value: number): void {
    const byte = value & 0xff;
    if ((offset & 1) === 0) {
      this.#index = byte & 0x7f; // bit 7 masks the NMI, which this machine has no source of
      return;
    }
    if (this.#index === RTC_REG_C || this.#index === RTC_REG_D) return;
    if (this.#index === RTC_REG_A) this.#writeA(byte);
    else if (this.#index === RTC_REG_B) this.#writeB(byte);
    else if (this.#isTime(this.#index)) this.#writeTime(this.#index, byte);
    else {
      this.#cmos[this.#index] = byte;
      if (this.#index <= RTC_HOURS_ALARM) this.#schedule();
    }
  }

  // ---- time

  #now(): number {
    return this.#base + (this.#timers.now() - this.#baseClock);
  }

  #stopped(): boolean {
    return (this.#cmos[RTC_REG_B]! & REG_B_SET) !== 0 || (this.#cmos[RTC_REG_A]! & 0x70) !== DIVIDER_RUNNING;
  }

  #updateInProgress(): boolean {
    if (this.#stopped()) return false;
    return SECOND - (this.#now() % SECOND) <= UIP_NS;
  }

  #isTime(index: number): boolean {
    return index === RTC_CENTURY || (index <= RTC_YEAR && (index > RTC_HOURS_ALARM || (index & 1) === 0));
  }

  /** Puts the present time into the registers, unless the guest holds them still. */
  #storeTime(): void {
    if (this.#stopped()) return;
    const now = new Date(Math.floor(this.#now() / 1e6));
    const cmos = this.#cmos;
    cmos[RTC_SECONDS] = this.#toBcd(now.getUTCSeconds());
    cmos[RTC_MINUTES] = this.#toBcd(now.getUTCMinutes());
    cmos[RTC_HOURS] = this.#hours(now.getUTCHours());
    cmos[RTC_DAY_OF_WEEK] = this.#toBcd(now.getUTCDay() + 1);
    cmos[RTC_DAY_OF_MONTH] = this.#toBcd(now.getUTCDate());
    cmos[RTC_MONTH] = this.#toBcd(now.getUTCMonth() + 1);
    cmos[RTC_YEAR] = this.#toBcd(now.getUTCFullYear() % 100);
    cmos[RTC_CENTURY] = this.#toBcd(Math.floor(now.getUTCFullYear() / 100));
  }

  #hours(hour: number): number {
    if (this.#cmos[RTC_REG_B]! & REG_B_24H) return this.#toBcd(hour);
    return this.#toBcd(hour % 12 === 0 ? 12 : hour % 12) | (hour >= 12 ? 0x80 : 0);
  }

  #writeTime(index: number, byte: number): void {
    this.#storeTime();
    this.#cmos[index] = byte;
    if (!this.#stopped()) this.#takeTime();
  }

  /** The registers' time becomes the clock's time. Fields out of range count over, as Date does. */
  #takeTime(): void {
    const cmos = this.#cmos;
    const year = this.#fromBcd(cmos[RTC_CENTURY]!) * 100 + this.#fromBcd(cmos[RTC_YEAR]!);
    const ms = Date.UTC(
      year,
      this.#fromBcd(cmos[RTC_MONTH]!) - 1,
      this.#fromBcd(cmos[RTC_DAY_OF_MONTH]!),
      this.#hour24(cmos[RTC_HOURS]!),
      this.#fromBcd(cmos[RTC_MINUTES]!),
      this.#fromBcd(cmos[RTC_SECONDS]!),
    );
    this.#base = Number.isFinite(ms) ? ms * 1e6 : 0;
    this.#baseClock = this.#timers.now();
    this.#seen = Math.floor(this.#base / SECOND);
    this.#schedule();
  }

  #hour24(register: number): number {
    if (this.#cmos[RTC_REG_B]! & REG_B_24H) return this.#fromBcd(register);
    return (this.#fromBcd(register & 0x7f) % 12) + (register & 0x80 ? 12 : 0);
  }

  #toBcd(value: number): number {
    return this.#cmos[RTC_REG_B]! & REG_B_DM ? value : (Math.floor(value / 10) << 4) | (value % 10);
  }

  #fromBcd(register: number): number {
    return this.#cmos[RTC_REG_B]! & REG_B_DM ? register : (register >> 4) * 10 + (register & 0x0f);
  }

  // ---- registers A, B, C

  #writeA(byte: number): void {
    const wasStopped = this.#stopped();
    if (!wasStopped) this.#storeTime();
    this.#cmos[RTC_REG_A] = byte & ~REG_A_UIP;
    if (wasStopped && !this.#stopped()) this.#takeTime();
    this.#nextPeriodic = 0;
    this.#schedule();
  }

  #writeB(byte: number): void {
    const wasStopped = this.#stopped();
    if (!wasStopped) this.#storeTime();
    // Setting SET ends update-ended interrupts (data sheet, register B).
    this.#cmos[RTC_REG_B] = byte & REG_B_SET ? byte & ~REG_B_UIE : byte;
    if (wasStopped && !this.#stopped()) this.#takeTime();
    this.#updateIrq();
    this.#schedule();
  }

  #readC(): number {
    this.#secondsPassed();
    const value = this.#cmos[RTC_REG_C]!;
    this.#cmos[RTC_REG_C] = 0;
    this.#irq(false);
    this.#schedule();
    return value;
  }

  #raise(flag: number): void {
    this.#cmos[RTC_REG_C]! |= flag;
    this.#updateIrq();
  }

  #updateIrq(): void {
    // Flags of C and enables of B share their bit positions.
    const active = (this.#cmos[RTC_REG_C]! & this.#cmos[RTC_REG_B]! & (REG_C_PF | REG_C_AF | REG_C_UF)) !== 0;
    if (active) this.#cmos[RTC_REG_C]! |= REG_C_IRQF;
    else this.#cmos[RTC_REG_C]! &= ~REG_C_IRQF;
    this.#irq(active);
  }

  // ---- timers

  #periodTicks(): number {
    const rate = this.#cmos[RTC_REG_A]! & 0x0f;
    if (rate === 0) return 0;
    return 1 << ((rate <= 2 ? rate + 7 : rate) - 1);
  }

  #schedule(): void {
    const period = (this.#periodTicks() * SECOND) / CRYSTAL_HZ;
    if (period > 0 && this.#cmos[RTC_REG_B]! & REG_B_PIE) {
      if (this.#nextPeriodic === 0) this.#nextPeriodic = this.#timers.now() + period;
      if (!this.#periodic.pending) this.#periodic.mod(this.#nextPeriodic);
    } else {
      this.#periodic.del();
      this.#nextPeriodic = 0;
    }
    // Without their interrupts the update and alarm flags are brought up to date when register C is read.
    if (this.#cmos[RTC_REG_B]! & (REG_B_UIE | REG_B_AIE) && !this.#stopped()) {
      if (!this.#second.pending) this.#second.mod(this.#timers.now() + SECOND - (this.#now() % SECOND));
    } else this.#second.del();
  }

  #periodicTick(): void {
    const period = (this.#periodTicks() * SECOND) / CRYSTAL_HZ;
    // Ticks that a late timer missed are dropped: the flag has one bit.
    const missed = period > 0 ? Math.floor((this.#timers.now() - this.#nextPeriodic) / period) : 0;
    this.#nextPeriodic += period * (Math.max(0, missed) + 1);
    this.#raise(REG_C_PF);
    this.#schedule();
  }

  #secondTick(): void {
    this.#secondsPassed();
    this.#schedule();
  }

  #secondsPassed(): void {
    if (this.#stopped()) return;
    const now = Math.floor(this.#now() / SECOND);
    if (now === this.#seen) return;
    // A day has all alarms there are: no need to look at more seconds than that.
    let from = Math.max(this.#seen + 1, now - 86_400);
    this.#seen = now;
    let flags = REG_C_UF;
    for (; from <= now; from++) {
      if (!this.#alarmAt(from)) continue;
      flags |= REG_C_AF;
      break;
    }
    this.#raise(flags);
  }

  #alarmAt(second: number): boolean {
    const cmos = this.#cmos;
    const matches = (register: number, value: number): boolean => (register & ALARM_DONT_CARE) === ALARM_DONT_CARE || value === register;
    const ofDay = ((second % 86_400) + 86_400) % 86_400;
    return (
      matches(cmos[RTC_SECONDS_ALARM]!, this.#toBcd(ofDay % 60)) &&
      matches(cmos[RTC_MINUTES_ALARM]!, this.#toBcd(Math.floor(ofDay / 60) % 60)) &&
      matches(cmos[RTC_HOURS_ALARM]!, this.#hours(Math.floor(ofDay / 3600)))
    );
  }
}
