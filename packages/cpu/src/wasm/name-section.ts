/**
 * Names of modules and functions, for profilers and debuggers (WebAssembly core specification, appendix "Custom Sections", Name
 * Section). V8 shows a module's name in the URL of its functions: `wasm://wasm/<name>-<hash>`.
 */
import { ByteWriter } from './byte-writer.ts';

const CUSTOM_SECTION = 0;
const EXPORT_SECTION = 7;
const MODULE_NAME = 0;
const FUNCTION_NAMES = 1;
const FUNCTION_EXPORT = 0;
const HEADER_BYTES = 8;

export function nameSection(module: string, functions: ReadonlyMap<number, string> = new Map()): Uint8Array {
  const content = new ByteWriter();
  content.name('name');
  subsection(content, MODULE_NAME, (w) => w.name(module));
  if (functions.size > 0)
    subsection(content, FUNCTION_NAMES, (w) => {
      w.u32(functions.size);
      for (const index of [...functions.keys()].toSorted((a, b) => a - b)) {
        w.u32(index);
        w.name(functions.get(index)!);
      }
    });
  const section = new ByteWriter(content.length + 8);
  section.byte(CUSTOM_SECTION);
  section.u32(content.length);
  section.append(content);
  return section.finish().slice();
}

/** The module with its name, and its functions named as they are exported. */
export function withNames(bytes: Uint8Array, module: string): Uint8Array<ArrayBuffer> {
  const names = nameSection(module, exportedFunctions(bytes));
  const named = new Uint8Array(bytes.length + names.length);
  named.set(bytes);
  named.set(names, bytes.length);
  return named;
}

/** Function indices with the names of their exports. The module must be valid. */
function exportedFunctions(bytes: Uint8Array): Map<number, string> {
  const reader = new Reader(bytes, HEADER_BYTES);
  const functions = new Map<number, string>();
  while (!reader.ended) {
    const id = reader.byte();
    const length = reader.u32();
    if (id !== EXPORT_SECTION) {
      reader.at += length;
      continue;
    }
    for (let left = reader.u32(); left > 0; left--) {
      const name = reader.name();
      const kind = reader.byte();
      const index = reader.u32();
      if (kind === FUNCTION_EXPORT) functions.set(index, name);
    }
    break;
  }
  return functions;
}

function subsection(out: ByteWriter, id: number, write: (w: ByteWriter) => void): void {
  const body = new ByteWriter();
  write(body);
  out.byte(id);
  out.u32(body.length);
  out.append(body);
}

class Reader {
  readonly #bytes: Uint8Array;
  at: number;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  get ended(): boolean {
    return this.at >= this.#bytes.length;
  }

  byte(): number {
    return this.#bytes[this.at++]!;
  }

  u32(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.byte();
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
  }

  /** Export names here are ASCII. */
  name(): string {
    const length = this.u32();
    this.at += length;
    return String.fromCharCode(...this.#bytes.subarray(this.at - length, this.at));
  }
}
