/**
 * The part of the WebAssembly JavaScript API that the core packages use. The language's own libraries for TypeScript
 * have it only in `dom`, which core packages must not see.
 */
declare namespace WebAssembly {
  interface MemoryDescriptor { initial: number; maximum?: number; shared?: boolean }
  class Memory { constructor(descriptor: MemoryDescriptor); readonly buffer: SharedArrayBuffer & ArrayBuffer; grow(delta: number): number }
  class Module { constructor(bytes: ArrayBufferView | ArrayBuffer) }
  class Instance { constructor(module: Module, imports?: Imports); readonly exports: Exports }
  interface TableDescriptor { element: 'anyfunc' | 'externref'; initial: number; maximum?: number }
  class Table { constructor(descriptor: TableDescriptor); readonly length: number; get(index: number): unknown; set(index: number, value: unknown): void; grow(delta: number): number }
  class Global { constructor(descriptor: { value: string; mutable?: boolean }, value?: unknown); value: unknown }
  class RuntimeError extends Error {}
  type ExportValue = ((...args: never[]) => unknown) | Memory | Table | Global;
  type Exports = Record<string, ExportValue>;
  type Imports = Record<string, Record<string, unknown>>;
}
