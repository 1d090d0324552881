/**
 * A decoded record: what the interpreter executes for one guest instruction. Traces are arrays of records in the
 * processor's trace arena. No imports, as in layout.ts.
 *
 * Pointers are host addresses into the processor's area, so that an operand is read with one load: a register operand
 * points at the register (AH at RAX+1), an absent base or index at ZERO. A memory operand's linear address is
 *   [seg] + [base] + ([index] << scale) + disp
 * where seg points to a segment base (ZERO where the base is known to be zero). Addresses of 32 and 16 bits and
 * segments with limits are computed by an address record of their own in front (it stores EA and the instruction's
 * record then has base = EA).
 */
export const REC_HANDLER = 0; // u16
/** u8: instructions of this trace that completed before this record. */
export const REC_INDEX = 2;
/** u8: instruction length. */
export const REC_LENGTH = 3;
// i32 each: pointer to operand 1, 2, 3 (the manual's order) where that operand is a register, 0 where it is not, so that a
// handler tells `r/m` register from memory by its pointer. Control, debug and segment registers: their number instead of a
// pointer; x87 registers: i of ST(i). For x87 handlers P3 is the size in bytes of the memory operand, 0 where there is none.
export const REC_P1 = 4;
export const REC_P2 = 8;
export const REC_BASE = 12; // i32
export const REC_INDEX_REG = 16; // i32
/** i32: pointer to the segment base. Of instructions with implicit memory operands: to the base of the overriding segment, or ZERO. */
export const REC_SEG = 20;
export const REC_SCALE = 24; // u8
/** u8: prefix and size bits, PREFIX_*. */
export const REC_PREFIX = 25;
/** u16: offset of the instruction in its host page. */
export const REC_OFFSET = 26;
/** i32: record of the branch target when linked, else 0; third register pointer (P3) of instructions that do not branch. */
export const REC_LINK = 28;
export const REC_P3 = 28;
/** i64: immediate, sign-extended; relative branches: target RIP minus PAGE_RIP. */
export const REC_IMM = 32;
/** i64: displacement; for RIP-relative addresses base points to PAGE_RIP and this includes the page offset. */
export const REC_DISP = 40;
/**
 * Gathers (their P2 is the index register) and VMASKMOV have bytes in the place of the immediate: width of an element and of an
 * index, bytes of the data and of the index register, number of the segment.
 */
export const ELEMENT_WIDTH = 0;
export const ELEMENT_INDEX_WIDTH = 1;
export const ELEMENT_BYTES = 2;
export const ELEMENT_INDEX_BYTES = 3;
export const ELEMENT_SEGMENT = 4;
export const REC_SIZE = 48;

/**
 * In the immediate of an indirect near JMP or CALL: host address of its profile, or 0. A profile is a list of entries, an empty
 * one at its end: i32 target minus PAGE_RIP of the branch, u32 how often it went there.
 */
export const PROFILE_OFFSET = 0;
export const PROFILE_COUNT = 4;
export const PROFILE_ENTRY_SIZE = 8;
export const PROFILE_ENTRIES = 32;

/**
 * In the immediate of an address record: the instruction is a waiting x87 one; nothing is accessed, so that segments limit nothing; it is
 * POP, and the upper half has the size of what it takes from the stack; or the last plus the size of a bit's number, whose register the
 * upper half points to.
 */
export const ADDRESS_AFTER_X87 = 1;
export const ADDRESS_UNCHECKED = 2;
export const ADDRESS_AFTER_STACK = 3;
export const ADDRESS_OF_BIT = 16;

export const PREFIX_REP = 1;
export const PREFIX_REPNE = 2;
/** Operand size (of string instructions, IN and OUT: the element's): bits 3:2 = 0 eight, 1 sixteen, 2 thirty-two, 3 sixty-four bits. */
export const PREFIX_OPSIZE_SHIFT = 2;
/** Address size: bits 5:4 = 1 sixteen, 2 thirty-two, 3 sixty-four bits. */
export const PREFIX_ADDRSIZE_SHIFT = 4;
export const PREFIX_LOCK = 64;

/** Header in front of a trace's first record. */
export const TRACE_NEXT = 0; // i32: next trace that begins in the same host page, or 0
export const TRACE_HOST = 4; // i32: host address of the first code byte
export const TRACE_BYTES = 8; // i32: code bytes covered
export const TRACE_RECORDS = 12; // i32: number of records
export const TRACE_HASH_SLOT = 16; // i32: host address of its hash entry
export const TRACE_HOST2 = 20; // i32: host address of the second page of an instruction that crosses pages, or 0
/** i32: record at the head of a trace whose compiled region was made from these bytes (see jit/), or 0. */
export const TRACE_REGION = 24;
/** i32: header of the next trace of the same hash entry, or 0. */
export const TRACE_HASH_NEXT = 28;
export const TRACE_HEADER_SIZE = 32;

/** Handlers that invalidation writes; the others are in interpreter/handlers.ts. */
export const HANDLER_EXIT_TRACE = 0;
/** Counts how much a trace runs: REC_IMM is what is left until it is compiled, REC_P1 what a run takes off, REC_P2 where counting began. */
export const HANDLER_HEAT = 2;
/**
 * Runs the compiled region whose place in the table of regions is REC_IMM. REC_P3 is how often it may be entered until it is
 * compiled again, with the functions that it calls.
 */
export const HANDLER_REGION = 3;
