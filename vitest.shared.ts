import { defineConfig, type ViteUserConfig } from 'vitest/config';
const conditions = ['@vm/source', 'node', 'module', 'development|production'];
export const shared: ViteUserConfig = defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: ['@vm/source', 'node'] } },
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    reporters: process.env['CI'] ? ['default', 'json'] : ['default', 'json'],
    outputFile: { json: 'reports/vitest.json' },
    execArgv: ['--conditions=@vm/source'],
    coverage: { provider: 'v8', include: ['src/**'], reportsDirectory: 'reports/coverage' },
  },
});
