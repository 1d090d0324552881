/** The one-byte opcode map but the x87 escapes (SDM vol. 2D, table A-2 and the group tables). Notation: ../row.ts. */
export const ONE_BYTE: string = `
00         add            Eb,Gb        lock
01         add            Ev,Gv        lock
02         add            Gb,Eb
03         add            Gv,Ev
04         add            AL,Ibb
05         add            rAX,Iz
06         push           ES           i64 sz
07         pop            ES           i64 sz
08         or             Eb,Gb        lock
09         or             Ev,Gv        lock
0a         or             Gb,Eb
0b         or             Gv,Ev
0c         or             AL,Ibb
0d         or             rAX,Iz
0e         push           CS           i64 sz
10         adc            Eb,Gb        lock
11         adc            Ev,Gv        lock
12         adc            Gb,Eb
13         adc            Gv,Ev
14         adc            AL,Ibb
15         adc            rAX,Iz
16         push           SS           i64 sz
17         pop            SS           i64 sz
18         sbb            Eb,Gb        lock
19         sbb            Ev,Gv        lock
1a         sbb            Gb,Eb
1b         sbb            Gv,Ev
1c         sbb            AL,Ibb
1d         sbb            rAX,Iz
1e         push           DS           i64 sz
1f         pop            DS           i64 sz
20         and            Eb,Gb        lock
21         and            Ev,Gv        lock
22         and            Gb,Eb
23         and            Gv,Ev
24         and            AL,Ibb
25         and            rAX,Iz
27         daa            -            i64
28         sub            Eb,Gb        lock
29         sub            Ev,Gv        lock
2a         sub            Gb,Eb
2b         sub            Gv,Ev
2c         sub            AL,Ibb
2d         sub            rAX,Iz
2f         das            -            i64
30         xor            Eb,Gb        lock
31         xor            Ev,Gv        lock
32         xor            Gb,Eb
33         xor            Gv,Ev
34         xor            AL,Ibb
35         xor            rAX,Iz
37         aaa            -            i64
38         cmp            Eb,Gb
39         cmp            Ev,Gv
3a         cmp            Gb,Eb
3b         cmp            Gv,Ev
3c         cmp            AL,Ibb
3d         cmp            rAX,Iz
3f         aas            -            i64
40+        inc            Zv           i64
48+        dec            Zv           i64
50+        push           Zv           d64
58+        pop            Zv           d64
60         pusha          -            i64 o16
60         pushad         -            i64 o32
61         popa           -            i64 o16
61         popad          -            i64 o32
62         bound          Gv,Ma        i64
63         arpl           Ew,Gw        i64
63         movsxd         Gv,Ez        m64
68         push           Iz           d64
69         imul           Gv,Ev,Iz
6a         push           Ibs          d64
6b         imul           Gv,Ev,Ibs
6c         insb           -
6d         insw           -            o16
6d         insd           -            o32 o64 z
6e         outsb          -
6f         outsw          -            o16
6f         outsd          -            o32 o64 z
70         jo             Jb           f64
71         jno            Jb           f64
72         jb             Jb           f64
73         jae            Jb           f64
74         je             Jb           f64
75         jne            Jb           f64
76         jbe            Jb           f64
77         ja             Jb           f64
78         js             Jb           f64
79         jns            Jb           f64
7a         jp             Jb           f64
7b         jnp            Jb           f64
7c         jl             Jb           f64
7d         jge            Jb           f64
7e         jle            Jb           f64
7f         jg             Jb           f64
80 /0      add            Eb,Ibb       lock
80 /1      or             Eb,Ibb       lock
80 /2      adc            Eb,Ibb       lock
80 /3      sbb            Eb,Ibb       lock
80 /4      and            Eb,Ibb       lock
80 /5      sub            Eb,Ibb       lock
80 /6      xor            Eb,Ibb       lock
80 /7      cmp            Eb,Ibb
81 /0      add            Ev,Iz        lock
81 /1      or             Ev,Iz        lock
81 /2      adc            Ev,Iz        lock
81 /3      sbb            Ev,Iz        lock
81 /4      and            Ev,Iz        lock
81 /5      sub            Ev,Iz        lock
81 /6      xor            Ev,Iz        lock
81 /7      cmp            Ev,Iz
82 /0      add            Eb,Ibb       lock i64
82 /1      or             Eb,Ibb       lock i64
82 /2      adc            Eb,Ibb       lock i64
82 /3      sbb            Eb,Ibb       lock i64
82 /4      and            Eb,Ibb       lock i64
82 /5      sub            Eb,Ibb       lock i64
82 /6      xor            Eb,Ibb       lock i64
82 /7      cmp            Eb,Ibb       i64
83 /0      add            Ev,Ibs       lock
83 /1      or             Ev,Ibs       lock
83 /2      adc            Ev,Ibs       lock
83 /3      sbb            Ev,Ibs       lock
83 /4      and            Ev,Ibs       lock
83 /5      sub            Ev,Ibs       lock
83 /6      xor            Ev,Ibs       lock
83 /7      cmp            Ev,Ibs
84         test           Eb,Gb
85         test           Ev,Gv
86         xchg           Eb,Gb        lock
87         xchg           Ev,Gv        lock
88         mov            Eb,Gb
89         mov            Ev,Gv
8a         mov            Gb,Eb
8b         mov            Gv,Ev
8c         mov            Ev.w,Sw
8d         lea            Gv,M
8e         mov            Sw,Ev.w
8f /0      pop            Ev           d64
90         nop            -            rexb
f3 90      pause          -            rexb
90+        xchg           Zv,rAX
98         cbw            -            o16
98         cwde           -            o32
98         cdqe           -            o64
99         cwd            -            o16
99         cdq            -            o32
99         cqo            -            o64
9a         call           Ap           i64
9b         wait           -
9c         pushf          -            d64 o16
9c         pushfd         -            d64 o32
9c         pushfq         -            d64 o64
9d         popf           -            d64 o16
9d         popfd          -            d64 o32
9d         popfq          -            d64 o64
9e         sahf           -
9f         lahf           -
a0         mov            AL,Ob
a1         mov            rAX,Ov
a2         mov            Ob,AL
a3         mov            Ov,rAX
a4         movsb          -
a5         movsw          -            o16
a5         movsd_string   -            o32
a5         movsq          -            o64
a6         cmpsb          -
a7         cmpsw          -            o16
a7         cmpsd_string   -            o32
a7         cmpsq          -            o64
a8         test           AL,Ibb
a9         test           rAX,Iz
aa         stosb          -
ab         stosw          -            o16
ab         stosd          -            o32
ab         stosq          -            o64
ac         lodsb          -
ad         lodsw          -            o16
ad         lodsd          -            o32
ad         lodsq          -            o64
ae         scasb          -
af         scasw          -            o16
af         scasd          -            o32
af         scasq          -            o64
b0+        mov            Zb,Ibb
b8+        mov            Zv,Iv
c0 /0      rol            Eb,Ib
c0 /1      ror            Eb,Ib
c0 /2      rcl            Eb,Ib
c0 /3      rcr            Eb,Ib
c0 /4      shl            Eb,Ib
c0 /5      shr            Eb,Ib
c0 /6      sal            Eb,Ib
c0 /7      sar            Eb,Ib
c1 /0      rol            Ev,Ib
c1 /1      ror            Ev,Ib
c1 /2      rcl            Ev,Ib
c1 /3      rcr            Ev,Ib
c1 /4      shl            Ev,Ib
c1 /5      shr            Ev,Ib
c1 /6      sal            Ev,Ib
c1 /7      sar            Ev,Ib
c2         ret            Iw           f64 sz
c3         ret            -            f64 sz
c4         les            Gz,Mp        i64
c5         lds            Gz,Mp        i64
c6 /0      mov            Eb,Ibb
c7 /0      mov            Ev,Iz
c8         enter          Iw,I2b       d64 sz
c9         leave          -            d64 sz
ca         retf           Iw           sz
cb         retf           -            sz
cc         int3           -
cd         int            Ib
ce         into           -            i64
cf         iret           -            o16
cf         iretd          -            o32
cf         iretq          -            o64
d0 /0      rol            Eb,1
d0 /1      ror            Eb,1
d0 /2      rcl            Eb,1
d0 /3      rcr            Eb,1
d0 /4      shl            Eb,1
d0 /5      shr            Eb,1
d0 /6      sal            Eb,1
d0 /7      sar            Eb,1
d1 /0      rol            Ev,1
d1 /1      ror            Ev,1
d1 /2      rcl            Ev,1
d1 /3      rcr            Ev,1
d1 /4      shl            Ev,1
d1 /5      shr            Ev,1
d1 /6      sal            Ev,1
d1 /7      sar            Ev,1
d2 /0      rol            Eb,CL
d2 /1      ror            Eb,CL
d2 /2      rcl            Eb,CL
d2 /3      rcr            Eb,CL
d2 /4      shl            Eb,CL
d2 /5      shr            Eb,CL
d2 /6      sal            Eb,CL
d2 /7      sar            Eb,CL
d3 /0      rol            Ev,CL
d3 /1      ror            Ev,CL
d3 /2      rcl            Ev,CL
d3 /3      rcr            Ev,CL
d3 /4      shl            Ev,CL
d3 /5      shr            Ev,CL
d3 /6      sal            Ev,CL
d3 /7      sar            Ev,CL
d4         aam            Ib           i64
d5         aad            Ib           i64
d6         salc           -            i64
d7         xlatb          -
e0         loopne         Jb           f64
e1         loope          Jb           f64
e2         loop           Jb           f64
e3         jcxz           Jb           f64 a16
e3         jecxz          Jb           f64 a32
e3         jrcxz          Jb           f64 a64
e4         in             AL,Ib
e5         in             eAX,Ib       z
e6         out            Ib,AL
e7         out            Ib,eAX       z
e8         call           Jz           f64
e9         jmp            Jz           f64
ea         jmp            Ap           i64
eb         jmp            Jb           f64
ec         in             AL,DX
ed         in             eAX,DX       z
ee         out            DX,AL
ef         out            DX,eAX       z
f1         int1           -
f4         hlt            -
f5         cmc            -
f6 /0      test           Eb,Ibb
f6 /1      test           Eb,Ibb
f6 /2      not            Eb           lock
f6 /3      neg            Eb           lock
f6 /4      mul            Eb
f6 /5      imul           Eb
f6 /6      div            Eb
f6 /7      idiv           Eb
f7 /0      test           Ev,Iz
f7 /1      test           Ev,Iz
f7 /2      not            Ev           lock
f7 /3      neg            Ev           lock
f7 /4      mul            Ev
f7 /5      imul           Ev
f7 /6      div            Ev
f7 /7      idiv           Ev
f8         clc            -
f9         stc            -
fa         cli            -
fb         sti            -
fc         cld            -
fd         std            -
fe /0      inc            Eb           lock
fe /1      dec            Eb           lock
ff /0      inc            Ev           lock
ff /1      dec            Ev           lock
ff /2      call           Ev           f64
ff /3      call           Mp
ff /4      jmp            Ev           f64
ff /5      jmp            Mp
ff /6      push           Ev           d64
`;
