import type { Rendering } from "../../rules/message.ts";
import { compileMessage } from "../../rules/message-render.ts";
import { Refusal } from "../../rules/refusal.ts";
import { type ContactValues, recipientVariables } from "../../rules/variables.ts";
import type { Sql } from "../../runtime/postgres.ts";
import { messageOf, type NewCampaign } from "./create.ts";
import { readSender } from "./create-store.ts";
import { readContactValues } from "./preview-store.ts";

export type Preview = Pick<NewCampaign, "workspaceId" | "message" | "variables"> & {
  readonly senderId: string;
  /** Whom it would be said to: a contact, or somebody made up. */
  readonly to: { readonly contactId: string } | { readonly person: { readonly [Field in keyof ContactValues]?: ContactValues[Field] | undefined } };
};

/**
 * A message as one person would get it, or why that person would not; nothing is stored or sent.
 * @throws {Refusal} not_found (sender, contact), and as createCampaign for a message nobody could get
 */
export async function previewMessage(sql: Sql, preview: Preview): Promise<Rendering> {
  const { workspaceId, senderId, to, variables } = preview;
  const [sender] = await readSender(sql, workspaceId, senderId);
  if (sender === undefined) throw new Refusal("not_found", { what: "sender", id: senderId });
  const message = await messageOf(sql, { ...preview, name: "preview", surface: "engine", audience: { type: "all" } }, sender);
  const values = "contactId" in to ? await contactOf(sql, { workspaceId, contactId: to.contactId }) : to.person;
  const { phone = null, email = null, firstName = null, lastName = null, company = null, attributes = {} } = values;
  return compileMessage(message).render(recipientVariables({ phone, email, firstName, lastName, company, attributes }, variables));
}

async function contactOf(sql: Sql, ref: { workspaceId: string; contactId: string }): Promise<ContactValues> {
  const [values] = await readContactValues(sql, ref);
  if (values === undefined) throw new Refusal("not_found", { what: "contact", id: ref.contactId });
  return values;
}
