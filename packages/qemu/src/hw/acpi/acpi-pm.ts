/**
 * ACPI power management registers, after hw/acpi/core.c: the PM1a event and control blocks and the PM timer, with
 * soft-off (S5) and the power button; and the reset register at port 0xcf9.
 */

import { NANOSECONDS_PER_SECOND, QemuTimer, type TimerService } from '../../system/timer.ts';
import { qemuIrqOnChange, type QemuIrq } from '../../system/irq.ts';
import type { MemoryRegionOps } from '../../system/memory-region.ts';

export const PM_TIMER_FREQUENCY = 3_579_545;
/** Offsets of the blocks from the base port. */
export const PM1A_EVT = 0;
export const PM1A_CNT = 4;
export const PM_TMR = 8;
export const PM_IO_SIZE = 12;
/** Value of SLP_TYP that means soft-off; what \_S5 in the DSDT says. */
export const SLP_TYP_S5 = 5;

const ACPI_BITMASK_TIMER_STATUS = 0x0001;
const ACPI_BITMASK_POWER_BUTTON = 0x0100;
const ACPI_BITMASK_WAKE_STATUS = 0x8000;
const ACPI_BITMASK_ALL_STATUS = 0x8731;
const ACPI_BITMASK_SCI_ENABLE = 0x0001;
const ACPI_BITMASK_SLEEP_ENABLE = 0x2000;
const SLP_TYP_SHIFT = 10;
/** The timer's top bit, bit 23, changes this often; the change sets TMR_STS. */
const TIMER_HALF = 1 << 23;

export interface AcpiPmOptions {
  readonly sci: QemuIrq;
  readonly timers: TimerService;
  /** The guest asked for soft-off. */
  readonly shutdown: () => void;
}

export class AcpiPmState implements MemoryRegionOps {
  readonly impl = { min: 1, max: 4 } as const;
  readonly #sci: QemuIrq;
  readonly #timers: TimerService;
  readonly #shutdown: () => void;
  readonly #overflow: QemuTimer;
  #status = 0;
  #enable = 0;
  #control = ACPI_BITMASK_SCI_ENABLE;
  #nextHalf = 0;

  constructor(options: AcpiPmOptions) {
    this.#sci = qemuIrqOnChange(options.sci);
    this.#timers = options.timers;
    this.#shutdown = options.shutdown;
    this.#overflow = new QemuTimer(options.timers, () => this.#update());
    this.#nextHalf = this.#halves() + 1;
  }

  reset(): void {
    this.#status = this.#enable = 0;
    // There is no SMI command port to turn ACPI on with: it is always on (ACPI 6.4, 4.8.2.5).
    this.#control = ACPI_BITMASK_SCI_ENABLE;
    this.#nextHalf = this.#halves() + 1;
    this.#update();
  }

  /** Presses the power button (qemu_system_powerdown_request). */
  powerButton(): void {
    this.#status |= ACPI_BITMASK_POWER_BUTTON;
    this.#update();
  }

  read(offset: number, size: number): number {
    if (offset >= PM_TMR) return (this.#timer() >>> ((offset - PM_TMR) * 8)) & mask(size);
    this.#tick();
    const registers = offset < PM1A_CNT ? this.#status | (this.#enable << 16) : this.#control;
    return ((registers >>> ((offset & 3) * 8)) & mask(size)) >>> 0;
  }

  write(offset: number, size: number, value: number): void {
    for (let i = 0; i < size; i++) this.#writeByte(offset + i, (value >>> (i * 8)) & 0xff);
    if (offset <= PM1A_CNT + 1 && offset + size > PM1A_CNT + 1) this.#sleep();
    this.#update();
  }

  #writeByte(offset: number, byte: number): void {
    const shift = (offset & 1) * 8;
    switch (offset >> 1) {
      case 0: // status bits are cleared by writing ones
        this.#tick();
        this.#status &= ~((byte << shift) & ACPI_BITMASK_ALL_STATUS);
        return;
      case 1:
        this.#enable = (this.#enable & ~(0xff << shift)) | (byte << shift);
        return;
      case 2:
        this.#control = (this.#control & ~(0xff << shift)) | (byte << shift) | ACPI_BITMASK_SCI_ENABLE;
        return;
      default: // the timer is read-only
    }
  }

  #sleep(): void {
    if ((this.#control & ACPI_BITMASK_SLEEP_ENABLE) === 0) return;
    this.#control &= ~ACPI_BITMASK_SLEEP_ENABLE; // write-only: reads as zero
    if (((this.#control >> SLP_TYP_SHIFT) & 7) === SLP_TYP_S5) this.#shutdown();
    else this.#status |= ACPI_BITMASK_WAKE_STATUS; // states that are not offered wake up at once
  }

  // ---- PM timer: 24 bits at 3.579545 MHz

  #ticks(): number {
    return Math.floor((this.#timers.now() * PM_TIMER_FREQUENCY) / NANOSECONDS_PER_SECOND);
  }

  #halves(): number {
    return Math.floor(this.#ticks() / TIMER_HALF);
  }

  #timer(): number {
    return this.#ticks() % (2 * TIMER_HALF);
  }

  #tick(): void {
    const halves = this.#halves();
    if (halves < this.#nextHalf) return;
    this.#status |= ACPI_BITMASK_TIMER_STATUS;
    this.#nextHalf = halves + 1;
  }

  #update(): void {
    this.#tick();
    this.#sci((this.#status & this.#enable & ACPI_BITMASK_ALL_STATUS) !== 0);
    if (this.#enable & ACPI_BITMASK_TIMER_STATUS && !(this.#status & ACPI_BITMASK_TIMER_STATUS))
      this.#overflow.mod(Math.ceil((this.#nextHalf * TIMER_HALF * NANOSECONDS_PER_SECOND) / PM_TIMER_FREQUENCY));
    else this.#overflow.del();
  }
}

const RESET_VALUE = 0x06;

/** The reset control register: bit 2 going up resets the machine (hw/isa/lpc_ich9.c, ich9_rst_cnt_write). */
export class ResetControl implements MemoryRegionOps {
  readonly impl = { min: 1, max: 1 } as const;
  readonly #reset: () => void;
  #value = 0;

  constructor(reset: () => void) {
    this.#reset = reset;
  }

  read(): number {
    return this.#value;
  }

  write(_offset: number, _size: number, value: number): void {
    if (value & 0x04) this.#reset();
    else this.#value = value & RESET_VALUE;
  }
}

const mask = (size: number): number => (size === 4 ? 0xffff_ffff : (1 << (size * 8)) - 1);
