import { ATTEMPTS_MAX, DUE_BATCH_MAX, HORIZON_MS, LEASE_MS, RESEND_AFTER_MS, SLOT_LATE_MAX_MS, WINDOW_MAX } from "../../src/rules/limits.ts";
import { accountedFor } from "../../src/rules/statement.ts";
import { isPassing } from "../../src/runtime/postgres.ts";
import { PgError } from "./memory/error.ts";
import { countKey, type Message, messageKey } from "./memory/schema.ts";
import { committed } from "./memory/table.ts";
import type { CampaignPlan } from "./plan.ts";
import { EPOCH } from "./time.ts";
import type { Call } from "./vendor.ts";
import type { Ended } from "./world.ts";

const DAY_MS = 86_400_000;
/** Two clocks that run apart, and a timer's grain. */
const GRAIN_MS = 1;

/** A campaign of a world that has ended, with its rows. */
interface Case {
  readonly ended: Ended;
  readonly id: string;
  readonly plan: CampaignPlan;
  readonly rows: ReadonlyMap<number, Message>;
  readonly calls: readonly Call[];
}

type Rule = (one: Case) => string[];

/** What was promised and not kept, in words; empty when all was. The vendor's ledger says what was sent. */
export function judge(ended: Ended): string[] {
  if (ended.stuck !== null)
    return [
      `stuck ${ended.stuck}: ${committed(ended.tables.campaign).map((c) => `${c.id.slice(0, 4)} ${c.state}${c.pauseReason === null ? "" : ` (${c.pauseReason})`}`)}`,
    ];
  const messages = committed(ended.tables.message);
  const cases = ended.campaignIds.flatMap((id, i): Case[] => {
    const plan = ended.plan.campaigns[i];
    const rows = new Map(messages.flatMap((m) => (m.campaignId === id && m.stage === 1 ? [[m.position, m] as const] : [])));
    return plan === undefined ? [] : [{ ended, id, plan, rows, calls: ended.vendor.calls.filter((call) => call.campaignId === id) }];
  });
  const found = cases.flatMap((one) => Object.values(rules).flatMap((rule) => rule(one).map((fault) => `campaign ${one.id.slice(0, 4)}: ${fault}`)));
  return [...found, ...capFaults(ended), ...paceFaults(ended), ...errorFaults(ended)];
}

const isAccepted = (call: Call): call is Call & { acceptedAt: number } => call.acceptedAt !== null;

const rules = {
  everybodyHasAnOutcome({ plan, rows }) {
    return plan.addresses.flatMap((_, i) => {
      const state = rows.get(i + 1)?.state;
      return state === undefined || state === "queued" || state === "handing" ? [`position ${i + 1} has ${state ?? "no row"} in the end`] : [];
    });
  },

  nobodyIsLost({ rows, calls }) {
    return [...rows.values()].flatMap(({ position, state, providerRef }) => {
      const refs = calls.filter((call) => call.position === position && isAccepted(call)).map((call) => call.providerRef);
      if (state === "accepted" && !refs.includes(providerRef ?? ""))
        return [`position ${position} is accepted as ${providerRef}, the vendor has ${refs}`];
      if ((state === "failed" || state === "skipped") && refs.length > 0) return [`position ${position} is ${state}, and was sent (${refs})`];
      return [];
    });
  },

  nobodyIsSentToTwice({ ended, id, plan, calls }) {
    const attempts = committed(ended.tables.attempt).filter((a) => a.campaignId === id);
    return plan.addresses.flatMap((_, i) => {
      const sent = calls.filter((call) => call.position === i + 1 && isAccepted(call));
      if (sent.length < 2) return [];
      const which = sent.map((call) => `attempt ${call.attempt} at ${call.acceptedAt?.toFixed(3)}`).join(", ");
      if (plan.onUncertain === "hold") return [`position ${i + 1} was written to ${sent.length} times: ${which}`];
      if (new Set(sent.map((call) => call.attempt)).size < sent.length) return [`an attempt of position ${i + 1} was sent twice: ${which}`];
      const last = Math.max(...sent.map((call) => call.attempt));
      const certain = sent.filter(
        ({ attempt }) => attempt < last && !attempts.some((a) => a.position === i + 1 && a.attempt === attempt && a.outcome === "uncertain"),
      );
      return certain.length > 0 ? [`position ${i + 1} was sent again though it was not in doubt: ${which}`] : [];
    });
  },

  resendsWait({ ended, id, calls }) {
    return committed(ended.tables.attempt).flatMap(({ campaignId, position, attempt, outcome, at }) => {
      if (campaignId !== id || outcome !== "uncertain") return [];
      const next = calls.find((call) => call.position === position && call.attempt === attempt + 1);
      const waited = next === undefined ? Number.POSITIVE_INFINITY : next.begunAt + EPOCH - at;
      return waited < RESEND_AFTER_MS - GRAIN_MS ? [`position ${position} was sent again after ${waited} ms of doubt`] : [];
    });
  },

  receiptsSettleDoubts({ ended, id, rows }) {
    return committed(ended.tables.receipt).flatMap(({ campaignId, position, attempt, kind, providerRef }) => {
      const row = campaignId === id ? rows.get(position) : undefined;
      const proves = kind !== "replied" && providerRef !== null && row !== undefined && attempt <= row.attempt;
      return proves && row.state === "uncertain" ? [`position ${position} is in doubt, and there is a receipt ${kind} of attempt ${attempt}`] : [];
    });
  },

  /** Whoever heard an answer and lives has stored it, however late. */
  answersAreKept({ ended, rows, calls }) {
    return calls.flatMap((call) => {
      const { position, attempt, outcome, engine } = call;
      const isLast = calls.findLast((other) => other.position === position) === call;
      const row = rows.get(position);
      if (row?.state !== "uncertain" || outcome === null || outcome.kind === "uncertain" || ended.silenced.has(engine)) return [];
      const isKnown = outcome.kind === "accepted" ? attempt <= row.attempt : isLast && attempt === 1 && row.attempt === 1;
      return isKnown ? [`position ${position} is in doubt, and ${engine} was told that attempt ${attempt} was ${outcome.kind}`] : [];
    });
  },

  nobodyFailsWithoutARefusal({ plan, rows, calls }) {
    return [...rows.values()].flatMap(({ position, state, attempt, code, at }) => {
      const refusals = calls.filter((call) => call.position === position && call.outcome?.kind === "rejected").map((call) => call.outcome);
      if (attempt > ATTEMPTS_MAX) return [`position ${position} has had ${attempt} attempts`];
      const isRefused = refusals.some((one) => one?.kind === "rejected" && ["fail", "suppress", "retry"].includes(one.remedy));
      // What is known not to have been sent when the campaign has ended cannot wait any more.
      const isTooLate =
        code === "aborted" || calls.some((call) => call.position === position && ["throttled", "rejected"].includes(call.outcome?.kind ?? ""));
      if (state === "failed" && !isRefused && !isTooLate) return [`position ${position} failed (${code}), and the vendor never refused it`];
      if (state === "skipped" && code === "expired" && (plan.expiresInMs === null || at < EPOCH + plan.expiresInMs))
        return [`position ${position} expired too early`];
      return [];
    });
  },

  skippedForAReason({ ended, id, plan, rows }) {
    const states = ended.witness.states.filter((one) => one.campaignId === id).map(({ state }) => state);
    return [...rows.values()].flatMap(({ position, state, code }) => {
      if (state !== "skipped") return [];
      const address = plan.addresses[position - 1] ?? null;
      const holds = {
        suppressed: address !== null && ended.witness.suppressed.has(address),
        missing_variable: plan.lacking.includes(position),
        invalid: address === null,
        stopped: states.includes("stopped"),
        expired: plan.expiresInMs !== null,
      };
      return holds[code as keyof typeof holds] === true ? [] : [`position ${position} was skipped (${code}) for no reason`];
    });
  },

  statementAddsUp({ ended, id, plan, rows }) {
    const campaign = committed(ended.tables.campaign).find((one) => one.id === id);
    const counts = committed(ended.tables.count).find((one) => countKey(one) === countKey({ campaignId: id, stage: 1 }));
    const statement = campaign?.statement;
    if (campaign === undefined || statement == null) return ["there is no statement"];
    const sums = {
      accepted: statement.accepted,
      failed: statement.failed,
      skipped: accountedFor(statement) - statement.accepted - statement.failed - statement.uncertain,
      uncertain: statement.uncertain,
    };
    for (const change of statement.amendments ?? []) for (const key of ["accepted", "failed", "uncertain"] as const) sums[key] += Number(change[key]);
    const faults =
      accountedFor(statement) === plan.addresses.length ? [] : [`the statement accounts for ${accountedFor(statement)} of ${plan.addresses.length}`];
    for (const state of ["accepted", "failed", "skipped", "uncertain"] as const) {
      const number = [...rows.values()].filter((m) => m.state === state).length;
      if (sums[state] !== number) faults.push(`the statement, amended, says ${sums[state]} ${state}, there are ${number}`);
      if ((counts?.[state] ?? 0) !== number) faults.push(`the counter says ${counts?.[state] ?? 0} ${state}, there are ${number}`);
    }
    const events = committed(ended.tables.event).filter((event) => event.campaignId === id).length;
    return events === campaign.lastSeq ? faults : [...faults, `${events} events, the last should be number ${campaign.lastSeq}`];
  },

  /** A mark is made only while the campaign runs, and a call begins only after its mark. */
  callsAreMarked({ ended, id, calls }) {
    const marks = ended.witness.marks.filter((one) => one.campaignId === id);
    const atRest = marks.filter(({ campaignState }) => campaignState !== "running");
    const unmarked = calls.filter((call) => markOf(ended, call) === undefined);
    return [
      ...atRest.map(({ from, to, campaignState }) => `positions ${from} to ${to} were marked while the campaign was ${campaignState}`),
      ...unmarked.map(({ position, attempt, begunAt }) => `attempt ${attempt} of position ${position} began at ${begunAt.toFixed(3)} without a mark`),
    ];
  },

  pausesHold({ ended, id, calls }) {
    const states = ended.witness.states.filter((one) => one.campaignId === id);
    return states.flatMap(({ state, at }, i) => {
      if (state === "running") return [];
      const until = states.slice(i + 1).find((next) => next.state === "running")?.at ?? Number.POSITIVE_INFINITY;
      const begun = calls.filter((call) => call.begunAt > at && call.begunAt < until);
      const late = begun.filter((call) => call.begunAt > at + HORIZON_MS + SLOT_LATE_MAX_MS + GRAIN_MS);
      const told = ended.answers.find((answer) => answer.campaignId === id && answer.answeredAt >= at && answer.answeredAt < until);
      return [
        ...late.map((call) => `position ${call.position} began ${(call.begunAt - at).toFixed(1)} ms after the campaign was ${state}`),
        ...(told !== undefined && begun.length > told.inFlight
          ? [`${begun.length} calls began after ${state}; the answer said ${told.inFlight}`]
          : []),
      ];
    });
  },

  optOutsHold({ ended, plan, calls }) {
    return calls.flatMap((call) => {
      const at = ended.witness.suppressed.get(plan.addresses[call.position - 1] ?? "");
      const mark = markOf(ended, call);
      return at !== undefined && mark !== undefined && mark.beganAt > at
        ? [`position ${call.position} was marked ${(mark.beganAt - at).toFixed(1)} ms after it opted out`]
        : [];
    });
  },

  waitsAsToldTo({ calls }) {
    return calls.flatMap((call) => {
      const { outcome, answeredAt, position, begunAt } = call;
      if (answeredAt === null || (outcome?.kind !== "throttled" && outcome?.kind !== "rejected")) return [];
      const next = calls.find((other) => other.position === position && other.begunAt > begunAt);
      const waited = (next?.begunAt ?? Number.POSITIVE_INFINITY) - answeredAt;
      const asked = outcome.retryAfterMs ?? 0;
      return waited < asked - GRAIN_MS ? [`position ${position} was tried again after ${waited} ms, the vendor asked for ${asked}`] : [];
    });
  },

  /** Each crash, freeze or stop leaves at most one window per lot and one batch in doubt; without any nobody is. */
  doubtsAreBounded({ ended, plan, rows }) {
    const { crash, freeze, stop, lost, error, restart } = ended.trouble.happened;
    const most = (crash + freeze + stop) * (WINDOW_MAX * ended.plan.loops.lotsPerCampaign + DUE_BATCH_MAX);
    const left = [...rows.values()].filter(({ code, state }) => state === "uncertain" && code === "lease_expired").length;
    const isQuiet = lost + error + restart === 0 && ended.plan.database.slow === 0 && plan.engine;
    return isQuiet && left > most ? [`${left} in doubt though nothing happened to an engine`] : [];
  },
} satisfies Record<string, Rule>;

/** The mark under which a call began: the latest before it. */
const markOf = ({ witness }: Ended, { campaignId, position, attempt, begunAt }: Call) =>
  witness.marks.findLast(
    (one) =>
      one.campaignId === campaignId &&
      one.from <= position &&
      position <= one.to &&
      (one.attempt === attempt || (one.attempt === null && attempt === 1)) &&
      one.at <= begunAt,
  );

/** Unique people in every rolling 24 hours, by the vendor's own clock. What a process sent after it had stood still is not ours to bound. */
function capFaults({ plan, vendor, tables }: Ended): string[] {
  const { cap } = plan;
  const used = committed(tables.capScope).flatMap((scope) => {
    const openings = committed(tables.opening).length;
    return scope.used === openings ? [] : [`the cap's counter says ${scope.used}, there are ${openings} openings`];
  });
  if (cap === null) return used;
  const sent = vendor.calls.filter((call) => isAccepted(call) && !call.late).sort((a, b) => (a.acceptedAt ?? 0) - (b.acceptedAt ?? 0));
  for (const [i, { acceptedAt }] of sent.entries()) {
    const from = (acceptedAt ?? 0) - DAY_MS;
    const people = new Set(sent.slice(0, i + 1).flatMap((call) => ((call.acceptedAt ?? 0) > from ? [call.address] : [])));
    if (people.size > cap) return [...used, `${people.size} people in the 24 hours before ${acceptedAt?.toFixed(3)}, the cap is ${cap}`];
  }
  return used;
}

/** In any time T at most pace × (T + 50 ms) + 1 calls begin. */
function paceFaults({ plan, vendor, senderIds, campaignIds }: Ended): string[] {
  const doors = [
    ...senderIds.map((id, i) => ({
      name: "the sender",
      perSecond: plan.senders[i] ?? null,
      calls: vendor.calls.filter((call) => call.sender === id),
    })),
    ...campaignIds.map((id, i) => {
      const perMinute = plan.campaigns[i]?.perMinute ?? null;
      return {
        name: `campaign ${id.slice(0, 4)}`,
        perSecond: perMinute === null ? null : perMinute / 60,
        calls: vendor.calls.filter((call) => call.campaignId === id),
      };
    }),
  ];
  return doors.flatMap(({ name, perSecond, calls }) => {
    if (perSecond === null) return [];
    const times = calls.map(({ begunAt }) => begunAt);
    for (const [i, from] of times.entries())
      for (const [j, to] of times.entries()) {
        const most = (perSecond * (to - from + SLOT_LATE_MAX_MS + GRAIN_MS)) / 1_000 + 1;
        if (j > i && j - i + 1 > most + 1e-6)
          return [`${name} began ${j - i + 1} calls from ${from.toFixed(1)} to ${to.toFixed(1)} at a pace of ${perSecond} a second`];
      }
    return [];
  });
}

/** What engines may complain about: the database, while it is away. */
const errorFaults = ({ errors }: Ended): string[] =>
  errors
    .filter((error) => !(error instanceof PgError && isPassing(error)))
    .map((error) => `an engine met a bug: ${error instanceof Error ? error.stack : String(error)}`);
void messageKey;
void LEASE_MS;
