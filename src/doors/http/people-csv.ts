import { Readable } from "node:stream";
import type { z } from "zod";
import { type PersonGiven, RecipientsGiven } from "../../contract/recipient.ts";
import { csvLine } from "../../rules/csv-cell.ts";
import { countLineEnds } from "../../rules/csv-reader.ts";
import { shaped } from "./shape.ts";

const fields = ["phone", "email", "firstName", "lastName", "company"] as const;

/** A JSON list of people as the CSV file it could have been, so that there is one way in. */
export interface PeopleFile {
  readonly source: Readable;
  /** Which column, from 1, is what. */
  readonly map: Readonly<Record<string, string>>;
  /** Which person, from 1, begins in this line of the file. */
  readonly itemOf: (line: number) => number;
}

/** @throws {Refusal} malformed, with every wrong field */
export function peopleFile(body: unknown): PeopleFile {
  const people = shaped(RecipientsGiven, body);
  const attributes = [...new Set(people.flatMap((person) => Object.keys(person.attributes ?? {})))];
  const columns = [...fields, ...attributes];
  const rows = [...linesOf(people, attributes)];
  const begins = new Map<number, number>(); // line → person; a text of several lines takes as many of the file
  let line = 1;
  for (const [at, row] of rows.entries()) {
    begins.set(line, at);
    line += countLineEnds(row);
  }
  return {
    source: Readable.from(rows),
    itemOf: (begun) => begins.get(begun) ?? begun - 1,
    map: Object.fromEntries(columns.map((column, at) => [String(at + 1), column])),
  };
}

type Person = z.infer<typeof PersonGiven>;

function* linesOf(people: readonly Person[], attributes: readonly string[]): Generator<string> {
  yield csvLine([...fields, ...attributes]);
  for (const person of people)
    yield csvLine([...fields.map((field) => person[field] ?? null), ...attributes.map((name) => text(person.attributes?.[name]))]);
}

const text = (value: string | number | boolean | null | undefined): string | null => (value === null || value === undefined ? null : String(value));
