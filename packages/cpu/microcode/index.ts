export { init } from "./cpu";
export { getRflags, setRflags } from "./flags";
export { updateMode } from "./mode";
export { clearPending } from "./event";
export {
  fetch, flushEptCache, flushTlb, flushTlbPage, invalidateCode, protectCode, readMiss, translate, writeCommit, writeMiss,
} from "./mmu";
export { op_address } from "./segmented";
export {
  loadSegment, op_lds, op_les, op_lfs, op_lgs, op_lss, op_mov_seg_load, op_mov_seg_store, op_pop_seg, op_push_seg, op_rdfsbase,
  op_rdgsbase, op_swapgs, op_wrfsbase, op_wrgsbase,
} from "./segment";
export { op_lgdt, op_lidt, op_lldt, op_ltr, op_sgdt, op_sidt, op_sldt, op_str } from "./tables";
export { op_arpl, op_lar, op_lsl, op_verr, op_verw } from "./verify";
export { divide128S, divide128U, mulHighU } from "./integer";
export * from "./x87";
