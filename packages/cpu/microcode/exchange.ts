/** CMPXCHG8B and CMPXCHG16B, CRC32, XLAT, and the cache-line instructions. */
import { RAX, RBX, RCX, RDX, ST_FAULT, ST_NEXT } from "../src/state/layout";
import { REC_P1, REC_P2 } from "../src/state/record";
import { cpu } from "./cpu";
import { gp0, ud } from "./event";
import { FLAG_BIT_ZF, getArithmeticFlags, setFlags } from "./flags";
import { ea, fault, readMiss, readN, writeCommit, writeMiss } from "./mmu";
import { operandFault, operandSize, pointer, readRm, sourceSegment, writeRegister } from "./operand";
import { addressMask, linear, segmentFault } from "./segmented";

function zeroFlag(equal: bool): void {
  const rest = getArithmeticFlags() & ~FLAG_BIT_ZF;
  setFlags(equal ? rest | FLAG_BIT_ZF : rest);
}

function pair(low: usize, high: usize): u64 {
  return (load<u64>(cpu + high) << 32) | (load<u64>(cpu + low) & 0xffffffff);
}

export function op_cmpxchg8b(rec: usize): i32 {
  const host = writeMiss(ea(rec), 8);
  if (host == 0) return ST_FAULT;
  const old = load<u64>(host);
  const equal = old == pair(RAX, RDX);
  // The destination is written in either case (SDM: CMPXCHG8B).
  if (equal) store<u64>(host, pair(RBX, RCX));
  else {
    store<u64>(cpu + RAX, old & 0xffffffff);
    store<u64>(cpu + RDX, old >> 32);
  }
  writeCommit();
  zeroFlag(equal);
  return ST_NEXT;
}

export function op_cmpxchg16b(rec: usize): i32 {
  const address = ea(rec);
  if (address & 15) return gp0();
  const host = writeMiss(address, 16);
  if (host == 0) return ST_FAULT;
  const low = load<u64>(host);
  const high = load<u64>(host, 8);
  const equal = low == load<u64>(cpu + RAX) && high == load<u64>(cpu + RDX);
  if (equal) {
    store<u64>(host, load<u64>(cpu + RBX));
    store<u64>(host, load<u64>(cpu + RCX), 8);
  } else {
    store<u64>(cpu + RAX, low);
    store<u64>(cpu + RDX, high);
  }
  writeCommit();
  zeroFlag(equal);
  return ST_NEXT;
}

/** CRC-32C (polynomial 11EDC6F41, bit-reflected), a bit a step. */
function crc32c(crc: u32, value: u64, bytes: i32): u32 {
  let state = crc;
  for (let i = 0; i < bytes; i++) {
    state ^= <u32>(value >> (<u64>i << 3)) & 0xff;
    for (let bit = 0; bit < 8; bit++) state = (state >> 1) ^ (0x82f63b78 & (0 - (state & 1)));
  }
  return state;
}

function crcOf(rec: usize, bytes: i32): i32 {
  const value = readRm(rec, REC_P2, bytes);
  if (operandFault) return ST_FAULT;
  const target = pointer(rec, REC_P1);
  store<u64>(target, <u64>crc32c(load<u32>(target), <u64>value, bytes));
  return ST_NEXT;
}

export function op_crc32_1(rec: usize): i32 {
  return crcOf(rec, 1);
}

export function op_crc32(rec: usize): i32 {
  return crcOf(rec, operandSize(rec));
}

/** AL from [rBX + AL]. */
export function op_xlatb(rec: usize): i32 {
  const offset = (load<i64>(cpu + RBX) + <i64>load<u8>(cpu + RAX)) & addressMask(rec);
  const address = linear(sourceSegment(rec), offset, 1, false);
  if (segmentFault) return ST_FAULT;
  const value = readN<u8>(address);
  if (fault) return ST_FAULT;
  writeRegister(cpu + RAX, 1, <i64>value);
  return ST_NEXT;
}

/** CLFLUSH, CLFLUSHOPT, CLWB: caches are not modelled; the address must be readable. */
export function op_clflush(rec: usize): i32 {
  return readMiss(ea(rec), 1) == 0 ? ST_FAULT : ST_NEXT;
}

export function op_ud(_rec: usize): i32 {
  return ud();
}
