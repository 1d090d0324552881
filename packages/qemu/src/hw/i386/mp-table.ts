/** The MP table, for systems that do not read ACPI (Intel MultiProcessor Specification 1.4, chapter 4). */

import { acpiChecksum, putAscii } from '../acpi/acpi-table.ts';
import { EBDA_START, IOAPIC_ADDRESS, IRQ_SCI, LAPIC_ADDRESS } from './layout.ts';

export interface MpTableOptions {
  readonly cpus: number;
  readonly irq0Override: boolean;
  /** CPUID leaf 1: EAX and EDX. */
  readonly signature: number;
}

const FLOATING_SIZE = 16;
const CONFIG_HEADER_SIZE = 44;
const LAPIC_VERSION = 0x14;
const IOAPIC_VERSION = 0x11;
const ISA_BUS = 0;
const ISA_IRQS = 16;
const CPU_ENABLED = 1;
const CPU_BOOTSTRAP = 2;
const INT = 0;
const NMI = 1;
const EXTINT = 3;
const CONFORMS = 0;
const LEVEL_HIGH = 0x0d;
const ALL_APICS = 0xff;

const le = (value: number, bytes: number): number[] => Array.from({ length: bytes }, (_, i) => (value >>> (8 * i)) & 0xff);

/** The floating pointer and behind it the configuration table, to be at EBDA_START. */
export function mpTable(options: MpTableOptions): Uint8Array {
  const entries = [...processors(options), ...bus(), ...ioapic(options), ...interrupts(options)];
  const config = new Uint8Array(CONFIG_HEADER_SIZE + entries.flat().length);
  const view = new DataView(config.buffer);
  putAscii(config, 0, 'PCMP');
  view.setUint16(4, config.length, true);
  config[6] = 4;
  putAscii(config, 8, 'VM QEMU ');
  putAscii(config, 16, 'microvm     ');
  view.setUint16(34, entries.length, true);
  view.setUint32(36, LAPIC_ADDRESS, true);
  config.set(entries.flat(), CONFIG_HEADER_SIZE);
  config[7] = acpiChecksum(config);
  const bytes = new Uint8Array(FLOATING_SIZE + config.length);
  bytes.set(floatingPointer());
  bytes.set(config, FLOATING_SIZE);
  return bytes;
}

function floatingPointer(): Uint8Array {
  const bytes = new Uint8Array(FLOATING_SIZE);
  putAscii(bytes, 0, '_MP_');
  new DataView(bytes.buffer).setUint32(4, EBDA_START + FLOATING_SIZE, true);
  bytes[8] = 1;
  bytes[9] = 4;
  bytes[10] = acpiChecksum(bytes);
  return bytes;
}

function processors(options: MpTableOptions): number[][] {
  const features = 0x201; // FPU and APIC on the chip
  return Array.from({ length: options.cpus }, (_, id) => {
    const flags = CPU_ENABLED | (id === 0 ? CPU_BOOTSTRAP : 0);
    return [0, id, LAPIC_VERSION, flags, ...le(options.signature & 0xfff, 4), ...le(features, 4), ...le(0, 4), ...le(0, 4)];
  });
}

const bus = (): number[][] => [[1, ISA_BUS, ...Array.from('ISA   ', (c) => c.charCodeAt(0))]];
const ioapic = (options: MpTableOptions): number[][] => [[2, options.cpus, IOAPIC_VERSION, 1, ...le(IOAPIC_ADDRESS, 4)]];

function interrupts(options: MpTableOptions): number[][] {
  const id = options.cpus;
  const lines: number[][] = [];
  for (let irq = 0; irq < ISA_IRQS; irq++) {
    if (irq === 2) continue; // the cascade
    const pin = irq === 0 && options.irq0Override ? 2 : irq;
    const flags = irq === IRQ_SCI ? LEVEL_HIGH : CONFORMS;
    lines.push([3, INT, ...le(flags, 2), ISA_BUS, irq, id, pin]);
  }
  lines.push([4, EXTINT, ...le(CONFORMS, 2), ISA_BUS, 0, ALL_APICS, 0]);
  lines.push([4, NMI, ...le(CONFORMS, 2), ISA_BUS, 0, ALL_APICS, 1]);
  return lines;
}
