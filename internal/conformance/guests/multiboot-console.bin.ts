/** Made from multiboot-console.asm by tools/assemble.ts. */
import type { GuestImage } from '../src/guest-image.ts';

export const multibootConsole: GuestImage = {
  base64:
    'f0VMRgEBAQAAAAAAAAAAAAIAAwABAAAAYAAQADQAAAAAAAAAAAAAADQAIAABACgAAAAAAAEAAAAAAAAAAAAQAAAAEA' +
    'BiAQAAAAACAAcAAAAAEAAAArCtGwMAAAD7T1Lk+rwAgBEADwEVUAEQAOp0ABAACABmuBAAjtiOwI7QuP4AEABmoyAB' +
    'EQBmxwUiAREACABmxwUkAREAAI7B6BBmoyYBEQAPAR1WARAAsBFmuiAA7rAgZrohAO6wBGa6IQDusAFmuiEA7rD/Zr' +
    'qhAO6w72a6IQDusFpmuv8D7ma6/wPsPFp1R7AIZrr8A+6wAWa6+QPusD5muvgD7vv06/xmuvgD7DxxdB48c3QPPHR0' +
    'Df7A7rAgZrogAO7P6/4PAR1cARAADwuwAWa6AQXusH9mugEF7uv3kJCQAAAAAAAAAAD//wAAAJvPAP//AAAAk88AFw' +
    'A4ARAA/wEAABEAAAAAAAAA',
  symbols: {
    'image': 0x100000,
    'program': 0x100034,
    'start': 0x100060,
    'start.code': 0x100074,
    'start.sleep': 0x1000fa,
    'serial': 0x1000fe,
    'spin': 0x10011a,
    'triple': 0x10011c,
    'quit': 0x100125,
    'fail': 0x10012c,
    'gdt': 0x100138,
    'gdt_pointer': 0x100150,
    'idt_pointer': 0x100156,
    'none': 0x10015c,
    'file_end': 0x100162,
  },
};
