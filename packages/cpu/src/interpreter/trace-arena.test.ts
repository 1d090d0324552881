import { describe, expect, it } from 'vitest';
import { MicrocodeBench } from '../testing/microcode-bench.ts';
import { TRACE_HASH, TRACE_HASH_MULTIPLIER, TRACE_HASH_SHIFT, TRACE_HASH_ENTRY_SIZE } from '../state/layout.ts';
import { TRACE_HEADER_SIZE } from '../state/record.ts';
import { TraceArena } from './trace-arena.ts';

const LONG_MODE = 2;
const hash = (host: number): number => (Math.imul(host, TRACE_HASH_MULTIPLIER) >>> TRACE_HASH_SHIFT) ^ LONG_MODE;

/** Host addresses of one hash entry. */
function colliding(first: number, count: number): number[] {
  const found = [first];
  for (let host = first + 1; found.length < count; host++) if (hash(host) === hash(first)) found.push(host);
  return found;
}

function machine(): { bench: MicrocodeBench; arena: TraceArena; keep: (host: number, mode?: number) => number; seek: (host: number) => number } {
  const bench = new MicrocodeBench();
  const arena = new TraceArena(bench.memory, bench.area, 1 << 20, (host) => void bench.call('protectCode', host), () => undefined);
  arena.flush();
  const slot = (host: number): number => bench.area + TRACE_HASH + hash(host) * TRACE_HASH_ENTRY_SIZE;
  return {
    bench, arena,
    keep: (host, mode = LONG_MODE) => {
      const header = arena.reserve(1);
      arena.keep(header, host, 4, 1, mode, 0);
      return header + TRACE_HEADER_SIZE;
    },
    seek: (host) => {
      const { u32 } = bench.memory;
      return u32[slot(host) >>> 2] === host ? u32[(slot(host) + 4) >>> 2]! : bench.call('seekTrace', slot(host), host);
    },
  };
}

describe('traces of one hash entry', () => {
  it('are all found, whichever was made or looked up last', () => {
    const { arena, keep, seek } = machine();
    const hosts = colliding(0x30_0000, 4);
    const records = hosts.map((host) => keep(host));
    for (const order of [[0, 1, 2, 3], [3, 1, 0, 2], [2, 2, 3, 0]]) for (const i of order) expect(seek(hosts[i]!)).toBe(records[i]);
    expect(hosts.map((host) => arena.has(LONG_MODE, host))).toEqual([true, true, true, true]);
    expect(arena.has(LONG_MODE, colliding(0x30_0000, 5)[4]!)).toBe(false);
    expect(arena.has(1, hosts[0]!)).toBe(false);
  });

  it.each([0, 1, 2, 3])('go one by one when their code is written: number %i', (victim) => {
    const { bench, arena, keep, seek } = machine();
    const hosts = colliding(0x30_0000, 4);
    const records = hosts.map((host) => keep(host));
    seek(hosts[1]!);
    bench.call('invalidateCode', hosts[victim]!, 1);
    expect(hosts.map((host) => arena.has(LONG_MODE, host))).toEqual(hosts.map((_, i) => i !== victim));
    expect(hosts.map(seek)).toEqual(records.map((record, i) => (i === victim ? 0 : record)));
    const again = keep(hosts[victim]!);
    expect(seek(hosts[victim]!)).toBe(again);
  });
});
