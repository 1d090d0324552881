/**
 * The `newc` cpio archive that Linux takes as an initramfs (kernel: Documentation/driver-api/early-userspace/
 * buffer-format.rst). Entries are written with fixed owners and times, so that equal content gives equal bytes.
 */

/** One file of the archive. Paths are relative to the root and use `/`. */
export interface CpioEntry {
  readonly path: string;
  readonly type: 'file' | 'directory' | 'symlink' | 'character';
  /** Permission bits; by default 0755 for directories and 0644 for the rest. */
  readonly mode?: number;
  /** Content of a file, target of a symlink. */
  readonly data?: Uint8Array | string;
  /** Major and minor number of a character device. */
  readonly device?: readonly [major: number, minor: number];
}

const TYPE_BITS = { file: 0o100000, directory: 0o040000, symlink: 0o120000, character: 0o020000 } as const;
const DEFAULT_MODE = { file: 0o644, directory: 0o755, symlink: 0o777, character: 0o600 } as const;
const TRAILER = 'TRAILER!!!';

/** Bytes of the archive with these entries, in this order, closed by the trailer and padded to 512 bytes. */
export function writeCpio(entries: readonly CpioEntry[]): Uint8Array<ArrayBuffer> {
  const chunks: Uint8Array[] = [];
  let inode = 0;
  for (const entry of entries) pushEntry(chunks, entry, ++inode);
  pushEntry(chunks, { path: TRAILER, type: 'file', mode: 0 }, 0);
  const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  const bytes = new Uint8Array(Math.ceil(length / 512) * 512);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

function pushEntry(chunks: Uint8Array[], entry: CpioEntry, inode: number): void {
  const name = Buffer.from(`${entry.path}\0`);
  const data = typeof entry.data === 'string' ? Buffer.from(entry.data) : (entry.data ?? new Uint8Array(0));
  const mode = entry.path === TRAILER ? 0 : TYPE_BITS[entry.type] | (entry.mode ?? DEFAULT_MODE[entry.type]);
  const [major, minor] = entry.device ?? [0, 0];
  const links = entry.type === 'directory' ? 2 : 1;
  // inode, mode, uid, gid, links, mtime, size, device of the file system (2), device of the node (2), name size, checksum
  const fields = [inode, mode, 0, 0, links, 0, data.length, 0, 0, major, minor, name.length, 0];
  const header = Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`);
  chunks.push(padded(Buffer.concat([header, name])), padded(data));
}

function padded(bytes: Uint8Array): Uint8Array {
  const rest = bytes.length % 4;
  if (rest === 0) return bytes;
  const out = new Uint8Array(bytes.length + 4 - rest);
  out.set(bytes);
  return out;
}
