import * as V from '@vm/kvm-run/vmx';
import { kvmEmulateInstruction } from '../../emulate/emulate-instruction.ts';
import { kvmFastPio } from '../../pio.ts';
import type { KvmVcpu } from '../../types.ts';

/** handle_io: one element goes the fast way, strings through the emulator. */
export const handleIo = (vcpu: KvmVcpu): number => {
  const qualification = vcpu.processor.vmread(V.EXIT_QUALIFICATION);
  if ((qualification & V.IO_QUAL_STRING) !== 0) return kvmEmulateInstruction(vcpu, 0);
  const port = qualification >>> V.IO_QUAL_PORT_SHIFT;
  return kvmFastPio(vcpu, (qualification & V.IO_QUAL_SIZE_MASK) + 1, port, (qualification & V.IO_QUAL_IN) !== 0);
};
