import { expect, test } from "vitest";
import { accountedFor, type Statement, statementFault } from "./statement.ts";

const statement: Statement = { recipients: 10, accepted: 5, failed: 1, skipped: { stopped: 2, suppressed: 1 }, uncertain: 1, undelivered: 2 };

test("a statement that accounts for everybody adds up", () => {
  expect(accountedFor(statement)).toBe(10);
  expect(statementFault(statement)).toBeNull();
});

test("somebody without an outcome is a fault that shows the sum", () => {
  expect(statementFault({ ...statement, uncertain: 0 })).toBe("accepted 5 + failed 1 + skipped 3 + uncertain 0 = 9, of 10 recipients");
});

test.each([
  ["somebody with two outcomes", { accepted: 6 }],
  ["more undelivered than accepted", { undelivered: 6 }],
  ["a negative count", { failed: -1, uncertain: 3 }],
  ["half a person", { failed: 0.5, uncertain: 1.5 }],
])("%s is a fault", (_, wrong) => {
  expect(statementFault({ ...statement, ...wrong })).not.toBeNull();
});
