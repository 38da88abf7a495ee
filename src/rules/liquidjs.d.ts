/**
 * The part of liquidjs that liquid.ts uses. The package's own declarations refer to Node's, which would let every rule see Node without
 * anybody noticing; tsconfig.pure.json reads these instead, tsconfig.node.json checks liquid.ts against the real ones.
 */

export interface Token {
  getText(): string;
  getPosition(): number[];
}

export class Variable {
  readonly segments: (string | number | Variable)[];
  readonly location: { readonly row: number; readonly col: number };
}

export class Value {
  readonly filters: { readonly name: string; readonly args: unknown[] }[];
  readonly initial: { readonly postfix: Token[] };
}

export type Arguments = Iterable<Value | Token>;

export interface Context {
  readonly memoryLimit: { use(count: number): void };
  getSync(path: (string | number)[]): unknown;
}

export interface Template {
  token: Token;
  render(context: Context, emitter: unknown): unknown;
  arguments?(): Arguments;
  children?(partials: boolean, sync: boolean): Generator<unknown, Template[]>;
}

export class Output implements Template {
  token: Token;
  value: Value;
  render(context: Context, emitter: unknown): unknown;
  arguments(): Arguments;
}

declare class Printing implements Template {
  token: Token;
  render(context: Context, emitter: unknown): unknown;
  arguments(): Arguments;
}
export class AssignTag extends Printing {}
export class EchoTag extends Printing {}
export class CycleTag extends Printing {}

type Found = Record<string, Variable[]>;

export class Liquid {
  readonly tags: Record<string, unknown>;
  readonly filters: Record<string, unknown>;
  readonly renderer: { renderTemplates(templates: Template[], context: Context, emitter?: unknown): IterableIterator<unknown> };
  constructor(options: {
    templates: Record<string, string>;
    ownPropertyOnly: boolean;
    strictFilters: boolean;
    parseLimit: number;
    renderLimit: number;
    memoryLimit: number;
    timezoneOffset: number;
    locale: string;
  });
  registerFilter(name: string, filter: (...args: unknown[]) => unknown): void;
  unregisterFilter(name: string): void;
  parse(source: string): Template[];
  renderSync(templates: Template[], scope: object): unknown;
  analyzeSync(templates: Template[], options: { partials: boolean }): { readonly variables: Found; readonly globals: Found };
}

export function toValueSync<T>(work: Generator<unknown, T>): T;
