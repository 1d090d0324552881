import { defineConfig, type ViteUserConfig } from 'vitest/config';
/** No test is about time: the limit ends one that hangs, on a slow and busy machine too. */
const TIMEOUT_MS = 60_000;
const conditions = ['@vm/source', 'node', 'module', 'development|production'];
export const shared: ViteUserConfig = defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: ['@vm/source', 'node'] } },
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    testTimeout: TIMEOUT_MS,
    hookTimeout: TIMEOUT_MS,
    reporters: ['default', 'json'],
    outputFile: { json: 'reports/vitest.json' },
    execArgv: ['--conditions=@vm/source'],
    coverage: { provider: 'v8', include: ['src/**'], reportsDirectory: 'reports/coverage' },
  },
});

/**
 * The suites of a package that runs guest code: all of them with guest code interpreted, and those that run any with all of it
 * compiled. VM_TEST_JIT is looked at where tests make their processors (TEST_JIT in @vm/cpu/testing).
 */
export function interpretedAndCompiled(guestCode: string[]): ViteUserConfig {
  const { reporters, outputFile, coverage, ...each } = shared.test ?? {};
  const compiled = { ...each, name: 'jit', include: guestCode, env: { VM_TEST_JIT: 'forced' } };
  return defineConfig({
    ...shared,
    test: {
      reporters, outputFile, coverage,
      projects: [{ ...shared, test: { ...each, name: 'interpreter', env: { VM_TEST_JIT: 'off' } } }, { ...shared, test: compiled }],
    },
  });
}
