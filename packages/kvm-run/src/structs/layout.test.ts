import { describe, expect, test } from 'vitest';
import { allocate, bytesOf, view } from './layout.ts';
import { kvmCpuid2, kvmIoapicState, kvmMsrs, kvmRegs, kvmSregs, kvmVcpuEvents, structs } from '../index.ts';

/** sizeof and offsetof as a C compiler gives them for the headers of Linux 6.1 on x86-64. */
const fromCompiler = `
kvm_regs 144 rax:0 rbx:8 rcx:16 rdx:24 rsi:32 rdi:40 rsp:48 rbp:56 r8:64 r9:72 r10:80 r11:88 r12:96 r13:104 r14:112 r15:120 rip:128 rflags:136
kvm_segment 24 base:0 limit:8 selector:12 type:14 present:15 dpl:16 db:17 s:18 l:19 g:20 avl:21 unusable:22 padding:23
kvm_dtable 16 base:0 limit:8 padding:10
kvm_sregs 312 cs:0 ds:24 es:48 fs:72 gs:96 ss:120 tr:144 ldt:168 gdt:192 idt:208 cr0:224 cr2:232 cr3:240 cr4:248 cr8:256 efer:264 apic_base:272 interrupt_bitmap:280
kvm_sregs2 320 cs:0 ds:24 es:48 fs:72 gs:96 ss:120 tr:144 ldt:168 gdt:192 idt:208 cr0:224 cr2:232 cr3:240 cr4:248 cr8:256 efer:264 apic_base:272 flags:280 pdptrs:288
kvm_fpu 416 fpr:0 fcw:128 fsw:130 ftwx:132 pad1:133 last_opcode:134 last_ip:136 last_dp:144 xmm:152 mxcsr:408 pad2:412
kvm_xsave 4096 region:0 extra:4096
kvm_xcr 16 xcr:0 reserved:4 value:8
kvm_xcrs 392 nr_xcrs:0 flags:4 xcrs:8 padding:264
kvm_debugregs 128 db:0 dr6:32 dr7:40 flags:48 reserved:56
kvm_translation 24 linear_address:0 physical_address:8 valid:16 writeable:17 usermode:18 pad:19
kvm_one_reg 16 id:0 addr:8
kvm_reg_list 8 n:0 reg:8
kvm_msr_entry 16 index:0 reserved:4 data:8
kvm_msrs 8 nmsrs:0 pad:4 entries:8
kvm_msr_list 4 nmsrs:0 indices:4
kvm_msr_filter_range 24 flags:0 nmsrs:4 base:8 bitmap:16
kvm_msr_filter 392 flags:0 ranges:8
kvm_cpuid_entry 24 function:0 eax:4 ebx:8 ecx:12 edx:16 padding:20
kvm_cpuid 8 nent:0 padding:4 entries:8
kvm_cpuid_entry2 40 function:0 index:4 flags:8 eax:12 ebx:16 ecx:20 edx:24 padding:28
kvm_cpuid2 8 nent:0 padding:4 entries:8
kvm_pmu_event_filter 32 action:0 nevents:4 fixed_counter_bitmap:8 flags:12 pad:16 events:32
kvm_x86_mce 64 status:0 addr:8 misc:16 mcg_status:24 bank:32 pad1:33 pad2:40
kvm_memory_region 24 slot:0 flags:4 guest_phys_addr:8 memory_size:16
kvm_userspace_memory_region 32 slot:0 flags:4 guest_phys_addr:8 memory_size:16 userspace_addr:24
kvm_memory_alias 32 slot:0 flags:4 guest_phys_addr:8 memory_size:16 target_phys_addr:24
kvm_dirty_log 16 slot:0 padding1:4 dirty_bitmap:8
kvm_clear_dirty_log 24 slot:0 num_pages:4 first_page:8 dirty_bitmap:16
kvm_dirty_gfn 16 flags:0 slot:4 offset:8
kvm_enc_region 16 addr:0 size:8
kvm_irq_level 8 irq:0 level:4
kvm_pic_state 16 last_irr:0 irr:1 imr:2 isr:3 priority_add:4 irq_base:5 read_reg_select:6 poll:7 special_mask:8 init_state:9 auto_eoi:10 rotate_on_auto_eoi:11 special_fully_nested_mode:12 init4:13 elcr:14 elcr_mask:15
kvm_ioapic_state 216 base_address:0 ioregsel:8 id:12 irr:16 pad:20 redirtbl:24
kvm_irqchip 520 chip_id:0 pad:4 chip:8
kvm_lapic_state 1024 regs:0
kvm_pit_config 64 flags:0 pad:4
kvm_pit_channel_state 24 count:0 latched_count:4 count_latched:6 status_latched:7 status:8 read_state:9 write_state:10 write_latch:11 rw_mode:12 mode:13 bcd:14 gate:15 count_load_time:16
kvm_pit_state 72 channels:0
kvm_pit_state2 112 channels:0 flags:72 reserved:76
kvm_reinject_control 32 pit_reinject:0 reserved:1
kvm_irq_routing_irqchip 8 irqchip:0 pin:4
kvm_irq_routing_msi 16 address_lo:0 address_hi:4 data:8 devid:12
kvm_irq_routing_entry 48 gsi:0 type:4 flags:8 pad:12 u:16
kvm_irq_routing 8 nr:0 flags:4 entries:8
kvm_irqfd 32 fd:0 gsi:4 flags:8 resamplefd:12 pad:16
kvm_msi 32 address_lo:0 address_hi:4 data:8 flags:12 devid:16 pad:20
kvm_interrupt 4 irq:0
kvm_mp_state 4 mp_state:0
kvm_tpr_access_ctl 40 enabled:0 flags:4 reserved:8
kvm_vapic_addr 8 vapic_addr:0
kvm_vcpu_events_exception 8 injected:0 nr:1 has_error_code:2 pending:3 error_code:4
kvm_vcpu_events_interrupt 4 injected:0 nr:1 soft:2 shadow:3
kvm_vcpu_events_nmi 4 injected:0 pending:1 masked:2 pad:3
kvm_vcpu_events_smi 4 smm:0 pending:1 smm_inside_nmi:2 latched_init:3
kvm_vcpu_events_triple_fault 1 pending:0
kvm_vcpu_events 64 exception:0 interrupt:8 nmi:12 sipi_vector:16 flags:20 smi:24 triple_fault:28 reserved:29 exception_has_payload:55 exception_payload:56
kvm_guest_debug_arch 64 debugreg:0
kvm_guest_debug 72 control:0 pad:4 arch:8
kvm_debug_exit_arch 32 exception:0 pad:4 pc:8 dr6:16 dr7:24
kvm_sync_regs 520 regs:0 sregs:144 events:456
kvm_nested_state 128 flags:0 format:2 size:4 hdr:8
kvm_signal_mask 4 len:0 sigset:4
kvm_coalesced_mmio_zone 16 addr:0 size:8 pio:12
kvm_coalesced_mmio 24 phys_addr:0 len:8 pio:12 data:16
kvm_coalesced_mmio_ring 8 first:0 last:4 coalesced_mmio:8
kvm_ioeventfd 64 datamatch:0 addr:8 len:16 fd:20 flags:24 pad:28
kvm_enable_cap 104 cap:0 flags:4 args:8 pad:40
kvm_clock_data 48 clock:0 flags:8 pad0:12 realtime:16 host_tsc:24 pad:32
kvm_create_device 12 type:0 fd:4 flags:8
kvm_device_attr 24 flags:0 group:4 attr:8 addr:16
kvm_hyperv_eventfd 24 conn_id:0 fd:4 flags:8 padding:12
kvm_xen_hvm_config 56 flags:0 msr:4 blob_addr_32:8 blob_addr_64:16 blob_size_32:24 blob_size_64:25 pad2:26
`;

describe('layouts', () => {
  const lines = fromCompiler.trim().split('\n');

  test('every structure is in the compiler\'s list', () => {
    expect(new Set(lines.map((line) => line.split(' ')[0]))).toEqual(new Set(Object.keys(structs)));
  });

  test.each(lines.map((line) => [line.split(' ')[0]!, line]))('%s', (name, line) => {
    const layout = structs[name]!;
    const fields = Object.entries(layout.fields).map(([field, [, offset]]) => `${field}:${offset}`);
    expect([name, layout.size, ...fields].join(' ')).toBe(line);
  });
});

describe('view', () => {
  test('scalars are read and written in place, little-endian', () => {
    const bytes = allocate(kvmRegs);
    const regs = view(kvmRegs, bytes);
    regs.rflags = 0x1122334455667788n;
    expect(bytes[136]).toBe(0x88);
    expect(regs.rflags).toBe(0x1122334455667788n);
    expect(bytesOf(regs)).toBe(bytes);
  });

  test('nested structures and arrays share the bytes', () => {
    const bytes = allocate(kvmSregs);
    const sregs = view(kvmSregs, bytes);
    sregs.cs.base = 0xffff0000n;
    sregs.cs.selector = 0xf000;
    sregs.interrupt_bitmap[3] = 1n;
    expect(bytes[12]).toBe(0);
    expect(bytes[13]).toBe(0xf0);
    expect(bytes[304]).toBe(1);
  });

  test('flexible arrays have as many elements as the bytes hold', () => {
    const msrs = view(kvmMsrs, allocate(kvmMsrs, 3));
    expect(msrs.entries.length).toBe(3);
    msrs.entries[2]!.index = 0x10;
    expect(bytesOf(msrs)[8 + 32]).toBe(0x10);
    const cpuid = view(kvmCpuid2, allocate(kvmCpuid2, 2));
    expect(cpuid.entries[1]!.padding.length).toBe(3);
  });

  test('inner unions and 64-bit arrays', () => {
    const events = view(kvmVcpuEvents, allocate(kvmVcpuEvents));
    events.exception.nr = 14;
    events.exception_payload = 5n;
    expect(bytesOf(events)[1]).toBe(14);
    const ioapic = view(kvmIoapicState, allocate(kvmIoapicState));
    expect(ioapic.redirtbl).toHaveLength(24);
  });

  test('bytes that are too short are refused', () => {
    expect(() => view(kvmRegs, new Uint8Array(143))).toThrow(RangeError);
  });
});
