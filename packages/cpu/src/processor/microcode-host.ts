/** The microcode's functions for host software in TypeScript (microcode/vmx/host.ts), typed. */
import type { Microcode } from '../microcode/instantiate.ts';

export interface HostMicrocode {
  updateMode(): void;
  flushTlb(): void;
  hostVmxon(address: number): number;
  hostVmxoff(): number;
  hostVmclear(address: number): number;
  hostVmptrld(address: number): number;
  hostVmentry(launch: number): number;
  hostInvept(type: number, low: number, high: number): number;
  hostInvvpid(type: number, vpid: number, low: number, high: number): number;
  hostRdmsr(index: number): number;
  hostMsrLow(): number;
  hostMsrHigh(): number;
  hostWrmsr(index: number, low: number, high: number): number;
  hostWriteCr(number: number, low: number, high: number): number;
  hostWriteDr(number: number, low: number, high: number): void;
  hostWrpkru(value: number): void;
  hostXsetbv(low: number, high: number): number;
  cpuidLookup(leaf: number, subleaf: number): void;
  readonly cpuidA: { readonly value: number };
  readonly cpuidB: { readonly value: number };
  readonly cpuidC: { readonly value: number };
  readonly cpuidD: { readonly value: number };
  rdtsc(): number;
  pollLocalTimer(): void;
  budgetUntilTimer(): number;
  nextDeadline(): number;
}

export function hostMicrocode(microcode: Microcode): HostMicrocode {
  return microcode.exports as unknown as HostMicrocode;
}
