/**
 * The keyboard controller, after hw/input/pckbd.c: the reset line and the A20 gate of its output port, the controller's
 * commands, and a keyboard that answers its commands but never sends a key; there is no mouse.
 */

import { qemuIrqOnChange, type QemuIrq } from '../../system/irq.ts';
import type { MemoryRegionOps } from '../../system/memory-region.ts';

export const KBD_STAT_OBF = 0x01;
const KBD_STAT_SELFTEST = 0x04;
const KBD_STAT_CMD = 0x08;
const KBD_STAT_UNLOCKED = 0x10;
const KBD_MODE_KBD_INT = 0x01;
const KBD_MODE_MOUSE_INT = 0x02;
const KBD_MODE_DISABLE_KBD = 0x10;
const KBD_MODE_DISABLE_MOUSE = 0x20;
const KBD_OUT_RESET = 0x01;
const KBD_OUT_A20 = 0x02;
const KBD_OUT_OBF = 0x10;
const KBD_OUT_ONES = 0xcc;

const KBD_CCMD_READ_MODE = 0x20;
const KBD_CCMD_WRITE_MODE = 0x60;
const KBD_CCMD_MOUSE_DISABLE = 0xa7;
const KBD_CCMD_MOUSE_ENABLE = 0xa8;
const KBD_CCMD_TEST_MOUSE = 0xa9;
const KBD_CCMD_SELF_TEST = 0xaa;
const KBD_CCMD_KBD_TEST = 0xab;
const KBD_CCMD_KBD_DISABLE = 0xad;
const KBD_CCMD_KBD_ENABLE = 0xae;
const KBD_CCMD_READ_INPORT = 0xc0;
const KBD_CCMD_READ_OUTPORT = 0xd0;
const KBD_CCMD_WRITE_OUTPORT = 0xd1;
const KBD_CCMD_WRITE_OBUF = 0xd2;
const KBD_CCMD_WRITE_AUX_OBUF = 0xd3;
const KBD_CCMD_WRITE_MOUSE = 0xd4;
const KBD_CCMD_DISABLE_A20 = 0xdd;
const KBD_CCMD_ENABLE_A20 = 0xdf;
/** 0xf0 to 0xff: bits 3..0 of the output port that are 0 are pulsed low; bit 0 is the processor's reset. */
const KBD_CCMD_PULSE_BITS_3_0 = 0xf0;

const KBD_CMD_SET_LEDS = 0xed;
const KBD_CMD_ECHO = 0xee;
const KBD_CMD_SCANCODE = 0xf0;
const KBD_CMD_GET_ID = 0xf2;
const KBD_CMD_SET_RATE = 0xf3;
const KBD_CMD_ENABLE = 0xf4;
const KBD_CMD_RESET_DISABLE = 0xf5;
const KBD_CMD_RESET_ENABLE = 0xf6;
const KBD_CMD_RESET = 0xff;
const KBD_REPLY_POR = 0xaa;
const KBD_REPLY_ACK = 0xfa;
const KBD_REPLY_RESEND = 0xfe;

const QUEUE_SIZE = 16;

export interface I8042Options {
  readonly irq: QemuIrq;
  readonly a20: QemuIrq;
  /** The reset line was pulsed. */
  readonly reset: () => void;
}

export class I8042State {
  readonly #options: I8042Options;
  readonly #irq: QemuIrq;
  #status = 0;
  #mode = 0;
  #outport = 0;
  #pendingCommand = 0;
  #keyboardCommand = 0;
  #queue: number[] = [];
  /** Port 0x60. */
  readonly data: MemoryRegionOps = {
    impl: { min: 1, max: 1 },
    read: () => this.#readData(),
    write: (_offset, _size, value) => this.#writeData(value & 0xff),
  };
  /** Port 0x64. */
  readonly command: MemoryRegionOps = {
    impl: { min: 1, max: 1 },
    read: () => this.#status,
    write: (_offset, _size, value) => this.#writeCommand(value & 0xff),
  };

  constructor(options: I8042Options) {
    this.#options = options;
    this.#irq = qemuIrqOnChange(options.irq);
    this.reset();
  }

  reset(): void {
    this.#mode = KBD_MODE_KBD_INT | KBD_MODE_MOUSE_INT;
    this.#status = KBD_STAT_CMD | KBD_STAT_UNLOCKED;
    this.#outport = KBD_OUT_RESET | KBD_OUT_A20 | KBD_OUT_ONES;
    this.#pendingCommand = this.#keyboardCommand = 0;
    this.#queue = [];
    this.#update();
  }

  #update(): void {
    const full = this.#queue.length > 0;
    this.#status = full ? this.#status | KBD_STAT_OBF : this.#status & ~KBD_STAT_OBF;
    this.#outport = full ? this.#outport | KBD_OUT_OBF : this.#outport & ~KBD_OUT_OBF;
    this.#irq(full && (this.#mode & KBD_MODE_KBD_INT) !== 0 && (this.#mode & KBD_MODE_DISABLE_KBD) === 0);
  }

  #reply(...bytes: readonly number[]): void {
    for (const byte of bytes) if (this.#queue.length < QUEUE_SIZE) this.#queue.push(byte);
    this.#update();
  }

  #readData(): number {
    const value = this.#queue.shift() ?? 0;
    // Each byte of an answer raises the line anew: IRQ 1 is edge-triggered.
    this.#irq(false);
    this.#update();
    return value;
  }

  #writeCommand(byte: number): void {
    this.#status |= KBD_STAT_CMD;
    if ((byte & KBD_CCMD_PULSE_BITS_3_0) === KBD_CCMD_PULSE_BITS_3_0) {
      if ((byte & KBD_OUT_RESET) === 0) this.#options.reset();
      return;
    }
    switch (byte) {
      case KBD_CCMD_READ_MODE:
        return this.#reply(this.#mode);
      case KBD_CCMD_WRITE_MODE:
      case KBD_CCMD_WRITE_OBUF:
      case KBD_CCMD_WRITE_AUX_OBUF:
      case KBD_CCMD_WRITE_MOUSE:
      case KBD_CCMD_WRITE_OUTPORT:
        this.#pendingCommand = byte;
        return;
      case KBD_CCMD_MOUSE_DISABLE:
        this.#mode |= KBD_MODE_DISABLE_MOUSE;
        return;
      case KBD_CCMD_MOUSE_ENABLE:
        this.#mode &= ~KBD_MODE_DISABLE_MOUSE;
        return;
      case KBD_CCMD_TEST_MOUSE:
        return this.#reply(0x01); // clock line stuck low: nothing is plugged in
      case KBD_CCMD_SELF_TEST:
        this.#status |= KBD_STAT_SELFTEST;
        return this.#reply(0x55);
      case KBD_CCMD_KBD_TEST:
        return this.#reply(0x00);
      case KBD_CCMD_KBD_DISABLE:
        this.#mode |= KBD_MODE_DISABLE_KBD;
        return this.#update();
      case KBD_CCMD_KBD_ENABLE:
        this.#mode &= ~KBD_MODE_DISABLE_KBD;
        return this.#update();
      case KBD_CCMD_READ_INPORT:
        return this.#reply(0x80);
      case KBD_CCMD_READ_OUTPORT:
        return this.#reply(this.#outport);
      case KBD_CCMD_ENABLE_A20:
        return this.#writeOutport(this.#outport | KBD_OUT_A20);
      case KBD_CCMD_DISABLE_A20:
        return this.#writeOutport(this.#outport & ~KBD_OUT_A20);
      default: // unknown commands do nothing, as on the chip
    }
  }

  #writeData(byte: number): void {
    const command = this.#pendingCommand;
    this.#pendingCommand = 0;
    this.#status &= ~KBD_STAT_CMD;
    switch (command) {
      case 0:
        return this.#writeKeyboard(byte);
      case KBD_CCMD_WRITE_MODE:
        this.#mode = byte;
        return this.#update();
      case KBD_CCMD_WRITE_OBUF:
        return this.#reply(byte);
      case KBD_CCMD_WRITE_OUTPORT:
        return this.#writeOutport(byte);
      default: // what goes to the mouse reaches nobody
    }
  }

  #writeOutport(value: number): void {
    this.#outport = value;
    this.#options.a20((value & KBD_OUT_A20) !== 0);
    if ((value & KBD_OUT_RESET) === 0) this.#options.reset();
    this.#update();
  }

  /** Commands to the keyboard itself; those with a parameter acknowledge it too. */
  #writeKeyboard(byte: number): void {
    const parameterOf = this.#keyboardCommand;
    this.#keyboardCommand = 0;
    if (parameterOf === KBD_CMD_SCANCODE && byte === 0) return this.#reply(KBD_REPLY_ACK, 0x02);
    if (parameterOf !== 0) return this.#reply(KBD_REPLY_ACK);
    switch (byte) {
      case KBD_CMD_ECHO:
        return this.#reply(KBD_CMD_ECHO);
      case KBD_CMD_GET_ID:
        return this.#reply(KBD_REPLY_ACK, 0xab, 0x83);
      case KBD_CMD_SET_LEDS:
      case KBD_CMD_SCANCODE:
      case KBD_CMD_SET_RATE:
        this.#keyboardCommand = byte;
        return this.#reply(KBD_REPLY_ACK);
      case KBD_CMD_ENABLE:
      case KBD_CMD_RESET_DISABLE:
      case KBD_CMD_RESET_ENABLE:
        return this.#reply(KBD_REPLY_ACK);
      case KBD_CMD_RESET:
        return this.#reply(KBD_REPLY_ACK, KBD_REPLY_POR);
      default:
        return this.#reply(KBD_REPLY_RESEND);
    }
  }
}
