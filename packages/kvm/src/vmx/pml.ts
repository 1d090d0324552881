/**
 * Page-modification logging (SDM vol. 3C, 29.3.6): the processor writes the guest-physical addresses of pages that
 * become dirty to a page of 512 entries, from the last to the first.
 */

import { KVM_MEM_LOG_DIRTY_PAGES } from '@vm/kvm-run';
import { GUEST_PML_INDEX, PML_ADDRESS, SECONDARY_EXEC_ENABLE_PML } from '@vm/kvm-run/vmx';
import { markPageDirty } from '../memslots.ts';
import type { KvmVcpu } from '../types.ts';
import { secondaryControlsSet } from './controls.ts';

const PML_ENTITY_NUM = 512;
const EMPTY = PML_ENTITY_NUM - 1;

/** vmx_flush_pml_buffer: marks what the log has, and starts it anew. */
export const vmxFlushPmlBuffer = (vcpu: KvmVcpu): void => {
  if ((vcpu.secondaryControls & SECONDARY_EXEC_ENABLE_PML) === 0) return;
  const { processor, u32 } = vcpu;
  const index = processor.vmread(GUEST_PML_INDEX) & 0xffff;
  if (index === EMPTY) return;
  // The index is that of the next entry to write; below zero it has wrapped.
  const first = index >= PML_ENTITY_NUM ? 0 : index + 1;
  for (let i = first; i < PML_ENTITY_NUM; i++) {
    const at = (vcpu.pmlAddress >>> 2) + i * 2;
    markPageDirty(vcpu.kvm, (u32[at]! >>> 12) + u32[at + 1]! * 0x100000);
  }
  processor.vmwrite(GUEST_PML_INDEX, EMPTY, 0);
};

/** vmx_update_cpu_dirty_logging: on while any slot is logged. */
export const vmxUpdateCpuDirtyLogging = (vcpu: KvmVcpu): void => {
  if ((vcpu.kvm.global.vmx.secondary & SECONDARY_EXEC_ENABLE_PML) === 0) return;
  const logging = vcpu.kvm.memslots.some((slot) => (slot.flags & KVM_MEM_LOG_DIRTY_PAGES) !== 0);
  if (logging) {
    if (vcpu.pmlAddress === 0) vcpu.pmlAddress = vcpu.memory.allocPages(1);
    vcpu.processor.vmwrite(PML_ADDRESS, vcpu.pmlAddress, 0);
    vcpu.processor.vmwrite(GUEST_PML_INDEX, EMPTY, 0);
    secondaryControlsSet(vcpu, vcpu.secondaryControls | SECONDARY_EXEC_ENABLE_PML);
  } else {
    vmxFlushPmlBuffer(vcpu);
    secondaryControlsSet(vcpu, vcpu.secondaryControls & ~SECONDARY_EXEC_ENABLE_PML);
  }
};
