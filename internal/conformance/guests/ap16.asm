; Where a processor starts after a SIPI: real-address mode, at the beginning of a page.
        bits    16
        org     0
start:
        xor     ax, ax
        mov     ds, ax
        mov     word [DATA], 0x5a
        out     DONE, al
.stop:  hlt
        jmp     .stop
