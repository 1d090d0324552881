/** Made from real16.asm by tools/assemble.ts. */
import type { GuestImage } from '../src/guest-image.ts';

export const real16: GuestImage = {
  base64:
    'sADm9ev+kJCwAeb16/6QkLAC5vXr/pCQsAPm9ev+kJCwBOb16/6QkLAF5vXr/pCQsAbm9ev+kJCwB+b16/6QkLAI5v' +
    'Xr/pCQsAnm9ev+kJCwCub16/6QkLAL5vXr/pCQsAzm9ev+kJCwDeb16/6QkLAO5vXr/pCQsA/m9ev+kJCwEOb16/6Q' +
    'kLAR5vXr/pCQsBLm9ev+kJCwE+b16/6QkLAU5vXr/pCQsBXm9ev+kJCwFub16/6QkLAX5vXr/pCQsBjm9ev+kJCwGe' +
    'b16/6QkLAa5vXr/pCQsBvm9ev+kJCwHOb16/6QkLAd5vXr/pCQsB7m9ev+kJCwH+b16/6QkGa4AQAAAA+i5vTr/rBy' +
    'uvgD7ub06/705vTr/r8A8LkBALr4A/Ns5vTr/s0h5vTr/g8gwAwIDyLA5vTr/rgA8I7AsFomogQA5vTr/vuQkOb06/' +
    '7/BgDwzw==',
  symbols: {
    'faults': 0x8000,
    'exit_cpuid': 0x8100,
    'exit_cpuid.at': 0x8106,
    'exit_cpuid.next': 0x8108,
    'exit_out': 0x810c,
    'exit_out.at': 0x8111,
    'exit_out.next': 0x8112,
    'exit_hlt': 0x8116,
    'exit_hlt.at': 0x8116,
    'exit_hlt.next': 0x8117,
    'exit_ins': 0x811b,
    'exit_ins.at': 0x8124,
    'exit_ins.next': 0x8126,
    'exit_int': 0x812a,
    'exit_int.at': 0x812a,
    'exit_int.next': 0x812c,
    'exit_mov_to_cr0': 0x8130,
    'exit_mov_to_cr0.at': 0x8135,
    'exit_mov_to_cr0.next': 0x8138,
    'exit_ept_write': 0x813c,
    'exit_ept_write.at': 0x8143,
    'exit_ept_write.next': 0x8147,
    'open_interrupts': 0x814b,
    'open_interrupts.at': 0x814d,
    'count_and_return': 0x8152,
  },
};
