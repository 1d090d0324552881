import type { Value } from '../../wasm/function-builder.ts';
import type { Emitter, Semantics } from '../emitter.ts';

/** The bit and the changed operand of BT, BTS, BTR and BTC. */
function bitTest(change: 'none' | 'set' | 'reset' | 'complement'): Semantics {
  return (b) => {
    const size = b.size(0);
    const register = b.operand(1).kind === 'reg';
    const index = b.readAs(1, size);
    const mask = b.constant(size, size * 8 - 1);
    if (b.operand(0).kind === 'mem' && register) {
      memoryBit(b, size, index, change);
      return;
    }
    const at = b.and(index, mask);
    if (change === 'none') {
      b.setCarry(bitAt(b, size, b.read(0), at));
      return;
    }
    const target = b.modify(0);
    b.update(target, b.mask(size, changed(b, size, target.value, at, change)));
    b.setCarry(bitAt(b, size, target.value, at));
  };
}

/** A register index reaches beyond the operand: the bit string begins at its address (SDM vol. 2, BT). */
function memoryBit(b: Emitter, size: number, index: Value, change: 'none' | 'set' | 'reset' | 'complement'): void {
  const bits = size * 8;
  const shift = size === 8 ? 6 : size === 4 ? 5 : 4;
  const signed = b.wide(size, index);
  const displacement = b.shl(b.shrS(signed, b.i64(shift)), b.i64(shift - 3));
  const linear = b.add(b.address(), displacement);
  const at = b.and(index, b.constant(size, bits - 1));
  if (change === 'none') {
    b.setCarry(bitAt(b, size, b.loadLinear(linear, size), at));
    return;
  }
  const { host, slow } = b.translateWrite(linear, size);
  const value = b.loadSized(host, 0, size);
  b.storeSized(host, 0, size, changed(b, size, value, at, change));
  b.commit(slow);
  b.setCarry(bitAt(b, size, value, at));
}

function bitAt(b: Emitter, size: number, value: Value, at: Value): Value {
  const moved = b.shrU(value, at);
  return b.and(size === 8 ? b.wrap(moved) : moved, b.i32(1));
}

function changed(b: Emitter, size: number, value: Value, at: Value, change: string): Value {
  const one = b.shl(b.constant(size, 1), at);
  if (change === 'set') return b.or(value, one);
  if (change === 'complement') return b.xor(value, one);
  return b.and(value, b.xor(one, b.constant(size, -1)));
}

/** BSF and BSR: a zero source sets ZF and leaves the destination (as processors do; the manual says undefined). */
function scan(forward: boolean): Semantics {
  return (b) => {
    const size = b.size(0);
    const source = b.read(1);
    const zero = b.eqz(source);
    b.if(zero, () => undefined, () => {
      const last = b.constant(size, size === 8 ? 63 : 31);
      b.write(0, forward ? b.int('ctz', source) : b.sub(last, b.int('clz', source)));
    });
    zeroFlagOnly(b, zero, b.i32(0));
  };
}

/** ZF and CF given, the other flags clear. */
function zeroFlagOnly(b: Emitter, zero: Value, carry: Value): void {
  const off = b.i32(0);
  b.flagsAll({ cf: carry, pf: off, af: off, zf: zero, sf: off, of: off });
}

function countZeros(trailing: boolean): Semantics {
  return (b) => {
    const size = b.size(0);
    const source = b.read(1);
    let result: Value;
    if (size >= 4) result = b.int(trailing ? 'ctz' : 'clz', source);
    else if (trailing) result = b.int('ctz', b.or(source, b.i32(0x1_0000)));
    else result = b.sub(b.int('clz', source), b.i32(16));
    b.write(0, result);
    zeroFlagOnly(b, b.eqz(result), b.eqz(source));
  };
}

const popcnt: Semantics = (b) => {
  const source = b.read(1);
  b.write(0, b.int('popcnt', source));
  zeroFlagOnly(b, b.eqz(source), b.i32(0));
};

/** BMI1 andn: flags as a logical operation. */
const andn: Semantics = (b) => {
  const size = b.size(0);
  const result = b.and(b.xor(b.read(1), b.constant(size, -1)), b.read(2));
  b.write(0, result);
  b.flagsLogic(size, result);
};

/** BLSI, BLSR, BLSMSK: the lowest set bit kept, reset, or the mask up to it. */
function lowestBit(kind: 'isolate' | 'reset' | 'mask'): Semantics {
  return (b) => {
    const size = b.size(0);
    const source = b.read(1);
    const minus = b.sub(source, b.constant(size, 1));
    const result = kind === 'isolate' ? b.and(source, b.sub(b.constant(size, 0), source))
      : kind === 'reset' ? b.and(source, minus) : b.xor(source, minus);
    b.write(0, result);
    b.flagsLogic(size, result);
    b.setCarry(kind === 'isolate' ? b.eqz(b.eqz(source)) : b.eqz(source));
  };
}

const bextr: Semantics = (b) => {
  const size = b.size(0);
  const bits = size * 8;
  const source = b.read(1);
  const control = b.wrap(size === 8 ? b.read(2) : b.extendU(b.read(2)));
  const start = b.and(control, b.i32(0xff));
  const length = b.and(b.shrU(control, b.i32(8)), b.i32(0xff));
  const as = (v: Value): Value => (size === 8 ? b.extendU(v) : v);
  const moved = b.select(b.ltU(start, b.i32(bits)), b.shrU(source, as(start)), b.constant(size, 0));
  const ones = b.sub(b.shl(b.constant(size, 1), as(length)), b.constant(size, 1));
  const result = b.select(b.ltU(length, b.i32(bits)), b.and(moved, ones), moved);
  b.write(0, result);
  b.flagsLogic(size, result);
};

const bzhi: Semantics = (b) => {
  const size = b.size(0);
  const bits = size * 8;
  const source = b.read(1);
  const index = b.and(size === 8 ? b.wrap(b.read(2)) : b.read(2), b.i32(0xff));
  const as = size === 8 ? b.extendU(index) : index;
  const ones = b.sub(b.shl(b.constant(size, 1), as), b.constant(size, 1));
  const inside = b.ltU(index, b.i32(bits));
  const result = b.select(inside, b.and(source, ones), source);
  b.write(0, result);
  b.flagsLogic(size, result);
  b.setCarry(b.eqz(inside));
};

/** PDEP and PEXT: a bit of the mask a step. */
function depositExtract(deposit: boolean): Semantics {
  return (b) => {
    const size = b.size(0);
    const source = b.copy(b.read(1));
    const mask = b.copy(b.read(2));
    const result = b.copy(b.constant(size, 0));
    const bit = b.copy(b.constant(size, 1));
    const one = b.constant(size, 1);
    const done = b.block();
    const again = b.loop();
    b.brIf(done, b.eqz(mask));
    const lowest = b.and(mask, b.sub(b.constant(size, 0), mask));
    const from = b.ne(b.and(source, deposit ? bit : lowest), b.constant(size, 0));
    const set = b.or(result, deposit ? lowest : bit);
    b.set(result, b.select(from, set, result));
    b.set(mask, b.xor(mask, lowest));
    b.set(bit, b.shl(bit, one));
    b.br(again);
    b.end();
    b.end();
    b.write(0, result);
  };
}

/** ADCX and ADOX: an addition through CF alone, or through OF alone. */
function addThrough(flag: 'carry' | 'overflow'): Semantics {
  return (b) => {
    const size = b.size(0);
    const x = b.read(0);
    const y = b.read(1);
    const cf = b.carry();
    const of = b.condition(0);
    const carryIn = flag === 'carry' ? cf : of;
    const result = b.add(b.add(x, y), size === 8 ? b.extendU(carryIn) : carryIn);
    const out = b.or(b.ltU(result, x), b.and(carryIn, b.eq(result, x)));
    b.write(0, result);
    if (flag === 'carry') {
      b.setCarry(out);
      return;
    }
    b.flagsAll({ cf, pf: b.parity(), af: b.auxiliary(), zf: b.condition(4), sf: b.condition(8), of: out });
  };
}

export const bitSemantics: Readonly<Record<string, Semantics>> = {
  bt: bitTest('none'), bts: bitTest('set'), btr: bitTest('reset'), btc: bitTest('complement'),
  bsf: scan(true), bsr: scan(false), tzcnt: countZeros(true), lzcnt: countZeros(false), popcnt,
  andn, bextr, bzhi, blsi: lowestBit('isolate'), blsr: lowestBit('reset'), blsmsk: lowestBit('mask'),
  pdep: depositExtract(true), pext: depositExtract(false), adcx: addThrough('carry'), adox: addThrough('overflow'),
};

