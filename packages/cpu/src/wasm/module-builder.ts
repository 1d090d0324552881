import { ByteWriter } from './byte-writer.ts';
import { nameSection } from './name-section.ts';
import { FUNCREF, I32, type ValueType } from './opcodes.ts';

/** A function's parameters and results. */
export interface Signature {
  readonly params: readonly ValueType[];
  readonly results: readonly ValueType[];
}

interface FunctionBody {
  readonly type: number;
  readonly body: Uint8Array;
}

/**
 * Collects a WebAssembly module: imports first (their indices come first), then functions, a table of functions, and
 * exports. One shared memory is imported as `env.memory`.
 */
export class ModuleBuilder {
  /** Shown by profilers; null: the module has none. */
  name: string | null = null;
  readonly #types: string[] = [];
  readonly #typeBytes: ByteWriter[] = [];
  readonly #imports: { module: string; name: string; type: number }[] = [];
  readonly #globals: { module: string; name: string }[] = [];
  readonly #tables: { module: string; name: string }[] = [];
  readonly #functions: FunctionBody[] = [];
  readonly #exports: { name: string; index: number }[] = [];
  readonly #elements: number[] = [];

  type(signature: Signature): number {
    const key = `${signature.params.join()}>${signature.results.join()}`;
    const known = this.#types.indexOf(key);
    if (known >= 0) return known;
    const bytes = new ByteWriter(16);
    bytes.byte(0x60);
    bytes.u32(signature.params.length);
    for (const type of signature.params) bytes.byte(type);
    bytes.u32(signature.results.length);
    for (const type of signature.results) bytes.byte(type);
    this.#typeBytes.push(bytes);
    return this.#types.push(key) - 1;
  }

  /** Imports a function; all imports must come before the first function. Returns its index. */
  importFunction(module: string, name: string, signature: Signature): number {
    if (this.#functions.length > 0) throw new Error(`import of ${module}.${name} after the first function`);
    return this.#imports.push({ module, name, type: this.type(signature) }) - 1;
  }

  /** Imports an immutable i32; returns its index. */
  importGlobal(module: string, name: string): number {
    return this.#globals.push({ module, name }) - 1;
  }

  /** Imports a table of functions; returns its index. Imported tables come before the module's own. */
  importTable(module: string, name: string): number {
    return this.#tables.push({ module, name }) - 1;
  }

  /** Index of the module's own table. */
  get ownTable(): number {
    return this.#tables.length;
  }

  /** Adds a function whose encoded body (locals and code, without its size) is `body`; returns its index. */
  addFunction(signature: Signature, body: Uint8Array): number {
    const type = this.type(signature);
    return this.#imports.length + this.#functions.push({ type, body: body.slice() }) - 1;
  }

  /** Puts a function into the table; returns its place. */
  addElement(functionIndex: number): number {
    return this.#elements.push(functionIndex) - 1;
  }

  exportFunction(name: string, index: number): void {
    this.#exports.push({ name, index });
  }

  finish(): Uint8Array<ArrayBuffer> {
    const out = new ByteWriter(1 << 16);
    out.bytes([0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
    section(out, 1, this.#typeBytes, (w, type) => w.append(type));
    this.#importSection(out);
    section(out, 3, this.#functions, (w, f) => w.u32(f.type));
    if (this.#elements.length > 0)
      section(out, 4, [this.#elements.length], (w, n) => {
        w.bytes([FUNCREF, 0]);
        w.u32(n);
      });
    section(out, 7, this.#exports, (w, e) => {
      w.name(e.name);
      w.byte(0);
      w.u32(e.index);
    });
    if (this.#elements.length > 0)
      section(out, 9, [this.#elements], (w, elements) => {
        // Active, for a table by its index, from offset 0, of function indices.
        w.byte(2);
        w.u32(this.ownTable);
        w.bytes([0x41, 0, 0x0b, 0]);
        w.u32(elements.length);
        for (const index of elements) w.u32(index);
      });
    section(out, 10, this.#functions, (w, f) => {
      w.u32(f.body.length);
      w.bytes(f.body);
    });
    if (this.name !== null) out.bytes(nameSection(this.name));
    return out.finish().slice();
  }

  #importSection(out: ByteWriter): void {
    const entries: ((w: ByteWriter) => void)[] = [
      (w): void => {
        w.name('env');
        w.name('memory');
        w.bytes([2, 3]); // a memory, shared with a maximum
        w.u32(1);
        w.u32(65536);
      },
      ...this.#imports.map((entry) => (w: ByteWriter): void => {
        w.name(entry.module);
        w.name(entry.name);
        w.byte(0);
        w.u32(entry.type);
      }),
      ...this.#globals.map((entry) => (w: ByteWriter): void => {
        w.name(entry.module);
        w.name(entry.name);
        w.bytes([3, I32, 0]);
      }),
      ...this.#tables.map((entry) => (w: ByteWriter): void => {
        w.name(entry.module);
        w.name(entry.name);
        w.bytes([1, FUNCREF, 0, 0]);
      }),
    ];
    section(out, 2, entries, (w, write) => write(w));
  }
}

function section<T>(out: ByteWriter, id: number, items: readonly T[], write: (w: ByteWriter, item: T) => void): void {
  if (items.length === 0) return;
  const body = new ByteWriter();
  body.u32(items.length);
  for (const item of items) write(body, item);
  out.byte(id);
  out.u32(body.length);
  out.append(body);
}
