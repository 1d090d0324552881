import type { MemoryRegionOps } from '../../system/memory-region.ts';

/** Port 0x80: the POST code display, which software writes to in order to wait. Reads give all ones. */
export const ioport80Ops: MemoryRegionOps = {
  read: (_offset, size) => (size === 4 ? 0xffff_ffff : (1 << (size * 8)) - 1),
  write: () => {},
};
