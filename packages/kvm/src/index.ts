/** KVM: the kernel's API on physical CPUs with VMX. */

export { openKvm } from './kvm-main.ts';
export type { KvmDevice, KvmOptions } from './kvm-main.ts';
export type { HostTick } from './host/host-cpu.ts';
export { HostCpuSetupError } from './host/host-cpu.ts';
export { VmxUnsupported } from './vmx/capabilities.ts';
export { KvmStatistics } from './statistics.ts';
export { tracepoints } from './trace.ts';
export type { KvmTracer, Tracepoint, TraceValue } from './trace.ts';
