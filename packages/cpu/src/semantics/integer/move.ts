import type { Emitter, Semantics } from '../emitter.ts';

const mov: Semantics = (b) => b.write(0, b.readAs(1, b.size(0)));

const movzx: Semantics = (b) => {
  const value = b.read(1);
  b.write(0, b.size(0) === 8 ? b.extendU(value) : value);
};

const movsx: Semantics = (b) => {
  const from = b.size(1);
  const to = b.size(0);
  const value = b.signed(from, b.read(1));
  b.write(0, to === 8 ? b.extendS(value) : b.mask(to, value));
};

/** The sum of the address, without segment base, truncated to the address size and then to the operand size. */
function lea(addressSize: number): Semantics {
  return (b) => {
    const size = b.size(0);
    const sum = b.address();
    if (addressSize === 8) b.write(0, size === 8 ? sum : b.mask(size, b.wrap(sum)));
    else {
      const narrow = b.mask(addressSize, b.wrap(sum));
      b.write(0, size === 8 ? b.extendU(narrow) : b.mask(size, narrow));
    }
  };
}

const xchg: Semantics = (b) => {
  // The memory operand may be either of the two.
  const first = b.form.operands[1]?.kind === 'mem' ? 1 : 0;
  const target = b.modify(first);
  const other = b.copy(b.read(1 - first));
  b.write(1 - first, target.value);
  b.update(target, other);
};

const bswap: Semantics = (b) => {
  const size = b.size(0);
  const value = b.read(0);
  b.write(0, size === 8 ? swap64(b, value) : size === 4 ? swap32(b, value) : b.i32(0));
};

/** MOVBE: a load or a store with its bytes in reverse order. */
const movbe: Semantics = (b) => {
  const size = b.size(0);
  const value = b.read(1);
  b.write(0, size === 8 ? swap64(b, value) : size === 4 ? swap32(b, value)
    : b.or(b.shrU(value, b.i32(8)), b.and(b.shl(value, b.i32(8)), b.i32(0xff00))));
};

type V = ReturnType<Emitter['read']>;

function swap32(b: Emitter, x: V): V {
  const odd = b.and(b.int('rotl', x, b.i32(8)), b.i32(0x00ff00ff));
  const even = b.and(b.int('rotr', x, b.i32(8)), b.i32(0xff00ff00 | 0));
  return b.or(odd, even);
}

function swap64(b: Emitter, x: V): V {
  const low = b.extendU(swap32(b, b.wrap(x)));
  const high = b.extendU(swap32(b, b.wrap(b.shrU(x, b.i64(32)))));
  return b.or(b.shl(low, b.i64(32)), high);
}

/** CBW CWDE CDQE: the accumulator's lower half, sign-extended. */
function widenAccumulator(from: number): Semantics {
  return (b) => {
    const value = b.signed(from, b.readGpr(0, from));
    b.writeGpr(0, from * 2, from === 4 ? b.extendS(value) : b.mask(from * 2, value));
  };
}

/** CWD CDQ CQO: the accumulator's sign in all bits of the data register. */
function signToData(size: number): Semantics {
  return (b) => {
    const value = b.signed(size, b.readGpr(0, size));
    b.writeGpr(2, size, b.shrS(value, b.constant(size, size === 8 ? 63 : 31)));
  };
}

export const moveSemantics: Readonly<Record<string, Semantics>> = {
  mov, movnti: mov, movzx, movsx, movsxd: movsx, lea2: lea(2), lea4: lea(4), lea8: lea(8), xchg, bswap, movbe,
  cbw: widenAccumulator(1), cwde: widenAccumulator(2), cdqe: widenAccumulator(4),
  cwd: signToData(2), cdq: signToData(4), cqo: signToData(8),
};
