/** Vector instructions with loops or tables. */
export {
  op_aesdec, op_aesdeclast, op_aesenc, op_aesenclast, op_aesimc, op_aeskeygenassist, op_vaesdec, op_vaesdeclast, op_vaesenc,
  op_vaesenclast, op_vaesimc, op_vaeskeygenassist,
} from "./aes";
export { op_pclmulqdq, op_vpclmulqdq } from "./carryless";
export { op_gather } from "./gather";
export { op_maskmovdqu, op_maskmovq, op_vmaskmovdqu } from "./mask-move";
export { op_maskmov } from "./masked";
export {
  op_sha1msg1, op_sha1msg2, op_sha1nexte, op_sha1rnds4, op_sha256msg1, op_sha256msg2, op_sha256rnds2,
} from "./sha";
export {
  op_pcmpestri, op_pcmpestri64, op_pcmpestrm, op_pcmpestrm64, op_pcmpistri, op_pcmpistrm, op_vpcmpestri, op_vpcmpestri64, op_vpcmpestrm,
  op_vpcmpestrm64, op_vpcmpistri, op_vpcmpistrm,
} from "./string-compare";
export { computeFloat } from "./float/compute";
