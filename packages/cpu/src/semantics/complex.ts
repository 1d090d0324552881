/**
 * Mnemonics that microcode executes under another name than `op_<mnemonic>`: several mnemonics of one instruction that
 * differ in a size that the record has anyway.
 */
export const MICROCODE_ALIASES: Readonly<Record<string, string>> = {
  movsb: 'movs', movsw: 'movs', movsd_string: 'movs', movsq: 'movs',
  stosb: 'stos', stosw: 'stos', stosd: 'stos', stosq: 'stos',
  lodsb: 'lods', lodsw: 'lods', lodsd: 'lods', lodsq: 'lods',
  scasb: 'scas', scasw: 'scas', scasd: 'scas', scasq: 'scas',
  cmpsb: 'cmps', cmpsw: 'cmps', cmpsd_string: 'cmps', cmpsq: 'cmps',
  insb: 'ins', insw: 'ins', insd: 'ins', outsb: 'outs', outsw: 'outs', outsd: 'outs',
  pushfd: 'pushf', pushfq: 'pushf', popfd: 'popf', popfq: 'popf', pushad: 'pusha', popad: 'popa',
  iretd: 'iret', iretq: 'iret', sysretq: 'sysret', sysexitq: 'sysexit',
  mov_to_seg: 'mov_seg_load', mov_from_seg: 'mov_seg_store', mov_to_cr: 'mov_cr_load', mov_from_cr: 'mov_cr_store',
  mov_to_dr: 'mov_dr_load', mov_from_dr: 'mov_dr_store',
  clflushopt: 'clflush', clwb: 'clflush',
  vldmxcsr: 'ldmxcsr_avx', vstmxcsr: 'stmxcsr_avx',
  vmaskmovps: 'maskmov', vmaskmovpd: 'maskmov', vpmaskmovd: 'maskmov', vpmaskmovq: 'maskmov',
  vpgatherdd: 'gather', vpgatherdq: 'gather', vpgatherqd: 'gather', vpgatherqq: 'gather',
  vgatherdps: 'gather', vgatherdpd: 'gather', vgatherqps: 'gather', vgatherqpd: 'gather',
  ud0: 'ud', ud1: 'ud', ud2: 'ud',
};

/** The microcode function that executes a semantic name, or null. */
export function microcodeName(name: string, exists: (exported: string) => boolean): string | null {
  for (const candidate of [`op_${name}`, `op_${MICROCODE_ALIASES[name] ?? ''}`]) if (exists(candidate)) return candidate;
  return null;
}
