import { randomBytes } from "node:crypto";

/** An answer that refuses, in Meta's own error shape. */
export interface GraphFault {
  readonly status: number;
  readonly code: number;
  readonly body: string;
}

/**
 * Code → HTTP status, title, details, as Meta's error page of Dec 2025 and its observed answers give them. Most throttles are 400, three
 * permanent failures are 500: a caller that decides by status alone gets them wrong, which is the point of having them here.
 */
const table: Readonly<Record<number, readonly [status: number, title: string, details: string]>> = {
  0: [401, "AuthException", "We were unable to authenticate the app user."],
  1: [400, "API Unknown", "Invalid request or possible server error."],
  2: [503, "Service temporarily unavailable", "Temporary due to downtime or due to being overloaded."],
  3: [500, "API Method", "Capability or permissions issue."],
  4: [400, "Application request limit reached", "The app has reached its API call rate limit."],
  10: [403, "Permission Denied", "Permission is either not granted or has been removed."],
  33: [400, "Parameter value is not valid", "The business phone number has been deleted."],
  100: [400, "Invalid parameter", "The request included one or more unsupported or misspelled parameters."],
  190: [401, "Access token has expired", "Your access token has expired."],
  200: [403, "API Permission", "Permission is either not granted or has been removed."],
  368: [
    403,
    "Temporarily blocked for policies violations",
    "The WhatsApp Business Account has been restricted or disabled for violating a platform policy.",
  ],
  80007: [400, "Rate limit issues", "The WhatsApp Business Account has reached its rate limit."],
  80008: [400, "Rate limit issues", "There have been too many calls to this WhatsApp Business Account."],
  130403: [400, "User blocked", "The business has blocked this user."],
  130429: [400, "Rate limit hit", "Cloud API message throughput has been reached."],
  130472: [400, "User's number is part of an experiment", "Message was not sent as part of an experiment."],
  130497: [403, "Business account is restricted from messaging users in this country", "The account may not message users in certain countries."],
  131000: [500, "Something went wrong", "Message failed to send due to an unknown error."],
  131005: [403, "Access denied", "Permission is either not granted or has been removed."],
  131008: [400, "Required parameter is missing", "The request is missing a required parameter."],
  131009: [400, "Parameter value is not valid", "One or more parameter values are invalid."],
  131016: [500, "Service unavailable", "A service is temporarily unavailable."],
  131021: [400, "Recipient cannot be sender", "Sender and recipient phone number is the same."],
  131026: [400, "Message undeliverable", "Message Undeliverable."],
  131030: [400, "Recipient phone number not in allowed list", "Recipient phone number not in allowed list."],
  131031: [403, "Business Account locked", "The account has been restricted or disabled for violating a policy."],
  131037: [400, "Number needs display name approval", "The phone number used for this request needs display name approval."],
  131042: [400, "Business eligibility payment issue", "Message failed to send because of errors related to your payment method."],
  131045: [500, "Incorrect certificate", "Message failed to send due to a phone number registration error."],
  131047: [
    400,
    "Re-engagement message",
    "Message failed to send because more than 24 hours have passed since the customer last replied to this number.",
  ],
  131048: [400, "Spam rate limit hit", "There are restrictions on how many messages can be sent from this phone number."],
  131049: [
    400,
    "This message was not delivered to maintain healthy ecosystem engagement.",
    "In order to maintain a healthy ecosystem engagement, the message failed to be delivered.",
  ],
  131050: [
    400,
    "User has stopped marketing messages",
    "Unable to deliver the message. This recipient has chosen to stop receiving marketing messages on WhatsApp from your business.",
  ],
  131051: [400, "Unsupported message type", "Message type is not currently supported."],
  131053: [400, "Media upload error", "Unable to upload the media used in the message."],
  131055: [400, "Method not allowed", "Only marketing template messages may be sent here."],
  131056: [
    400,
    "(Business Account, Consumer Account) pair rate limit hit",
    "Message failed to send because there were too many messages sent from this phone number to the same phone number in a short period of time.",
  ],
  131057: [500, "Account in maintenance mode", "Business Account is in maintenance mode."],
  131059: [400, "Invalid cursor", "The pagination cursor is not valid."],
  131063: [400, "Marketing templates disabled", "Marketing templates are disabled for Cloud API on this account."],
  131064: [400, "Message limit reached", "Message limit reached due to template classification violations."],
  132000: [
    400,
    "Number of parameters does not match the expected number of params",
    "The number of variable parameter values did not match the template.",
  ],
  132001: [404, "Template name does not exist in the translation", "The template does not exist in the language or is not approved."],
  132005: [400, "Translated text too long", "The translated text is too long."],
  132007: [400, "Template format character policy violated", "Template content violates a WhatsApp policy."],
  132012: [400, "Parameter format does not match format in the created template", "Variable parameter values formatted incorrectly."],
  132015: [400, "Template is paused", "Template is temporarily unavailable to use because it was paused due to low quality."],
  132016: [400, "Template is disabled", "Template has been paused too many times due to low quality and is now permanently disabled."],
  132018: [400, "There’s an issue with the parameters in your template", "Please check the parameters you have provided."],
  133004: [503, "Server temporarily unavailable", "Server is temporarily unavailable."],
  133010: [400, "Phone number not registered", "Phone number not registered on the WhatsApp Business Platform."],
  134011: [400, "WhatsApp Payments terms of service has not been accepted", "Accept the terms of service first."],
  134100: [400, "Only marketing messages supported", "Only marketing templates can be sent here."],
  134101: [400, "Template is still syncing", "The template is still being synced; wait up to 10 minutes."],
  134102: [500, "Template unavailable for use", "The template is not available for use."],
  135000: [400, "Generic user error", "Message failed to send because of an unknown error with your request parameters."],
  2494100: [500, "Account in maintenance mode", "Try again in a few minutes."],
};

const prefix = randomBytes(9).toString("base64url");
let traces = 0;
/** Looks like Meta's, and is never the same twice. */
const traceId = () => `A${prefix}${(++traces).toString(36).padStart(10, "_")}`;

function fault(status: number, error: Record<string, unknown> & { code: number }): GraphFault {
  return { status, code: error.code, body: JSON.stringify({ error: { ...error, fbtrace_id: traceId() } }) };
}

/** The refusal Meta gives for `code`, with its own details unless others are given. */
export function graphFault(code: number, details?: string): GraphFault {
  const [status, title, usual] = table[code] ?? [400, "Something went wrong", "Unknown error."];
  return fault(status, {
    message: `(#${code}) ${title}`,
    type: "OAuthException",
    code,
    error_data: { messaging_product: "whatsapp", details: details ?? usual },
  });
}

/** A request whose shape is wrong: Graph's own validation, which gives a sentence and no `error_data`. */
export const paramFault = (sentence: string) => fault(400, { message: `(#100) ${sentence}`, type: "OAuthException", code: 100 });

export const tokenFault = (message: string, error_subcode?: number) =>
  fault(401, { message, type: "OAuthException", code: 190, ...(error_subcode === undefined ? {} : { error_subcode }) });

/** An id that names nothing the token may see. */
export const unknownObject = (verb: "get" | "post", id: string) =>
  fault(400, {
    message: `Unsupported ${verb} request. Object with ID '${id}' does not exist, cannot be loaded due to missing permissions, or does not support this operation. Please read the Graph API documentation at https://developers.facebook.com/docs/graph-api`,
    type: "GraphMethodException",
    code: 100,
    error_subcode: 33,
  });

export const unknownPath = (path: string) => fault(400, { message: `Unknown path components: ${path}`, type: "OAuthException", code: 2500 });

/** An element of `errors[]` in a webhook: the title stands alone, without the code in front. */
export function webhookError(code: number) {
  const [, title, details] = table[code] ?? [400, "Something went wrong", "Unknown error."];
  return {
    code,
    title,
    message: title,
    error_data: { details },
    href: "https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes",
  };
}
