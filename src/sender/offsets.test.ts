import { expect, test } from "bun:test";
import { createOffsets, type Handle } from "./offsets.ts";

function offsetsWith() {
  const stored: [number, number][] = [];
  return { stored, offsets: createOffsets((partition, next) => stored.push([partition, next])) };
}

test("offsets only advance over finished batches, in whatever order they end", () => {
  const { stored, offsets } = offsetsWith();
  const first = offsets.begin([
    { partition: 0, offset: 4 },
    { partition: 1, offset: 7 },
    { partition: 0, offset: 5 },
  ]);
  const second = offsets.begin([{ partition: 0, offset: 6 }]);
  offsets.end(second);
  expect(stored).toEqual([]);
  offsets.end(first);
  expect(stored).toEqual([
    [0, 7],
    [1, 8],
  ]);
});

test("nothing is stored for a revoked partition, nor by an older batch when it is assigned again", () => {
  const { stored, offsets } = offsetsWith();
  const before = offsets.begin([{ partition: 0, offset: 10 }]);
  offsets.revoked([0]);
  const again = offsets.begin([{ partition: 0, offset: 10 }]);
  offsets.end(before);
  expect(stored).toEqual([]);
  offsets.end(again);
  expect(stored).toEqual([[0, 11]]);
});

test("a batch stores the offset after its last record of each partition, in whatever order they were read", () => {
  const { stored, offsets } = offsetsWith();
  const read = [7, 9, 8].map((offset) => ({ partition: 1, offset }));
  offsets.end(offsets.begin([...read, { partition: 2, offset: 0 }]));
  expect(stored).toEqual([
    [1, 10],
    [2, 1],
  ]);
});

test("an offset advances to the first record that is not done, whatever batches the records end in", () => {
  const { stored, offsets } = offsetsWith();
  const [first, second, third] = offsets.begin([
    { partition: 0, offset: 0 },
    { partition: 0, offset: 1 },
    { partition: 0, offset: 2 },
  ]) as [Handle, Handle, Handle];
  const [fourth] = offsets.begin([{ partition: 0, offset: 3 }]) as [Handle];
  offsets.end([second, fourth]);
  expect(stored).toEqual([]);
  expect(offsets.open()).toBe(4);
  offsets.end([first]);
  expect(offsets.open()).toBe(2);
  offsets.end([third]);
  expect(offsets.open()).toBe(0);
  expect(stored).toEqual([
    [0, 2],
    [0, 4],
  ]);
});

test("a record of a partition that was taken away is known as such, also when the partition comes back", () => {
  const { offsets } = offsetsWith();
  const [handle] = offsets.begin([{ partition: 0, offset: 0 }]) as [Handle];
  expect(offsets.isRevoked(handle)).toBe(false);
  offsets.revoked([0]);
  expect(offsets.isRevoked(handle)).toBe(true);
  const [again] = offsets.begin([{ partition: 0, offset: 0 }]) as [Handle];
  expect([offsets.isRevoked(handle), offsets.isRevoked(again)]).toEqual([true, false]);
});
