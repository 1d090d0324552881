/** The processor whose state this instance of the microcode works on, and access to that state. */
import { GPR, RIP, SEG, SEG_ATTR, SEG_BASE, SEG_LIMIT, SEG_SELECTOR, SEG_SIZE } from "../src/state/layout";

/** Host address of the processor's area. */
export let cpu: usize = 0;

/** Binds the instance to a processor's area; the first call after instantiation. */
export function init(area: usize): void {
  cpu = area;
}

// @ts-ignore: decorator
@inline
export function get32(offset: usize): i32 {
  return load<i32>(cpu + offset);
}

// @ts-ignore: decorator
@inline
export function set32(offset: usize, value: i32): void {
  store<i32>(cpu + offset, value);
}

// @ts-ignore: decorator
@inline
export function get64(offset: usize): i64 {
  return load<i64>(cpu + offset);
}

// @ts-ignore: decorator
@inline
export function set64(offset: usize, value: i64): void {
  store<i64>(cpu + offset, value);
}

/** A general register by its encoding. */
// @ts-ignore: decorator
@inline
export function getGpr(index: i32): i64 {
  return load<i64>(cpu + GPR + (<usize>index << 3));
}

// @ts-ignore: decorator
@inline
export function setGpr(index: i32, value: i64): void {
  store<i64>(cpu + GPR + (<usize>index << 3), value);
}

/** Host address of a segment register's cache. */
// @ts-ignore: decorator
@inline
export function segPointer(seg: i32): usize {
  return cpu + SEG + <usize>(seg * SEG_SIZE);
}

// @ts-ignore: decorator
@inline
export function segBase(seg: i32): i64 {
  return load<i64>(segPointer(seg) + SEG_BASE);
}

// @ts-ignore: decorator
@inline
export function segLimit(seg: i32): u32 {
  return load<u32>(segPointer(seg) + SEG_LIMIT);
}

// @ts-ignore: decorator
@inline
export function segAttr(seg: i32): i32 {
  return load<i32>(segPointer(seg) + SEG_ATTR);
}

// @ts-ignore: decorator
@inline
export function segSelector(seg: i32): i32 {
  return load<i32>(segPointer(seg) + SEG_SELECTOR);
}

/** Writes a whole segment register. */
export function setSeg(seg: i32, selector: i32, base: i64, limit: u32, attr: i32): void {
  const pointer = segPointer(seg);
  store<i64>(pointer + SEG_BASE, base);
  store<u32>(pointer + SEG_LIMIT, limit);
  store<i32>(pointer + SEG_ATTR, attr);
  store<i32>(pointer + SEG_SELECTOR, selector & 0xffff);
}

// @ts-ignore: decorator
@inline
export function getRip(): i64 {
  return load<i64>(cpu + RIP);
}
