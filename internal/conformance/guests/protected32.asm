; 32-bit protected mode without paging, CPL 0, flat segments.
        bits    32
%include "guest.inc"

        fault_stubs

exit_cpuid:
        mov     eax, 1
        exits   cpuid
        done

exit_out:
        mov     eax, 'abcd'
        mov     dx, UART
        exits   out dx, eax
        done

exit_mov_to_cr0:
        mov     eax, cr0
        or      eax, 8
        exits   mov cr0, eax
        done

; ---- task switches: by a TSS, by a task gate, by a vector's task gate; and back
exit_jmp_tss:
        exits   jmp SEL_TSS1:0
        done
exit_call_tss:
        exits   call SEL_TSS1:0
        done
exit_call_gate:
        exits   call SEL_TASK_GATE:0
        done
exit_int_gate:
        exits   int 0x30
        done
; Where the second task begins.
task:
        mov     dword [DATA], 0x7461736b
        done
; The second task as a procedure: goes back to the task that called.
task_returns:
        inc     dword [DATA]
        iret
        jmp     task_returns

exit_ept_write:
        mov     ebx, MMIO
        exits   mov word [ebx + 2], 0xbeef
        done

exit_hlt:
        exits   hlt
        done

; In 32-bit mode SGDT and its like tell the operand size.
exit_sgdt:
        exits   sgdt [DATA]
        done
exit_invlpg:
        exits   invlpg [DATA]
        done
exit_lldt:
        mov     ecx, SEL_LDT
        exits   lldt cx
        done

count_and_return:
        inc     dword [DATA]
        iret
