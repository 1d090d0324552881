/**
 * computeFloat(): an operation of state/float-operation.ts on the elements in SCRATCH, exactly, with what MXCSR says.
 * The interpreter computes by WebAssembly's own operators where these cannot differ, and calls this where they may.
 */
import {
  FLOAT_ADD, FLOAT_ADDSUB, FLOAT_COMPARE, FLOAT_DIV, FLOAT_DOT, FLOAT_DOUBLE, FLOAT_FROM_HALF, FLOAT_FROM_I32,
  FLOAT_FROM_I64, FLOAT_MAX, FLOAT_MIN, FLOAT_MUL, FLOAT_ORDER, FLOAT_RESIZE, FLOAT_RESULT, FLOAT_ROUND, FLOAT_SQRT,
  FLOAT_SUB, FLOAT_TO_HALF, FLOAT_TO_I32, FLOAT_TO_I64, FLOAT_X, FLOAT_Y, FLOAT_Z, FMA_NEGATE_ADDEND, FMA_NEGATE_EVEN,
  FMA_NEGATE_ODD, FMA_NEGATE_PRODUCT,
} from "../../../src/state/float-operation";
import { SCRATCH } from "../../../src/state/layout";
import { cpu } from "../../cpu";
import { addition, division, multiplication, squareRoot, subtraction } from "./arithmetic";
import { extreme, GREATER, LESS, order, predicate } from "./compare";
import { fromHalf, fromInteger, resize, toHalf, toInteger, toIntegral } from "./convert";
import { signBit } from "./format";
import { fused } from "./fused";
import { begin, endStage, roundBy, settle } from "./status";

// @ts-ignore: decorator
@inline
function get<T>(operand: usize, i: i32): u64 {
  const at = cpu + SCRATCH + operand + <usize>i * sizeof<T>();
  return sizeof<T>() == 8 ? load<u64>(at) : sizeof<T>() == 4 ? <u64>load<u32>(at) : <u64>load<u16>(at);
}

// @ts-ignore: decorator
@inline
function put<T>(i: i32, value: u64): void {
  const at = cpu + SCRATCH + FLOAT_RESULT + <usize>i * sizeof<T>();
  if (sizeof<T>() == 8) store<u64>(at, value);
  else if (sizeof<T>() == 4) store<u32>(at, <u32>value);
  else store<u16>(at, <u16>value);
}

/** One element of an operation on X and Y, or on Y. */
function element<T>(operation: i32, i: i32, control: i32): u64 {
  const y = get<T>(FLOAT_Y, i);
  const x = get<T>(FLOAT_X, i);
  switch (operation) {
    case FLOAT_ADD: return addition<T>(x, y);
    case FLOAT_SUB: return subtraction<T>(x, y);
    case FLOAT_MUL: return multiplication<T>(x, y);
    case FLOAT_DIV: return division<T>(x, y);
    case FLOAT_SQRT: return squareRoot<T>(y);
    case FLOAT_MIN: return extreme<T>(x, y, LESS);
    case FLOAT_MAX: return extreme<T>(x, y, GREATER);
    case FLOAT_ADDSUB: return i & 1 ? addition<T>(x, y) : subtraction<T>(x, y);
    case FLOAT_COMPARE: return predicate<T>(x, y, control);
    case FLOAT_ROUND: return toIntegral<T>(y, control);
    default: return multiplyAdd<T>(x, y, i, control);
  }
}

function multiplyAdd<T>(x: u64, y: u64, i: i32, control: i32): u64 {
  const alternate = i & 1 ? FMA_NEGATE_ODD : FMA_NEGATE_EVEN;
  const negateProduct: u64 = control & FMA_NEGATE_PRODUCT ? signBit<T>() : 0;
  const negateAddend: u64 = control & (FMA_NEGATE_ADDEND | alternate) ? signBit<T>() : 0;
  return fused<T>(x, y, get<T>(FLOAT_Z, i), negateProduct, negateAddend);
}

// @ts-ignore: decorator
@inline
function result<T>(i: i32): u64 {
  const at = cpu + SCRATCH + FLOAT_RESULT + <usize>i * sizeof<T>();
  return sizeof<T>() == 8 ? load<u64>(at) : <u64>load<u32>(at);
}

/** Adds neighbours `distance` apart, in the lower one's place. */
function addPairs<T>(count: i32, distance: i32): void {
  for (let i = 0; i < count; i += distance * 2) put<T>(i, addition<T>(result<T>(i), result<T>(i + distance)));
}

/**
 * In each sixteen bytes: products that the control chooses (bits 7:4) added in pairs, to the places that it chooses (bits
 * 3:0). A stage with an unmasked exception is the last (SDM vol. 2A, DPPS).
 */
function dot<T>(count: i32, control: i32): void {
  const part = 16 / <i32>sizeof<T>();
  for (let i = 0; i < count; i++) {
    const chosen = (control >> (4 + (i & (part - 1)))) & 1;
    put<T>(i, chosen ? multiplication<T>(get<T>(FLOAT_X, i), get<T>(FLOAT_Y, i)) : 0);
  }
  if (!endStage()) return;
  addPairs<T>(count, 1);
  if (sizeof<T>() == 4) {
    if (!endStage()) return;
    addPairs<T>(count, 2);
  }
  for (let first = 0; first < count; first += part) {
    const total = result<T>(first);
    for (let i = 0; i < part; i++) put<T>(first + i, (control >> i) & 1 ? total : 0);
  }
}

function convert<T>(operation: i32, i: i32, control: i32): void {
  switch (operation) {
    case FLOAT_TO_I32: return put<i32>(i, toInteger<T, i32>(get<T>(FLOAT_Y, i), control != 0));
    case FLOAT_TO_I64: return put<i64>(i, toInteger<T, i64>(get<T>(FLOAT_Y, i), control != 0));
    case FLOAT_FROM_I32: return put<T>(i, fromInteger<T>(<i64><i32>get<i32>(FLOAT_Y, i)));
    case FLOAT_FROM_I64: return put<T>(i, fromInteger<T>(<i64>get<i64>(FLOAT_Y, i)));
    case FLOAT_FROM_HALF: return put<f32>(i, fromHalf(get<u16>(FLOAT_Y, i)));
    case FLOAT_TO_HALF: return put<u16>(i, toHalf(get<f32>(FLOAT_Y, i)));
    default: {
      if (sizeof<T>() == 4) put<f64>(i, resize<f32, f64>(get<T>(FLOAT_Y, i)));
      else put<f32>(i, resize<f64, f32>(get<T>(FLOAT_Y, i)));
    }
  }
}

function compute<T>(operation: i32, count: i32, control: i32): i32 {
  begin();
  if (operation == FLOAT_ROUND || operation == FLOAT_TO_HALF) roundBy(control);
  if (operation == FLOAT_DOT) dot<T>(count, control);
  else if (operation == FLOAT_ORDER) put<i32>(0, order<T>(get<T>(FLOAT_X, 0), get<T>(FLOAT_Y, 0), control != 0));
  else if (operation >= FLOAT_TO_I32) for (let i = 0; i < count; i++) convert<T>(operation, i, control);
  else for (let i = 0; i < count; i++) put<T>(i, element<T>(operation, i, control));
  return settle();
}

/** Returns ST_NEXT with the results in SCRATCH, or ST_FAULT with #XM pending; MXCSR has the exceptions. */
export function computeFloat(operation: i32, count: i32, control: i32): i32 {
  const kind = operation & ~FLOAT_DOUBLE;
  return operation & FLOAT_DOUBLE ? compute<f64>(kind, count, control) : compute<f32>(kind, count, control);
}
