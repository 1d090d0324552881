/** The 0F map with VEX: AVX, AVX2 (SDM vol. 2D, table A-3). Integer rows of 256 bits are AVX2. Notation: ../row.ts. */
export const VEX_0F: string = `
vex np 0f 10      vmovups          Vx,Wx           avx
vex 66 0f 10      vmovupd          Vx,Wx           avx
vex f3 0f 10      vmovss           Vdq,Md          avx
vex f3 0f 10      vmovss           Vdq,Hdq,Udq     avx
vex f2 0f 10      vmovsd           Vdq,Mq          avx
vex f2 0f 10      vmovsd           Vdq,Hdq,Udq     avx
vex np 0f 11      vmovups          Wx,Vx           avx
vex 66 0f 11      vmovupd          Wx,Vx           avx
vex f3 0f 11      vmovss           Md,Vdq          avx
vex f3 0f 11      vmovss           Udq,Hdq,Vdq     avx
vex f2 0f 11      vmovsd           Mq,Vdq          avx
vex f2 0f 11      vmovsd           Udq,Hdq,Vdq     avx
vex np 0f 12      vmovlps          Vdq,Hdq,Mq      l0 avx
vex np 0f 12      vmovhlps         Vdq,Hdq,Udq     l0 avx
vex 66 0f 12      vmovlpd          Vdq,Hdq,Mq      l0 avx
vex f3 0f 12      vmovsldup        Vx,Wx           avx
vex f2 0f 12      vmovddup         Vdq,Wq          l0 avx
vex f2 0f 12      vmovddup         Vqq,Wqq         l1 avx
vex np 0f 13      vmovlps          Mq,Vdq          l0 avx
vex 66 0f 13      vmovlpd          Mq,Vdq          l0 avx
vex np 0f 14      vunpcklps        Vx,Hx,Wx        avx
vex 66 0f 14      vunpcklpd        Vx,Hx,Wx        avx
vex np 0f 15      vunpckhps        Vx,Hx,Wx        avx
vex 66 0f 15      vunpckhpd        Vx,Hx,Wx        avx
vex np 0f 16      vmovhps          Vdq,Hdq,Mq      l0 avx
vex np 0f 16      vmovlhps         Vdq,Hdq,Udq     l0 avx
vex 66 0f 16      vmovhpd          Vdq,Hdq,Mq      l0 avx
vex f3 0f 16      vmovshdup        Vx,Wx           avx
vex np 0f 17      vmovhps          Mq,Vdq          l0 avx
vex 66 0f 17      vmovhpd          Mq,Vdq          l0 avx
vex np 0f 28      vmovaps          Vx,Wx           avx
vex 66 0f 28      vmovapd          Vx,Wx           avx
vex np 0f 29      vmovaps          Wx,Vx           avx
vex 66 0f 29      vmovapd          Wx,Vx           avx
vex f3 0f 2a      vcvtsi2ss        Vdq,Hdq,Ey      avx
vex f2 0f 2a      vcvtsi2sd        Vdq,Hdq,Ey      avx
vex np 0f 2b      vmovntps         Mx,Vx           avx
vex 66 0f 2b      vmovntpd         Mx,Vx           avx
vex f3 0f 2c      vcvttss2si       Gy,Wd           avx
vex f2 0f 2c      vcvttsd2si       Gy,Wq           avx
vex f3 0f 2d      vcvtss2si        Gy,Wd           avx
vex f2 0f 2d      vcvtsd2si        Gy,Wq           avx
vex np 0f 2e      vucomiss         Vdq,Wd          avx
vex 66 0f 2e      vucomisd         Vdq,Wq          avx
vex np 0f 2f      vcomiss          Vdq,Wd          avx
vex 66 0f 2f      vcomisd          Vdq,Wq          avx
vex np 0f 50      vmovmskps        Gy,Ux           avx
vex 66 0f 50      vmovmskpd        Gy,Ux           avx
vex np 0f 51      vsqrtps          Vx,Wx           avx
vex 66 0f 51      vsqrtpd          Vx,Wx           avx
vex f3 0f 51      vsqrtss          Vdq,Hdq,Wd      avx
vex f2 0f 51      vsqrtsd          Vdq,Hdq,Wq      avx
vex np 0f 52      vrsqrtps         Vx,Wx           avx
vex f3 0f 52      vrsqrtss         Vdq,Hdq,Wd      avx
vex np 0f 53      vrcpps           Vx,Wx           avx
vex f3 0f 53      vrcpss           Vdq,Hdq,Wd      avx
vex np 0f 54      vandps           Vx,Hx,Wx        avx
vex 66 0f 54      vandpd           Vx,Hx,Wx        avx
vex np 0f 55      vandnps          Vx,Hx,Wx        avx
vex 66 0f 55      vandnpd          Vx,Hx,Wx        avx
vex np 0f 56      vorps            Vx,Hx,Wx        avx
vex 66 0f 56      vorpd            Vx,Hx,Wx        avx
vex np 0f 57      vxorps           Vx,Hx,Wx        avx
vex 66 0f 57      vxorpd           Vx,Hx,Wx        avx
vex np 0f 58      vaddps           Vx,Hx,Wx        avx
vex 66 0f 58      vaddpd           Vx,Hx,Wx        avx
vex f3 0f 58      vaddss           Vdq,Hdq,Wd      avx
vex f2 0f 58      vaddsd           Vdq,Hdq,Wq      avx
vex np 0f 59      vmulps           Vx,Hx,Wx        avx
vex 66 0f 59      vmulpd           Vx,Hx,Wx        avx
vex f3 0f 59      vmulss           Vdq,Hdq,Wd      avx
vex f2 0f 59      vmulsd           Vdq,Hdq,Wq      avx
vex np 0f 5a      vcvtps2pd        Vx,Wh           avx
vex 66 0f 5a      vcvtpd2ps        Vdq,Wx          avx
vex f3 0f 5a      vcvtss2sd        Vdq,Hdq,Wd      avx
vex f2 0f 5a      vcvtsd2ss        Vdq,Hdq,Wq      avx
vex np 0f 5b      vcvtdq2ps        Vx,Wx           avx
vex 66 0f 5b      vcvtps2dq        Vx,Wx           avx
vex f3 0f 5b      vcvttps2dq       Vx,Wx           avx
vex np 0f 5c      vsubps           Vx,Hx,Wx        avx
vex 66 0f 5c      vsubpd           Vx,Hx,Wx        avx
vex f3 0f 5c      vsubss           Vdq,Hdq,Wd      avx
vex f2 0f 5c      vsubsd           Vdq,Hdq,Wq      avx
vex np 0f 5d      vminps           Vx,Hx,Wx        avx
vex 66 0f 5d      vminpd           Vx,Hx,Wx        avx
vex f3 0f 5d      vminss           Vdq,Hdq,Wd      avx
vex f2 0f 5d      vminsd           Vdq,Hdq,Wq      avx
vex np 0f 5e      vdivps           Vx,Hx,Wx        avx
vex 66 0f 5e      vdivpd           Vx,Hx,Wx        avx
vex f3 0f 5e      vdivss           Vdq,Hdq,Wd      avx
vex f2 0f 5e      vdivsd           Vdq,Hdq,Wq      avx
vex np 0f 5f      vmaxps           Vx,Hx,Wx        avx
vex 66 0f 5f      vmaxpd           Vx,Hx,Wx        avx
vex f3 0f 5f      vmaxss           Vdq,Hdq,Wd      avx
vex f2 0f 5f      vmaxsd           Vdq,Hdq,Wq      avx
vex 66 0f 60      vpunpcklbw       Vx,Hx,Wx        avx
vex 66 0f 61      vpunpcklwd       Vx,Hx,Wx        avx
vex 66 0f 62      vpunpckldq       Vx,Hx,Wx        avx
vex 66 0f 63      vpacksswb        Vx,Hx,Wx        avx
vex 66 0f 64      vpcmpgtb         Vx,Hx,Wx        avx
vex 66 0f 65      vpcmpgtw         Vx,Hx,Wx        avx
vex 66 0f 66      vpcmpgtd         Vx,Hx,Wx        avx
vex 66 0f 67      vpackuswb        Vx,Hx,Wx        avx
vex 66 0f 68      vpunpckhbw       Vx,Hx,Wx        avx
vex 66 0f 69      vpunpckhwd       Vx,Hx,Wx        avx
vex 66 0f 6a      vpunpckhdq       Vx,Hx,Wx        avx
vex 66 0f 6b      vpackssdw        Vx,Hx,Wx        avx
vex 66 0f 6c      vpunpcklqdq      Vx,Hx,Wx        avx
vex 66 0f 6d      vpunpckhqdq      Vx,Hx,Wx        avx
vex 66 0f 6e      vmovd            Vdq,Ed          o32 l0 avx
vex 66 0f 6e      vmovq            Vdq,Eq          o64 l0 avx
vex 66 0f 6f      vmovdqa          Vx,Wx           avx
vex f3 0f 6f      vmovdqu          Vx,Wx           avx
vex 66 0f 70      vpshufd          Vx,Wx,Ib        avx
vex f3 0f 70      vpshufhw         Vx,Wx,Ib        avx
vex f2 0f 70      vpshuflw         Vx,Wx,Ib        avx
vex 66 0f 71 /2   vpsrlw           Hx,Ux,Ib        avx
vex 66 0f 71 /4   vpsraw           Hx,Ux,Ib        avx
vex 66 0f 71 /6   vpsllw           Hx,Ux,Ib        avx
vex 66 0f 72 /2   vpsrld           Hx,Ux,Ib        avx
vex 66 0f 72 /4   vpsrad           Hx,Ux,Ib        avx
vex 66 0f 72 /6   vpslld           Hx,Ux,Ib        avx
vex 66 0f 73 /2   vpsrlq           Hx,Ux,Ib        avx
vex 66 0f 73 /3   vpsrldq          Hx,Ux,Ib        avx
vex 66 0f 73 /6   vpsllq           Hx,Ux,Ib        avx
vex 66 0f 73 /7   vpslldq          Hx,Ux,Ib        avx
vex 66 0f 74      vpcmpeqb         Vx,Hx,Wx        avx
vex 66 0f 75      vpcmpeqw         Vx,Hx,Wx        avx
vex 66 0f 76      vpcmpeqd         Vx,Hx,Wx        avx
vex np 0f 77      vzeroupper       -               l0 avx
vex np 0f 77      vzeroall         -               l1 avx
vex 66 0f 7c      vhaddpd          Vx,Hx,Wx        avx
vex f2 0f 7c      vhaddps          Vx,Hx,Wx        avx
vex 66 0f 7d      vhsubpd          Vx,Hx,Wx        avx
vex f2 0f 7d      vhsubps          Vx,Hx,Wx        avx
vex 66 0f 7e      vmovd            Ed,Vdq          o32 l0 avx
vex 66 0f 7e      vmovq            Eq,Vdq          o64 l0 avx
vex f3 0f 7e      vmovq            Vdq,Wq          l0 avx
vex 66 0f 7f      vmovdqa          Wx,Vx           avx
vex f3 0f 7f      vmovdqu          Wx,Vx           avx
vex np 0f ae /2   vldmxcsr         Md              l0 avx
vex np 0f ae /3   vstmxcsr         Md              l0 avx
vex np 0f c2      vcmpps           Vx,Hx,Wx,Ib     avx
vex 66 0f c2      vcmppd           Vx,Hx,Wx,Ib     avx
vex f3 0f c2      vcmpss           Vdq,Hdq,Wd,Ib   avx
vex f2 0f c2      vcmpsd           Vdq,Hdq,Wq,Ib   avx
vex 66 0f c4      vpinsrw          Vdq,Hdq,Ey.w,Ib l0 avx
vex 66 0f c5      vpextrw          Gy,Udq,Ib       l0 avx
vex np 0f c6      vshufps          Vx,Hx,Wx,Ib     avx
vex 66 0f c6      vshufpd          Vx,Hx,Wx,Ib     avx
vex 66 0f d0      vaddsubpd        Vx,Hx,Wx        avx
vex f2 0f d0      vaddsubps        Vx,Hx,Wx        avx
vex 66 0f d1      vpsrlw           Vx,Hx,Wdq       avx
vex 66 0f d2      vpsrld           Vx,Hx,Wdq       avx
vex 66 0f d3      vpsrlq           Vx,Hx,Wdq       avx
vex 66 0f d4      vpaddq           Vx,Hx,Wx        avx
vex 66 0f d5      vpmullw          Vx,Hx,Wx        avx
vex 66 0f d6      vmovq            Wq,Vdq          l0 avx
vex 66 0f d7      vpmovmskb        Gy,Ux           avx
vex 66 0f d8      vpsubusb         Vx,Hx,Wx        avx
vex 66 0f d9      vpsubusw         Vx,Hx,Wx        avx
vex 66 0f da      vpminub          Vx,Hx,Wx        avx
vex 66 0f db      vpand            Vx,Hx,Wx        avx
vex 66 0f dc      vpaddusb         Vx,Hx,Wx        avx
vex 66 0f dd      vpaddusw         Vx,Hx,Wx        avx
vex 66 0f de      vpmaxub          Vx,Hx,Wx        avx
vex 66 0f df      vpandn           Vx,Hx,Wx        avx
vex 66 0f e0      vpavgb           Vx,Hx,Wx        avx
vex 66 0f e1      vpsraw           Vx,Hx,Wdq       avx
vex 66 0f e2      vpsrad           Vx,Hx,Wdq       avx
vex 66 0f e3      vpavgw           Vx,Hx,Wx        avx
vex 66 0f e4      vpmulhuw         Vx,Hx,Wx        avx
vex 66 0f e5      vpmulhw          Vx,Hx,Wx        avx
vex 66 0f e6      vcvttpd2dq       Vdq,Wx          avx
vex f3 0f e6      vcvtdq2pd        Vx,Wh           avx
vex f2 0f e6      vcvtpd2dq        Vdq,Wx          avx
vex 66 0f e7      vmovntdq         Mx,Vx           avx
vex 66 0f e8      vpsubsb          Vx,Hx,Wx        avx
vex 66 0f e9      vpsubsw          Vx,Hx,Wx        avx
vex 66 0f ea      vpminsw          Vx,Hx,Wx        avx
vex 66 0f eb      vpor             Vx,Hx,Wx        avx
vex 66 0f ec      vpaddsb          Vx,Hx,Wx        avx
vex 66 0f ed      vpaddsw          Vx,Hx,Wx        avx
vex 66 0f ee      vpmaxsw          Vx,Hx,Wx        avx
vex 66 0f ef      vpxor            Vx,Hx,Wx        avx
vex f2 0f f0      vlddqu           Vx,Mx           avx
vex 66 0f f1      vpsllw           Vx,Hx,Wdq       avx
vex 66 0f f2      vpslld           Vx,Hx,Wdq       avx
vex 66 0f f3      vpsllq           Vx,Hx,Wdq       avx
vex 66 0f f4      vpmuludq         Vx,Hx,Wx        avx
vex 66 0f f5      vpmaddwd         Vx,Hx,Wx        avx
vex 66 0f f6      vpsadbw          Vx,Hx,Wx        avx
vex 66 0f f7      vmaskmovdqu      Vdq,Udq         l0 avx
vex 66 0f f8      vpsubb           Vx,Hx,Wx        avx
vex 66 0f f9      vpsubw           Vx,Hx,Wx        avx
vex 66 0f fa      vpsubd           Vx,Hx,Wx        avx
vex 66 0f fb      vpsubq           Vx,Hx,Wx        avx
vex 66 0f fc      vpaddb           Vx,Hx,Wx        avx
vex 66 0f fd      vpaddw           Vx,Hx,Wx        avx
vex 66 0f fe      vpaddd           Vx,Hx,Wx        avx
`;
