import { long64 } from '../guests/long64.bin.ts';
import { protected32 } from '../guests/protected32.bin.ts';
import { real16 } from '../guests/real16.bin.ts';
import type { GuestImage } from './guest-image.ts';
import type { Mode } from './guest-state.ts';

/** The guest of each mode: one image with an entry for each thing to show. */
export const IMAGES: Readonly<Record<Mode, GuestImage>> = { real: real16, protected: protected32, long: long64 };
