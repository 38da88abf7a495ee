import { askGraph, type GraphDoor, type Shape, shapeOf } from "./graph.ts";

const TEMPLATES_PAGE = 100;
/** A portfolio has 6,000 templates at most. */
const PAGES_MAX = 100;

/** What the vendor says about a phone number. Names as in the Graph API, in camelCase. */
export interface PhoneNumber {
  readonly displayPhoneNumber: string | null;
  readonly verifiedName: string | null;
  readonly status: string | null;
  readonly qualityRating: string | null;
  readonly nameStatus: string | null;
  /** STANDARD: 80 messages per second; HIGH: 1,000. */
  readonly throughput: string | null;
  /** TIER_250 and so on. */
  readonly messagingLimit: string | null;
}

const phoneNumberFields = "display_phone_number,verified_name,status,quality_rating,name_status,throughput,whatsapp_business_manager_messaging_limit";

/** The connect test: whoever can read the number can send from it, once its token has the permission. Refusals as askGraph. */
export async function readPhoneNumber(door: GraphDoor, phoneNumberId: string): Promise<PhoneNumber> {
  const answer = await askGraph(door, `${phoneNumberId}?fields=${phoneNumberFields}`);
  const text = (name: string) => textOf(answer[name]);
  return {
    displayPhoneNumber: text("display_phone_number"),
    verifiedName: text("verified_name"),
    status: text("status"),
    qualityRating: text("quality_rating"),
    nameStatus: text("name_status"),
    throughput: textOf(shapeOf(answer["throughput"])?.["level"]),
    messagingLimit: text("whatsapp_business_manager_messaging_limit"),
  };
}

/** `TIER_2K` → 2000; null: unlimited; undefined: Meta does not say (the field may be absent, or TIER_NOT_SET). */
export function capOfTier(tier: string | null): number | null | undefined {
  if (tier === "TIER_UNLIMITED") return null;
  const [, digits, thousands] = /^TIER_(\d{1,6})(K?)$/.exec(tier ?? "") ?? [];
  return digits === undefined ? undefined : Number(digits) * (thousands ? 1_000 : 1);
}

export interface Health {
  /** AVAILABLE, LIMITED or BLOCKED. */
  readonly canSendMessage: string;
  /** What limits or blocks it, in Meta's words, for each of phone number, account, business and app. */
  readonly entities: readonly { readonly type: string; readonly id: string; readonly canSendMessage: string; readonly notes: readonly string[] }[];
}

/** A payment problem or an unverified business answers every send with 200 and delivers nothing; only this tells. Refusals as askGraph. */
export async function readHealth(door: GraphDoor, phoneNumberId: string): Promise<Health> {
  const answer = await askGraph(door, `${phoneNumberId}?fields=health_status`);
  const status = shapeOf(answer["health_status"]) ?? {};
  return {
    canSendMessage: textOf(status["can_send_message"]) ?? "UNKNOWN",
    entities: shapesOf(status["entities"]).map((entity) => ({
      type: textOf(entity["entity_type"]) ?? "",
      id: textOf(entity["id"]) ?? "",
      canSendMessage: textOf(entity["can_send_message"]) ?? "UNKNOWN",
      notes: [...listOf(entity["additional_info"]).map(String), ...shapesOf(entity["errors"]).map(noteOf)],
    })),
  };
}

const noteOf = (error: Shape) =>
  [error["error_code"], error["error_description"], error["possible_solution"]].filter((part) => part !== undefined).join(" – ");

export interface ListedTemplate {
  readonly name: string;
  readonly language: string;
  readonly category: string;
  readonly status: string;
  readonly parameterFormat: "POSITIONAL" | "NAMED";
  readonly components: readonly unknown[];
  readonly externalId: string;
}

/** Every template of an account, page by page, whatever its status. Refusals as askGraph. */
export async function* listAccountTemplates(door: GraphDoor, wabaId: string): AsyncGenerator<ListedTemplate[]> {
  const fields = "name,category,status,parameter_format,components,language,quality_score,id";
  let after: string | null = null;
  for (let page = 0; page < PAGES_MAX; page++) {
    const cursor = after === null ? "" : `&after=${encodeURIComponent(after)}`;
    const answer: Shape = await askGraph(door, `${wabaId}/message_templates?fields=${fields}&limit=${TEMPLATES_PAGE}${cursor}`);
    yield shapesOf(answer["data"]).flatMap(templateOf);
    const paging = shapeOf(answer["paging"]);
    const next = textOf(shapeOf(paging?.["cursors"])?.["after"]);
    if (textOf(paging?.["next"]) === null || next === null || next === after) return;
    after = next;
  }
}

function templateOf(listed: Shape): ListedTemplate[] {
  const [name, language, externalId] = [textOf(listed["name"]), textOf(listed["language"]), textOf(listed["id"])];
  if (name === null || language === null || externalId === null) return [];
  return [
    {
      name,
      language,
      externalId,
      category: textOf(listed["category"]) ?? "UNKNOWN",
      status: textOf(listed["status"]) ?? "UNKNOWN",
      parameterFormat: textOf(listed["parameter_format"])?.toUpperCase() === "NAMED" ? "NAMED" : "POSITIONAL",
      components: listOf(listed["components"]),
    },
  ];
}

/** Ids come as text in one place and as number in another. */
const textOf = (value: unknown): string | null =>
  typeof value === "string" && value !== "" ? value : typeof value === "number" ? String(value) : null;
const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
const shapesOf = (value: unknown): Shape[] =>
  listOf(value)
    .map(shapeOf)
    .filter((shape) => shape !== null);
