/** The 0F map: integer and system instructions (SDM vol. 2D, table A-3). Notation: ../row.ts. */
export const TWO_BYTE: string = `
0f 00 /0   sldt           Ev.w
0f 00 /1   str            Ev.w
0f 00 /2   lldt           Ev.w
0f 00 /3   ltr            Ev.w
0f 00 /4   verr           Ev.w
0f 00 /5   verw           Ev.w
0f 01 /0   sgdt           Ms
0f 01 /1   sidt           Ms
0f 01 /2   lgdt           Ms           sz
0f 01 /3   lidt           Ms           sz
0f 01 /4   smsw           Ev.w
0f 01 /6   lmsw           Ev.w
0f 01 /7   invlpg         M
np 0f 01 =c1 vmcall       -            vmx
np 0f 01 =c2 vmlaunch     -            vmx
np 0f 01 =c3 vmresume     -            vmx
np 0f 01 =c4 vmxoff       -            vmx
np 0f 01 =c8 monitor      -            monitor
np 0f 01 =c9 mwait        -            monitor
np 0f 01 =ca clac         -            smap
np 0f 01 =cb stac         -            smap
np 0f 01 =d0 xgetbv       -            xsave
np 0f 01 =d1 xsetbv       -            xsave
np 0f 01 =d4 vmfunc       -            vmx
np 0f 01 =ee rdpkru       -            pku
np 0f 01 =ef wrpkru       -            pku
0f 01 =f8  swapgs         -            m64
0f 01 =f9  rdtscp         -            rdtscp
0f 02      lar            Gv,Ev.w
0f 03      lsl            Gv,Ev.w
0f 05      syscall        -            m64
0f 06      clts           -
0f 07      sysret         -            m64 o16 o32
0f 07      sysretq        -            m64 o64
0f 08      invd           -
0f 09      wbinvd         -
0f 0b      ud2            -
0f 0d /0   prefetch       Mb           prefetchw
0f 0d /1   prefetchw      Mb           prefetchw
0f 0d /2   prefetchwt1    Mb           prefetchw
0f 0d /3   prefetchw      Mb           prefetchw
0f 0d /4   prefetch       Mb           prefetchw
0f 0d /5   prefetch       Mb           prefetchw
0f 0d /6   prefetch       Mb           prefetchw
0f 0d /7   prefetch       Mb           prefetchw
0f 0d      nop            Rv
0f 18 /0   prefetchnta    Mb
0f 18 /1   prefetcht0     Mb
0f 18 /2   prefetcht1     Mb
0f 18 /3   prefetcht2     Mb
0f 18      nop            Ev
0f 19      nop            Ev
0f 1a      nop            Ev
0f 1b      nop            Ev
0f 1c      nop            Ev
0f 1d      nop            Ev
0f 1e      nop            Ev
f3 0f 1e =fa endbr64      -
f3 0f 1e =fb endbr32      -
0f 1f      nop            Ev
0f 20      mov            Rn,Cn        mod3
0f 21      mov            Rn,Dn        mod3
0f 22      mov            Cn,Rn        mod3
0f 23      mov            Dn,Rn        mod3
0f 30      wrmsr          -
0f 31      rdtsc          -
0f 32      rdmsr          -
0f 33      rdpmc          -
0f 34      sysenter       -
0f 35      sysexit        -            o16 o32
0f 35      sysexitq       -            o64
0f 40      cmovo          Gv,Ev        cmov
0f 41      cmovno         Gv,Ev        cmov
0f 42      cmovb          Gv,Ev        cmov
0f 43      cmovae         Gv,Ev        cmov
0f 44      cmove          Gv,Ev        cmov
0f 45      cmovne         Gv,Ev        cmov
0f 46      cmovbe         Gv,Ev        cmov
0f 47      cmova          Gv,Ev        cmov
0f 48      cmovs          Gv,Ev        cmov
0f 49      cmovns         Gv,Ev        cmov
0f 4a      cmovp          Gv,Ev        cmov
0f 4b      cmovnp         Gv,Ev        cmov
0f 4c      cmovl          Gv,Ev        cmov
0f 4d      cmovge         Gv,Ev        cmov
0f 4e      cmovle         Gv,Ev        cmov
0f 4f      cmovg          Gv,Ev        cmov
np 0f 78   vmread         En,Gn        vmx
np 0f 79   vmwrite        Gn,En        vmx
0f 80      jo             Jz           f64
0f 81      jno            Jz           f64
0f 82      jb             Jz           f64
0f 83      jae            Jz           f64
0f 84      je             Jz           f64
0f 85      jne            Jz           f64
0f 86      jbe            Jz           f64
0f 87      ja             Jz           f64
0f 88      js             Jz           f64
0f 89      jns            Jz           f64
0f 8a      jp             Jz           f64
0f 8b      jnp            Jz           f64
0f 8c      jl             Jz           f64
0f 8d      jge            Jz           f64
0f 8e      jle            Jz           f64
0f 8f      jg             Jz           f64
0f 90      seto           Eb
0f 91      setno          Eb
0f 92      setb           Eb
0f 93      setae          Eb
0f 94      sete           Eb
0f 95      setne          Eb
0f 96      setbe          Eb
0f 97      seta           Eb
0f 98      sets           Eb
0f 99      setns          Eb
0f 9a      setp           Eb
0f 9b      setnp          Eb
0f 9c      setl           Eb
0f 9d      setge          Eb
0f 9e      setle          Eb
0f 9f      setg           Eb
0f a0      push           FS           d64 sz
0f a1      pop            FS           d64 sz
0f a2      cpuid          -
0f a3      bt             Ev,Gv
0f a4      shld           Ev,Gv,Ib
0f a5      shld           Ev,Gv,CL
0f a8      push           GS           d64 sz
0f a9      pop            GS           d64 sz
0f aa      rsm            -
0f ab      bts            Ev,Gv        lock
0f ac      shrd           Ev,Gv,Ib
0f ad      shrd           Ev,Gv,CL
np 0f ae /0 fxsave        M512         o16 o32 fxsr
np 0f ae /0 fxsave64      M512         o64 fxsr
np 0f ae /1 fxrstor       M512         o16 o32 fxsr
np 0f ae /1 fxrstor64     M512         o64 fxsr
np 0f ae /2 ldmxcsr       Md           sse
np 0f ae /3 stmxcsr       Md           sse
np 0f ae /4 xsave         M            o16 o32 xsave
np 0f ae /4 xsave64       M            o64 xsave
np 0f ae /5 xrstor        M            o16 o32 xsave
np 0f ae /5 xrstor64      M            o64 xsave
np 0f ae /5 lfence        -            reg sse2
np 0f ae /6 xsaveopt      M            o16 o32 xsaveopt
np 0f ae /6 xsaveopt64    M            o64 xsaveopt
np 0f ae /6 mfence        -            reg sse2
66 0f ae /6 clwb          Mb           clwb
np 0f ae /7 clflush       Mb           clfsh
np 0f ae /7 sfence        -            reg sse
66 0f ae /7 clflushopt    Mb           clflushopt
f3 0f ae /0 rdfsbase      Ry           m64 fsgsbase
f3 0f ae /1 rdgsbase      Ry           m64 fsgsbase
f3 0f ae /2 wrfsbase      Ry           m64 fsgsbase
f3 0f ae /3 wrgsbase      Ry           m64 fsgsbase
0f af      imul           Gv,Ev
0f b0      cmpxchg        Eb,Gb        lock
0f b1      cmpxchg        Ev,Gv        lock
0f b2      lss            Gv,Mp
0f b3      btr            Ev,Gv        lock
0f b4      lfs            Gv,Mp
0f b5      lgs            Gv,Mp
0f b6      movzx          Gv,Eb
0f b7      movzx          Gv,Ew
f3 0f b8   popcnt         Gv,Ev        popcnt
0f b9      ud1            Gv,Ev
0f ba /4   bt             Ev,Ib
0f ba /5   bts            Ev,Ib        lock
0f ba /6   btr            Ev,Ib        lock
0f ba /7   btc            Ev,Ib        lock
0f bb      btc            Ev,Gv        lock
0f bc      bsf            Gv,Ev
f3 0f bc   tzcnt          Gv,Ev        bmi1
0f bd      bsr            Gv,Ev
f3 0f bd   lzcnt          Gv,Ev        lzcnt
0f be      movsx          Gv,Eb
0f bf      movsx          Gv,Ew
0f c0      xadd           Eb,Gb        lock
0f c1      xadd           Ev,Gv        lock
np 0f c3   movnti         My,Gy        sse2
0f c7 /1   cmpxchg8b      Mq           o16 o32 lock cx8
0f c7 /1   cmpxchg16b     Mdq          o64 lock cx16
np 0f c7 /3 xrstors       M            o16 o32 xsaves
np 0f c7 /3 xrstors64     M            o64 xsaves
np 0f c7 /4 xsavec        M            o16 o32 xsavec
np 0f c7 /4 xsavec64      M            o64 xsavec
np 0f c7 /5 xsaves        M            o16 o32 xsaves
np 0f c7 /5 xsaves64      M            o64 xsaves
np 0f c7 /6 vmptrld       Mq           vmx
66 0f c7 /6 vmclear       Mq           vmx
f3 0f c7 /6 vmxon         Mq           vmx
np 0f c7 /7 vmptrst       Mq           vmx
np 0f c7 /6 rdrand        Rv           rdrand
66 0f c7 /6 rdrand        Rv           rdrand
np 0f c7 /7 rdseed        Rv           rdseed
66 0f c7 /7 rdseed        Rv           rdseed
f3 0f c7 /7 rdpid         Rn           rdpid
0f c8+     bswap          Zv
0f ff      ud0            Gv,Ev
`;
