import { lookup } from "node:dns/promises";
import { BlockList, isIP, type LookupFunction } from "node:net";

/** Where an address leads: into the world, into a private network or this machine, or to where no webhook ever goes. */
export type Reach = "public" | "private" | "never";

interface Resolved {
  readonly address: string;
  readonly family: number;
}
/** All addresses of a name. Rejects as dns.lookup does. */
export type Resolve = (hostname: string) => Promise<readonly Resolved[]>;

/** A name leads where no webhook may go. */
export class ForbiddenAddress extends Error {
  override readonly name = "ForbiddenAddress";

  constructor(hostname: string) {
    super(`${hostname} leads to an internal address. Webhooks go to public ones only, unless WEBHOOKS_ALLOW_PRIVATE is true.`);
  }
}

const subnets = (type: "ipv4" | "ipv6", ranges: readonly string[]): BlockList => {
  const list = new BlockList();
  for (const range of ranges) {
    const [net = "", bits] = range.split("/");
    list.addSubnet(net, Number(bits), type);
  }
  return list;
};

/** IANA's special-purpose registry (RFC 6890 and later), and where clouds answer for the machine: 169.254.169.254 and its like. */
const never4 = subnets("ipv4", [
  "0.0.0.0/8",
  "100.100.100.200/32",
  "168.63.129.16/32",
  "169.254.0.0/16",
  "192.0.0.0/24",
  "192.0.2.0/24",
  "192.88.99.0/24",
  "198.51.100.0/24",
  "203.0.113.0/24",
  "224.0.0.0/4",
  "240.0.0.0/4",
]);
const private4 = subnets("ipv4", ["10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "198.18.0.0/15"]);
/** Of IPv6 only what is handed out to the world is public; these parts of it are not. */
const public6 = subnets("ipv6", ["2000::/3"]);
const never6 = subnets("ipv6", ["2001::/23", "2001:db8::/32", "3fff::/20", "fd00:ec2::254/128"]);
const private6 = subnets("ipv6", ["::1/128", "fc00::/7"]);

/** What is no address leads nowhere. */
export function reachOf(address: string): Reach {
  const family = isIP(address);
  if (family === 4) return reach4(address);
  if (family === 0 || address.includes("%")) return "never";
  const inner = embeddedIn(groupsOf(address));
  if (inner !== null) return reach4(inner);
  if (never6.check(address, "ipv6")) return "never";
  if (private6.check(address, "ipv6")) return "private";
  return public6.check(address, "ipv6") ? "public" : "never";
}

function reach4(address: string): Reach {
  if (never4.check(address, "ipv4")) return "never";
  return private4.check(address, "ipv4") ? "private" : "public";
}

/** The eight groups of an IPv6 address. URL writes all its forms in one. */
function groupsOf(address: string): readonly number[] {
  const [head = "", tail = ""] = new URL(`http://[${address}]`).hostname.slice(1, -1).split("::");
  const [before, after] = [head, tail].map((part) => (part === "" ? [] : part.split(":").map((group) => Number.parseInt(group, 16))));
  const rest = 8 - (before?.length ?? 0) - (after?.length ?? 0);
  return [...(before ?? []), ...new Array<number>(rest).fill(0), ...(after ?? [])];
}

/** The IPv4 address that a packet to this one ends at: mapped (::ffff:0:0/96), 6to4 (2002::/16), NAT64 (64:ff9b::/96). Null: none. */
function embeddedIn(groups: readonly number[]): string | null {
  const begins = (...prefix: readonly number[]) => prefix.every((group, at) => groups[at] === group);
  const dotted = (at: number) => groups.slice(at, at + 2).flatMap((group) => [group >> 8, group & 0xff]);
  if (begins(0, 0, 0, 0, 0, 0xffff) || begins(0x64, 0xff9b, 0, 0, 0, 0)) return dotted(6).join(".");
  return begins(0x2002) ? dotted(1).join(".") : null;
}

export const isAllowed = (address: string, allowPrivate: boolean): boolean => {
  const reach = reachOf(address);
  return reach === "public" || (reach === "private" && allowPrivate);
};

/** The address that the host of a URL is; null: it is a name. */
export function addressOf({ hostname }: URL): string | null {
  const bare = hostname.replace(/^\[(.*)\]$/, "$1");
  return isIP(bare) === 0 ? null : bare;
}

/**
 * The lookup of a socket: it connects to an address that was looked at here, and to no other. Every address of the name must be allowed:
 * one that is not tells more about the name than the others.
 */
export function guardedLookup(resolve: Resolve, allowPrivate: boolean): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname).then(
      (found) => {
        const [first] = found;
        if (first === undefined || !found.every(({ address }) => isAllowed(address, allowPrivate))) callback(new ForbiddenAddress(hostname), "");
        else if (options.all) callback(null, [...found]);
        else callback(null, first.address, first.family);
      },
      (error: NodeJS.ErrnoException) => callback(error, ""),
    );
  };
}

/**
 * The system's names. A lookup takes one of the four threads that also read files, and a dead name server holds it for many seconds:
 * whoever asks for a name that is being looked up waits for the same answer.
 */
export function openResolver(): Resolve {
  const underWay = new Map<string, Promise<readonly Resolved[]>>();
  return (hostname) => {
    const known = underWay.get(hostname);
    if (known !== undefined) return known;
    const asked = lookup(hostname, { all: true, verbatim: true }).finally(() => underWay.delete(hostname));
    underWay.set(hostname, asked);
    return asked;
  };
}
