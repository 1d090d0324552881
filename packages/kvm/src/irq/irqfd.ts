import { EBUSY, EINVAL, ENOENT, KVM_IRQFD_FLAG_DEASSIGN, KVM_IRQFD_FLAG_RESAMPLE } from '@vm/kvm-run';
import type { EventFd } from '@vm/kvm-run';
import type { IrqKvm } from './types.ts';
import type { IrqAckNotifier } from './irq-notifier.ts';
import { KVM_IRQFD_RESAMPLE_IRQ_SOURCE_ID, KVM_USERSPACE_IRQ_SOURCE_ID } from './irq-state.ts';
import { kvmRegisterIrqAckNotifier, kvmUnregisterIrqAckNotifier } from './irq-notifier.ts';
import { KVM_MAX_IRQ_ROUTES, kvmSetIrq } from './irq-routing.ts';

/** KVM_IRQFD (virt/kvm/eventfd.c): an event counter that raises a GSI, and with a second one tells of its EOI. */

interface Irqfd {
  readonly event: EventFd;
  readonly gsi: number;
  readonly close: () => void;
}

/** The irqfds of one VM. */
export class KvmIrqfds {
  readonly #kvm: IrqKvm;
  #irqfds: Irqfd[] = [];

  constructor(kvm: IrqKvm) {
    this.#kvm = kvm;
  }

  /** KVM_IRQFD: 0 or a negative errno. */
  ioctl(event: EventFd, gsi: number, flags: number, resample: EventFd | undefined): number {
    if ((flags & ~(KVM_IRQFD_FLAG_DEASSIGN | KVM_IRQFD_FLAG_RESAMPLE)) !== 0 || gsi >= KVM_MAX_IRQ_ROUTES)
      return -EINVAL;
    if ((flags & KVM_IRQFD_FLAG_DEASSIGN) !== 0) return this.#deassign(event, gsi);
    if ((flags & KVM_IRQFD_FLAG_RESAMPLE) !== 0) return resample === undefined ? -EINVAL : this.#level(event, gsi, resample);
    return this.#edge(event, gsi);
  }

  /** kvm_irqfd_release: with the VM. */
  release(): void {
    for (const irqfd of this.#irqfds) irqfd.close();
    this.#irqfds = [];
  }

  #edge(event: EventFd, gsi: number): number {
    if (this.#irqfds.some((other) => other.event === event)) return -EBUSY;
    const inject = (): void => {
      if (event.read() === 0) return;
      kvmSetIrq(this.#kvm, KVM_USERSPACE_IRQ_SOURCE_ID, gsi, 1, false);
      kvmSetIrq(this.#kvm, KVM_USERSPACE_IRQ_SOURCE_ID, gsi, 0, false);
    };
    this.#irqfds.push({ event, gsi, close: event.listen(inject) });
    // Signalled before it was assigned.
    inject();
    return 0;
  }

  /** A level-triggered line: stays up until the guest's EOI, which lowers it and asks the device to look again. */
  #level(event: EventFd, gsi: number, resample: EventFd): number {
    if (this.#irqfds.some((other) => other.event === event)) return -EBUSY;
    const kvm = this.#kvm;
    const inject = (): void => {
      if (event.read() !== 0) kvmSetIrq(kvm, KVM_IRQFD_RESAMPLE_IRQ_SOURCE_ID, gsi, 1, false);
    };
    const notifier: IrqAckNotifier = {
      gsi,
      irqAcked: () => {
        kvmSetIrq(kvm, KVM_IRQFD_RESAMPLE_IRQ_SOURCE_ID, gsi, 0, false);
        resample.signal(1);
      },
    };
    kvmRegisterIrqAckNotifier(kvm, notifier);
    const unlisten = event.listen(inject);
    const close = (): void => {
      unlisten();
      kvmUnregisterIrqAckNotifier(kvm, notifier);
      kvmSetIrq(kvm, KVM_IRQFD_RESAMPLE_IRQ_SOURCE_ID, gsi, 0, false);
    };
    this.#irqfds.push({ event, gsi, close });
    inject();
    return 0;
  }

  #deassign(event: EventFd, gsi: number): number {
    const found = this.#irqfds.filter((irqfd) => irqfd.event === event && irqfd.gsi === gsi);
    for (const irqfd of found) irqfd.close();
    this.#irqfds = this.#irqfds.filter((irqfd) => !found.includes(irqfd));
    return found.length > 0 ? 0 : -ENOENT;
  }
}
