/**
 * How a structure of the kernel's ABI is described, and what reads and writes one in place.
 *
 * Each structure is one table: the size, and for each field its type, offset and, for arrays, count. `view` makes an
 * object over bytes whose properties are the fields: integers of up to 32 bits are numbers, u64 and s64 are bigints,
 * arrays of integers are typed arrays over the same bytes, nested structures are views. Views allocate and use BigInt:
 * they are for ioctls that are not on a hot path. Hot fields of kvm_run have an accessor of their own (kvm-run.ts).
 */

import { structs, type Structs } from './registry.ts';

export type ScalarType = 'u8' | 'u16' | 'u32' | 's32' | 'u64' | 's64';
/** Type, offset, and for arrays the number of elements; '[]' is the flexible array at the end. */
export type Field = readonly [type: string, offset: number, count?: number | '[]'];

export interface Layout {
  /** Bytes, without a flexible array. */
  readonly size: number;
  readonly fields: Readonly<Record<string, Field>>;
}

type Scalar<T> = T extends 'u64' | 's64' ? bigint : number;
type Elements<T> = T extends 'u8'
  ? Uint8Array
  : T extends 'u16'
    ? Uint16Array
    : T extends 'u32'
      ? Uint32Array
      : T extends 's32'
        ? Int32Array
        : T extends 'u64'
          ? BigUint64Array
          : T extends 's64'
            ? BigInt64Array
            : never;
type Value<F extends Field> = F extends readonly [infer T, number, number | '[]']
  ? T extends keyof Structs
    ? readonly View<Structs[T]>[]
    : Elements<T>
  : F[0] extends keyof Structs
    ? View<Structs[F[0]]>
    : Scalar<F[0]>;
type IsScalar<F extends Field> = F extends readonly [ScalarType, number] ? true : false;

/** The fields of a structure as properties; scalars can be assigned, arrays and nested structures are written through. */
export type View<L extends Layout> = {
  -readonly [K in keyof L['fields'] as IsScalar<L['fields'][K]> extends true ? K : never]: Value<L['fields'][K]>;
} & {
  readonly [K in keyof L['fields'] as IsScalar<L['fields'][K]> extends true ? never : K]: Value<L['fields'][K]>;
};

const scalarSize: Readonly<Record<string, number>> = { u8: 1, u16: 2, u32: 4, s32: 4, u64: 8, s64: 8 };

const typedArray = (type: string, bytes: Uint8Array, offset: number, count: number): unknown => {
  const at = bytes.byteOffset + offset;
  switch (type) {
    case 'u16':
      return new Uint16Array(bytes.buffer, at, count);
    case 'u32':
      return new Uint32Array(bytes.buffer, at, count);
    case 's32':
      return new Int32Array(bytes.buffer, at, count);
    case 'u64':
      return new BigUint64Array(bytes.buffer, at, count);
    case 's64':
      return new BigInt64Array(bytes.buffer, at, count);
    default:
      return bytes.subarray(offset, offset + count);
  }
};

const getters: Readonly<Record<string, (view: DataView, offset: number) => number | bigint>> = {
  u8: (view, offset) => view.getUint8(offset),
  u16: (view, offset) => view.getUint16(offset, true),
  u32: (view, offset) => view.getUint32(offset, true),
  s32: (view, offset) => view.getInt32(offset, true),
  u64: (view, offset) => view.getBigUint64(offset, true),
  s64: (view, offset) => view.getBigInt64(offset, true),
};

const setters: Readonly<Record<string, (view: DataView, offset: number, value: number | bigint) => void>> = {
  u8: (view, offset, value) => view.setUint8(offset, Number(value)),
  u16: (view, offset, value) => view.setUint16(offset, Number(value), true),
  u32: (view, offset, value) => view.setUint32(offset, Number(value), true),
  s32: (view, offset, value) => view.setInt32(offset, Number(value), true),
  u64: (view, offset, value) => view.setBigUint64(offset, BigInt(value), true),
  s64: (view, offset, value) => view.setBigInt64(offset, BigInt(value), true),
};

/** Bytes of one element of a type. */
const elementSize = (type: string): number => scalarSize[type] ?? structs[type]!.size;

const arrayOf = (type: string, bytes: Uint8Array, offset: number, count: number): unknown => {
  const layout = structs[type];
  if (layout === undefined) return typedArray(type, bytes, offset, count);
  return Array.from({ length: count }, (_, i) => {
    const at = offset + i * layout.size;
    return view(layout, bytes.subarray(at, at + layout.size));
  });
};

interface Viewed {
  readonly bytes: Uint8Array;
  readonly data: DataView;
  readonly made: Map<string, unknown>;
}
const viewed = new WeakMap<object, Viewed>();

const property = (name: string, [type, offset, count]: Field): PropertyDescriptor => {
  const get = getters[type];
  const set = setters[type];
  if (count === undefined && get !== undefined && set !== undefined)
    return {
      enumerable: true,
      get(this: object): number | bigint {
        return get(viewed.get(this)!.data, offset);
      },
      set(this: object, value: number | bigint): void {
        set(viewed.get(this)!.data, offset, value);
      },
    };
  return {
    enumerable: true,
    get(this: object): unknown {
      const { bytes, made } = viewed.get(this)!;
      let value = made.get(name);
      if (value === undefined) {
        if (count === undefined) value = view(structs[type]!, bytes.subarray(offset, offset + structs[type]!.size));
        else {
          const room = Math.floor((bytes.length - offset) / elementSize(type));
          value = arrayOf(type, bytes, offset, count === '[]' ? Math.max(0, room) : count);
        }
        made.set(name, value);
      }
      return value;
    },
  };
};

const prototypes = new WeakMap<Layout, object>();
const prototypeOf = (layout: Layout): object => {
  let prototype = prototypes.get(layout);
  if (prototype === undefined) {
    prototype = {};
    for (const [name, field] of Object.entries(layout.fields)) Object.defineProperty(prototype, name, property(name, field));
    prototypes.set(layout, prototype);
  }
  return prototype;
};

/**
 * A structure over bytes, in place. Throws RangeError when the bytes are shorter than the structure, or, for integer
 * arrays inside it, not aligned as C would align them.
 */
export const view = <L extends Layout>(layout: L, bytes: Uint8Array): View<L> => {
  if (bytes.length < layout.size) throw new RangeError(`structure of ${layout.size} bytes over ${bytes.length} bytes`);
  const object = Object.create(prototypeOf(layout)) as object;
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  viewed.set(object, { bytes, data, made: new Map() });
  return object as View<L>;
};

/** Zeroed bytes for a structure, with room for `count` elements of its flexible array. */
export const allocate = (layout: Layout, count = 0): Uint8Array<ArrayBuffer> => {
  let element = 0;
  if (count > 0) {
    const flexible = Object.values(layout.fields).find((field) => field[2] === '[]');
    element = flexible === undefined ? 0 : elementSize(flexible[0]);
  }
  return new Uint8Array(layout.size + count * element);
};

/** The bytes behind a view. */
export const bytesOf = (structure: object): Uint8Array => viewed.get(structure)?.bytes ?? new Uint8Array(0);
