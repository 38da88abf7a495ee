// The import law of ARCHITECTURE.md. Type imports count.
const only = (name, from, allowed, comment) => ({
  name,
  comment,
  severity: "error",
  from: { path: from, pathNot: "\\.test\\.ts$" },
  to: { pathNot: allowed },
});

const pure = "node_modules/(liquidjs|libphonenumber-js|zod)/";

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    { name: "no-cycles", severity: "error", from: {}, to: { circular: true } },
    { name: "resolvable", severity: "error", from: {}, to: { couldNotResolve: true } },
    only("rules-are-pure", "^src/rules/", [`^src/rules/`, pure], "rules know rules, and libraries that reach nothing"),
    only("contract-knows-rules", "^src/contract/", ["^src/(contract|rules)/", pure], "what is said needs only what is true"),
    {
      name: "flow-folders-meet-in-postgres",
      severity: "error",
      from: { path: "^src/flow/([^/]+)/" },
      to: { path: "^src/flow/", pathNot: ["^src/flow/$1/", "^src/flow/provider/port\\.ts$"] },
    },
    { name: "flow-knows-no-door", severity: "error", from: { path: "^src/(flow|runtime|rules|contract)/" }, to: { path: "^src/(doors|main)" } },
    { name: "runtime-knows-no-flow", severity: "error", from: { path: "^src/runtime/" }, to: { path: "^src/(flow|doors)/" } },
    {
      name: "only-runtime-knows-the-driver",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/runtime/|\\.test\\.ts$" },
      to: { path: "node_modules/postgres/" },
    },
    {
      name: "only-providers-and-webhooks-reach-the-network",
      severity: "error",
      from: { path: "^src/(flow|rules|contract)/", pathNot: "^src/flow/(provider|webhook)/|\\.test\\.ts$" },
      to: { path: "node_modules/undici/|^(node:)?(net|tls|http|https|dgram|dns)$" },
    },
    {
      name: "doors-do-not-reach-the-network",
      severity: "error",
      from: { path: "^src/doors/http/", pathNot: "\\.test\\.ts$" },
      to: { path: "node_modules/undici/" },
    },
    { name: "product-knows-no-test", severity: "error", from: { path: "^(src|vendor)/", pathNot: "\\.test\\.ts$" }, to: { path: "^(test|bench)/" } },
    {
      name: "product-knows-the-vendor-only-to-start-it",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/(main|doors/cli/)|\\.test\\.ts$" },
      to: { path: "^vendor/" },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.node.json" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "require", "node", "default", "types"] },
  },
};
