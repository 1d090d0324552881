/**
 * Shows a world switch: what the processor moved at a VM entry or exit, in the order of the SDM (vol. 3C, ch. 27 and 28).
 * Everything is read from the VMCS beside the switch, so that nothing is spent while nobody looks.
 */
import type { HostMemory } from '@vm/kvm-run';
import * as V from '@vm/kvm-run/vmx';
import type { SwitchStep } from '@vm/kvm-run/vmx';
import { CURRENT_VMCS } from '../state/layout.ts';
import { fieldSlot, SUPPORTED_FIELDS } from '../vmx/vmcs-fields.ts';

export type SwitchObserver = (step: SwitchStep) => void;

/** A field that moves only when a bit of a control field is set. */
interface Condition {
  readonly field: number;
  readonly bit: number;
}

const ENTRY_CONDITIONS: ReadonlyMap<number, Condition> = new Map([
  [V.GUEST_DR7, { field: V.VM_ENTRY_CONTROLS, bit: V.VM_ENTRY_LOAD_DEBUG_CONTROLS }],
  [V.GUEST_IA32_DEBUGCTL, { field: V.VM_ENTRY_CONTROLS, bit: V.VM_ENTRY_LOAD_DEBUG_CONTROLS }],
  [V.GUEST_IA32_PAT, { field: V.VM_ENTRY_CONTROLS, bit: V.VM_ENTRY_LOAD_IA32_PAT }],
  [V.GUEST_IA32_EFER, { field: V.VM_ENTRY_CONTROLS, bit: V.VM_ENTRY_LOAD_IA32_EFER }],
  [V.VMX_PREEMPTION_TIMER_VALUE, { field: V.PIN_BASED_VM_EXEC_CONTROL, bit: V.PIN_BASED_VMX_PREEMPTION_TIMER }],
]);

const EXIT_CONDITIONS: ReadonlyMap<number, Condition> = new Map([
  [V.GUEST_DR7, { field: V.VM_EXIT_CONTROLS, bit: V.VM_EXIT_SAVE_DEBUG_CONTROLS }],
  [V.GUEST_IA32_DEBUGCTL, { field: V.VM_EXIT_CONTROLS, bit: V.VM_EXIT_SAVE_DEBUG_CONTROLS }],
  [V.GUEST_IA32_PAT, { field: V.VM_EXIT_CONTROLS, bit: V.VM_EXIT_SAVE_IA32_PAT }],
  [V.GUEST_IA32_EFER, { field: V.VM_EXIT_CONTROLS, bit: V.VM_EXIT_SAVE_IA32_EFER }],
  [V.VMX_PREEMPTION_TIMER_VALUE, { field: V.VM_EXIT_CONTROLS, bit: V.VM_EXIT_SAVE_VMX_PREEMPTION_TIMER }],
  [V.HOST_IA32_PAT, { field: V.VM_EXIT_CONTROLS, bit: V.VM_EXIT_LOAD_IA32_PAT }],
  [V.HOST_IA32_EFER, { field: V.VM_EXIT_CONTROLS, bit: V.VM_EXIT_LOAD_IA32_EFER }],
]);

const typeOf = (field: number): number => (field >> V.FIELD_TYPE_SHIFT) & 3;
const CONTROL_FIELDS = SUPPORTED_FIELDS.filter((field) => typeOf(field) === V.FIELD_TYPE_CONTROL);
const EXIT_INFO_FIELDS = SUPPORTED_FIELDS.filter((field) => typeOf(field) === V.FIELD_TYPE_EXIT_INFO && field !== V.VM_INSTRUCTION_ERROR);
/** The link pointer is checked, not loaded; SMBASE matters in SMM. */
const GUEST_FIELDS = SUPPORTED_FIELDS.filter(
  (field) => typeOf(field) === V.FIELD_TYPE_GUEST && field !== V.VMCS_LINK_POINTER && field !== V.GUEST_SMBASE,
);
const HOST_FIELDS = SUPPORTED_FIELDS.filter((field) => typeOf(field) === V.FIELD_TYPE_HOST);

/** Reads the switch out of one processor's current VMCS. */
export class SwitchTrace {
  readonly #memory: HostMemory;
  readonly #area: number;
  readonly #observer: SwitchObserver;

  constructor(memory: HostMemory, area: number, observer: SwitchObserver) {
    this.#memory = memory;
    this.#area = area;
    this.#observer = observer;
  }

  #field(field: number): bigint {
    const vmcs = this.#memory.u32[(this.#area + CURRENT_VMCS) >>> 2]!;
    return this.#memory.view.getBigUint64(vmcs + fieldSlot(field), true);
  }

  #holds(condition: Condition | undefined): boolean {
    return condition === undefined || (Number(this.#field(condition.field)) & condition.bit) !== 0;
  }

  #report(phase: string, step: string, what: string, from: string, to: string, value: bigint): void {
    this.#observer({ phase, step, what, from, to, value });
  }

  #fields(phase: string, step: string, fields: readonly number[], from: string, to: string, conditions?: ReadonlyMap<number, Condition>): void {
    for (const field of fields)
      if (this.#holds(conditions?.get(field))) this.#report(phase, step, V.fieldName(field), from, to, this.#field(field));
  }

  #msrs(phase: string, step: string, addressField: number, countField: number, from: string, to: string): void {
    const address = Number(this.#field(addressField));
    const count = Number(this.#field(countField));
    const { view } = this.#memory;
    for (let i = 0; i < count && address + i * 16 + 16 <= view.byteLength; i++) {
      const index = view.getUint32(address + i * 16, true);
      this.#report(phase, step, `MSR 0x${index.toString(16)}`, from, to, view.getBigUint64(address + i * 16 + 8, true));
    }
  }

  /** Before VM entry: the controls that are to take effect. */
  entryBegins(launch: boolean): void {
    const vmcs = BigInt(this.#memory.u32[(this.#area + CURRENT_VMCS) >>> 2]!);
    this.#report('entry', launch ? 'VMLAUNCH' : 'VMRESUME', 'current VMCS', 'VMCS', 'processor', vmcs);
    this.#fields('entry', 'check controls', CONTROL_FIELDS, 'VMCS', 'processor');
    this.#fields('entry', 'check host state', HOST_FIELDS, 'VMCS', 'processor', EXIT_CONDITIONS);
  }

  /**
   * What VM entry loads and injects, read before it (an exit during injection would overwrite it); the returned function
   * reports it once the checks have passed.
   */
  prepareGuest(): () => void {
    const steps: SwitchStep[] = [];
    const trace = new SwitchTrace(this.#memory, this.#area, (step) => steps.push(step));
    trace.#guestLoads();
    return () => steps.forEach((step) => this.#observer(step));
  }

  #guestLoads(): void {
    this.#fields('entry', 'load guest state', GUEST_FIELDS, 'VMCS', 'processor', ENTRY_CONDITIONS);
    this.#msrs('entry', 'load MSRs', V.VM_ENTRY_MSR_LOAD_ADDR, V.VM_ENTRY_MSR_LOAD_COUNT, 'MSR-load area', 'processor');
    const info = this.#field(V.VM_ENTRY_INTR_INFO_FIELD);
    if ((info & BigInt(V.INTR_INFO_VALID_MASK)) !== 0n)
      this.#report('entry', 'inject event', 'VM_ENTRY_INTR_INFO_FIELD', 'VMCS', "guest's IDT", info);
  }

  /** VM entry failed: the check, and the reason of the exit that it became, if it did. */
  entryFailed(check: string | undefined, exited: boolean): void {
    this.#report('entry', 'VM entry fails', check ?? 'VMfail', 'processor', 'VMCS', this.#field(V.VM_INSTRUCTION_ERROR));
    if (!exited) return;
    this.#report('exit', 'exit information', 'VM_EXIT_REASON', 'processor', 'VMCS', this.#field(V.VM_EXIT_REASON));
    this.#hostLoaded();
  }

  /** After a VM exit. */
  exited(): void {
    this.#fields('exit', 'exit information', EXIT_INFO_FIELDS, 'processor', 'VMCS');
    this.#fields('exit', 'save guest state', GUEST_FIELDS, 'processor', 'VMCS', EXIT_CONDITIONS);
    this.#msrs('exit', 'store MSRs', V.VM_EXIT_MSR_STORE_ADDR, V.VM_EXIT_MSR_STORE_COUNT, 'processor', 'MSR-store area');
    this.#hostLoaded();
  }

  #hostLoaded(): void {
    this.#fields('exit', 'load host state', HOST_FIELDS, 'VMCS', 'processor', EXIT_CONDITIONS);
    this.#msrs('exit', 'load MSRs', V.VM_EXIT_MSR_LOAD_ADDR, V.VM_EXIT_MSR_LOAD_COUNT, 'MSR-load area', 'processor');
  }
}
