/**
 * The shape of a region: which of the blocks found belong to it, in which order, and what dominates what. Code is generated
 * along the dominator tree (after Ramsey, "Beyond Relooper", ICFP 2022), which needs a reducible graph: edges that enter a
 * loop elsewhere than at its head leave the region instead.
 */
import { type Block, type Edge, edgesOf } from './region.ts';

export interface Shape {
  /** In reverse postorder; the entry is the first. */
  readonly order: readonly Block[];
  /** Position in `order`, by block id; -1 for blocks outside. */
  readonly position: Int32Array;
  /** Blocks that a back edge enters, by position. */
  readonly loopHead: readonly boolean[];
  /** Blocks that more than one forward edge enters, by position. */
  readonly merge: readonly boolean[];
  /** Blocks that lie in a loop, by position. */
  readonly inLoop: readonly boolean[];
  /** Children in the dominator tree, by position, in order. */
  readonly children: readonly (readonly number[])[];
}

/** Instructions that a region without loops may have, and those behind a loop that a region around it may have. */
export interface PieceLimits {
  readonly acyclic: number;
  readonly behindLoop: number;
}

/**
 * The blocks around the entry that belong together: its strongly connected component and a piece without loops behind it, or else a
 * piece without loops.
 */
export function selectBlocks(entry: Block, blocks: readonly Block[], limits: PieceLimits): ReadonlySet<Block> {
  const components = stronglyConnected(blocks);
  const own = components.number[entry.id]!;
  const inCycle = (block: Block): boolean =>
    components.size[components.number[block.id]!]! > 1 || pathsOf(block).some((edge) => edge.block === block);
  const looping = inCycle(entry);
  const kept = new Set<Block>(looping ? blocks.filter((block) => components.number[block.id] === own) : [entry]);
  const limit = looping ? limits.behindLoop : limits.acyclic;
  let instructions = looping ? 0 : entry.instructions.length;
  for (const block of kept) {
    for (const { block: target } of pathsOf(block)) {
      if (!target || kept.has(target) || inCycle(target)) continue;
      instructions += target.instructions.length;
      if (instructions > limit) continue;
      kept.add(target);
    }
  }
  return kept;
}

/** Lets edges to blocks that were not selected leave the region. */
export function cutEdges(selected: ReadonlySet<Block>): void {
  const cut = (edge: Edge): void => {
    if (edge.block && !selected.has(edge.block)) edge.block = null;
  };
  for (const block of selected) {
    for (const edge of edgesOf(block)) cut(edge);
    for (const edge of pathsOf(block)) cut(edge);
  }
}

/** The edges of a block as its function sees them: a call goes on behind it. */
function pathsOf(block: Block): readonly Edge[] {
  const { terminator } = block;
  if (terminator.kind === 'call') return terminator.again ? [terminator.after, terminator.again] : [terminator.after];
  return terminator.kind === 'indirect' && terminator.after ? [terminator.after] : edgesOf(block);
}

/** Tarjan's algorithm, without recursion. */
function stronglyConnected(blocks: readonly Block[]): { number: Int32Array; size: number[] } {
  const count = blocks.length;
  const index = new Int32Array(count).fill(-1);
  const low = new Int32Array(count);
  const number = new Int32Array(count).fill(-1);
  const size: number[] = [];
  const stack: number[] = [];
  let next = 0;
  const close = (v: number): void => {
    let members = 0;
    for (;;) {
      const w = stack.pop()!;
      number[w] = size.length;
      members++;
      if (w === v) break;
    }
    size.push(members);
  };
  for (const root of blocks) {
    if (index[root.id]! >= 0) continue;
    const work: { v: number; edge: number }[] = [{ v: root.id, edge: 0 }];
    while (work.length > 0) {
      const frame = work.at(-1)!;
      const { v } = frame;
      if (frame.edge === 0) {
        index[v] = low[v] = next++;
        stack.push(v);
      }
      const edges = pathsOf(blocks[v]!);
      if (frame.edge < edges.length) {
        const target = edges[frame.edge++]!.block;
        if (!target) continue;
        if (index[target.id]! < 0) work.push({ v: target.id, edge: 0 });
        else if (number[target.id]! < 0) low[v] = Math.min(low[v]!, index[target.id]!);
        continue;
      }
      if (low[v] === index[v]) close(v);
      work.pop();
      const parent = work.at(-1);
      if (parent) low[parent.v] = Math.min(low[parent.v]!, low[v]!);
    }
  }
  return { number, size };
}

/** Orders the region's blocks and cuts irreducible edges. */
export function shapeOf(entry: Block, count: number): Shape {
  for (;;) {
    const { order, position } = reversePostorder(entry, count);
    const dominator = immediateDominators(order, position);
    if (!cutIrreducible(order, position, dominator)) return describe(order, position, dominator);
  }
}

function reversePostorder(entry: Block, count: number): { order: Block[]; position: Int32Array } {
  const seen = new Uint8Array(count);
  const postorder: Block[] = [];
  const work: { block: Block; edge: number }[] = [{ block: entry, edge: 0 }];
  seen[entry.id] = 1;
  while (work.length > 0) {
    const frame = work.at(-1)!;
    const edges = edgesOf(frame.block);
    if (frame.edge === edges.length) {
      postorder.push(frame.block);
      work.pop();
      continue;
    }
    const target = edges[frame.edge++]!.block;
    if (!target || seen[target.id]) continue;
    seen[target.id] = 1;
    work.push({ block: target, edge: 0 });
  }
  const order = postorder.reverse();
  const position = new Int32Array(count).fill(-1);
  order.forEach((block, at) => (position[block.id] = at));
  return { order, position };
}

/** By position, the positions from which edges come. */
function predecessors(order: readonly Block[], position: Int32Array): readonly (readonly number[])[] {
  const before: number[][] = order.map(() => []);
  order.forEach((block, at) => {
    for (const { block: target } of edgesOf(block)) if (target) before[position[target.id]!]!.push(at);
  });
  return before;
}

/** Cooper, Harvey and Kennedy's iteration, over positions. */
function immediateDominators(order: readonly Block[], position: Int32Array): Int32Array {
  const dominator = new Int32Array(order.length).fill(-1);
  dominator[0] = 0;
  const before = predecessors(order, position);
  const common = (x: number, y: number): number => {
    let [a, b] = [x, y];
    while (a !== b) {
      while (a > b) a = dominator[a]!;
      while (b > a) b = dominator[b]!;
    }
    return a;
  };
  for (let changed = true; changed;) {
    changed = false;
    for (let at = 1; at < order.length; at++) {
      let found = -1;
      for (const from of before[at]!) if (dominator[from]! >= 0) found = found < 0 ? from : common(from, found);
      if (dominator[at] === found) continue;
      dominator[at] = found;
      changed = true;
    }
  }
  return dominator;
}

function dominates(dominator: Int32Array, above: number, below: number): boolean {
  let at = below;
  while (at > above) at = dominator[at]!;
  return at === above;
}

function cutIrreducible(order: readonly Block[], position: Int32Array, dominator: Int32Array): boolean {
  let cut = false;
  order.forEach((block, at) => {
    for (const edge of edgesOf(block)) {
      if (!edge.block) continue;
      const to = position[edge.block.id]!;
      if (to > at || dominates(dominator, to, at)) continue;
      edge.block = null;
      cut = true;
    }
  });
  return cut;
}

function describe(order: readonly Block[], position: Int32Array, dominator: Int32Array): Shape {
  const loopHead = order.map(() => false);
  const forward = order.map(() => 0);
  const children: number[][] = order.map(() => []);
  order.forEach((block, at) => {
    for (const { block: target } of edgesOf(block)) {
      if (!target) continue;
      const to = position[target.id]!;
      if (to <= at) loopHead[to] = true;
      else forward[to]!++;
    }
    if (at > 0) children[dominator[at]!]!.push(at);
  });
  return { order, position, loopHead, merge: forward.map((n) => n > 1), inLoop: loopsOf(order, position), children };
}

/** Marks what lies between a loop's head and its back edges, backwards from these. */
function loopsOf(order: readonly Block[], position: Int32Array): boolean[] {
  const inLoop = order.map(() => false);
  const before = predecessors(order, position);
  const backEdges: [number, number][] = [];
  order.forEach((block, at) => {
    for (const { block: target } of edgesOf(block)) {
      if (!target) continue;
      const to = position[target.id]!;
      if (to <= at) backEdges.push([at, to]);
    }
  });
  for (const [from, head] of backEdges) {
    const body = new Set([head, from]);
    for (const at of body) if (at !== head) for (const earlier of before[at]!) body.add(earlier);
    for (const at of body) inLoop[at] = true;
  }
  return inLoop;
}
