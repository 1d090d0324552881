/** Where the time of a V8 CPU profile went: self time by function, in shares of the time in which the thread was not idle. */

/** The parts of a .cpuprofile file that matter here. */
export interface CpuProfile {
  readonly nodes: readonly { readonly id: number; readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number } }[];
  readonly samples: readonly number[];
  /** Microseconds before each sample. */
  readonly timeDeltas: readonly number[];
}

/** 'program' is what V8 can't place, mostly native code outside of calls. */
export type Kind = 'wasm' | 'js' | 'gc' | 'program' | 'idle';

export interface SelfTime {
  readonly kind: Kind;
  readonly name: string;
  readonly ms: number;
  /** Of the busy time. */
  readonly share: number;
}

export interface Shares {
  readonly busyMs: number;
  /** Shares of the busy time. */
  readonly kinds: Readonly<Record<Exclude<Kind, 'idle'>, number>>;
  /** All but idle, longest first. */
  readonly functions: readonly SelfTime[];
}

const PSEUDO: Readonly<Record<string, Kind>> = { '(idle)': 'idle', '(garbage collector)': 'gc', '(program)': 'program', '(root)': 'program' };

export function sharesOf(profile: CpuProfile): Shares {
  const frames = new Map(profile.nodes.map((node) => [node.id, node.callFrame]));
  const times = new Map<string, { kind: Kind; name: string; us: number }>();
  const kinds = { wasm: 0, js: 0, gc: 0, program: 0, idle: 0 };
  profile.samples.forEach((sample, i) => {
    const { functionName, url, lineNumber } = frames.get(sample)!;
    const us = Math.max(0, profile.timeDeltas[i]!);
    const kind = PSEUDO[functionName] ?? (url.startsWith('wasm:') ? 'wasm' : 'js');
    kinds[kind] += us;
    const name = url === '' ? functionName : `${functionName || '(anonymous)'} ${url.split('/').slice(-3).join('/')}:${lineNumber + 1}`;
    const time = times.get(name);
    if (time) time.us += us;
    else times.set(name, { kind, name, us });
  });
  const busy = kinds.wasm + kinds.js + kinds.gc + kinds.program;
  const functions = [...times.values()].filter(({ kind }) => kind !== 'idle').toSorted((a, b) => b.us - a.us);
  return {
    busyMs: busy / 1000,
    kinds: { wasm: kinds.wasm / busy, js: kinds.js / busy, gc: kinds.gc / busy, program: kinds.program / busy },
    functions: functions.map(({ kind, name, us }) => ({ kind, name, ms: us / 1000, share: us / busy })),
  };
}
