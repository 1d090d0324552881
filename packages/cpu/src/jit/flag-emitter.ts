/**
 * The part of the compiler's emitter that knows how flags stand: what an instruction sets stays in locals as long as nobody
 * asks for the flags in the processor's area (lazy-flags.ts).
 */
import { Emitter } from '../semantics/emitter.ts';
import { FLAG_CF } from '../state/layout.ts';
import type { Label, Value } from '../wasm/function-builder.ts';
import { FLAG_STATES, FlagLocals, flagState, type FlagKind, type HeldFlags, MERGED, type PendingFlags, type Rotation } from './lazy-flags.ts';

/** In a rotation's code: the number of the result's top bit, then these. */
const TOP_BIT = 63;
const ROTATES_LEFT = 64;
const IS_ROTATION = 128;

/** A rotation as a number that is not zero, for code that several rotations come to. */
export function rotationCode({ left, size }: Rotation): number {
  return (size * 8 - 1) | (left ? ROTATES_LEFT : 0) | IS_ROTATION;
}

export abstract class FlagEmitter extends Emitter {
  readonly flags: FlagLocals;
  /** Null: the area has the flags. */
  pending: PendingFlags | null = null;
  /** Inside a conditional part of an instruction. */
  conditional = false;
  /** Nobody sees the flags that the current instruction sets. */
  flagsDead = false;

  constructor() {
    super([]);
    this.flags = new FlagLocals(this);
  }

  // ---- setting

  #hold(kind: FlagKind, size: number, a: Value | null, b: Value | null, r: Value): void {
    if (this.flagsDead) return;
    const places = this.flags.of(size);
    const { operands, result } = FlagLocals.holds(kind);
    if (result) this.set(places.r, r);
    if (operands && a) this.set(places.a, a);
    if (operands && b) this.set(places.b, b);
    this.pending = { held: { kind, size }, rotation: null };
  }

  override flagsAdd(size: number, a: Value, b: Value, result: Value): void {
    this.#hold('add', size, a, b, result);
  }

  override flagsSub(size: number, a: Value, b: Value, result: Value): void {
    this.#hold('sub', size, a, b, result);
  }

  override flagsCarry(size: number, a: Value, b: Value, result: Value, carry: Value, subtract: boolean): void {
    if (this.flagsDead) return;
    this.set(this.flags.carry, carry);
    this.#hold(subtract ? 'sbb' : 'adc', size, a, b, result);
  }

  override flagsStep(size: number, a: Value, result: Value, subtract: boolean): void {
    if (this.flagsDead) return;
    this.#unmerge();
    this.#carryToArea();
    this.#hold(subtract ? 'dec' : 'inc', size, a, this.constant(size, 1), result);
  }

  override flagsLogic(size: number, result: Value): void {
    this.#hold('logic', size, null, null, result);
  }

  override flagsResult(size: number, result: Value, carry: Value, overflow: Value): void {
    if (this.flagsDead) return;
    this.set(this.flags.carry, carry);
    this.set(this.flags.overflow, overflow);
    this.#hold('result', size, null, null, result);
  }

  override flagsAll(f: { cf: Value; pf: Value; af: Value; zf: Value; sf: Value; of: Value }): void {
    if (this.flagsDead) return;
    this.pending = null;
    super.flagsAll(f);
  }

  override flagsCarryOverflow(cf: Value, of: Value): void {
    if (!this.flagsDead) super.flagsCarryOverflow(cf, of);
  }

  override flagsRotate(size: number, result: Value, left: boolean): void {
    if (this.flagsDead) return;
    this.#unmerge();
    this.set(this.flags.rotated, this.extendU(result));
    this.pending = { held: this.pending?.held ?? null, rotation: { left, size } };
  }

  override setCarry(value: Value): void {
    if (this.flagsDead) return;
    const kept = this.copy(value);
    this.flush();
    super.setCarry(kept);
  }

  /** INC and DEC leave CF: it must stand in the area. */
  #carryToArea(): void {
    if (!this.pending) return;
    const { held, rotation } = this.pending;
    const carry = rotation ? this.#rotation(rotation).carry : held && this.flags.carryOf(held);
    if (carry) this.storeI32(this.cpu, FLAG_CF, carry);
  }

  // ---- asking

  #rotation({ size, left }: Rotation): { carry: Value; overflow: Value } {
    const { rotated } = this.flags;
    return this.rotationFlags(size, size === 8 ? rotated : this.wrap(rotated), left);
  }

  override carry(): Value {
    this.#unmerge();
    if (!this.pending) return super.carry();
    const { held, rotation } = this.pending;
    if (rotation) return this.#rotation(rotation).carry;
    return (held && this.flags.carryOf(held)) ?? super.carry();
  }

  override parity(): Value {
    this.#unmerge();
    return this.pending?.held ? this.flags.parityOf(this.pending.held) : super.parity();
  }

  override auxiliary(): Value {
    this.#unmerge();
    return this.pending?.held ? this.flags.auxiliaryOf(this.pending.held) : super.auxiliary();
  }

  override condition(code: number): Value {
    const value = this.#positive(code & ~1);
    return (code & 1) === 0 ? value : this.eqz(value);
  }

  #positive(code: number): Value {
    this.#unmerge();
    if (!this.pending) return super.condition(code);
    const { held, rotation } = this.pending;
    if (rotation) return this.#afterRotation(rotation, code);
    const positive = this.flags.positive(held!, code);
    if (positive) return positive;
    // INC and DEC: B and BE need the area's CF.
    const carry = super.carry();
    return code === 2 ? carry : this.or(carry, this.flags.zeroOf(held!));
  }

  #afterRotation(rotation: Rotation, code: number): Value {
    const held = this.pending!.held;
    const zero = (): Value => (held ? this.flags.zeroOf(held) : super.condition(4));
    const sign = (): Value => (held ? this.flags.signOf(held) : super.condition(8));
    const { carry, overflow } = this.#rotation(rotation);
    switch (code) {
      case 0: return overflow;
      case 2: return carry;
      case 4: return zero();
      case 6: return this.or(carry, zero());
      case 8: return sign();
      case 10: return this.parity();
      case 12: return this.xor(sign(), overflow);
      default: return this.or(zero(), this.xor(sign(), overflow));
    }
  }

  // ---- to the area

  /** Writes the flags to the area, as code that follows needs them; what is pending stays so for other paths. */
  storeFlags(): void {
    if (!this.pending) return;
    const before = this.pending;
    if (before.merged) return this.#storeMerged();
    if (before.held) this.#storeHeld(before.held);
    this.pending = null;
    if (before.rotation) {
      const { carry, overflow } = this.#rotation(before.rotation);
      this.#storeCarryOverflow(carry, overflow);
    }
    this.pending = before;
  }

  /** The same for a rotation that only the running code knows, by its code; the area has the other flags. */
  storeRotation(code: Value): void {
    const { rotated } = this.flags;
    const top = this.extendU(this.and(code, this.i32(TOP_BIT)));
    const bit = (n: Value): Value => this.and(this.wrap(this.shrU(rotated, n)), this.i32(1));
    const left = this.and(code, this.i32(ROTATES_LEFT));
    const [low, high, second] = [bit(this.i64(0)), bit(top), bit(this.sub(top, this.i64(1)))];
    this.#storeCarryOverflow(this.select(left, low, high), this.select(left, this.xor(low, high), this.xor(high, second)));
  }

  /** Whatever the current instruction's flags are to anybody. */
  #storeCarryOverflow(cf: Value, of: Value): void {
    const [pf, af, zf, sf] = [super.parity(), super.auxiliary(), super.condition(4), super.condition(8)];
    super.flagsAll({ cf, pf, af, zf, sf, of });
  }

  /** Whoever wants flags that only the running code knows has them brought to the area; blocks are made so that this is rare. */
  #unmerge(): void {
    if (this.pending?.merged) this.flush();
  }

  #storeMerged(): void {
    const end = this.block();
    const arms: Label[] = [];
    for (let i = FLAG_STATES.length - 1; i >= 0; i--) arms[i] = this.block();
    this.brTable(arms, arms[0]!, this.flags.state);
    for (const held of FLAG_STATES) {
      this.end();
      if (held) this.#storeHeld(held);
      this.br(end);
    }
    this.end();
  }

  /** Makes the flags such that the running code knows how they stand; returns the number of this. */
  merge(): number {
    if (this.pending?.rotation) this.flush();
    const state = flagState(this.pending && this.pending.held);
    this.set(this.flags.state, this.i32(state));
    this.pending = MERGED;
    return state;
  }

  #storeHeld(held: HeldFlags): void {
    const { kind, size } = held;
    const [a, b, r] = [this.flags.firstOf(held), this.flags.secondOf(held), this.flags.resultOf(held)];
    switch (kind) {
      case 'add': super.flagsAdd(size, a, b, r); break;
      case 'sub': super.flagsSub(size, a, b, r); break;
      case 'adc': case 'sbb': super.flagsCarry(size, a, b, r, this.flags.carry, kind === 'sbb'); break;
      case 'inc': case 'dec': super.flagsStep(size, a, r, kind === 'dec'); break;
      case 'logic': super.flagsLogic(size, r); break;
      default: super.flagsResult(size, r, this.flags.carry, this.flags.overflow);
    }
  }

  /** From here on the area has the flags. */
  flush(): void {
    this.storeFlags();
    this.pending = null;
  }

  // ---- control

  /**
   * Conditional parts of an instruction: a constant condition chooses one; where an arm changes the flags, both arms leave
   * them in the area.
   */
  override if(condition: Value, then: () => void, otherwise?: () => void): void {
    if (condition.local < 0) {
      if (condition.lo !== 0 || condition.hi !== 0) then();
      else otherwise?.();
      return;
    }
    const before = this.pending;
    const outer = this.conditional;
    this.conditional = true;
    let changed = false;
    const first = (): void => {
      then();
      changed = this.pending !== before;
      if (changed) this.flush();
      this.pending = before;
    };
    const second = (): void => {
      otherwise?.();
      if (changed) this.flush();
      else if (this.pending !== before) throw new Error(`${this.form.mnemonic} changes the flags in its second arm alone`);
    };
    super.if(condition, first, otherwise || before ? second : undefined);
    this.pending = changed ? null : before;
    this.conditional = outer;
  }

  /** For control between instructions: nothing of this emitter's knowledge is joined after it. */
  ifPlain(condition: Value, then: () => void): void {
    const before = this.pending;
    super.if(condition, then);
    this.pending = before;
  }
}
