// The whole page is a function of what the server last said: load() fetches, draw() shows it, buttons ask and load again.

const POLL_MS = 1_000;
const POLL_AFTER_ERROR_MS = 5_000;
const RECENT = 8;

const byId = (id) => document.getElementById(id);
const shown = (name) => document.querySelector(`[data-of="${name}"]`);
const count = new Intl.NumberFormat();
const instant = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit" });
const shortInstant = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });

/** The key lives in this tab only. */
const key = {
  get: () => sessionStorage.getItem("key"),
  set: (value) => sessionStorage.setItem("key", value),
  forget: () => sessionStorage.removeItem("key"),
};

let current = null; // the campaign on the screen, as the server sent it
const working = new Set(); // the buttons whose request is under way
let timer = 0;

/** Asks the server. An error is the server's own sentence. */
async function ask(method, path, body) {
  let response;
  try {
    response = await fetch(path, {
      method,
      headers: { authorization: `Bearer ${key.get()}`, ...(body ? { "content-type": "application/json" } : {}) },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
  } catch {
    throw new Error("The server cannot be reached. Trying again.");
  }
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  if (response.status === 401) signOut();
  throw Object.assign(new Error(answer.message ?? `The server answered ${response.status}.`), { status: response.status });
}

function complain(error) {
  byId("problem").hidden = !error;
  byId("problem").textContent = error ? error.message : "";
}

function signOut() {
  key.forget();
  current = null;
  draw();
}

const idInAddress = () => decodeURIComponent(location.hash.slice(1));

/** Fetches the campaign in the address and goes on doing so while it can be seen. */
async function load() {
  clearTimeout(timer);
  const id = idInAddress();
  if (!key.get() || !id) return;
  let rest = POLL_MS;
  try {
    const { campaign } = await ask("GET", `/api/campaigns/${encodeURIComponent(id)}`);
    if (id === idInAddress()) {
      if (current === null) complain(null);
      current = campaign;
    }
  } catch (error) {
    rest = POLL_AFTER_ERROR_MS;
    if (error.status === 404 || error.status === 403) {
      current = null;
      byId("recent").open = true;
      rest = 0;
    }
    complain(error);
  }
  draw();
  clearTimeout(timer); // two may have been under way
  if (rest && key.get() && !document.hidden) timer = setTimeout(load, rest);
}

async function loadRecent() {
  try {
    const { data } = await ask("GET", `/api/v1/campaigns?limit=${RECENT}`);
    drawRecent(data);
  } catch (error) {
    complain(error);
  }
}

/** What each state allows; the server has the last word. */
const allowed = {
  start: ({ status }) => status === "DRAFT",
  pause: ({ status }) => ["RUNNING", "SCHEDULED", "PREPARING"].includes(status),
  resume: ({ status }) => status === "PAUSED",
  execute: ({ status }) => status === "RUNNING",
};

async function act(action) {
  working.add(action);
  complain(null);
  draw();
  const path = `/api/campaigns/${encodeURIComponent(current.id)}`;
  try {
    if (action === "execute") await ask("POST", `${path}/execute-batch`);
    else await ask("POST", `${path}/control`, { action });
  } catch (error) {
    complain(error);
  }
  working.delete(action);
  await Promise.all([load(), loadRecent()]);
}

function draw() {
  const open = key.get() !== null;
  byId("enter").hidden = open;
  byId("forget").hidden = !open;
  byId("choose").hidden = !open;
  byId("campaign").hidden = !open || current === null;
  if (open && current) drawCampaign(current);
}

function drawCampaign(campaign) {
  const { sent, failed, skipped, uncertain, pending } = campaign;
  const total = sent + failed + skipped + uncertain + pending;
  const put = (name, text) => {
    const element = shown(name);
    if (element.textContent !== text) element.textContent = text;
  };
  put("name", campaign.name);
  put("about", [campaign.id, campaign.templateName].filter(Boolean).join(" · "));
  put("status", campaign.status.toLowerCase());
  shown("status").dataset.status = campaign.status.toLowerCase();
  put("pauseReason", campaign.pauseReason ?? "");
  shown("pauseReason").hidden = !campaign.pauseReason;
  put("progress", `${campaign.progress} %`);
  put("settled", total === 0 ? "No recipients yet" : `${count.format(total - pending)} of ${count.format(total)}`);
  for (const [name, value] of Object.entries({ sent, failed, skipped, uncertain, pending })) put(name, count.format(value));
  const track = document.querySelector(".track[role=progressbar]");
  track.setAttribute("aria-valuenow", String(campaign.progress));
  for (const [name, value] of Object.entries({ sent, failed, skipped, uncertain })) {
    track.querySelector(`.${name}`).style.width = `${total === 0 ? 0 : (value / total) * 100}%`;
  }
  for (const button of document.querySelectorAll("[data-action]")) {
    const { action } = button.dataset;
    button.disabled = working.has(action) || !allowed[action](campaign);
    button.setAttribute("aria-busy", String(working.has(action)));
    if (action === "execute") button.textContent = working.has(action) ? "Sending…" : "Execute Batch (25)";
  }
  drawLimit(campaign.dailyLimit);
  put("lastBatch", sentenceOf(campaign.lastBatch));
  drawTimes(campaign);
}

function drawLimit({ used, cap, nextFreeAt }) {
  document.querySelector(".used").style.width = `${cap ? Math.min(100, (used / cap) * 100) : 0}%`;
  const amount = cap === null ? `${count.format(used)} used, no limit` : `${count.format(used)} of ${count.format(cap)} used`;
  const free = nextFreeAt ? `. The next is free ${shortInstant.format(new Date(nextFreeAt))}` : "";
  shown("limit").textContent = `${amount}${free}.`;
}

function sentenceOf(batch) {
  if (!batch) return "None yet.";
  const parts = ["sent", "failed", "skipped", "uncertain", "deferred"]
    .filter((name) => batch[name] > 0)
    .map((name) => `${count.format(batch[name])} ${name}`);
  const figures = parts.length === 0 ? "Nobody was processed." : `${count.format(batch.processed)} processed: ${parts.join(", ")}.`;
  return `${figures}${batch.pauseReason ? ` ${batch.pauseReason}.` : ""}`;
}

function drawTimes(campaign) {
  const times = { Created: campaign.createdAt, Started: campaign.startedAt, Paused: campaign.pausedAt, Completed: campaign.completedAt };
  const entries = Object.entries(times).filter(([, at]) => at);
  const parts = entries.flatMap(([name, at]) => [element("dt", name), element("dd", instant.format(new Date(at)))]);
  shown("times").replaceChildren(...parts);
}

function drawRecent(campaigns) {
  byId("recent").hidden = campaigns.length === 0;
  const rows = campaigns.map((campaign) => {
    const button = element("button");
    button.type = "button";
    const status = element("span", campaign.status, "status");
    status.dataset.status = campaign.status;
    button.append(element("span", campaign.name, "name"), element("span", shortInstant.format(new Date(campaign.createdAt)), "when"), status);
    button.addEventListener("click", () => {
      location.hash = `cmp_${campaign.id}`;
    });
    const row = element("li");
    row.append(button);
    return row;
  });
  document.querySelector("#recent ul").replaceChildren(...rows);
}

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function open() {
  byId("id").value = idInAddress();
  byId("recent").open = idInAddress() === "";
  current = null;
  complain(null);
  draw();
  return load();
}

byId("enter").addEventListener("submit", async (event) => {
  event.preventDefault();
  key.set(byId("key").value.trim());
  byId("key").value = "";
  complain(null);
  draw();
  await loadRecent();
  if (key.get()) await open();
});

byId("forget").addEventListener("click", () => {
  complain(null);
  signOut();
});

byId("load").addEventListener("submit", (event) => {
  event.preventDefault();
  const id = byId("id").value.trim();
  if (id === idInAddress()) open();
  else location.hash = id;
});

for (const button of document.querySelectorAll("[data-action]")) button.addEventListener("click", () => act(button.dataset.action));
byId("recent").addEventListener("toggle", () => {
  if (byId("recent").open) loadRecent();
});
addEventListener("hashchange", open);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) load();
});

draw();
if (key.get()) {
  loadRecent();
  open();
}
