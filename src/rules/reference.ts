/** Names one attempt of one message. Sent along with it and echoed in receipts, also before our own outcome is stored. */
export interface Reference {
  readonly campaignId: string;
  readonly stage: number;
  readonly position: number;
  readonly attempt: number;
}

const SHAPE = /^c1\.([0-9a-f]{32})\.(\d{1,5})\.(\d{1,10})\.(\d{1,5})\.([0-9a-f]{8})$/;

/** FNV-1a, 32 bit: tells a damaged or foreign string from ours. It is no signature; receipts are authenticated by their webhook. */
function sumOf(text: string, sum = 0x811c9dc5): number {
  for (let i = 0; i < text.length; i++) sum = Math.imul(sum ^ text.charCodeAt(i), 0x01000193);
  return sum;
}
const written = (sum: number) => (sum >>> 0).toString(16).padStart(8, "0");

/** The beginning of all references of the campaign that sends just now, and its sum: half of what a reference costs, a million times the same. */
let beginning = { campaignId: "", text: "", sum: 0 };

function beginningOf(campaignId: string): typeof beginning {
  if (beginning.campaignId === campaignId) return beginning;
  const text = `c1.${campaignId.replaceAll("-", "")}.`;
  beginning = { campaignId, text, sum: sumOf(text) };
  return beginning;
}

/** `c1.<campaign, 32 hex>.<stage>.<position>.<attempt>.<checksum>`: at most 72 characters, of the 512 WhatsApp allows. */
export function formatReference({ campaignId, stage, position, attempt }: Reference): string {
  const { text, sum } = beginningOf(campaignId);
  const rest = `${stage}.${position}.${attempt}`;
  return `${text}${rest}.${written(sumOf(rest, sum))}`;
}

/** The reference a string holds; null when it is not one of ours. */
export function parseReference(text: string): Reference | null {
  const match = SHAPE.exec(text);
  if (!match) return null;
  const [, hex = "", stage, position, attempt, sum] = match;
  if (written(sumOf(text.slice(0, text.lastIndexOf(".")))) !== sum) return null;
  const campaignId = hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  return { campaignId, stage: Number(stage), position: Number(position), attempt: Number(attempt) };
}
