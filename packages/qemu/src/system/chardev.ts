/** The far end of a character device: a terminal, a buffer, a socket. */
export interface CharBackend {
  /** The bytes are the device's own buffer: they hold only during the call. */
  write(bytes: Uint8Array): void;
}

/** What a character device shows to the end that feeds it. */
export interface CharFrontend {
  /** How many bytes it takes now. */
  canReceive(): number;
  receive(bytes: Uint8Array): void;
}

/**
 * Bytes on their way to a device that takes few at a time: they wait here, in order, until the device has room. The
 * device calls `acceptInput` when the guest has read (qemu_chr_fe_accept_input).
 */
export class CharInput {
  readonly #frontend: () => CharFrontend;
  readonly #queue: Uint8Array[] = [];
  #offset = 0;
  #busy = false;

  constructor(frontend: () => CharFrontend) {
    this.#frontend = frontend;
  }

  push(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#queue.push(bytes.slice());
    this.acceptInput();
  }

  get empty(): boolean {
    return this.#queue.length === 0;
  }

  clear(): void {
    this.#queue.length = 0;
    this.#offset = 0;
  }

  acceptInput(): void {
    if (this.#busy) return;
    this.#busy = true;
    try {
      const frontend = this.#frontend();
      for (let head = this.#queue[0]; head !== undefined; head = this.#queue[0]) {
        const count = Math.min(frontend.canReceive(), head.length - this.#offset);
        if (count <= 0) return;
        frontend.receive(head.subarray(this.#offset, this.#offset + count));
        this.#offset += count;
        if (this.#offset < head.length) continue;
        this.#queue.shift();
        this.#offset = 0;
      }
    } finally {
      this.#busy = false;
    }
  }
}

const BUFFER_SIZE = 4096;

/**
 * Collects what a device sends byte by byte. The machine flushes it whenever the vCPU comes out of the guest to wait, and
 * it flushes itself when it is full.
 */
export class CharBuffer implements CharBackend {
  readonly #sink: (bytes: Uint8Array) => void;
  readonly #buffer: Uint8Array = new Uint8Array(BUFFER_SIZE);
  #length = 0;

  /** The bytes given to `sink` are its own to keep. */
  constructor(sink: (bytes: Uint8Array) => void) {
    this.#sink = sink;
  }

  write(bytes: Uint8Array): void {
    for (const byte of bytes) {
      this.#buffer[this.#length++] = byte;
      if (this.#length === BUFFER_SIZE) this.flush();
    }
  }

  flush(): void {
    if (this.#length === 0) return;
    const bytes = this.#buffer.slice(0, this.#length);
    this.#length = 0;
    this.#sink(bytes);
  }
}
