import { describe, expect, it } from 'vitest';
import type { Fixture } from '../testing/device-fixture.ts';
import { fixture } from '../testing/device-fixture.ts';
import { ACCESS_IMPLICIT, kvmMmuGvaToGpa, kvmWalkFault, UNMAPPED_GVA } from './walk.ts';

const P = 1;
const W = 2;
const U = 4;
const A = 0x20;
const D = 0x40;
const LARGE = 0x80;
const NX = 1n << 63n;
const WRITE = 2;
const USER = 4;
const FETCH = 16;
const PE_PG_WP = 0x80010001;

interface Machine {
  readonly f: Fixture;
  write64(gpa: number, value: bigint): void;
  write32(gpa: number, value: number): void;
  read32(gpa: number): number;
}

function machine(): Machine {
  const f = fixture();
  const slot = f.addSlot(0, 32);
  const view = f.memory.view;
  const host = (gpa: number): number => slot.userspaceAddr + gpa;
  return {
    f,
    write64: (gpa, value) => view.setBigUint64(host(gpa), value, true),
    write32: (gpa, value) => view.setUint32(host(gpa), value, true),
    read32: (gpa) => view.getUint32(host(gpa), true),
  };
}

/** Four levels at 1000, 2000, 3000, 4000 (hex) for linear address 0xffff888012345678; `pte` is the last entry's low bits. */
function fourLevels(pte: bigint, upper = BigInt(P | W | U)): Machine {
  const m = machine();
  const vcpu = m.f.vcpus[0]!;
  vcpu.cr0 = PE_PG_WP;
  vcpu.cr4 = 0x20;
  vcpu.efer = 0xd00;
  vcpu.cr3Lo = 0x1000;
  m.write64(0x1000 + 0x111 * 8, 0x2000n | upper);
  m.write64(0x2000, 0x3000n | upper);
  m.write64(0x3000 + 0x91 * 8, 0x4000n | upper);
  m.write64(0x4000 + 0x145 * 8, 0x0123456000n | pte);
  return m;
}

const LO = 0x12345678;
const HI = 0xffff8880;
const walk = (m: Machine, access = 0): number => kvmMmuGvaToGpa(m.f.vcpus[0]!, LO, HI, access);
const error = (m: Machine): number => kvmWalkFault(m.f.vcpus[0]!).errorCode;

describe('guest page walk', () => {
  it('is the identity without paging', () => {
    const m = machine();
    m.f.vcpus[0]!.cr0 = 1;
    expect(kvmMmuGvaToGpa(m.f.vcpus[0]!, 0xfee00020, 0, 0)).toBe(0xfee00020);
  });

  it('walks four levels and sets accessed and dirty', () => {
    const m = fourLevels(BigInt(P | W));
    expect(walk(m)).toBe(0x123456678);
    expect(m.read32(0x4000 + 0x145 * 8) & (A | D)).toBe(A);
    expect(m.read32(0x1000 + 0x111 * 8) & A).toBe(A);
    expect(walk(m, WRITE)).toBe(0x123456678);
    expect(m.read32(0x4000 + 0x145 * 8) & D).toBe(D);
  });

  it('walks 2 MiB and 1 GiB pages', () => {
    const m = fourLevels(0n);
    m.write64(0x3000 + 0x91 * 8, BigInt(0x7f600000 | P | W | LARGE));
    expect(walk(m)).toBe(0x7f745678);
    m.write64(0x2000, BigInt(0x40000000 | P | W | LARGE));
    expect(walk(m)).toBe(0x52345678);
    m.write64(0x2000, BigInt(0x40002000 | P | W | LARGE));
    expect(walk(m)).toBe(UNMAPPED_GVA);
    expect(error(m)).toBe(9);
  });

  const rights: [name: string, pte: bigint, setup: Partial<Record<'cr0' | 'cr4' | 'rflags', number>>, access: number, error: number][] = [
    ['not present', 0n, {}, 0, 0],
    ['not present, user write', 0n, {}, USER | WRITE, 6],
    ['user on supervisor page', BigInt(P | W), {}, USER, 5],
    ['supervisor write to read-only', BigInt(P), {}, WRITE, 3],
    ['the same without WP', BigInt(P), { cr0: 0x80000001 }, WRITE, -1],
    ['user write to read-only without WP', BigInt(P | U), { cr0: 0x80000001 }, WRITE | USER, 7],
    ['fetch from NX', BigInt(P | W) | NX, {}, FETCH, 0x11],
    ['SMEP', BigInt(P | W | U), { cr4: 0x100020 }, FETCH, 0x11],
    ['SMAP', BigInt(P | W | U), { cr4: 0x200020 }, 0, 1],
    ['SMAP with AC', BigInt(P | W | U), { cr4: 0x200020, rflags: 0x40002 }, 0, -1],
    ['SMAP with AC, implicit', BigInt(P | W | U), { cr4: 0x200020, rflags: 0x40002 }, ACCESS_IMPLICIT, 1],
    ['SMAP does not stop users', BigInt(P | W | U), { cr4: 0x200020 }, USER, -1],
    ['reserved address bit', BigInt(P | W) | (1n << 45n), {}, 0, 9],
    ['beyond the slots the page itself may lie', BigInt(P | W), {}, 0, -1],
  ];
  it.each(rights)('%s', (_name, pte, setup, access, expected) => {
    const m = fourLevels(pte);
    Object.assign(m.f.vcpus[0]!, setup);
    const gpa = walk(m, access);
    if (expected < 0) expect(gpa).toBe(0x123456678);
    else {
      expect(gpa).toBe(UNMAPPED_GVA);
      expect(error(m)).toBe(expected);
      expect(kvmWalkFault(m.f.vcpus[0]!)).toMatchObject({ addressLo: LO, addressHi: HI });
    }
  });

  it('needs user rights at every level', () => {
    const m = fourLevels(BigInt(P | W | U), BigInt(P | W));
    expect(walk(m, USER)).toBe(UNMAPPED_GVA);
  });

  it('obeys protection keys', () => {
    const m = fourLevels(BigInt(P | W | U) | (3n << 59n));
    const vcpu = m.f.vcpus[0]!;
    vcpu.cr4 = 0x400020;
    vcpu.pkru = 2 << 6;
    expect(walk(m, USER)).toBe(0x123456678);
    expect(walk(m, USER | WRITE)).toBe(UNMAPPED_GVA);
    expect(error(m)).toBe(0x27);
  });

  it('walks 32-bit tables, with 4 MiB pages', () => {
    const m = machine();
    const vcpu = m.f.vcpus[0]!;
    vcpu.cr0 = PE_PG_WP;
    vcpu.cr3Lo = 0x1000;
    m.write32(0x1000 + 0x48 * 4, 0x2000 | P | W);
    m.write32(0x2000 + 0x345 * 4, 0x5000 | P | W);
    expect(kvmMmuGvaToGpa(vcpu, LO, 0, 0)).toBe(0x5678);
    m.write32(0x1000 + 0x48 * 4, 0x7fc00000 | (1 << 13) | P | W | LARGE);
    expect(kvmMmuGvaToGpa(vcpu, LO, 0, 0)).toBe(UNMAPPED_GVA);
    vcpu.cr4 = 0x10;
    expect(kvmMmuGvaToGpa(vcpu, LO, 0, 0)).toBe(0x17ff45678);
  });

  it('walks PAE tables from the page-directory pointers', () => {
    const m = machine();
    const vcpu = m.f.vcpus[0]!;
    vcpu.cr0 = PE_PG_WP;
    vcpu.cr4 = 0x20;
    vcpu.pdptrs.set([0x2001, 0]);
    m.write64(0x2000 + 0x91 * 8, BigInt(0x3000 | P | W));
    m.write64(0x3000 + 0x145 * 8, BigInt(0x6000 | P | W) | (3n << 32n));
    expect(kvmMmuGvaToGpa(vcpu, LO, 0, 0)).toBe(0x300006678);
    expect(kvmMmuGvaToGpa(vcpu, 0x40000000, 0, 0)).toBe(UNMAPPED_GVA);
  });

  it('does not fail on tables that are nowhere, or anything', () => {
    const m = fourLevels(0n);
    const vcpu = m.f.vcpus[0]!;
    for (let i = 0; i < 5000; i++) {
      const r = Math.imul(i + 1, 0x9e3779b1) >>> 0;
      m.write64(0x1000 + (r % 512) * 8, (BigInt(r) << 20n) | BigInt(r & 0xffff));
      vcpu.cr3Lo = (r << 3) >>> 0;
      vcpu.cr3Hi = i & 7;
      vcpu.cr4 = [0x20, 0x1020, 0, 0x10][i & 3]!;
      kvmMmuGvaToGpa(vcpu, r, ~r, i & 31);
    }
  });
});
