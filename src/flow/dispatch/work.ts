import type { Expected } from "./admission.ts";
import type { DispatchDeps } from "./deps.ts";
import type { Ended, Marked, Slot } from "./flight.ts";
import type { HeldLot } from "./held-lot.ts";
import type { NextLot } from "./lot-store.ts";

/** How a turn ended. `left`: the lot is free or closed, and `next` is held in its place. `lost`: its lease ran out and somebody else has it. */
export type Turned = Marking | { readonly kind: "left"; readonly next?: NextLot | null } | { readonly kind: "lost" };

/** What one turn works on: outcomes to store, and marked messages whose slots were missed. */
export interface Work {
  readonly lot: HeldLot;
  readonly ended: readonly Ended[];
  readonly missed: readonly Marked[];
  /** The process is being stopped: nothing more is marked. */
  readonly stopping: boolean;
  /** After this lot comes the campaign's next. */
  readonly onward: boolean;
  readonly deps: DispatchDeps;
}

/** The lot is held on, with what may begin now. `moreAt`: from when on further messages can be marked (monotonic milliseconds; null: none can). */
interface Marking {
  readonly kind: "held";
  readonly handed: number;
  readonly covered: number;
  readonly marked: readonly Marked[];
  readonly slots: readonly Slot[];
  readonly moreAt: number | null;
  /** When this turn asked what time it is; monotonic milliseconds. */
  readonly askedAt: number;
  /** The limits as this turn found them. */
  readonly found: Expected;
}
