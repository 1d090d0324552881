import { describe, expect, it } from 'vitest';
import { amlEisaId, amlInt, amlPackage, amlScope } from '../acpi/aml-build.ts';
import { acpiBuild } from './acpi-build.ts';
import { e820Table, encodeE820, splitRam } from './e820.ts';
import { ABOVE_4G, ACPI_TABLES, ACPI_TABLES_END, EBDA_END, EBDA_START, GiB, MiB } from './layout.ts';
import { mpTable } from './mp-table.ts';

const sum = (bytes: Uint8Array): number => bytes.reduce((total, byte) => (total + byte) & 0xff, 0);
const ascii = (bytes: Uint8Array): string => String.fromCharCode(...bytes);

describe('AML', () => {
  it.each([
    ['zero', amlInt(0), [0x00]],
    ['one', amlInt(1), [0x01]],
    ['byte', amlInt(5), [0x0a, 5]],
    ['word', amlInt(0x3f8), [0x0b, 0xf8, 0x03]],
    ['dword', amlInt(0xfee00000), [0x0c, 0, 0, 0xe0, 0xfe]],
    ['EISA id', amlEisaId('PNP0501'), [0x0c, 0x41, 0xd0, 0x05, 0x01]],
    ['package', amlPackage(amlInt(5), amlInt(0)), [0x12, 5, 2, 0x0a, 5, 0]],
    [
      'long scope',
      amlScope(
        '\\_SB',
        Array.from({ length: 100 }, () => 1),
      ).slice(0, 8),
      [0x10, 0x4b, 0x06, 0x5c, 0x5f, 0x53, 0x42, 0x5f],
    ],
  ])('%s', (_name, aml, expected) => {
    expect(aml).toEqual(expected);
  });
});

describe.each([1, 8])('ACPI tables for %i processors', (cpus) => {
  const { bytes, rsdp } = acpiBuild({ cpus, keyboard: true, com2: true, irq0Override: true });
  const view = new DataView(bytes.buffer);
  const table = (address: number): Uint8Array => {
    const at = address - ACPI_TABLES;
    return bytes.subarray(at, at + view.getUint32(at + 4, true));
  };

  it('lead from the RSDP to every table, each with its checksum', () => {
    expect([rsdp, ascii(bytes.subarray(0, 8)), sum(bytes.subarray(0, 20)), sum(bytes.subarray(0, 36))]).toEqual([
      ACPI_TABLES,
      'RSD PTR ',
      0,
      0,
    ]);
    const xsdt = table(Number(view.getBigUint64(24, true)));
    const rsdt = table(view.getUint32(16, true));
    const entries = Array.from({ length: (xsdt.length - 36) / 8 }, (_, i) => view.getUint32(xsdt.byteOffset + 36 + i * 8, true));
    const tables = [xsdt, rsdt, ...entries.map(table)];
    const fadt = tables[2]!;
    tables.push(table(view.getUint32(fadt.byteOffset + 40, true)));
    expect(tables.map((t) => ascii(t.subarray(0, 4)))).toEqual(['XSDT', 'RSDT', 'FACP', 'APIC', 'DSDT']);
    expect(tables.map(sum)).toEqual([0, 0, 0, 0, 0]);
    expect((view.getUint32(fadt.byteOffset + 36, true) - ACPI_TABLES) % 64).toBe(0);
    expect(bytes.length).toBeLessThan(ACPI_TABLES_END - ACPI_TABLES);
  });

  it('come with an MP table that fits the EBDA', () => {
    const mp = mpTable({ cpus, irq0Override: true, signature: 0x806ea });
    expect([ascii(mp.subarray(0, 4)), sum(mp.subarray(0, 16)), ascii(mp.subarray(16, 20)), sum(mp.subarray(16))]).toEqual([
      '_MP_',
      0,
      'PCMP',
      0,
    ]);
    expect(mp.length).toBeLessThanOrEqual(EBDA_END - EBDA_START);
  });
});

describe('e820', () => {
  it.each([
    [64 * MiB, 64 * MiB, 0],
    [2 * GiB, 2 * GiB, 0],
    [3.5 * GiB, 3 * GiB, 0.5 * GiB],
  ])('%i bytes', (bytes, below4g, above4g) => {
    const ram = splitRam(bytes);
    expect(ram).toEqual({ below4g, above4g });
    const table = e820Table(ram);
    const usable = table.filter((entry) => entry.type === 1).reduce((total, entry) => total + entry.size, 0);
    expect(usable).toBe(bytes - (MiB - EBDA_START));
    expect(table.some((entry) => entry.address === ABOVE_4G)).toBe(above4g > 0);
    expect(encodeE820(table).length).toBe(table.length * 20);
  });
});
