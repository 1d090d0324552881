/** Where indirect branches go, counted by the interpreter for the compiler (record.ts, PROFILE_*). */
import { PROFILE_COUNT, PROFILE_ENTRIES, PROFILE_ENTRY_SIZE, PROFILE_OFFSET } from "../src/state/record";

/** Counts one execution of a branch; targets beyond the profile's room are not counted. */
export function profileTarget(profile: usize, offset: i32): void {
  const end = profile + PROFILE_ENTRIES * PROFILE_ENTRY_SIZE;
  for (let entry = profile; entry < end; entry += PROFILE_ENTRY_SIZE) {
    const count = load<u32>(entry + PROFILE_COUNT);
    if (count == 0) store<i32>(entry + PROFILE_OFFSET, offset);
    if (load<i32>(entry + PROFILE_OFFSET) != offset) continue;
    store<u32>(entry + PROFILE_COUNT, count + 1);
    return;
  }
}
