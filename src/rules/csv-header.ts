/** What a column of a file can be of a contact. `name` is a whole name: its first word is taken for the first name. */
export type ContactField = "phone" | "email" | "firstName" | "lastName" | "name" | "company" | "timeZone";

/** The words people and programs write above a column, `|` between them: English, Spanish, Portuguese, French, German, Google Contacts. */
const words: Readonly<Record<ContactField, string>> = {
  phone:
    "phone|phone number|phone no|mobile|mobile no|mobile number|mobile phone|cell|cell phone|cellphone|msisdn|whatsapp|whatsapp number|" +
    "whatsapp no|whatsapp phone|tel|telephone|telephone number|telefone|celular|teléfono|número de teléfono|móvil|contact no|contact number|" +
    "numéro de téléphone|téléphone|portable|telefon|telefonnummer|handy|handynummer|mobil|mobilnummer|telefono|cellulare|Phone 1 - Value",
  email: "email|e-mail|email address|e-mail address|mail|correo|correo electrónico|courriel|E-mail 1 - Value",
  firstName: "first name|firstname|given name|forename|nombre|nome|prénom|vorname",
  lastName: "last name|lastname|surname|family name|apellido|apellidos|sobrenome|nom de famille|nachname|cognome",
  name: "name|full name|fullname|customer name|contact name|nombre completo|nome completo|nom complet",
  company: "company|company name|organization|organisation|organization name|empresa|société|entreprise|firma|azienda|Organization 1 - Name",
  timeZone: "time zone|timezone|tz",
};

/** Words that are a phone column only where no column is an address: `Contact` is just as often a person, `No` just a row's number. */
const weakPhones = "contact|recipient|recipients|number|no|número|numéro|nummer";

/** A header without what people write differently: accents, capitals, blanks, dashes, dots. */
const fold = (header: string) =>
  header
    .normalize("NFKD")
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]/gu, "");

const fields = new Map(Object.entries(words).flatMap(([field, list]) => list.split("|").map((word) => [fold(word), field as ContactField])));
const weak = new Set(weakPhones.split("|").map(fold));

/** The field a header names; null when it names none that is known. */
export const fieldOf = (header: string): ContactField | null => fields.get(fold(header)) ?? null;

/** Whether a header may name the phone column, should no column be an address. */
export const isWeakPhone = (header: string): boolean => weak.has(fold(header));
