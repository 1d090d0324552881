import type { FwCfgState } from '../nvram/fw-cfg.ts';
import {
  FW_CFG_BOOT_MENU,
  FW_CFG_CMDLINE_DATA,
  FW_CFG_CMDLINE_SIZE,
  FW_CFG_E820_TABLE,
  FW_CFG_INITRD_DATA,
  FW_CFG_INITRD_SIZE,
  FW_CFG_IRQ0_OVERRIDE,
  FW_CFG_MAX_CPUS,
  FW_CFG_NB_CPUS,
  FW_CFG_NOGRAPHIC,
  FW_CFG_RAM_SIZE,
} from '../nvram/fw-cfg-keys.ts';
import { encodeE820, type E820Entry } from './e820.ts';
import { MiB } from './layout.ts';
import type { MicrovmOptions } from './microvm-options.ts';

/** What firmware and guests ask fw_cfg for (fw_cfg_arch_create, x86_load_linux). */
export function microvmFwCfgInit(fwCfg: FwCfgState, options: MicrovmOptions, e820: readonly E820Entry[], irq0Override: boolean): void {
  const cpus = options.cpus ?? 1;
  const append = options.append ?? '';
  fwCfg.addI16(FW_CFG_NB_CPUS, cpus);
  fwCfg.addI16(FW_CFG_MAX_CPUS, cpus);
  fwCfg.addI16(FW_CFG_NOGRAPHIC, 1);
  fwCfg.addI16(FW_CFG_BOOT_MENU, 0);
  fwCfg.addI64(FW_CFG_RAM_SIZE, options.memoryMiB * MiB);
  fwCfg.addI32(FW_CFG_IRQ0_OVERRIDE, irq0Override ? 1 : 0);
  fwCfg.addI32(FW_CFG_CMDLINE_SIZE, new TextEncoder().encode(append).length + 1);
  fwCfg.addString(FW_CFG_CMDLINE_DATA, append);
  fwCfg.addI32(FW_CFG_INITRD_SIZE, options.initrd?.length ?? 0);
  fwCfg.addBytes(FW_CFG_INITRD_DATA, options.initrd ?? new Uint8Array(0));
  fwCfg.addBytes(FW_CFG_E820_TABLE, new Uint8Array(0));
  fwCfg.addFile('etc/e820', encodeE820(e820));
  for (const [name, bytes] of Object.entries(options.fwCfgFiles ?? {})) fwCfg.addFile(name, bytes);
}
