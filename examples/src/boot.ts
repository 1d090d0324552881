/** Boots a kernel file on the three layers: node boot.ts KERNEL */
import { readFile } from 'node:fs/promises';
import { createVm } from '@vm/stack';

const kernel = await readFile(process.argv[2]!);
const vm = await createVm({ kernel, memory: 128, append: 'console=ttyS0', console: (bytes) => process.stdout.write(bytes) });
process.stdin.on('data', (bytes: Buffer) => vm.input(bytes));
const end = await vm.run();
process.exit(end.code);
