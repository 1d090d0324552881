/** A VMREAD that failed: `error` is the VM-instruction error, or 0 when there was no current VMCS (VMfailInvalid). */
export class VmxFailure extends Error {
  readonly error: number;

  constructor(what: string, error: number) {
    super(error === 0 ? `${what}: no current VMCS` : `${what}: VM-instruction error ${error}`);
    this.name = 'VmxFailure';
    this.error = error;
  }
}
