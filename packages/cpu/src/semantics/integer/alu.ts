import type { Semantics } from '../emitter.ts';

const add: Semantics = (b) => {
  const size = b.size(0);
  const target = b.modify(0);
  const source = b.readAs(1, size);
  const result = b.mask(size, b.add(target.value, source));
  b.update(target, result);
  b.flagsAdd(size, target.value, source, result);
};

const sub: Semantics = (b) => {
  const size = b.size(0);
  const target = b.modify(0);
  const source = b.readAs(1, size);
  const result = b.mask(size, b.sub(target.value, source));
  b.update(target, result);
  b.flagsSub(size, target.value, source, result);
};

const cmp: Semantics = (b) => {
  const size = b.size(0);
  const x = b.read(0);
  const y = b.readAs(1, size);
  b.flagsSub(size, x, y, b.mask(size, b.sub(x, y)));
};

function withCarry(subtract: boolean): Semantics {
  return (b) => {
    const size = b.size(0);
    const target = b.modify(0);
    const x = target.value;
    const y = b.readAs(1, size);
    const carryIn = b.carry();
    const c = size === 8 ? b.extendU(carryIn) : carryIn;
    const step = subtract ? b.sub(b.sub(x, y), c) : b.add(b.add(x, y), c);
    const result = b.mask(size, step);
    // Without a carry in, as ADD and SUB; with one, equality also carries.
    const strict = subtract ? b.ltU(x, y) : b.ltU(result, x);
    const equal = subtract ? b.eq(x, y) : b.eq(result, x);
    b.update(target, result);
    b.flagsCarry(size, x, y, result, b.or(strict, b.and(carryIn, equal)), subtract);
  };
}

function logic(operator: 'and' | 'or' | 'xor'): Semantics {
  return (b) => {
    const size = b.size(0);
    const target = b.modify(0);
    const result = b.int(operator, target.value, b.readAs(1, size));
    b.update(target, result);
    b.flagsLogic(size, result);
  };
}

const test: Semantics = (b) => {
  const size = b.size(0);
  const x = b.read(0);
  b.flagsLogic(size, b.and(x, b.readAs(1, size)));
};

function step(subtract: boolean): Semantics {
  return (b) => {
    const size = b.size(0);
    const target = b.modify(0);
    const one = b.constant(size, 1);
    const result = b.mask(size, subtract ? b.sub(target.value, one) : b.add(target.value, one));
    b.update(target, result);
    b.flagsStep(size, target.value, result, subtract);
  };
}

const neg: Semantics = (b) => {
  const size = b.size(0);
  const target = b.modify(0);
  const zero = b.constant(size, 0);
  const result = b.mask(size, b.sub(zero, target.value));
  b.update(target, result);
  b.flagsSub(size, zero, target.value, result);
};

const not: Semantics = (b) => {
  const size = b.size(0);
  const target = b.modify(0);
  b.update(target, b.mask(size, b.xor(target.value, b.constant(size, -1))));
};

const xadd: Semantics = (b) => {
  const size = b.size(0);
  const target = b.modify(0);
  const source = b.copy(b.read(1));
  const result = b.mask(size, b.add(target.value, source));
  // The destination last, so that XADD of a register with itself leaves the sum (SDM: XADD).
  b.write(1, target.value);
  b.update(target, result);
  b.flagsAdd(size, target.value, source, result);
};

const cmpxchg: Semantics = (b) => {
  const size = b.size(0);
  const target = b.modify(0);
  const source = b.read(1);
  const accumulator = b.readGpr(0, size);
  const equal = b.eq(accumulator, target.value);
  // The destination is written in either case (SDM: CMPXCHG), the accumulator only when they differ.
  b.if(equal, () => b.update(target, source), () => {
    b.update(target, target.value);
    b.writeGpr(0, size, target.value);
  });
  b.flagsSub(size, accumulator, target.value, b.mask(size, b.sub(accumulator, target.value)));
};

export const aluSemantics: Readonly<Record<string, Semantics>> = {
  add, sub, cmp, test, neg, not, xadd, cmpxchg,
  adc: withCarry(false), sbb: withCarry(true),
  and: logic('and'), or: logic('or'), xor: logic('xor'),
  inc: step(false), dec: step(true),
};
