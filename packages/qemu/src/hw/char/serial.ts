/**
 * The serial port: a 16550A after hw/char/serial.c and the PC16550D data sheet.
 *
 * What is sent reaches the backend at once: the transmitter is never busy, so THRE and TEMT stay set but for loopback.
 * What arrives goes through the 16-byte FIFO with its trigger level and character timeout; input that does not fit
 * waits with the backend (`canReceive`), so a guest sees overruns only in loopback. The far end keeps to the modem lines:
 * it sends while RTS or DTR is raised, so that what is typed before a driver has set the port up is not lost when the
 * driver clears the FIFOs. Guests that drive these lines badly get input too: with MCR written by the interrupt that they
 * turn on, without by their first look at LSR or RBR.
 */

import { NANOSECONDS_PER_SECOND, QemuTimer, type TimerService } from '../../system/timer.ts';
import { qemuIrqOnChange, type QemuIrq } from '../../system/irq.ts';
import { CharInput, type CharBackend, type CharFrontend } from '../../system/chardev.ts';
import type { MemoryRegionOps } from '../../system/memory-region.ts';
import {
  UART_FCR_DMS,
  UART_FCR_FE,
  UART_FCR_RFR,
  UART_FCR_XFR,
  UART_IER_MSI,
  UART_IER_RDI,
  UART_IER_RLSI,
  UART_IER_THRI,
  UART_IIR_CTI,
  UART_IIR_FE,
  UART_IIR_ID,
  UART_IIR_MSI,
  UART_IIR_NO_INT,
  UART_IIR_RDI,
  UART_IIR_RLSI,
  UART_IIR_THRI,
  UART_LCR_DLAB,
  UART_LSR_BI,
  UART_LSR_DR,
  UART_LSR_INT_ANY,
  UART_LSR_OE,
  UART_LSR_TEMT,
  UART_LSR_THRE,
  UART_MCR_DTR,
  UART_MCR_LOOP,
  UART_MCR_OUT1,
  UART_MCR_OUT2,
  UART_MCR_RTS,
  UART_MSR_ANY_DELTA,
  UART_MSR_CTS,
  UART_MSR_DCD,
  UART_MSR_DSR,
  UART_MSR_RI,
  UART_MSR_TERI,
} from './serial-registers.ts';

export const SERIAL_IO_SIZE = 8;
const FIFO_SIZE = 16;
const BAUD_BASE = 115_200;
const TRIGGER_LEVELS: readonly number[] = [1, 4, 8, 14];

export interface SerialOptions {
  readonly irq: QemuIrq;
  readonly timers: TimerService;
  readonly backend: CharBackend;
}

export class SerialState implements MemoryRegionOps, CharFrontend {
  readonly impl = { min: 1, max: 1 } as const;
  readonly #irq: QemuIrq;
  readonly #timers: TimerService;
  readonly #backend: CharBackend;
  readonly #input: CharInput = new CharInput(() => this);
  readonly #timeout: QemuTimer;
  readonly #fifo: Uint8Array = new Uint8Array(FIFO_SIZE);
  readonly #out: Uint8Array = new Uint8Array(1);
  #head = 0;
  #count = 0;
  #trigger = 1;
  #rbr = 0;
  #ier = 0;
  #iir = UART_IIR_NO_INT;
  #fcr = 0;
  #lcr = 0;
  #mcr = UART_MCR_OUT2;
  #lsr = UART_LSR_TEMT | UART_LSR_THRE;
  #msr = UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS;
  #scr = 0;
  #divider = 12;
  #thrPending = false;
  #timeoutPending = false;
  /** How the guest came to its receiver: not yet, by looking at it, or by setting the modem lines. */
  #receiver: 'untouched' | 'polled' | 'modem-lines' = 'untouched';

  constructor(options: SerialOptions) {
    this.#irq = qemuIrqOnChange(options.irq);
    this.#timers = options.timers;
    this.#backend = options.backend;
    this.#timeout = new QemuTimer(options.timers, () => this.#characterTimeout());
  }

  /** Bytes from the terminal; they wait until the guest has room for them. */
  input(bytes: Uint8Array): void {
    this.#input.push(bytes);
  }

  /** serial_reset. Input that waits is kept. */
  reset(): void {
    this.#timeout.del();
    this.#head = this.#count = 0;
    this.#trigger = 1;
    this.#rbr = this.#ier = this.#fcr = this.#lcr = this.#scr = 0;
    this.#iir = UART_IIR_NO_INT;
    this.#mcr = UART_MCR_OUT2;
    this.#lsr = UART_LSR_TEMT | UART_LSR_THRE;
    this.#msr = UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS;
    this.#divider = 12;
    this.#thrPending = this.#timeoutPending = false;
    this.#receiver = 'untouched';
    this.#irq(false);
  }

  read(offset: number): number {
    switch (offset & 7) {
      case 0:
        return this.#lcr & UART_LCR_DLAB ? this.#divider & 0xff : this.#readRbr();
      case 1:
        return this.#lcr & UART_LCR_DLAB ? this.#divider >> 8 : this.#ier;
      case 2:
        return this.#readIir();
      case 3:
        return this.#lcr;
      case 4:
        return this.#mcr;
      case 5:
        return this.#readLsr();
      case 6:
        return this.#readMsr();
      default:
        return this.#scr;
    }
  }

  write(offset: number, _size: number, value: number): void {
    const byte = value & 0xff;
    switch (offset & 7) {
      case 0:
        if (this.#lcr & UART_LCR_DLAB) this.#divider = (this.#divider & 0xff00) | byte;
        else this.#writeThr(byte);
        return;
      case 1:
        if (this.#lcr & UART_LCR_DLAB) this.#divider = (this.#divider & 0xff) | (byte << 8);
        else this.#writeIer(byte);
        return;
      case 2:
        return this.#writeFcr(byte);
      case 3:
        this.#lcr = byte;
        return;
      case 4:
        return this.#writeMcr(byte);
      case 7:
        this.#scr = byte;
        return;
      default: // LSR and MSR are read-only
    }
  }

  // ---- CharFrontend

  canReceive(): number {
    if (this.#mcr & UART_MCR_LOOP || !this.#readyToReceive()) return 0;
    if ((this.#fcr & UART_FCR_FE) === 0) return this.#lsr & UART_LSR_DR ? 0 : 1;
    return FIFO_SIZE - this.#count;
  }

  receive(bytes: Uint8Array): void {
    for (const byte of bytes) this.#receiveByte(byte);
    if (this.#fcr & UART_FCR_FE) this.#armTimeout();
    this.#updateIrq();
  }

  // ---- registers

  #readyToReceive(): boolean {
    if (this.#receiver !== 'modem-lines') return this.#receiver === 'polled';
    return (this.#mcr & (UART_MCR_RTS | UART_MCR_DTR)) !== 0 || (this.#ier & UART_IER_RDI) !== 0;
  }

  #polled(): void {
    if (this.#receiver !== 'untouched') return;
    this.#receiver = 'polled';
    this.#input.acceptInput();
  }

  #readRbr(): number {
    this.#polled();
    let value = this.#rbr;
    if (this.#fcr & UART_FCR_FE) {
      value = this.#count > 0 ? this.#fifo[this.#head]! : 0;
      if (this.#count > 0) {
        this.#head = (this.#head + 1) % FIFO_SIZE;
        this.#count--;
      }
      if (this.#count === 0) this.#lsr &= ~(UART_LSR_DR | UART_LSR_BI);
      else this.#armTimeout();
      this.#timeoutPending = false;
    } else this.#lsr &= ~(UART_LSR_DR | UART_LSR_BI);
    this.#updateIrq();
    this.#input.acceptInput();
    return value;
  }

  #readIir(): number {
    const value = this.#iir;
    if ((value & UART_IIR_ID) === UART_IIR_THRI) {
      this.#thrPending = false;
      this.#updateIrq();
    }
    return value;
  }

  #readLsr(): number {
    this.#polled();
    const value = this.#lsr;
    if (value & (UART_LSR_BI | UART_LSR_OE)) {
      this.#lsr &= ~(UART_LSR_BI | UART_LSR_OE);
      this.#updateIrq();
    }
    return value;
  }

  #readMsr(): number {
    // In loopback the modem outputs come back as the inputs (PC16550D, 8.6.7).
    if (this.#mcr & UART_MCR_LOOP)
      return (
        (this.#mcr & UART_MCR_RTS ? UART_MSR_CTS : 0) |
        (this.#mcr & UART_MCR_DTR ? UART_MSR_DSR : 0) |
        (this.#mcr & UART_MCR_OUT1 ? UART_MSR_RI : 0) |
        (this.#mcr & UART_MCR_OUT2 ? UART_MSR_DCD : 0) |
        (this.#msr & UART_MSR_ANY_DELTA)
      );
    const value = this.#msr;
    if (value & UART_MSR_ANY_DELTA) {
      this.#msr &= ~UART_MSR_ANY_DELTA;
      this.#updateIrq();
    }
    return value;
  }

  #writeThr(byte: number): void {
    this.#thrPending = false;
    this.#lsr &= ~UART_LSR_THRE;
    this.#updateIrq();
    if (this.#mcr & UART_MCR_LOOP) {
      this.#receiveByte(byte);
      if (this.#fcr & UART_FCR_FE) this.#armTimeout();
    } else {
      this.#out[0] = byte;
      this.#backend.write(this.#out);
    }
    this.#lsr |= UART_LSR_THRE | UART_LSR_TEMT;
    this.#thrPending = true;
    this.#updateIrq();
  }

  #writeIer(byte: number): void {
    const rising = byte & ~this.#ier & UART_IER_THRI;
    this.#ier = byte & 0x0f;
    // The holding register is empty: turning its interrupt on raises it at once. Linux's 8250 driver counts on it.
    if (rising !== 0 && this.#lsr & UART_LSR_THRE) this.#thrPending = true;
    this.#updateIrq();
    this.#input.acceptInput();
  }

  #writeFcr(byte: number): void {
    let value = byte;
    if (value === this.#fcr) return;
    if ((value ^ this.#fcr) & UART_FCR_FE) value |= UART_FCR_XFR | UART_FCR_RFR;
    if (value & UART_FCR_RFR) {
      this.#timeout.del();
      this.#timeoutPending = false;
      this.#head = this.#count = 0;
      this.#lsr &= ~(UART_LSR_DR | UART_LSR_BI);
    }
    if (value & UART_FCR_XFR) {
      this.#lsr |= UART_LSR_THRE;
      this.#thrPending = true;
    }
    if (value & UART_FCR_FE) {
      this.#iir |= UART_IIR_FE;
      this.#trigger = TRIGGER_LEVELS[value >> 6]!;
    } else this.#iir &= ~UART_IIR_FE;
    this.#fcr = value & (0xc0 | UART_FCR_DMS | UART_FCR_FE);
    this.#updateIrq();
    this.#input.acceptInput();
  }

  #writeMcr(byte: number): void {
    const before = this.#readModemInputs();
    const wasLoop = this.#mcr & UART_MCR_LOOP;
    this.#mcr = byte & 0x1f;
    this.#receiver = 'modem-lines';
    if (this.#mcr & UART_MCR_LOOP && wasLoop) this.#modemDelta(before, this.#readModemInputs());
    else if (!(this.#mcr & UART_MCR_LOOP)) this.#input.acceptInput();
  }

  #readModemInputs(): number {
    return this.#mcr & UART_MCR_LOOP ? this.#readMsr() & 0xf0 : this.#msr & 0xf0;
  }

  #modemDelta(before: number, after: number): void {
    let delta = ((before ^ after) >> 4) & UART_MSR_ANY_DELTA;
    if (after & UART_MSR_RI) delta &= ~UART_MSR_TERI; // only the trailing edge of RI counts
    this.#msr |= delta;
    this.#updateIrq();
  }

  #receiveByte(byte: number): void {
    if (this.#fcr & UART_FCR_FE) {
      if (this.#count === FIFO_SIZE) this.#lsr |= UART_LSR_OE;
      else this.#fifo[(this.#head + this.#count++) % FIFO_SIZE] = byte;
    } else {
      if (this.#lsr & UART_LSR_DR) this.#lsr |= UART_LSR_OE;
      this.#rbr = byte;
    }
    this.#lsr |= UART_LSR_DR;
  }

  /** Four character times after the last character came or was read (PC16550D, 8.4.1). */
  #armTimeout(): void {
    const bits = 1 + 5 + (this.#lcr & 3) + (this.#lcr & 8 ? 1 : 0) + (this.#lcr & 4 ? 2 : 1);
    const character = (NANOSECONDS_PER_SECOND * Math.max(1, this.#divider) * bits) / BAUD_BASE;
    this.#timeout.mod(this.#timers.now() + 4 * character);
  }

  #characterTimeout(): void {
    if (this.#count === 0) return;
    this.#timeoutPending = true;
    this.#updateIrq();
  }

  #interruptId(): number {
    if (this.#ier & UART_IER_RLSI && this.#lsr & UART_LSR_INT_ANY) return UART_IIR_RLSI;
    if (this.#ier & UART_IER_RDI) {
      if (this.#timeoutPending) return UART_IIR_CTI;
      const reached = (this.#fcr & UART_FCR_FE) === 0 || this.#count >= this.#trigger;
      if (this.#lsr & UART_LSR_DR && reached) return UART_IIR_RDI;
    }
    if (this.#ier & UART_IER_THRI && this.#thrPending) return UART_IIR_THRI;
    if (this.#ier & UART_IER_MSI && this.#msr & UART_MSR_ANY_DELTA) return UART_IIR_MSI;
    return UART_IIR_NO_INT;
  }

  #updateIrq(): void {
    const id = this.#interruptId();
    this.#iir = id | (this.#iir & 0xf0);
    this.#irq(id !== UART_IIR_NO_INT);
  }
}
