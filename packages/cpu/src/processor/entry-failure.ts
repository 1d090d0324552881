import type { HostMemory } from '@vm/kvm-run';
import { type CheckedField, type EntryFailure, fieldName } from '@vm/kvm-run/vmx';
import { CURRENT_VMCS } from '../state/layout.ts';
import { ENTRY_CHECK, ENTRY_CHECK_FIELDS } from '../state/vmx-layout.ts';
import { entryCheck } from '../vmx/entry-checks.ts';
import { fieldSlot } from '../vmx/vmcs-fields.ts';

const FIELDS = 4;
const NO_FIELD = -1;

/** The check at which the VM entry just made failed, with the values that it saw; undefined when no check failed. */
export function readEntryFailure(memory: HostMemory, area: number): EntryFailure | undefined {
  const check = entryCheck(memory.i32[(area + ENTRY_CHECK) >>> 2]!);
  if (check === undefined) return undefined;
  const vmcs = memory.u32[(area + CURRENT_VMCS) >>> 2]!;
  const fields: CheckedField[] = [];
  for (let i = 0; i < FIELDS; i++) {
    const field = memory.i32[((area + ENTRY_CHECK_FIELDS) >>> 2) + i]!;
    if (field === NO_FIELD) continue;
    fields.push({ field, name: fieldName(field), value: memory.view.getBigUint64(vmcs + fieldSlot(field), true) });
  }
  return { check: check.name, rule: check.rule, section: check.section, fields };
}
