import type { Value } from '../../wasm/function-builder.ts';
import * as op from '../../wasm/opcodes.ts';
import type { Emitter, Semantics } from '../emitter.ts';

/** Vector of the divide error. */
const DE = 0;

/** CF and OF say that the upper half is significant; ZF, SF and PF are undefined (processors: from the lower half). */
function productFlags(b: Emitter, size: number, low: Value, significant: Value): void {
  b.flagsResult(size, low, significant, significant);
}

/** MUL and one-operand IMUL: the accumulator times the operand, into the double-width accumulator. */
function multiplyAccumulator(signed: boolean): Semantics {
  return (b) => {
    const size = b.size(0);
    const y = b.read(0);
    const x = b.readGpr(0, size);
    if (size === 8) {
      multiply64(b, x, y, signed);
      return;
    }
    const wx = signed ? b.wide(size, x) : b.extendU(x);
    const wy = signed ? b.wide(size, y) : b.extendU(y);
    const product = b.mul(wx, wy);
    const low = b.mask(size, b.wrap(product));
    if (size === 1) b.writeGpr(0, 2, b.and(b.wrap(product), b.i32(0xffff)));
    else {
      b.writeGpr(0, size, low);
      b.writeGpr(2, size, b.mask(size, b.wrap(b.shrU(product, b.i64(size * 8)))));
    }
    const fits = signed ? b.wide(size, low) : b.extendU(low);
    productFlags(b, size, low, b.ne(fits, product));
  };
}

function multiply64(b: Emitter, x: Value, y: Value, signed: boolean): void {
  const low = b.mul(x, y);
  const high = signed ? mulHighS(b, x, y) : b.mulHighU(x, y);
  b.writeGpr(0, 8, low);
  b.writeGpr(2, 8, high);
  productFlags(b, 8, low, b.ne(high, signed ? b.shrS(low, b.i64(63)) : b.i64(0)));
}

/** Signed high half from the unsigned one: subtract each factor where the other is negative. */
function mulHighS(b: Emitter, x: Value, y: Value): Value {
  const unsigned = b.mulHighU(x, y);
  const fixX = b.and(b.shrS(x, b.i64(63)), y);
  const fixY = b.and(b.shrS(y, b.i64(63)), x);
  return b.sub(b.sub(unsigned, fixX), fixY);
}

/** IMUL: one, two or three operands. */
const imul: Semantics = (b) => {
  if (b.form.operands.length === 1) {
    multiplyAccumulator(true)(b);
    return;
  }
  const size = b.size(0);
  const three = b.form.operands.length === 3;
  const x = b.read(three ? 1 : 0);
  const y = three ? b.readAs(2, size) : b.read(1);
  const low = b.mask(size, b.mul(x, y));
  b.write(0, low);
  const significant = size === 8 ? b.ne(mulHighS(b, x, y), b.shrS(low, b.i64(63)))
    : b.ne(b.mul(b.wide(size, x), b.wide(size, y)), b.wide(size, low));
  productFlags(b, size, low, significant);
};

/** BMI2 MULX: RDX times the operand, no flags; the first destination takes the high half and wins. */
const mulx: Semantics = (b) => {
  const size = b.size(0);
  const x = b.readGpr(2, size);
  const y = b.read(2);
  const high = size === 8 ? b.mulHighU(x, y) : b.wrap(b.shrU(b.mul(b.extendU(x), b.extendU(y)), b.i64(32)));
  b.write(1, b.mul(x, y));
  b.write(0, high);
};

function divide(signed: boolean): Semantics {
  return (b) => {
    const size = b.size(0);
    const divisor = b.read(0);
    b.raise(DE, null, b.eqz(divisor));
    if (size === 8) divide64(b, divisor, signed);
    else divideNarrow(b, size, divisor, signed);
  };
}

/** 8-, 16- and 32-bit division in 64-bit arithmetic. */
function divideNarrow(b: Emitter, size: number, divisor: Value, signed: boolean): void {
  const bits = size * 8;
  const low = b.extendU(b.readGpr(0, size));
  const high = b.extendU(size === 1 ? b.shrU(b.readGpr(0, 2), b.i32(8)) : b.readGpr(2, size));
  const joined = b.or(b.shl(high, b.i64(bits)), low);
  const spare = b.i64(64 - 2 * bits);
  const dividend = signed && size < 4 ? b.shrS(b.shl(joined, spare), spare) : joined;
  const by = signed ? b.wide(size, divisor) : b.extendU(divisor);
  if (signed && size === 4) {
    // The one quotient that WebAssembly's division traps on does not fit either.
    const smallest = b.eq(dividend, b.i64(0, 0x8000_0000 | 0));
    b.raise(DE, null, b.and(smallest, b.eq(by, b.i64(-1))));
  }
  const quotient = b.int(signed ? 'divS' : 'divU', dividend, by);
  const remainder = b.int(signed ? 'remS' : 'remU', dividend, by);
  const narrow = b.mask(size, b.wrap(quotient));
  const fits = signed ? b.wide(size, narrow) : b.extendU(narrow);
  b.raise(DE, null, b.ne(fits, quotient));
  if (size === 1) b.writeGpr(0, 2, b.or(narrow, b.shl(b.mask(1, b.wrap(remainder)), b.i32(8))));
  else {
    b.writeGpr(0, size, narrow);
    b.writeGpr(2, size, b.mask(size, b.wrap(remainder)));
  }
}

/** 128 by 64 bits: where the upper half is only the sign, WebAssembly's division does; else the microcode's long one. */
function divide64(b: Emitter, divisor: Value, signed: boolean): void {
  const low = b.readGpr(0, 8);
  const high = b.readGpr(2, 8);
  const simple = signed ? b.and(b.eq(high, b.shrS(low, b.i64(63))), b.ne(divisor, b.i64(-1))) : b.eqz(high);
  b.if(simple, () => {
    b.writeGpr(0, 8, b.int(signed ? 'divS' : 'divU', low, divisor));
    b.writeGpr(2, 8, b.int(signed ? 'remS' : 'remU', low, divisor));
  }, () => {
    const ok = b.micro(signed ? 'divide128S' : 'divide128U', op.I32, divisor);
    b.raise(DE, null, b.eqz(ok));
  });
}

export const multiplySemantics: Readonly<Record<string, Semantics>> = {
  mul: multiplyAccumulator(false), imul, mulx, div: divide(false), idiv: divide(true),
};
