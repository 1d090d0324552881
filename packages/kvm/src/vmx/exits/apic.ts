/** Exits by the local APIC's virtualization (SDM vol. 3C, ch. 30). */

import * as V from '@vm/kvm-run/vmx';
import { kvmEmulateInstruction } from '../../emulate/emulate-instruction.ts';
import { APIC_EOI } from '../../irq/apicdef.ts';
import { apicUpdatePpr } from '../../irq/lapic.ts';
import { kvmApicSetEoiAccelerated, kvmApicWriteNodecode, kvmLapicSetEoi } from '../../irq/lapic-regs.ts';
import { KVM_REQ_EVENT, kvmMakeRequest } from '../../requests.ts';
import { kvmSkipEmulatedInstruction } from '../../skip.ts';
import type { KvmVcpu } from '../../types.ts';

/** handle_tpr_below_threshold: an interrupt that waited behind the task priority may come in now. */
export const handleTprBelowThreshold = (vcpu: KvmVcpu): number => {
  if (vcpu.apic !== null) apicUpdatePpr(vcpu.apic);
  kvmMakeRequest(KVM_REQ_EVENT, vcpu);
  return 1;
};

/** handle_apic_access: an EOI, which is most of them, needs no decoding. */
export const handleApicAccess = (vcpu: KvmVcpu): number => {
  const qualification = vcpu.processor.vmread(V.EXIT_QUALIFICATION);
  const type = qualification & V.APIC_ACCESS_TYPE;
  if (type === V.TYPE_LINEAR_APIC_INST_WRITE && (qualification & V.APIC_ACCESS_OFFSET) === APIC_EOI) {
    kvmLapicSetEoi(vcpu);
    return kvmSkipEmulatedInstruction(vcpu);
  }
  return kvmEmulateInstruction(vcpu, 0);
};

/** handle_apic_eoi_induced: the processor did the EOI; the IOAPIC must hear of it. */
export const handleApicEoiInduced = (vcpu: KvmVcpu): number => {
  kvmApicSetEoiAccelerated(vcpu, vcpu.processor.vmread(V.EXIT_QUALIFICATION) & 0xff);
  return 1;
};

/** handle_apic_write: the register page has the value already; this is a trap, RIP is past the instruction. */
export const handleApicWrite = (vcpu: KvmVcpu): number => {
  kvmApicWriteNodecode(vcpu, vcpu.processor.vmread(V.EXIT_QUALIFICATION) & 0xff0);
  return 1;
};
