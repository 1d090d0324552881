import { KVM_GUESTDBG_ENABLE, KVM_GUESTDBG_USE_SW_BP } from '@vm/kvm-run';
import type { KvmVcpu } from '../types.ts';
import { AC_VECTOR, BP_VECTOR, DB_VECTOR, MC_VECTOR, UD_VECTOR } from '../x86-bits.ts';
import { exceptionBitmapSet } from './controls.ts';

/** vmx_update_exception_bitmap: the exceptions that KVM wants to see before the guest does. */
export const vmxUpdateExceptionBitmap = (vcpu: KvmVcpu): void => {
  let bitmap = (1 << UD_VECTOR) | (1 << MC_VECTOR) | (1 << DB_VECTOR) | (1 << AC_VECTOR);
  const wanted = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP;
  if ((vcpu.guestDebug & wanted) === wanted) bitmap |= 1 << BP_VECTOR;
  exceptionBitmapSet(vcpu, bitmap);
};
