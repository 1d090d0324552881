/** The header of ACPI tables and their checksum (ACPI 6.4, 5.2.6). */

export const ACPI_HEADER_SIZE = 36;
const OEM_ID = 'VMQEMU';
const OEM_TABLE_ID = 'VMMICRO ';
const CREATOR_ID = 'VMTS';

/** What to add to the last byte so that all bytes add up to zero. */
export function acpiChecksum(bytes: Uint8Array): number {
  return -bytes.reduce((sum, byte) => sum + byte, 0) & 0xff;
}

export function putAscii(bytes: Uint8Array, at: number, text: string): void {
  for (let i = 0; i < text.length; i++) bytes[at + i] = text.charCodeAt(i);
}

/** A table of a signature and revision around a body (what follows the header). */
export function acpiTable(signature: string, revision: number, body: ArrayLike<number>): Uint8Array {
  const bytes = new Uint8Array(ACPI_HEADER_SIZE + body.length);
  const view = new DataView(bytes.buffer);
  putAscii(bytes, 0, signature);
  view.setUint32(4, bytes.length, true);
  bytes[8] = revision;
  putAscii(bytes, 10, OEM_ID);
  putAscii(bytes, 16, OEM_TABLE_ID);
  view.setUint32(24, 1, true);
  putAscii(bytes, 28, CREATOR_ID);
  view.setUint32(32, 1, true);
  bytes.set(body, ACPI_HEADER_SIZE);
  bytes[9] = acpiChecksum(bytes);
  return bytes;
}
