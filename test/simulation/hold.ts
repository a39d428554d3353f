// What ends a simulated run: an invariant that doesn't hold.

/** A broken invariant. */
export class Violation extends Error {
  override readonly name = "Violation";
  readonly invariant: string;
  constructor(invariant: string, detail: string) {
    super(`${invariant}: ${detail}`);
    this.invariant = invariant;
  }
}

export function hold(condition: boolean, invariant: string, detail: () => string): asserts condition {
  if (!condition) throw new Violation(invariant, detail());
}
