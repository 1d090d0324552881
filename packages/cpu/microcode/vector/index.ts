/** Vector instructions with loops or tables. */
export { op_aesdec, op_aesdeclast, op_aesenc, op_aesenclast, op_aesimc, op_aeskeygenassist } from "./aes";
export { op_pclmulqdq } from "./carryless";
export { op_maskmovdqu, op_maskmovq } from "./mask-move";
export {
  op_sha1msg1, op_sha1msg2, op_sha1nexte, op_sha1rnds4, op_sha256msg1, op_sha256msg2, op_sha256rnds2,
} from "./sha";
export {
  op_pcmpestri, op_pcmpestri64, op_pcmpestrm, op_pcmpestrm64, op_pcmpistri, op_pcmpistrm,
} from "./string-compare";
export { computeFloat } from "./float/compute";
