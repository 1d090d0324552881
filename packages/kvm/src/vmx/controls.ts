/**
 * The controls of the current VMCS, with a copy in the vCPU, so that a VMWRITE happens only when a bit changes
 * (BUILD_CONTROLS_SHADOW in arch/x86/kvm/vmx/vmx.h).
 */

import {
  CPU_BASED_VM_EXEC_CONTROL,
  EXCEPTION_BITMAP,
  PIN_BASED_VM_EXEC_CONTROL,
  SECONDARY_VM_EXEC_CONTROL,
  VM_ENTRY_CONTROLS,
  VM_EXIT_CONTROLS,
} from '@vm/kvm-run/vmx';
import type { KvmVcpu } from '../types.ts';

export const pinControlsSet = (vcpu: KvmVcpu, value: number): void => {
  const controls = value >>> 0;
  if (vcpu.pinControls === controls) return;
  vcpu.pinControls = controls;
  vcpu.processor.vmwrite(PIN_BASED_VM_EXEC_CONTROL, controls, 0);
};

export const execControlsSet = (vcpu: KvmVcpu, value: number): void => {
  const controls = value >>> 0;
  if (vcpu.execControls === controls) return;
  vcpu.execControls = controls;
  vcpu.processor.vmwrite(CPU_BASED_VM_EXEC_CONTROL, controls, 0);
};

export const execControlsSetBit = (vcpu: KvmVcpu, bit: number): void => execControlsSet(vcpu, vcpu.execControls | bit);
export const execControlsClearBit = (vcpu: KvmVcpu, bit: number): void => execControlsSet(vcpu, vcpu.execControls & ~bit);

export const secondaryControlsSet = (vcpu: KvmVcpu, value: number): void => {
  const controls = value >>> 0;
  if (vcpu.secondaryControls === controls) return;
  vcpu.secondaryControls = controls;
  vcpu.processor.vmwrite(SECONDARY_VM_EXEC_CONTROL, controls, 0);
};

export const vmEntryControlsSet = (vcpu: KvmVcpu, value: number): void => {
  const controls = value >>> 0;
  if (vcpu.vmEntryControls === controls) return;
  vcpu.vmEntryControls = controls;
  vcpu.processor.vmwrite(VM_ENTRY_CONTROLS, controls, 0);
};

export const vmExitControlsSet = (vcpu: KvmVcpu, value: number): void => {
  const controls = value >>> 0;
  if (vcpu.vmExitControls === controls) return;
  vcpu.vmExitControls = controls;
  vcpu.processor.vmwrite(VM_EXIT_CONTROLS, controls, 0);
};

export const exceptionBitmapSet = (vcpu: KvmVcpu, value: number): void => {
  const bitmap = value >>> 0;
  if (vcpu.exceptionBitmap === bitmap) return;
  vcpu.exceptionBitmap = bitmap;
  vcpu.processor.vmwrite(EXCEPTION_BITMAP, bitmap, 0);
};
