// The example of the engine API: makes a campaign, starts it, and prints its progress until it is completed. Run it against a server:
//
//   CAMPANILE_API_KEY=… ACCOUNT_ID=<a sender's id> SEGMENT_ID=<a segment's id> node examples/engine-api.mjs
//
// ACCOUNT_ID: GET /api/v1/senders lists them. SEGMENT_ID: POST /api/v1/segments makes one. A text reaches people who wrote to the number in
// the last 24 hours; others need a template. The client is the stock socket.io-client.
import { io } from "socket.io-client";

const { CAMPANILE_URL = "http://127.0.0.1:8080", CAMPANILE_API_KEY: key, ACCOUNT_ID: accountId, SEGMENT_ID: segmentId } = process.env;

async function post(path, body) {
  const answer = await fetch(`${CAMPANILE_URL}${path}`, {
    method: "POST",
    headers: { Authorization: `Bearer ${key}`, ...(body ? { "Content-Type": "application/json" } : {}) },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
  const said = await answer.json();
  if (!answer.ok) throw new Error(`${answer.status} ${said.code}: ${said.message}`);
  return said;
}

// 1. Create campaign
const { data: campaign } = await post("/api/v1/campaigns", {
  accountId,
  name: "Product Launch Campaign",
  messageType: "text",
  messageContent: "Hi {{firstName}}, check out our new product!",
  audienceType: "segment",
  audienceConfig: { segmentId },
  scheduleType: "manual",
  throttleConfig: { messagesPerMinute: 20, batchSize: 100, delayBetweenBatches: 5000 },
});

// 2. Listen for progress updates, before anything happens
const socket = io(CAMPANILE_URL, { auth: { token: key } });
await new Promise((resolve, reject) => socket.once("ready", resolve).once("connect_error", reject));
const isOurs = ({ campaignId }) => campaignId === campaign.id;

socket.on("campaign:progress", (data) => {
  if (!isOurs(data)) return;
  console.log(`Campaign ${data.campaignId}: ${data.progress}% complete`);
  console.log(`Processed: ${data.processedCount}/${data.totalRecipients}`);
});

socket.on("campaign:completed", (data) => {
  if (!isOurs(data)) return;
  console.log("Campaign completed:", data.campaign);
  socket.disconnect();
});

for (const name of ["campaign:failed", "campaign:paused", "campaign:stopped"]) {
  socket.on(name, (data) => {
    if (isOurs(data)) console.log(`${name}: ${data.error ?? data.reason ?? ""}`);
  });
}

// 3. Start campaign
const result = await post(`/api/v1/campaigns/${campaign.id}/start`);
console.log(result.message);
