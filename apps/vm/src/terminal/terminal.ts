/**
 * The user's terminal as the guest's serial line: raw while the guest runs, restored however the program ends. Works as
 * well when standard input and output are pipes or files; the end of standard input does not end the guest.
 */
import type { Readable } from 'node:stream';
import type { ReadStream } from 'node:tty';
import { EscapeFilter, type EscapeCommand } from './escape.ts';

const FLUSH_BYTES = 4096;
const LINE_FEED = 10;
/** Signals that end the program; 128 + number is its status then. */
const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGTERM: 15 } as const;

export interface TerminalHandlers {
  /** Bytes for the guest. */
  readonly input: (bytes: Uint8Array) => void;
  readonly command: (command: EscapeCommand) => void;
  /** A signal, or the reader of our output, asks to end with this status. */
  readonly terminate: (status: number) => void;
}

export class Terminal {
  readonly #input: Readable & Partial<Pick<ReadStream, 'isTTY' | 'setRawMode'>>;
  readonly #output: NodeJS.WriteStream;
  readonly #handlers: TerminalHandlers;
  readonly #escape: EscapeFilter = new EscapeFilter();
  readonly #undo: (() => void)[] = [];
  #buffer: Uint8Array = new Uint8Array(FLUSH_BYTES);
  #used = 0;
  #flushing = false;

  constructor(handlers: TerminalHandlers, input: NodeJS.ReadStream = process.stdin, output: NodeJS.WriteStream = process.stdout) {
    this.#handlers = handlers;
    this.#input = input;
    this.#output = output;
  }

  get interactive(): boolean {
    return this.#input.isTTY === true;
  }

  open(): void {
    for (const [signal, number] of Object.entries(SIGNALS)) this.#on(process, signal, () => this.#handlers.terminate(128 + number));
    this.#on(process, 'exit', () => this.close());
    this.#on(this.#output, 'error', (error: NodeJS.ErrnoException) => this.#handlers.terminate(error.code === 'EPIPE' ? 141 : 1));
    this.#on(this.#input, 'data', (bytes: Uint8Array) => this.#read(bytes));
    // A terminal that was hung up, or a standard input that was never open: the guest goes on without.
    this.#on(this.#input, 'error', () => undefined);
    if (this.interactive) {
      this.#input.setRawMode?.(true);
      this.#undo.push(() => this.#input.setRawMode?.(false));
      this.#on(process, 'SIGCONT', () => this.#input.setRawMode?.(true));
    }
    this.#input.resume();
  }

  /** Writes what is left and gives the terminal back; may be called more than once. */
  close(): void {
    this.flush();
    for (const undo of this.#undo.splice(0).toReversed()) undo();
    this.#input.pause();
  }

  /** Bytes from the guest. They are kept until the end of a line or until the event loop turns. */
  write(bytes: Uint8Array): void {
    for (const byte of bytes) {
      this.#buffer[this.#used++] = byte;
      if (byte === LINE_FEED || this.#used === FLUSH_BYTES) this.flush();
    }
    if (this.#used === 0 || this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => {
      this.#flushing = false;
      this.flush();
    });
  }

  /** A line of our own, in between the guest's. */
  say(line: string): void {
    this.flush();
    process.stderr.write(this.interactive ? `\r\n${line.replaceAll('\n', '\r\n')}\r\n` : `${line}\n`);
  }

  flush(): void {
    if (this.#used === 0) return;
    const bytes = this.#buffer.slice(0, this.#used);
    this.#used = 0;
    this.#output.write(bytes);
  }

  #read(bytes: Uint8Array): void {
    // From a pipe every byte is the guest's: a program at the other end knows no escape key.
    if (this.interactive) this.#escape.push(bytes, this.#handlers.input, this.#handlers.command);
    else this.#handlers.input(bytes);
  }

  #on(emitter: NodeJS.EventEmitter, event: string, listener: (...values: never[]) => void): void {
    const wide = listener as (...values: unknown[]) => void;
    emitter.on(event, wide);
    this.#undo.push(() => emitter.off(event, wide));
  }
}
