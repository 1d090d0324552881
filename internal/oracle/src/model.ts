/** The model of the processor in the state of a Linux process: the regions of address-space.ts mapped, CPL 3, Linux's CR0 and CR4. */
import { bareMachine, layout as L, type BareMachine } from '@vm/cpu/testing';
import { pristine, REGIONS, type Region } from './address-space.ts';
import { GDT_LIMIT, globalTable, LDT_LIMIT, localTable, segmentOf } from './descriptors.ts';
import type { CaseResult, Difference, Patch, TestCase } from './records.ts';
import * as S from './state.ts';

const PAGE = 4096;
const MEMORY = 16 << 20;
/** Supervisor's view of physical memory, where the tables lie for the processor. */
const DIRECT = 0xffff_8000_0000_0000n;
/** PE MP ET NE WP AM PG, as Linux has it. */
const CR0 = 0x8005_0033n;
/** PSE PAE MCE PGE OSFXSR OSXMMEXCPT UMIP FSGSBASE OSXSAVE SMEP SMAP. */
const CR4 = 0x35_0ef0n;
const XCR0 = 7n;
/** SCE LME LMA NXE. */
const EFER = 0xd01n;
const P_USER = 4n;
const P_WRITE = 2n;
const NX = 1n << 63n;
const RFLAGS_LOADED = 0x24_4fd5n;
const IF_AND_FIXED = 0x202n;

/** A region's place in the model's memory. */
interface Placed {
  readonly region: Region;
  readonly host: number;
  /** What it holds between cases. */
  readonly shadow: Uint32Array;
  readonly live: Uint32Array;
}

export class Model {
  readonly #machine: BareMachine;
  readonly #placed: Placed[] = [];

  constructor() {
    const machine = bareMachine(MEMORY, true);
    this.#machine = machine;
    const { memory } = machine;
    this.#mapAll(machine.ram);
    const tables = memory.allocPages(1);
    memory.write(tables, globalTable());
    memory.write(tables + 0x800, localTable());
    machine.set(L.GDTR_BASE, DIRECT + BigInt(tables));
    machine.set32(L.GDTR_LIMIT, GDT_LIMIT);
    this.#setSegment(L.LDTR, 0x50, { base: 0, limit: LDT_LIMIT, attributes: 0x82 });
    machine.set(L.SEG + L.LDTR * L.SEG_SIZE + L.SEG_BASE, DIRECT + BigInt(tables + 0x800));
    machine.set(L.CR0, CR0);
    machine.set(L.CR4, CR4);
    machine.set(L.XCR0, XCR0);
    machine.set(L.MSR_EFER, EFER);
    machine.updateMode();
    machine.ex('flushTlb');
  }

  /** Regions that were compiled: one an instruction, or none. */
  get regions(): number {
    return this.#machine.driver.jit?.statistics.regions ?? 0;
  }

  /** Page tables of four levels for the regions, and the direct map. */
  #mapAll(ram: number): void {
    const { memory } = this.#machine;
    const { view } = memory;
    const [top, users, directory, supervisor] = [0, 1, 2, 3].map(() => memory.allocPages(1)) as [number, number, number, number];
    const link = (table: number, index: number, value: bigint): void => view.setBigUint64(table + index * 8, value, true);
    link(top, 0, BigInt(users) | 7n);
    link(users, 0, BigInt(directory) | 7n);
    link(top, 256, BigInt(supervisor) | 3n);
    for (let gib = 0; gib < 4; gib++) link(supervisor, gib, (BigInt(gib) << 30n) | 0x83n);
    let host = ram;
    for (const region of REGIONS) {
      for (let at = 0; at < region.length; at += PAGE) {
        const address = region.address + at;
        const slot = directory + (address >>> 21) * 8;
        if (view.getBigUint64(slot, true) === 0n) view.setBigUint64(slot, BigInt(memory.allocPages(1)) | 7n, true);
        const table = Number(view.getBigUint64(slot, true) & ~0xfffn);
        const rights = 1n | P_USER | (region.writable ? P_WRITE : 0n) | (region.executable ? 0n : NX);
        // Accessed and dirty from the start.
        link(table, (address >>> 12) & 511, BigInt(host + at) | rights | 0x60n);
      }
      const shadow = new Uint32Array(pristine(region).buffer);
      memory.write(host, new Uint8Array(shadow.buffer));
      this.#placed.push({ region, host, shadow, live: memory.u32.subarray(host >>> 2, (host + region.length) >>> 2) });
      host += region.length;
    }
    this.#machine.set(L.CR3, BigInt(top));
  }

  #hostOf(address: number): number {
    for (const { region, host } of this.#placed) {
      if (address >= region.address && address < region.address + region.length) return host + address - region.address;
    }
    throw new RangeError(`no region at ${address.toString(16)}`);
  }

  run(c: TestCase): CaseResult {
    const machine = this.#machine;
    const patches: readonly Patch[] = [{ address: c.codeAddress, bytes: c.code }, ...c.patches];
    const saved = patches.map(({ address, bytes }) => {
      const host = this.#hostOf(address);
      const old = machine.memory.u8.slice(host, host + bytes.length);
      machine.memory.write(host, bytes);
      return { host, old };
    });
    this.#load(c);
    const before = new Map(this.#placed.map((p) => [p, p.live.slice()]));
    machine.driver.run(1);
    const result = this.#collect(c, before);
    for (const { host, old } of saved.toReversed()) machine.memory.write(host, old);
    return result;
  }

  #setSegment(register: number, selector: number, segment: { base: number; limit: number; attributes: number }): void {
    const at = L.SEG + register * L.SEG_SIZE;
    this.#machine.set(at + L.SEG_BASE, BigInt(segment.base));
    this.#machine.set32(at + L.SEG_LIMIT, segment.limit | 0);
    this.#machine.set32(at + L.SEG_ATTR, segment.attributes);
    this.#machine.set32(at + L.SEG_SELECTOR, selector);
  }

  #load(c: TestCase): void {
    const m = this.#machine;
    const { state } = c;
    for (let r = 0; r < 16; r++) m.set(L.GPR + r * 8, state.gpr(r));
    for (let s = 0; s < 6; s++) this.#setSegment(s, state.selector(s), segmentOf(state.selector(s)));
    if (c.mode === 64) {
      m.set(L.SEG + L.FS * L.SEG_SIZE + L.SEG_BASE, state.get(S.FS_BASE));
      m.set(L.SEG + L.GS * L.SEG_SIZE + L.SEG_BASE, state.get(S.GS_BASE));
    }
    m.setRflags((state.get(S.RFLAGS) & RFLAGS_LOADED) | IF_AND_FIXED);
    m.set(L.RIP, state.get(S.RIP));
    this.#loadFloat(state);
    for (const word of [L.EVENT_VECTOR, L.EXIT_REASON]) m.set32(word, -1);
    for (const word of [L.EVENT_ERROR, L.EVENT_HAS_ERROR, L.INTERRUPTIBILITY]) m.set32(word, 0);
    m.set(L.EVENT_ADDRESS, 0n);
    m.set(L.PENDING_DEBUG, 0n);
    m.updateMode();
    // Stale entries of a case with other rights do no harm, but A and D bits and code pages are the same for all.
  }

  #loadFloat(state: S.State): void {
    const { memory, area } = this.#machine;
    const { view, bytes } = state;
    const status = view.getUint16(S.FSW, true);
    const top = (status >> 11) & 7;
    this.#machine.set32(L.FCW, view.getUint16(S.FCW, true));
    this.#machine.set32(L.FSW, status & 0xc7ff);
    this.#machine.set32(L.FTOP, top);
    this.#machine.set32(L.FTAG, view.getUint8(S.FTW));
    this.#machine.set32(L.FOP, 0);
    this.#machine.set(L.FIP, 0n);
    this.#machine.set(L.FDP, 0n);
    this.#machine.set32(L.MXCSR, view.getInt32(S.MXCSR, true));
    this.#machine.set32(L.PKRU, view.getInt32(S.PKRU, true));
    for (let i = 0; i < 8; i++) memory.u8.set(bytes.subarray(S.ST + i * 16, S.ST + i * 16 + 10), area + L.FPR + ((top + i) & 7) * 16);
    for (let i = 0; i < 16; i++) {
      memory.u8.set(bytes.subarray(S.XMM + i * 16, S.XMM + i * 16 + 16), area + L.XMM + i * L.XMM_SIZE);
      memory.u8.set(bytes.subarray(S.YMM_HIGH + i * 16, S.YMM_HIGH + i * 16 + 16), area + L.XMM + i * L.XMM_SIZE + 16);
    }
  }

  #collect(c: TestCase, before: ReadonlyMap<Placed, Uint32Array>): CaseResult {
    const m = this.#machine;
    const state = c.state.copy();
    for (let r = 0; r < 16; r++) state.setGpr(r, m.get(L.GPR + r * 8));
    state.set(S.RIP, m.get(L.RIP));
    state.set(S.RFLAGS, m.rflags());
    for (let s = 0; s < 6; s++) state.setSelector(s, m.get32(L.SEG + s * L.SEG_SIZE + L.SEG_SELECTOR));
    state.set(S.FS_BASE, m.get(L.SEG + L.FS * L.SEG_SIZE + L.SEG_BASE));
    state.set(S.GS_BASE, m.get(L.SEG + L.GS * L.SEG_SIZE + L.SEG_BASE));
    this.#collectFloat(state);
    const vector = m.get32(L.EVENT_VECTOR);
    return {
      vector,
      error: vector >= 0 && m.get32(L.EVENT_HAS_ERROR) ? m.get32(L.EVENT_ERROR) >>> 0 : 0,
      cr2: m.get(L.EVENT_ADDRESS),
      state,
      differences: this.#differences(before),
    };
  }

  #collectFloat(state: S.State): void {
    const { memory, area } = this.#machine;
    const { view, bytes } = state;
    const top = this.#machine.get32(L.FTOP);
    view.setUint16(S.FCW, this.#machine.get32(L.FCW), true);
    view.setUint16(S.FSW, this.#machine.get32(L.FSW) | (top << 11), true);
    view.setUint8(S.FTW, this.#machine.get32(L.FTAG));
    view.setInt32(S.MXCSR, this.#machine.get32(L.MXCSR), true);
    view.setInt32(S.PKRU, this.#machine.get32(L.PKRU), true);
    for (let i = 0; i < 8; i++) {
      const at = area + L.FPR + ((top + i) & 7) * 16;
      bytes.set(memory.u8.subarray(at, at + 10), S.ST + i * 16);
    }
    for (let i = 0; i < 16; i++) {
      const at = area + L.XMM + i * L.XMM_SIZE;
      bytes.set(memory.u8.subarray(at, at + 16), S.XMM + i * 16);
      bytes.set(memory.u8.subarray(at + 16, at + 32), S.YMM_HIGH + i * 16);
    }
  }

  /** Changed words, which go back to what they were. */
  #differences(before: ReadonlyMap<Placed, Uint32Array>): Difference[] {
    const found: Difference[] = [];
    for (const [{ region, live }, old] of before) {
      if (!region.writable) continue;
      for (let w = 0; w < live.length; w += 2) {
        if (live[w] === old[w] && live[w + 1] === old[w + 1]) continue;
        found.push({ address: region.address + w * 4, low: live[w]!, high: live[w + 1]! });
        this.#machine.memory.write(live.byteOffset + w * 4, new Uint8Array(old.buffer, w * 4, 8));
      }
    }
    return found;
  }
}

