import { LEASE_MS, RECOVERY_MARGIN_MS, RESEND_AFTER_MS, SEND_TIMEOUT_MS } from "../../rules/limits.ts";
import { PREFERENCE_SOURCE } from "../../rules/receipt.ts";
import * as campaigns from "./campaign-store.ts";
import * as caps from "./cap-store.ts";
import * as counts from "./count-store.ts";
import * as deliveries from "./delivery-store.ts";
import * as house from "./house-store.ts";
import type { Invariant } from "./invariant.ts";
import * as people from "./people-store.ts";

/** A call that was marked before a suppression may begin within a moment and lasts no longer than its time-out. */
const SUPPRESSION_MARGIN_MS = SEND_TIMEOUT_MS + 1_000;
/** The outcome of a call is stored so soon after its beginning, unless the database was away for longer. */
const STORED_WITHIN_MS = 60_000;
const SETTLED_WITHIN_MS = 60_000;
const OVERDUE_MS = 5 * 60_000;
const TOLD = { told: true, sources: ["reply", PREFERENCE_SOURCE], marginMs: SUPPRESSION_MARGIN_MS };

const KEEP = "Keep the database as it is, do not resume the campaign, and report it: it is a bug, or somebody changed rows by hand.";
const ENGINE = "See whether a process with engines runs, and what its log says.";

/** Every invariant, in the order in which they are reported. */
export const invariants: readonly Invariant[] = [
  {
    per: "campaign",
    name: "positions-are-gapless",
    severity: "violation",
    find: people.positionGaps,
    what: `Recipients are not numbered from 1 to their number. ${KEEP}`,
  },
  {
    per: "page",
    name: "everybody-has-an-outcome",
    severity: "violation",
    find: people.endedWithoutOutcome,
    what: `The campaign has ended, and these recipients have no outcome. ${KEEP}`,
  },
  {
    per: "page",
    name: "everybody-is-in-hand",
    severity: "violation",
    find: people.inNobodysHands,
    what: `These recipients have no message and are in no lot: nobody will ever write to them. ${KEEP}`,
  },
  {
    per: "page",
    name: "a-free-lot-forgets-nobody",
    severity: "violation",
    find: people.markedAndForgotten,
    what: `A free lot's mark covers recipients without a message. Whoever takes the lot calls them uncertain; report it.`,
  },
  {
    per: "page",
    name: "nothing-is-beyond-the-mark",
    severity: "violation",
    find: people.writtenBeyondMark,
    what: `These recipients have an outcome although their lot says that they were not written to: they may be written to twice. ${KEEP}`,
  },
  {
    per: "page",
    name: "no-receipt-outruns-the-mark",
    severity: "violation",
    find: people.receivedBeyondMark,
    what: `Receipts came for recipients to whom this database sent nothing: it is older than what was sent from it, or a copy of it sends too. Ask campanile doctor.`,
  },
  {
    per: "page",
    name: "messages-go-to-recipients",
    severity: "violation",
    find: people.toNobody,
    what: `These rows speak of positions that the campaign does not have. ${KEEP}`,
  },
  {
    per: "page",
    name: "messages-are-legal",
    severity: "violation",
    find: people.illegalMessages,
    what: `These messages lack what their state demands. ${KEEP}`,
  },
  {
    per: "page",
    name: "attempts-are-kept",
    severity: "violation",
    find: people.missingAttempts,
    what: `The earlier attempts of these messages are not all there, or there are attempts of a message that is not. ${KEEP}`,
  },
  {
    per: "page",
    name: "nobody-is-sent-to-twice",
    severity: "violation",
    find: (sql, page) => deliveries.acceptedTwice(sql, page, "hold"),
    what: `The provider took two attempts of these messages: the recipients got them twice. Stop the campaign and report it.`,
  },
  {
    per: "page",
    name: "resent-and-arrived-twice",
    severity: "warning",
    find: (sql, page) => deliveries.acceptedTwice(sql, page, "resend"),
    what: `These messages were in doubt, were sent again as the campaign demands (onUncertain: resend), and both arrived. Choose hold if that must not happen.`,
  },
  {
    per: "page",
    name: "an-attempt-has-one-reference",
    severity: "violation",
    find: deliveries.twoReferences,
    what: `The provider gave two references to one attempt: it was sent twice. Stop the campaign and report it.`,
  },
  {
    per: "page",
    name: "the-unsent-got-nothing",
    severity: "violation",
    find: deliveries.sentAfterAll,
    what: "These messages are failed or skipped, and their receipts say that they were sent. Trust the receipts, do not write to these recipients again, and report it.",
  },
  {
    per: "campaign",
    name: "a-reference-names-one-message",
    severity: "violation",
    find: deliveries.sharedReferences,
    what: `Two messages have the same reference of the provider, so receipts cannot be told apart. ${KEEP}`,
  },
  {
    per: "page",
    name: "the-suppressed-are-spared",
    severity: "violation",
    find: (sql, page) => deliveries.sentAfterSuppression(sql, page, { ...TOLD, told: false }),
    what: `These addresses were suppressed and were written to after that. Unless the database was away, or the engine frozen, just then: stop the campaign and report it.`,
  },
  {
    per: "page",
    name: "the-opted-out-are-spared",
    severity: "warning",
    find: (sql, page) => deliveries.sentAfterSuppression(sql, page, TOLD),
    what: `These recipients had opted out when they were written to. Their word may have come later than it was said; compare with when its webhook came.`,
  },
  {
    per: "campaign",
    name: "counters-equal-rows",
    severity: "violation",
    find: counts.wrongCounters,
    what: `The campaign's counters are not what its messages say; the rows are right. ${KEEP}`,
  },
  {
    per: "campaign",
    name: "receipt-counters-equal-rows",
    severity: "violation",
    find: counts.wrongReceiptCounts,
    what: `The counters of receipts are not what the receipts say; the rows are right. Report it.`,
  },
  {
    per: "campaign",
    name: "read-implies-delivered",
    severity: "violation",
    find: counts.impossibleReach,
    what: `More messages are counted as read than as delivered, or delivered than sent. Report it.`,
  },
  {
    per: "campaign",
    name: "the-statement-adds-up",
    severity: "violation",
    find: counts.wrongStatement,
    what: `The closing statement, with its amendments, is not what the rows say. Trust the rows and report it.`,
  },
  {
    per: "campaign",
    name: "the-end-is-the-end",
    severity: "violation",
    find: campaigns.leftAfterTheEnd,
    what: `The campaign has ended, but something of it is still to be done, and never will be. ${KEEP}`,
  },
  {
    per: "campaign",
    name: "events-are-gapless",
    severity: "violation",
    find: campaigns.eventGaps,
    what: `Events of the campaign are missing: whoever follows it waits for ever. ${KEEP}`,
  },
  {
    per: "campaign",
    name: "the-history-is-legal",
    severity: "violation",
    find: campaigns.illegalHistory,
    what: `The campaign's events tell a story that its states do not allow. ${KEEP}`,
  },
  {
    per: "campaign",
    name: "lots-are-legal",
    severity: "violation",
    find: campaigns.illegalLots,
    what: `Lots overlap, or say what cannot be: two engines may write to the same recipients. ${KEEP}`,
  },
  {
    per: "campaign",
    name: "the-forsaken-are-recovered",
    severity: "warning",
    find: (sql, id) => campaigns.overdueRecoveries(sql, id, LEASE_MS + RECOVERY_MARGIN_MS + OVERDUE_MS),
    what: `An engine stopped in the middle, and no other has taken over. ${ENGINE}`,
  },
  {
    per: "campaign",
    name: "receipts-settle-doubts",
    severity: "warning",
    find: (sql, id) => deliveries.overdueSettlements(sql, id, SETTLED_WITHIN_MS),
    what: `Receipts that settle these messages are there, and nobody has looked. ${ENGINE}`,
  },
  {
    per: "campaign",
    name: "doubts-are-resent",
    severity: "warning",
    find: (sql, id) => deliveries.overdueResends(sql, id, RESEND_AFTER_MS + OVERDUE_MS),
    what: `These messages are in doubt, should have been sent again, and keep the campaign open. ${ENGINE}`,
  },
  {
    per: "scope",
    name: "the-cap-is-counted",
    severity: "violation",
    find: caps.wrongUse,
    what: `The recipients counted under the cap are not as many as its openings. Report it; pause the campaigns of its senders if too few are counted.`,
  },
  {
    per: "scope",
    name: "the-cap-is-kept",
    severity: "violation",
    find: (sql, id) => caps.overCap(sql, id, STORED_WITHIN_MS),
    what: `More recipients were written to within 24 hours than the cap allows. Unless the cap was lowered since: pause the campaigns of its senders and report it.`,
  },
  {
    per: "scope",
    name: "the-cap-counts-everybody",
    severity: "warning",
    find: (sql, id) => caps.uncounted(sql, id, STORED_WITHIN_MS),
    what: `These recipients were written to within the window and are not counted under the cap. Unless the database was away just then: report it.`,
  },
  {
    per: "house",
    name: "a-reference-names-one-campaign",
    severity: "violation",
    find: deliveries.referencesOfTwoCampaigns,
    what: `Messages of two campaigns have the same reference of the provider, so receipts cannot be told apart. ${KEEP}`,
  },
  {
    per: "house",
    name: "everything-belongs-to-somebody",
    severity: "violation",
    find: house.orphans,
    what: `Rows name a campaign, cap scope or sender that does not exist. ${KEEP}`,
  },
  {
    per: "house",
    name: "nothing-runs-that-was-stopped",
    severity: "violation",
    find: house.runsAllTheSame,
    what: `The database has gone back, which nobody has accepted yet, and these campaigns run all the same. Pause them, and ask campanile doctor.`,
  },
  {
    per: "house",
    name: "webhooks-are-read",
    severity: "warning",
    find: (sql) => house.overdueWebhooks(sql, OVERDUE_MS),
    what: `Webhooks have waited for more than five minutes. ${ENGINE}`,
  },
];
