/** A processor that delivers its events, for tests of what is delivered, when and in which order: each handler halts. */
import { raiseInterrupt } from '@vm/kvm-run/vmx';
import * as L from '../state/layout.ts';
import { SHADOW_SERVED, STEP_ARMED } from '../state/vmx-layout.ts';
import { gate } from './microcode-bench.ts';
import { SystemMachine } from './system-machine.ts';

const HLT = 0xf4;
const HANDLER_STEP = 16;
const REQUEST_NMI = 1;

/** An event that reached its handler, with the frame there. */
export interface Delivered {
  readonly vector: number;
  /** Of the code that run() started, as an offset from its start, or as an address where it is far from there. */
  readonly rip: number;
  readonly flags: number;
  readonly dr6: number;
}

export class EventMachine extends SystemMachine {
  readonly #handlers: number;
  readonly #gdt: number;
  readonly #idt: number;

  constructor() {
    super(true);
    [this.#handlers, this.#gdt, this.#idt] = [this.stack + 0x8000, this.stack + 0x9000, this.stack + 0xa000];
    for (let vector = 0; vector < 256; vector++) this.memory.u8[this.#handlers + vector * HANDLER_STEP] = HLT;
  }

  /** Enters 64-bit or 32-bit code with an interrupt gate for each vector, and puts code at its start. */
  begin(mode: 'long' | 'protected', cpl: number, code: string, flags: bigint): void {
    this.enter(mode, cpl);
    const { view } = this.memory;
    const long = mode === 'long';
    [0n, long ? 0x00af_9b00_0000_ffffn : 0x00cf_9b00_0000_ffffn, 0x00cf_9300_0000_ffffn, 0n, 0n, 0x00cf_f300_0000_ffffn, long ? 0x00af_fb00_0000_ffffn : 0x00cf_fb00_0000_ffffn]
      .forEach((value, i) => view.setBigUint64(this.#gdt + i * 8, value, true));
    for (let vector = 0; vector < 256; vector++) {
      const handler = BigInt(this.#handlers + vector * HANDLER_STEP);
      view.setBigUint64(this.#idt + vector * (long ? 16 : 8), gate(8, handler, 14, 3), true);
      if (long) view.setBigUint64(this.#idt + vector * 16 + 8, handler >> 32n, true);
    }
    this.set(L.GDTR_BASE, BigInt(this.#gdt));
    this.set32(L.GDTR_LIMIT, 0xff);
    this.set(L.IDTR_BASE, BigInt(this.#idt));
    this.set32(L.IDTR_LIMIT, 0xfff);
    const tss = this.stack + 0x1000;
    view.setBigUint64(tss + 4, BigInt(this.stack + 0x800) | (long ? 0n : 0x10_0000_0000n), true);
    if (!long) view.setUint32(tss + 8, 0x10, true);
    for (const word of [L.PENDING_DEBUG, L.PENDING_DEBUG + 4, L.REQUESTS, L.STI_SHADOW, STEP_ARMED, SHADOW_SERVED]) this.set32(word, 0);
    for (let word = 0; word < 8; word++) this.set32(L.PENDING_VECTORS + word * 4, 0);
    this.put(this.code, `${code} 90 90 90 90`);
    this.setFlags(this.flags() | flags);
    this.set(L.RIP, this.start);
  }

  put(address: number, code: string): void {
    this.memory.write(address, Uint8Array.from(code.trim().split(/\s+/), (byte) => Number.parseInt(byte, 16)));
  }

  interrupt(vector: number): void {
    raiseInterrupt(this.memory.i32, this.area + L.PENDING_VECTORS, vector);
  }

  nmi(): void {
    this.set32(L.REQUESTS, this.get32(L.REQUESTS) | REQUEST_NMI);
  }

  /** Runs to the next handler; null: `limit` instructions have passed, or the processor halts elsewhere. */
  next(limit = 20): Delivered | null {
    const end = this.machine.driver.run(limit);
    if (end !== 'halted') return null;
    const at = Number(this.get(L.RIP)) - 1 - this.#handlers;
    if (at < 0 || at >= 256 * HANDLER_STEP) return null;
    this.set32(L.ACTIVITY, 0);
    const vector = at / HANDLER_STEP;
    const [rip, flags] = this.#frame(vector);
    const offset = rip - this.code;
    return { vector, rip: offset >= 0 && offset < 0x1000 ? offset : rip, flags, dr6: Number(this.get(L.DR6)) };
  }

  #frame(vector: number): [number, number] {
    const { view } = this.memory;
    const size = this.get32(L.CODE_MODE) === 2 ? 8 : 4;
    const at = Number(this.gpr('rsp')) + (hasErrorCode(vector) ? size : 0);
    return [view.getUint32(at, true), view.getUint32(at + 2 * size, true)];
  }

  /** Goes on with an IRET in the handler. */
  resume(vector: number): void {
    const wide = this.get32(L.CODE_MODE) === 2;
    if (hasErrorCode(vector)) this.set(L.RSP, this.gpr('rsp') + (wide ? 8n : 4n));
    const at = this.#handlers + vector * HANDLER_STEP + 1;
    this.put(at, wide ? '48 cf' : 'cf');
    this.set(L.RIP, BigInt(at));
  }

  /** The vectors and return addresses of the events that code meets, each handled by an IRET. */
  events(count: number, limit = 20): string[] {
    const seen: string[] = [];
    while (seen.length < count) {
      const event = this.next(limit);
      if (event === null) break;
      seen.push(`${event.vector}@${event.rip}`);
      this.resume(event.vector);
    }
    return seen;
  }
}

function hasErrorCode(vector: number): boolean {
  return [8, 10, 11, 12, 13, 14, 17].includes(vector);
}
