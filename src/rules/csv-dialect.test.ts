import { expect, test } from "vitest";
import { detectDialect } from "./csv-dialect.ts";

test.each<[name: string, sample: string, delimiter: string]>([
  ["commas", "phone,name\n+919876543210,Asha\n", ","],
  ["semicolons", "phone;name\n+919876543210;Rao, Asha\n", ";"],
  ["tabs", "phone\tname\n+919876543210\tRao, Asha; Dr\n", "\t"],
  ["bars", "phone|name\n+919876543210|Rao, Asha\n", "|"],
  ["one column", "phone\n+919876543210\n", ","],
  ["one column without header", "+919876543210\n+919876543211\n", ","],
  ["no header", "+919876543210;Rao, Asha\n+919876543211;Iyer\n", ";"],
  ["unknown headers", "foo;bar\n1;2\n3;4,5\n", ";"],
  ["quoted delimiters", '"phone","Name; title; more"\n+919876543210,"a;b;c"\n', ","],
  ["only a header", "phone;name", ";"],
  ["nothing", "", ","],
  ["an unclosed quote", 'phone;name\n+919876543210;"Asha', ";"],
])("%s", (_name, sample, delimiter) => {
  expect(detectDialect(sample)).toEqual({ delimiter, skip: 0, line: 1 });
});

test.each<[sample: string, delimiter: string, skip: number]>([
  ["sep=;\r\nphone;name\r\n", ";", 7],
  ["SEP=,\nphone\n", ",", 6],
  ['"sep=\t"\nphone\n', "\t", 8],
])("the line %j names the delimiter and is no row", (sample, delimiter, skip) => {
  expect(detectDialect(sample)).toEqual({ delimiter, skip, line: 2 });
});
