/**
 * Single-stepping on branches (IA32_DEBUGCTL.BTF, SDM vol. 3B, 19.4.3): before an instruction, is it a branch, and afterwards, was it taken? Its bytes are
 * looked at here, as the records of a trace do not tell.
 */
import { CODE_MODE, CS, RIP, SEG, SEG_BASE, SEG_SIZE } from "../src/state/layout";
import { get32, get64 } from "./cpu";
import { clearPending } from "./event";
import { fetch } from "./tlb";

/** Prefixes at the most, in front of an instruction of at most 15 bytes. */
const LONGEST_PREFIXES = 14;
const NO_BRANCH: i64 = 0;
const ALWAYS: i64 = -1;

/** Bytes up to the end of the conditional branch that is to begin; or one of the two above. */
let length: i64 = NO_BRANCH;
let start: i64 = 0;

/** Byte of the instruction at RIP, or -1 where it can't be fetched: the instruction will find that as well. */
function byteAt(offset: i32): i32 {
  const host = fetch(get64(RIP) + get64(SEG + CS * SEG_SIZE + SEG_BASE) + offset);
  if (host != 0) return <i32>load<u8>(host);
  clearPending();
  return -1;
}

function isPrefix(byte: i32): bool {
  if ((byte & 0xf0) == 0x40) return get32(CODE_MODE) == 2;
  return (byte & 0xe7) == 0x26 || (byte >= 0x64 && byte <= 0x67) || byte == 0xf0 || byte == 0xf2 || byte == 0xf3;
}

/** To be called before the instruction at RIP. */
export function beginBranchStep(): void {
  start = get64(RIP);
  length = NO_BRANCH;
  let at = 0;
  let narrow = get32(CODE_MODE) == 0;
  let byte = byteAt(0);
  while (isPrefix(byte) && at < LONGEST_PREFIXES) {
    if (byte == 0x66) narrow = get32(CODE_MODE) != 0;
    byte = byteAt(++at);
  }
  if (byte == 0x0f) length = twoByteBranch(at + 1, narrow && get32(CODE_MODE) != 2);
  else if ((byte & 0xf0) == 0x70 || (byte & 0xfc) == 0xe0) length = at + 2;
  else if (isBranch(byte) || (byte == 0xff && isIndirect(byteAt(at + 1)))) length = ALWAYS;
}

/** Jcc near, SYSCALL, SYSRET, SYSENTER, SYSEXIT. */
function twoByteBranch(at: i32, narrow: bool): i64 {
  const byte = byteAt(at);
  if ((byte & 0xf0) == 0x80) return at + 1 + (narrow ? 2 : 4);
  return byte == 0x05 || byte == 0x07 || byte == 0x34 || byte == 0x35 ? ALWAYS : NO_BRANCH;
}

/** CALL and JMP, near and far, RET, RETF, IRET. */
function isBranch(byte: i32): bool {
  return (byte >= 0xe8 && byte <= 0xeb) || byte == 0x9a || (byte & 0xf6) == 0xc2 || byte == 0xcf;
}

/** FF /2 to /5. */
function isIndirect(modrm: i32): bool {
  const opcode = (modrm >> 3) & 7;
  return modrm >= 0 && opcode >= 2 && opcode <= 5;
}

/** Whether the instruction that beginBranchStep() saw has branched. */
export function hasBranched(): bool {
  if (length == NO_BRANCH || length == ALWAYS) return length == ALWAYS;
  const next = start + length;
  return get64(RIP) != (get32(CODE_MODE) == 2 ? next : next & 0xffffffff);
}
