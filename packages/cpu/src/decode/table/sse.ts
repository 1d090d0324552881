/** The 0F map: MMX, SSE, SSE2 and SSE3 (SDM vol. 2D, table A-3). Notation: ../row.ts. */
export const SSE: string = `
np 0f 10      movups           Vdq,Wdq        sse
66 0f 10      movupd           Vdq,Wdq        sse2
f3 0f 10      movss            Vdq,Wd         sse
f2 0f 10      movsd            Vdq,Wq         sse2
np 0f 11      movups           Wdq,Vdq        sse
66 0f 11      movupd           Wdq,Vdq        sse2
f3 0f 11      movss            Wd,Vdq         sse
f2 0f 11      movsd            Wq,Vdq         sse2
np 0f 12      movlps           Vdq,Mq         sse
np 0f 12      movhlps          Vdq,Udq        sse
66 0f 12      movlpd           Vdq,Mq         sse2
f3 0f 12      movsldup         Vdq,Wdq        sse3
f2 0f 12      movddup          Vdq,Wq         sse3
np 0f 13      movlps           Mq,Vdq         sse
66 0f 13      movlpd           Mq,Vdq         sse2
np 0f 14      unpcklps         Vdq,Wdq        sse
66 0f 14      unpcklpd         Vdq,Wdq        sse2
np 0f 15      unpckhps         Vdq,Wdq        sse
66 0f 15      unpckhpd         Vdq,Wdq        sse2
np 0f 16      movhps           Vdq,Mq         sse
np 0f 16      movlhps          Vdq,Udq        sse
66 0f 16      movhpd           Vdq,Mq         sse2
f3 0f 16      movshdup         Vdq,Wdq        sse3
np 0f 17      movhps           Mq,Vdq         sse
66 0f 17      movhpd           Mq,Vdq         sse2
np 0f 28      movaps           Vdq,Wdq        sse
66 0f 28      movapd           Vdq,Wdq        sse2
np 0f 29      movaps           Wdq,Vdq        sse
66 0f 29      movapd           Wdq,Vdq        sse2
np 0f 2a      cvtpi2ps         Vdq,Qq         sse
66 0f 2a      cvtpi2pd         Vdq,Qq         sse2
f3 0f 2a      cvtsi2ss         Vdq,Ey         sse
f2 0f 2a      cvtsi2sd         Vdq,Ey         sse2
np 0f 2b      movntps          Mdq,Vdq        sse
66 0f 2b      movntpd          Mdq,Vdq        sse2
np 0f 2c      cvttps2pi        Pq,Wq          sse
66 0f 2c      cvttpd2pi        Pq,Wdq         sse2
f3 0f 2c      cvttss2si        Gy,Wd          sse
f2 0f 2c      cvttsd2si        Gy,Wq          sse2
np 0f 2d      cvtps2pi         Pq,Wq          sse
66 0f 2d      cvtpd2pi         Pq,Wdq         sse2
f3 0f 2d      cvtss2si         Gy,Wd          sse
f2 0f 2d      cvtsd2si         Gy,Wq          sse2
np 0f 2e      ucomiss          Vdq,Wd         sse
66 0f 2e      ucomisd          Vdq,Wq         sse2
np 0f 2f      comiss           Vdq,Wd         sse
66 0f 2f      comisd           Vdq,Wq         sse2
np 0f 50      movmskps         Gy,Udq         sse
66 0f 50      movmskpd         Gy,Udq         sse2
np 0f 51      sqrtps           Vdq,Wdq        sse
66 0f 51      sqrtpd           Vdq,Wdq        sse2
f3 0f 51      sqrtss           Vdq,Wd         sse
f2 0f 51      sqrtsd           Vdq,Wq         sse2
np 0f 52      rsqrtps          Vdq,Wdq        sse
f3 0f 52      rsqrtss          Vdq,Wd         sse
np 0f 53      rcpps            Vdq,Wdq        sse
f3 0f 53      rcpss            Vdq,Wd         sse
np 0f 54      andps            Vdq,Wdq        sse
66 0f 54      andpd            Vdq,Wdq        sse2
np 0f 55      andnps           Vdq,Wdq        sse
66 0f 55      andnpd           Vdq,Wdq        sse2
np 0f 56      orps             Vdq,Wdq        sse
66 0f 56      orpd             Vdq,Wdq        sse2
np 0f 57      xorps            Vdq,Wdq        sse
66 0f 57      xorpd            Vdq,Wdq        sse2
np 0f 58      addps            Vdq,Wdq        sse
66 0f 58      addpd            Vdq,Wdq        sse2
f3 0f 58      addss            Vdq,Wd         sse
f2 0f 58      addsd            Vdq,Wq         sse2
np 0f 59      mulps            Vdq,Wdq        sse
66 0f 59      mulpd            Vdq,Wdq        sse2
f3 0f 59      mulss            Vdq,Wd         sse
f2 0f 59      mulsd            Vdq,Wq         sse2
np 0f 5a      cvtps2pd         Vdq,Wq         sse2
66 0f 5a      cvtpd2ps         Vdq,Wdq        sse2
f3 0f 5a      cvtss2sd         Vdq,Wd         sse2
f2 0f 5a      cvtsd2ss         Vdq,Wq         sse2
np 0f 5b      cvtdq2ps         Vdq,Wdq        sse2
66 0f 5b      cvtps2dq         Vdq,Wdq        sse2
f3 0f 5b      cvttps2dq        Vdq,Wdq        sse2
np 0f 5c      subps            Vdq,Wdq        sse
66 0f 5c      subpd            Vdq,Wdq        sse2
f3 0f 5c      subss            Vdq,Wd         sse
f2 0f 5c      subsd            Vdq,Wq         sse2
np 0f 5d      minps            Vdq,Wdq        sse
66 0f 5d      minpd            Vdq,Wdq        sse2
f3 0f 5d      minss            Vdq,Wd         sse
f2 0f 5d      minsd            Vdq,Wq         sse2
np 0f 5e      divps            Vdq,Wdq        sse
66 0f 5e      divpd            Vdq,Wdq        sse2
f3 0f 5e      divss            Vdq,Wd         sse
f2 0f 5e      divsd            Vdq,Wq         sse2
np 0f 5f      maxps            Vdq,Wdq        sse
66 0f 5f      maxpd            Vdq,Wdq        sse2
f3 0f 5f      maxss            Vdq,Wd         sse
f2 0f 5f      maxsd            Vdq,Wq         sse2
np 0f 60      punpcklbw        Pq,Qd          mmx
66 0f 60      punpcklbw        Vdq,Wdq        sse2
np 0f 61      punpcklwd        Pq,Qd          mmx
66 0f 61      punpcklwd        Vdq,Wdq        sse2
np 0f 62      punpckldq        Pq,Qd          mmx
66 0f 62      punpckldq        Vdq,Wdq        sse2
np 0f 63      packsswb         Pq,Qq          mmx
66 0f 63      packsswb         Vdq,Wdq        sse2
np 0f 64      pcmpgtb          Pq,Qq          mmx
66 0f 64      pcmpgtb          Vdq,Wdq        sse2
np 0f 65      pcmpgtw          Pq,Qq          mmx
66 0f 65      pcmpgtw          Vdq,Wdq        sse2
np 0f 66      pcmpgtd          Pq,Qq          mmx
66 0f 66      pcmpgtd          Vdq,Wdq        sse2
np 0f 67      packuswb         Pq,Qq          mmx
66 0f 67      packuswb         Vdq,Wdq        sse2
np 0f 68      punpckhbw        Pq,Qq          mmx
66 0f 68      punpckhbw        Vdq,Wdq        sse2
np 0f 69      punpckhwd        Pq,Qq          mmx
66 0f 69      punpckhwd        Vdq,Wdq        sse2
np 0f 6a      punpckhdq        Pq,Qq          mmx
66 0f 6a      punpckhdq        Vdq,Wdq        sse2
np 0f 6b      packssdw         Pq,Qq          mmx
66 0f 6b      packssdw         Vdq,Wdq        sse2
66 0f 6c      punpcklqdq       Vdq,Wdq        sse2
66 0f 6d      punpckhqdq       Vdq,Wdq        sse2
np 0f 6e      movd             Pq,Ed          o16 o32 mmx
np 0f 6e      movq             Pq,Eq          o64 mmx
66 0f 6e      movd             Vdq,Ed         o16 o32 sse2
66 0f 6e      movq             Vdq,Eq         o64 sse2
np 0f 6f      movq             Pq,Qq          mmx
66 0f 6f      movdqa           Vdq,Wdq        sse2
f3 0f 6f      movdqu           Vdq,Wdq        sse2
np 0f 70      pshufw           Pq,Qq,Ib       sse
66 0f 70      pshufd           Vdq,Wdq,Ib     sse2
f3 0f 70      pshufhw          Vdq,Wdq,Ib     sse2
f2 0f 70      pshuflw          Vdq,Wdq,Ib     sse2
np 0f 71 /2   psrlw            Nq,Ib          mmx
66 0f 71 /2   psrlw            Udq,Ib         sse2
np 0f 71 /4   psraw            Nq,Ib          mmx
66 0f 71 /4   psraw            Udq,Ib         sse2
np 0f 71 /6   psllw            Nq,Ib          mmx
66 0f 71 /6   psllw            Udq,Ib         sse2
np 0f 72 /2   psrld            Nq,Ib          mmx
66 0f 72 /2   psrld            Udq,Ib         sse2
np 0f 72 /4   psrad            Nq,Ib          mmx
66 0f 72 /4   psrad            Udq,Ib         sse2
np 0f 72 /6   pslld            Nq,Ib          mmx
66 0f 72 /6   pslld            Udq,Ib         sse2
np 0f 73 /2   psrlq            Nq,Ib          mmx
66 0f 73 /2   psrlq            Udq,Ib         sse2
66 0f 73 /3   psrldq           Udq,Ib         sse2
np 0f 73 /6   psllq            Nq,Ib          mmx
66 0f 73 /6   psllq            Udq,Ib         sse2
66 0f 73 /7   pslldq           Udq,Ib         sse2
np 0f 74      pcmpeqb          Pq,Qq          mmx
66 0f 74      pcmpeqb          Vdq,Wdq        sse2
np 0f 75      pcmpeqw          Pq,Qq          mmx
66 0f 75      pcmpeqw          Vdq,Wdq        sse2
np 0f 76      pcmpeqd          Pq,Qq          mmx
66 0f 76      pcmpeqd          Vdq,Wdq        sse2
np 0f 77      emms             -              mmx
66 0f 7c      haddpd           Vdq,Wdq        sse3
f2 0f 7c      haddps           Vdq,Wdq        sse3
66 0f 7d      hsubpd           Vdq,Wdq        sse3
f2 0f 7d      hsubps           Vdq,Wdq        sse3
np 0f 7e      movd             Ed,Pq          o16 o32 mmx
np 0f 7e      movq             Eq,Pq          o64 mmx
66 0f 7e      movd             Ed,Vdq         o16 o32 sse2
66 0f 7e      movq             Eq,Vdq         o64 sse2
f3 0f 7e      movq             Vdq,Wq         sse2
np 0f 7f      movq             Qq,Pq          mmx
66 0f 7f      movdqa           Wdq,Vdq        sse2
f3 0f 7f      movdqu           Wdq,Vdq        sse2
np 0f c2      cmpps            Vdq,Wdq,Ib     sse
66 0f c2      cmppd            Vdq,Wdq,Ib     sse2
f3 0f c2      cmpss            Vdq,Wd,Ib      sse
f2 0f c2      cmpsd            Vdq,Wq,Ib      sse2
np 0f c4      pinsrw           Pq,Ey.w,Ib     sse
66 0f c4      pinsrw           Vdq,Ey.w,Ib    sse2
np 0f c5      pextrw           Gy,Nq,Ib       sse
66 0f c5      pextrw           Gy,Udq,Ib      sse2
np 0f c6      shufps           Vdq,Wdq,Ib     sse
66 0f c6      shufpd           Vdq,Wdq,Ib     sse2
66 0f d0      addsubpd         Vdq,Wdq        sse3
f2 0f d0      addsubps         Vdq,Wdq        sse3
np 0f d1      psrlw            Pq,Qq          mmx
66 0f d1      psrlw            Vdq,Wdq        sse2
np 0f d2      psrld            Pq,Qq          mmx
66 0f d2      psrld            Vdq,Wdq        sse2
np 0f d3      psrlq            Pq,Qq          mmx
66 0f d3      psrlq            Vdq,Wdq        sse2
np 0f d4      paddq            Pq,Qq          sse2
66 0f d4      paddq            Vdq,Wdq        sse2
np 0f d5      pmullw           Pq,Qq          mmx
66 0f d5      pmullw           Vdq,Wdq        sse2
66 0f d6      movq             Wq,Vdq         sse2
f3 0f d6      movq2dq          Vdq,Nq         sse2
f2 0f d6      movdq2q          Pq,Udq         sse2
np 0f d7      pmovmskb         Gy,Nq          sse
66 0f d7      pmovmskb         Gy,Udq         sse2
np 0f d8      psubusb          Pq,Qq          mmx
66 0f d8      psubusb          Vdq,Wdq        sse2
np 0f d9      psubusw          Pq,Qq          mmx
66 0f d9      psubusw          Vdq,Wdq        sse2
np 0f da      pminub           Pq,Qq          sse
66 0f da      pminub           Vdq,Wdq        sse2
np 0f db      pand             Pq,Qq          mmx
66 0f db      pand             Vdq,Wdq        sse2
np 0f dc      paddusb          Pq,Qq          mmx
66 0f dc      paddusb          Vdq,Wdq        sse2
np 0f dd      paddusw          Pq,Qq          mmx
66 0f dd      paddusw          Vdq,Wdq        sse2
np 0f de      pmaxub           Pq,Qq          sse
66 0f de      pmaxub           Vdq,Wdq        sse2
np 0f df      pandn            Pq,Qq          mmx
66 0f df      pandn            Vdq,Wdq        sse2
np 0f e0      pavgb            Pq,Qq          sse
66 0f e0      pavgb            Vdq,Wdq        sse2
np 0f e1      psraw            Pq,Qq          mmx
66 0f e1      psraw            Vdq,Wdq        sse2
np 0f e2      psrad            Pq,Qq          mmx
66 0f e2      psrad            Vdq,Wdq        sse2
np 0f e3      pavgw            Pq,Qq          sse
66 0f e3      pavgw            Vdq,Wdq        sse2
np 0f e4      pmulhuw          Pq,Qq          sse
66 0f e4      pmulhuw          Vdq,Wdq        sse2
np 0f e5      pmulhw           Pq,Qq          mmx
66 0f e5      pmulhw           Vdq,Wdq        sse2
66 0f e6      cvttpd2dq        Vdq,Wdq        sse2
f3 0f e6      cvtdq2pd         Vdq,Wq         sse2
f2 0f e6      cvtpd2dq         Vdq,Wdq        sse2
np 0f e7      movntq           Mq,Pq          sse
66 0f e7      movntdq          Mdq,Vdq        sse2
np 0f e8      psubsb           Pq,Qq          mmx
66 0f e8      psubsb           Vdq,Wdq        sse2
np 0f e9      psubsw           Pq,Qq          mmx
66 0f e9      psubsw           Vdq,Wdq        sse2
np 0f ea      pminsw           Pq,Qq          sse
66 0f ea      pminsw           Vdq,Wdq        sse2
np 0f eb      por              Pq,Qq          mmx
66 0f eb      por              Vdq,Wdq        sse2
np 0f ec      paddsb           Pq,Qq          mmx
66 0f ec      paddsb           Vdq,Wdq        sse2
np 0f ed      paddsw           Pq,Qq          mmx
66 0f ed      paddsw           Vdq,Wdq        sse2
np 0f ee      pmaxsw           Pq,Qq          sse
66 0f ee      pmaxsw           Vdq,Wdq        sse2
np 0f ef      pxor             Pq,Qq          mmx
66 0f ef      pxor             Vdq,Wdq        sse2
f2 0f f0      lddqu            Vdq,Mdq        sse3
np 0f f1      psllw            Pq,Qq          mmx
66 0f f1      psllw            Vdq,Wdq        sse2
np 0f f2      pslld            Pq,Qq          mmx
66 0f f2      pslld            Vdq,Wdq        sse2
np 0f f3      psllq            Pq,Qq          mmx
66 0f f3      psllq            Vdq,Wdq        sse2
np 0f f4      pmuludq          Pq,Qq          sse2
66 0f f4      pmuludq          Vdq,Wdq        sse2
np 0f f5      pmaddwd          Pq,Qq          mmx
66 0f f5      pmaddwd          Vdq,Wdq        sse2
np 0f f6      psadbw           Pq,Qq          sse
66 0f f6      psadbw           Vdq,Wdq        sse2
np 0f f7      maskmovq         Pq,Nq          sse
66 0f f7      maskmovdqu       Vdq,Udq        sse2
np 0f f8      psubb            Pq,Qq          mmx
66 0f f8      psubb            Vdq,Wdq        sse2
np 0f f9      psubw            Pq,Qq          mmx
66 0f f9      psubw            Vdq,Wdq        sse2
np 0f fa      psubd            Pq,Qq          mmx
66 0f fa      psubd            Vdq,Wdq        sse2
np 0f fb      psubq            Pq,Qq          sse2
66 0f fb      psubq            Vdq,Wdq        sse2
np 0f fc      paddb            Pq,Qq          mmx
66 0f fc      paddb            Vdq,Wdq        sse2
np 0f fd      paddw            Pq,Qq          mmx
66 0f fd      paddw            Vdq,Wdq        sse2
np 0f fe      paddd            Pq,Qq          mmx
66 0f fe      paddd            Vdq,Wdq        sse2
`;
