/**
 * A PC of the npm package v86 without a screen: boots a Linux kernel by v86's option ROM and writes what comes over the
 * serial port to standard output, until it is killed.
 *
 *   node v86-machine.ts KERNEL INITRD APPEND MEMORY_MIB BIOS VGA_BIOS
 */
import { fileURLToPath } from 'node:url';
import { V86 } from 'v86';

const MIB = 2 ** 20;
const [kernel = '', initrd = '', cmdline = '', memory = '', bios = '', vgaBios = ''] = process.argv.slice(2);
const machine = new V86({
  wasm_path: fileURLToPath(import.meta.resolve('v86/build/v86.wasm')),
  bios: { url: bios },
  vga_bios: { url: vgaBios },
  bzimage: { url: kernel },
  initrd: { url: initrd },
  cmdline,
  memory_size: Number(memory) * MIB,
  vga_memory_size: 8 * MIB,
  disable_speaker: true,
  autostart: true,
});
machine.add_listener('serial0-output-byte', (byte: number) => process.stdout.write(Uint8Array.of(byte)));
