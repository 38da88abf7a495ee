import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { codeOf } from "./contender.ts";

/** A process beside a contender's own, whose time is not the contender's: a vendor, a load. It answers each message with one. */
export interface Beside<Question, Answer> {
  ask(question: Question): Promise<Answer>;
  end(): void;
}

/** Starts one of the files of beside/. It ends with the process that started it. */
export function startBeside<Question extends object, Answer>(name: "vendor" | "load"): Beside<Question, Answer> {
  const child = fork(fileURLToPath(codeOf(`beside/${name}.ts`)), { stdio: ["ignore", 2, 2, "ipc"], execArgv: [] });
  return {
    async ask(question) {
      const ended = once(child, "exit").then(() => {
        throw new Error(`the ${name} beside ended`);
      });
      ended.catch(() => {});
      child.send(question);
      const [answer] = await Promise.race([once(child, "message"), ended]);
      return answer as Answer;
    },
    end: () => void child.kill(),
  };
}

/** The other side: answers every message, until the process that started this one is gone. */
export function answerAll<Question, Answer extends object>(answer: (question: Question) => Promise<Answer>): void {
  process.on("disconnect", () => process.exit(0));
  process.on("message", async (question) => process.send?.(await answer(question as Question)));
}
