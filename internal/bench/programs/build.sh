#!/bin/sh
# Builds the guest programs; the results are committed.
set -eu
cd "$(dirname "$0")"
flags='-O2 -std=gnu11 -Wall -Wextra -ffreestanding -fno-builtin -fno-tree-loop-distribute-patterns -fno-stack-protector -fno-asynchronous-unwind-tables -fno-pic -no-pie -static -nostdlib -Wl,--build-id=none -Wl,-z,noseparate-code -s'
gcc -m64 -mno-avx $flags -o programs-amd64 programs.c
gcc -m32 -march=i686 $flags -o programs-i386 programs.c

# Each as the only program of an initramfs.
for arch in amd64 i386; do
  ../../../node_modules/.bin/node --input-type=module -e "
    import { readFileSync, writeFileSync } from 'node:fs';
    import { writeCpio } from '../../../apps/vm/src/linux/cpio.ts';
    writeFileSync('programs-$arch.img', writeCpio([
      { path: 'dev', type: 'directory' }, { path: 'dev/console', type: 'character', device: [5, 1] },
      { path: 'programs', type: 'file', mode: 0o755, data: readFileSync('programs-$arch') },
    ]));"
  rm "programs-$arch"
done
