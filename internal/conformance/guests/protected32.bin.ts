/** Made from protected32.asm by tools/assemble.ts. */
import type { GuestImage } from '../src/guest-image.ts';

export const protected32: GuestImage = {
  base64:
    'sADm9ev+kJCwAeb16/6QkLAC5vXr/pCQsAPm9ev+kJCwBOb16/6QkLAF5vXr/pCQsAbm9ev+kJCwB+b16/6QkLAI5v' +
    'Xr/pCQsAnm9ev+kJCwCub16/6QkLAL5vXr/pCQsAzm9ev+kJCwDeb16/6QkLAO5vXr/pCQsA/m9ev+kJCwEOb16/6Q' +
    'kLAR5vXr/pCQsBLm9ev+kJCwE+b16/6QkLAU5vXr/pCQsBXm9ev+kJCwFub16/6QkLAX5vXr/pCQsBjm9ev+kJCwGe' +
    'b16/6QkLAa5vXr/pCQsBvm9ev+kJCwHOb16/6QkLAd5vXr/pCQsB7m9ev+kJCwH+b16/6QkLgBAAAAD6Lm9Ov+uGFi' +
    'Y2RmuvgD7+b06/4PIMCDyAgPIsDm9Ov+6gAAAAAgAOb06/6aAAAAACAA5vTr/poAAAAAKADm9Ov+zTDm9Ov+xwUA8A' +
    'AAa3NhdOb06/7/BQDwAADP6/e7AAAwAGbHQwLvvub06/705vTr/g8BBQDwAADm9Ov+DwE9APAAAOb06/65MAAAAA8A' +
    '0eb06/7/BQDwAADP',
  symbols: {
    'faults': 0x8000,
    'exit_cpuid': 0x8100,
    'exit_cpuid.at': 0x8105,
    'exit_cpuid.next': 0x8107,
    'exit_out': 0x810b,
    'exit_out.at': 0x8114,
    'exit_out.next': 0x8115,
    'exit_mov_to_cr0': 0x8119,
    'exit_mov_to_cr0.at': 0x811f,
    'exit_mov_to_cr0.next': 0x8122,
    'exit_jmp_tss': 0x8126,
    'exit_jmp_tss.at': 0x8126,
    'exit_jmp_tss.next': 0x812d,
    'exit_call_tss': 0x8131,
    'exit_call_tss.at': 0x8131,
    'exit_call_tss.next': 0x8138,
    'exit_call_gate': 0x813c,
    'exit_call_gate.at': 0x813c,
    'exit_call_gate.next': 0x8143,
    'exit_int_gate': 0x8147,
    'exit_int_gate.at': 0x8147,
    'exit_int_gate.next': 0x8149,
    'task': 0x814d,
    'task_returns': 0x815b,
    'exit_ept_write': 0x8164,
    'exit_ept_write.at': 0x8169,
    'exit_ept_write.next': 0x816f,
    'exit_hlt': 0x8173,
    'exit_hlt.at': 0x8173,
    'exit_hlt.next': 0x8174,
    'exit_sgdt': 0x8178,
    'exit_sgdt.at': 0x8178,
    'exit_sgdt.next': 0x817f,
    'exit_invlpg': 0x8183,
    'exit_invlpg.at': 0x8183,
    'exit_invlpg.next': 0x818a,
    'exit_lldt': 0x818e,
    'exit_lldt.at': 0x8193,
    'exit_lldt.next': 0x8196,
    'count_and_return': 0x819a,
  },
};
