export { op_clts, op_lmsw, op_mov_cr_load, op_mov_cr_store, op_smsw } from "./control-register";
export { op_mov_dr_load, op_mov_dr_store } from "./debug-register";
export { op_rdmsr, op_wrmsr } from "./msr-instruction";
export { op_cpuid } from "./cpuid";
export { op_rdpid, op_rdpmc, op_rdtsc, op_rdtscp } from "./time";
export { op_hlt, op_monitor, op_mwait, op_pause } from "./idle";
export { op_invd, op_invlpg, op_invpcid, op_wbinvd } from "./cache";
export { op_rdpkru, op_rdrand, op_rdseed, op_wrpkru, op_xgetbv, op_xsetbv } from "./extended";
export { op_in, op_ins, op_out, op_outs } from "./io";
