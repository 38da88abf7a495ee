import { z } from "zod";

/** What a variable's documentation needs beside its description: `allowed` ends the sentence "<NAME> is …; allowed: …". */
interface Note {
  readonly group: "Server" | "Storage" | "WhatsApp" | "Limits" | "Logs";
  readonly description: string;
  readonly allowed: string;
  /** Its value is never printed, logged or shown. */
  readonly secret?: true;
}

const text = (note: Note) =>
  z
    .string()
    .optional()
    .meta({ ...note });
const url = (protocol: RegExp) => z.url({ protocol });
const whole = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,15}$/)
    .transform(Number)
    .pipe(z.number().min(min).max(max));
const oneOf = <const Words extends readonly string[]>(words: Words) => z.string().toLowerCase().pipe(z.enum(words));

const isTimeZone = (zone: string): boolean => {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: zone }) !== null;
  } catch {
    return false;
  }
};

const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;

const databaseUrl = (description: string) =>
  z
    .string()
    .regex(/^postgres(ql)?:\/\/.+/)
    .optional()
    .meta({
      group: "Storage",
      secret: true,
      description,
      allowed: "postgres://user:password@host:5432/database",
    } satisfies Note);

/** Every variable Campanile reads, declared and documented once; docs/configuration.md and .env.example are generated from here. */
export const variables = z.object({
  HOST: z
    .string()
    .default("127.0.0.1")
    .meta({
      group: "Server",
      description: "The address the server listens on. 0.0.0.0 opens it to the network: put TLS in front of it.",
      allowed: "an IP address or a host name",
    } satisfies Note),
  PORT: whole(0, 65_535)
    .default(8080)
    .meta({
      group: "Server",
      description: "The port the server listens on; 0 takes any free one.",
      allowed: "a whole number from 0 to 65535",
    } satisfies Note),
  PUBLIC_URL: url(/^https?$/)
    .optional()
    .meta({
      group: "Server",
      description: "How the world reaches this server; links in messages begin with it.",
      allowed: "an http or https address, such as https://campaigns.example.com",
    } satisfies Note),
  SERVICE_TYPE: oneOf(["server", "worker"] as const)
    .default("server")
    .meta({ group: "Server", description: "worker runs the engine without the HTTP API.", allowed: "server or worker" } satisfies Note),
  CAMPANILE_API_KEY: z
    .string()
    .min(16)
    .optional()
    .meta({
      group: "Server",
      secret: true,
      description: "A key with all rights in the default workspace, made sure of at each start. Without it one is generated and printed once.",
      allowed: "at least 16 characters",
    } satisfies Note),
  WEBHOOKS_ALLOW_PRIVATE: oneOf(["true", "false"] as const)
    .default("false")
    .meta({
      group: "Server",
      description:
        "true lets outgoing webhooks go to addresses of this machine and of private networks, and over plain http. Link-local addresses, " +
        "where clouds hand out credentials, stay closed.",
      allowed: "true or false",
    } satisfies Note),
  DATABASE_URL: databaseUrl("The Postgres (15 or later) to use. Without it an embedded one is started in the data directory."),
  CAMPAIGN_DATABASE_URL: databaseUrl("Another name of DATABASE_URL; DATABASE_URL wins."),
  CAMPANILE_DATA_DIR: z
    .string()
    .default("./.campanile")
    .meta({
      group: "Storage",
      description: "Where the embedded database and the generated secret live. Readable by its owner only.",
      allowed: "a directory",
    } satisfies Note),
  CAMPANILE_WATERMARK_DIR: text({
    group: "Storage",
    description:
      "Where this machine remembers up to when it knew its database, to notice that an older one was restored; the data directory when not set. " +
      "What is restored along with the database notices nothing: with the embedded one, name a directory that no backup puts back.",
    allowed: "a directory that outlives the process",
  }),
  CAMPANILE_SECRET: z
    .string()
    .min(16)
    .optional()
    .meta({
      group: "Storage",
      secret: true,
      description:
        "Encrypts stored credentials. Generated into the data directory (mode 0600) when absent. Who loses it enters every credential again.",
      allowed: "at least 16 characters",
    } satisfies Note),
  META_ACCESS_TOKEN: text({
    group: "WhatsApp",
    secret: true,
    description: "With META_PHONE_NUMBER_ID: creates the default WhatsApp sender at start, or renews its token.",
    allowed: "the system user's token",
  }),
  META_PHONE_NUMBER_ID: z
    .string()
    .regex(/^\d{5,25}$/)
    .optional()
    .meta({
      group: "WhatsApp",
      description: "The phone number id (not the number) that sends.",
      allowed: "5 to 25 digits, as WhatsApp Manager shows it",
    } satisfies Note),
  META_WABA_ID: z
    .string()
    .regex(/^\d{5,25}$/)
    .optional()
    .meta({
      group: "WhatsApp",
      description: "The WhatsApp Business Account; templates are read from it.",
      allowed: "5 to 25 digits, as WhatsApp Manager shows it",
    } satisfies Note),
  META_APP_SECRET: text({ group: "WhatsApp", secret: true, description: "Verifies the signature of webhooks.", allowed: "the app's secret" }),
  META_VERIFY_TOKEN: text({
    group: "WhatsApp",
    secret: true,
    description: "What Meta must say when it registers the webhook address.",
    allowed: "any text, the same as at Meta",
  }),
  META_API_BASE: url(/^https?$/)
    .default("https://graph.facebook.com")
    .meta({
      group: "WhatsApp",
      description: "Where the Graph API is; the simulator's address for rehearsals.",
      allowed: "an http or https address",
    } satisfies Note),
  META_API_VERSION: z
    .string()
    .regex(/^v\d{1,3}\.\d{1,2}$/)
    .default("v25.0")
    .meta({ group: "WhatsApp", description: "The pinned version of the Graph API.", allowed: "vNN.N, such as v25.0" } satisfies Note),
  DAILY_CAP: whole(0, 100_000_000)
    .default(200)
    .meta({
      group: "Limits",
      description: "Unique recipients a new WhatsApp sender may open in 24 hours.",
      allowed: "a whole number from 0 to 100000000",
    } satisfies Note),
  DAILY_CAP_WINDOW: oneOf(["rolling", "calendar"] as const)
    .default("rolling")
    .meta({
      group: "Limits",
      description: "How the cap counts: any 24 hours, as Meta does, or the days of DAILY_CAP_TIME_ZONE.",
      allowed: "rolling or calendar",
    } satisfies Note),
  DAILY_CAP_TIME_ZONE: z
    .string()
    .refine(isTimeZone)
    .default("UTC")
    .meta({
      group: "Limits",
      description: "Whose midnight begins a calendar day.",
      allowed: "an IANA time zone, such as Asia/Kolkata",
    } satisfies Note),
  DISK_FREE_BYTES_MIN: whole(0, 1024 ** 4)
    .default(256 * 1024 ** 2)
    .meta({
      group: "Limits",
      description:
        "With fewer bytes free on the disk of the database, when that is on this machine, nothing is sent until there is more: Postgres would stop altogether. 0: never mind.",
      allowed: "a whole number from 0 to 1099511627776",
    } satisfies Note),
  CSV_BYTES_MAX: whole(1024, 1024 ** 4)
    .default(2 * 1024 ** 3)
    .meta({
      group: "Limits",
      description: "The largest CSV file an upload may bring, in bytes. Files are streamed: memory does not grow with them.",
      allowed: "a whole number from 1024 to 1099511627776",
    } satisfies Note),
  LOG_LEVEL: z
    .string()
    .toLowerCase()
    .transform((level) => (level === "warning" ? "warn" : level))
    .pipe(z.enum(logLevels))
    .default("info")
    .meta({ group: "Logs", description: "The least important line that is written.", allowed: `one of ${logLevels.join(", ")}` } satisfies Note),
  DEBUG: text({ group: "Logs", description: "campaign-messaging in it (a comma list) turns debug logs on.", allowed: "any text" }),
});

type Variables = z.infer<typeof variables>;
export type LogLevel = (typeof logLevels)[number];

/** The environment cannot be used; the message has one line for each variable that is wrong. The process ends with exit code 2. */
export class WrongConfiguration extends Error {
  override readonly name = "WrongConfiguration";
}

const shown = (name: keyof Variables, env: Readonly<Record<string, string | undefined>>): string =>
  variables.shape[name].meta()?.secret === true ? "set to a value that cannot be used (secret, not shown)" : JSON.stringify(env[name]);

function parse(env: Readonly<Record<string, string | undefined>>): Variables {
  const result = variables.safeParse(env);
  if (result.success) return result.data;
  const names = [...new Set(result.error.issues.map((issue) => String(issue.path[0])))] as (keyof Variables)[];
  const lines = names.map((name) => `${name} is ${shown(name, env)}; allowed: ${variables.shape[name].meta()?.allowed}.`);
  throw new WrongConfiguration(lines.join("\n"));
}

function warningsOf(env: Readonly<Record<string, string | undefined>>): string[] {
  const names = Object.keys(env).filter((name) => env[name] !== "" && !(name in variables.shape));
  const mongo = names.filter((name) => name.startsWith("MONGODB_"));
  const unknown = names.filter((name) => name.startsWith("CAMPANILE_") || name.startsWith("META_"));
  return [
    ...mongo.map((name) => `${name} is ignored: Campanile keeps everything in Postgres.`),
    ...unknown.map((name) => `${name} is not a setting Campanile knows; it is ignored.`),
  ];
}

function metaOf(values: Variables) {
  const { META_ACCESS_TOKEN: accessToken, META_PHONE_NUMBER_ID: phoneNumberId } = values;
  if ((accessToken === undefined) !== (phoneNumberId === undefined)) {
    const [set, missing] = accessToken ? ["META_ACCESS_TOKEN", "META_PHONE_NUMBER_ID"] : ["META_PHONE_NUMBER_ID", "META_ACCESS_TOKEN"];
    throw new WrongConfiguration(`${missing} is not set although ${set} is; allowed: both (a default WhatsApp sender is made) or neither.`);
  }
  if (accessToken === undefined || phoneNumberId === undefined) return undefined;
  return { accessToken, phoneNumberId, wabaId: values.META_WABA_ID };
}

/**
 * Reads and checks the environment once. An empty value counts as not set.
 * @throws {WrongConfiguration} naming each wrong variable, its value (never a secret's) and what is allowed
 */
export function readConfig(environment: Readonly<Record<string, string | undefined>>) {
  const env = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== undefined && value.trim() !== ""));
  const values = parse(env);
  const debug = (values.DEBUG ?? "").split(/[\s,]+/).some((word) => word === "campaign-messaging" || word === "*");
  return Object.freeze({
    host: values.HOST,
    port: values.PORT,
    publicUrl: values.PUBLIC_URL,
    serviceType: values.SERVICE_TYPE,
    apiKey: values.CAMPANILE_API_KEY,
    webhooksAllowPrivate: values.WEBHOOKS_ALLOW_PRIVATE === "true",
    databaseUrl: values.DATABASE_URL ?? values.CAMPAIGN_DATABASE_URL,
    dataDir: values.CAMPANILE_DATA_DIR,
    watermarkDir: values.CAMPANILE_WATERMARK_DIR ?? values.CAMPANILE_DATA_DIR,
    secret: values.CAMPANILE_SECRET,
    /** The default WhatsApp sender; undefined when the environment names none. */
    defaultSender: metaOf(values),
    appSecret: values.META_APP_SECRET,
    verifyToken: values.META_VERIFY_TOKEN,
    apiBase: values.META_API_BASE,
    apiVersion: values.META_API_VERSION,
    dailyCap: values.DAILY_CAP,
    /** Null: any rolling 24 hours. */
    capCalendarZone: values.DAILY_CAP_WINDOW === "calendar" ? values.DAILY_CAP_TIME_ZONE : null,
    diskFreeBytesMin: values.DISK_FREE_BYTES_MIN,
    csvBytesMax: values.CSV_BYTES_MAX,
    logLevel: debug && values.LOG_LEVEL !== "trace" ? ("debug" as const) : values.LOG_LEVEL,
    warnings: Object.freeze(warningsOf(env)),
  });
}

export type Config = ReturnType<typeof readConfig>;
