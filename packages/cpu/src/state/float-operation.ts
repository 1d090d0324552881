/**
 * What computeFloat() of the microcode computes, and where its operands lie: SCRATCH holds three operands and the result,
 * 32 bytes each. No imports, as in layout.ts.
 */
export const FLOAT_X = 0x00;
export const FLOAT_Y = 0x20;
export const FLOAT_Z = 0x40;
export const FLOAT_RESULT = 0x60;

/** Operations on elements of one width; FLOAT_DOUBLE is added for double precision. */
export const FLOAT_DOUBLE = 1;
export const FLOAT_ADD = 0x00;
export const FLOAT_SUB = 0x02;
export const FLOAT_MUL = 0x04;
export const FLOAT_DIV = 0x06;
/** Of Y. */
export const FLOAT_SQRT = 0x08;
export const FLOAT_MIN = 0x0a;
export const FLOAT_MAX = 0x0c;
/** Even elements subtracted, odd ones added. */
export const FLOAT_ADDSUB = 0x0e;
/** Control: the predicate; results are 0 or all ones. */
export const FLOAT_COMPARE = 0x10;
/** Control: 1 where quiet NaNs are invalid. The result is a doubleword: 0 greater, 1 less, 2 equal, 3 unordered. */
export const FLOAT_ORDER = 0x12;
/** Of Y, control: as the immediate of ROUNDPS. */
export const FLOAT_ROUND = 0x14;
/** X * Y + Z. */
export const FLOAT_FMA = 0x16;
/** Control: the immediate of DPPS; elements are those of one register of 16 bytes. */
export const FLOAT_DOT = 0x18;

/** Conversions of Y, by the source's width. Control of those to integers: 1 to truncate. */
export const FLOAT_TO_I32 = 0x20;
export const FLOAT_TO_I64 = 0x22;
/** Doublewords and quadwords to floating point of the width given. */
export const FLOAT_FROM_I32 = 0x24;
export const FLOAT_FROM_I64 = 0x26;
/** Between the widths: single to double, double to single. */
export const FLOAT_RESIZE = 0x28;
/** Half precision to single. */
export const FLOAT_FROM_HALF = 0x2a;
/** Single to half precision, control: as the immediate of VCVTPS2PH. */
export const FLOAT_TO_HALF = 0x2c;

/** How X * Y + Z varies, in the control of FLOAT_FMA: bit 0 negates the product, bit 1 Z, bit 2 Z of even elements, bit 3 of odd ones. */
export const FMA_NEGATE_PRODUCT = 1;
export const FMA_NEGATE_ADDEND = 2;
export const FMA_NEGATE_EVEN = 4;
export const FMA_NEGATE_ODD = 8;

/** Operations of x87WithSingle() and x87WithDouble(); the reversed ones have the memory operand first. */
export const X87_ADD = 0;
export const X87_MUL = 1;
export const X87_SUB = 2;
export const X87_SUBR = 3;
export const X87_DIV = 4;
export const X87_DIVR = 5;
