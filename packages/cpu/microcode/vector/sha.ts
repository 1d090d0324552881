/** The SHA extensions (SDM vol. 2B, SHA1RNDS4 to SHA256RNDS2; FIPS 180-4). */
import { ST_FAULT, ST_NEXT, XMM } from "../../src/state/layout";
import { REC_IMM, REC_P1 } from "../../src/state/record";
import { cpu } from "../cpu";
import { sourceOperand } from "./operand";

/** Destination, and the doublewords of both operands: x0 is bits 31:0 of the first. */
let target: usize = 0;
let x0: u32 = 0;
let x1: u32 = 0;
let x2: u32 = 0;
let x3: u32 = 0;
let y0: u32 = 0;
let y1: u32 = 0;
let y2: u32 = 0;
let y3: u32 = 0;

function begin(rec: usize): bool {
  const host = sourceOperand(rec, true);
  if (host == 0) return false;
  target = <usize>load<u32>(rec + REC_P1);
  x0 = load<u32>(target);
  x1 = load<u32>(target, 4);
  x2 = load<u32>(target, 8);
  x3 = load<u32>(target, 12);
  y0 = load<u32>(host);
  y1 = load<u32>(host, 4);
  y2 = load<u32>(host, 8);
  y3 = load<u32>(host, 12);
  return true;
}

function finish(r3: u32, r2: u32, r1: u32, r0: u32): i32 {
  store<u32>(target, r0);
  store<u32>(target, r1, 4);
  store<u32>(target, r2, 8);
  store<u32>(target, r3, 12);
  return ST_NEXT;
}

function majority(b: u32, c: u32, d: u32): u32 {
  return (b & c) ^ (b & d) ^ (c & d);
}

function choose(b: u32, c: u32, d: u32): u32 {
  return (b & c) ^ (~b & d);
}

/** Four rounds of SHA-1; the immediate says which twenty of the eighty they belong to. */
export function op_sha1rnds4(rec: usize): i32 {
  if (!begin(rec)) return ST_FAULT;
  const part = <i32>load<u8>(rec + REC_IMM) & 3;
  const k: u32 = part == 0 ? 0x5a827999 : part == 1 ? 0x6ed9eba1 : part == 2 ? 0x8f1bbcdc : 0xca62c1d6;
  let a = x3;
  let b = x2;
  let c = x1;
  let d = x0;
  let e: u32 = 0;
  for (let i = 0; i < 4; i++) {
    const w = i == 0 ? y3 : i == 1 ? y2 : i == 2 ? y1 : y0;
    const f = part == 0 ? choose(b, c, d) : part == 2 ? majority(b, c, d) : b ^ c ^ d;
    const next = f + rotl<u32>(a, 5) + w + e + k;
    e = d;
    d = c;
    c = rotl<u32>(b, 30);
    b = a;
    a = next;
  }
  return finish(a, b, c, d);
}

export function op_sha1nexte(rec: usize): i32 {
  if (!begin(rec)) return ST_FAULT;
  return finish(y3 + rotl<u32>(x3, 30), y2, y1, y0);
}

export function op_sha1msg1(rec: usize): i32 {
  if (!begin(rec)) return ST_FAULT;
  return finish(x1 ^ x3, x0 ^ x2, y3 ^ x1, y2 ^ x0);
}

export function op_sha1msg2(rec: usize): i32 {
  if (!begin(rec)) return ST_FAULT;
  const w16 = rotl<u32>(x3 ^ y2, 1);
  return finish(w16, rotl<u32>(x2 ^ y1, 1), rotl<u32>(x1 ^ y0, 1), rotl<u32>(x0 ^ w16, 1));
}

/** Two rounds of SHA-256 with the sums of message and constant in XMM0. */
export function op_sha256rnds2(rec: usize): i32 {
  if (!begin(rec)) return ST_FAULT;
  let a = y3;
  let b = y2;
  let c = x3;
  let d = x2;
  let e = y1;
  let f = y0;
  let g = x1;
  let h = x0;
  for (let i: usize = 0; i < 2; i++) {
    const w = load<u32>(cpu + XMM + (i << 2));
    const s1 = rotr<u32>(e, 6) ^ rotr<u32>(e, 11) ^ rotr<u32>(e, 25);
    const s0 = rotr<u32>(a, 2) ^ rotr<u32>(a, 13) ^ rotr<u32>(a, 22);
    const t = choose(e, f, g) + s1 + w + h;
    const next = t + majority(a, b, c) + s0;
    h = g;
    g = f;
    f = e;
    e = t + d;
    d = c;
    c = b;
    b = a;
    a = next;
  }
  return finish(a, b, e, f);
}

function small0(x: u32): u32 {
  return rotr<u32>(x, 7) ^ rotr<u32>(x, 18) ^ (x >> 3);
}

function small1(x: u32): u32 {
  return rotr<u32>(x, 17) ^ rotr<u32>(x, 19) ^ (x >> 10);
}

export function op_sha256msg1(rec: usize): i32 {
  if (!begin(rec)) return ST_FAULT;
  return finish(x3 + small0(y0), x2 + small0(x3), x1 + small0(x2), x0 + small0(x1));
}

export function op_sha256msg2(rec: usize): i32 {
  if (!begin(rec)) return ST_FAULT;
  const w16 = x0 + small1(y2);
  const w17 = x1 + small1(y3);
  return finish(x3 + small1(w17), x2 + small1(w16), w17, w16);
}
