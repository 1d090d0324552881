import { RFLAGS_REST } from '../../state/layout.ts';
import type { Emitter, Semantics } from '../emitter.ts';

/** DF in RFLAGS. */
const DF = 0x400;

const cmc: Semantics = (b) => b.setCarry(b.xor(b.carry(), b.i32(1)));
const clc: Semantics = (b) => b.setCarry(b.i32(0));
const stc: Semantics = (b) => b.setCarry(b.i32(1));

function direction(set: boolean): Semantics {
  return (b) => {
    const rest = b.loadI32(b.cpu, RFLAGS_REST);
    b.storeI32(b.cpu, RFLAGS_REST, set ? b.or(rest, b.i32(DF)) : b.and(rest, b.i32(~DF)));
  };
}

/** LAHF: SF ZF 0 AF 0 PF 1 CF. */
const lahf: Semantics = (b) => {
  const bits: [number, ReturnType<Emitter['carry']>][] = [
    [7, b.condition(8)], [6, b.condition(4)], [4, b.auxiliary()], [2, b.parity()], [0, b.carry()],
  ];
  let value = b.i32(2);
  for (const [bit, flag] of bits) value = b.or(value, b.shl(flag, b.i32(bit)));
  const ax = b.readGpr(0, 2);
  b.writeGpr(0, 2, b.or(b.and(ax, b.i32(0xff)), b.shl(value, b.i32(8))));
};

const sahf: Semantics = (b) => {
  const ah = b.shrU(b.readGpr(0, 2), b.i32(8));
  const bit = (n: number): ReturnType<Emitter['carry']> => b.and(b.shrU(ah, b.i32(n)), b.i32(1));
  b.flagsAll({ sf: bit(7), zf: bit(6), af: bit(4), pf: bit(2), cf: bit(0), of: b.condition(0) });
};

const salc: Semantics = (b) => b.writeGpr(0, 1, b.and(b.sub(b.i32(0), b.carry()), b.i32(0xff)));

/** Hints, fences and reserved no-operations: memory is strongly ordered here, and caches are not modelled. */
const nothing: Semantics = () => undefined;

export const flagSemantics: Readonly<Record<string, Semantics>> = {
  cmc, clc, stc, lahf, sahf, salc, cld: direction(false), std: direction(true),
  nop: nothing, lfence: nothing, mfence: nothing, sfence: nothing, endbr64: nothing, endbr32: nothing,
  prefetchnta: nothing, prefetcht0: nothing, prefetcht1: nothing, prefetcht2: nothing, prefetchw: nothing,
  prefetch: nothing, prefetchwt1: nothing, reservednop: nothing,
};
