; 20,000,000 rounds of nine plain instructions between the marks: ALU, load, store, branch; no exit among them.
;   nasm -f bin -o interpreter.elf interpreter.asm
%include "long-mode.inc"
main:
        mov     r15d, 200000
        call    rounds
        mark    'S'
        mov     r15d, 20000000
        call    rounds
        mark    'E'
        ret

rounds:
        mov     ebx, DATA
        xor     eax, eax
        xor     esi, esi
.next:  mov     rdx, [rbx + rsi * 8]
        add     rdx, rax
        xor     rdx, r15
        mov     [rbx + rsi * 8 + 8], rdx
        lea     eax, [rax + 3]
        and     esi, 0x3ff
        inc     esi
        dec     r15d
        jnz     .next
        ret
file_end:
