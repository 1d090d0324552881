/**
 * ioctls by whole code. A row says what the argument is, so that structures that are too short are -EFAULT before any
 * handler sees them. Structures are copied in and out, as the kernel copies them: userspace may change its own meanwhile.
 */

import { EFAULT, EINVAL, view, type IoctlArgument, type Layout, type View } from '@vm/kvm-run';

export type Handler<T> = (target: T, argument: IoctlArgument) => number;
export type Row<T> = readonly [code: number, handler: Handler<T>];

/** No argument, or a number. */
export const value = <T>(code: number, handler: (target: T, value: number) => number): Row<T> => [
  code,
  (target, argument) => (argument instanceof Uint8Array ? -EINVAL : handler(target, argument ?? 0)),
];

const fetch = (argument: IoctlArgument, size: number): Uint8Array<ArrayBuffer> | null => {
  if (!(argument instanceof Uint8Array) || argument.length < size) return null;
  const bytes = new Uint8Array(size);
  bytes.set(argument.subarray(0, size));
  return bytes;
};

/** The kernel reads a structure. */
export const reads = <T, L extends Layout>(
  code: number,
  layout: L,
  handler: (target: T, argument: View<L>) => number,
): Row<T> => [
  code,
  (target, argument) => {
    const bytes = fetch(argument, layout.size);
    return bytes === null ? -EFAULT : handler(target, view(layout, bytes));
  },
];

/** The kernel writes a structure, when the handler returns zero or more. */
export const writes = <T, L extends Layout>(
  code: number,
  layout: L,
  handler: (target: T, argument: View<L>, bytes: Uint8Array<ArrayBuffer>) => number | void,
): Row<T> => [
  code,
  (target, argument) => {
    if (!(argument instanceof Uint8Array) || argument.length < layout.size) return -EFAULT;
    const bytes = new Uint8Array(layout.size);
    const result = handler(target, view(layout, bytes), bytes) ?? 0;
    if (result >= 0) argument.set(bytes);
    return result;
  },
];

/** The kernel reads a structure and writes it back. */
export const exchanges = <T, L extends Layout>(
  code: number,
  layout: L,
  handler: (target: T, argument: View<L>, bytes: Uint8Array<ArrayBuffer>) => number,
): Row<T> => [
  code,
  (target, argument) => {
    const bytes = fetch(argument, layout.size);
    if (bytes === null) return -EFAULT;
    const result = handler(target, view(layout, bytes), bytes);
    if (result >= 0) (argument as Uint8Array).set(bytes);
    return result;
  },
];

/** Bytes of any length, of at least `size`; for structures with a flexible array. */
export const bytes = <T>(
  code: number,
  size: number,
  handler: (target: T, argument: Uint8Array) => number,
): Row<T> => [
  code,
  (target, argument) => (argument instanceof Uint8Array && argument.length >= size ? handler(target, argument) : -EFAULT),
];

/** An aligned copy of the first bytes, or null when there are fewer. */
export const copyIn: (argument: IoctlArgument, size: number) => Uint8Array<ArrayBuffer> | null = fetch;

export const tableOf = <T>(rows: readonly Row<T>[]): ReadonlyMap<number, Handler<T>> => new Map(rows);
