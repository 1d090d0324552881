/** The memory map that firmware gives to operating systems (INT 15h, AX=E820h; ACPI 6.4, chapter 15). */

import { ABOVE_4G, EBDA_START, HIGH_MEMORY, KVM_IDENTITY_BASE, KVM_IDENTITY_SIZE, MAX_RAM_BELOW_4G } from './layout.ts';

export const E820_RAM = 1;
export const E820_RESERVED = 2;
export const E820_ENTRY_SIZE = 20;

export interface E820Entry {
  readonly address: number;
  readonly size: number;
  readonly type: number;
}

/** RAM below and above the hole, of `bytes` in all. */
export interface RamSplit {
  readonly below4g: number;
  readonly above4g: number;
}

export function splitRam(bytes: number): RamSplit {
  const below4g = Math.min(bytes, MAX_RAM_BELOW_4G);
  return { below4g, above4g: bytes - below4g };
}

export function e820Table(ram: RamSplit): E820Entry[] {
  const table: E820Entry[] = [
    { address: 0, size: EBDA_START, type: E820_RAM },
    { address: EBDA_START, size: HIGH_MEMORY - EBDA_START, type: E820_RESERVED },
    { address: HIGH_MEMORY, size: ram.below4g - HIGH_MEMORY, type: E820_RAM },
    { address: KVM_IDENTITY_BASE, size: KVM_IDENTITY_SIZE, type: E820_RESERVED },
  ];
  if (ram.above4g > 0) table.push({ address: ABOVE_4G, size: ram.above4g, type: E820_RAM });
  return table;
}

/** The table as structures of the boot protocol: address, size, type, packed. */
export function encodeE820(table: readonly E820Entry[]): Uint8Array {
  const bytes = new Uint8Array(table.length * E820_ENTRY_SIZE);
  const view = new DataView(bytes.buffer);
  table.forEach((entry, i) => {
    view.setBigUint64(i * E820_ENTRY_SIZE, BigInt(entry.address), true);
    view.setBigUint64(i * E820_ENTRY_SIZE + 8, BigInt(entry.size), true);
    view.setUint32(i * E820_ENTRY_SIZE + 16, entry.type, true);
  });
  return bytes;
}
