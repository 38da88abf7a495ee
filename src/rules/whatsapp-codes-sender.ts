import type { Family } from "./whatsapp-code.ts";

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

/** The sender may not send, or not now. */
export const senderFamilies: readonly Family[] = [
  {
    verdict: "block_sender",
    next: "Give this sender a new access token (a system user's does not expire), then unblock it.",
    codes: {
      0: ["AuthException", "WhatsApp does not accept the sender's access token."],
      190: ["Access token has expired", "The sender's access token has expired or was withdrawn."],
    },
  },
  {
    verdict: "block_sender",
    next: "Give the token's system user the permissions whatsapp_business_messaging and whatsapp_business_management, then unblock the sender.",
    codes: {
      3: ["API Method", "The app may not use this part of WhatsApp."],
      10: ["Permission Denied", "The access token lacks a permission, or it was taken back."],
      200: ["API Permission", "The access token lacks a permission, or it was taken back."],
      131005: ["Access denied", "The access token lacks the permission to send from this number."],
    },
  },
  {
    verdict: "block_sender",
    next: "Open Account Quality in WhatsApp Manager, appeal or wait until the restriction ends, then unblock the sender.",
    codes: {
      368: ["Temporarily blocked for policy violations", "Meta has restricted this WhatsApp Business Account for breaking a policy."],
      131031: ["Account has been locked", "Meta has locked this WhatsApp Business Account."],
      131042: [
        "Business eligibility payment issue",
        "WhatsApp cannot charge this account: no payment method, a failed payment or a used-up credit line.",
        "Put the payment method in order in Meta's billing hub, then unblock the sender.",
      ],
      131048: [
        "Spam rate limit hit",
        "WhatsApp limits this number because too many people blocked or reported its messages.",
        "Send less and only to people who expect it; unblock the sender when the quality rating has recovered (hours to days).",
      ],
      131064: [
        "Message limit reached due to template classification violations",
        "Meta has limited this account because of templates in the wrong category.",
        "Wait until the limit ends (WhatsApp Manager shows when), then unblock the sender.",
      ],
      134011: [
        "WhatsApp Payments terms of service not accepted",
        "The WhatsApp Payments terms have not been accepted for this account.",
        "Accept the terms in WhatsApp Manager, then unblock the sender.",
      ],
    },
  },
  {
    verdict: "block_sender",
    next: "Register the phone number again in WhatsApp Manager, then unblock the sender.",
    codes: {
      33: ["Parameter value is not valid", "This phone number id does not exist (any more)."],
      131030: [
        "Recipient phone number not in allowed list",
        "This is a test number: it may write only to the few numbers on its list.",
        "Add the recipients to the list in the app's settings, or use a real number; then unblock the sender.",
      ],
      131037: [
        "Number needs display-name approval",
        "WhatsApp has not approved this number's display name yet.",
        "Have the display name approved in WhatsApp Manager, then unblock the sender.",
      ],
      131045: ["Incorrect certificate", "This number's registration with WhatsApp is faulty."],
      133000: ["Incomplete deregistration", "This number was not completely taken off WhatsApp before."],
      133001: ["Registration error", "This number's registration with WhatsApp is faulty."],
      133002: ["Registration error", "This number's registration with WhatsApp is faulty."],
      133003: ["Registration error", "This number's registration with WhatsApp is faulty."],
      133005: ["Two-step verification PIN mismatch", "The number's PIN is wrong."],
      133006: ["Phone number re-verification needed", "The number must be verified again."],
      133007: ["Registration error", "This number's registration with WhatsApp is faulty."],
      133008: ["Too many two-step verification PIN guesses", "The PIN was wrong too often."],
      133009: ["Two-step verification PIN guessed too fast", "The PIN was tried too fast."],
      133010: ["Phone number not registered", "This number is not registered with WhatsApp."],
      133011: ["Registration error", "This number's registration with WhatsApp is faulty."],
      133012: ["Registration error", "This number's registration with WhatsApp is faulty."],
      133013: ["Registration error", "This number's registration with WhatsApp is faulty."],
      133014: ["Registration error", "This number's registration with WhatsApp is faulty."],
      133015: ["Please wait before registering this number", "This number was deleted a moment ago; wait five minutes."],
      133016: ["Account register/deregister rate limit exceeded", "This number was registered too often; WhatsApp blocks it for a while."],
    },
  },
  {
    verdict: "throttle_sender",
    retryAfterMs: 2 * SECOND_MS,
    next: "Nothing: the sender slows down by itself and speeds up again.",
    codes: { 130429: ["Rate limit hit", "The number sent faster than WhatsApp allows it."] },
  },
  {
    verdict: "throttle_sender",
    retryAfterMs: MINUTE_MS,
    next: "Nothing: the sender waits and goes on by itself.",
    codes: {
      80007: ["Rate limit issues", "The WhatsApp Business Account has made too many calls."],
      80008: ["Rate limit issues", "The WhatsApp Business Account has made too many calls."],
      131057: ["Account in maintenance mode", "WhatsApp is changing something on this account; it takes about a minute."],
      133004: ["Server temporarily unavailable", "WhatsApp's registration server is not available for the moment."],
      2494100: ["Account in maintenance mode", "WhatsApp is changing something on this account; it takes some minutes."],
    },
  },
  {
    verdict: "throttle_sender",
    retryAfterMs: 5 * MINUTE_MS,
    next: "Nothing: the sender waits and goes on by itself. When it happens often, look for other users of the same Meta app.",
    codes: { 4: ["API Too Many Calls", "The Meta app has made too many calls."] },
  },
  {
    verdict: "throttle_recipient",
    retryAfterMs: SECOND_MS,
    next: "Nothing: this message is sent a little later.",
    codes: { 131056: ["(Business, consumer) pair rate limit hit", "This person was written to too often in a short time."] },
  },
  {
    verdict: "retry",
    retryAfterMs: 25 * HOUR_MS,
    next: "Nothing: it is tried again after a day. Meta limits how many marketing messages a person gets, from all businesses together.",
    codes: { 131049: ["Meta chose not to deliver", "WhatsApp did not deliver, so that this person does not get too many marketing messages."] },
  },
  {
    verdict: "retry",
    retryAfterMs: 10 * MINUTE_MS,
    next: "Nothing: it is tried again after ten minutes.",
    codes: { 134101: ["Template still syncing", "The template is new and not ready yet."] },
  },
  {
    verdict: "retry",
    vague: true,
    next: "Nothing: it is tried again. When it stays, ask Meta's support.",
    codes: {
      1: ["API Unknown", "WhatsApp could not handle the request and does not say why."],
      135000: ["Generic user error", "WhatsApp could not handle the message and does not say why."],
    },
  },
  {
    verdict: "uncertain",
    next: "Wait: a receipt settles it when the message was sent. Without one, the campaign's choice holds (hold, or send again).",
    codes: {
      2: ["API Service", "WhatsApp had a fault for the moment; the message may have been sent or not."],
      131000: ["Something went wrong", "WhatsApp had a fault; the message may have been sent or not."],
      131016: ["Service unavailable", "A part of WhatsApp was not available; the message may have been sent or not."],
    },
  },
];
