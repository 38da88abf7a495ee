import type { Family } from "./whatsapp-code.ts";

/** This recipient cannot be reached, or the campaign's message is faulty. */
export const messageFamilies: readonly Family[] = [
  {
    verdict: "suppress",
    next: "Nothing: this person is not written to again.",
    codes: { 131050: ["User has stopped marketing messages", "This person does not want marketing messages from you any more."] },
  },
  {
    verdict: "fail",
    next: "Nothing can be done for this recipient now.",
    codes: {
      130403: [
        "User is blocked by the business",
        "This business has blocked the person on WhatsApp.",
        "Unblock the person in WhatsApp, if it was a mistake.",
      ],
      130472: ["User's number is part of an experiment", "Meta keeps marketing messages from this person as part of an experiment."],
      130497: [
        "Business account restricted in this country",
        "This account may not write to people in the recipient's country.",
        "Leave this country out of the audience.",
      ],
      131021: ["Recipient cannot be sender", "The recipient is the sender's own number.", "Take the sender's number out of the audience."],
      131026: [
        "Message undeliverable",
        "The number has no WhatsApp, or the person uses a very old version or has not accepted the terms.",
        "Check the number, or reach this person another way.",
      ],
      131062: ["Recipient type not supported for this message", "This kind of message needs the person's phone number."],
      131065: ["Max price unavailable in the recipient's country", "The price limit of this message cannot be used in the recipient's country."],
      132005: [
        "Template hydrated text too long",
        "With this person's values in place the text is longer than WhatsApp allows.",
        "Shorten the values, or the template.",
      ],
      137000: ["Recipient identity changed", "The person's identity key has changed."],
    },
  },
  {
    verdict: "fail",
    suspect: true,
    next: "Look at the value that is named. When every recipient fails so, the campaign pauses: correct its message then.",
    codes: {
      100: ["Invalid parameter", "WhatsApp does not accept a value of this message."],
      131009: ["Parameter value is not valid", "WhatsApp does not accept a value of this message."],
      132018: ["Template validation error", "WhatsApp does not accept a value of this template message."],
      131047: [
        "Re-engagement message",
        "This person has not written within the last 24 hours, so only a template may be sent.",
        "Send a template instead of free text.",
      ],
    },
  },
  {
    verdict: "fail",
    suspect: true,
    next: "Not expected in answer to a message. Report it, with the code.",
    codes: {
      131052: ["Media download error", "WhatsApp could not download what a person sent."],
      131059: ["Invalid pagination cursor", "A list was asked for with a cursor that is no longer valid."],
      131060: ["Message unavailable", "A message that came in cannot be shown."],
      1752041: ["Duplicate request", "The same registration request came twice."],
      2388019: ["Message template limit exceeded", "The account has as many templates as it may have."],
      2388040: ["Template field too long", "A field of a new template is too long."],
      2388047: ["Template header format incorrect", "A new template's header has a wrong form."],
      2388072: ["Template body format incorrect", "A new template's body has a wrong form."],
      2388073: ["Template footer format incorrect", "A new template's footer has a wrong form."],
      2388293: ["Template parameters to words ratio exceeded", "A new template has too many parameters for its words."],
      2388299: ["Template leading or trailing parameters", "A new template begins or ends with a parameter."],
      2593107: ["Synchronization request limit exceeded", "A WhatsApp Business app was synchronised too often."],
      2593108: ["Synchronization request outside the time window", "A WhatsApp Business app was synchronised too late."],
    },
  },
  {
    verdict: "pause_campaign",
    next: "Correct the campaign's message (see what WhatsApp says), then resume the campaign.",
    codes: {
      131008: ["Required parameter is missing", "A part that WhatsApp needs is missing from the message."],
      131051: ["Unsupported message type", "WhatsApp does not send this type of message."],
      131053: [
        "Media upload error",
        "WhatsApp could not fetch the image, video or document.",
        "Make sure its address can be reached by everybody and has the right type, then resume.",
      ],
      132000: ["Template param count mismatch", "The template has more or fewer parameters than were given."],
      132012: ["Template parameter format mismatch", "A value does not have the form that the template wants."],
    },
  },
  {
    verdict: "pause_campaign",
    next: "Look at the template in WhatsApp Manager, synchronise the templates, then resume the campaign.",
    codes: {
      132001: ["Template does not exist", "There is no approved template of this name in this language."],
      132007: ["Template format/character policy violated", "The template's content breaks a rule of WhatsApp."],
      132015: [
        "Template is paused",
        "WhatsApp has paused the template because people reported it or did not read it.",
        "Wait until WhatsApp activates it again, or unpause it in WhatsApp Manager; then resume the campaign.",
      ],
      132016: [
        "Template is disabled",
        "WhatsApp has disabled the template for good because of its low quality.",
        "Make a campaign with another template.",
      ],
      134102: ["Template unavailable for use", "This template cannot be sent here."],
    },
  },
  {
    verdict: "pause_campaign",
    next: "Correct the flow in WhatsApp Manager, then resume the campaign.",
    codes: {
      132068: ["Flow is blocked", "The flow in this template is blocked."],
      132069: [
        "Flow is throttled",
        "The flow in this template was sent too often in the last hour.",
        "Wait an hour, correct the flow, then resume the campaign.",
      ],
    },
  },
  {
    verdict: "pause_campaign",
    next: "Send marketing templates the way this account is set up for (the sender's path setting), then resume the campaign.",
    codes: {
      131055: ["Method not allowed", "Only marketing templates may be sent this way."],
      131063: ["Marketing templates disabled for Cloud API", "This account sends marketing templates only over the marketing messages endpoint."],
      134100: ["Only marketing messages supported", "Only marketing templates may be sent this way."],
    },
  },
];
