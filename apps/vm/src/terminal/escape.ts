/** The escape key of the terminal, Ctrl-A, and the commands behind it, after QEMU's `-nographic`. */

export type EscapeCommand = 'leave' | 'help' | 'statistics';

const CTRL_A = 0x01;
const COMMANDS: Readonly<Record<string, EscapeCommand>> = { x: 'leave', h: 'help', '?': 'help', s: 'statistics' };

export const ESCAPE_HELP = [
  'Ctrl-A H       this help',
  'Ctrl-A X       leave',
  'Ctrl-A S       statistics of VM exits so far',
  'Ctrl-A Ctrl-A  send Ctrl-A',
] as const;

/** Divides what is typed into what goes to the guest and commands to the terminal. */
export class EscapeFilter {
  #escaped = false;

  /** Calls back in order: `send` with bytes for the guest, `command` for each command. */
  push(bytes: Uint8Array, send: (bytes: Uint8Array) => void, command: (command: EscapeCommand) => void): void {
    let start = 0;
    for (let at = 0; at < bytes.length; at++) {
      const byte = bytes[at]!;
      if (this.#escaped) {
        this.#escaped = false;
        const found = COMMANDS[String.fromCharCode(byte).toLowerCase()];
        if (found !== undefined) command(found);
        // Ctrl-A twice is one Ctrl-A; an unknown command is dropped.
        start = byte === CTRL_A ? at : at + 1;
      } else if (byte === CTRL_A) {
        if (at > start) send(bytes.subarray(start, at));
        this.#escaped = true;
        start = at + 1;
      }
    }
    if (start < bytes.length) send(bytes.subarray(start));
  }
}
