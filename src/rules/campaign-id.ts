const SHAPE = /^(?:cmp_)?([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})$/;

/** The campaign's uuid, in lower case, of either surface's spelling (`cmp_<uuid>` or bare); null when it is neither. */
export const parseCampaignId = (text: string): string | null => SHAPE.exec(text)?.[1]?.toLowerCase() ?? null;

/** A campaign's id as the batch surface spells it. */
export const batchCampaignId = (id: string): string => `cmp_${id}`;
