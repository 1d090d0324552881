/** The machine's ACPI tables: RSDP, RSDT, XSDT, FADT, FACS, MADT, DSDT (ACPI 6.4, chapter 5.2). */

import { acpiChecksum, acpiTable, putAscii } from '../acpi/acpi-table.ts';
import { PM1A_CNT, PM1A_EVT, PM_TMR, SLP_TYP_S5 } from '../acpi/acpi-pm.ts';
import {
  amlDevice,
  amlEisaId,
  amlInt,
  amlIo,
  amlIrq,
  amlName,
  amlPackage,
  amlResourceTemplate,
  amlScope,
  amlString,
  type Aml,
} from '../acpi/aml-build.ts';
import {
  ACPI_TABLES,
  IOAPIC_ADDRESS,
  IRQ_COM1,
  IRQ_COM2,
  IRQ_KEYBOARD,
  IRQ_RTC,
  IRQ_SCI,
  LAPIC_ADDRESS,
  PORT_ACPI_PM,
  PORT_COM1,
  PORT_COM2,
  PORT_FW_CFG,
  PORT_I8042_COMMAND,
  PORT_I8042_DATA,
  PORT_RESET,
  PORT_RTC,
} from './layout.ts';
import { RTC_CENTURY } from '../rtc/mc146818rtc.ts';

export interface AcpiOptions {
  readonly cpus: number;
  /** Tell of the keyboard controller. Linux spends time on probing one with no keyboard behind it. */
  readonly keyboard: boolean;
  /** Tell of the second serial port. */
  readonly com2: boolean;
  /** IRQ 0 is at pin 2 of the IOAPIC. */
  readonly irq0Override: boolean;
}

export interface AcpiTables {
  /** Physical address of the RSDP. */
  readonly rsdp: number;
  /** All tables, to be at ACPI_TABLES. */
  readonly bytes: Uint8Array;
}

const RSDP_SIZE = 36;
const FACS_SIZE = 64;
const SYSTEM_IO = 1;
const ACCESS_BYTE = 1;
const ACCESS_WORD = 2;
const ACCESS_DWORD = 3;

export function acpiBuild(options: AcpiOptions): AcpiTables {
  const parts: { readonly at: number; readonly bytes: Uint8Array }[] = [];
  let end = ACPI_TABLES + RSDP_SIZE;
  const place = (bytes: Uint8Array): number => {
    const at = Math.ceil(end / 64) * 64; // the FACS wants 64 bytes of alignment
    parts.push({ at, bytes });
    end = at + bytes.length;
    return at;
  };
  const facs = place(buildFacs());
  const dsdt = place(acpiTable('DSDT', 2, buildDsdt(options)));
  const tables = [place(acpiTable('FACP', 6, buildFadt(facs, dsdt, options))), place(acpiTable('APIC', 5, buildMadt(options)))];
  const rsdt = place(acpiTable('RSDT', 1, new Uint8Array(Uint32Array.from(tables).buffer)));
  const xsdt = place(acpiTable('XSDT', 1, new Uint8Array(BigUint64Array.from(tables, BigInt).buffer)));
  parts.push({ at: ACPI_TABLES, bytes: buildRsdp(rsdt, xsdt) });
  const bytes = new Uint8Array(end - ACPI_TABLES);
  for (const part of parts) bytes.set(part.bytes, part.at - ACPI_TABLES);
  return { rsdp: ACPI_TABLES, bytes };
}

function buildRsdp(rsdt: number, xsdt: number): Uint8Array {
  const bytes = new Uint8Array(RSDP_SIZE);
  const view = new DataView(bytes.buffer);
  putAscii(bytes, 0, 'RSD PTR ');
  putAscii(bytes, 9, 'VMQEMU');
  bytes[15] = 2;
  view.setUint32(16, rsdt, true);
  view.setUint32(20, RSDP_SIZE, true);
  view.setBigUint64(24, BigInt(xsdt), true);
  bytes[8] = acpiChecksum(bytes.subarray(0, 20));
  bytes[32] = acpiChecksum(bytes);
  return bytes;
}

function buildFacs(): Uint8Array {
  const bytes = new Uint8Array(FACS_SIZE);
  putAscii(bytes, 0, 'FACS');
  new DataView(bytes.buffer).setUint32(4, FACS_SIZE, true);
  bytes[32] = 2;
  return bytes;
}

// ---- FADT: offsets from the start of the table (ACPI 6.4, table 5.9)
const FADT_SIZE = 276;
const HEADER = 36;
const FADT_FLAGS: number =
  (1 << 0) | // WBINVD works
  (1 << 2) | // C1 on all processors
  (1 << 5) | // no sleep button
  (1 << 6) | // the RTC does not wake up
  (1 << 10); // the reset register works
const BOOT_ARCH_LEGACY_DEVICES = 1 << 0;
const BOOT_ARCH_8042 = 1 << 1;
const BOOT_ARCH_NO_VGA = 1 << 2;
/** A latency above these means that the state is not there. */
const NO_C2 = 101;
const NO_C3 = 1001;
export const RESET_VALUE = 0x06;

interface PmBlock {
  /** Offset of the 32-bit address, of the length, and of the generic address structure. */
  readonly address: number;
  readonly length: number;
  readonly generic: number;
  readonly port: number;
  readonly size: number;
  readonly access: number;
}

const PM_BLOCKS: readonly PmBlock[] = [
  { address: 56, length: 88, generic: 148, port: PORT_ACPI_PM + PM1A_EVT, size: 4, access: ACCESS_WORD },
  { address: 64, length: 89, generic: 172, port: PORT_ACPI_PM + PM1A_CNT, size: 2, access: ACCESS_WORD },
  { address: 76, length: 91, generic: 208, port: PORT_ACPI_PM + PM_TMR, size: 4, access: ACCESS_DWORD },
];

function buildFadt(facs: number, dsdt: number, options: AcpiOptions): Uint8Array {
  const bytes = new Uint8Array(FADT_SIZE);
  const view = new DataView(bytes.buffer);
  view.setUint32(36, facs, true);
  view.setUint32(40, dsdt, true);
  view.setUint16(46, IRQ_SCI, true);
  view.setUint16(96, NO_C2, true);
  view.setUint16(98, NO_C3, true);
  bytes[108] = RTC_CENTURY;
  view.setUint16(109, BOOT_ARCH_LEGACY_DEVICES | BOOT_ARCH_NO_VGA | (options.keyboard ? BOOT_ARCH_8042 : 0), true);
  view.setUint32(112, FADT_FLAGS, true);
  genericAddress(view, 116, PORT_RESET, 8, ACCESS_BYTE);
  bytes[128] = RESET_VALUE;
  bytes[131] = 4;
  view.setBigUint64(140, BigInt(dsdt), true);
  for (const block of PM_BLOCKS) {
    view.setUint32(block.address, block.port, true);
    bytes[block.length] = block.size;
    genericAddress(view, block.generic, block.port, block.size * 8, block.access);
  }
  return bytes.subarray(HEADER);
}

function genericAddress(view: DataView, at: number, port: number, bits: number, access: number): void {
  view.setUint8(at, SYSTEM_IO);
  view.setUint8(at + 1, bits);
  view.setUint8(at + 3, access);
  view.setBigUint64(at + 4, BigInt(port), true);
}

// ---- MADT (ACPI 6.4, 5.2.12)
const le = (value: number, bytes: number): number[] => Array.from({ length: bytes }, (_, i) => (value >>> (8 * i)) & 0xff);
const PCAT_COMPAT = 1;
const LAPIC_ENABLED = 1;
/** Active high, level-triggered: what a SCI on an IOAPIC pin of this machine is. */
const LEVEL_HIGH = 0x0d;

function buildMadt(options: AcpiOptions): number[] {
  const processors = Array.from({ length: options.cpus }, (_, id) => [0, 8, id, id, ...le(LAPIC_ENABLED, 4)]);
  const ioapic = [1, 12, options.cpus, 0, ...le(IOAPIC_ADDRESS, 4), ...le(0, 4)];
  const override = (irq: number, gsi: number, flags: number): number[] => [2, 10, 0, irq, ...le(gsi, 4), ...le(flags, 2)];
  const overrides = [...(options.irq0Override ? override(0, 2, 0) : []), ...override(IRQ_SCI, IRQ_SCI, LEVEL_HIGH)];
  const nmiOnLint1 = [4, 6, 0xff, 0, 0, 1];
  return [...le(LAPIC_ADDRESS, 4), ...le(PCAT_COMPAT, 4), ...processors.flat(), ...ioapic, ...overrides, ...nmiOnLint1];
}

// ---- DSDT
/** Present, enabled, shown, working. */
const STA_PRESENT = 0x0f;
const STA_HIDDEN = 0x0b;

function buildDsdt(options: AcpiOptions): Aml {
  const devices = [
    serial('COM1', 1, PORT_COM1, IRQ_COM1),
    ...(options.com2 ? [serial('COM2', 2, PORT_COM2, IRQ_COM2)] : []),
    isa('RTC', amlEisaId('PNP0B00'), [amlIo(PORT_RTC, 2), amlIrq(IRQ_RTC)]),
    ...(options.keyboard
      ? [isa('KBD', amlEisaId('PNP0303'), [amlIo(PORT_I8042_DATA, 1), amlIo(PORT_I8042_COMMAND, 1), amlIrq(IRQ_KEYBOARD)])]
      : []),
    amlDevice(
      'FWCF',
      amlName('_HID', amlString('QEMU0002')),
      amlName('_STA', amlInt(STA_HIDDEN)),
      amlName('_CRS', amlResourceTemplate(amlIo(PORT_FW_CFG, 12))),
    ),
  ];
  const s5 = amlName('\\_S5', amlPackage(amlInt(SLP_TYP_S5), amlInt(SLP_TYP_S5), amlInt(0), amlInt(0)));
  return [...amlScope('\\_SB', ...devices), ...s5];
}

const serial = (name: string, uid: number, port: number, irq: number): Aml =>
  isa(name, amlEisaId('PNP0501'), [amlIo(port, 8), amlIrq(irq)], uid);

function isa(name: string, hid: Aml, resources: readonly Aml[], uid = 0): Aml {
  return amlDevice(
    name,
    amlName('_HID', hid),
    ...(uid === 0 ? [] : [amlName('_UID', amlInt(uid))]),
    amlName('_STA', amlInt(STA_PRESENT)),
    amlName('_CRS', amlResourceTemplate(...resources)),
  );
}
