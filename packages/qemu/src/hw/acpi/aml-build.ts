/** ACPI Machine Language, as far as a machine without methods needs it (ACPI 6.4, chapters 19.6, 20.2 and 6.4). */

export type Aml = readonly number[];

const ZERO_OP = 0x00;
const ONE_OP = 0x01;
const NAME_OP = 0x08;
const BYTE_PREFIX = 0x0a;
const WORD_PREFIX = 0x0b;
const DWORD_PREFIX = 0x0c;
const STRING_PREFIX = 0x0d;
const SCOPE_OP = 0x10;
const BUFFER_OP = 0x11;
const PACKAGE_OP = 0x12;
const DEVICE_OP: Aml = [0x5b, 0x82];
const ROOT_CHAR = 0x5c;
const DUAL_NAME_PREFIX = 0x2e;
const MULTI_NAME_PREFIX = 0x2f;
const IO_DESCRIPTOR = 0x47;
const IRQ_DESCRIPTOR = 0x22;
const END_TAG: Aml = [0x79, 0x00];

const ascii = (text: string): number[] => Array.from(text, (c) => c.charCodeAt(0));
const le = (value: number, bytes: number): number[] => Array.from({ length: bytes }, (_, i) => (value / 2 ** (8 * i)) & 0xff);

/** A path: `\_SB`, `COM1`, `\_SB.COM1`; segments are padded with underscores to four characters. */
function nameString(path: string): number[] {
  const root = path.startsWith('\\');
  const segments = (root ? path.slice(1) : path).split('.').map((segment) => ascii(segment.padEnd(4, '_')));
  const prefix = segments.length === 1 ? [] : segments.length === 2 ? [DUAL_NAME_PREFIX] : [MULTI_NAME_PREFIX, segments.length];
  return [...(root ? [ROOT_CHAR] : []), ...prefix, ...segments.flat()];
}

/** PkgLength counts itself too: one byte up to 63, else the low four bits first and one to three bytes more. */
function withLength(body: Aml): number[] {
  if (body.length + 1 < 1 << 6) return [body.length + 1, ...body];
  const extra = body.length + 2 < 1 << 12 ? 1 : body.length + 3 < 1 << 20 ? 2 : 3;
  const length = body.length + 1 + extra;
  return [(extra << 6) | (length & 0x0f), ...le(length >> 4, extra), ...body];
}

export function amlInt(value: number): Aml {
  if (value === 0) return [ZERO_OP];
  if (value === 1) return [ONE_OP];
  if (value < 0x100) return [BYTE_PREFIX, value];
  if (value < 0x1_0000) return [WORD_PREFIX, ...le(value, 2)];
  return [DWORD_PREFIX, ...le(value, 4)];
}

export const amlString = (text: string): Aml => [STRING_PREFIX, ...ascii(text), 0];

/** A compressed EISA identifier such as PNP0501. */
export function amlEisaId(id: string): Aml {
  const letters = ascii(id.slice(0, 3)).map((c) => (c - 0x40) & 0x1f) as [number, number, number];
  const vendor = (letters[0] << 10) | (letters[1] << 5) | letters[2];
  const product = Number.parseInt(id.slice(3), 16);
  return [DWORD_PREFIX, vendor >> 8, vendor & 0xff, product >> 8, product & 0xff];
}

export const amlName = (name: string, value: Aml): Aml => [NAME_OP, ...nameString(name), ...value];
export const amlScope = (name: string, ...terms: readonly Aml[]): Aml => [SCOPE_OP, ...withLength([...nameString(name), ...terms.flat()])];
export const amlDevice = (name: string, ...terms: readonly Aml[]): Aml => [
  ...DEVICE_OP,
  ...withLength([...nameString(name), ...terms.flat()]),
];
export const amlPackage = (...elements: readonly Aml[]): Aml => [PACKAGE_OP, ...withLength([elements.length, ...elements.flat()])];
const amlBuffer = (bytes: Aml): Aml => [BUFFER_OP, ...withLength([...amlInt(bytes.length), ...bytes])];
export const amlResourceTemplate = (...descriptors: readonly Aml[]): Aml => amlBuffer([...descriptors.flat(), ...END_TAG]);

/** `length` ports from `port`, all 16 address bits decoded. */
export const amlIo = (port: number, length: number): Aml => [IO_DESCRIPTOR, 1, ...le(port, 2), ...le(port, 2), 0, length];
/** An edge-triggered, active-high ISA interrupt. */
export const amlIrq = (irq: number): Aml => [IRQ_DESCRIPTOR, ...le(1 << irq, 2)];
