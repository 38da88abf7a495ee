/** A rule of the engine, broken: in `file`, `from` (which stands there once) becomes `to`. */
export interface Patch {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** Rules without which a promise is broken, and how the simulation says so. Nothing of the product knows of this. */
export const wrongs: Readonly<Record<string, Patch & { readonly breaks: RegExp }>> = {
  "a full cap takes one more": {
    file: "src/rules/admission.ts",
    from: "limits.cap.used + opening.size >= limits.cap.max",
    to: "limits.cap.used + opening.size > limits.cap.max",
    breaks: /the cap is/,
  },
  "slots closer than the pace": {
    file: "src/rules/pace.ts",
    from: "next[i] = slot + (spacing[i] ?? 0);",
    to: "next[i] = slot + 0.8 * (spacing[i] ?? 0);",
    breaks: /at a pace of/,
  },
  "the suppressed are written to": {
    file: "src/rules/admission.ts",
    from: "limits.suppressed.has(candidate.address)",
    to: "limits.suppressed.has(`not ` + candidate.address)",
    breaks: /after it opted out/,
  },
  "what was not begun stays behind the mark": {
    file: "src/flow/dispatch/held-lot.ts",
    from: "lot.handed = earliest.position - 1;",
    to: "lot.handed = earliest.position;",
    breaks: /in doubt though nothing happened/,
  },
  "a lost commit is believed": {
    file: "src/flow/dispatch/turn.ts",
    from: "lot.unsure = true;",
    to: "lot.unsure = false;",
    breaks: /duplicate key/,
  },
};

export function patchNamed(name: string): Patch {
  const wrong = wrongs[name];
  if (wrong === undefined) throw new Error(`there is no rule "${name}"; there are: ${Object.keys(wrongs).join(", ")}`);
  const { file, from, to } = wrong;
  return { file, from, to };
}
