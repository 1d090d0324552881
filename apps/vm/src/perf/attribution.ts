/**
 * Which part of the machine each sample belongs to. The function that was sampled, or the nearest of its callers that tells,
 * decides: the name of its WebAssembly module, or the package and folder of its source.
 */
import type { CpuProfile } from './sampler.ts';

export const PARTS = [
  'compiled code', 'interpreter', 'microcode', 'TLB misses', 'compiling', 'translating', 'world switches', 'KVM', 'QEMU', 'host', 'garbage collection', 'idle',
] as const;
export type Part = (typeof PARTS)[number];

export interface Attribution {
  readonly samples: number;
  /** Seconds between the first and the last sample. */
  readonly seconds: number;
  readonly parts: ReadonlyMap<Part, number>;
  /** Seconds in compiled code by number of the region. */
  readonly regions: ReadonlyMap<number, number>;
  /** Seconds in microcode by the function that regions, the interpreter or the driver called. */
  readonly microcode: ReadonlyMap<string, number>;
}

/** What a frame says: its part, unless a caller says one of those in `unless`; null: it is for the callers to say. */
interface Verdict {
  readonly part: Part;
  readonly unless: readonly Part[];
}

interface Frame {
  readonly functionName: string;
  readonly url: string;
}

const final = (part: Part): Verdict => ({ part, unless: [] });
// The compiler decodes, stages and writes with what translates too.
const TRANSLATING: Verdict = { part: 'translating', unless: ['compiling'] };
const MICROCODE: Verdict = { part: 'microcode', unless: ['TLB misses', 'world switches'] };

/** V8's URL of a function in a WebAssembly module that has a name. */
const WASM = /^wasm:\/\/wasm\/(.*)-[0-9a-f]+$/;
const REGION = /^region-(\d+)$/;
/** Microcode that serves what the TLB does not. */
const TLB_MISS = /^(?:readMiss|writeMiss|fillRead|fillWrite|fetch)$/;
const WORLD_SWITCH = /^host(?:Vm|Inv)/;
const SOURCE = /\/(?:packages|@vm)\/(cpu|kvm|qemu|stack)\/(?:src|dist)\/(.*)$/;
const CPU_FOLDERS: readonly (readonly [RegExp, Verdict])[] = [
  [/^jit\//, final('compiling')],
  [/^(?:interpreter|decode|semantics|wasm)\//, TRANSLATING],
  [/^processor\/driver/, final('interpreter')],
  [/^(?:processor|vmx|system|microcode)\//, final('world switches')],
];
const PACKAGES: Readonly<Record<string, Verdict>> = { kvm: final('KVM'), qemu: final('QEMU'), stack: final('host') };
const PSEUDO: Readonly<Record<string, Verdict>> = { '(idle)': final('idle'), '(garbage collector)': final('garbage collection'), '(program)': final('host') };

function verdictOf({ functionName, url }: Frame): Verdict | null {
  if (url === '') return PSEUDO[functionName] ?? null;
  const module = WASM.exec(url)?.[1];
  if (module !== undefined) return wasmVerdict(module, functionName);
  const [, name, path] = SOURCE.exec(url) ?? [];
  if (name === undefined) return url.includes('/apps/vm/') ? final('host') : null;
  if (name !== 'cpu') return PACKAGES[name]!;
  // The processor sleeps, because a guest that is halted did not leave.
  if (functionName === 'waitForEvent') return final('idle');
  return CPU_FOLDERS.find(([folder]) => folder.test(path!))?.[1] ?? null;
}

function wasmVerdict(module: string, name: string): Verdict | null {
  if (REGION.test(module)) return final('compiled code');
  if (module === 'interpreter') return final('interpreter');
  if (module !== 'microcode') return null;
  if (TLB_MISS.test(name)) return final('TLB misses');
  return WORLD_SWITCH.test(name) ? final('world switches') : MICROCODE;
}

export function attribute(profile: CpuProfile): Attribution {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const parents = new Map<number, number>();
  for (const { id, children } of profile.nodes) for (const child of children ?? []) parents.set(child, id);
  const partOf = new Map<number, Part>();
  const parts = new Map<Part, number>();
  const regions = new Map<number, number>();
  const microcode = new Map<string, number>();
  const samples = profile.samples ?? [];
  let seconds = 0;
  samples.forEach((id, i) => {
    // The time until the next sample is this one's.
    const passed = Math.max(0, profile.timeDeltas?.[i + 1] ?? 0) / 1e6;
    let part = partOf.get(id);
    if (part === undefined) partOf.set(id, (part = partOfNode(id)));
    seconds += passed;
    parts.set(part, (parts.get(part) ?? 0) + passed);
    if (part === 'compiled code') {
      const region = Number(REGION.exec(moduleOf(id) ?? '')?.[1] ?? -1);
      regions.set(region, (regions.get(region) ?? 0) + passed);
    } else if (part === 'microcode') {
      const name = entryOf(id);
      microcode.set(name, (microcode.get(name) ?? 0) + passed);
    }
  });
  return { samples: samples.length, seconds, parts, regions, microcode };

  function moduleOf(id: number): string | undefined {
    return WASM.exec(nodes.get(id)!.callFrame.url)?.[1];
  }

  /** The outermost function of the microcode above the sample: only those that others call have names. */
  function entryOf(id: number): string {
    let name = '';
    for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) {
      if (moduleOf(at) === 'microcode') name = nodes.get(at)!.callFrame.functionName;
      else if (name !== '') break;
    }
    return name;
  }

  function partOfNode(id: number): Part {
    let found: Verdict | null = null;
    for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) {
      const verdict = verdictOf(nodes.get(at)!.callFrame);
      if (verdict === null) continue;
      if (found !== null && found.unless.includes(verdict.part)) return verdict.part;
      if (found !== null && found.part !== verdict.part) return found.part;
      if (verdict.unless.length === 0) return verdict.part;
      found = verdict;
    }
    return found?.part ?? 'host';
  }
}
