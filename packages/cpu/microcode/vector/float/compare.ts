/** Comparisons, minimum and maximum of single and double precision. */
import { denormal, isNan, isNegative, isSignaling, isZero, magnitude, seen } from "./format";
import { IE, signal } from "./status";

export const GREATER = 0;
export const LESS = 1;
export const EQUAL = 2;
export const UNORDERED = 3;

/** x < y of two numbers that are not NaNs. */
function less<T>(x: u64, y: u64): bool {
  if (isNegative<T>(x) != isNegative<T>(y)) return isNegative<T>(x) && !(isZero<T>(x) && isZero<T>(y));
  return isNegative<T>(x) ? magnitude<T>(x) > magnitude<T>(y) : x < y;
}

/** How x stands to y; quiet NaNs are invalid operands if `signals`. */
export function order<T>(first: u64, second: u64, signals: bool): i32 {
  const x = seen<T>(first);
  const y = seen<T>(second);
  if (isNan<T>(x) || isNan<T>(y)) {
    if (signals || isSignaling<T>(x) || isSignaling<T>(y)) signal(IE);
    return UNORDERED;
  }
  denormal<T>(x);
  denormal<T>(y);
  if (x == y || (isZero<T>(x) && isZero<T>(y))) return EQUAL;
  return less<T>(x, y) ? LESS : GREATER;
}

/** Relations (bit 0 greater, 1 less, 2 equal, 3 unordered) for which predicates 0 to 15 hold (SDM vol. 2A, table 3-1). */
const HOLDS: u64 = 0xf1530eac79db8624;

/** The result of a predicate of five bits: all ones or 0. Of each four two signal quiet NaNs; bit 4 turns that round. */
export function predicate<T>(x: u64, y: u64, control: i32): u64 {
  const middle = ((control + 1) & 2) != 0;
  const relation = order<T>(x, y, middle != ((control & 16) != 0));
  return (HOLDS >> <u64>(((control & 15) << 2) + relation)) & 1 ? <u64>-1 : 0;
}

/** MIN and MAX: the second operand unless the first is less (greater); a NaN of either kind is invalid. */
export function extreme<T>(x: u64, y: u64, wanted: i32): u64 {
  return order<T>(x, y, true) == wanted ? seen<T>(x) : seen<T>(y);
}
