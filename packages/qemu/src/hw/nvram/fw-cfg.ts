/**
 * The firmware configuration device, after docs/specs/fw_cfg: items of bytes under 16-bit keys, named files among them,
 * read by the guest byte by byte through the data port or in one go by DMA. Items are read-only to the guest.
 *
 * The guest chooses keys, lengths and addresses: a DMA is carried out piece by piece against the address space, which
 * refuses what is no RAM; lengths past an item's end read zeroes; nothing is allocated for it.
 */

import type { AddressSpace } from '../../system/address-space.ts';
import type { MemoryRegionOps } from '../../system/memory-region.ts';
import {
  FW_CFG_DMA_CTL_ERROR,
  FW_CFG_DMA_CTL_READ,
  FW_CFG_DMA_CTL_SELECT,
  FW_CFG_DMA_CTL_SKIP,
  FW_CFG_DMA_CTL_WRITE,
  FW_CFG_FILE_DIR,
  FW_CFG_FILE_FIRST,
  FW_CFG_FILE_SLOTS,
  FW_CFG_ID,
  FW_CFG_INVALID,
  FW_CFG_MAX_FILE_PATH,
  FW_CFG_SIGNATURE,
  FW_CFG_VERSION,
  FW_CFG_VERSION_DMA,
} from './fw-cfg-keys.ts';

interface NamedFile {
  readonly name: string;
  readonly size: number;
  readonly key: number;
}

const DMA_SIGNATURE: readonly number[] = Array.from('QEMU CFG', (c) => c.charCodeAt(0));
const DMA_ACCESS_SIZE = 16;
/** Size of one entry of the directory: size, select, reserved, name. */
const FILE_ENTRY_SIZE = 64;
/** The largest key without the architecture's own bit 15 and the write bit 14. */
const MAX_KEY = FW_CFG_FILE_FIRST + FW_CFG_FILE_SLOTS;
const ENTRY_MASK = 0x3fff;
const ADDRESS_LIMIT = 2 ** 52;

export class FwCfgState {
  readonly #addressSpace: AddressSpace;
  readonly #items: Map<number, Uint8Array> = new Map();
  readonly #files: NamedFile[] = [];
  readonly #dma: Uint8Array = new Uint8Array(DMA_ACCESS_SIZE);
  #key = FW_CFG_INVALID;
  #item: Uint8Array | undefined;
  #offset = 0;
  #dmaHigh = 0;
  /** Ports 0x510 (selector, two bytes) and 0x511 (data). */
  readonly ports: MemoryRegionOps = {
    impl: { min: 1, max: 2 },
    read: (offset, size) => (size === 1 ? (offset === 1 ? this.#readByte() : 0) : 0),
    write: (offset, size, value) => {
      if (offset === 0 && size === 2) this.#select(value & 0xffff);
    },
  };
  /** Ports 0x514 to 0x51b: the address of a DMA request, big-endian; writing the low half starts it. */
  readonly dma: MemoryRegionOps = {
    read: (offset, size) => {
      let value = 0;
      for (let i = size - 1; i >= 0; i--) value = ((value << 8) | DMA_SIGNATURE[(offset + i) & 7]!) >>> 0;
      return value;
    },
    write: (offset, size, value) => {
      if (size !== 4) return;
      if (offset === 0) this.#dmaHigh = swap32(value);
      else if (offset === 4) this.#startDma(swap32(value));
    },
  };

  constructor(addressSpace: AddressSpace) {
    this.#addressSpace = addressSpace;
    this.addBytes(FW_CFG_SIGNATURE, new TextEncoder().encode('QEMU'));
    this.addI32(FW_CFG_ID, FW_CFG_VERSION | FW_CFG_VERSION_DMA);
    this.#directory();
  }

  reset(): void {
    this.#select(FW_CFG_INVALID);
    this.#dmaHigh = 0;
  }

  addBytes(key: number, bytes: Uint8Array): void {
    this.#items.set(key, bytes);
  }

  addString(key: number, text: string): void {
    this.addBytes(key, new TextEncoder().encode(`${text}\0`));
  }

  addI16(key: number, value: number): void {
    this.addBytes(key, Uint8Array.of(value, value >> 8));
  }

  addI32(key: number, value: number): void {
    this.addBytes(key, Uint8Array.of(value, value >>> 8, value >>> 16, value >>> 24));
  }

  addI64(key: number, value: number): void {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
    this.addBytes(key, bytes);
  }

  /** Adds a named file, or gives one of that name new contents. */
  addFile(name: string, bytes: Uint8Array): void {
    if (name.length >= FW_CFG_MAX_FILE_PATH) throw new RangeError(`fw_cfg file name ${name} is longer than ${FW_CFG_MAX_FILE_PATH - 1}`);
    const known = this.#files.findIndex((file) => file.name === name);
    if (known < 0 && this.#files.length >= FW_CFG_FILE_SLOTS) throw new RangeError(`fw_cfg has no slot left for ${name}`);
    const key = known < 0 ? FW_CFG_FILE_FIRST + this.#files.length : this.#files[known]!.key;
    this.addBytes(key, bytes);
    const file = { name, size: bytes.length, key };
    if (known < 0) this.#files.push(file);
    else this.#files[known] = file;
    this.#directory();
  }

  #directory(): void {
    const bytes = new Uint8Array(4 + this.#files.length * FILE_ENTRY_SIZE);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, this.#files.length);
    const byName = this.#files.toSorted((a, b) => (a.name < b.name ? -1 : 1));
    byName.forEach((file, i) => {
      const at = 4 + i * FILE_ENTRY_SIZE;
      view.setUint32(at, file.size);
      view.setUint16(at + 4, file.key);
      bytes.set(new TextEncoder().encode(file.name), at + 8);
    });
    this.addBytes(FW_CFG_FILE_DIR, bytes);
  }

  #select(key: number): void {
    this.#offset = 0;
    this.#key = (key & ENTRY_MASK) >= MAX_KEY ? FW_CFG_INVALID : key & ~0x4000;
    this.#item = this.#key === FW_CFG_INVALID ? undefined : this.#items.get(this.#key);
  }

  #readByte(): number {
    return this.#item?.[this.#offset++] ?? 0;
  }

  // ---- DMA: { be32 control, be32 length, be64 address }

  #startDma(low: number): void {
    const address = this.#dmaHigh * 2 ** 32 + low;
    this.#dmaHigh = 0;
    if (address >= ADDRESS_LIMIT) return;
    const complete = this.#addressSpace.hostAddress(address, DMA_ACCESS_SIZE) >= 0 && this.#addressSpace.read(address, this.#dma);
    const error = !complete || !this.#transfer();
    new DataView(this.#dma.buffer).setUint32(0, error ? FW_CFG_DMA_CTL_ERROR : 0);
    if (this.#addressSpace.hostAddress(address, 4) >= 0) this.#addressSpace.write(address, this.#dma, 0, 4);
  }

  #transfer(): boolean {
    const view = new DataView(this.#dma.buffer);
    const control = view.getUint32(0);
    const length = view.getUint32(4);
    const address = view.getUint32(8) * 2 ** 32 + view.getUint32(12);
    if (control & FW_CFG_DMA_CTL_SELECT) this.#select(control >>> 16);
    if (control & FW_CFG_DMA_CTL_READ) return this.#dmaRead(address, length);
    if (control & FW_CFG_DMA_CTL_WRITE) return length === 0;
    if (control & FW_CFG_DMA_CTL_SKIP) this.#offset = Math.min(this.#offset + length, this.#item?.length ?? 0);
    return true;
  }

  #dmaRead(address: number, length: number): boolean {
    if (address + length > ADDRESS_LIMIT) return false;
    const left = Math.max(0, (this.#item?.length ?? 0) - this.#offset);
    const count = Math.min(length, left);
    let complete = true;
    if (count > 0) {
      if (this.#addressSpace.hostAddress(address, count) < 0) return false;
      complete = this.#addressSpace.write(address, this.#item!, this.#offset, count);
      this.#offset += count;
    }
    if (length > count && complete) complete = this.#addressSpace.fill(address + count, length - count, 0);
    return complete;
  }
}

const swap32 = (value: number): number =>
  (((value & 0xff) << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)) >>> 0;
