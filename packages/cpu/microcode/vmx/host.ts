/**
 * What host software written in TypeScript calls: the same instructions and registers, with 64-bit operands in two halves
 * and addresses as doubles.
 */
import { CR2, CR8 } from "../../src/state/layout";
import { VMX_HOST_IS_CODE } from "../../src/state/vmx-layout";
import { set32, set64 } from "../cpu";
import { writeCr0, writeCr3, writeCr4 } from "../system/control-register";
import { writeDr } from "../system/debug-register";
import { writePkru, writeXcr0 } from "../system/extended";
import { msrValue, readMsr, writeMsr } from "../system/msr";
import { vmentry } from "./entry";
import { invept, invvpid, vmclear, vmptrld, vmxoff, vmxon } from "./region";

// @ts-ignore: decorator
@inline
function join(low: u32, high: u32): i64 {
  return (<i64>high << 32) | <i64>low;
}

export function hostVmxon(address: f64): i32 {
  return vmxon(<i64>address);
}

export function hostVmxoff(): i32 {
  return vmxoff();
}

export function hostVmclear(address: f64): i32 {
  return vmclear(<i64>address);
}

export function hostVmptrld(address: f64): i32 {
  return vmptrld(<i64>address);
}

/** See ENTERED and the others in entry.ts. */
export function hostVmentry(launch: i32): i32 {
  set32(VMX_HOST_IS_CODE, 0);
  return vmentry(launch);
}

export function hostInvept(type: u32, low: u32, high: u32): i32 {
  return invept(<i64>type, join(low, high), 0);
}

export function hostInvvpid(type: u32, vpid: u32, low: u32, high: u32): i32 {
  return invvpid(<i64>type, <i64>vpid, join(low, high));
}

/** False: #GP(0). The value is in hostMsrLow and hostMsrHigh. */
export function hostRdmsr(index: u32): bool {
  return readMsr(index);
}

export function hostMsrLow(): u32 {
  return <u32>msrValue;
}

export function hostMsrHigh(): u32 {
  return <u32>(msrValue >> 32);
}

export function hostWrmsr(index: u32, low: u32, high: u32): bool {
  return writeMsr(index, join(low, high));
}

export function hostWriteCr(number: i32, low: u32, high: u32): bool {
  const value = join(low, high);
  switch (number) {
    case 0: return writeCr0(value);
    case 3: return writeCr3(value);
    case 4: return writeCr4(value);
    case 8: {
      if (value & ~<i64>15) return false;
      set64(CR8, value);
      return true;
    }
    default: {
      set64(CR2, value);
      return true;
    }
  }
}

export function hostWriteDr(number: i32, low: u32, high: u32): void {
  writeDr(number, join(low, high));
}

export function hostWrpkru(value: i32): void {
  writePkru(value);
}

export function hostXsetbv(low: u32, high: u32): bool {
  return writeXcr0(join(low, high));
}
