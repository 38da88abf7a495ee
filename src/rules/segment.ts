import { parseCampaignId } from "./campaign-id.ts";
import type { FieldFault } from "./refusal.ts";

export const textFields = ["firstName", "lastName", "company", "phone", "email", "timeZone"] as const;
export type TextField = (typeof textFields)[number];

/**
 * What became of a recipient of another campaign. `not_…` are recipients too: `not_sent` failed or was skipped, the others were accepted
 * and have no such receipt. Whoever was no recipient at all is `{not: {campaign, outcome: "recipient"}}`.
 */
export const campaignOutcomes = [
  "recipient",
  "accepted",
  "failed",
  "skipped",
  "uncertain",
  "delivered",
  "read",
  "replied",
  "not_sent",
  "not_delivered",
  "not_read",
  "not_replied",
] as const;
export type CampaignOutcome = (typeof campaignOutcomes)[number];

export type Scalar = string | number | boolean;

/**
 * What a text is asked. Who has no such text fits nothing but `ne` and `exists: false`. Letters count as they are written. With a number
 * a text is compared as a number, when it is a plain one (42, -0.5). `before` and `after` compare days (2026-03-01) with a text that
 * begins with one.
 */
export type Test =
  | { readonly op: "eq" | "ne"; readonly value: Scalar }
  | { readonly op: "contains" | "startsWith" | "before" | "after"; readonly value: string }
  | { readonly op: "in"; readonly value: readonly Scalar[] }
  | { readonly op: "exists"; readonly value: boolean }
  | { readonly op: "gt" | "gte" | "lt" | "lte"; readonly value: number };
type Op = Test["op"];

/** Which contacts. `tag`: of the attribute `tags`, a list of texts or, as a CSV file brings it, one text with commas between them. */
export type Filter =
  | { readonly all: readonly Filter[] }
  | { readonly any: readonly Filter[] }
  | { readonly not: Filter }
  | ({ readonly field: TextField } & Test)
  | { readonly field: "createdAt"; readonly op: "before" | "after"; readonly value: string }
  | ({ readonly attribute: string } & Test)
  | { readonly tag: string }
  | { readonly list: string }
  | { readonly campaign: string; readonly outcome: CampaignOutcome };

export type FilterReading = { readonly ok: true; readonly filter: Filter } | { readonly ok: false; readonly faults: readonly FieldFault[] };

export const DEPTH_MAX = 10;
export const PARTS_MAX = 200;
const VALUES_MAX = 1_000;
const TEXT_MAX = 1_000;
const FAULTS_MAX = 20;

/** Where in the tree, and what was found wrong with it so far. */
interface Place {
  readonly path: string;
  readonly depth: number;
  readonly found: { parts: number; readonly faults: FieldFault[] };
}
type Fields = Readonly<Record<string, unknown>>;

/** Reads a filter, whatever its shape. Each fault names its place: `filter.all.0.op`. */
export function readFilter(value: unknown, path = "filter"): FilterReading {
  const found = { parts: 0, faults: [] as FieldFault[] };
  const filter = read(value, { path, depth: 1, found });
  return filter === null || found.faults.length > 0 ? { ok: false, faults: found.faults } : { ok: true, filter };
}

function read(value: unknown, at: Place): Filter | null {
  at.found.parts++;
  if (at.found.parts > PARTS_MAX) return at.found.parts === PARTS_MAX + 1 ? wrong(at, `A filter has at most ${PARTS_MAX} parts`) : null;
  if (at.depth > DEPTH_MAX) return wrong(at, `A filter nests at most ${DEPTH_MAX} deep`);
  if (!isFields(value)) return wrong(at, KINDS);
  const kind = kinds.find((name) => Object.hasOwn(value, name));
  if (kind === undefined) return wrong(at, KINDS);
  const { also, reads } = readers[kind];
  for (const name of Object.keys(value)) if (name !== kind && !also.includes(name)) wrong(inner(at, name), "Unknown field");
  return reads(value, at);
}

interface Reads {
  /** The fields it has beside the one that names it. */
  readonly also: readonly string[];
  readonly reads: (part: Fields, at: Place) => Filter | null;
}
const kinds = ["all", "any", "not", "field", "attribute", "tag", "list", "campaign"] as const;
const KINDS = `Expected an object with one of ${kinds.join(", ")}`;
const readers: Readonly<Record<(typeof kinds)[number], Reads>> = {
  all: { also: [], reads: (part, at) => parted(readParts(part["all"], inner(at, "all")), (all) => ({ all })) },
  any: { also: [], reads: (part, at) => parted(readParts(part["any"], inner(at, "any")), (any) => ({ any })) },
  not: { also: [], reads: (part, at) => parted(read(part["not"], deeper(at, "not")), (not) => ({ not })) },
  field: { also: ["op", "value"], reads: readField },
  attribute: {
    also: ["op", "value"],
    reads(part, at) {
      const attribute = readText(part["attribute"], inner(at, "attribute"));
      const test = readTest(part, at, attributeOps);
      return attribute === null || test === null ? null : { attribute, ...test };
    },
  },
  tag: { also: [], reads: (part, at) => parted(readText(part["tag"], inner(at, "tag"), TAG), (tag) => ({ tag })) },
  list: { also: [], reads: (part, at) => parted(readText(part["list"], inner(at, "list"), ID), (list) => ({ list: list.toLowerCase() })) },
  campaign: { also: ["outcome"], reads: readCampaign },
};

const parted = <Part>(part: Part | null, make: (part: Part) => Filter): Filter | null => (part === null ? null : make(part));

function readParts(value: unknown, at: Place): readonly Filter[] | null {
  if (!Array.isArray(value) || value.length === 0) return wrong(at, "Expected a list of at least one filter");
  const parts: Filter[] = [];
  for (const [index, part] of value.entries()) {
    const filter = read(part, deeper(at, String(index)));
    if (filter !== null) parts.push(filter);
    if (at.found.parts > PARTS_MAX) break;
  }
  return parts;
}

function readField(part: Fields, at: Place): Filter | null {
  const field = part["field"];
  if (field === "createdAt") return readCreatedAt(part, at);
  const known = textFields.find((name) => name === field);
  if (known === undefined) return wrong(inner(at, "field"), `Expected one of ${textFields.join(", ")}, createdAt`);
  const test = readTest(part, at, fieldOps);
  return test === null ? null : { field: known, ...test };
}

function readCreatedAt({ op, value }: Fields, at: Place): Filter | null {
  if (op !== "before" && op !== "after") return wrong(inner(at, "op"), "Expected before or after");
  const instant = typeof value === "string" ? instantOf(value) : null;
  if (instant === null)
    return wrong(inner(at, "value"), "Expected a day such as 2026-03-01, or an instant with its offset such as 2026-03-01T09:00:00Z");
  return { field: "createdAt", op, value: instant };
}

function readCampaign(part: Fields, at: Place): Filter | null {
  const campaign = typeof part["campaign"] === "string" ? parseCampaignId(part["campaign"]) : null;
  const outcome = campaignOutcomes.find((name) => name === part["outcome"]);
  if (campaign === null) wrong(inner(at, "campaign"), "Expected the id of a campaign");
  if (outcome === undefined) wrong(inner(at, "outcome"), `Expected one of ${campaignOutcomes.join(", ")}`);
  return campaign === null || outcome === undefined ? null : { campaign, outcome };
}

const fieldOps: readonly Op[] = ["eq", "ne", "contains", "startsWith", "in", "exists"];
const attributeOps: readonly Op[] = [...fieldOps, "gt", "gte", "lt", "lte", "before", "after"];

function readTest(part: Fields, at: Place, ops: readonly Op[]): Test | null {
  const op = ops.find((name) => name === part["op"]);
  if (op === undefined) return wrong(inner(at, "op"), `Expected one of ${ops.join(", ")}`);
  const place = inner(at, "value");
  const { value } = part;
  const scalar = ops === fieldOps ? readText : readScalar;
  switch (op) {
    case "eq":
    case "ne":
      return tested(scalar(value, place), (wanted) => ({ op, value: wanted }));
    case "contains":
    case "startsWith":
      return tested(readText(value, place), (wanted) => ({ op, value: wanted }));
    case "in":
      return tested(readScalars(value, place, scalar), (wanted) => ({ op, value: wanted }));
    case "exists":
      return typeof value === "boolean" ? { op, value } : wrong(place, "Expected true or false");
    case "before":
    case "after":
      return typeof value === "string" && isDay(value) ? { op, value } : wrong(place, "Expected a day such as 2026-03-01");
    default:
      return isNumber(value) ? { op, value } : wrong(place, "Expected a number");
  }
}

const tested = <Value>(value: Value | null, make: (value: Value) => Test): Test | null => (value === null ? null : make(value));

type ReadScalar = (value: unknown, at: Place) => Scalar | null;

function readScalars(value: unknown, at: Place, scalar: ReadScalar): readonly Scalar[] | null {
  if (!Array.isArray(value) || value.length === 0 || value.length > VALUES_MAX) return wrong(at, `Expected a list of 1 to ${VALUES_MAX} values`);
  return value.flatMap((one, index) => scalar(one, inner(at, String(index))) ?? []);
}

const readScalar: ReadScalar = (value, at) => {
  if (typeof value === "boolean" || isNumber(value)) return value;
  if (typeof value === "string") return readText(value, at);
  return wrong(at, "Expected a text, a number, true or false");
};

interface Form {
  readonly pattern: RegExp;
  readonly expected: string;
}
const ID: Form = { pattern: /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i, expected: "Expected the id of a list" };
const TAG: Form = { pattern: /^[^, ](?:[^,]*[^, ])?$/, expected: "Expected a tag: a text without commas, and without blanks around it" };
const TEXT: Form = { pattern: /^/, expected: "" };

/** No NUL and no half of a surrogate pair: Postgres keeps neither. */
function readText(value: unknown, at: Place, { pattern, expected }: Form = TEXT): string | null {
  if (typeof value !== "string" || value === "" || value.length > TEXT_MAX) return wrong(at, `Expected a text of 1 to ${TEXT_MAX} characters`);
  if (/[\0\p{Surrogate}]/u.test(value)) return wrong(at, "Holds a NUL character or half of a surrogate pair, which no text does");
  return pattern.test(value) ? value : wrong(at, expected);
}

/** Beyond this a number read from JSON has lost digits. */
const isNumber = (value: unknown): value is number => typeof value === "number" && Math.abs(value) <= Number.MAX_SAFE_INTEGER;

const INSTANT = /^(\d{4}-\d\d-\d\d)(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d))?$/;
const YEAR_MIN = 1900;
const YEAR_MAX = 2999;

/** A day that the calendar has. JavaScript takes the 30th of February for the 2nd of March. */
function isDay(text: string): boolean {
  const at = new Date(`${text}T00:00:00Z`);
  return /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(at.getTime()) && at.toISOString().startsWith(text);
}

/** In UTC; a day is its beginning there. */
function instantOf(text: string): string | null {
  const day = INSTANT.exec(text)?.[1];
  const at = new Date(text);
  if (day === undefined || !isDay(day) || Number.isNaN(at.getTime())) return null;
  return at.getUTCFullYear() < YEAR_MIN || at.getUTCFullYear() > YEAR_MAX ? null : at.toISOString();
}

const isFields = (value: unknown): value is Fields => typeof value === "object" && value !== null && !Array.isArray(value);
const inner = (at: Place, name: string): Place => ({ ...at, path: `${at.path}.${name}` });
const deeper = (at: Place, name: string): Place => ({ ...inner(at, name), depth: at.depth + 1 });

function wrong({ path, found }: Place, message: string): null {
  if (found.faults.length < FAULTS_MAX) found.faults.push({ path, message });
  return null;
}

/** A list or a campaign that a filter names, with its place. */
export interface Reference {
  readonly kind: "list" | "campaign";
  readonly id: string;
  readonly path: string;
}

export function referencesOf(filter: Filter, path = "filter"): readonly Reference[] {
  if ("all" in filter) return filter.all.flatMap((part, index) => referencesOf(part, `${path}.all.${index}`));
  if ("any" in filter) return filter.any.flatMap((part, index) => referencesOf(part, `${path}.any.${index}`));
  if ("not" in filter) return referencesOf(filter.not, `${path}.not`);
  if ("list" in filter) return [{ kind: "list", id: filter.list, path: `${path}.list` }];
  return "campaign" in filter ? [{ kind: "campaign", id: filter.campaign, path: `${path}.campaign` }] : [];
}

/** Whom a campaign leaves out: of campaigns whoever was accepted there. */
export interface Exclude {
  readonly segmentIds?: readonly string[] | undefined;
  readonly listIds?: readonly string[] | undefined;
  readonly campaignIds?: readonly string[] | undefined;
}

/** What a contact must fit to be written to: in its segment, if there is one, and in nothing that is left out. Null: everybody does. */
export function choiceOf(segment: Filter | null, left: { segments: readonly Filter[] } & Pick<Exclude, "listIds" | "campaignIds">): Filter | null {
  const any: readonly Filter[] = [
    ...left.segments,
    ...(left.listIds ?? []).map((list) => ({ list })),
    ...(left.campaignIds ?? []).map((campaign) => ({ campaign, outcome: "accepted" as const })),
  ];
  if (any.length === 0) return segment;
  return segment === null ? { not: { any } } : { all: [segment, { not: { any } }] };
}
