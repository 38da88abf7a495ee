/**
 * Every way in which we say no to a caller, in the words the caller reads. `{name}` is filled in from the refusal's details.
 * Doors translate a code to a status of their protocol (doors/http/problem.ts does not compile while one is missing).
 */
export const refusals = {
  malformed: "{cause}",
  media_type: "{got} cannot be read here. Send {expected}.",
  route_not_found: "There is no {method} {path} here. /docs lists what there is.",
  method_not_allowed: "{path} does not take {method}. It takes {allowed}.",
  unauthorized: "No valid API key came with this request. Send it as 'Authorization: Bearer <key>'.",
  right_missing: "This key may not {right}. It has: {has}.",
  not_found: "There is no {what} {id} in this workspace.",
  campaign_not_found: "There is no campaign {id} in this workspace.",
  already_running: "Campaign is already running",
  transition_refused: "Campaign status is {state}",
  in_use: "The {what} ({id}) is needed by {by}. Remove that, or wait until its recipients are fixed.",
  not_a_draft: "The campaign is {state}; recipients and settings can be changed only while it is a draft.",
  sender_blocked: "The provider refuses this sender: {reason} Put that right and connect the sender again, then resume.",
  database_regressed: "The database has gone back: {what} Look at what is missing, accept it with campanile doctor --accept-database, and ask again.",
  sender_not_connected: "WhatsApp account is not connected",
  template_unknown: "The sender has no template {name} in language {language}. It has: {known}.",
  template_not_approved: "Template {name} ({language}) is {status}; WhatsApp sends only APPROVED templates.",
  template_parameters: "Template {name} ({language}): {cause}",
  liquid_invalid: "The text cannot be understood as a template: {cause}",
  import_unreadable: "{cause}",
  file_empty: "The file is empty: it has no row with a recipient.",
  too_large: "{what} is {size}; at most {max} is accepted.",
  idempotency_mismatch: "This Idempotency-Key was used for another request. Use a new key, or send the same body again.",
  idempotency_in_progress: "The first request with this Idempotency-Key is still being answered. Try again in a moment.",
  webhook_signature: "The signature of this webhook does not match its body.",
  verify_token: "hub.verify_token does not match the configured token.",
  provider_refused: "The provider refused: {cause}",
  not_available: "{cause}",
  too_slow: "The answer took too long, and what was asked may still be done. Look at the state before you ask again.",
} as const;

export type RefusalCode = keyof typeof refusals;
export type RefusalDetails = Readonly<Record<string, string | number>>;
/** One wrong field of a request, with its path (`throttleConfig.batchSize`). */
export interface FieldFault {
  readonly path: string;
  readonly message: string;
}

/** We say no to a caller; nothing was stored. Not a bug. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly code: RefusalCode;
  readonly details: RefusalDetails;
  readonly faults: readonly FieldFault[];

  constructor(code: RefusalCode, details: RefusalDetails = {}, faults: readonly FieldFault[] = []) {
    super(refusals[code].replace(/\{(\w+)\}/g, (whole, name: string) => String(details[name] ?? whole)));
    this.code = code;
    this.details = details;
    this.faults = faults;
  }
}
