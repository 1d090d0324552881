/** Where a region looks whether its pages of code are still in place: where control first comes to them. */
import type { Block } from './region.ts';
import type { Shape } from './structure.ts';

/** Numbers of the pages to look at in front of each block, by position: those of no block on the way to it, nor the entry's. */
export function pagesToGuard({ order, children }: Shape): readonly (readonly number[])[] {
  const guards: number[][] = order.map(() => []);
  const known: ReadonlySet<number>[] = order.map(() => new Set([0]));
  // Dominators come earlier in the order.
  order.forEach((block, at) => {
    const pages = pagesOf(block);
    guards[at] = pages.filter((page) => !known[at]!.has(page));
    for (const child of children[at]!) known[child] = guards[at]!.length > 0 ? new Set([...known[at]!, ...pages]) : known[at]!;
  });
  return guards;
}

/** Numbers of the pages in which a block lies. */
function pagesOf({ instructions }: Block): number[] {
  const pages = new Set<number>();
  for (const { offset, ins } of instructions) pages.add(Math.floor(offset / 0x1000)).add(Math.floor((offset + ins.length - 1) / 0x1000));
  return [...pages];
}
