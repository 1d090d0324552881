/** Made from ap16.asm by tools/assemble.ts. */
import type { GuestImage } from '../src/guest-image.ts';

export const ap16: GuestImage = {
  base64:
    'McCO2McGAPBaAOb09Ov9',
  symbols: {
    'start': 0x0,
    'start.stop': 0xc,
  },
};
