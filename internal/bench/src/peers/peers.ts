/** The machines that run the same guest: ours, v86's PC and QEMU's translator. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Arch, Images } from '../guest-programs.ts';
import { type Command, VM } from '../vm-process.ts';

export const MEMORY_MIB = 512;

export type PeerName = 'ours' | 'v86' | 'qemu';

export interface Guest extends Images {
  readonly append: string;
}

export interface Peer {
  readonly name: PeerName;
  readonly title: string;
  readonly command: (guest: Guest) => Command;
}

const V86_MACHINE = resolve(import.meta.dirname, 'v86-machine.ts');
/** Debian's package seabios; v86 has room for the 128 KiB build alone. */
const SEABIOS = { bios: '/usr/share/seabios/bios.bin', vga: '/usr/share/seabios/vgabios-stdvga.bin' };

/** The command line of a working tree, built. */
export function ours(vm: string = VM): Peer {
  return {
    name: 'ours', title: 'ours',
    command: ({ kernel, initrd, append }) => ({
      program: process.execPath,
      args: [vm, 'run', '--no-reboot', '--memory', String(MEMORY_MIB), '--kernel', kernel, '--initrd', initrd, '--append', append],
    }),
  };
}

/**
 * `pc` boots on a busy computer too. On `microvm`, which boots faster, the kernel has only the PIT to find the TSC's frequency with, and
 * stops for ever when that took too long.
 */
export const QEMU_MACHINES = ['pc', 'microvm'] as const;
export type QemuMachine = (typeof QEMU_MACHINES)[number];

export function qemu(machine: QemuMachine): Peer {
  return {
    name: 'qemu', title: 'QEMU',
    command: ({ kernel, initrd, append }) => ({
      program: 'qemu-system-x86_64',
      args: [
        '-M', machine, '-accel', 'tcg', '-nic', 'none', '-nographic', '-no-reboot', '-m', String(MEMORY_MIB),
        '-kernel', kernel, '-initrd', initrd, '-append', append,
      ],
    }),
  };
}

export function v86(): Peer {
  return {
    name: 'v86', title: 'v86',
    command: ({ kernel, initrd, append }) => ({
      program: process.execPath, args: [V86_MACHINE, kernel, initrd, append, String(MEMORY_MIB), SEABIOS.bios, SEABIOS.vga],
    }),
  };
}

export function hasQemu(): boolean {
  try {
    execFileSync('qemu-system-x86_64', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Those that can run here; `say` is told what the others lack. v86 knows no 64-bit code. */
export function peersFor(arch: Arch, machine: QemuMachine, say: (line: string) => void): Peer[] {
  const peers = [ours()];
  if (arch === 'i386') {
    if (Object.values(SEABIOS).every((file) => existsSync(file))) peers.push(v86());
    else say('without v86: it boots with SeaBIOS, which is not installed (apt-get install seabios)');
  }
  if (hasQemu()) peers.push(qemu(machine));
  else say('without QEMU: qemu-system-x86_64 is not installed (apt-get install qemu-system-x86)');
  return peers;
}
