import { Presets, SingleBar } from "cli-progress";

export interface Progress {
  readonly begin: (what: string) => void;
  /** Parts of one line: what came out. */
  readonly done: (parts: readonly string[]) => void;
  readonly end: () => void;
}

/** On a terminal a bar under the lines of what is done; elsewhere the lines alone. All on standard error. */
export function progressOf(total: number): Progress {
  const { stderr } = process;
  const say = (parts: readonly string[]) => stderr.write(`${parts.join("  ")}\n`);
  if (!stderr.isTTY || total === 0) return { begin: () => {}, done: say, end: () => {} };
  const format = "  {bar} {value} of {total}, {duration_formatted}   {what}";
  const bar = new SingleBar({ format, stream: stderr, hideCursor: true, clearOnComplete: true, barsize: 24, etaBuffer: 10 }, Presets.shades_classic);
  let what = "";
  let done = 0;
  bar.start(total, 0, { what });
  return {
    begin(now) {
      what = now;
      bar.update(done, { what });
    },
    done(parts) {
      stderr.write("\r\u001b[K");
      say(parts);
      bar.update(++done, { what });
    },
    end: () => bar.stop(),
  };
}
