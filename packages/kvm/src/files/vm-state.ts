/** What a VM has beside struct kvm: its event descriptors and zones. */

import type { KvmIrqfds } from '../irq/irqfd.ts';
import type { KvmCoalesced } from '../coalesced.ts';
import type { KvmIoeventfds } from '../ioeventfd.ts';
import type { EventFd, KvmFile } from '@vm/kvm-run';
import type { Kvm } from '../types.ts';

export interface VmState {
  readonly kvm: Kvm;
  readonly irqfds: KvmIrqfds;
  readonly ioeventfds: KvmIoeventfds;
  readonly coalesced: KvmCoalesced;
  /** Gives a file a descriptor. */
  install(file: KvmFile): number;
  event(descriptor: number): EventFd | undefined;
  /** Another file that keeps the VM alive is closed. */
  put(): void;
  get(): void;
}
