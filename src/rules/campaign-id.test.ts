import { expect, test } from "vitest";
import { batchCampaignId, parseCampaignId } from "./campaign-id.ts";

const ID = "12345678-1234-1234-1234-123456789abc";

test.each([ID, `cmp_${ID}`, ID.toUpperCase(), batchCampaignId(ID)])("%s names the campaign", (text) => {
  expect(parseCampaignId(text)).toBe(ID);
});

test.each(["", "cmp_", `CMP_${ID}`, `${ID}0`, ` ${ID}`, "cmp_12345678123412341234123456789abc", "1"])("'%s' names no campaign", (text) => {
  expect(parseCampaignId(text)).toBeNull();
});
