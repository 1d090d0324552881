/**
 * The x86 filter of xz, undone: the build turned the relative targets of CALL and JMP (E8, E9) into absolute ones, so
 * that equal targets compress better (xz, liblzma/simple/x86.c). An E8 or E9 close behind another may have been a byte
 * of that one's operand; `recent` remembers which of the last bytes looked like opcodes, and decides.
 */

/** By the pattern of recent opcode bytes: is a conversion possible at all, and which byte of the operand tells. */
const ALLOWED: readonly boolean[] = [true, true, true, false, true, false, false, false];
const TELLING_BYTE: readonly number[] = [0, 1, 2, 2, 3, 3, 3, 3];

const isSignByte = (byte: number): boolean => byte === 0x00 || byte === 0xff;

export function undoBcjX86(bytes: Uint8Array): void {
  let last = -1;
  let recent = 0;
  for (let i = 0; i + 4 < bytes.length; i++) {
    if ((bytes[i]! & 0xfe) !== 0xe8) continue;
    const distance = i - last;
    last = i;
    if (distance > 3) recent = 0;
    else {
      recent = (recent << (distance - 1)) & 7;
      if (recent !== 0 && (!ALLOWED[recent]! || isSignByte(bytes[i + 4 - TELLING_BYTE[recent]!]!))) {
        recent = (recent << 1) | 1;
        continue;
      }
    }
    if (isSignByte(bytes[i + 4]!)) {
      toRelative(bytes, i, recent);
      i += 4;
    } else recent = (recent << 1) | 1;
  }
}

function toRelative(bytes: Uint8Array, at: number, recent: number): void {
  let source = bytes[at + 1]! | (bytes[at + 2]! << 8) | (bytes[at + 3]! << 16) | (bytes[at + 4]! << 24);
  let target: number;
  for (;;) {
    target = (source - (at + 5)) | 0;
    if (recent === 0) break;
    const shift = TELLING_BYTE[recent]! * 8;
    if (!isSignByte((target >>> (24 - shift)) & 0xff)) break;
    source = target ^ (shift === 0 ? -1 : (1 << (32 - shift)) - 1);
  }
  // 25 bits with sign: the top byte is 00 or FF.
  target = (target << 7) >> 7;
  for (let i = 0; i < 4; i++) bytes[at + 1 + i] = target >>> (i * 8);
}
