export { budgetUntilTimer, nextDeadline, pollLocalTimer, timerValue } from "./timer";
export { pollEvents } from "./poll";
export { vmexit } from "./exit";
export { interceptException } from "./intercept";
export { cpuidA, cpuidB, cpuidC, cpuidD, cpuidLookup } from "../system/cpuid";
export { rdtsc } from "../system/clock";
export {
  hostInvept, hostInvvpid, hostMsrHigh, hostMsrLow, hostRdmsr, hostVmclear, hostVmentry, hostVmptrld, hostVmxoff, hostVmxon,
  hostWriteCr, hostWriteDr, hostWrmsr, hostWrpkru, hostXsetbv,
} from "./host";
export {
  op_getsec, op_invept, op_invvpid, op_rsm, op_vmcall, op_vmclear, op_vmfunc, op_vmlaunch, op_vmptrld, op_vmptrst, op_vmread,
  op_vmresume, op_vmwrite, op_vmxoff, op_vmxon,
} from "./instructions";
