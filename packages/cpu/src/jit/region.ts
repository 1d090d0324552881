/**
 * What a region is made of: blocks of guest instructions, and the edges between them. Code addresses are offsets from the
 * host page in which the region's entry lies, in the linear address space (offset 0x1000 is the next linear page), so that a
 * region serves wherever its pages are mapped side by side.
 */
import type { Instruction } from '../decode/instruction.ts';
import type { Handler } from '../interpreter/handlers.ts';

export interface RegionInstruction {
  readonly ins: Instruction;
  /** Of its first byte. */
  readonly offset: number;
  readonly handler: Handler;
}

/** Where control goes: to a block of the region, or out of it. */
export interface Edge {
  readonly offset: number;
  /** Null: the region is left. */
  block: Block | null;
}

export type Terminator =
  | { readonly kind: 'jump'; readonly target: Edge }
  /** A near call of a known function; `after` is where it returns to. `again`: that function is the one around the entry. */
  | { readonly kind: 'call'; readonly target: Edge; readonly after: Edge; readonly again: Edge | null }
  | { readonly kind: 'branch'; readonly taken: Edge; readonly next: Edge }
  /** A near return of a call that stands in the same region: goes on at the edge if the popped address is the expected one. */
  | { readonly kind: 'return'; readonly target: Edge }
  /** To an address that is computed; the targets seen so far. Of a call, `after` is where it returns to. */
  | { readonly kind: 'indirect'; readonly targets: readonly Edge[]; readonly after: Edge | null }
  /** The block's last instruction is microcode that may change modes, mappings or where control is. */
  | { readonly kind: 'system' }
  /** The interpreter goes on at this offset. */
  | { readonly kind: 'interpret'; readonly offset: number };

export interface Block {
  /** Position in the list of all blocks found. */
  readonly id: number;
  readonly offset: number;
  readonly instructions: RegionInstruction[];
  terminator: Terminator;
}

/** The edges that leave a block. */
export function edgesOf(block: Block): readonly Edge[] {
  const end = block.terminator;
  switch (end.kind) {
    case 'jump': return [end.target];
    case 'call': return [end.target];
    case 'branch': return [end.taken, end.next];
    case 'return': return [end.target];
    case 'indirect': return end.targets;
    default: return [];
  }
}
