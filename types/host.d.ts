/** What the core packages use of what every host has, beside WebAssembly. Tests have the same from Node's types. */
declare const performance: { now(): number };
declare class TextEncoder { encode(text?: string): Uint8Array<ArrayBuffer> }
declare class TextDecoder { constructor(label?: string); decode(bytes?: ArrayBufferView | ArrayBuffer): string }
