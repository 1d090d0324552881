import type { MC146818RtcState } from '../rtc/mc146818rtc.ts';
import type { RamSplit } from './e820.ts';
import { ABOVE_4G, KiB, MiB } from './layout.ts';

const BASE_MEMORY_KIB = 640;
const EQUIPMENT_FPU = 0x02;

/** What firmware and old systems look up in CMOS memory (pc_cmos_init): memory sizes, equipment, processors. */
export function pcCmosInit(rtc: MC146818RtcState, ram: RamSplit, cpus: number): void {
  const word = (address: number, value: number): void => {
    rtc.setMemory(address, value & 0xff);
    rtc.setMemory(address + 1, (value >> 8) & 0xff);
  };
  const above1 = Math.min(65535, Math.floor((ram.below4g - MiB) / KiB));
  const above16 = Math.max(0, Math.min(65535, Math.floor((ram.below4g - 16 * MiB) / (64 * KiB))));
  word(0x15, BASE_MEMORY_KIB);
  word(0x17, above1);
  word(0x30, above1);
  word(0x34, above16);
  const above4 = Math.floor(ram.above4g / (64 * KiB)) % ABOVE_4G;
  rtc.setMemory(0x5b, above4 & 0xff);
  rtc.setMemory(0x5c, (above4 >> 8) & 0xff);
  rtc.setMemory(0x5d, (above4 >> 16) & 0xff);
  rtc.setMemory(0x5f, cpus - 1);
  rtc.setMemory(0x14, EQUIPMENT_FPU);
}
