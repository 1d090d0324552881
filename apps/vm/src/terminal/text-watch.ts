/** Looks for a text in what comes in pieces. */
export class TextWatch {
  readonly #wanted: string;
  readonly #decoder = new TextDecoder();
  #tail = '';

  constructor(wanted: string) {
    this.#wanted = wanted;
  }

  /** Whether the text is complete with these bytes. */
  saw(bytes: Uint8Array): boolean {
    // The memory behind the bytes may be shared, which a decoder does not take.
    const text = this.#tail + this.#decoder.decode(bytes.slice(), { stream: true });
    const found = text.includes(this.#wanted);
    this.#tail = found ? '' : text.slice(-this.#wanted.length);
    return found;
  }
}
