/** The 0F38 map with VEX: AVX, AVX2, F16C, FMA, BMI1, BMI2 (SDM vol. 2D, table A-4). Notation: ../row.ts. */
export const VEX_0F38: string = `
vex 66 0f38 00    vpshufb          Vx,Hx,Wx        avx
vex 66 0f38 01    vphaddw          Vx,Hx,Wx        avx
vex 66 0f38 02    vphaddd          Vx,Hx,Wx        avx
vex 66 0f38 03    vphaddsw         Vx,Hx,Wx        avx
vex 66 0f38 04    vpmaddubsw       Vx,Hx,Wx        avx
vex 66 0f38 05    vphsubw          Vx,Hx,Wx        avx
vex 66 0f38 06    vphsubd          Vx,Hx,Wx        avx
vex 66 0f38 07    vphsubsw         Vx,Hx,Wx        avx
vex 66 0f38 08    vpsignb          Vx,Hx,Wx        avx
vex 66 0f38 09    vpsignw          Vx,Hx,Wx        avx
vex 66 0f38 0a    vpsignd          Vx,Hx,Wx        avx
vex 66 0f38 0b    vpmulhrsw        Vx,Hx,Wx        avx
vex 66 0f38 0c    vpermilps        Vx,Hx,Wx        w0 avx
vex 66 0f38 0d    vpermilpd        Vx,Hx,Wx        w0 avx
vex 66 0f38 0e    vtestps          Vx,Wx           w0 avx
vex 66 0f38 0f    vtestpd          Vx,Wx           w0 avx
vex 66 0f38 13    vcvtph2ps        Vx,Wh           w0 f16c
vex 66 0f38 16    vpermps          Vqq,Hqq,Wqq     l1 w0 avx2
vex 66 0f38 17    vptest           Vx,Wx           avx
vex 66 0f38 18    vbroadcastss     Vx,Wd           w0 avx
vex 66 0f38 19    vbroadcastsd     Vqq,Wq          l1 w0 avx
vex 66 0f38 1a    vbroadcastf128   Vqq,Mdq         l1 w0 avx
vex 66 0f38 1c    vpabsb           Vx,Wx           avx
vex 66 0f38 1d    vpabsw           Vx,Wx           avx
vex 66 0f38 1e    vpabsd           Vx,Wx           avx
vex 66 0f38 20    vpmovsxbw        Vx,Wh           avx
vex 66 0f38 21    vpmovsxbd        Vx,Wf           avx
vex 66 0f38 22    vpmovsxbq        Vx,We           avx
vex 66 0f38 23    vpmovsxwd        Vx,Wh           avx
vex 66 0f38 24    vpmovsxwq        Vx,Wf           avx
vex 66 0f38 25    vpmovsxdq        Vx,Wh           avx
vex 66 0f38 28    vpmuldq          Vx,Hx,Wx        avx
vex 66 0f38 29    vpcmpeqq         Vx,Hx,Wx        avx
vex 66 0f38 2a    vmovntdqa        Vx,Mx           avx
vex 66 0f38 2b    vpackusdw        Vx,Hx,Wx        avx
vex 66 0f38 2c    vmaskmovps       Vx,Hx,Mx        w0 avx
vex 66 0f38 2d    vmaskmovpd       Vx,Hx,Mx        w0 avx
vex 66 0f38 2e    vmaskmovps       Mx,Hx,Vx        w0 avx
vex 66 0f38 2f    vmaskmovpd       Mx,Hx,Vx        w0 avx
vex 66 0f38 30    vpmovzxbw        Vx,Wh           avx
vex 66 0f38 31    vpmovzxbd        Vx,Wf           avx
vex 66 0f38 32    vpmovzxbq        Vx,We           avx
vex 66 0f38 33    vpmovzxwd        Vx,Wh           avx
vex 66 0f38 34    vpmovzxwq        Vx,Wf           avx
vex 66 0f38 35    vpmovzxdq        Vx,Wh           avx
vex 66 0f38 36    vpermd           Vqq,Hqq,Wqq     l1 w0 avx2
vex 66 0f38 37    vpcmpgtq         Vx,Hx,Wx        avx
vex 66 0f38 38    vpminsb          Vx,Hx,Wx        avx
vex 66 0f38 39    vpminsd          Vx,Hx,Wx        avx
vex 66 0f38 3a    vpminuw          Vx,Hx,Wx        avx
vex 66 0f38 3b    vpminud          Vx,Hx,Wx        avx
vex 66 0f38 3c    vpmaxsb          Vx,Hx,Wx        avx
vex 66 0f38 3d    vpmaxsd          Vx,Hx,Wx        avx
vex 66 0f38 3e    vpmaxuw          Vx,Hx,Wx        avx
vex 66 0f38 3f    vpmaxud          Vx,Hx,Wx        avx
vex 66 0f38 40    vpmulld          Vx,Hx,Wx        avx
vex 66 0f38 41    vphminposuw      Vdq,Wdq         l0 avx
vex 66 0f38 45    vpsrlvd          Vx,Hx,Wx        w0 avx2
vex 66 0f38 45    vpsrlvq          Vx,Hx,Wx        w1 avx2
vex 66 0f38 46    vpsravd          Vx,Hx,Wx        w0 avx2
vex 66 0f38 47    vpsllvd          Vx,Hx,Wx        w0 avx2
vex 66 0f38 47    vpsllvq          Vx,Hx,Wx        w1 avx2
vex 66 0f38 58    vpbroadcastd     Vx,Wd           w0 avx2
vex 66 0f38 59    vpbroadcastq     Vx,Wq           w0 avx2
vex 66 0f38 5a    vbroadcasti128   Vqq,Mdq         l1 w0 avx2
vex 66 0f38 78    vpbroadcastb     Vx,Wb           w0 avx2
vex 66 0f38 79    vpbroadcastw     Vx,Ww           w0 avx2
vex 66 0f38 8c    vpmaskmovd       Vx,Hx,Mx        w0 avx2
vex 66 0f38 8c    vpmaskmovq       Vx,Hx,Mx        w1 avx2
vex 66 0f38 8e    vpmaskmovd       Mx,Hx,Vx        w0 avx2
vex 66 0f38 8e    vpmaskmovq       Mx,Hx,Vx        w1 avx2
vex 66 0f38 90    vpgatherdd       Vx,Xx.d,Hx      w0 vsib avx2
vex 66 0f38 90    vpgatherdq       Vx,Xdq.q,Hx     w1 vsib avx2
vex 66 0f38 91    vpgatherqd       Vdq,Xx.d,Hdq    w0 vsib avx2
vex 66 0f38 91    vpgatherqq       Vx,Xx.q,Hx      w1 vsib avx2
vex 66 0f38 92    vgatherdps       Vx,Xx.d,Hx      w0 vsib avx2
vex 66 0f38 92    vgatherdpd       Vx,Xdq.q,Hx     w1 vsib avx2
vex 66 0f38 93    vgatherqps       Vdq,Xx.d,Hdq    w0 vsib avx2
vex 66 0f38 93    vgatherqpd       Vx,Xx.q,Hx      w1 vsib avx2
vex 66 0f38 96    vfmaddsub132ps   Vx,Hx,Wx        w0 fma
vex 66 0f38 96    vfmaddsub132pd   Vx,Hx,Wx        w1 fma
vex 66 0f38 97    vfmsubadd132ps   Vx,Hx,Wx        w0 fma
vex 66 0f38 97    vfmsubadd132pd   Vx,Hx,Wx        w1 fma
vex 66 0f38 98    vfmadd132ps      Vx,Hx,Wx        w0 fma
vex 66 0f38 98    vfmadd132pd      Vx,Hx,Wx        w1 fma
vex 66 0f38 99    vfmadd132ss      Vdq,Hdq,Wd      w0 fma
vex 66 0f38 99    vfmadd132sd      Vdq,Hdq,Wq      w1 fma
vex 66 0f38 9a    vfmsub132ps      Vx,Hx,Wx        w0 fma
vex 66 0f38 9a    vfmsub132pd      Vx,Hx,Wx        w1 fma
vex 66 0f38 9b    vfmsub132ss      Vdq,Hdq,Wd      w0 fma
vex 66 0f38 9b    vfmsub132sd      Vdq,Hdq,Wq      w1 fma
vex 66 0f38 9c    vfnmadd132ps     Vx,Hx,Wx        w0 fma
vex 66 0f38 9c    vfnmadd132pd     Vx,Hx,Wx        w1 fma
vex 66 0f38 9d    vfnmadd132ss     Vdq,Hdq,Wd      w0 fma
vex 66 0f38 9d    vfnmadd132sd     Vdq,Hdq,Wq      w1 fma
vex 66 0f38 9e    vfnmsub132ps     Vx,Hx,Wx        w0 fma
vex 66 0f38 9e    vfnmsub132pd     Vx,Hx,Wx        w1 fma
vex 66 0f38 9f    vfnmsub132ss     Vdq,Hdq,Wd      w0 fma
vex 66 0f38 9f    vfnmsub132sd     Vdq,Hdq,Wq      w1 fma
vex 66 0f38 a6    vfmaddsub213ps   Vx,Hx,Wx        w0 fma
vex 66 0f38 a6    vfmaddsub213pd   Vx,Hx,Wx        w1 fma
vex 66 0f38 a7    vfmsubadd213ps   Vx,Hx,Wx        w0 fma
vex 66 0f38 a7    vfmsubadd213pd   Vx,Hx,Wx        w1 fma
vex 66 0f38 a8    vfmadd213ps      Vx,Hx,Wx        w0 fma
vex 66 0f38 a8    vfmadd213pd      Vx,Hx,Wx        w1 fma
vex 66 0f38 a9    vfmadd213ss      Vdq,Hdq,Wd      w0 fma
vex 66 0f38 a9    vfmadd213sd      Vdq,Hdq,Wq      w1 fma
vex 66 0f38 aa    vfmsub213ps      Vx,Hx,Wx        w0 fma
vex 66 0f38 aa    vfmsub213pd      Vx,Hx,Wx        w1 fma
vex 66 0f38 ab    vfmsub213ss      Vdq,Hdq,Wd      w0 fma
vex 66 0f38 ab    vfmsub213sd      Vdq,Hdq,Wq      w1 fma
vex 66 0f38 ac    vfnmadd213ps     Vx,Hx,Wx        w0 fma
vex 66 0f38 ac    vfnmadd213pd     Vx,Hx,Wx        w1 fma
vex 66 0f38 ad    vfnmadd213ss     Vdq,Hdq,Wd      w0 fma
vex 66 0f38 ad    vfnmadd213sd     Vdq,Hdq,Wq      w1 fma
vex 66 0f38 ae    vfnmsub213ps     Vx,Hx,Wx        w0 fma
vex 66 0f38 ae    vfnmsub213pd     Vx,Hx,Wx        w1 fma
vex 66 0f38 af    vfnmsub213ss     Vdq,Hdq,Wd      w0 fma
vex 66 0f38 af    vfnmsub213sd     Vdq,Hdq,Wq      w1 fma
vex 66 0f38 b6    vfmaddsub231ps   Vx,Hx,Wx        w0 fma
vex 66 0f38 b6    vfmaddsub231pd   Vx,Hx,Wx        w1 fma
vex 66 0f38 b7    vfmsubadd231ps   Vx,Hx,Wx        w0 fma
vex 66 0f38 b7    vfmsubadd231pd   Vx,Hx,Wx        w1 fma
vex 66 0f38 b8    vfmadd231ps      Vx,Hx,Wx        w0 fma
vex 66 0f38 b8    vfmadd231pd      Vx,Hx,Wx        w1 fma
vex 66 0f38 b9    vfmadd231ss      Vdq,Hdq,Wd      w0 fma
vex 66 0f38 b9    vfmadd231sd      Vdq,Hdq,Wq      w1 fma
vex 66 0f38 ba    vfmsub231ps      Vx,Hx,Wx        w0 fma
vex 66 0f38 ba    vfmsub231pd      Vx,Hx,Wx        w1 fma
vex 66 0f38 bb    vfmsub231ss      Vdq,Hdq,Wd      w0 fma
vex 66 0f38 bb    vfmsub231sd      Vdq,Hdq,Wq      w1 fma
vex 66 0f38 bc    vfnmadd231ps     Vx,Hx,Wx        w0 fma
vex 66 0f38 bc    vfnmadd231pd     Vx,Hx,Wx        w1 fma
vex 66 0f38 bd    vfnmadd231ss     Vdq,Hdq,Wd      w0 fma
vex 66 0f38 bd    vfnmadd231sd     Vdq,Hdq,Wq      w1 fma
vex 66 0f38 be    vfnmsub231ps     Vx,Hx,Wx        w0 fma
vex 66 0f38 be    vfnmsub231pd     Vx,Hx,Wx        w1 fma
vex 66 0f38 bf    vfnmsub231ss     Vdq,Hdq,Wd      w0 fma
vex 66 0f38 bf    vfnmsub231sd     Vdq,Hdq,Wq      w1 fma
vex 66 0f38 db    vaesimc          Vdq,Wdq         l0 aes
vex 66 0f38 dc    vaesenc          Vdq,Hdq,Wdq     l0 aes
vex 66 0f38 dd    vaesenclast      Vdq,Hdq,Wdq     l0 aes
vex 66 0f38 de    vaesdec          Vdq,Hdq,Wdq     l0 aes
vex 66 0f38 df    vaesdeclast      Vdq,Hdq,Wdq     l0 aes
vex np 0f38 f2    andn             Gy,By,Ey        l0 bmi1
vex np 0f38 f3 /1 blsr             By,Ey           l0 bmi1
vex np 0f38 f3 /2 blsmsk           By,Ey           l0 bmi1
vex np 0f38 f3 /3 blsi             By,Ey           l0 bmi1
vex np 0f38 f5    bzhi             Gy,Ey,By        l0 bmi2
vex f3 0f38 f5    pext             Gy,By,Ey        l0 bmi2
vex f2 0f38 f5    pdep             Gy,By,Ey        l0 bmi2
vex f2 0f38 f6    mulx             Gy,By,Ey        l0 bmi2
vex np 0f38 f7    bextr            Gy,Ey,By        l0 bmi1
vex 66 0f38 f7    shlx             Gy,Ey,By        l0 bmi2
vex f3 0f38 f7    sarx             Gy,Ey,By        l0 bmi2
vex f2 0f38 f7    shrx             Gy,Ey,By        l0 bmi2
`;
