/** The devices of the machine at their ports (microvm_devices_init). */

import type { KvmState } from '../../accel/kvm/kvm-all.ts';
import type { AddressSpace } from '../../system/address-space.ts';
import type { CharBackend } from '../../system/chardev.ts';
import { unconnectedIrq } from '../../system/irq.ts';
import { MemoryRegion, type MemoryRegionOps } from '../../system/memory-region.ts';
import type { RunState } from '../../system/runstate.ts';
import { AcpiPmState, PM_IO_SIZE, ResetControl } from '../acpi/acpi-pm.ts';
import { SERIAL_IO_SIZE, SerialState } from '../char/serial.ts';
import { I8042State } from '../input/i8042.ts';
import { isaDebugExitOps } from '../misc/debug-exit.ts';
import { debugconOps } from '../misc/debugcon.ts';
import { addPcTestdev } from '../misc/pc-testdev.ts';
import { FwCfgState } from '../nvram/fw-cfg.ts';
import { MC146818RtcState } from '../rtc/mc146818rtc.ts';
import { ioport80Ops } from './ioport80.ts';
import {
  IRQ_COM1,
  IRQ_COM2,
  IRQ_KEYBOARD,
  IRQ_RTC,
  IRQ_SCI,
  PORT_92,
  PORT_ACPI_PM,
  PORT_COM1,
  PORT_COM2,
  PORT_DEBUGCON,
  PORT_DEBUGCON_BOCHS,
  PORT_DEBUG_EXIT,
  PORT_DEBUG_EXIT_TESTS,
  PORT_FW_CFG,
  PORT_FW_CFG_DMA,
  PORT_I8042_COMMAND,
  PORT_I8042_DATA,
  PORT_POST,
  PORT_RESET,
  PORT_RTC,
} from './layout.ts';
import type { MicrovmOptions } from './microvm-options.ts';
import { Port92State } from './port92.ts';

export interface MicrovmDevices {
  readonly serial: SerialState;
  readonly com2: SerialState | undefined;
  readonly rtc: MC146818RtcState;
  readonly acpiPm: AcpiPmState;
  readonly fwCfg: FwCfgState;
  /** Resets them all. */
  readonly reset: () => void;
}

export interface DeviceContext {
  readonly options: MicrovmOptions;
  readonly kvm: KvmState;
  readonly memory: AddressSpace;
  readonly ioPorts: MemoryRegion;
  readonly runState: RunState;
  readonly serialBackend: CharBackend;
}

export function microvmDevicesInit(context: DeviceContext): MicrovmDevices {
  const { options, kvm, runState, ioPorts } = context;
  const { timers } = options;
  const put = (name: string, port: number, size: number, ops: MemoryRegionOps): MemoryRegion => {
    const region = MemoryRegion.io(name, size, ops);
    ioPorts.addSubregion(port, region);
    return region;
  };
  const reset = (): void => runState.qemuSystemResetRequest();
  const serial = new SerialState({ irq: kvm.gsi(IRQ_COM1), timers, backend: context.serialBackend });
  const com2 = options.com2 === undefined ? undefined : new SerialState({ irq: kvm.gsi(IRQ_COM2), timers, backend: options.com2 });
  const rtc = new MC146818RtcState(kvm.gsi(IRQ_RTC), timers);
  // Under KVM the A20 gate has nothing to mask: the line is wired to nothing (x86_cpu_set_a20 acts on TCG alone).
  const i8042 = new I8042State({ irq: kvm.gsi(IRQ_KEYBOARD), a20: unconnectedIrq, reset });
  const port92 = new Port92State(unconnectedIrq, reset);
  const acpiPm = new AcpiPmState({ sci: kvm.gsi(IRQ_SCI), timers, shutdown: () => runState.qemuSystemShutdownRequest() });
  const fwCfg = new FwCfgState(context.memory);

  put('serial', PORT_COM1, SERIAL_IO_SIZE, serial);
  if (com2 !== undefined) put('serial', PORT_COM2, SERIAL_IO_SIZE, com2);
  put('rtc', PORT_RTC, 2, rtc);
  put('i8042-data', PORT_I8042_DATA, 1, i8042.data);
  put('i8042-cmd', PORT_I8042_COMMAND, 1, i8042.command);
  put('port92', PORT_92, 1, port92);
  put('ioport80', PORT_POST, 1, ioport80Ops).addCoalescing(0, 1);
  put('acpi-pm', PORT_ACPI_PM, PM_IO_SIZE, acpiPm);
  put('reset-control', PORT_RESET, 1, new ResetControl(reset));
  put('fwcfg', PORT_FW_CFG, 2, fwCfg.ports);
  put('fwcfg.dma', PORT_FW_CFG_DMA, 8, fwCfg.dma);
  if (options.debugcon !== undefined)
    for (const port of [PORT_DEBUGCON, PORT_DEBUGCON_BOCHS]) put('debugcon', port, 1, debugconOps(options.debugcon));
  if (options.isaDebugExit === true || options.testDevices === true) addDebugExit(runState, put);
  if (options.testDevices === true) addPcTestdev({ ioPorts, memory: context.memory.root, irq: (line) => kvm.gsi(line) });
  const devices = [serial, com2, rtc, i8042, port92, acpiPm, fwCfg];
  return { serial, com2, rtc, acpiPm, fwCfg, reset: () => devices.forEach((device) => device?.reset()) };
}

function addDebugExit(runState: RunState, put: (name: string, port: number, size: number, ops: MemoryRegionOps) => void): void {
  const debugExit = isaDebugExitOps((status) =>
    runState.exit({ code: status & 0xff, cause: 'debug-exit', message: `the guest wrote ${status >>> 1} to isa-debug-exit` }),
  );
  put('isa-debug-exit', PORT_DEBUG_EXIT, 2, debugExit);
  put('isa-debug-exit', PORT_DEBUG_EXIT_TESTS, 4, debugExit);
}
