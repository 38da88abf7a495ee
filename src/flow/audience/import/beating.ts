import type { AudienceDeps } from "../deps.ts";
import * as store from "./store.ts";

const BEAT_MS = 1_000;

export interface ImportProgress extends store.Progress {
  readonly phase: "reading" | "storing" | "ended";
  readonly rowsPerSecond: number;
}

export interface Beats {
  /** What was read so far; set by whoever reads. */
  progress: store.Progress;
  readonly report: (phase: ImportProgress["phase"]) => void;
  /** Ends the beats; done when the last has been written. */
  readonly end: () => Promise<void>;
}

/** Once a second, writes how far an import is and tells `onProgress`: also a sign of life while its source keeps us waiting. */
export function beating(ref: store.ImportRef, onProgress: (progress: ImportProgress) => void, { sql, clock }: AudienceDeps): Beats {
  const beginMs = clock.monotonicMs();
  const ended = new AbortController();
  const beats: Beats = {
    progress: { rows: 0, rejected: 0, bytes: 0 },
    report: (phase) => {
      const seconds = Math.max(0.001, (clock.monotonicMs() - beginMs) / 1_000);
      onProgress({ ...beats.progress, phase, rowsPerSecond: Math.round(beats.progress.rows / seconds) });
    },
    end: () => {
      ended.abort();
      return running;
    },
  };
  const running = beat(beats, ended.signal, { sleep: () => clock.sleep(BEAT_MS, ended.signal), write: () => store.beat(sql, ref, beats.progress) });
  return beats;
}

async function beat(
  beats: Beats,
  ended: AbortSignal,
  { sleep, write }: { sleep: () => Promise<void>; write: () => PromiseLike<unknown> },
): Promise<void> {
  for (;;) {
    await sleep();
    if (ended.aborted) return;
    beats.report("reading");
    try {
      await write();
    } catch {
      // The next statement that matters will meet the same fault and say so.
    }
  }
}
