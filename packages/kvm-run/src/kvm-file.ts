/** The argument of an ioctl: a number, or the bytes of the structure that the kernel's argument points to. */
export type IoctlArgument = number | Uint8Array | undefined;

/**
 * An open file of KVM: the system (/dev/kvm), a VM, a vCPU or a device. Calls return what the system call returns: a
 * value of zero or more, or a negative errno (errno.ts); they never throw.
 */
export interface KvmFile {
  ioctl(code: number, argument?: IoctlArgument): number;
  /** Bytes of the mapping that the kernel's mmap of this file gives, or a negative errno. */
  mmap(length: number, offset?: number): Uint8Array<SharedArrayBuffer> | number;
  close(): number;
}

/** /dev/kvm, with the process's table of files that its ioctls hand out. */
export interface KvmSystem extends KvmFile {
  /** The file behind a descriptor that KVM_CREATE_VM, KVM_CREATE_VCPU or KVM_CREATE_DEVICE returned. */
  file(descriptor: number): KvmFile | undefined;
  /** Gives an event counter a descriptor, for KVM_IRQFD and KVM_IOEVENTFD. */
  install(event: EventFd): number;
}

/** An eventfd(2): a counter that wakes who listens. */
export interface EventFd {
  /** Adds to the counter and tells the listeners. */
  signal(value?: number): void;
  /** Takes the counter; 0 when nothing was signalled. */
  read(): number;
  /** Returns what stops listening. */
  listen(listener: () => void): () => void;
}
