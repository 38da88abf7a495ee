import { expect, test } from "vitest";
import { ATTRIBUTES_MAX, readPerson } from "./person.ts";

test("what is given is stored in its one spelling; what is not spoken of is not there", () => {
  const given = {
    phone: "tel:+91 98765-43210",
    email: " Asha@Example.com",
    firstName: " Asha ",
    company: "",
    timeZone: null,
    attributes: { City: "Pune", age: 41 },
  };
  expect(readPerson(given)).toEqual({
    person: {
      phone: "+919876543210",
      email: "asha@example.com",
      firstName: "Asha",
      company: null,
      timeZone: null,
      attributes: { City: "Pune", age: 41 },
    },
    faults: [],
  });
  expect(readPerson({ phone: "09876543210" }, "IN").person).toEqual({ phone: "+919876543210" });
  expect(readPerson({})).toEqual({ person: {}, faults: [] });
});

test("every fault is named by its field", () => {
  const attributes = { note: "x".repeat(10_001) };
  const { faults } = readPerson({ phone: "12345", email: "asha", firstName: "x".repeat(10_001), timeZone: "Mars/Phobos", attributes });
  expect(faults.map(({ path }) => path)).toEqual(["phone", "email", "firstName", "timeZone", "attributes"]);
  for (const { message } of faults) expect(message).toMatch(/^.{10,200}\.$/);
});

test("attributes are bounded in number", () => {
  const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, at) => [`a${at}`, at]));
  expect(readPerson({ attributes: many(ATTRIBUTES_MAX) }).faults).toEqual([]);
  expect(readPerson({ attributes: many(ATTRIBUTES_MAX + 1) }).faults).toEqual([
    { path: "attributes", message: "There are 1001 attributes; at most 1000 are stored." },
  ]);
});
