import fc from "fast-check";
import { expect, test } from "vitest";
import { dueHeap } from "./due.ts";

test("things leave by due time, equals in the order they came, none before it is due", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 60 }), fc.integer({ min: 0, max: 20 }), (dues, now) => {
      const heap = dueHeap<{ due: number; order: number }>();
      for (const [order, due] of dues.entries()) heap.push(due, { due, order });
      const out: { due: number; order: number }[] = [];
      for (let item = heap.pop(now); item; item = heap.pop(now)) out.push(item);
      const expected = dues
        .map((due, order) => ({ due, order }))
        .filter(({ due }) => due <= now)
        .toSorted((a, b) => a.due - b.due || a.order - b.order);
      expect(out).toEqual(expected);
      expect(heap.size()).toBe(dues.length - expected.length);
      expect(heap.nextAt()).toBe(expected.length === dues.length ? null : Math.min(...dues.filter((due) => due > now)));
    }),
  );
});
