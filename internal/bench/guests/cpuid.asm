; 100,000 CPUIDs between the marks: each is a VM exit that KVM answers itself.
;   nasm -f bin -o cpuid.elf cpuid.asm
%include "long-mode.inc"
main:
        mov     r15d, 1000
.warm:  xor     eax, eax
        cpuid
        dec     r15d
        jnz     .warm
        mark    'S'
        mov     r15d, 100000
.next:  xor     eax, eax
        cpuid
        dec     r15d
        jnz     .next
        mark    'E'
        ret
file_end:
