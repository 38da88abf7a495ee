import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { resolveColumns } from "./csv-columns.ts";
import { type ContactRowOptions, contactReader, isTimeZone } from "./csv-contact.ts";

function read(header: string, row: string, options?: ContactRowOptions) {
  return contactReader(resolveColumns(header.split(",")).columns, options)(row.split(","));
}

test("a row becomes a contact", () => {
  const header = "phone,email,first name,last name,company,time zone,City,Order ID";
  const row = " '+91 98765 43210,Asha@Example.com, Asha ,Rao,Acme,Asia/Kolkata,Pune,";
  expect(read(header, row)).toEqual({
    ok: true,
    contact: {
      phone: "+919876543210",
      email: "asha@example.com",
      firstName: "Asha",
      lastName: "Rao",
      company: "Acme",
      timeZone: "Asia/Kolkata",
      attributes: '{"City":"Pune"}',
    },
  });
});

test.each([
  ["Asha Rao", "Asha", "Rao"],
  ["Asha", "Asha", null],
  ["José  da Silva", "José", "da Silva"],
  ["", null, null],
])("the whole name %j", (name, firstName, lastName) => {
  expect(read("phone,name", `+919876543210,${name}`)).toMatchObject({ contact: { firstName, lastName } });
});

describe("a row is rejected with the cell at fault and the reason", () => {
  test.each<[row: string, options: ContactRowOptions, value: string, reason: string]>([
    ["12345,asha@example.com,Asha", {}, "12345", "too short"],
    ["n/a,asha@example.com,Asha", {}, "n/a", "not a phone number"],
    ["9.19877E+11,,Asha", {}, "9.19877E+11", "scientific notation"],
    [",,Asha", {}, " |  | Asha", "neither a phone nor an e-mail address"],
    [",n/a,Asha", {}, "n/a", "needs one @"],
    ["12345,n/a,Asha", { channel: "email" }, "12345", "too short"],
    ["+919876543210,n/a,Asha", { channel: "email" }, "n/a", "needs one @"],
    ["+919876543210,,Asha,Rao", {}, "+919876543210 |  | Asha | Rao", "The row has 4 cells, the first row has 3."],
    ["9876543210,,Asha", {}, "9876543210", "say which country"],
  ])("%s for %j", (row, options, value, reason) => {
    expect(read("phone,email,first name", row, options)).toMatchObject({ ok: false, value, reason: expect.stringContaining(reason) });
  });

  test("shortened", () => {
    const rejected = read("phone", "x".repeat(10_000));
    expect(rejected.ok ? 0 : rejected.value.length).toBe(200);
  });
});

test("a wrong value that does not decide about the row is kept, under its own name", () => {
  expect(read("phone,email,tz", "+919876543210,n/a,Mars/Phobos")).toMatchObject({
    contact: { phone: "+919876543210", email: null, timeZone: null, attributes: '{"invalid_email":"n/a","invalid_time_zone":"Mars/Phobos"}' },
  });
  expect(read("phone,email", "-,asha@example.com", { channel: "email" })).toMatchObject({
    contact: { phone: null, email: "asha@example.com", attributes: '{"invalid_phone":"-"}' },
  });
});

test("short rows and empty cells beyond the last column are no fault", () => {
  expect(read("phone,email,City", "+919876543210")).toMatchObject({ ok: true });
  expect(read("phone", "+919876543210,, ")).toMatchObject({ ok: true });
});

test("no name of a column reaches an object's prototype", () => {
  const result = read("phone,__proto__,constructor", "+919876543210,a,b");
  expect(result.ok && result.contact.attributes).toBe('{"__proto__":"a","constructor":"b"}');
});

test("a number that lacks its country code is told from one that is wrong", () => {
  expect(read("phone", "9876543210")).toMatchObject({ ok: false, countryless: true });
  expect(read("phone", "12345")).toMatchObject({ ok: false, countryless: false });
  expect(read("phone", "5555555555", { country: "IN" })).toMatchObject({ ok: false, countryless: false });
});

test("the country of the file reads its numbers", () => {
  expect(read("phone", "09876543210", { country: "IN" })).toMatchObject({ contact: { phone: "+919876543210" } });
});

test("a time zone is one of the IANA database", () => {
  expect(["Asia/Kolkata", "Europe/Berlin", "UTC", "Mars/Phobos", "", "x".repeat(1_000)].map(isTimeZone)).toEqual([
    true,
    true,
    true,
    false,
    false,
    false,
  ]);
});

test("whatever the cells: no throw, and attributes are JSON", () => {
  const { columns } = resolveColumns(["phone", "email", "name", "tz", "a", "b"]);
  const rowOf = contactReader(columns);
  fc.assert(
    fc.property(fc.array(fc.string({ unit: "grapheme" }), { maxLength: 5 }), (cells) => {
      const result = rowOf(["+919876543210", ...cells]);
      if (result.ok)
        expect(Object.values(JSON.parse(result.contact.attributes)).every((value) => typeof value === "string" && value !== "")).toBe(true);
    }),
    { numRuns: 2_000 },
  );
});
