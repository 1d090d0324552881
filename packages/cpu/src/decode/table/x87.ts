/** The x87 escapes D8 to DF (SDM vol. 2D, tables ). Notation: ../row.ts. */
export const X87: string = `
d8 /0      fadd           Md
d8 /1      fmul           Md
d8 /2      fcom           Md
d8 /3      fcomp          Md
d8 /4      fsub           Md
d8 /5      fsubr          Md
d8 /6      fdiv           Md
d8 /7      fdivr          Md
d8 /0      fadd           ST0,STi
d8 /1      fmul           ST0,STi
d8 /2      fcom           ST0,STi
d8 /3      fcomp          ST0,STi
d8 /4      fsub           ST0,STi
d8 /5      fsubr          ST0,STi
d8 /6      fdiv           ST0,STi
d8 /7      fdivr          ST0,STi
d9 /0      fld            Md
d9 /2      fst            Md
d9 /3      fstp           Md
d9 /4      fldenv         Menv
d9 /5      fldcw          Mw
d9 /6      fnstenv        Menv
d9 /7      fnstcw         Mw
d9 /0      fld            STi
d9 /1      fxch           ST0,STi
d9 =d0     fnop           -
d9 /3      fstpnce        STi
d9 =e0     fchs           -
d9 =e1     fabs           -
d9 =e4     ftst           -
d9 =e5     fxam           -
d9 =e8     fld1           -
d9 =e9     fldl2t         -
d9 =ea     fldl2e         -
d9 =eb     fldpi          -
d9 =ec     fldlg2         -
d9 =ed     fldln2         -
d9 =ee     fldz           -
d9 =f0     f2xm1          -
d9 =f1     fyl2x          -
d9 =f2     fptan          -
d9 =f3     fpatan         -
d9 =f4     fxtract        -
d9 =f5     fprem1         -
d9 =f6     fdecstp        -
d9 =f7     fincstp        -
d9 =f8     fprem          -
d9 =f9     fyl2xp1        -
d9 =fa     fsqrt          -
d9 =fb     fsincos        -
d9 =fc     frndint        -
d9 =fd     fscale         -
d9 =fe     fsin           -
d9 =ff     fcos           -
da /0      fiadd          Md
da /1      fimul          Md
da /2      ficom          Md
da /3      ficomp         Md
da /4      fisub          Md
da /5      fisubr         Md
da /6      fidiv          Md
da /7      fidivr         Md
da /0      fcmovb         ST0,STi      cmov
da /1      fcmove         ST0,STi      cmov
da /2      fcmovbe        ST0,STi      cmov
da /3      fcmovu         ST0,STi      cmov
da =e9     fucompp        -
db /0      fild           Md
db /1      fisttp         Md           sse3
db /2      fist           Md
db /3      fistp          Md
db /5      fld            Mt
db /7      fstp           Mt
db /0      fcmovnb        ST0,STi      cmov
db /1      fcmovne        ST0,STi      cmov
db /2      fcmovnbe       ST0,STi      cmov
db /3      fcmovnu        ST0,STi      cmov
db =e0     fneni          -
db =e1     fndisi         -
db =e2     fnclex         -
db =e3     fninit         -
db =e4     fnsetpm        -
db /5      fucomi         ST0,STi      cmov
db /6      fcomi          ST0,STi      cmov
dc /0      fadd           Mq
dc /1      fmul           Mq
dc /2      fcom           Mq
dc /3      fcomp          Mq
dc /4      fsub           Mq
dc /5      fsubr          Mq
dc /6      fdiv           Mq
dc /7      fdivr          Mq
dc /0      fadd           STi,ST0
dc /1      fmul           STi,ST0
dc /2      fcom           ST0,STi
dc /3      fcomp          ST0,STi
dc /4      fsubr          STi,ST0
dc /5      fsub           STi,ST0
dc /6      fdivr          STi,ST0
dc /7      fdiv           STi,ST0
dd /0      fld            Mq
dd /1      fisttp         Mq           sse3
dd /2      fst            Mq
dd /3      fstp           Mq
dd /4      frstor         Mfst
dd /6      fnsave         Mfst
dd /7      fnstsw         Mw
dd /0      ffree          STi
dd /1      fxch           ST0,STi
dd /2      fst            STi
dd /3      fstp           STi
dd /4      fucom          ST0,STi
dd /5      fucomp         ST0,STi
de /0      fiadd          Mw
de /1      fimul          Mw
de /2      ficom          Mw
de /3      ficomp         Mw
de /4      fisub          Mw
de /5      fisubr         Mw
de /6      fidiv          Mw
de /7      fidivr         Mw
de /0      faddp          STi,ST0
de /1      fmulp          STi,ST0
de /2      fcomp          ST0,STi
de =d9     fcompp         -
de /4      fsubrp         STi,ST0
de /5      fsubp          STi,ST0
de /6      fdivrp         STi,ST0
de /7      fdivp          STi,ST0
df /0      fild           Mw
df /1      fisttp         Mw           sse3
df /2      fist           Mw
df /3      fistp          Mw
df /4      fbld           Mt
df /5      fild           Mq
df /6      fbstp          Mt
df /7      fistp          Mq
df /0      ffreep         STi
df /1      fxch           ST0,STi
df /2      fstp           STi
df /3      fstp           STi
df =e0     fnstsw         AX
df /5      fucomip        ST0,STi      cmov
df /6      fcomip         ST0,STi      cmov
`;
