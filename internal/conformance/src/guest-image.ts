import { LAYOUT } from './layout.ts';

/** An assembled guest, to be loaded at LAYOUT.CODE. */
export interface GuestImage {
  readonly base64: string;
  /** Addresses of the labels; local ones as `label.local`. */
  readonly symbols: Readonly<Record<string, number>>;
}

export const bytesOfImage = (image: GuestImage): Uint8Array => Uint8Array.from(atob(image.base64), (char) => char.charCodeAt(0));

/** Address of a label; throws when the guest has none of that name. */
export const symbol = (image: GuestImage, label: string): number => {
  const address = image.symbols[label];
  if (address === undefined) throw new RangeError(`the guest has no label ${label}`);
  return address;
};

/** The stub that reports an exception nobody expected. */
export const faultStub = (image: GuestImage, vector: number): number => symbol(image, 'faults') + vector * 8;

/** The label before an address, and the distance: for messages. */
export const nearest = (image: GuestImage, address: number): string => {
  let best = ['start', LAYOUT.CODE] as const as readonly [string, number];
  for (const entry of Object.entries(image.symbols)) if (entry[1] <= address && entry[1] >= best[1]) best = entry;
  return `${best[0]}+${address - best[1]}`;
};
