import type { QemuIrq } from '../../system/irq.ts';
import type { MemoryRegionOps } from '../../system/memory-region.ts';

const PORT92_A20 = 0x02;
const PORT92_INIT_NOW = 0x01;

/** Port 0x92, the PS/2's system control port A: fast A20 gate and fast reset (hw/i386/port92.c). */
export class Port92State implements MemoryRegionOps {
  readonly impl = { min: 1, max: 1 } as const;
  readonly #a20: QemuIrq;
  readonly #resetLine: () => void;
  #outport = PORT92_A20;

  constructor(a20: QemuIrq, resetLine: () => void) {
    this.#a20 = a20;
    this.#resetLine = resetLine;
  }

  reset(): void {
    this.#outport = PORT92_A20;
  }

  read(): number {
    return this.#outport;
  }

  write(_offset: number, _size: number, value: number): void {
    const before = this.#outport;
    this.#outport = value & 0xff;
    this.#a20((value & PORT92_A20) !== 0);
    if (value & PORT92_INIT_NOW && !(before & PORT92_INIT_NOW)) this.#resetLine();
  }
}
