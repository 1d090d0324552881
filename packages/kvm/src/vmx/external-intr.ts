/**
 * Row 11 of the way out. Interrupts are off while the guest runs; one that arrives makes the processor leave the guest,
 * and acknowledges it on the way (VM_EXIT_ACK_INTR_ON_EXIT), so that the vector is in the exit's interruption
 * information and nowhere else. The handler of the host's IDT is called by hand.
 */

import { EXIT_REASON_EXTERNAL_INTERRUPT, INTR_INFO_INTR_TYPE_MASK, INTR_INFO_VALID_MASK, INTR_INFO_VECTOR_MASK, INTR_TYPE_EXT_INTR } from '@vm/kvm-run/vmx';
import { callGate, localIrqEnable } from '../host/host-cpu.ts';
import { gateAddress } from '../host/tables.ts';
import type { KvmVcpu } from '../types.ts';
import { reportSwitch } from './switch-report.ts';

/** vmx_handle_external_intr */
export const vmxHandleExternalIntr = (vcpu: KvmVcpu): void => {
  const { cpu, processor } = vcpu;
  const info = vcpu.exitIntrInfo;
  const valid = (info & (INTR_INFO_VALID_MASK | INTR_INFO_INTR_TYPE_MASK)) === ((INTR_INFO_VALID_MASK | INTR_TYPE_EXT_INTR) | 0);
  if ((vcpu.exitReason & 0xffff) === EXIT_REASON_EXTERNAL_INTERRUPT && valid) {
    const vector = info & INTR_INFO_VECTOR_MASK;
    if (processor.switchObserver !== null)
      reportSwitch(processor, 'exit', 'vmx_handle_external_intr', `vector ${vector}`, 'host IDT', 'handler', gateAddress(processor.memory, cpu.idt, vector), 0);
    callGate(cpu, vector);
  }
  localIrqEnable(cpu);
};

