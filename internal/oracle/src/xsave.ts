/**
 * The XSAVE family beside the processor at hand: states, areas and headers of all kinds, restored and saved on both. What the
 * manual leaves to the processor is not compared: a component in its initial configuration may count as in use (SDM vol. 1,
 * 13.6), and then XSAVEOPT and XSAVEC write it.
 */
import { bareMachine, layout as L, type BareMachine } from '@vm/cpu/testing';
import { Random, seedOf } from './random.ts';

export const OPERATIONS = ['xsave', 'xsave64', 'xsaveopt', 'xsaveopt64', 'xsavec', 'xsavec64', 'xrstor', 'xrstor64'] as const;
/** 0F AE or 0F C7 and the digit of the ModRM byte. */
const OPCODES: Readonly<Record<string, readonly [second: number, digit: number]>> = {
  xsave: [0xae, 4], xsaveopt: [0xae, 6], xsavec: [0xc7, 4], xrstor: [0xae, 5],
};
export const STATE_SIZE = 832;
export const AREA_SIZE = 1024;
const X87 = 1;
const SSE = 2;
const AVX = 4;
const COMPACTED = 1n << 63n;
const XSTATE_BV = 512;
const XCOMP_BV = 520;
const MXCSR = 24;

export interface XsaveCase {
  /** Index into OPERATIONS. */
  readonly operation: number;
  /** EAX; EDX is zero. */
  readonly mask: number;
  /** Bytes that the area lies behind a multiple of 64. */
  readonly offset: number;
  /** The state before, as an area in the standard format. */
  readonly state: Uint8Array;
  readonly area: Uint8Array;
}

export interface XsaveResult {
  readonly vector: number;
  /** XGETBV with index 1, before the instruction. */
  readonly inUse: number;
  readonly area: Uint8Array;
  readonly state: Uint8Array;
}

const saves = (c: XsaveCase): boolean => c.operation < 6;

/** Components: random, or all zero bytes. FOP, FIP and FDP, which AMD restores only with exceptions pending, are zero. */
function fill(random: Random, to: Uint8Array): void {
  const view = new DataView(to.buffer, to.byteOffset);
  for (let at = 160; at < 416; at++) to[at] = random.below(256);
  for (let at = 576; at < 832; at++) to[at] = random.below(256);
  for (let i = 0; i < 8; i++) for (let b = 0; b < 10; b++) to[32 + i * 16 + b] = random.below(256);
  // All exceptions masked: the summary bit stays clear.
  view.setUint16(0, 0x7f | (random.below(16) << 8), true);
  view.setUint16(2, random.below(0x8000) & 0x7f3f, true);
  view.setUint8(4, random.below(256));
  if (random.oneIn(4)) to.fill(0, 160, 416);
  if (random.oneIn(4)) to.fill(0, 576, 832);
  view.setUint32(MXCSR, random.oneIn(3) ? 0x1f80 : 0x1f80 | random.below(64) | (random.below(4) << 13), true);
}

function badHeader(random: Random, area: Uint8Array): void {
  const view = new DataView(area.buffer);
  switch (random.below(6)) {
    case 0: return void (area[XSTATE_BV + 2] = 0x10);
    case 1: return void (area[XCOMP_BV + 2] = 0x10);
    case 2: return void (area[528 + random.below(8)] = 1);
    case 3: return void (area[536 + random.below(40)] = 1);
    case 4: return view.setUint32(MXCSR, 0x80_1f80, true);
    default: return view.setBigUint64(XCOMP_BV, BigInt(random.below(8)), true);
  }
}

export function makeXsaveCase(number: number): XsaveCase {
  const random = new Random(seedOf(`xsave ${number}`));
  const state = new Uint8Array(STATE_SIZE);
  const area = new Uint8Array(AREA_SIZE);
  fill(random, state);
  state[XSTATE_BV] = random.below(8);
  const operation = random.below(OPERATIONS.length);
  const view = new DataView(area.buffer);
  if (operation < 6) {
    // What is there before: bits of the header that stay, and bytes that are not written.
    for (let at = 0; at < AREA_SIZE; at++) area[at] = random.below(256);
    area.fill(0, XSTATE_BV, 576);
    area[XSTATE_BV] = random.below(8);
  } else {
    fill(random, area);
    const format = random.below(8);
    const compacted = random.oneIn(2);
    view.setBigUint64(XSTATE_BV, BigInt(compacted && !random.oneIn(4) ? random.below(8) & format : random.below(8)), true);
    if (compacted) view.setBigUint64(XCOMP_BV, COMPACTED | BigInt(format), true);
    if (random.oneIn(4)) badHeader(random, area);
  }
  return { operation, mask: random.below(8), offset: random.oneIn(16) ? 8 : 0, state, area };
}

// ---- the model

export class XsaveModel {
  readonly #machine: BareMachine = bareMachine(4 << 20);

  constructor() {
    this.#machine.set(L.CR4, this.#machine.get(L.CR4) | 0x40000n);
    this.#machine.set(L.XCR0, 7n);
    this.#machine.updateMode();
  }

  run(c: XsaveCase): XsaveResult {
    const m = this.#machine;
    const at = m.ram + 0x1000 + c.offset;
    this.#load(c.state);
    const inUse = this.#execute([0x0f, 0x01, 0xd0], 1, 0) < 0 ? Number(m.get(L.RAX)) : -1;
    m.memory.write(at, c.area);
    const name = OPERATIONS[c.operation]!;
    const [second, digit] = OPCODES[name.replace('64', '')]!;
    m.set(L.RDI, BigInt(at));
    const vector = this.#execute([...(name.endsWith('64') ? [0x48] : []), 0x0f, second, 0x07 | (digit << 3)], 0, c.mask);
    return { vector, inUse, area: m.memory.u8.slice(at, at + AREA_SIZE), state: this.#save() };
  }

  /** The vector of the fault, or -1: UD2 behind the instruction ends what does not fault. */
  #execute(code: readonly number[], rcx: number, rax: number): number {
    const m = this.#machine;
    m.memory.write(m.ram, Uint8Array.from([...code, 0x0f, 0x0b]));
    m.set(L.RIP, BigInt(m.ram));
    m.set(L.RCX, BigInt(rcx));
    m.set(L.RAX, BigInt(rax));
    m.set(L.RDX, 0n);
    m.driver.run();
    const event = m.event();
    m.set32(L.EVENT_VECTOR, -1);
    return event === 6 && m.get(L.RIP) === BigInt(m.ram + code.length) ? -1 : event;
  }

  #load(image: Uint8Array): void {
    const m = this.#machine;
    const view = new DataView(image.buffer);
    const has = (component: number): boolean => (image[XSTATE_BV]! & component) !== 0;
    m.set32(L.FCW, has(X87) ? view.getUint16(0, true) : 0x37f);
    m.set32(L.FSW, has(X87) ? view.getUint16(2, true) & ~0x3800 : 0);
    const top = has(X87) ? (view.getUint16(2, true) >> 11) & 7 : 0;
    m.set32(L.FTOP, top);
    m.set32(L.FTAG, has(X87) ? image[4]! : 0);
    for (let i = 0; i < 8; i++) {
      const register = L.FPR + ((top + i) & 7) * 16;
      m.set(register, has(X87) ? view.getBigUint64(32 + i * 16, true) : 0n);
      m.set(register + 8, has(X87) ? BigInt(view.getUint16(40 + i * 16, true)) : 0n);
    }
    for (let i = 0; i < 16; i++)
      for (const half of [0, 8]) {
        m.set(L.XMM + i * L.XMM_SIZE + half, has(SSE) ? view.getBigUint64(160 + i * 16 + half, true) : 0n);
        m.set(L.XMM + i * L.XMM_SIZE + 16 + half, has(AVX) ? view.getBigUint64(576 + i * 16 + half, true) : 0n);
      }
    m.set32(L.MXCSR, view.getUint32(MXCSR, true));
  }

  #save(): Uint8Array {
    const m = this.#machine;
    const image = new Uint8Array(STATE_SIZE);
    const view = new DataView(image.buffer);
    const top = m.get32(L.FTOP);
    view.setUint16(0, m.get32(L.FCW), true);
    view.setUint16(2, m.get32(L.FSW) | (top << 11), true);
    view.setUint8(4, m.get32(L.FTAG));
    view.setUint32(MXCSR, m.get32(L.MXCSR), true);
    for (let i = 0; i < 8; i++) {
      const register = L.FPR + ((top + i) & 7) * 16;
      view.setBigUint64(32 + i * 16, m.get(register), true);
      view.setUint16(40 + i * 16, Number(m.get(register + 8) & 0xffffn), true);
    }
    for (let i = 0; i < 16; i++)
      for (const half of [0, 8]) {
        view.setBigUint64(160 + i * 16 + half, m.get(L.XMM + i * L.XMM_SIZE + half), true);
        view.setBigUint64(576 + i * 16 + half, m.get(L.XMM + i * L.XMM_SIZE + 16 + half), true);
      }
    return image;
  }
}

// ---- the comparison

const RANGES: readonly (readonly [component: number, from: number, to: number])[] = [[X87, 0, 24], [X87, 32, 160], [SSE, 160, 416], [AVX, 576, 832]];

/** What differs, as text, or null. */
export function compareXsave(c: XsaveCase, ours: XsaveResult, theirs: XsaveResult): string | null {
  if (ours.vector !== theirs.vector) return `fault ${ours.vector}, the processor has ${theirs.vector}`;
  if ((ours.inUse & ~theirs.inUse) !== 0) return `XGETBV(1) ${ours.inUse}, the processor has ${theirs.inUse}`;
  const state = firstDifference(ours.state, theirs.state, (at) => at < 512 ? !between(at, 5, 24) && !between(at, 28, 32) && at < 416 : at >= 576);
  if (state >= 0) return `state at ${state}: ${ours.state[state]}, the processor has ${theirs.state[state]}`;
  if (!saves(c) || ours.vector >= 0) return null;
  // Components that only the processor counts as in use.
  const extra = theirs.area[XSTATE_BV]! & ~ours.area[XSTATE_BV]! & c.mask;
  const mine = ours.area.slice();
  mine[XSTATE_BV]! |= extra;
  const ignored = (at: number): boolean => between(at, 28, 32) || RANGES.some(([bit, from, to]) => (extra & bit) !== 0 && between(at, from, to)) ||
    ((extra & SSE) !== 0 && between(at, MXCSR, MXCSR + 4));
  const area = firstDifference(mine, theirs.area, (at) => !ignored(at) && !between(at, 6, 24));
  return area < 0 ? null : `area at ${area}: ${mine[area]}, the processor has ${theirs.area[area]}`;
}

const between = (at: number, from: number, to: number): boolean => at >= from && at < to;

function firstDifference(a: Uint8Array, b: Uint8Array, compared: (at: number) => boolean): number {
  return a.findIndex((byte, at) => byte !== b[at] && compared(at));
}
