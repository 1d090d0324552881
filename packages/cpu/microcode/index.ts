export { init } from "./cpu";
export { getRflags, setRflags } from "./flags";
export { updateMode } from "./mode";
export { clearPending } from "./event";
export {
  fetch, flushEptCache, flushTlb, flushTlbPage, invalidateCode, protectCode, readMiss, setEptPointer, translate, writeCommit, writeMiss,
} from "./mmu";
