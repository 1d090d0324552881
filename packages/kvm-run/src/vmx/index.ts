export * from './fields.ts';
export { VMCS_FIELDS, fieldBytes, fieldName } from './field-names.ts';
export * from './controls.ts';
export * from './exit-reasons.ts';
export { EXIT_REASON_NAMES, exitReasonName } from './exit-names.ts';
export * from './instruction-errors.ts';
export * from './msrs.ts';
export {
  REQUEST_FLUSH_CODE, REQUEST_INIT, REQUEST_LOOK, REQUEST_NMI, REQUEST_SIPI, REQUEST_SIPI_VECTOR_SHIFT, raiseInterrupt,
  raiseRequest, takeInterrupt,
} from './interrupts.ts';
export { VM_FAIL_INVALID, VM_FAIL_VALID, VM_SUCCEED } from './processor.ts';
export type {
  CheckedField, EntryFailure, Processor, SegmentRegister, SwitchStep, VmxResult,
} from './processor.ts';
export { VmxFailure } from './vmx-failure.ts';
