export { init } from "./cpu";
export { getRflags, setRflags } from "./flags";
export { updateMode } from "./mode";
export { clearPending } from "./event";
export {
  fetch, fillRead, fillWrite, flushEptCache, flushTlb, flushTlbNonGlobal, flushTlbPage, invalidateCode, protectCode, raiseCodeLimit, readMiss, seekTrace, translate, writeCommit, writeMiss,
} from "./mmu";
export { op_address } from "./segmented";
export { profileTarget } from "./profile";
export {
  loadSegment, op_lds, op_les, op_lfs, op_lgs, op_lss, op_mov_seg_load, op_mov_seg_store, op_pop_seg, op_push_seg, op_rdfsbase,
  op_rdgsbase, op_swapgs, op_wrfsbase, op_wrgsbase,
} from "./segment";
export { op_lgdt, op_lidt, op_lldt, op_ltr, op_sgdt, op_sidt, op_sldt, op_str } from "./tables";
export { op_arpl, op_lar, op_lsl, op_verr, op_verw } from "./verify";
export { divide128S, divide128U, mulHighU } from "./integer";
export * from "./x87";
export { deliver, deliverEvent } from "./deliver";
export * from "./vmx";
export * from "./system";
export { op_cli, op_sti, op_pushf, op_popf, op_clac, op_stac } from "./flag-ops";
export { op_bound, op_int, op_int1, op_int3, op_into } from "./interrupt";
export { op_iret } from "./iret";
export { op_enter, op_popa, op_pusha } from "./stack-ops";
export { op_cmps, op_lods, op_scas } from "./string";
export { op_movs, op_stos } from "./string-move";
export { op_syscall, op_sysenter, op_sysexit, op_sysret } from "./syscall";
export { op_call_far, op_jmp_far, op_retf } from "./transfer";
export { op_aaa, op_aad, op_aam, op_aas, op_daa, op_das } from "./decimal";
export { op_clflush, op_cmpxchg16b, op_cmpxchg8b, op_crc32, op_crc32_1, op_ud, op_xlatb } from "./exchange";
export * from "./xsave/legacy";
export * from "./xsave/xsave";
export * from "./vector";
