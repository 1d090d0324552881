/** A growing array of bytes with the number encodings of WebAssembly's binary format. */
export class ByteWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  length = 0;

  constructor(capacity = 1024) {
    this.#bytes = new Uint8Array(capacity);
  }

  byte(value: number): void {
    if (this.length === this.#bytes.length) this.#grow(1);
    this.#bytes[this.length++] = value;
  }

  bytes(values: ArrayLike<number>): void {
    if (this.length + values.length > this.#bytes.length) this.#grow(values.length);
    this.#bytes.set(values, this.length);
    this.length += values.length;
  }

  append(other: ByteWriter): void {
    this.bytes(other.finish());
  }

  /** LEB128, unsigned 32-bit. */
  u32(value: number): void {
    let rest = value >>> 0;
    while (rest > 0x7f) {
      this.byte((rest & 0x7f) | 0x80);
      rest >>>= 7;
    }
    this.byte(rest);
  }

  /** LEB128, signed 32-bit. */
  s32(value: number): void {
    let rest = value | 0;
    while (rest < -64 || rest > 63) {
      this.byte((rest & 0x7f) | 0x80);
      rest >>= 7;
    }
    this.byte(rest & 0x7f);
  }

  /** LEB128, signed 64-bit, from two 32-bit halves. */
  s64(low: number, high: number): void {
    let lo = low | 0;
    let hi = high | 0;
    for (;;) {
      const byte = lo & 0x7f;
      lo = (lo >>> 7) | (hi << 25);
      hi >>= 7;
      const done = (lo === 0 && hi === 0 && (byte & 0x40) === 0) || (lo === -1 && hi === -1 && (byte & 0x40) !== 0);
      if (done) {
        this.byte(byte);
        return;
      }
      this.byte(byte | 0x80);
    }
  }

  f64(value: number): void {
    this.bytes(new Uint8Array(new Float64Array([value]).buffer));
  }

  name(text: string): void {
    this.u32(text.length);
    for (let i = 0; i < text.length; i++) this.byte(text.charCodeAt(i) & 0x7f);
  }

  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.length);
  }

  /** What was written, as a copy; writing begins anew. */
  take(): Uint8Array<ArrayBuffer> {
    const taken = this.#bytes.slice(0, this.length);
    this.length = 0;
    return taken;
  }

  #grow(more: number): void {
    const next = new Uint8Array(Math.max(this.#bytes.length * 2, this.length + more));
    next.set(this.#bytes.subarray(0, this.length));
    this.#bytes = next;
  }
}
