import { expect, test } from "vitest";
import { recipientVariables } from "./variables.ts";

const nobody = { phone: null, email: null, firstName: null, lastName: null, company: null, attributes: {} };

test("the contact's own values, its attributes, then the campaign's variables", () => {
  const contact = {
    ...nobody,
    phone: "+919876543210",
    firstName: " Ana ",
    lastName: "Ng",
    attributes: { city: "Pune", firstName: "X", first_name: "Anna", vip: true, age: 0 },
  };
  expect(recipientVariables(contact, { city: "Goa", code: "SPRING", company: "Acme" })).toEqual({
    firstName: "Ana",
    lastName: "Ng",
    name: "Ana Ng",
    phone: "+919876543210",
    city: "Pune",
    first_name: "Anna",
    vip: true,
    age: 0,
    code: "SPRING",
    company: "Acme",
  });
});

test("what is absent, empty or no plain value has no key, and a later source may fill it", () => {
  const contact = { ...nobody, firstName: "  ", lastName: "Ng", attributes: { firstName: "", tags: ["a"], deep: { a: 1 }, none: null } };
  expect(recipientVariables(contact, { firstName: "friend", none: "x" })).toEqual({ lastName: "Ng", name: "Ng", firstName: "friend", none: "x" });
});

test("an attribute called __proto__ is an attribute and nothing else", () => {
  const values = recipientVariables({ ...nobody, attributes: JSON.parse('{"__proto__": "x", "constructor": "y"}') });
  expect(Object.keys(values)).toEqual(["__proto__", "constructor"]);
  expect(Object.getPrototypeOf(values)).toBeNull();
  expect(recipientVariables(nobody)["constructor"]).toBeUndefined();
});
