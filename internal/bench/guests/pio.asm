; 100,000 reads of the UART's scratch register between the marks: each is an exit to userspace and back.
;   nasm -f bin -o pio.elf pio.asm
%include "long-mode.inc"
main:
        mov     r15d, 1000
        mov     edx, COM1 + 7
.warm:  in      al, dx
        dec     r15d
        jnz     .warm
        mark    'S'
        mov     r15d, 100000
        mov     edx, COM1 + 7
.next:  in      al, dx
        dec     r15d
        jnz     .next
        mark    'E'
        ret
file_end:
