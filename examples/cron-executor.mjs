// Drives a campaign from a scheduler, without a process of ours: run this each minute.
//   * * * * *  CAMPANILE_URL=https://campaigns.example.com CAMPANILE_API_KEY=cpk_… node examples/cron-executor.mjs cmp_…
const [, , campaignId] = process.argv;
const { CAMPANILE_URL: url = "http://127.0.0.1:8080", CAMPANILE_API_KEY: key } = process.env;
if (campaignId === undefined || key === undefined) {
  console.error("usage: CAMPANILE_API_KEY=… node cron-executor.mjs <campaign id>");
  process.exit(2);
}

// 25 recipients a call, 50 ms apart: a minute has room for several calls. Each may be repeated, or overlap the next, without harm.
const until = Date.now() + 50_000;
while (Date.now() < until) {
  const answer = await fetch(`${url}/api/campaigns/${campaignId}/execute-batch`, { method: "POST", headers: { authorization: `Bearer ${key}` } });
  const { success, result, message } = await answer.json();
  if (!success) throw new Error(message);
  console.log(result);
  if (result.paused || result.completed || result.processed === 0) break;
}
