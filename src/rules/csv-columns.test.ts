import { describe, expect, test } from "vitest";
import { type ColumnOptions, resolveColumns } from "./csv-columns.ts";
import { Refusal } from "./refusal.ts";

/** `phone`, `firstName` … for a field, `{name}` for an attribute, `-` for a column that is left out. */
function resolved(first: readonly string[], options?: ColumnOptions): string[] {
  const { columns, headerless } = resolveColumns(first, options);
  const words = columns.map(({ field, attribute }) => field ?? (attribute === null ? "-" : `{${attribute}}`));
  return headerless ? ["no header:", ...words] : words;
}

function causeOf(first: readonly string[], options?: ColumnOptions): string {
  try {
    return resolved(first, options).join(" ");
  } catch (error) {
    if (error instanceof Refusal && error.code === "import_unreadable") return error.message;
    throw error;
  }
}

test.each<[header: string[], columns: string[]]>([
  [["phone"], ["phone"]],
  [
    ["Phone Number", "E-Mail", "First Name", "Surname"],
    ["phone", "email", "firstName", "lastName"],
  ],
  [
    ["MOBILE_NO.", "city"],
    ["phone", "{city}"],
  ],
  [
    ["Teléfono", "Nombre", "Apellidos", "Empresa"],
    ["phone", "firstName", "lastName", "company"],
  ],
  [
    ["Telefone", "Nome"],
    ["phone", "firstName"],
  ],
  [
    ["Prénom", "Téléphone"],
    ["firstName", "phone"],
  ],
  [
    ["Handy", "Vorname", "Nachname", "Firma"],
    ["phone", "firstName", "lastName", "company"],
  ],
  [
    ["Name", "Given Name", "Phone 1 - Value", "Phone 2 - Value", "E-mail 1 - Value"],
    ["{Name}", "firstName", "phone", "{Phone_2_-_Value}", "email"],
  ],
  [
    ["Full name", "WhatsApp"],
    ["name", "phone"],
  ],
  [
    ["First name", "Vorname", "phone"],
    ["firstName", "{Vorname}", "phone"],
  ],
  [["Contact"], ["phone"]],
  [
    ["Contact", "Mobile"],
    ["{Contact}", "phone"],
  ],
  [
    ["No", "Email"],
    ["{No}", "email"],
  ],
  [
    ["ＰＨＯＮＥ", "\ufeff name "],
    ["phone", "name"],
  ],
  [
    ["phone", "", " ", "Time Zone"],
    ["phone", "{column_2}", "{column_3}", "timeZone"],
  ],
  [
    ["phone", "Order ID", "Größe (cm)", "शहर", "__proto__", "constructor"],
    ["phone", "{Order_ID}", "{Größe_cm}", "{शहर}", "{__proto__}", "{constructor}"],
  ],
])("the header %j", (header, columns) => {
  expect(resolved(header)).toEqual(columns);
});

describe("without a header, the first row tells", () => {
  test.each<[row: string[], columns: string[], options?: ColumnOptions]>([
    [["+919876543210"], ["phone"]],
    [
      ["919876543210", "Asha"],
      ["phone", "{column_2}"],
    ],
    [["Asha", "asha@example.com", "09876543210"], ["{column_1}", "email", "phone"], { country: "IN" }],
    [
      ["9.19877E+11", "Asha"],
      ["phone", "{column_2}"],
    ],
    [
      ["+919876543210", "20240101"],
      ["phone", "{column_2}"],
    ],
    [["+919876543210", "Asha"], ["phone", "firstName"], { map: { "2": "first_name" } }],
    [["Asha", "+919876543210", "+14155552671"], ["{column_1}", "{column_2}", "phone"], { map: { "3": "phone", "2": "column_2" } }],
  ])("%j", (row, columns, options) => {
    expect(resolved(row, options)).toEqual(["no header:", ...columns]);
  });
});

describe("what the caller says goes first", () => {
  test.each<[header: string[], map: Record<string, string>, columns: string[]]>([
    [["Phone", "Mobile"], { mobile: "phone" }, ["{Phone}", "phone"]],
    [["Ort", "Telefonnr"], { Telefonnr: "phone", ORT: "city" }, ["{city}", "phone"]],
    [["phone", "Notes"], { Notes: "-" }, ["phone", "-"]],
    [["x", "y"], { "2": "email" }, ["{x}", "email"]],
    [["phone", "Notes", "Notes"], { "3": "-" }, ["phone", "{Notes}", "-"]],
  ])("%j with map %j", (header, map, columns) => {
    expect(resolved(header, { map })).toEqual(columns);
  });
});

test("the only column of a file holds addresses, whatever known word is above it", () => {
  expect(resolved(["recipients"], { second: ["+919876543210"] })).toEqual(["phone"]);
  expect(resolved(["recipients"], { second: ["asha@example.com"] })).toEqual(["email"]);
  expect(resolved(["Name"], { second: ["919876543210"] })).toEqual(["phone"]);
  expect(resolved(["recipients"])).toEqual(["phone"]);
});

test.each<[first: string, columns: string[], options?: ColumnOptions]>([
  ["12345", ["no header:", "phone"], { second: ["919811100006"] }],
  ["12345", ["no header:", "phone"]],
  ["Rakesh", ["no header:", "phone"], { second: ["919811100006"] }],
  ["Rakesh", ["no header:", "email"], { second: ["asha@example.com"] }],
  ["asha@", ["no header:", "email"]],
  ["asha@", ["no header:", "phone"], { second: ["919811100006"] }],
  ["12345", ["no header:", "phone"], { map: { "1": "phone" } }],
  ["Kunden", ["phone"], { second: ["919811100006"], map: { kunden: "phone" } }],
])("%j alone on the first line is a row, not a header, unless map names it", (first, columns, options) => {
  expect(resolved([first], options)).toEqual(columns);
});

test.each<[first: string[], options: ColumnOptions, cause: string]>([
  [["foo", "bar"], {}, "No column is a phone or an e-mail address. The first row has: “foo”, “bar”."],
  [["Phone", "Mobile"], {}, "“Phone” and “Mobile” could both be the phone. Say which it is with map, such as Phone=phone."],
  [["Email", "Correo"], {}, "could both be the email"],
  [["phone", "Notes", "notes"], {}, "The header has “notes” twice, in columns 2 and 3."],
  [["phone", "Order ID", "Order.ID"], {}, "would both be the variable Order_ID"],
  [["phone", "name"], { map: { nmae: "name" } }, "The file has no column “nmae”. It has: “phone”, “name”."],
  [["phone", "a", "a"], { map: { a: "b" } }, "The file has 2 columns “a”. Name the one you mean by its number, such as 3."],
  [["phone", "a", "b"], { map: { a: "city", b: "city" } }, "“a” and “b” would both be the variable city"],
  [["+919876543210", "+14155552671"], {}, "“column 1” and “column 2” could both be the phone. Say which it is with map, such as 1=phone."],
])("%j with %j is refused: %s", (first, options, cause) => {
  expect(causeOf(first, options)).toContain(cause);
  expect(causeOf(first, options)).toMatch(/Nothing was stored\.$/);
});
