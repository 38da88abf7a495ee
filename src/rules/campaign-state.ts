/**
 * A campaign's life as a table. The diagram in ARCHITECTURE.md, the database's trigger (campaign_transition) and the doors' answers
 * follow this object; tests hold them together.
 */
export const campaignStates = ["draft", "scheduled", "preparing", "running", "paused", "completed", "stopped", "failed"] as const;
export type CampaignState = (typeof campaignStates)[number];

export type CampaignEvent = "start" | "plan" | "run" | "pause" | "resume" | "complete" | "stop" | "fail";

export const transitions: Record<CampaignState, Partial<Record<CampaignEvent, CampaignState>>> = {
  draft: { start: "scheduled", plan: "preparing", stop: "stopped" },
  scheduled: { plan: "preparing", pause: "paused", stop: "stopped", fail: "failed" },
  preparing: { run: "running", complete: "completed", pause: "paused", stop: "stopped", fail: "failed" },
  /** A planned campaign resumes to running, one paused before it was planned to scheduled. */
  running: { pause: "paused", complete: "completed", stop: "stopped", fail: "failed" },
  paused: { resume: "scheduled", run: "running", complete: "completed", stop: "stopped", fail: "failed" },
  completed: {},
  stopped: {},
  failed: {},
};
