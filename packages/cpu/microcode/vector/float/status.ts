/**
 * MXCSR while one instruction computes: exceptions are collected over all elements, then settled at once (SDM vol. 1,
 * 11.5): if one is unmasked, #XM (#UD without CR4.OSXMMEXCPT) and no result.
 */
import { CR4, MXCSR, ST_NEXT } from "../../../src/state/layout";
import { get32, set32 } from "../../cpu";
import { raise, VECTOR_UD, VECTOR_XM } from "../../event";

/** Exceptions in MXCSR bits 5:0: invalid, denormal, zero divide, overflow, underflow, precision. */
export const IE = 0x01;
export const DE = 0x02;
export const ZE = 0x04;
export const OE = 0x08;
export const UE = 0x10;
export const PE = 0x20;
/** Those that are found before the result is computed. */
const BEFORE = IE | DE | ZE;
const ALL = 0x3f;

const DAZ = 0x40;
const MASK_SHIFT = 7;
const RC_SHIFT = 13;
const FTZ = 0x8000;
const CR4_OSXMMEXCPT = 0x400;

export const NEAREST = 0;
export const DOWN = 1;
export const UP = 2;
export const CHOP = 3;

/** Exceptions of the instruction at work. */
export let raised: i32 = 0;
/** Rounding control. */
export let rounding: i32 = 0;
export let denormalsAreZeros: bool = false;
/** Tiny results become zero: only where underflow is masked. */
export let flushToZero: bool = false;
export let underflowMasked: bool = false;
export let overflowMasked: bool = false;

export function begin(): void {
  const mxcsr = get32(MXCSR);
  raised = 0;
  rounding = (mxcsr >> RC_SHIFT) & 3;
  denormalsAreZeros = (mxcsr & DAZ) != 0;
  underflowMasked = (mxcsr & (UE << MASK_SHIFT)) != 0;
  overflowMasked = (mxcsr & (OE << MASK_SHIFT)) != 0;
  flushToZero = (mxcsr & FTZ) != 0 && underflowMasked;
}

// @ts-ignore: decorator
@inline
export function signal(exceptions: i32): void {
  raised |= exceptions;
}

/** Takes exceptions back. */
export function withdraw(exceptions: i32): void {
  raised &= ~exceptions;
}

/** Rounding by an immediate: bits 1:0, or MXCSR's if bit 2 is set. */
export function roundBy(control: i32): void {
  if (!(control & 4)) rounding = control & 3;
}

/** What MXCSR says of tiny results and of denormal operands does not count. */
export function ignoreFlush(): void {
  flushToZero = false;
}

export function ignoreDenormalsAreZeros(): void {
  denormalsAreZeros = false;
}

/** Whether one of the exceptions that come before others is unmasked. */
function unmaskedBefore(exceptions: i32): bool {
  return (exceptions & BEFORE & ~(get32(MXCSR) >> MASK_SHIFT)) != 0;
}

/** Ends a stage of several: false if an unmasked exception was found, else what was found is sticky. */
export function endStage(): bool {
  const mxcsr = get32(MXCSR);
  if (raised & ~(mxcsr >> MASK_SHIFT) & ALL) return false;
  set32(MXCSR, mxcsr | raised);
  raised = 0;
  return true;
}

/** Makes the exceptions sticky, or the fault pending. */
export function settle(): i32 {
  const mxcsr = get32(MXCSR);
  const flags = unmaskedBefore(raised) ? raised & BEFORE : raised;
  set32(MXCSR, mxcsr | flags);
  if (!(flags & ~(mxcsr >> MASK_SHIFT) & ALL)) return ST_NEXT;
  return raise(get32(CR4) & CR4_OSXMMEXCPT ? VECTOR_XM : VECTOR_UD);
}
