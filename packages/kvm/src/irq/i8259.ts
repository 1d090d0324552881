import { KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE } from '@vm/kvm-run';
import type { KvmIoDevice } from '../io-bus.ts';
import type { IrqKvm } from './types.ts';
import { kvmIrqLineState, NO_VCPU } from './irq-state.ts';
import {
  kvmFireMaskNotifiers,
  kvmNotifyAckedIrq,
} from './irq-notifier.ts';
import { kvmApicAcceptPicIntr } from './lapic.ts';
import { KVM_REQ_EVENT } from '../requests.ts';

/**
 * The pair of 8259A interrupt controllers, with the edge/level control registers of the PIIX (Intel 8259A data sheet;
 * arch/x86/kvm/i8259.c).
 */

export const PIC_NUM_PINS = 16;

/** One chip. Field names and widths are those of struct kvm_pic_state. */
export interface KvmPicChip {
  readonly index: number;
  lastIrr: number;
  irr: number;
  imr: number;
  isr: number;
  /** Which line has the highest priority. */
  priorityAdd: number;
  irqBase: number;
  readRegSelect: number;
  poll: number;
  specialMask: number;
  /** 0 ready, 1 to 3: the initialization command word that comes next. */
  initState: number;
  autoEoi: number;
  rotateOnAutoEoi: number;
  specialFullyNestedMode: number;
  init4: number;
  elcr: number;
  elcrMask: number;
}

export interface KvmPic {
  readonly kvm: IrqKvm;
  readonly chips: readonly [KvmPicChip, KvmPicChip];
  readonly irqStates: Uint32Array;
  readonly device: KvmIoDevice;
  /** The INTR pin. */
  output: boolean;
  wakeupNeeded: boolean;
}

function newChip(index: number, elcrMask: number): KvmPicChip {
  return {
    index,
    lastIrr: 0,
    irr: 0,
    imr: 0,
    isr: 0,
    priorityAdd: 0,
    irqBase: 0,
    readRegSelect: 0,
    poll: 0,
    specialMask: 0,
    initState: 0,
    autoEoi: 0,
    rotateOnAutoEoi: 0,
    specialFullyNestedMode: 0,
    init4: 0,
    elcr: 0,
    elcrMask,
  };
}

/** The ports: two of each chip, and the two ELCRs. */
const PORTS: readonly (readonly [port: number, length: number])[] = [
  [0x20, 2],
  [0xa0, 2],
  [0x4d0, 2],
];

/** kvm_pic_init. */
export function kvmPicInit(kvm: IrqKvm): boolean {
  const pic: KvmPic = {
    kvm,
    chips: [newChip(0, 0xf8), newChip(1, 0xde)],
    irqStates: new Uint32Array(PIC_NUM_PINS),
    device: {
      read: (_vcpu, address, length, result) => picdevRead(pic, address, length, result),
      write: (_vcpu, address, length, low) => picdevWrite(pic, address, length, low),
    },
    output: false,
    wakeupNeeded: false,
  };
  for (const [port, length] of PORTS) {
    if (kvm.pioBus.register(port, length, pic.device)) continue;
    kvm.pioBus.unregister(pic.device);
    return false;
  }
  kvm.irq.vpic = pic;
  return true;
}

export function kvmPicDestroy(kvm: IrqKvm): void {
  if (kvm.irq.vpic === null) return;
  kvm.pioBus.unregister(kvm.irq.vpic.device);
  kvm.irq.vpic = null;
}

// ---- lines and priorities

/** pic_unlock: tells the vCPU that the pair's output is wired to. */
function wakeup(pic: KvmPic): void {
  if (!pic.wakeupNeeded) return;
  pic.wakeupNeeded = false;
  for (const vcpu of pic.kvm.vcpus) {
    if (!kvmApicAcceptPicIntr(vcpu)) continue;
    vcpu.makeRequest(KVM_REQ_EVENT);
    vcpu.kick();
    return;
  }
}

function clearIsr(pic: KvmPic, chip: KvmPicChip, irq: number): void {
  chip.isr &= ~(1 << irq);
  const which = chip.index === 0 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE;
  kvmNotifyAckedIrq(pic.kvm, which, irq);
}

/** pic_set_irq1: 1 new, 0 merged with one that waits, -1 masked. */
function setIrq1(chip: KvmPicChip, irq: number, level: number): number {
  const mask = 1 << irq;
  let r = 1;
  if ((chip.elcr & mask) !== 0) {
    if (level !== 0) {
      r = (chip.irr & mask) !== 0 ? 0 : 1;
      chip.irr |= mask;
      chip.lastIrr |= mask;
    } else {
      chip.irr &= ~mask;
      chip.lastIrr &= ~mask;
    }
  } else if (level !== 0) {
    if ((chip.lastIrr & mask) === 0) {
      r = (chip.irr & mask) !== 0 ? 0 : 1;
      chip.irr |= mask;
    }
    chip.lastIrr |= mask;
  } else {
    chip.lastIrr &= ~mask;
  }
  return (chip.imr & mask) !== 0 ? -1 : r;
}

/** Rank of the highest-priority line in the mask: 0 the highest, 8 none. */
function getPriority(chip: KvmPicChip, mask: number): number {
  if (mask === 0) return 8;
  let priority = 0;
  while ((mask & (1 << ((priority + chip.priorityAdd) & 7))) === 0) priority++;
  return priority;
}

/** pic_get_irq: the line that the chip signals, -1 for none. */
function getIrq(chip: KvmPicChip): number {
  const priority = getPriority(chip, chip.irr & ~chip.imr);
  if (priority === 8) return -1;
  let service = chip.isr;
  // Special mask mode: a masked line in service does not hold others back. Special fully nested mode: on the master the slave's line does not.
  if (chip.specialMask !== 0) service &= ~chip.imr;
  if (chip.specialFullyNestedMode !== 0 && chip.index === 0) service &= ~(1 << 2);
  return priority < getPriority(chip, service) ? (priority + chip.priorityAdd) & 7 : -1;
}

function updateIrq(pic: KvmPic): void {
  const [master, slave] = pic.chips;
  if (getIrq(slave) >= 0) {
    setIrq1(master, 2, 1);
    setIrq1(master, 2, 0);
  }
  const level = getIrq(master) >= 0;
  if (level && !pic.output) pic.wakeupNeeded = true;
  pic.output = level;
}

/** kvm_pic_update_irq. */
export function kvmPicUpdateIrq(pic: KvmPic): void {
  updateIrq(pic);
  wakeup(pic);
}

/** kvm_pic_set_irq. */
export function kvmPicSetIrq(pic: KvmPic, irq: number, source: number, level: number): number {
  if (irq < 0 || irq >= PIC_NUM_PINS) return -1;
  const line = kvmIrqLineState(pic.irqStates, irq, source, level);
  const r = setIrq1(pic.chips[irq >> 3]!, irq & 7, line);
  updateIrq(pic);
  const { tracer } = pic.kvm.global;
  if (tracer !== null) {
    const chip = pic.chips[irq >> 3]!;
    tracer.event('kvm_pic_set_irq', NO_VCPU, irq >> 3, irq & 7, chip.elcr, chip.imr, r === 0 ? 1 : 0);
  }
  wakeup(pic);
  return r;
}

// ---- acknowledge

function intack(pic: KvmPic, chip: KvmPicChip, irq: number): void {
  chip.isr |= 1 << irq;
  if ((chip.elcr & (1 << irq)) === 0) chip.irr &= ~(1 << irq);
  if (chip.autoEoi === 0) return;
  if (chip.rotateOnAutoEoi !== 0) chip.priorityAdd = (irq + 1) & 7;
  clearIsr(pic, chip, irq);
}

/** kvm_pic_read_irq: the INTA cycle. A request that has gone gives line 7 of its chip (spurious), with no bit in service. */
export function kvmPicReadIrq(pic: KvmPic): number {
  const [master, slave] = pic.chips;
  const irq = getIrq(master);
  let vector = master.irqBase + 7;
  if (irq === 2) {
    intack(pic, master, 2);
    const irq2 = getIrq(slave);
    if (irq2 >= 0) intack(pic, slave, irq2);
    vector = slave.irqBase + (irq2 >= 0 ? irq2 : 7);
  } else if (irq >= 0) {
    intack(pic, master, irq);
    vector = master.irqBase + irq;
  }
  updateIrq(pic);
  wakeup(pic);
  return vector;
}

/** kvm_pic_reset. */
export function kvmPicReset(pic: KvmPic): void {
  for (const chip of pic.chips) {
    const edge = chip.irr | chip.isr;
    Object.assign(chip, newChip(chip.index, chip.elcrMask));
    for (let irq = 0; irq < 8; irq++) if ((edge & (1 << irq)) !== 0) clearIsr(pic, chip, irq);
  }
}

// ---- ports

/** Initialization command word 1: forgets latched edges. Single mode and level mode by ICW1 are not wired in a PC. */
function writeIcw1(pic: KvmPic, chip: KvmPicChip, value: number): void {
  const edges = chip.irr & ~chip.elcr;
  chip.init4 = value & 1;
  chip.irr &= chip.elcr;
  chip.imr = 0;
  chip.lastIrr = 0;
  chip.priorityAdd = 0;
  chip.specialMask = 0;
  chip.readRegSelect = 0;
  if (chip.init4 === 0) {
    chip.specialFullyNestedMode = 0;
    chip.autoEoi = 0;
  }
  chip.initState = 1;
  for (let irq = 0; irq < 8; irq++) if ((edges & (1 << irq)) !== 0) clearIsr(pic, chip, irq);
  updateIrq(pic);
}

/** Operation command word 2: end of interrupt and rotation, by bits 7:5. */
function writeOcw2(pic: KvmPic, chip: KvmPicChip, value: number): void {
  const command = value >> 5;
  let irq = value & 7;
  switch (command) {
    case 0:
    case 4:
      chip.rotateOnAutoEoi = command >> 2;
      return;
    case 1:
    case 5: {
      const priority = getPriority(chip, chip.isr);
      if (priority === 8) return;
      irq = (priority + chip.priorityAdd) & 7;
      break;
    }
    case 6:
      chip.priorityAdd = (irq + 1) & 7;
      updateIrq(pic);
      return;
    case 2:
      return;
    default:
      break;
  }
  if (command !== 3 && command !== 1) chip.priorityAdd = (irq + 1) & 7;
  clearIsr(pic, chip, irq);
  updateIrq(pic);
}

function writeOcw3(chip: KvmPicChip, value: number): void {
  if ((value & 0x04) !== 0) chip.poll = 1;
  if ((value & 0x02) !== 0) chip.readRegSelect = value & 1;
  if ((value & 0x40) !== 0) chip.specialMask = (value >> 5) & 1;
}

function writeImr(pic: KvmPic, chip: KvmPicChip, value: number): void {
  const changed = chip.imr ^ value;
  chip.imr = value;
  const which = chip.index === 0 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE;
  for (let irq = 0; irq < 8; irq++)
    if ((changed & (1 << irq)) !== 0) kvmFireMaskNotifiers(pic.kvm, which, irq, (value & (1 << irq)) !== 0);
  updateIrq(pic);
}

function ioportWrite(pic: KvmPic, chip: KvmPicChip, address: number, value: number): void {
  if ((address & 1) === 0) {
    if ((value & 0x10) !== 0) writeIcw1(pic, chip, value);
    else if ((value & 0x08) !== 0) writeOcw3(chip, value);
    else writeOcw2(pic, chip, value);
    return;
  }
  switch (chip.initState) {
    case 1:
      chip.irqBase = value & 0xf8;
      chip.initState = 2;
      break;
    case 2:
      chip.initState = chip.init4 !== 0 ? 3 : 0;
      break;
    case 3:
      chip.specialFullyNestedMode = (value >> 4) & 1;
      chip.autoEoi = (value >> 1) & 1;
      chip.initState = 0;
      break;
    default:
      writeImr(pic, chip, value);
  }
}

/** The poll command: a read acknowledges as INTA would, and gives bit 7 and the line; 0 when there is no request. */
function pollRead(pic: KvmPic, chip: KvmPicChip): number {
  const irq = getIrq(chip);
  if (irq < 0) return 0;
  intack(pic, chip, irq);
  updateIrq(pic);
  return irq | 0x80;
}

function ioportRead(pic: KvmPic, chip: KvmPicChip, address: number): number {
  if (chip.poll !== 0) {
    chip.poll = 0;
    return pollRead(pic, chip);
  }
  if ((address & 1) !== 0) return chip.imr;
  return chip.readRegSelect !== 0 ? chip.isr : chip.irr;
}

function picdevWrite(pic: KvmPic, address: number, length: number, low: number): boolean {
  if (length !== 1) return true;
  if (address >= 0x4d0) {
    const chip = pic.chips[address & 1]!;
    chip.elcr = low & chip.elcrMask;
  } else {
    ioportWrite(pic, pic.chips[address >> 7]!, address, low & 0xff);
  }
  wakeup(pic);
  return true;
}

function picdevRead(pic: KvmPic, address: number, length: number, result: Uint32Array): boolean {
  if (length !== 1) return true;
  if (address >= 0x4d0) result[0] = pic.chips[address & 1]!.elcr;
  else result[0] = ioportRead(pic, pic.chips[address >> 7]!, address);
  wakeup(pic);
  return true;
}

// ---- KVM_GET_IRQCHIP and KVM_SET_IRQCHIP: struct kvm_pic_state, 16 bytes

const STATE_FIELDS = [
  'lastIrr',
  'irr',
  'imr',
  'isr',
  'priorityAdd',
  'irqBase',
  'readRegSelect',
  'poll',
  'specialMask',
  'initState',
  'autoEoi',
  'rotateOnAutoEoi',
  'specialFullyNestedMode',
  'init4',
  'elcr',
  'elcrMask',
] as const satisfies readonly (keyof KvmPicChip)[];

export const KVM_PIC_STATE_SIZE: number = STATE_FIELDS.length;

export function kvmGetPic(pic: KvmPic, index: 0 | 1, image: Uint8Array): void {
  const chip = pic.chips[index];
  STATE_FIELDS.forEach((field, i) => (image[i] = chip[field]));
}

export function kvmSetPic(pic: KvmPic, index: 0 | 1, image: Uint8Array): void {
  const chip = pic.chips[index];
  const { elcrMask } = chip;
  STATE_FIELDS.forEach((field, i) => (chip[field] = image[i]!));
  chip.priorityAdd &= 7;
  chip.initState &= 3;
  chip.elcrMask = elcrMask;
  kvmPicUpdateIrq(pic);
}
