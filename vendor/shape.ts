import { type GraphFault, paramFault } from "./errors.ts";

export type Shape = Readonly<Record<string, unknown>>;
export const isShape = (value: unknown): value is Shape => typeof value === "object" && value !== null && !Array.isArray(value);

/** Graph's complaint about the first key it does not know. `param` names the object, null for the body itself. */
export function strangerFault(shape: Shape, known: ReadonlySet<string>, param: string | null): GraphFault | null {
  for (const key of Object.keys(shape)) {
    if (!known.has(key)) return paramFault(`Unexpected key "${key}"${param === null ? "" : ` on param "${param}"`}.`);
  }
  return null;
}

/** A string that must be there: absent, of another type, empty. */
export function stringFault(value: unknown, param: string): GraphFault | null {
  if (value === undefined || value === null) return paramFault(`The parameter ${param} is required.`);
  if (typeof value !== "string") return paramFault(`Param ${param} must be a string.`);
  return value === "" ? paramFault(`The parameter ${param} is required.`) : null;
}
