import { type GivenPerson, type Person, readPerson } from "../../rules/person.ts";
import { type Country, isCountry } from "../../rules/phone.ts";
import { type FieldFault, Refusal } from "../../rules/refusal.ts";

/** The country where phones without a country code are from. @throws {Refusal} malformed */
export function countryOf(country: string | undefined): Country | undefined {
  if (country === undefined || isCountry(country)) return country;
  throw faulty([{ path: "country", message: `${country.slice(0, 20)} is not a country; give two capital letters as in ISO 3166, such as IN.` }]);
}

/** A person as given, in the spelling that is stored. @throws {Refusal} malformed, with every field at fault */
export function personOf(given: GivenPerson, country?: string): Person {
  const { person, faults } = readPerson(given, countryOf(country));
  if (faults.length > 0) throw faulty(faults);
  return person;
}

export const faulty = (faults: readonly FieldFault[]): Refusal =>
  new Refusal("malformed", { cause: faults.map(({ path, message }) => `${path}: ${message}`).join(" ") }, faults);
