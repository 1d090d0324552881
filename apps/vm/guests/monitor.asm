; A monitor on the serial port: the guest that starts where Linux can't be had.
;
; One file of two worlds: an ELF32 image with a multiboot header, entered in 32-bit protected mode, which builds page
; tables, goes to long mode and serves commands there. It waits in HLT for the UART's interrupt.
;
;   nasm -f bin -o monitor.elf monitor.asm

        ORG     0x100000
        BITS    32

COM1    EQU     0x3f8
VECTOR  EQU     0x20                    ; of IRQ 0
LINE    EQU     80

; ---- above the image: page tables and stack, not in the file
PML4    EQU     0x110000
PDPT    EQU     0x111000
PD      EQU     0x112000                ; four of them: 4 GiB
IDT     EQU     0x116000
BUFFER  EQU     0x117000
STACK   EQU     0x11f000
END     EQU     0x120000

; ---- ELF32 header (System V ABI, chapter 4)
image:
        DB      0x7f, "ELF", 1, 1, 1, 0
        DQ      0
        DW      2, 3                    ; ET_EXEC, EM_386
        DD      1, start, program - image, 0, 0
        DW      52, 32, 1, 40, 0, 0
program:
        DD      1, 0, image, image, file_end - image, END - 0x100000, 7, 0x1000

; ---- multiboot header (Multiboot specification 0.6.96, 3.1): page-aligned modules, memory information
        ALIGN   4
        DD      0x1badb002, 3, -(0x1badb002 + 3)

start:
        cli
        mov     esp, STACK
        mov     [boot_magic], eax
        mov     [boot_info], ebx
        mov     edi, PML4
        mov     ecx, (BUFFER - PML4) / 4
        xor     eax, eax
        rep     stosd
        mov     dword [PML4], PDPT + 3
        mov     dword [PDPT], PD + 3
        mov     dword [PDPT + 8], PD + 0x1003
        mov     dword [PDPT + 16], PD + 0x2003
        mov     dword [PDPT + 24], PD + 0x3003
        mov     edi, PD
        mov     eax, 0x83               ; present, writable, 2 MiB
        mov     ecx, 2048
.page:  mov     [edi], eax
        add     eax, 0x200000
        add     edi, 8
        loop    .page
        mov     eax, cr4
        or      eax, 0x620              ; PAE, OSFXSR, OSXMMEXCPT
        mov     cr4, eax
        mov     eax, PML4
        mov     cr3, eax
        mov     ecx, 0xc0000080         ; EFER.LME
        rdmsr
        or      eax, 0x100
        wrmsr
        mov     eax, cr0
        or      eax, 0x80000001         ; PG, PE
        mov     cr0, eax
        lgdt    [gdt_pointer]
        jmp     8:long_mode

        BITS    64
        DEFAULT REL
long_mode:
        mov     ax, 16
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     rsp, STACK

; ---- IDT: every exception reports itself, IRQ 4 only wakes
        mov     rdi, IDT
        mov     rax, exception
        mov     ecx, 32
.gate:  call    set_gate
        loop    .gate
        mov     rax, interrupt
        mov     ecx, 16
.irq:   call    set_gate
        loop    .irq
        lidt    [idt_pointer]

; ---- local APIC on, with the 8259's interrupts through LINT0 (virtual wire mode; SDM vol. 3A, 11.5.1)
        mov     eax, 0xfee000f0
        mov     dword [rax], 0x1ff
        mov     eax, 0xfee00350
        mov     dword [rax], 0x700

; ---- 8259s at vectors 0x20 and 0x28, all masked but IRQ 4
        mov     rsi, pic_setup
        mov     ecx, (pic_setup_end - pic_setup) / 2
.pic:   lodsw
        movzx   edx, al
        mov     al, ah
        out     dx, al
        loop    .pic

; ---- 16550A: 115200 8n1, FIFO on, interrupt on received data, OUT2 opens the line
        mov     rsi, uart_setup
        mov     ecx, (uart_setup_end - uart_setup) / 2
        mov     edx, COM1
.uart:  lodsw
        movzx   edx, al
        add     edx, COM1
        mov     al, ah
        out     dx, al
        loop    .uart

        mov     rsi, banner
        call    puts

; ---- read a line, find the command
prompt:
        mov     rsi, prompt_text
        call    puts
        call    gets
        cmp     byte [abs BUFFER], 0
        je      prompt
        mov     rbx, commands
.next:  mov     rsi, [rbx]
        test    rsi, rsi
        jz      .unknown
        mov     rdi, BUFFER
        call    equal
        je      .found
        add     rbx, 16
        jmp     .next
.found: call    [rbx + 8]
        jmp     prompt
.unknown:
        mov     rsi, unknown_text
        call    puts
        jmp     prompt

; ---- commands
help:
        mov     rsi, help_text
        jmp     puts

cpuid_command:
        xor     eax, eax
        cpuid
        push    rax
        mov     [abs BUFFER], ebx
        mov     [abs BUFFER + 4], edx
        mov     [abs BUFFER + 8], ecx
        mov     byte [abs BUFFER + 12], 0
        mov     rsi, BUFFER
        call    puts
        mov     rsi, leaf_text
        call    puts
        pop     rax
        call    put_hex
        call    newline
        mov     eax, 0x80000000
        cpuid
        cmp     eax, 0x80000004
        jb      .done
        mov     r8d, 0x80000002
        mov     r9d, BUFFER
.brand: mov     eax, r8d
        cpuid
        mov     [r9], eax
        mov     [r9 + 4], ebx
        mov     [r9 + 8], ecx
        mov     [r9 + 12], edx
        add     r9, 16
        inc     r8d
        cmp     r8d, 0x80000005
        jb      .brand
        mov     byte [r9], 0
        mov     rsi, BUFFER
        call    puts
        call    newline
.done:  ret

; Memory above 1 MiB as the loader told it (Multiboot specification, 3.3: mem_upper, in KiB).
memory:
        cmp     dword [boot_magic], 0x2badb002
        jne     .none
        mov     ebx, [boot_info]
        test    byte [rbx], 1
        jz      .none
        mov     eax, [rbx + 8]
        add     eax, 1024
        shr     eax, 10
        call    put_decimal
        mov     rsi, mebibytes_text
        jmp     puts
.none:  mov     rsi, no_memory_text
        jmp     puts

tsc:
        rdtsc
        shl     rdx, 32
        or      rax, rdx
        call    put_hex
        jmp     newline

; S5, soft-off: the sleep control register of ACPI's reduced hardware (QEMU's microvm), then PM1a control at port 0x604
; with either machine's sleep type.
poweroff:
        mov     eax, 0xfea00200
        mov     byte [rax], 0x34
        mov     edx, 0x604
        mov     eax, 0x3400
        out     dx, ax
        mov     eax, 0x2000
        out     dx, ax
        mov     ecx, 100000             ; the machine may take a moment
.wait:  in      al, 0x80
        loop    .wait
        mov     rsi, no_poweroff_text
        jmp     puts

; The keyboard controller pulls the processor's reset line.
reboot:
        mov     al, 0xfe
        out     0x64, al
        ret

; ---- interrupts
set_gate:                               ; rdi: gate, rax: handler; rdi moves on
        mov     rdx, rax
        mov     [rdi], dx
        mov     word [rdi + 2], 8
        mov     word [rdi + 4], 0x8e00
        shr     rdx, 16
        mov     [rdi + 6], dx
        shr     rdx, 16
        mov     [rdi + 8], edx
        mov     dword [rdi + 12], 0
        add     rdi, 16
        ret

interrupt:
        push    rax
        mov     al, 0x20
        out     0x20, al
        pop     rax
        iretq

exception:
        mov     rsi, exception_text
        call    puts
.stop:  cli
        hlt
        jmp     .stop

; ---- serial port
getc:                                   ; al: the next byte
        mov     edx, COM1 + 5
.wait:  cli
        in      al, dx
        test    al, 1
        jnz     .ready
        sti
        hlt
        jmp     .wait
.ready: sti
        mov     edx, COM1
        in      al, dx
        ret

putc:                                   ; al; keeps all but flags
        push    rdx
        push    rax
        mov     edx, COM1 + 5
.wait:  in      al, dx
        test    al, 0x20
        jz      .wait
        pop     rax
        mov     edx, COM1
        out     dx, al
        pop     rdx
        ret

puts:                                   ; rsi
        lodsb
        test    al, al
        jz      .done
        call    putc
        jmp     puts
.done:  ret

newline:
        mov     rsi, newline_text
        jmp     puts

gets:                                   ; a line into BUFFER, with echo and backspace
        mov     rdi, BUFFER
.next:  call    getc
        cmp     al, 13
        je      .done
        cmp     al, 10
        je      .done
        cmp     al, 8
        je      .back
        cmp     al, 127
        je      .back
        cmp     al, 32
        jb      .next
        cmp     rdi, BUFFER + LINE
        jae     .next
        stosb
        call    putc
        jmp     .next
.back:  cmp     rdi, BUFFER
        je      .next
        dec     rdi
        mov     rsi, erase_text
        call    puts
        jmp     .next
.done:  mov     byte [rdi], 0
        jmp     newline

; ---- text
equal:                                  ; rsi, rdi: zero flag set when the strings are equal
        lodsb
        cmp     al, [rdi]
        jne     .done
        inc     rdi
        test    al, al
        jnz     equal
.done:  ret

put_hex:                                ; rax
        mov     r8, rax
        mov     ecx, 16
.next:  rol     r8, 4
        mov     al, r8b
        and     al, 15
        add     al, '0'
        cmp     al, '9' + 1
        jb      .digit
        add     al, 'a' - '9' - 1
.digit: call    putc
        loop    .next
        ret

put_decimal:                            ; rax
        mov     r9, 10
        xor     ecx, ecx
.split: xor     edx, edx
        div     r9
        push    rdx
        inc     ecx
        test    rax, rax
        jnz     .split
.print: pop     rax
        add     al, '0'
        call    putc
        loop    .print
        ret

        ALIGN   8
gdt:    DQ      0, 0x00af9a000000ffff, 0x00cf92000000ffff
gdt_pointer:
        DW      gdt_pointer - gdt - 1
        DQ      gdt
idt_pointer:
        DW      48 * 16 - 1
        DQ      IDT
boot_magic:
        DD      0
boot_info:
        DD      0

commands:
        DQ      name_help, help, name_cpuid, cpuid_command, name_memory, memory, name_tsc, tsc
        DQ      name_poweroff, poweroff, name_reboot, reboot, 0

; pairs of port and value
pic_setup:
        DB      0x20, 0x11, 0xa0, 0x11, 0x21, VECTOR, 0xa1, VECTOR + 8, 0x21, 4, 0xa1, 2
        DB      0x21, 1, 0xa1, 1, 0x21, 0xef, 0xa1, 0xff
pic_setup_end:
; pairs of register and value
uart_setup:
        DB      1, 0, 3, 0x80, 0, 1, 1, 0, 3, 3, 2, 7, 4, 0x0b, 1, 1
uart_setup_end:

name_help:      DB "help", 0
name_cpuid:     DB "cpuid", 0
name_memory:    DB "memory", 0
name_tsc:       DB "tsc", 0
name_poweroff:  DB "poweroff", 0
name_reboot:    DB "reboot", 0

banner: DB      13, 10, "monitor: 64-bit, on the serial port. `help` lists the commands.", 13, 10, 0
prompt_text:
        DB      "> ", 0
unknown_text:
        DB      "unknown command; `help` lists the commands", 13, 10, 0
help_text:
        DB      "help      this list", 13, 10
        DB      "cpuid     the processor's vendor, highest leaf and name", 13, 10
        DB      "memory    the size of the memory", 13, 10
        DB      "tsc       the time-stamp counter", 13, 10
        DB      "poweroff  ends the machine", 13, 10
        DB      "reboot    starts it again", 13, 10, 0
leaf_text:
        DB      ", highest leaf ", 0
mebibytes_text:
        DB      " MiB", 13, 10, 0
no_memory_text:
        DB      "the loader did not say", 13, 10, 0
no_poweroff_text:
        DB      "this machine has no power-off register that is known here", 13, 10, 0
exception_text:
        DB      13, 10, "monitor: an exception was raised; stopped", 13, 10, 0
erase_text:
        DB      8, " ", 8, 0
newline_text:
        DB      13, 10, 0
file_end:
