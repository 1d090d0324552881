/**
 * Tracepoints with the kernel's names (arch/x86/kvm/trace.h, include/trace/events/kvm.h) and fields in the kernel's
 * order. 64-bit values are bigints, made only while somebody listens.
 */

export type TraceValue = number | bigint | string;

/** The fields of each tracepoint, in the order in which they are passed. */
export const tracepoints = {
  kvm_entry: ['vcpu_id', 'rip'],
  kvm_exit: ['vcpu_id', 'exit_reason', 'rip', 'info1', 'info2', 'intr_info', 'error_code'],
  kvm_userspace_exit: ['vcpu_id', 'reason', 'errno'],
  kvm_vcpu_wakeup: ['vcpu_id', 'ns', 'waited', 'valid'],
  kvm_cpuid: ['vcpu_id', 'function', 'index', 'rax', 'rbx', 'rcx', 'rdx', 'found'],
  kvm_pio: ['vcpu_id', 'rw', 'port', 'size', 'count', 'val'],
  kvm_mmio: ['vcpu_id', 'type', 'len', 'gpa', 'val'],
  kvm_fast_mmio: ['vcpu_id', 'gpa'],
  kvm_msr: ['vcpu_id', 'write', 'ecx', 'data', 'exception'],
  kvm_cr: ['vcpu_id', 'rw', 'cr', 'val'],
  kvm_page_fault: ['vcpu_id', 'rip', 'fault_address', 'error_code'],
  kvm_emulate_insn: ['vcpu_id', 'rip', 'csbase', 'insn', 'failed'],
  kvm_hypercall: ['vcpu_id', 'nr', 'a0', 'a1', 'a2', 'a3'],
  kvm_inj_virq: ['vcpu_id', 'vector', 'soft', 'reinjected'],
  kvm_inj_exception: ['vcpu_id', 'exception', 'has_error', 'error_code', 'reinjected'],
  kvm_inj_nmi: ['vcpu_id'],
  kvm_apic: ['vcpu_id', 'rw', 'reg', 'val'],
  kvm_apic_ipi: ['vcpu_id', 'icr_low', 'dest_id'],
  kvm_apic_accept_irq: ['vcpu_id', 'apicid', 'dm', 'trig_mode', 'vec'],
  kvm_eoi: ['vcpu_id', 'apicid', 'vector'],
  kvm_pic_set_irq: ['vcpu_id', 'chip', 'pin', 'elcr', 'imr', 'coalesced'],
  kvm_ioapic_set_irq: ['vcpu_id', 'pin', 'e', 'coalesced'],
  kvm_msi_set_irq: ['vcpu_id', 'address', 'data'],
  kvm_set_irq: ['vcpu_id', 'gsi', 'level', 'irq_source_id'],
  kvm_ack_irq: ['vcpu_id', 'irqchip', 'pin'],
  kvm_fpu: ['vcpu_id', 'load'],
  kvm_halt_poll_ns: ['vcpu_id', 'grow', 'new', 'old'],
  kvm_pv_eoi: ['vcpu_id', 'apicid', 'vector'],
  kvm_hv_timer_state: ['vcpu_id', 'hv_timer_in_use'],
  kvm_track_tsc: ['vcpu_id', 'nr_vcpus_matched_tsc', 'online_vcpus', 'use_master_clock', 'host_clock'],
  kvm_write_tsc_offset: ['vcpu_id', 'previous_tsc_offset', 'next_tsc_offset'],
  kvm_update_master_clock: ['vcpu_id', 'use_master_clock', 'host_clock', 'offset_matched'],
  kvm_pvclock_update: ['vcpu_id', 'version', 'tsc_timestamp', 'system_time', 'tsc_to_system_mul', 'tsc_shift', 'flags'],
  kvm_wait_lapic_expire: ['vcpu_id', 'delta'],
  kvm_ple_window_update: ['vcpu_id', 'new', 'old'],
  kvm_mmu_get_page: ['vcpu_id', 'gfn', 'role', 'created'],
  kvm_mmu_set_spte: ['vcpu_id', 'gfn', 'spte', 'level'],
  kvm_mmu_zap_all_fast: ['vcpu_id', 'mmu_valid_gen', 'mmu_used_pages'],
  kvm_unmap_hva_range: ['vcpu_id', 'start', 'end'],
} as const;

export type Tracepoint = keyof typeof tracepoints;

/** Receives the tracepoints. Called in the middle of the world switch: it must not call into KVM. */
export interface KvmTracer {
  event(name: Tracepoint, ...fields: readonly TraceValue[]): void;
}

/** A 64-bit value from its halves. */
export const u64 = (low: number, high: number): bigint => (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
