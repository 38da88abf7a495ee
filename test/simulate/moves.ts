import { accepted, aroundNow, campaignOf, type Draw, lotOf, outcomesOf, positionsOf, type Stores, someOf, whole } from "./draws.ts";
import { lateMoves } from "./late-moves.ts";
import { PEOPLE } from "./rows.ts";

/** Of every function of every store one way to draw a call. */
export const moves: { readonly [S in keyof Stores]: Partial<Readonly<Record<keyof Stores[S], Draw>>> } = {
  lot: {
    takeLot: (dice, cast) => {
      const among = dice.chance(0.3) ? [campaignOf(dice, cast)] : null;
      const by = {
        holder: dice.pick(cast.tokens),
        leaseMs: 20_000,
        marginMs: 2_000,
        aliveMs: 5_000,
        among,
        except: dice.chance(0.2) ? [campaignOf(dice, cast)] : [],
      };
      const wanted = { ...by, anyDriver: dice.chance(0.3), holdersMax: dice.pick([null, 1, 2, 8]) };
      return ({ lot }, sql) => lot.takeLot(sql, wanted);
    },
    cutLot: (dice, cast) => {
      const held = lotOf(dice, cast);
      return ({ lot }, sql) => lot.cutLot(sql, held, held.first + 1);
    },
    lockLot: (dice, cast) => {
      const held = lotOf(dice, cast);
      return ({ lot }, sql) => lot.lockLot(sql, held);
    },
    markLot: (dice, cast) => {
      const held = whole(dice, cast);
      return ({ lot }, sql) => lot.markLot(sql, held, 20_000);
    },
    freeLot: (dice, cast) => {
      const [held, dueAt] = [whole(dice, cast), aroundNow(dice, cast)];
      return ({ lot }, sql) => lot.freeLot(sql, held, dueAt);
    },
    closeLot: (dice, cast) => {
      const held = whole(dice, cast);
      return ({ lot }, sql) => lot.closeLot(sql, held);
    },
    turnAtFullSpeed: (dice, cast) => {
      const [held, rows] = [lotOf(dice, cast), dice.chance(0.5) ? [] : accepted(dice)];
      const ends = dice.chance(0.3);
      const next = ends || dice.chance(0.2) ? null : { from: dice.whole(1, 3), to: held.first + 2 };
      const asked = { next, ends, onward: dice.chance(0.7) ? dice.pick(cast.tokens) : null, leaseMs: 20_000 };
      const back = { positions: rows.map(({ position }) => position), refs: rows.map(({ providerRef }) => providerRef ?? "") };
      return ({ lot }, sql) => lot.turnAtFullSpeed(sql, held, back, { ...asked, holds: sql`true` });
    },
    readRecipients: (dice, cast) => {
      const by = { campaignId: campaignOf(dice, cast), from: dice.whole(1, 4), to: PEOPLE };
      return ({ lot }, sql) => lot.readRecipients(sql, by);
    },
    readUnwritten: (dice, cast) => {
      const by = { campaignId: campaignOf(dice, cast), from: dice.whole(1, 4), to: PEOPLE };
      return ({ lot }, sql) => lot.readUnwritten(sql, by);
    },
    nextDueAt:
      () =>
      ({ lot }, sql) =>
        lot.nextDueAt(sql, 2_000),
  },
  limits: {
    readFacts: (dice, cast) => {
      const id = campaignOf(dice, cast);
      return ({ limits }, sql) => limits.readFacts(sql, id);
    },
    lockCampaign: (dice, cast) => {
      const id = campaignOf(dice, cast);
      return ({ limits }, sql) => limits.lockCampaign(sql, id);
    },
    pauseCampaign: (dice, cast) => {
      const id = campaignOf(dice, cast);
      return ({ limits }, sql) => limits.pauseCampaign(sql, id, "a reason");
    },
    suppressedAmong: (dice, cast) => {
      const addresses = someOf(dice, cast);
      return ({ limits }, sql) => limits.suppressedAmong(sql, { ...cast, channel: "whatsapp" }, addresses);
    },
    suppressedBetween: (dice, cast) => {
      const campaignId = campaignOf(dice, cast);
      const [from, to] = [dice.whole(1, 3), dice.whole(3, PEOPLE)];
      return ({ limits }, sql) => limits.suppressedBetween(sql, { ...cast, campaignId, channel: "whatsapp" }, from, to);
    },
    suppressAddresses: (dice, cast) => {
      const addresses = someOf(dice, cast);
      return ({ limits }, sql) => limits.suppressAddresses(sql, { ...cast, channel: "whatsapp" }, "opt_out", addresses);
    },
    lockCap:
      (_, { scopeId }) =>
      ({ limits }, sql) =>
        limits.lockCap(sql, scopeId),
    openAmong: (dice, cast) => {
      const addresses = someOf(dice, cast);
      return ({ limits }, sql) => limits.openAmong(sql, cast.scopeId, addresses);
    },
    expireOpenings:
      (_, { scopeId }) =>
      ({ limits }, sql) =>
        limits.expireOpenings(sql, scopeId),
    nextFreeAt:
      (_, { scopeId }) =>
      ({ limits }, sql) =>
        limits.nextFreeAt(sql, scopeId),
    openAddresses: (dice, cast) => {
      const [addresses, lastAt] = [someOf(dice, cast), aroundNow(dice, cast)];
      return ({ limits }, sql) => limits.openAddresses(sql, cast.scopeId, addresses, lastAt);
    },
    releaseOpenings: (dice, cast) => {
      const made = someOf(dice, cast).map((address) => ({ address, lastAt: aroundNow(dice, cast) }));
      return ({ limits }, sql) => limits.releaseOpenings(sql, cast.scopeId, made);
    },
    prolongOpenings: (dice, cast) => {
      const addresses = someOf(dice, cast);
      return ({ limits }, sql) => limits.prolongOpenings(sql, cast.scopeId, addresses, 11_000);
    },
    lockDoors: (dice, cast) => {
      const id = campaignOf(dice, cast);
      return ({ limits }, sql) => limits.lockDoors(sql, [cast.senderId, id]);
    },
    moveDoors: (dice, cast) => {
      const doors = [{ ownerId: cast.senderId, nextAt: aroundNow(dice, cast).getTime() }];
      return ({ limits }, sql) => limits.moveDoors(sql, doors);
    },
    rivalsOf: (dice, cast) => {
      const [campaignId, isLot] = [campaignOf(dice, cast), dice.chance(0.5)];
      return ({ limits }, sql) => limits.rivalsOf(sql, { ...cast, campaignId, isLot });
    },
    slowDown: (dice, { senderId }) => {
      const by = { perSecond: dice.pick([null, 2]), restMs: dice.pick([0, 5_000]), reason: "slow" };
      return ({ limits }, sql) => limits.slowDown(sql, senderId, by);
    },
    holdSender:
      (_, { senderId }) =>
      ({ limits }, sql) =>
        limits.holdSender(sql, senderId, { forMs: 30_000, reason: "held" }),
    endProbing:
      (_, { senderId }) =>
      ({ limits }, sql) =>
        limits.endProbing(sql, senderId),
    endSlowing:
      (_, { senderId }) =>
      ({ limits }, sql) =>
        limits.endSlowing(sql, senderId),
    blockSender:
      (_, { senderId }) =>
      ({ limits }, sql) =>
        limits.blockSender(sql, senderId, "refused"),
    readClock:
      () =>
      ({ limits }, sql) =>
        limits.readClock(sql),
  },
  message: {
    insertMessages: (dice, cast) => {
      const [id, rows] = [campaignOf(dice, cast), outcomesOf(dice)];
      return ({ message }, sql) => message.insertMessages(sql, id, rows);
    },
    insertAccepted: (dice, cast) => {
      const [id, rows] = [campaignOf(dice, cast), accepted(dice).slice(0, 1)];
      return ({ message }, sql) => message.insertAccepted(sql, id, rows);
    },
    settleHanding: (dice, cast) => {
      const [id, token, rows] = [campaignOf(dice, cast), dice.pick(cast.tokens), outcomesOf(dice)];
      return ({ message }, sql) => message.settleHanding(sql, id, token, rows);
    },
    insertAttempts: (dice, cast) => {
      const [id, rows] = [campaignOf(dice, cast), outcomesOf(dice)];
      return ({ message }, sql) => message.insertAttempts(sql, id, rows);
    },
    insertInDoubt: (dice, cast) => {
      const [id, from, to] = [campaignOf(dice, cast), dice.whole(1, 3), dice.whole(3, PEOPLE)];
      return ({ message }, sql) => message.insertInDoubt(sql, id, from, to);
    },
    acceptByReceipt: (dice, cast) => {
      const [id, positions] = [campaignOf(dice, cast), dice.chance(0.5) ? null : positionsOf(dice)];
      return ({ message }, sql) => message.acceptByReceipt(sql, id, positions);
    },
    acceptLate: (dice, cast) => {
      const [id, late] = [campaignOf(dice, cast), { stage: 1, position: dice.whole(1, PEOPLE), attempt: dice.whole(1, 3), providerRef: "late" }];
      return ({ message }, sql) => message.acceptLate(sql, id, late);
    },
    lockMessage: (dice, cast) => {
      const [id, position] = [campaignOf(dice, cast), dice.whole(1, PEOPLE)];
      return ({ message }, sql) => message.lockMessage(sql, id, { stage: 1, position });
    },
    refuseLate: (dice, cast) => {
      const [id, rows] = [campaignOf(dice, cast), outcomesOf(dice).filter(({ state }) => state !== "accepted" && state !== "uncertain")];
      return ({ message }, sql) => (rows[0] === undefined ? Promise.resolve([]) : message.refuseLate(sql, id, rows[0]));
    },
    addCounts: (dice, cast) => {
      const [id, change] = [campaignOf(dice, cast), { stage: dice.whole(1, 2), accepted: dice.whole(0, 2), uncertain: dice.whole(-1, 1) }];
      return ({ message }, sql) => message.addCounts(sql, id, change);
    },
    amendStatement: (dice, cast) => {
      const id = campaignOf(dice, cast);
      return ({ message }, sql) => message.amendStatement(sql, id, { accepted: 1, failed: 0, uncertain: -1 });
    },
  },
  ...lateMoves,
};

/** Fragments of other statements, what needs rows of its own, and what is never called in a world. */
export const notMoved = new Set([
  // It only tells those who listen; its answer is of no use to the engine.
  "tellProgress",
  "endsAs",
  "fail",
  "lockDraft",
  "schedule",
  "preferIndexes",
  "lockCampaign@campaign",
  "acceptedOnce",
  "countAccepted",
  "hasDoors",
]);

export const allMoves: readonly { readonly name: string; readonly draw: Draw }[] = Object.entries(moves).flatMap(([store, draws]) =>
  Object.entries(draws as Record<string, Draw>).map(([name, draw]) => ({ name: `${store}.${name}`, draw })),
);
