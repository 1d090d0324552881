/** A task switch by hardware tasks (handle_task_switch of vmx.c): the processor does not do them for guests. */

import * as V from '@vm/kvm-run/vmx';
import { kvmTaskSwitch } from '../../task-switch.ts';
import { kvmClearExceptionQueue, kvmClearInterruptQueue } from '../../queue.ts';
import { skipEmulatedInstruction } from '../../skip.ts';
import type { KvmVcpu } from '../../types.ts';
import { vmxSetNmiMask } from '../inject.ts';

/** handle_task_switch */
export const handleTaskSwitch = (vcpu: KvmVcpu): number => {
  const { processor } = vcpu;
  const qualification = processor.vmread(V.EXIT_QUALIFICATION);
  const reason = (qualification >>> V.TASK_SWITCH_SOURCE_SHIFT) & 3;
  const info = vcpu.idtVectoringInfo;
  const vectoring = (info & V.VECTORING_INFO_VALID_MASK) !== 0;
  const type = info & V.VECTORING_INFO_TYPE_MASK;
  let hasErrorCode = false;
  let errorCode = 0;
  if (reason === V.TASK_SWITCH_GATE && vectoring) {
    // The task that handles the event begins: the event is delivered.
    switch (type) {
      case V.INTR_TYPE_NMI_INTR:
        vcpu.nmiInjected = false;
        vmxSetNmiMask(vcpu, true);
        break;
      case V.INTR_TYPE_EXT_INTR:
      case V.INTR_TYPE_SOFT_INTR:
        kvmClearInterruptQueue(vcpu);
        break;
      case V.INTR_TYPE_HARD_EXCEPTION:
        if ((info & V.VECTORING_INFO_DELIVER_CODE_MASK) !== 0) {
          hasErrorCode = true;
          errorCode = processor.vmread(V.IDT_VECTORING_ERROR_CODE);
        }
        kvmClearExceptionQueue(vcpu);
        break;
      default:
        kvmClearExceptionQueue(vcpu);
    }
  }
  const event = type === V.INTR_TYPE_HARD_EXCEPTION || type === V.INTR_TYPE_EXT_INTR || type === V.INTR_TYPE_NMI_INTR;
  if (!vectoring || !event) skipEmulatedInstruction(vcpu);
  const selector = qualification & V.TASK_SWITCH_SELECTOR_MASK;
  const vector = type === V.INTR_TYPE_SOFT_INTR && vectoring ? info & V.VECTORING_INFO_VECTOR_MASK : -1;
  return kvmTaskSwitch(vcpu, { selector, reason, vector, hasErrorCode, errorCode });
};
