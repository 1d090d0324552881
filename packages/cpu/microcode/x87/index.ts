/** The x87 instructions. */
export {
  op_fcom, op_fcomp, op_fcompp, op_fucom, op_fucomp, op_fucompp, op_ficom, op_ficomp, op_fcomi, op_fcomip, op_fucomi,
  op_fucomip, op_ftst, op_fxam, op_fcmovb, op_fcmove, op_fcmovbe, op_fcmovu, op_fcmovnb, op_fcmovne, op_fcmovnbe,
  op_fcmovnu,
} from "./compare";
export {
  op_fadd, op_fmul, op_fsub, op_fsubr, op_fdiv, op_fdivr, op_faddp, op_fmulp, op_fsubp, op_fsubrp, op_fdivp,
  op_fdivrp, op_fiadd, op_fimul, op_fisub, op_fisubr, op_fidiv, op_fidivr, op_fsqrt,
} from "./compute";
export {
  op_fninit, op_fnclex, op_fldcw, op_fnstcw, op_fnstsw, op_fnstenv, op_fldenv, op_fnsave, op_frstor, op_fnop,
  op_fincstp, op_fdecstp, op_fneni, op_fndisi, op_fnsetpm, op_emms,
} from "./environment";
export {
  op_fprem, op_fprem1, op_fscale, op_fxtract, op_frndint,
} from "./remainder";
export {
  op_fld, op_fild, op_fldl2t, op_fldl2e, op_fldpi, op_fldlg2, op_fldln2, op_fld1, op_fldz, op_fst, op_fstp,
  op_fstpnce, op_fist, op_fistp, op_fisttp, op_fbld, op_fbstp, op_fxch, op_fchs, op_fabs, op_ffree, op_ffreep,
} from "./transfer";
export {
  op_wait,
} from "./stack";
export { op_f2xm1, op_fpatan, op_fyl2x, op_fyl2xp1 } from "./transcendental";
export { op_fcos, op_fptan, op_fsin, op_fsincos } from "./trigonometry";
export {
  x87Add, x87Compare, x87CompareDouble, x87CompareSingle, x87Div, x87FromDouble, x87FromInteger, x87FromSingle, x87Mul, x87Round, x87Sqrt,
  x87Sub, x87ToDouble, x87ToInteger, x87ToSingle, x87WithDouble, x87WithSingle,
} from "./value";
