/** A heap of things by the instant they are due; equals leave in the order they came. */
export interface DueHeap<T> {
  push(dueAt: number, item: T): void;
  /** The earliest if it is due by `now`. */
  pop(now: number): T | null;
  nextAt(): number | null;
  size(): number;
  clear(): void;
}

interface Node<T> {
  readonly dueAt: number;
  readonly order: number;
  readonly item: T;
}

export function dueHeap<T>(): DueHeap<T> {
  let nodes: Node<T>[] = [];
  let pushed = 0;
  const before = (a: Node<T>, b: Node<T>) => a.dueAt < b.dueAt || (a.dueAt === b.dueAt && a.order < b.order);

  const rise = (from: number, node: Node<T>) => {
    let at = from;
    while (at > 0) {
      const parentAt = (at - 1) >> 1;
      const parent = nodes[parentAt];
      if (!parent || !before(node, parent)) break;
      nodes[at] = parent;
      at = parentAt;
    }
    nodes[at] = node;
  };
  const sink = (node: Node<T>) => {
    let at = 0;
    for (;;) {
      const left = nodes[2 * at + 1];
      const right = nodes[2 * at + 2];
      const child = right && left && before(right, left) ? right : left;
      if (!child || !before(child, node)) break;
      nodes[at] = child;
      at = child === right ? 2 * at + 2 : 2 * at + 1;
    }
    nodes[at] = node;
  };
  return {
    push(dueAt, item) {
      const node = { dueAt, order: pushed++, item };
      nodes.push(node);
      rise(nodes.length - 1, node);
    },
    pop(now) {
      const [first] = nodes;
      if (!first || first.dueAt > now) return null;
      const last = nodes.pop();
      if (last && last !== first) sink(last);
      return first.item;
    },
    nextAt: () => nodes[0]?.dueAt ?? null,
    size: () => nodes.length,
    clear() {
      nodes = [];
    },
  };
}
