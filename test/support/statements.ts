/** The code of a request for encryption, which comes in place of the start-up message. */
const SSL_REQUEST = 80_877_103;

/**
 * Reads what a client says to Postgres, chunk by chunk, and tells which statements it executes in each. A prepared statement's text is
 * said once and its name from then on, so the names are remembered.
 */
export function statementReader(): (chunk: Buffer) => string[] {
  const named = new Map<string, string>();
  const bound = new Map<string, string>();
  let rest: Buffer = Buffer.alloc(0);
  let started = false;

  function executed(type: string, body: Buffer): string | undefined {
    switch (type) {
      case "Q":
        return textAt(body, 0).text;
      case "P": {
        const name = textAt(body, 0);
        named.set(name.text, textAt(body, name.end).text);
        return undefined;
      }
      case "B": {
        const portal = textAt(body, 0);
        bound.set(portal.text, named.get(textAt(body, portal.end).text) ?? "");
        return undefined;
      }
      case "E":
        return bound.get(textAt(body, 0).text);
      default:
        return undefined;
    }
  }

  return (chunk) => {
    const statements: string[] = [];
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    for (;;) {
      const head = started ? 1 : 0;
      if (rest.length < head + 4) return statements;
      const size = head + rest.readInt32BE(head);
      if (rest.length < size) return statements;
      const message = rest.subarray(0, size);
      rest = rest.subarray(size);
      if (started) {
        const statement = executed(String.fromCharCode(message[0] ?? 0), message.subarray(5));
        if (statement !== undefined) statements.push(statement);
      } else started = message.readInt32BE(4) !== SSL_REQUEST;
    }
  };
}

function textAt(body: Buffer, from: number): { text: string; end: number } {
  const end = body.indexOf(0, from);
  return { text: body.toString("utf8", from, end), end: end + 1 };
}
