/**
 * Hardware task switches (kvm_task_switch, emulator_do_task_switch of arch/x86/kvm; SDM vol. 3A, 9.3): the state of the
 * old task goes to its TSS, the new one's comes from its TSS, in 16-bit or 32-bit form.
 */

import { KVM_INTERNAL_ERROR_EMULATION } from '@vm/kvm-run';
import { TASK_SWITCH_CALL, TASK_SWITCH_GATE, TASK_SWITCH_IRET, TASK_SWITCH_JMP } from '@vm/kvm-run/vmx';
import {
  isPaging,
  kvmGetRflags,
  kvmReadCr0,
  kvmReadCr3Lo,
  kvmRegisterReadLo,
  kvmRegisterWrite,
  kvmRipReadLo,
  kvmRipWrite,
  kvmSetRflags,
} from './cache-regs.ts';
import { kvmSetCr0, kvmSetCr3 } from './crs.ts';
import { kvmUpdateDr7 } from './debug-regs.ts';
import { kvmMapGuest } from './guest-memory.ts';
import { internalError } from './internal-error.ts';
import { kvmMmuGvaToGpa, kvmWalkFault, UNMAPPED_GVA } from './mmu/walk.ts';
import { kvmInjectPageFault, kvmQueueExceptionE } from './queue.ts';
import { VCPU_REGS_RSP, VCPU_SREG_CS, VCPU_SREG_LDTR, VCPU_SREG_SS, VCPU_SREG_TR, type KvmVcpu } from './types.ts';
import { kvmGdtBase, kvmGdtLimit, kvmIdtBase, kvmGetCpl, kvmSegmentBase, kvmSegmentLimit, kvmSegmentSelector, kvmSetSegment } from './vmx/segment.ts';
import * as B from './x86-bits.ts';

export interface TaskSwitch {
  readonly selector: number;
  /** TASK_SWITCH_*. */
  readonly reason: number;
  /** Vector of INT n through a task gate, or -1. */
  readonly vector: number;
  readonly hasErrorCode: boolean;
  readonly errorCode: number;
}

/** A fault of the switch: it is in the queue already. */
class TaskFault extends Error {}
/** What cannot be emulated. */
class TaskFailure extends Error {}

const BUSY = 2;
const NT = B.X86_EFLAGS_NT;
/** Offsets in a TSS: size of a slot, first slot of RIP, number of segment slots, LDT, limit that it needs. */
interface TssForm {
  readonly width: 2 | 4;
  readonly ip: number;
  readonly registers: number;
  readonly segments: number;
  readonly segmentCount: number;
  readonly ldt: number;
  readonly minLimit: number;
}
const TSS16: TssForm = { width: 2, ip: 0x0e, registers: 0x12, segments: 0x22, segmentCount: 4, ldt: 0x2a, minLimit: 0x2b };
const TSS32: TssForm = { width: 4, ip: 0x20, registers: 0x28, segments: 0x48, segmentCount: 6, ldt: 0x60, minLimit: 0x67 };
const TSS32_CR3 = 0x1c;

const fault = (vcpu: KvmVcpu, vector: number, error: number): never => {
  kvmQueueExceptionE(vcpu, vector, error);
  throw new TaskFault();
};

/** Host address of a byte of guest-linear memory, as the processor itself would reach it. */
const systemAddress = (vcpu: KvmVcpu, linear: number, write: boolean): number => {
  const gpa = kvmMmuGvaToGpa(vcpu, linear >>> 0, 0, write ? B.PFERR_WRITE_MASK : 0);
  if (gpa === UNMAPPED_GVA) {
    const { errorCode, addressLo, addressHi } = kvmWalkFault(vcpu);
    kvmInjectPageFault(vcpu, errorCode, addressLo, addressHi);
    throw new TaskFault();
  }
  const hva = kvmMapGuest(vcpu.kvm, gpa, 1);
  if (hva < 0) throw new TaskFailure();
  return hva;
};

const read = (vcpu: KvmVcpu, linear: number, size: number): number => {
  let value = 0;
  for (let i = size - 1; i >= 0; i--) value = value * 256 + vcpu.memory.u8[systemAddress(vcpu, linear + i, false)]!;
  return value;
};

const write = (vcpu: KvmVcpu, linear: number, size: number, value: number): void => {
  for (let i = 0; i < size; i++) {
    const at = systemAddress(vcpu, linear + i, true);
    vcpu.memory.u8[at] = value >>> (i * 8);
    vcpu.memory.wrote(at, 1);
  }
};

/** A segment descriptor, taken apart. */
interface Descriptor {
  readonly address: number;
  readonly base: number;
  readonly limit: number;
  /** In VMX's format. */
  readonly attr: number;
}

const readDescriptor = (vcpu: KvmVcpu, selector: number, vector: number): Descriptor => {
  const index = selector & ~7;
  const local = (selector & 4) !== 0;
  const base = local ? kvmSegmentBase(vcpu, VCPU_SREG_LDTR) : kvmGdtBase(vcpu);
  const limit = local ? kvmSegmentLimit(vcpu, VCPU_SREG_LDTR) : kvmGdtLimit(vcpu);
  if (index + 7 > limit) fault(vcpu, vector, selector & 0xfffc);
  const address = base + index;
  const low = read(vcpu, address, 4);
  const high = read(vcpu, address + 4, 4);
  const raw = (high & 0xf0000) | (low & 0xffff);
  return {
    address,
    base: ((high & 0xff000000) | ((high & 0xff) << 16) | (low >>> 16)) >>> 0,
    limit: (high & 0x800000) !== 0 ? ((raw << 12) | 0xfff) >>> 0 : raw,
    attr: ((high >>> 8) & 0xff) | ((high >>> 8) & 0xf000),
  };
};

const setType = (vcpu: KvmVcpu, descriptor: Descriptor, type: number): void =>
  write(vcpu, descriptor.address + 5, 1, (descriptor.attr & 0xf0) | type);

const UNUSABLE = 0x10000;

/** __load_segment_descriptor while a task begins: what is wrong raises #TS, #NP or #SS. */
const loadSegment = (vcpu: KvmVcpu, segment: number, selector: number, cpl: number): void => {
  if ((selector & 0xfffc) === 0) {
    if (segment === VCPU_SREG_CS || segment === VCPU_SREG_SS) fault(vcpu, B.TS_VECTOR, selector & 0xfffc);
    kvmSetSegment(vcpu, segment, selector, 0, 0, 0, UNUSABLE);
    return;
  }
  const error = selector & 0xfffc;
  if (segment === VCPU_SREG_LDTR && (selector & 4) !== 0) fault(vcpu, B.TS_VECTOR, error);
  const descriptor = readDescriptor(vcpu, selector, B.TS_VECTOR);
  const { attr } = descriptor;
  if (!segmentFits(segment, attr, selector & 3, cpl)) fault(vcpu, B.TS_VECTOR, error);
  if ((attr & 0x80) === 0) fault(vcpu, segment === VCPU_SREG_SS ? B.SS_VECTOR : B.NP_VECTOR, error);
  if ((attr & 0x10) !== 0 && (attr & 1) === 0) setType(vcpu, descriptor, (attr & 15) | 1);
  kvmSetSegment(vcpu, segment, selector, descriptor.base, 0, descriptor.limit, attr);
};

/** Type and privilege of a descriptor for the register it goes to. */
const segmentFits = (segment: number, attr: number, rpl: number, cpl: number): boolean => {
  const type = attr & 15;
  const code = (type & 8) !== 0;
  const dpl = (attr >>> 5) & 3;
  if (segment === VCPU_SREG_LDTR) return (attr & 0x1f) === 2;
  if ((attr & 0x10) === 0) return false;
  if (segment === VCPU_SREG_CS) return code && ((type & 4) !== 0 ? dpl <= rpl : dpl === rpl);
  if (segment === VCPU_SREG_SS) return !code && (type & 2) !== 0 && rpl === cpl && dpl === cpl;
  if (code && (type & 2) === 0) return false;
  return (code && (type & 4) !== 0) || (rpl <= dpl && cpl <= dpl);
};

/** General registers in the order of a TSS are those of the encoding. */
const saveTask = (vcpu: KvmVcpu, base: number, form: TssForm, ip: number, flags: number): void => {
  const { width } = form;
  write(vcpu, base + form.ip, width, ip);
  write(vcpu, base + form.ip + width, width, flags);
  for (let reg = 0; reg < 8; reg++) write(vcpu, base + form.registers + reg * width, width, kvmRegisterReadLo(vcpu, reg));
  for (let segment = 0; segment < form.segmentCount; segment++)
    write(vcpu, base + form.segments + segment * width, width, kvmSegmentSelector(vcpu, segment));
};

const loadTask = (vcpu: KvmVcpu, base: number, form: TssForm): void => {
  const { width } = form;
  if (width === 4 && isPaging(vcpu)) {
    const cr3 = read(vcpu, base + TSS32_CR3, 4);
    if (cr3 !== kvmReadCr3Lo(vcpu) && !kvmSetCr3(vcpu, cr3, 0)) fault(vcpu, B.GP_VECTOR, 0);
  }
  const ip = read(vcpu, base + form.ip, width);
  const flags = read(vcpu, base + form.ip + width, width);
  const registers = Array.from({ length: 8 }, (_, reg) => read(vcpu, base + form.registers + reg * width, width));
  const selectors = Array.from({ length: form.segmentCount }, (_, i) => read(vcpu, base + form.segments + i * width, width) & 0xffff);
  const ldt = read(vcpu, base + form.ldt, width) & 0xffff;
  kvmRipWrite(vcpu, ip, 0);
  kvmSetRflags(vcpu, flags | 2);
  registers.forEach((value, reg) => kvmRegisterWrite(vcpu, reg, value, 0));
  loadSegment(vcpu, VCPU_SREG_LDTR, ldt, 0);
  if ((flags & B.X86_EFLAGS_VM) !== 0) {
    selectors.forEach((selector, segment) => kvmSetSegment(vcpu, segment, selector, selector << 4, 0, 0xffff, 0xf3));
    return;
  }
  const cpl = selectors[VCPU_SREG_CS]! & 3;
  // SS and CS first: the others are checked against the new privilege level.
  const order = form.segmentCount === 6 ? [1, 2, 0, 3, 4, 5] : [1, 2, 0, 3];
  for (const segment of order) loadSegment(vcpu, segment, selectors[segment]!, cpl);
};

const formOf = (type: number): TssForm => ((type & 8) !== 0 ? TSS32 : TSS16);

/** A software interrupt through a task gate must be allowed to use it. */
const checkGate = (vcpu: KvmVcpu, vector: number): void => {
  if (vector < 0) return;
  const high = read(vcpu, kvmIdtBase(vcpu) + vector * 8 + 4, 4);
  if (((high >>> 13) & 3) < kvmGetCpl(vcpu)) fault(vcpu, B.GP_VECTOR, (vector << 3) | 2);
};

const pushError = (vcpu: KvmVcpu, form: TssForm, error: number): void => {
  const { width } = form;
  const sp = (kvmRegisterReadLo(vcpu, VCPU_REGS_RSP) - width) >>> 0;
  kvmRegisterWrite(vcpu, VCPU_REGS_RSP, sp, 0);
  write(vcpu, (kvmSegmentBase(vcpu, VCPU_SREG_SS) + sp) >>> 0, width, error);
};

const switchTask = (vcpu: KvmVcpu, task: TaskSwitch): void => {
  const { selector, reason } = task;
  const oldSelector = kvmSegmentSelector(vcpu, VCPU_SREG_TR);
  const oldBase = kvmSegmentBase(vcpu, VCPU_SREG_TR);
  if (reason === TASK_SWITCH_GATE) checkGate(vcpu, task.vector);
  const next = readDescriptor(vcpu, selector, reason === TASK_SWITCH_IRET ? B.TS_VECTOR : B.GP_VECTOR);
  const form = formOf(next.attr);
  if ((next.attr & 0x80) === 0) fault(vcpu, B.NP_VECTOR, selector & 0xfffc);
  if (next.limit < form.minLimit) fault(vcpu, B.TS_VECTOR, selector & 0xfffc);
  const current = readDescriptor(vcpu, oldSelector, B.TS_VECTOR);
  if (reason === TASK_SWITCH_IRET || reason === TASK_SWITCH_JMP) setType(vcpu, current, current.attr & 15 & ~BUSY);
  let flags = kvmGetRflags(vcpu);
  if (reason === TASK_SWITCH_IRET) flags &= ~NT;
  saveTask(vcpu, oldBase, formOf(current.attr), kvmRipReadLo(vcpu), flags);
  const nested = reason === TASK_SWITCH_CALL || reason === TASK_SWITCH_GATE;
  if (nested) write(vcpu, next.base, 2, oldSelector);
  if (reason !== TASK_SWITCH_IRET) setType(vcpu, next, (next.attr & 15) | BUSY);
  kvmSetCr0(vcpu, (kvmReadCr0(vcpu) | B.X86_CR0_TS) >>> 0, 0);
  kvmSetSegment(vcpu, VCPU_SREG_TR, selector, next.base, 0, next.limit, next.attr | BUSY);
  // Local breakpoints belong to the old task (SDM vol. 3B, 18.2.4).
  vcpu.dr7 &= ~0x155;
  kvmUpdateDr7(vcpu);
  loadTask(vcpu, next.base, form);
  if (nested) kvmSetRflags(vcpu, kvmGetRflags(vcpu) | NT);
  if (task.hasErrorCode) pushError(vcpu, form, task.errorCode);
};

/** kvm_task_switch: 1 go on (a fault is queued, if there was one), 0 to userspace with an emulation failure. */
export const kvmTaskSwitch = (vcpu: KvmVcpu, task: TaskSwitch): number => {
  try {
    switchTask(vcpu, task);
    return 1;
  } catch (error) {
    if (error instanceof TaskFault) return 1;
    if (error instanceof TaskFailure) return internalError(vcpu, KVM_INTERNAL_ERROR_EMULATION, []);
    throw error;
  }
};
