import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { optOutScope } from "./opt-out.ts";

const scopeOf = (text: string) => optOutScope({ text });

describe("a whole message that asks to stop", () => {
  test.each([
    "STOP",
    "stop",
    "Stop!!!",
    "  *STOP* 🛑",
    "«Stop»",
    "ＳＴＯＰ",
    "STOP STOP STOP",
    "Please stop",
    "Stop, please. Thank you!",
    "Unsubscribe",
    "opt-out",
    "CANCEL",
    "Don’t message me",
    "PARAR",
    "Baja",
    "dar de baja",
    "ARRÊT",
    "ARRE\u0302T",
    "arret",
    "se désabonner s’il vous plaît",
    "STOPP",
    "Abmelden",
    "रोकें",
    "बंद करें।",
    "band karo",
    "إيقاف",
    "ايقاف",
    "הסר",
    "СТОП",
    "İPTAL",
    "iptal",
    "hủy đăng ký",
    "退订",
    "配信停止",
    "수신거부",
  ])("%s", (text) => {
    expect(scopeOf(text)).toBe("all");
  });
});

test.each(["Stop promotions", "No more ads, please", "Keine Werbung!", "प्रमोशन रोकें", "Detener promociones"])(
  "%s concerns advertising only",
  (text) => {
    expect(scopeOf(text)).toBe("marketing");
  },
);

test.each([
  "please don't stop",
  "Don't stop!",
  "non-stop",
  "unstoppable",
  "Where is the bus stop?",
  "stop by tomorrow",
  "I want to cancel my order 17",
  "bajar",
  "Đúng", // Vietnamese: right
  "Huy",
  "acha", // Hindi: fine
  "yes",
  "please",
  "🛑",
  "",
  " ",
  `${"stop ".repeat(100)}`,
])("no opt-out: %j", (text) => {
  expect(scopeOf(text)).toBeNull();
});

describe("buttons", () => {
  test.each([
    [{ payload: "Unsubscribe", label: "Unsubscribe" }, "all"],
    [{ payload: "STOP_PROMOTIONS", label: "Não quero" }, "marketing"],
    [{ payload: "flow-17", label: "Stop promotions" }, "marketing"],
    [{ payload: "stop", label: "Stop promotions" }, "all"],
    [{ payload: "CANCEL", label: "Cancel" }, null], // an appointment, perhaps: the sender chose the word
    [{ payload: "yes", label: "Yes, please" }, null],
    [{}, null],
  ] as const)("%j is %s", (button, scope) => {
    expect(optOutScope({ button })).toBe(scope);
  });
});

describe("properties", () => {
  const word = fc.constantFrom(
    "stop",
    "unsubscribe",
    "opt out",
    "arrêt",
    "désabonnement",
    "रोकें",
    "إلغاء الاشتراك",
    "стоп",
    "수신거부",
    "退订",
    "durdur",
  );
  const noise = fc.stringMatching(/^[\s.,!?*_~"()…🛑🙏-]{0,6}$/u);

  test("letter case, spacing, punctuation and Unicode form make no difference", () => {
    const form = fc.constantFrom("NFC" as const, "NFD" as const, "NFKC" as const, "NFKD" as const);
    const raised = fc.array(fc.boolean(), { minLength: 20, maxLength: 20 });
    fc.assert(
      fc.property(word, noise, noise, form, raised, (text, before, after, unicode, upper) => {
        const mixed = [...text].map((letter, i) => (upper[i] ? letter.toUpperCase() : letter)).join("");
        expect(scopeOf(before + mixed.normalize(unicode) + after)).toBe("all");
      }),
    );
  });

  test("another word beside it makes it a sentence", () => {
    const other = fc.constantFrom("bus", "don't", "never", "não", "nicht", "मत", "لا", "не", "17", "at");
    fc.assert(
      fc.property(word, other, noise, fc.boolean(), (text, beside, between, first) => {
        expect(scopeOf(first ? `${beside} ${between}${text}` : `${text}${between} ${beside}`)).toBeNull();
      }),
    );
  });

  test("no text makes it fail", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => {
        expect([null, "all", "marketing"]).toContain(optOutScope({ text, button: { payload: text, label: text } }));
      }),
    );
  });
});
