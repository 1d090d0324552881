/** The 0F3A map with VEX: AVX, AVX2, F16C, BMI2 (SDM vol. 2D, table A-5). Notation: ../row.ts. */
export const VEX_0F3A: string = `
vex 66 0f3a 00    vpermq           Vqq,Wqq,Ib      l1 w1 avx2
vex 66 0f3a 01    vpermpd          Vqq,Wqq,Ib      l1 w1 avx2
vex 66 0f3a 02    vpblendd         Vx,Hx,Wx,Ib     w0 avx2
vex 66 0f3a 04    vpermilps        Vx,Wx,Ib        w0 avx
vex 66 0f3a 05    vpermilpd        Vx,Wx,Ib        w0 avx
vex 66 0f3a 06    vperm2f128       Vqq,Hqq,Wqq,Ib  l1 w0 avx
vex 66 0f3a 08    vroundps         Vx,Wx,Ib        avx
vex 66 0f3a 09    vroundpd         Vx,Wx,Ib        avx
vex 66 0f3a 0a    vroundss         Vdq,Hdq,Wd,Ib   avx
vex 66 0f3a 0b    vroundsd         Vdq,Hdq,Wq,Ib   avx
vex 66 0f3a 0c    vblendps         Vx,Hx,Wx,Ib     avx
vex 66 0f3a 0d    vblendpd         Vx,Hx,Wx,Ib     avx
vex 66 0f3a 0e    vpblendw         Vx,Hx,Wx,Ib     avx
vex 66 0f3a 0f    vpalignr         Vx,Hx,Wx,Ib     avx
vex 66 0f3a 14    vpextrb          Ey.b,Vdq,Ib     l0 avx
vex 66 0f3a 15    vpextrw          Ey.w,Vdq,Ib     l0 avx
vex 66 0f3a 16    vpextrd          Ed,Vdq,Ib       o32 l0 avx
vex 66 0f3a 16    vpextrq          Eq,Vdq,Ib       o64 l0 avx
vex 66 0f3a 17    vextractps       Ey.d,Vdq,Ib     l0 avx
vex 66 0f3a 18    vinsertf128      Vqq,Hqq,Wdq,Ib  l1 w0 avx
vex 66 0f3a 19    vextractf128     Wdq,Vqq,Ib      l1 w0 avx
vex 66 0f3a 1d    vcvtps2ph        Wh,Vx,Ib        w0 f16c
vex 66 0f3a 20    vpinsrb          Vdq,Hdq,Ey.b,Ib l0 avx
vex 66 0f3a 21    vinsertps        Vdq,Hdq,Wd,Ib   l0 avx
vex 66 0f3a 22    vpinsrd          Vdq,Hdq,Ed,Ib   o32 l0 avx
vex 66 0f3a 22    vpinsrq          Vdq,Hdq,Eq,Ib   o64 l0 avx
vex 66 0f3a 38    vinserti128      Vqq,Hqq,Wdq,Ib  l1 w0 avx2
vex 66 0f3a 39    vextracti128     Wdq,Vqq,Ib      l1 w0 avx2
vex 66 0f3a 40    vdpps            Vx,Hx,Wx,Ib     avx
vex 66 0f3a 41    vdppd            Vdq,Hdq,Wdq,Ib  l0 avx
vex 66 0f3a 42    vmpsadbw         Vx,Hx,Wx,Ib     avx
vex 66 0f3a 44    vpclmulqdq       Vdq,Hdq,Wdq,Ib  l0 pclmulqdq
vex 66 0f3a 46    vperm2i128       Vqq,Hqq,Wqq,Ib  l1 w0 avx2
vex 66 0f3a 4a    vblendvps        Vx,Hx,Wx,Lx     w0 avx
vex 66 0f3a 4b    vblendvpd        Vx,Hx,Wx,Lx     w0 avx
vex 66 0f3a 4c    vpblendvb        Vx,Hx,Wx,Lx     w0 avx
vex 66 0f3a 60    vpcmpestrm       Vdq,Wdq,Ib      o32 l0 avx
vex 66 0f3a 60    vpcmpestrm64     Vdq,Wdq,Ib      o64 l0 avx
vex 66 0f3a 61    vpcmpestri       Vdq,Wdq,Ib      o32 l0 avx
vex 66 0f3a 61    vpcmpestri64     Vdq,Wdq,Ib      o64 l0 avx
vex 66 0f3a 62    vpcmpistrm       Vdq,Wdq,Ib      l0 avx
vex 66 0f3a 63    vpcmpistri       Vdq,Wdq,Ib      l0 avx
vex 66 0f3a df    vaeskeygenassist Vdq,Wdq,Ib      l0 aes
vex f2 0f3a f0    rorx             Gy,Ey,Ib        l0 bmi2
`;
