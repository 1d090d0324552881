; A multiboot kernel that says what it is, sleeps until a byte comes on the serial line, answers with the next one, and
; goes on until 'q', which ends the machine with status 3 through port 0x501.
        ORG     0x100000
        BITS    32

COM1    EQU     0x3f8
VECTORS EQU     0x110000
TOP     EQU     0x118000
END     EQU     0x120000

image:                                  ; ELF32 header (System V ABI, chapter 4)
        DB      0x7f, "ELF", 1, 1, 1, 0
        DQ      0
        DW      2, 3
        DD      1, start, program - image, 0, 0
        DW      52, 32, 1, 40, 0, 0
program:
        DD      1, 0, image, image, file_end - image, END - 0x100000, 7, 0x1000
        ALIGN   4
        DD      0x1badb002, 3, -(0x1badb002 + 3)

%macro  outb 2
        mov     al, %2
        mov     dx, %1
        out     dx, al
%endmacro

start:
        cli
        mov     esp, TOP
        lgdt    [gdt_pointer]
        jmp     8:.code
.code:  mov     ax, 16
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     eax, serial             ; IRQ 4: vector 0x24
        mov     word [VECTORS + 0x24 * 8], ax
        mov     word [VECTORS + 0x24 * 8 + 2], 8
        mov     word [VECTORS + 0x24 * 8 + 4], 0x8e00
        shr     eax, 16
        mov     word [VECTORS + 0x24 * 8 + 6], ax
        lidt    [idt_pointer]
        outb    0x20, 0x11              ; the 8259 pair at 0x20 and 0x28, all but IRQ 4 masked
        outb    0x21, 0x20
        outb    0x21, 4
        outb    0x21, 1
        outb    0xa1, 0xff
        outb    0x21, 0xef
        outb    COM1 + 7, 0x5a          ; the scratch register keeps what was written
        mov     dx, COM1 + 7
        in      al, dx
        cmp     al, 0x5a
        jne     fail
        outb    COM1 + 4, 8             ; OUT2
        outb    COM1 + 1, 1             ; interrupt when a byte has come
        outb    COM1, '>'
.sleep: sti
        hlt
        jmp     .sleep

serial:
        mov     dx, COM1
        in      al, dx
        cmp     al, 'q'
        je      quit
        cmp     al, 's'
        je      spin
        cmp     al, 't'
        je      triple
        inc     al
        out     dx, al
        outb    0x20, 0x20
        iret
spin:   jmp     spin
triple: lidt    [none]
        ud2
quit:   outb    0x501, 1
fail:   outb    0x501, 0x7f
        jmp     fail

        ALIGN   8
gdt:    DQ      0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
        DW      gdt_pointer - gdt - 1
        DD      gdt
idt_pointer:
        DW      0x1ff
        DD      VECTORS
none:   DW      0
        DD      0
file_end:
