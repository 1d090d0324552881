/**
 * Raising exceptions: an instruction that faults stores the event and returns ST_FAULT; the driver then calls
 * deliver() (deliver.ts). Nothing is delivered in the middle of an instruction.
 */
import {
  EVENT_ADDRESS, EVENT_DR6, EVENT_ERROR, EVENT_HAS_ERROR, EVENT_TYPE, EVENT_VECTOR, EXIT_GLA, EXIT_GPA, EXIT_QUALIFICATION,
  EXIT_REASON, REAL_MODE, ST_FAULT,
} from "../src/state/layout";
import { get32, set32, set64 } from "./cpu";

export const VECTOR_DE = 0;
export const VECTOR_DB = 1;
export const VECTOR_NMI = 2;
export const VECTOR_BP = 3;
export const VECTOR_OF = 4;
export const VECTOR_BR = 5;
export const VECTOR_UD = 6;
export const VECTOR_NM = 7;
export const VECTOR_DF = 8;
export const VECTOR_TS = 10;
export const VECTOR_NP = 11;
export const VECTOR_SS = 12;
export const VECTOR_GP = 13;
export const VECTOR_PF = 14;
export const VECTOR_MF = 16;
export const VECTOR_AC = 17;
export const VECTOR_XM = 19;

/** Interruption types (SDM vol. 3C, table 26-17). */
export const TYPE_EXTERNAL = 0;
export const TYPE_NMI = 2;
export const TYPE_EXCEPTION = 3;
export const TYPE_SOFTWARE_INTERRUPT = 4;
export const TYPE_PRIVILEGED_SOFTWARE = 5;
export const TYPE_SOFTWARE_EXCEPTION = 6;

/** A hardware exception without error code. */
export function raise(vector: i32): i32 {
  set32(EVENT_VECTOR, vector);
  set32(EVENT_TYPE, TYPE_EXCEPTION);
  set32(EVENT_HAS_ERROR, 0);
  set32(EVENT_ERROR, 0);
  return ST_FAULT;
}

/** A hardware exception with error code; real mode has none (SDM vol. 3A, 22.1.4; vol. 3C, table 28-18). */
export function raiseError(vector: i32, error: i32): i32 {
  set32(EVENT_VECTOR, vector);
  set32(EVENT_TYPE, TYPE_EXCEPTION);
  set32(EVENT_HAS_ERROR, get32(REAL_MODE) == 1 ? 0 : 1);
  set32(EVENT_ERROR, error);
  return ST_FAULT;
}

/** INT n, INT3, INTO, INT1: `type` is 4, 6, 6, 5. */
export function raiseSoftware(vector: i32, type: i32): i32 {
  raise(vector);
  set32(EVENT_TYPE, type);
  return ST_FAULT;
}

/** #GP(0). */
export function gp0(): i32 {
  return raiseError(VECTOR_GP, 0);
}

/** #UD. */
export function ud(): i32 {
  return raise(VECTOR_UD);
}

/** #NM. */
export function nm(): i32 {
  return raise(VECTOR_NM);
}

/** #GP with a selector as error code (RPL bits cleared). */
export function gpSelector(selector: i32): i32 {
  return raiseError(VECTOR_GP, selector & 0xfffc);
}

/** #NP with a selector. */
export function npSelector(selector: i32): i32 {
  return raiseError(VECTOR_NP, selector & 0xfffc);
}

/** #SS with a selector. */
export function ssSelector(selector: i32): i32 {
  return raiseError(VECTOR_SS, selector & 0xfffc);
}

/** #TS with a selector. */
export function tsSelector(selector: i32): i32 {
  return raiseError(VECTOR_TS, selector & 0xfffc);
}

/** #PF; CR2 is written when the fault is delivered (a VM exit leaves it alone). */
export function pageFault(linear: i64, error: i32): i32 {
  set64(EVENT_ADDRESS, linear);
  return raiseError(VECTOR_PF, error);
}

/** A #DB fault with the bits that it sets in DR6. */
export function debugFault(dr6: i64): i32 {
  set64(EVENT_DR6, dr6);
  return raise(VECTOR_DB);
}

/** A VM exit that the driver is to take at this instruction (deliver() calls vmexit). */
export function raiseExit(reason: i32, qualification: i64, gpa: i64, gla: i64): i32 {
  set32(EXIT_REASON, reason);
  set64(EXIT_QUALIFICATION, qualification);
  set64(EXIT_GPA, gpa);
  set64(EXIT_GLA, gla);
  return ST_FAULT;
}

/** Forgets what is pending. */
export function clearPending(): void {
  set32(EVENT_VECTOR, -1);
  set32(EXIT_REASON, -1);
}
