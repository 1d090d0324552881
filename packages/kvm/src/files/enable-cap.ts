/** KVM_ENABLE_CAP on a VM (kvm_vm_ioctl_enable_cap): 0 or a negative errno. */

import * as C from '@vm/kvm-run';
import { kvmVmIoctlEnableDirtyLogRing } from '../dirty-ring.ts';
import { kvmSetupEmptyIrqRouting } from '../irq/irq-routing.ts';
import { irqchipInKernel } from '../irq/irq.ts';
import type { Kvm } from '../types.ts';
import { checkExtension, KVM_DIRTY_LOG_MANUAL_CAPS, KVM_MAX_VCPU_IDS, KVM_VALID_DISABLED_EXITS, KVM_VALID_QUIRKS } from './extensions.ts';

type Enable = (kvm: Kvm, argument: number, argument64: bigint) => number;

const bits =
  (valid: number, apply: (kvm: Kvm, argument: number) => void): Enable =>
  (kvm, argument) => {
    if ((argument & ~valid) !== 0) return -C.EINVAL;
    apply(kvm, argument);
    return 0;
  };

const splitIrqchip: Enable = (kvm, pins) => {
  if (pins > 24) return -C.EINVAL;
  if (irqchipInKernel(kvm) || kvm.vcpus.length > 0) return -C.EEXIST;
  kvm.irq.split = true;
  kvm.irq.nrReservedIoapicPins = pins;
  kvmSetupEmptyIrqRouting(kvm);
  return 0;
};

const notify: Enable = (kvm, _argument, argument) => {
  if (checkExtension(kvm.global, C.KVM_CAP_X86_NOTIFY_VMEXIT) === 0) return -C.EINVAL;
  const flags = Number(argument & 0xffffffffn);
  if ((flags & ~(C.KVM_X86_NOTIFY_VMEXIT_ENABLED | C.KVM_X86_NOTIFY_VMEXIT_USER)) !== 0) return -C.EINVAL;
  if ((flags & C.KVM_X86_NOTIFY_VMEXIT_ENABLED) === 0 || kvm.vcpus.length > 0) return -C.EINVAL;
  kvm.notifyWindow = Number(argument >> 32n);
  kvm.notifyVmexitFlags = flags;
  return 0;
};

const busLock: Enable = (kvm, argument) => {
  const valid = checkExtension(kvm.global, C.KVM_CAP_X86_BUS_LOCK_EXIT);
  const both = C.KVM_BUS_LOCK_DETECTION_OFF | C.KVM_BUS_LOCK_DETECTION_EXIT;
  if (valid === 0 || (argument & ~valid) !== 0 || (argument & both) === both) return -C.EINVAL;
  kvm.busLockDetectionEnabled = (argument & C.KVM_BUS_LOCK_DETECTION_EXIT) !== 0;
  return 0;
};

const disableExits: Enable = (kvm, argument) => {
  if ((argument & ~KVM_VALID_DISABLED_EXITS) !== 0 || kvm.vcpus.length > 0) return -C.EINVAL;
  kvm.disabledExits |= argument;
  return 0;
};

const maxVcpuId: Enable = (kvm, argument) => {
  if (argument > KVM_MAX_VCPU_IDS || argument === 0 || kvm.vcpus.length > 0) return -C.EINVAL;
  kvm.maxVcpuIds = argument;
  return 0;
};

const CAPABILITIES: ReadonlyMap<number, Enable> = new Map<number, Enable>([
  // The older of the two takes any bits.
  [C.KVM_CAP_DISABLE_QUIRKS, bits(-1, (kvm, argument) => (kvm.disabledQuirks = argument))],
  [C.KVM_CAP_DISABLE_QUIRKS2, bits(KVM_VALID_QUIRKS, (kvm, argument) => (kvm.disabledQuirks = argument))],
  [C.KVM_CAP_SPLIT_IRQCHIP, splitIrqchip],
  [
    C.KVM_CAP_X2APIC_API,
    bits(3, (kvm, argument) => {
      if ((argument & C.KVM_X2APIC_API_USE_32BIT_IDS) !== 0) kvm.irq.x2apicFormat = true;
      if ((argument & C.KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK) !== 0) kvm.irq.x2apicBroadcastQuirkDisabled = true;
    }),
  ],
  [C.KVM_CAP_X86_DISABLE_EXITS, disableExits],
  // Guests always may read MSR_PLATFORM_INFO.
  [C.KVM_CAP_MSR_PLATFORM_INFO, bits(1, () => {})],
  [C.KVM_CAP_EXCEPTION_PAYLOAD, bits(1, (kvm, argument) => (kvm.exceptionPayloadEnabled = argument !== 0))],
  [C.KVM_CAP_X86_TRIPLE_FAULT_EVENT, bits(1, (kvm, argument) => (kvm.tripleFaultEvent = argument !== 0))],
  [C.KVM_CAP_X86_USER_SPACE_MSR, bits(7, (kvm, argument) => (kvm.userSpaceMsrMask = argument))],
  [C.KVM_CAP_X86_BUS_LOCK_EXIT, busLock],
  [C.KVM_CAP_EXIT_HYPERCALL, bits(1 << C.KVM_HC_MAP_GPA_RANGE, (kvm, argument) => (kvm.hypercallExitEnabled = argument))],
  [C.KVM_CAP_EXIT_ON_EMULATION_FAILURE, bits(1, (kvm, argument) => (kvm.exitOnEmulationError = argument !== 0))],
  [C.KVM_CAP_X86_NOTIFY_VMEXIT, notify],
  [C.KVM_CAP_MAX_VCPU_ID, maxVcpuId],
  [
    C.KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
    (kvm, argument) => {
      // Initially set counts with manual protection alone.
      const enable = argument & C.KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE;
      if ((argument & ~(enable === 0 ? 0 : KVM_DIRTY_LOG_MANUAL_CAPS)) !== 0) return -C.EINVAL;
      kvm.manualDirtyLogProtect = argument;
      return 0;
    },
  ],
  [C.KVM_CAP_DIRTY_LOG_RING, kvmVmIoctlEnableDirtyLogRing],
  [C.KVM_CAP_DIRTY_LOG_RING_ACQ_REL, kvmVmIoctlEnableDirtyLogRing],
  // How long a halted vCPU is polled for is the host's own business here.
  [C.KVM_CAP_HALT_POLL, () => 0],
]);

export const kvmVmIoctlEnableCap = (kvm: Kvm, args: C.View<typeof C.kvmEnableCap>): number => {
  const enable = CAPABILITIES.get(args.cap);
  if (enable === undefined || args.flags !== 0) return -C.EINVAL;
  const argument = args.args[0]!;
  if (argument >> 32n !== 0n && args.cap !== C.KVM_CAP_X86_NOTIFY_VMEXIT) return -C.EINVAL;
  return enable(kvm, Number(argument & 0xffffffffn), argument);
};
