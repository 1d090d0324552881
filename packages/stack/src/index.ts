/** Ready compositions of the processor, KVM and QEMU layers. */

export { createVm } from './create-vm.ts';
export { EventLoop, hostLoop } from './event-loop.ts';
export type { Clock, HostLoop } from './event-loop.ts';
export type { ExitCount, TraceField, TraceListener, Vm, VmEnd, VmModule, VmOptions } from './vm-options.ts';
