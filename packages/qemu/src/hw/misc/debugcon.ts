import type { CharBackend } from '../../system/chardev.ts';
import type { MemoryRegionOps } from '../../system/memory-region.ts';

/** isa-debugcon (hw/char/debugcon.c): each byte written goes out; reading gives a value to be recognised by. */
export function debugconOps(backend: CharBackend, readback = 0xe9): MemoryRegionOps {
  const byte = new Uint8Array(1);
  return {
    impl: { min: 1, max: 1 },
    read: () => readback,
    write: (_offset, _size, value) => {
      byte[0] = value;
      backend.write(byte);
    },
  };
}
