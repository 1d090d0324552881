/** A program's code, and the words that it keeps in the page of slots. */
import { Assembler, type Label } from './assembler.ts';
import { type Mode, SLOT } from './modes.ts';

/** Tables end here: in some 16-bit programs the segment does soon after. */
const END_OF_TABLES = 0x700;

export class ProgramCode extends Assembler {
  /** Places in the page of slots that hold the addresses of labels. */
  readonly words: { readonly slot: number; readonly label: Label }[] = [];
  /** The page's address. */
  readonly #slots: number;
  #next: number = SLOT.tables;

  constructor(mode: Mode, slots: number) {
    super(mode);
    this.#slots = slots;
  }

  /** An instruction on a word of the page: opcode and ModRM's field. */
  onSlot(opcode: number, field: number, slot: number, ...immediate: readonly number[]): void {
    this.emit(opcode, ...this.absolute(field, this.#slots + slot), ...immediate);
  }

  /** The prefix that gives an instruction the width of addresses. */
  wide(): void {
    if (this.mode === 64) this.emit(0x48);
  }

  /** Addresses of labels in memory; returns the table's address. */
  table(labels: readonly Label[]): number {
    const slot = this.#next;
    labels.forEach((label, i) => this.words.push({ slot: slot + i * this.width, label }));
    this.#next += labels.length * this.width;
    return this.#slots + slot;
  }

  /** Whether another table may be made. */
  hasRoom(): boolean {
    return this.#next < END_OF_TABLES;
  }
}
