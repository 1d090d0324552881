import { expect, test } from 'vitest';
import { attribute, type Part } from './attribution.ts';

const WASM = 'wasm://wasm/';
const PACKAGES = 'file:///somewhere/packages/';
const frames = {
  root: ['(root)', ''], run: ['run', `${PACKAGES}cpu/src/processor/driver.ts`], interpreter: ['wasm-function[7]', `${WASM}interpreter-00aa`],
  region: ['wasm-function[0]', `${WASM}region-12-00bb`], miss: ['readMiss', `${WASM}microcode-00cc`], walk: ['wasm-function[9]', `${WASM}microcode-00cc`],
  cpuid: ['op_cpuid', `${WASM}microcode-00cc`], entry: ['hostVmentry', `${WASM}microcode-00cc`], compile: ['compile', `${PACKAGES}cpu/dist/jit/jit.js`],
  decode: ['decode', `${PACKAGES}cpu/src/decode/decoder.ts`], translate: ['translate', `${PACKAGES}cpu/src/interpreter/translate.ts`], module: ['Module', ''],
  read: ['read', `${PACKAGES}kvm-run/src/memory/host-memory.ts`], kvm: ['vcpuRun', `${PACKAGES}kvm/src/vcpu-run.ts`],
  qemu: ['kvmCpuExec', 'file:///x/node_modules/@vm/qemu/dist/accel/kvm.js'], idle: ['(idle)', ''], gc: ['(garbage collector)', ''],
  sleep: ['waitForEvent', `${PACKAGES}cpu/src/processor/create-processor.ts`], vmwrite: ['vmwrite', `${PACKAGES}cpu/src/processor/vmx-processor.ts`],
  timer: ['listOnTimeout', 'node:internal/timers'],
} as const;

/** A profile with one sample at the end of each stack, a millisecond each. */
function profileOf(stacks: readonly (readonly (keyof typeof frames)[])[]): Parameters<typeof attribute>[0] {
  const nodes: Parameters<typeof attribute>[0]['nodes'] = [];
  const samples = stacks.map((stack) => {
    let parent: number | undefined;
    for (const name of stack) {
      const [functionName, url] = frames[name];
      const id = nodes.length + 1;
      nodes.push({ id, callFrame: { functionName, url, scriptId: '0', lineNumber: 0, columnNumber: 0 }, children: [] });
      if (parent !== undefined) nodes[parent - 1]!.children!.push(id);
      parent = id;
    }
    return parent!;
  });
  // The last sample has no end; another one shows where it is.
  return { nodes, startTime: 0, endTime: 0, samples: [...samples, samples[0]!], timeDeltas: [0, ...samples.map(() => 1000)] };
}

test.each<[Part, (keyof typeof frames)[]]>([
  ['interpreter', ['root', 'run', 'interpreter']],
  ['interpreter', ['root', 'qemu', 'kvm', 'run']],
  ['compiled code', ['root', 'run', 'interpreter', 'region']],
  ['TLB misses', ['root', 'run', 'region', 'miss']],
  ['TLB misses', ['root', 'run', 'region', 'miss', 'walk']],
  ['microcode', ['root', 'run', 'region', 'cpuid']],
  ['microcode', ['root', 'run', 'interpreter', 'walk']],
  ['world switches', ['root', 'kvm', 'vmwrite', 'entry', 'walk']],
  ['world switches', ['root', 'kvm', 'vmwrite']],
  ['compiling', ['root', 'run', 'compile', 'module']],
  ['compiling', ['root', 'run', 'compile', 'translate', 'decode']],
  ['translating', ['root', 'run', 'translate', 'decode']],
  ['KVM', ['root', 'qemu', 'kvm', 'read']],
  ['QEMU', ['root', 'qemu', 'read']],
  ['idle', ['root', 'idle']],
  ['idle', ['root', 'qemu', 'kvm', 'run', 'sleep']],
  ['garbage collection', ['root', 'gc']],
  ['host', ['root', 'timer']],
])('%s: %j', (part, stack) => {
  const { parts, seconds, samples } = attribute(profileOf([stack]));
  expect([...parts]).toEqual([[part, 0.001]]);
  expect({ seconds, samples }).toEqual({ seconds: 0.001, samples: 2 });
});

test('compiled code is told apart by region', () => {
  const { regions, parts } = attribute(profileOf([['root', 'region'], ['root', 'run', 'region'], ['root', 'interpreter']]));
  expect([...regions]).toEqual([[12, 0.002]]);
  expect(parts.get('compiled code')).toBeCloseTo(0.002);
});

test('microcode is told apart by the function that was called', () => {
  const { microcode } = attribute(profileOf([['root', 'region', 'cpuid', 'walk'], ['root', 'interpreter', 'cpuid'], ['root', 'region', 'miss']]));
  expect([...microcode]).toEqual([['op_cpuid', 0.002]]);
});

test('an empty profile is no error', () => expect(attribute({ nodes: [], startTime: 0, endTime: 0 })).toMatchObject({ seconds: 0, samples: 0 }));
