/**
 * IN, OUT, INS, OUTS. The processor itself has no I/O bus: outside a guest, and in a guest where nothing intercepts the
 * port, reads give ones and writes go nowhere.
 */
import { ES, EXIT_GLA, EXIT_INSN_INFO, NEXT_RIP, RDI, RDX, RIP, RSI, ST_FAULT, ST_NEXT, ST_POLL, TR } from "../../src/state/layout";
import {
  PREFIX_ADDRSIZE_SHIFT, PREFIX_REP, PREFIX_REPNE, REC_IMM, REC_P1, REC_P2, REC_PREFIX,
} from "../../src/state/record";
import { CPU_BASED_UNCOND_IO_EXITING, CPU_BASED_USE_IO_BITMAPS } from "../../../kvm-run/src/vmx/controls";
import {
  EXIT_REASON_IO_INSTRUCTION, IO_QUAL_IMMEDIATE, IO_QUAL_IN, IO_QUAL_PORT_SHIFT, IO_QUAL_REP, IO_QUAL_STRING,
} from "../../../kvm-run/src/vmx/exit-reasons";
import { IO_BITMAP_A, IO_BITMAP_B } from "../../../kvm-run/src/vmx/fields";
import { watchPort } from "../breakpoint";
import { get64, segAttr, segBase, segLimit, set32, set64 } from "../cpu";
import { gp0 } from "../event";
import { iopl } from "../flags";
import { isRam } from "../memory";
import { fault, readSystem } from "../mmu";
import { currentPrivilege, inProtectedMode, inRealOrV86, inV86 } from "../mode";
import { operandSize, pointer, readSized, writeRegister, writeSized } from "../operand";
import { linear, segmentFault } from "../segmented";
import {
  beginString, countDown, elementSize, endCall, endString, goesOn, index, moveIndex, sourceSegment, step,
} from "../string-loop";
import { inGuest, procControl } from "../vmx/controls";
import { exitInstruction } from "../vmx/intercept";
import { vmexit } from "../vmx/exit";
import { field64 } from "../vmx/vmcs";

/** Offset of the I/O map base in a 32-bit or 64-bit TSS. */
const IO_MAP_BASE: i64 = 102;
const ONES: i64 = -1;

/** SDM vol. 1, 19.5.2: zero where the port may be used, else the status of the fault. */
function checkPermission(port: i32, size: i32): i32 {
  const byIopl = inProtectedMode() && currentPrivilege() <= iopl();
  if (byIopl || (inRealOrV86() && !inV86())) return ST_NEXT;
  const type = segAttr(TR) & 0x9f;
  // Present and a 32-bit or 64-bit TSS, available or busy.
  if ((type & 0x9d) != 0x89) return gp0();
  if (segLimit(TR) < 103) return gp0();
  const base = readSystem<u16>(segBase(TR) + IO_MAP_BASE);
  if (fault) return ST_FAULT;
  const offset = <u32>base + <u32>(port >> 3);
  if (offset + 1 > segLimit(TR)) return gp0();
  const bits = readSystem<u16>(segBase(TR) + <i64>offset);
  if (fault) return ST_FAULT;
  return ((<i32>bits >> (port & 7)) & ((1 << size) - 1)) != 0 ? gp0() : ST_NEXT;
}

/** The bitmaps A (ports below 0x8000) and B; an access that wraps past port 0xffff exits (SDM vol. 3C, 26.1.3). */
function exits(port: i32, size: i32): bool {
  if (!procControl(CPU_BASED_USE_IO_BITMAPS)) return procControl(CPU_BASED_UNCOND_IO_EXITING);
  if (port + size > 0x10000) return true;
  for (let i = port; i < port + size; i++) {
    const bitmap = field64(i & 0x8000 ? IO_BITMAP_B : IO_BITMAP_A);
    if (!isRam(bitmap)) return true;
    if ((load<u8>(<usize>bitmap + ((i & 0x7fff) >> 3)) >> (i & 7)) & 1) return true;
  }
  return false;
}

/** IN and OUT: zero to execute, else a status. `immediate`: the port is an immediate. */
function begin(port: i32, size: i32, direction: i32, immediate: bool): i32 {
  const permission = checkPermission(port, size);
  if (permission != ST_NEXT || !inGuest() || !exits(port, size)) return permission;
  const form = immediate ? IO_QUAL_IMMEDIATE : 0;
  return exitInstruction(EXIT_REASON_IO_INSTRUCTION, qualification(port, size, direction | form));
}

function qualification(port: i32, size: i32, bits: i32): i64 {
  return <i64><u32>((port << IO_QUAL_PORT_SHIFT) | bits | (size - 1));
}

/** The port operand: DX where it is a register, else an immediate byte. */
function portOf(rec: usize, field: usize): i32 {
  return pointer(rec, field) == 0 ? load<i32>(rec + REC_IMM) & 0xff : <i32>get64(RDX) & 0xffff;
}

/** The access is done: on, or to the trap of a breakpoint on the port. */
function finish(port: i32, size: i32): i32 {
  return watchPort(port, size) ? trap(ST_NEXT) : ST_NEXT;
}

/** The instruction, or one element of it, has completed with `status`, and a trap is due. */
function trap(status: i32): i32 {
  if (status == ST_NEXT) set64(RIP, get64(NEXT_RIP));
  return ST_POLL;
}

export function op_in(rec: usize): i32 {
  const size = operandSize(rec);
  const port = portOf(rec, REC_P2);
  const status = begin(port, size, IO_QUAL_IN, pointer(rec, REC_P2) == 0);
  if (status != ST_NEXT) return status;
  writeRegister(pointer(rec, REC_P1), size, ONES);
  return finish(port, size);
}

export function op_out(rec: usize): i32 {
  const size = operandSize(rec);
  const port = portOf(rec, REC_P1);
  const status = begin(port, size, 0, pointer(rec, REC_P1) == 0);
  return status == ST_NEXT ? finish(port, size) : status;
}

/** INS and OUTS: the exit tells the linear address, the address size and the segment (table 28-8). */
function beginStringIo(rec: usize, segment: i32, register: usize, direction: i32): i32 {
  const port = <i32>get64(RDX) & 0xffff;
  const permission = checkPermission(port, elementSize);
  if (permission != ST_NEXT || !inGuest() || !exits(port, elementSize)) return permission;
  const repeat = load<u8>(rec + REC_PREFIX) & (PREFIX_REP | PREFIX_REPNE) ? IO_QUAL_REP : 0;
  const addressSize = ((<i32>load<u8>(rec + REC_PREFIX) >> PREFIX_ADDRSIZE_SHIFT) & 3) - 1;
  const address = linear(segment, index(register), elementSize, direction != 0);
  if (segmentFault) return ST_FAULT;
  set64(EXIT_GLA, address);
  set32(EXIT_INSN_INFO, (addressSize << 7) | (segment << 15));
  return vmexit(EXIT_REASON_IO_INSTRUCTION, qualification(port, elementSize, direction | IO_QUAL_STRING | repeat));
}

/** A breakpoint on the port traps after the element. */
let hit: bool = false;

function watchElement(): void {
  hit = watchPort(<i32>get64(RDX) & 0xffff, elementSize);
  if (hit) endCall();
}

function endStringIo(): i32 {
  const status = endString();
  return hit ? trap(status) : status;
}

export function op_ins(rec: usize): i32 {
  if (!beginString(rec)) return ST_NEXT;
  const status = beginStringIo(rec, ES, RDI, IO_QUAL_IN);
  if (status != ST_NEXT) return status;
  do {
    const to = linear(ES, index(RDI), elementSize, true);
    if (segmentFault || !writeSized(to, elementSize, ONES)) return ST_FAULT;
    moveIndex(RDI, step);
    countDown(1);
    watchElement();
  } while (goesOn());
  return endStringIo();
}

export function op_outs(rec: usize): i32 {
  if (!beginString(rec)) return ST_NEXT;
  const status = beginStringIo(rec, sourceSegment, RSI, 0);
  if (status != ST_NEXT) return status;
  do {
    const from = linear(sourceSegment, index(RSI), elementSize, false);
    if (segmentFault) return ST_FAULT;
    readSized(from, elementSize);
    if (fault) return ST_FAULT;
    moveIndex(RSI, step);
    countDown(1);
    watchElement();
  } while (goesOn());
  return endStringIo();
}
