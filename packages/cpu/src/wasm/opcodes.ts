/** WebAssembly's binary opcodes and types (core specification, 5.3 and 5.4; SIMD and threads proposals as merged). */

export const I32 = 0x7f;
export const I64 = 0x7e;
export const F32 = 0x7d;
export const F64 = 0x7c;
export const V128 = 0x7b;
export const FUNCREF = 0x70;
export const VOID = 0x40;
export type ValueType = typeof I32 | typeof I64 | typeof F32 | typeof F64 | typeof V128;

export const UNREACHABLE = 0x00;
export const BLOCK = 0x02;
export const LOOP = 0x03;
export const IF = 0x04;
export const ELSE = 0x05;
export const END = 0x0b;
export const BR = 0x0c;
export const BR_IF = 0x0d;
export const BR_TABLE = 0x0e;
export const RETURN = 0x0f;
export const CALL = 0x10;
export const CALL_INDIRECT = 0x11;
export const RETURN_CALL = 0x12;
export const RETURN_CALL_INDIRECT = 0x13;
export const DROP = 0x1a;
export const SELECT = 0x1b;
export const LOCAL_GET = 0x20;
export const LOCAL_SET = 0x21;
export const LOCAL_TEE = 0x22;
export const GLOBAL_GET = 0x23;

export const I32_LOAD = 0x28;
export const I64_LOAD = 0x29;
export const F32_LOAD = 0x2a;
export const F64_LOAD = 0x2b;
export const I32_LOAD8_S = 0x2c;
export const I32_LOAD8_U = 0x2d;
export const I32_LOAD16_S = 0x2e;
export const I32_LOAD16_U = 0x2f;
export const I64_LOAD8_S = 0x30;
export const I64_LOAD8_U = 0x31;
export const I64_LOAD16_S = 0x32;
export const I64_LOAD16_U = 0x33;
export const I64_LOAD32_S = 0x34;
export const I64_LOAD32_U = 0x35;
export const I32_STORE = 0x36;
export const I64_STORE = 0x37;
export const F32_STORE = 0x38;
export const F64_STORE = 0x39;
export const I32_STORE8 = 0x3a;
export const I32_STORE16 = 0x3b;
export const I64_STORE8 = 0x3c;
export const I64_STORE16 = 0x3d;
export const I64_STORE32 = 0x3e;
export const I32_CONST = 0x41;
export const I64_CONST = 0x42;
export const F32_CONST = 0x43;
export const F64_CONST = 0x44;

export type IntegerOp =
  | 'eqz' | 'eq' | 'ne' | 'ltS' | 'ltU' | 'gtS' | 'gtU' | 'leS' | 'leU' | 'geS'
  | 'geU' | 'clz' | 'ctz' | 'popcnt' | 'add' | 'sub' | 'mul' | 'divS' | 'divU' | 'remS'
  | 'remU' | 'and' | 'or' | 'xor' | 'shl' | 'shrS' | 'shrU' | 'rotl' | 'rotr' | 'extend8S'
  | 'extend16S';
type Pair = readonly [number, number];
/** Integer operators: [i32, i64] opcode pairs by name. */
export const INTEGER_OPS: Readonly<Record<IntegerOp, Pair>> = {
  eqz: [0x45, 0x50], eq: [0x46, 0x51], ne: [0x47, 0x52], ltS: [0x48, 0x53], ltU: [0x49, 0x54], gtS: [0x4a, 0x55],
  gtU: [0x4b, 0x56], leS: [0x4c, 0x57], leU: [0x4d, 0x58], geS: [0x4e, 0x59], geU: [0x4f, 0x5a],
  clz: [0x67, 0x79], ctz: [0x68, 0x7a], popcnt: [0x69, 0x7b], add: [0x6a, 0x7c], sub: [0x6b, 0x7d], mul: [0x6c, 0x7e],
  divS: [0x6d, 0x7f], divU: [0x6e, 0x80], remS: [0x6f, 0x81], remU: [0x70, 0x82], and: [0x71, 0x83], or: [0x72, 0x84],
  xor: [0x73, 0x85], shl: [0x74, 0x86], shrS: [0x75, 0x87], shrU: [0x76, 0x88], rotl: [0x77, 0x89], rotr: [0x78, 0x8a],
  extend8S: [0xc0, 0xc2], extend16S: [0xc1, 0xc3],
};


export const I32_WRAP_I64 = 0xa7;
export const I64_EXTEND_I32_S = 0xac;
export const I64_EXTEND_I32_U = 0xad;
export const I64_EXTEND32_S = 0xc4;

/** Prefix bytes of saturating conversions and bulk memory, of SIMD, of atomics. */
export const PREFIX_MISC = 0xfc;
export const PREFIX_SIMD = 0xfd;
export const PREFIX_ATOMIC = 0xfe;
