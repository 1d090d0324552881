import type { Value } from '../../wasm/function-builder.ts';
import type { Emitter, Modified, Semantics } from '../emitter.ts';

/** The count operand, masked as the processor does: to six bits for 64-bit operands, else to five. */
function count(b: Emitter, operand: number, size: number): Value {
  const shape = b.operand(operand);
  const raw = shape.kind === 'imm' ? b.wrap(b.immediate()) : b.read(operand);
  return b.and(raw, b.i32(size === 8 ? 63 : 31));
}

/** The count in the type of the operand. */
function like(b: Emitter, size: number, n: Value): Value {
  return size === 8 ? b.extendU(n) : n;
}

function lowBit(b: Emitter, size: number, value: Value): Value {
  return b.and(size === 8 ? b.wrap(value) : value, b.i32(1));
}

/** Runs `body` when the count is not zero: a zero count changes neither flags nor (beyond a write-back) the operand. */
function unlessZero(b: Emitter, n: Value, target: Modified, body: () => void): void {
  // A 32-bit register is written (and so extended) even when the count is zero.
  const same = target.size === 4 && target.slow === null ? (): void => b.update(target, target.value) : undefined;
  b.if(n, body, same);
}

const shl: Semantics = (b) => {
  const size = b.size(0);
  const target = b.modify(0);
  const n = count(b, 1, size);
  unlessZero(b, n, target, () => {
    const bits = size * 8;
    const before = like(b, size, b.sub(n, b.i32(1)));
    // Counts above the width (8- and 16-bit operands) shift everything out; i32 holds up to 31 more bits.
    const last = b.shl(target.value, before);
    const carry = lowBit(b, size, b.shrU(last, b.constant(size, bits - 1)));
    const result = b.mask(size, b.shl(last, b.constant(size, 1)));
    b.update(target, result);
    b.flagsResult(size, result, carry, b.xor(carry, b.sign(size, result)));
  });
};

function shiftRight(arithmetic: boolean): Semantics {
  return (b) => {
    const size = b.size(0);
    const target = b.modify(0);
    const n = count(b, 1, size);
    unlessZero(b, n, target, () => {
      const value = arithmetic ? b.signed(size, target.value) : target.value;
      const name = arithmetic ? 'shrS' : 'shrU';
      const last = b.int(name, value, like(b, size, b.sub(n, b.i32(1))));
      const carry = lowBit(b, size, last);
      const result = b.mask(size, b.int(name, last, b.constant(size, 1)));
      b.update(target, result);
      // OF for a count of 1: the old sign for SHR, 0 for SAR; processors give the same for other counts of SHR.
      b.flagsResult(size, result, carry, arithmetic ? b.i32(0) : b.and(b.sign(size, target.value), b.eq(n, b.i32(1))));
    });
  };
}

function rotate(left: boolean): Semantics {
  return (b) => {
    const size = b.size(0);
    const target = b.modify(0);
    const n = count(b, 1, size);
    unlessZero(b, n, target, () => {
      const result = rotated(b, size, target.value, n, left);
      b.update(target, result);
      b.flagsRotate(size, result, left);
    });
  };
}

function rotated(b: Emitter, size: number, value: Value, n: Value, left: boolean): Value {
  if (size >= 4) return b.int(left ? 'rotl' : 'rotr', value, like(b, size, n));
  const bits = size * 8;
  const by = b.and(n, b.i32(bits - 1));
  const inverse = b.and(b.sub(b.i32(bits), by), b.i32(bits - 1));
  const l = left ? by : inverse;
  const r = left ? inverse : by;
  return b.mask(size, b.or(b.shl(value, l), b.shrU(value, r)));
}

/** Rotates of 9, 17, 33 or 65 bits, one bit a step: the count is at most 63 and nearly always 1. */
function rotateCarry(left: boolean): Semantics {
  return (b) => {
    const size = b.size(0);
    const bits = size * 8;
    const target = b.modify(0);
    const masked = count(b, 1, size);
    const n = b.copy(size <= 2 ? b.int('remU', masked, b.i32(bits + 1)) : masked);
    unlessZero(b, n, target, () => {
      const value = b.copy(target.value);
      const carry = b.copy(b.carry());
      const again = b.loop();
      const top = b.sign(size, value);
      const low = lowBit(b, size, value);
      const inserted = like(b, size, carry);
      if (left) {
        b.set(value, b.mask(size, b.or(b.shl(value, b.constant(size, 1)), inserted)));
        b.set(carry, top);
      } else {
        b.set(value, b.or(b.shrU(value, b.constant(size, 1)), b.shl(inserted, b.constant(size, bits - 1))));
        b.set(carry, low);
      }
      b.set(n, b.sub(n, b.i32(1)));
      b.brIf(again, n);
      b.end();
      b.update(target, value);
      const sign = b.sign(size, value);
      const second = lowBit(b, size, b.shrU(value, b.constant(size, bits - 2)));
      b.flagsCarryOverflow(carry, left ? b.xor(sign, carry) : b.xor(sign, second));
    });
  };
}

/** SHLD and SHRD. For 16-bit operands counts above 16 are undefined; processors rotate the pair. */
function shiftDouble(left: boolean): Semantics {
  return (b) => {
    const size = b.size(0);
    const target = b.modify(0);
    const fill = b.read(1);
    const n = count(b, 2, size);
    unlessZero(b, n, target, () => {
      const { result, carry } = size === 2 ? double16(b, target.value, fill, n, left) : doubleWide(b, size, target.value, fill, n, left);
      b.update(target, result);
      b.flagsResult(size, result, carry, b.xor(b.sign(size, result), b.sign(size, target.value)));
    });
  };
}

function doubleWide(b: Emitter, size: number, x: Value, fill: Value, n: Value, left: boolean): { result: Value; carry: Value } {
  const bits = size * 8;
  const by = like(b, size, n);
  const rest = b.sub(b.constant(size, bits), by);
  const shifted = left ? b.shl(x, by) : b.shrU(x, by);
  const inserted = left ? b.shrU(fill, rest) : b.shl(fill, rest);
  const last = left ? b.shrU(x, rest) : b.shrU(x, b.sub(by, b.constant(size, 1)));
  return { result: b.or(shifted, inserted), carry: lowBit(b, size, last) };
}

function double16(b: Emitter, x: Value, fill: Value, n: Value, left: boolean): { result: Value; carry: Value } {
  // 48 bits x:fill:x (left) or x:fill:x read from the other end, so that counts of 17..31 come out as processors do.
  const w = (v: Value): Value => b.extendU(v);
  const high = b.shl(w(x), b.i64(32));
  const middle = b.shl(w(fill), b.i64(16));
  const all = b.or(b.or(high, middle), w(x));
  const by = b.extendU(n);
  if (left) {
    const result = b.mask(2, b.wrap(b.shrU(b.shl(all, by), b.i64(32))));
    return { result, carry: b.and(b.wrap(b.shrU(b.shl(all, by), b.i64(48))), b.i32(1)) };
  }
  const result = b.mask(2, b.wrap(b.shrU(all, by)));
  return { result, carry: b.and(b.wrap(b.shrU(all, b.sub(by, b.i64(1)))), b.i32(1)) };
}

/** BMI2: shifts by register without flags; RORX by immediate. */
function bmiShift(name: 'shl' | 'shrS' | 'shrU'): Semantics {
  return (b) => {
    const size = b.size(0);
    const n = b.and(b.read(2), b.constant(size, size * 8 - 1));
    b.write(0, b.int(name, b.read(1), n));
  };
}

const rorx: Semantics = (b) => b.write(0, b.int('rotr', b.read(1), b.readImmediate(b.size(0))));

export const shiftSemantics: Readonly<Record<string, Semantics>> = {
  shl, sal: shl, shr: shiftRight(false), sar: shiftRight(true), rol: rotate(true), ror: rotate(false),
  rcl: rotateCarry(true), rcr: rotateCarry(false), shld: shiftDouble(true), shrd: shiftDouble(false),
  shlx: bmiShift('shl'), sarx: bmiShift('shrS'), shrx: bmiShift('shrU'), rorx,
};
