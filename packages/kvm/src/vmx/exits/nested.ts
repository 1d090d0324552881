import type { KvmVcpu } from '../../types.ts';
import { handleMissing } from './instruction.ts';

/** handle_vmx_instruction: the guest's CPUID shows no VMX, so that its instructions do not exist. */
export const handleVmxInstruction = (vcpu: KvmVcpu): number => handleMissing(vcpu);
