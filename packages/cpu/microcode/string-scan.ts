/** Comparing runs of elements in plain RAM, for SCAS and CMPS. */

/** The element at a host address, zero-extended. */
export function elementAt(host: usize, size: i32): i64 {
  if (size == 1) return load<u8>(host);
  if (size == 2) return load<u16>(host);
  if (size == 4) return load<u32>(host);
  return load<i64>(host);
}

/** Elements up to and with the first one that is equal to the value (`equal` false: unequal), or all. The value is zero-extended. */
export function elementsUntil(host: usize, count: i64, size: i32, value: i64, equal: bool): i64 {
  let i: i64 = 0;
  if (size == 1) {
    const wanted = i8x16.splat(<i8>value);
    for (; i + 16 <= count; i += 16) {
      const found = bytesThat(equal, v128.load(host + <usize>i), wanted);
      if (found) return i + ctz(found) + 1;
    }
  }
  for (; i < count; i++) if ((elementAt(host + <usize>i * size, size) == value) == equal) return i + 1;
  return count;
}

/** The same for two runs, of which the elements at the same place are compared. */
export function pairsUntil(a: usize, b: usize, count: i64, size: i32, equal: bool): i64 {
  let i: i64 = 0;
  if (size == 1) {
    for (; i + 16 <= count; i += 16) {
      const found = bytesThat(equal, v128.load(a + <usize>i), v128.load(b + <usize>i));
      if (found) return i + ctz(found) + 1;
    }
  }
  for (; i < count; i++) if ((elementAt(a + <usize>i * size, size) == elementAt(b + <usize>i * size, size)) == equal) return i + 1;
  return count;
}

/** A bit for each byte that is equal, or unequal. */
// @ts-ignore: decorator
@inline
function bytesThat(equal: bool, x: v128, y: v128): i32 {
  return i8x16.bitmask(equal ? i8x16.eq(x, y) : i8x16.ne(x, y));
}
