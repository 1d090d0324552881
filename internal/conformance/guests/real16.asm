; Real-address mode, segments at 0.
        bits    16
%include "guest.inc"

        fault_stubs

exit_cpuid:
        mov     eax, 1
        exits   cpuid
        done

exit_out:
        mov     al, 'r'
        mov     dx, UART
        exits   out dx, al
        done

exit_hlt:
        exits   hlt
        done

exit_ins:
        mov     di, DATA
        mov     cx, 1
        mov     dx, UART
        exits   rep insb
        done

exit_int:
        exits   int 0x21
        done

exit_mov_to_cr0:
        mov     eax, cr0
        or      al, 8
        exits   mov cr0, eax
        done

; A memory cycle above the first 64 KiB: 0xf000:0 is 0xf0000.
exit_ept_write:
        mov     ax, 0xf000
        mov     es, ax
        mov     al, 0x5a
        exits   mov [es:4], al
        done

open_interrupts:
        sti
        nop
.at:    nop
        done

count_and_return:
        inc     word [DATA]
        iret
