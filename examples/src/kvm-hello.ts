/** A program against the KVM API: real-mode code that writes to a port, step by step as with the kernel's. */
import { createProcessor } from '@vm/cpu';
import { openKvm } from '@vm/kvm';
import {
  HostMemory, KVM_CREATE_VCPU, KVM_CREATE_VM, KVM_EXIT_HLT, KVM_EXIT_IO, KVM_GET_SREGS, KVM_GET_VCPU_MMAP_SIZE, KVM_RUN,
  KVM_SET_REGS, KVM_SET_SREGS, KVM_SET_USER_MEMORY_REGION, KvmRun, allocate, bytesOf, kvmRegs, kvmSregs,
  kvmUserspaceMemoryRegion, readExit, view,
} from '@vm/kvm-run';

// 1. A machine: host memory, one physical processor, and KVM on it.
const memory = HostMemory.create(64 << 20);
const kvm = openKvm({ memory, processors: [createProcessor({ memory })] });

// 2. A VM with a page of memory, in which the code lies: mov dx, 0x3f8; add al, bl; add al, '0'; out dx, al; mov al, '\n'; out dx, al; hlt
const vm = kvm.file(kvm.ioctl(KVM_CREATE_VM, 0))!;
const page = memory.allocPages(1);
memory.write(page, Uint8Array.of(0xba, 0xf8, 0x03, 0x00, 0xd8, 0x04, 0x30, 0xee, 0xb0, 0x0a, 0xee, 0xf4));
const region = view(kvmUserspaceMemoryRegion, allocate(kvmUserspaceMemoryRegion));
region.guest_phys_addr = 0x1000n;
region.memory_size = 0x1000n;
region.userspace_addr = BigInt(page);
check('KVM_SET_USER_MEMORY_REGION', vm.ioctl(KVM_SET_USER_MEMORY_REGION, bytesOf(region)));

// 3. A vCPU and the structure that it shares with us.
const vcpu = kvm.file(check('KVM_CREATE_VCPU', vm.ioctl(KVM_CREATE_VCPU, 0)))!;
const mapping = vcpu.mmap(kvm.ioctl(KVM_GET_VCPU_MMAP_SIZE));
if (typeof mapping === 'number') throw new Error(`mmap: errno ${-mapping}`);
const run = new KvmRun(mapping);

// 4. Registers: code at 0x1000, 2 + 2 in AL and BL.
const sregs = view(kvmSregs, allocate(kvmSregs));
check('KVM_GET_SREGS', vcpu.ioctl(KVM_GET_SREGS, bytesOf(sregs)));
sregs.cs.base = 0n;
sregs.cs.selector = 0;
check('KVM_SET_SREGS', vcpu.ioctl(KVM_SET_SREGS, bytesOf(sregs)));
const regs = view(kvmRegs, allocate(kvmRegs));
regs.rip = 0x1000n;
regs.rax = 2n;
regs.rbx = 2n;
regs.rflags = 2n;
check('KVM_SET_REGS', vcpu.ioctl(KVM_SET_REGS, bytesOf(regs)));

// 5. Run, and serve what the guest leaves for.
for (;;) {
  check('KVM_RUN', vcpu.ioctl(KVM_RUN, 0));
  const exit = readExit(run);
  if (exit.reason === KVM_EXIT_HLT) break;
  if (exit.reason !== KVM_EXIT_IO) throw new Error(`exit ${exit.reason}`);
  process.stdout.write(String.fromCharCode(...exit.data));
}

function check(name: string, result: number): number {
  if (result < 0) throw new Error(`${name}: errno ${-result}`);
  return result;
}
