/**
 * Writes the pages that repeat what the code already says: docs/configuration.md, docs/errors.md, .env.example.
 * `npx tsx docs/generate.ts` writes them; with `--check` it writes nothing and fails when one is stale.
 */
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { statusOf } from "../src/doors/http/problem.ts";
import { type RefusalCode, refusals } from "../src/rules/refusal.ts";
import { readConfig, variables } from "../src/runtime/config.ts";

const NOTICE = "<!-- Written by docs/generate.ts; change the source it names instead. -->";

interface Variable {
  readonly name: string;
  readonly group: string;
  readonly description: string;
  readonly allowed: string;
  readonly secret: boolean;
  readonly fallback: string;
}

const all: Variable[] = Object.entries(variables.shape).map(([name, shape]) => {
  const { group, description, allowed, secret } = shape.meta() ?? {};
  const fallback = shape.safeParse(undefined).data;
  return {
    name,
    group: String(group),
    description: String(description),
    allowed: String(allowed),
    secret: secret === true,
    fallback: fallback === undefined ? "" : String(fallback),
  };
});
const groups = [...new Set(all.map(({ group }) => group))];

function configuration(): string {
  const tables = groups.map((group) => {
    const rows = all
      .filter((variable) => variable.group === group)
      .map(
        ({ name, description, allowed, secret, fallback }) =>
          `| \`${name}\` | ${description}${secret ? " *Secret.*" : ""} | ${allowed} | ${fallback === "" ? "" : `\`${fallback}\``} |`,
      );
    return `## ${group}\n\n| variable | what it is for | allowed | default |\n|---|---|---|---|\n${rows.join("\n")}`;
  });
  const mongo = readConfig({ MONGODB_URI: "mongodb://localhost" }).warnings[0]?.replace(
    "MONGODB_URI is",
    "Any variable that begins with `MONGODB_` is",
  );
  return `${NOTICE}

# Configuration

Campanile reads its environment once, when it starts. A variable that is empty counts as not set. A wrong value stops the start with exit
code 2 and a line that names the variable, the value it has (a secret's is not shown) and what is allowed. Declared in
\`src/runtime/config.ts\`.

${tables.join("\n\n")}

${mongo}
`;
}

function example(): string {
  const blocks = groups.map((group) => {
    const lines = all
      .filter((variable) => variable.group === group)
      .map(({ name, description, allowed, fallback }) => `# ${description}\n# Allowed: ${allowed}.\n#${name}=${fallback}`);
    return `# ---- ${group} ----\n\n${lines.join("\n\n")}`;
  });
  return `# Written by docs/generate.ts. Every line is optional; take away the # of what you set.\n\n${blocks.join("\n\n")}\n`;
}

function errors(): string {
  const rows = Object.entries(refusals).map(([code, text]) => `| \`${code}\` | ${statusOf[code as RefusalCode]} | ${text.replaceAll("|", "\\|")} |`);
  return `${NOTICE}

# Errors

A refused request stored nothing. Its answer is \`application/problem+json\` (RFC 9457) with the status, a \`code\` that never changes its
meaning, and a sentence (\`detail\`, repeated as \`message\`) for whoever reads it. \`errors\` lists every wrong field with its path.
\`{words}\` below are filled in. Declared in \`src/rules/refusal.ts\`; the statuses in \`src/doors/http/problem.ts\`.

| code | HTTP status | says |
|---|---|---|
${rows.join("\n")}
| \`internal\` | 500 | Something failed here. The log has the cause under the request id. |
`;
}

const pages = { "configuration.md": configuration(), "errors.md": errors(), "../.env.example": example() };
const check = process.argv.includes("--check");
for (const [name, text] of Object.entries(pages)) {
  const path = fileURLToPath(new URL(name, import.meta.url));
  const before = await readFile(path, "utf8").catch(() => "");
  if (before === text) continue;
  if (check) {
    process.stderr.write(`${name} is stale: run npx tsx docs/generate.ts\n`);
    process.exitCode = 1;
  } else {
    await writeFile(path, text);
    process.stdout.write(`wrote ${name}\n`);
  }
}
