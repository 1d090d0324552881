/**
 * Exit statistics, as `perf kvm stat` gives them: how often each reason came, and the time from an exit to the next entry
 * of the same vCPU, in nanoseconds. Kept only while openKvm's caller has asked for them.
 */

const REASONS = 76;

export class KvmStatistics {
  readonly count: Float64Array = new Float64Array(REASONS);
  readonly totalNs: Float64Array = new Float64Array(REASONS);
  readonly minNs: Float64Array = new Float64Array(REASONS).fill(Infinity);
  readonly maxNs: Float64Array = new Float64Array(REASONS);
  /** Sums of the squares of the times, for their deviation. */
  readonly squaresNs: Float64Array = new Float64Array(REASONS);

  /** Counts an exit; the time of it comes with `entered`. */
  exited(reason: number): void {
    if (reason < REASONS) this.count[reason] = this.count[reason]! + 1;
  }

  /** The vCPU entered again, `ns` after its last exit, which had this reason. */
  entered(reason: number, ns: number): void {
    if (reason >= REASONS) return;
    this.totalNs[reason] = this.totalNs[reason]! + ns;
    this.squaresNs[reason] = this.squaresNs[reason]! + ns * ns;
    if (ns < this.minNs[reason]!) this.minNs[reason] = ns;
    if (ns > this.maxNs[reason]!) this.maxNs[reason] = ns;
  }

  /** Exits in all. */
  get exits(): number {
    let sum = 0;
    for (const count of this.count) sum += count;
    return sum;
  }

  reset(): void {
    this.count.fill(0);
    this.totalNs.fill(0);
    this.squaresNs.fill(0);
    this.minNs.fill(Infinity);
    this.maxNs.fill(0);
  }
}
