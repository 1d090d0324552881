/** Integer arithmetic of 128 bits, which WebAssembly lacks. */
import { RAX, RDX } from "../src/state/layout";
import { cpu } from "./cpu";

/** High half of the unsigned product. */
export function mulHighU(x: u64, y: u64): u64 {
  const x0 = x & 0xffffffff;
  const x1 = x >> 32;
  const y0 = y & 0xffffffff;
  const y1 = y >> 32;
  const middle = x1 * y0 + ((x0 * y0) >> 32);
  const low = x0 * y1 + (middle & 0xffffffff);
  return x1 * y1 + (middle >> 32) + (low >> 32);
}

/** RDX:RAX by the divisor: quotient to RAX, remainder to RDX. 0: the quotient does not fit (or the divisor is 0). */
export function divide128U(divisor: u64): i32 {
  const high = load<u64>(cpu + RDX);
  if (high >= divisor) return 0;
  divideLong(high, load<u64>(cpu + RAX), divisor);
  return 1;
}

/** The same for signed values: truncated towards zero, the remainder has the dividend's sign. */
export function divide128S(divisor: i64): i32 {
  let high = load<u64>(cpu + RDX);
  let low = load<u64>(cpu + RAX);
  const negative = <i64>high < 0;
  if (negative) {
    low = 0 - low;
    high = ~high + (low == 0 ? 1 : 0);
  }
  const by = divisor < 0 ? 0 - <u64>divisor : <u64>divisor;
  if (high >= by) return 0;
  const oldLow = load<u64>(cpu + RAX);
  const oldHigh = load<u64>(cpu + RDX);
  divideLong(high, low, by);
  const quotient = load<u64>(cpu + RAX);
  const flip = negative != divisor < 0;
  if (quotient > (flip ? <u64>0x8000000000000000 : <u64>0x7fffffffffffffff)) {
    store<u64>(cpu + RAX, oldLow);
    store<u64>(cpu + RDX, oldHigh);
    return 0;
  }
  if (flip) store<u64>(cpu + RAX, 0 - quotient);
  if (negative) store<u64>(cpu + RDX, 0 - load<u64>(cpu + RDX));
  return 1;
}

/** Long division in base 2^32 (Knuth, The Art of Computer Programming vol. 2, 4.3.1, algorithm D, with two digits). */
function divideLong(high: u64, low: u64, divisor: u64): void {
  const shift = clz(divisor);
  const d = divisor << shift;
  const d1 = d >> 32;
  const d0 = d & 0xffffffff;
  const top = shift == 0 ? high : (high << shift) | (low >> (64 - shift));
  const rest = low << shift;
  const q1 = digit(top, rest >> 32, d1, d0);
  const between = ((top << 32) | (rest >> 32)) - q1 * d;
  const q0 = digit(between, rest & 0xffffffff, d1, d0);
  const remainder = ((between << 32) | (rest & 0xffffffff)) - q0 * d;
  store<u64>(cpu + RAX, (q1 << 32) | q0);
  store<u64>(cpu + RDX, remainder >> shift);
}

/** One quotient digit of (top:next) / (d1:d0). */
function digit(top: u64, next: u64, d1: u64, d0: u64): u64 {
  let q = top / d1;
  let r = top % d1;
  while (q >> 32 || q * d0 > ((r << 32) | next)) {
    q--;
    r += d1;
    if (r >> 32) break;
  }
  return q;
}
