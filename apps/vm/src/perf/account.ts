/** What the machine counted between two moments: the difference of two readings. */
import type { ProfiledRegion } from '@vm/cpu';
import type { ExitCount, Vm } from '@vm/stack';
import { Failure } from '../failure.ts';

export interface Reading {
  readonly instructions: number;
  readonly tlbMisses: number;
  readonly exits: readonly ExitCount[];
  readonly regions: readonly ProfiledRegion[];
}

export function readCounters(vm: Vm): Reading {
  const { profile } = vm;
  if (profile === null) throw new Failure('this machine keeps no profile');
  return { instructions: vm.instructions(), tlbMisses: profile.tlbMisses(), exits: vm.exits(), regions: profile.regions() };
}

/** `after` without what was counted by `before` already. */
export function difference(before: Reading, after: Reading): Reading {
  const exits = new Map(before.exits.map((exit) => [exit.reason, exit]));
  const regions = new Map(before.regions.map((region) => [region.number, region]));
  return {
    instructions: after.instructions - before.instructions,
    tlbMisses: after.tlbMisses - before.tlbMisses,
    exits: after.exits.map((exit) => {
      const { count = 0, totalNs = 0 } = exits.get(exit.reason) ?? {};
      return { ...exit, count: exit.count - count, totalNs: exit.totalNs - totalNs };
    }).filter(({ count }) => count > 0),
    regions: after.regions.map((region) => {
      const { runs = 0, instructions = 0 } = regions.get(region.number) ?? {};
      return { ...region, runs: region.runs - runs, instructions: region.instructions - instructions };
    }),
  };
}
