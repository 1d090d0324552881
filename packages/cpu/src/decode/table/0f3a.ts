/** The 0F3A map without VEX (SDM vol. 2D, table A-5). Notation: ../row.ts. */
export const MAP_0F3A: string = `
66 0f3a 08    roundps          Vdq,Wdq,Ib     sse4_1
66 0f3a 09    roundpd          Vdq,Wdq,Ib     sse4_1
66 0f3a 0a    roundss          Vdq,Wd,Ib      sse4_1
66 0f3a 0b    roundsd          Vdq,Wq,Ib      sse4_1
66 0f3a 0c    blendps          Vdq,Wdq,Ib     sse4_1
66 0f3a 0d    blendpd          Vdq,Wdq,Ib     sse4_1
66 0f3a 0e    pblendw          Vdq,Wdq,Ib     sse4_1
np 0f3a 0f    palignr          Pq,Qq,Ib       ssse3
66 0f3a 0f    palignr          Vdq,Wdq,Ib     ssse3
66 0f3a 14    pextrb           Ey.b,Vdq,Ib    sse4_1
66 0f3a 15    pextrw           Ey.w,Vdq,Ib    sse4_1
66 0f3a 16    pextrd           Ed,Vdq,Ib      o16 o32 sse4_1
66 0f3a 16    pextrq           Eq,Vdq,Ib      o64 sse4_1
66 0f3a 17    extractps        Ey.d,Vdq,Ib    sse4_1
66 0f3a 20    pinsrb           Vdq,Ey.b,Ib    sse4_1
66 0f3a 21    insertps         Vdq,Wd,Ib      sse4_1
66 0f3a 22    pinsrd           Vdq,Ed,Ib      o16 o32 sse4_1
66 0f3a 22    pinsrq           Vdq,Eq,Ib      o64 sse4_1
66 0f3a 40    dpps             Vdq,Wdq,Ib     sse4_1
66 0f3a 41    dppd             Vdq,Wdq,Ib     sse4_1
66 0f3a 42    mpsadbw          Vdq,Wdq,Ib     sse4_1
66 0f3a 44    pclmulqdq        Vdq,Wdq,Ib     pclmulqdq
66 0f3a 60    pcmpestrm        Vdq,Wdq,Ib     o16 o32 sse4_2
66 0f3a 60    pcmpestrm64      Vdq,Wdq,Ib     o64 sse4_2
66 0f3a 61    pcmpestri        Vdq,Wdq,Ib     o16 o32 sse4_2
66 0f3a 61    pcmpestri64      Vdq,Wdq,Ib     o64 sse4_2
66 0f3a 62    pcmpistrm        Vdq,Wdq,Ib     sse4_2
66 0f3a 63    pcmpistri        Vdq,Wdq,Ib     sse4_2
np 0f3a cc    sha1rnds4        Vdq,Wdq,Ib     sha
66 0f3a df    aeskeygenassist  Vdq,Wdq,Ib     aes
`;
