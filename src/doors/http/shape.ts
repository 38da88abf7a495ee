import type { FastifySchemaCompiler } from "fastify";
import { z } from "zod";
import { type FieldFault, Refusal } from "../../rules/refusal.ts";

/** Lets Fastify check bodies, queries and paths against our shapes; what does not fit is a refusal like any other. */
export const shapeCompiler: FastifySchemaCompiler<z.ZodType> =
  ({ schema }) =>
  (value) => {
    const read = schema.safeParse(value);
    return read.success ? { value: read.data } : { error: misfit(read.error) };
  };

/** What a shape makes of a value. @throws {Refusal} malformed, with every wrong field */
export function shaped<Shape extends z.ZodType>(shape: Shape, value: unknown): z.output<Shape> {
  const read = shape.safeParse(value);
  if (read.success) return read.data;
  throw misfit(read.error);
}

function misfit(error: z.ZodError): Refusal {
  const faults = error.issues.flatMap(faultsOf);
  return new Refusal("malformed", { cause: faults.map(({ path, message }) => (path === "" ? message : `${path}: ${message}`)).join("; ") }, faults);
}

/** A field nobody knows is named by its own path, not by its parent's. */
function faultsOf(issue: z.core.$ZodIssue): FieldFault[] {
  if (issue.code !== "unrecognized_keys") return [{ path: z.core.toDotPath(issue.path), message: issue.message }];
  return issue.keys.map((key) => ({ path: z.core.toDotPath([...issue.path, key]), message: "Unknown field" }));
}
