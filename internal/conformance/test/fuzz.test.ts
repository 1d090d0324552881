/** Whatever userspace and guests do: an errno or success, never an exception, never a hang. */
import { afterEach, describe, expect, test } from 'vitest';
import fc from 'fast-check';
import * as P from '@vm/kvm-run';
import type { Mode } from '../src/guest-state.ts';
import { LAYOUT } from '../src/layout.ts';
import { Machine, type MachineOptions } from '../src/machine.ts';
import { GuestRanTooLong } from '../src/vcpu.ts';

const BUDGET_MS = 1200;
const SEED = 20_240_601;
const bounded = { seed: SEED, numRuns: 100_000, interruptAfterTimeLimit: BUDGET_MS, markInterruptAsFailure: false } as const;
const TEST_LIMIT_MS = 120_000;

const machines: Machine[] = [];
const machine = (options: MachineOptions): Machine => {
  const made = new Machine(options);
  machines.push(made);
  return made;
};
afterEach(() => {
  for (const made of machines.splice(0)) made.close();
});

/** Calls that take what the test needs to go on (descriptors, pages of the host), and are tested by themselves. */
const CODES = [...P.ioctlNames.keys()].filter((code) => code !== P.KVM_RUN && code !== P.KVM_CREATE_VM && code !== P.KVM_CREATE_VCPU);

const number = fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 0xffffffff }), fc.constantFrom(-1, 0x80000000, 2 ** 40));
/** Bytes that are mostly zeros, so that some calls get past their first check. */
const sparse = (size: number): fc.Arbitrary<Uint8Array> =>
  fc.array(fc.tuple(fc.nat(Math.max(0, size - 1)), fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(1, 2, 3, 0xff))), { maxLength: 12 })
    .map((pokes) => {
      const bytes = new Uint8Array(size);
      for (const [at, value] of pokes) if (at < size) bytes[at] = value;
      return bytes;
    });

const argumentOf = (code: number): fc.Arbitrary<P.IoctlArgument> => {
  const size = P.ioctlSize(code);
  return fc.oneof(
    { weight: 6, arbitrary: sparse(size + 64) },
    { weight: 2, arbitrary: fc.nat(Math.max(1, size)).chain((short) => sparse(short)) },
    { weight: 2, arbitrary: fc.uint8Array({ minLength: size, maxLength: size + 40 }) },
    // At an odd address, as a part of something larger.
    { weight: 1, arbitrary: sparse(size + 65).map((bytes) => bytes.subarray(1)) },
    { weight: 2, arbitrary: number },
    { weight: 1, arbitrary: fc.constant(undefined) },
  );
};
const call = fc.constantFrom(...CODES).chain((code) => fc.tuple(fc.constant(code), argumentOf(code)));
const KNOWN_ERRNOS = new Set([
  P.EPERM, P.ENOENT, P.EINTR, P.EIO, P.ENXIO, P.E2BIG, P.EBADF, P.EAGAIN, P.ENOMEM, P.EFAULT, P.EBUSY, P.EEXIST, P.ENODEV, P.EINVAL, P.EMFILE,
  P.ENOTTY, P.ENOSPC, P.ENOSYS, P.EOPNOTSUPP,
]);

const check = (file: P.KvmFile, code: number, argument: P.IoctlArgument): void => {
  let result: number;
  try {
    result = file.ioctl(code, argument);
  } catch (error) {
    throw new Error(`${P.ioctlNames.get(code) ?? code} threw`, { cause: error });
  }
  if (!Number.isInteger(result)) throw new Error(`${P.ioctlNames.get(code)} returned ${result}`);
  if (result < 0 && !KNOWN_ERRNOS.has(-result)) throw new Error(`${P.ioctlNames.get(code)}: errno ${-result}`);
};

/** The vCPU enters once more: a state that userspace made may be refused, and nothing else. */
const enter = (m: Machine): void => {
  try {
    m.vcpu.tryEnter();
    m.vcpu.run.readExit();
  } catch (error) {
    if (!(error instanceof GuestRanTooLong)) throw new Error('KVM_RUN threw', { cause: error });
  }
};

describe('ioctls with nonsense', () => {
  test.for(['none', 'kernel', 'split'] as const)('irqchip: %s', { timeout: TEST_LIMIT_MS }, (irqchip) => {
    let m = machine({ entry: 'spin_open', irqchip, limit: 20_000 });
    let runs = 0;
    fc.assert(
      fc.property(fc.array(call, { minLength: 1, maxLength: 12 }), (calls) => {
        if (++runs % 64 === 0) {
          m.close();
          machines.pop();
          m = machine({ entry: 'spin_open', irqchip, limit: 20_000 });
        }
        for (const [code, argument] of calls) for (const file of [m.kvm, m.vm, m.vcpu.file]) check(file, code, argument);
        enter(m);
      }),
      bounded,
    );
  });

  test('codes that are none', () => {
    const m = machine({ entry: 'spin' });
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffffffff }), number, (code, argument) => {
        if (P.ioctlNames.has(code)) return;
        expect(m.kvm.ioctl(code, argument)).toBe(-P.EINVAL);
        expect(m.vm.ioctl(code, argument)).toBe(-P.ENOTTY);
        expect(m.vcpu.ioctl(code, argument)).toBe(-P.EINVAL);
      }),
      { seed: SEED, numRuns: 300 },
    );
  });

  test('files that were closed say so', () => {
    const m = new Machine({ entry: 'spin' });
    m.close();
    expect(m.vm.ioctl(P.KVM_CHECK_EXTENSION, 0)).toBe(-P.EBADF);
    expect(m.vcpu.ioctl(P.KVM_RUN, 0)).toBe(-P.EBADF);
  });
});

describe('guests of random bytes', () => {
  const MODES: readonly Mode[] = ['real', 'protected', 'long'];
  const cases = MODES.flatMap((mode) => (['none', 'kernel'] as const).map((irqchip) => [mode, irqchip] as const));
  test.for(cases)('%s mode, irqchip %s', { timeout: TEST_LIMIT_MS }, ([mode, irqchip]) => {
    let m = machine({ mode, irqchip, entry: 'faults', limit: 2000 });
    let runs = 0;
    const at = LAYOUT.DATA;
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 8, maxLength: 64 }), fc.array(fc.bigInt({ min: 0n, max: 0xffffffffffffffffn }), { minLength: 4, maxLength: 4 }), (code, values) => {
        if (++runs % 32 === 0) {
          m.close();
          machines.pop();
          m = machine({ mode, irqchip, entry: 'faults', limit: 2000 });
        }
        m.write(at, code);
        const [rax = 0n, rcx = 0n, rdx = 0n, rbx = 0n] = values;
        m.vcpu.setRegs({ rip: BigInt(at), rsp: BigInt(LAYOUT.STACK), rax, rcx, rdx: rdx & 0xffffn, rbx: rbx & 0x1fffffn, rsi: 0x1000n, rdi: 0xe000n, rflags: 2n });
        for (let round = 0; round < 4; round++) enter(m);
      }),
      bounded,
    );
  });
});
