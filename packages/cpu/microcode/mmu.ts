/** Memory as the rest of the microcode uses it. */
export { directReadHost, directWriteHost, ea, fault, probeRead, probeWrite, readAs, readHost, readN, readSystem, writeAs, writeN, writeSystem } from "./access";
export { invalidateCode, protectCode, seekTrace } from "./code";
export { flushEptCache, setEptPointer } from "./ept";
export { isRam, readPhysical32, readPhysical64 } from "./memory";
export { ACCESS_AC, ACCESS_FETCH, ACCESS_READ, ACCESS_USER, ACCESS_WRITE, loadPdptes, translate } from "./paging";
export {
  currentSet, fetch, fillRead, fillWrite, raiseCodeLimit, readMiss, setApicAccessPage, systemSet, userSet, writeCommit, writeMiss,
} from "./tlb";
export { flushTlb, flushTlbKeys, flushTlbNonGlobal, flushTlbPage, forgetWatched } from "./tlb-entries";
