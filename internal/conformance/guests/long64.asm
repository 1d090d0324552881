; 64-bit mode, CPL 0, identity map of the first 4 MiB of which 2 MiB are memory.
        bits    64
%include "guest.inc"

        fault_stubs

exit_ud:
        exits   ud2
        done

exit_page_fault:
        mov     ebx, UNMAPPED + 0x123
        exits   mov eax, [rbx]
        done

exit_breakpoint:
        exits   int3
        done

exit_general_protection:
        mov     eax, 0x78
        exits   mov fs, ax
        done

exit_divide:
        xor     edx, edx
        xor     ecx, ecx
        exits   div ecx
        done

; Runs until something from outside ends it.
spin:
.at:    inc     rcx
        jmp     .at

; The same with interrupts open; the handler counts at DATA.
spin_open:
        sti
.at:    inc     rcx
        cmp     dword [DATA], 0
        je      .at
        done

exit_triple_fault:
        lidt    [.none]
        exits   ud2
        done
.none:  dw      0
        dq      0

exit_cpuid:
        mov     eax, 0x40001234
        mov     ecx, 7
        exits   cpuid
        mov     [DATA], eax
        mov     [DATA + 4], ebx
        mov     [DATA + 8], ecx
        mov     [DATA + 12], edx
        done

exit_hlt:
        exits   hlt
        done

exit_invd:
        exits   invd
        done

exit_wbinvd:
        exits   wbinvd
        done

exit_invlpg:
        mov     ebx, MMIO
        exits   invlpg [rbx + 8]
        done

exit_rdpmc:
        mov     ecx, 0
        exits   rdpmc
        done

exit_rdtsc:
        exits   rdtsc
        done

exit_rdtscp:
        exits   rdtscp
        done

exit_rdrand:
        exits   rdrand rdx
        done

exit_rdseed:
        exits   rdseed r9
        done

exit_pause:
        exits   pause
        done

pause_loop:
        mov     ecx, 100000
.at:    pause
        dec     ecx
        jnz     .at
        done

exit_monitor:
        mov     eax, DATA
        xor     ecx, ecx
        xor     edx, edx
        exits   monitor
        done

exit_mwait:
        xor     eax, eax
        xor     ecx, ecx
        exits   mwait
        done

exit_xsetbv:
        xor     ecx, ecx
        xor     edx, edx
        mov     eax, 3
        exits   xsetbv
        done

exit_xsaves:
        mov     eax, -1
        mov     edx, eax
        exits   xsaves [DATA]
        done

exit_xrstors:
        mov     eax, -1
        mov     edx, eax
        exits   xrstors [DATA]
        done

exit_invpcid:
        mov     ebx, DATA
        mov     ecx, 2
        exits   invpcid rcx, [rbx + 0x20]
        done

; ---- instructions of VMX
exit_vmcall:
        mov     eax, 99
        exits   vmcall
        mov     [DATA], rax
        done
exit_vmclear:
        exits   vmclear [DATA + 8]
        done
exit_vmlaunch:
        exits   vmlaunch
        done
exit_vmptrld:
        mov     r8d, DATA
        mov     r9d, 2
        exits   vmptrld [r8 + r9 * 4]
        done
exit_vmptrst:
        exits   vmptrst [DATA]
        done
exit_vmread:
        mov     ecx, 0x6820
        exits   vmread rax, rcx
        done
exit_vmread_memory:
        mov     ecx, 0x6820
        mov     ebx, DATA
        exits   vmread [rbx + 0x10], rcx
        done
exit_vmresume:
        exits   vmresume
        done
exit_vmwrite:
        mov     ecx, 0x6820
        exits   vmwrite rcx, rdx
        done
exit_vmxoff:
        exits   vmxoff
        done
exit_vmxon:
        exits   vmxon [DATA]
        done
exit_invept:
        mov     ebx, DATA
        mov     eax, 1
        exits   invept rax, [rbx]
        done
exit_invvpid:
        mov     ebx, DATA
        mov     eax, 2
        exits   invvpid rax, [rbx]
        done

; ---- registers
exit_mov_to_cr0:
        mov     rax, cr0
        xor     rax, 8
        exits   mov cr0, rax
        mov     rax, cr0
        done
exit_mov_to_cr3:
        mov     rdi, cr3
        exits   mov cr3, rdi
        done
exit_mov_from_cr3:
        exits   mov rsi, cr3
        done
exit_mov_to_cr4:
        mov     rax, cr4
        or      rax, 4
        exits   mov cr4, rax
        mov     rdx, cr4
        done
exit_mov_to_cr8:
        mov     ebx, 5
        exits   mov cr8, rbx
        mov     rdx, cr8
        done
exit_mov_from_cr8:
        exits   mov r10, cr8
        done
exit_clts:
        exits   clts
        done
exit_lmsw:
        mov     ecx, 0xb
        exits   lmsw cx
        done
exit_mov_to_dr:
        mov     r11d, DATA
        exits   mov dr1, r11
        mov     rdx, dr1
        done
exit_mov_from_dr:
        exits   mov rbx, dr7
        done
exit_rdmsr:
        mov     ecx, 0xc0000103
        exits   rdmsr
        done
exit_wrmsr:
        mov     ecx, 0xc0000103
        mov     eax, 0x1234
        xor     edx, edx
        exits   wrmsr
        done
; An MSR that no processor has.
exit_rdmsr_unknown:
        mov     ecx, 0x4b564d00
        exits   rdmsr
        mov     [DATA], eax
        mov     [DATA + 4], edx
        done
exit_wrmsr_unknown:
        mov     ecx, 0x4b564d00
        mov     eax, 0x1234
        mov     edx, 0x5678
        exits   wrmsr
        done
exit_sgdt:
        mov     ebx, DATA
        exits   sgdt [rbx + 0x18]
        done
exit_lidt:
        exits   lidt [DATA]
        done
exit_sldt:
        exits   sldt eax
        done
exit_lldt:
        xor     eax, eax
        exits   lldt ax
        done
exit_str:
        exits   str [DATA]
        done

; ---- input and output
exit_out:
        mov     al, 'x'
        exits   out 0x42, al
        done
exit_in:
        mov     dx, UART
        exits   in eax, dx
        mov     [DATA], eax
        done
exit_outs:
        mov     esi, DATA
        mov     ecx, 3
        mov     dx, UART
        exits   rep outsb
        done
exit_ins:
        mov     edi, DATA
        mov     ecx, 2
        mov     dx, UART
        exits   rep insw
        done

; ---- memory
exit_ept_read:
        mov     ebx, MMIO
        exits   mov eax, [rbx + 0x10]
        mov     [DATA], eax
        done
exit_ept_write:
        mov     ebx, MMIO
        mov     ecx, 0x12345678
        exits   mov [rbx + 0x20], ecx
        done
exit_ept_fetch:
        mov     eax, MMIO
        jmp     rax
exit_ept_data:
        mov     eax, [DATA]
        inc     dword [DATA + 4]
        done
; Touches `rdx` pages from `rbx` on.
touch_pages:
.at:    mov     byte [rbx], 1
        add     rbx, 0x1000
        dec     rdx
        jnz     .at
        done

; ---- windows and traps
open_interrupts:
        xor     ecx, ecx
        sti
        inc     ecx
.at:    inc     ecx
        done
; Blocking by NMI ends with IRET.
iret_here:
        mov     rax, rsp
        push    SEL_DATA
        push    rax
        pushfq
        push    SEL_CODE
        push    .at
        iretq
.at:    nop
        done
three_nops:
        nop
.one:   nop
.two:   nop
.three: done
lower_tpr:
        mov     ebx, 2
        mov     cr8, rbx
.at:    nop
        done

; ---- handlers that tests put into the IDT: count, and go on
count_and_return:
        inc     dword [DATA]
        iretq
count_error_and_return:
        inc     dword [DATA]
        mov     rax, [rsp]
        mov     [DATA + 8], rax
        add     qword [rsp + 8], 2
        add     rsp, 8
        iretq
; The vector's own work: what was pushed, then done.
report_frame:
        pop     rax
        mov     [DATA + 16], rax
        inc     dword [DATA]
        done
raise_int:
        exits   int 0x40
        done

; ---- rows of the world switch
; Three exits that KVM answers by itself, one that userspace does.
cpuid_thrice:
        mov     eax, 1
        cpuid
        mov     eax, 1
        cpuid
        mov     eax, 1
        cpuid
        mov     al, 'x'
        mov     dx, UART
        out     dx, al
        done

%macro x2apic 0                         ; the local APIC in x2APIC mode, enabled by software
        mov     ecx, 0x1b
        rdmsr
        or      eax, 0xc00
        wrmsr
        write_msr 0x80f, 0x1ff
%endmacro
%macro write_msr 2
        mov     ecx, %1
        mov     eax, %2
        xor     edx, edx
        wrmsr
%endmacro

; Sleeps until its own one-shot timer (vector 0x40) wakes it.
sleep_on_timer:
        x2apic
        write_msr 0x83e, 0xb            ; divide by one
        write_msr 0x832, 0x40
        write_msr 0x838, 1000000
        sti
        hlt
        done
; Sleeps, interrupts open, until DATA is set.
sleep_open:
        x2apic
.next:  sti
        hlt
        cli
        cmp     dword [DATA], 0
        je      .next
        done
; Interrupts closed for a while.
closed_then_open:
        mov     ecx, 1000
.spin:  dec     ecx
        jnz     .spin
        mov     dword [DATA + 4], 1     ; from here on an interrupt may come
        sti
        nop
.at:    nop
        done
; Until DATA has counted to two.
wait_two:
.next:  cmp     dword [DATA], 2
        jb      .next
        done
eoi_and_return:
        inc     dword [DATA]
        push    rax
        push    rcx
        push    rdx
        write_msr 0x80b, 0
        pop     rdx
        pop     rcx
        pop     rax
        iretq
; In NMI's handler: tells at DATA + 8 how deep NMIs nest.
nmi_handler:
        inc     dword [DATA + 4]
        mov     eax, [DATA + 4]
        cmp     eax, [DATA + 8]
        jbe     .flat
        mov     [DATA + 8], eax
.flat:  mov     ecx, 1000
.spin:  dec     ecx
        jnz     .spin
        dec     dword [DATA + 4]
        inc     dword [DATA]
        iretq

; INIT and SIPI (page 0xc) to the processor with APIC identifier 1, then waits for what it writes.
start_other:
        x2apic
        mov     ecx, 0x830
        mov     edx, 1
        mov     eax, 0x4500
        wrmsr
        mov     eax, 0x460c
        wrmsr
        out     UART & 0xff, al
.next:  cmp     dword [DATA], 0
        je      .next
        done

; What belongs to the host, with the guest's own values in it.
take_host_registers:
        mov     eax, 0x1111
        wrfsbase rax
        mov     eax, 0x2222
        wrgsbase rax
        write_msr 0xc0000102, 0x3333
        write_msr 0xc0000082, 0x4444
        write_msr 0xc0000084, 0x200
        xor     ecx, ecx
        xor     edx, edx
        mov     eax, 1
        xsetbv
        done

; Every general register but RSP, plus one.
add_to_registers:
%macro each_register 1
        %1      rax
        %1      rbx
        %1      rcx
        %1      rdx
        %1      rsi
        %1      rdi
        %1      rbp
        %1      r8
        %1      r9
        %1      r10
        %1      r11
        %1      r12
        %1      r13
        %1      r14
        %1      r15
%endmacro
        each_register inc
        done

read_fs_base:
        mov     ecx, 0xc0000100
        rdmsr
        done
; A write to each of two pages, in turn.
write_pages:
        mov     byte [0x100000], 1
        mov     byte [0x103000], 1
        done
write_pages_twice:
        mov     byte [0x100000], 1
        out     UART & 0xff, al
        mov     byte [0x100000], 2
        mov     byte [0x103000], 2
        done
read_at_rbx:
        mov     eax, [rbx]
        done
; SYSCALL goes where this guest's own MSRs say.
syscall_here:
        write_msr 0xc0000081, 0
        write_msr 0xc0000082, .target
        syscall
        ud2
.target:
        done
; INIT to the processor with APIC identifier 1.
stop_other:
        x2apic
        mov     ecx, 0x830
        mov     edx, 1
        mov     eax, 0x4500
        wrmsr
        done

; ---- exits that need more than one instruction
; Interrupts open and busy: its one-shot timer (vector 0x40) ends it.
spin_on_timer:
        x2apic
        write_msr 0x83e, 0xb
        write_msr 0x832, 0x40
        write_msr 0x838, 200000
        sti
.next:  cmp     dword [DATA], 0
        je      .next
        done
read_apic_base:
        mov     ecx, 0x1b
        rdmsr
        done
read_no_msr:
        mov     ecx, 0xdeadbeef
        rdmsr
        done
mmio_twice:
        mov     ebx, MMIO
        mov     [rbx + 0x20], ecx
        mov     [rbx + 0x24], ecx
        done
; An interrupt of its own (vector 0x40) waits behind task priority 5, which is lowered.
lower_tpr_to_interrupt:
        x2apic
        mov     ebx, 5
        mov     cr8, rbx
        write_msr 0x83f, 0x40           ; self IPI
        sti
        xor     ebx, ebx
        mov     cr8, rbx
.next:  cmp     dword [DATA], 0
        je      .next
        done
set_xapic:
        mov     ecx, 0x1b
        rdmsr
        and     eax, ~0x400
        wrmsr
        done
