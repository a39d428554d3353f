// Decides which offsets may be stored: records finish in any order, but a partition's offset may only advance
// over records that are all done. Pure except for its own state. Invariant: a stored offset is never beyond
// an unfinished record and never of a partition that was taken away.

/** One record that was read. */
export type Handle = {
  readonly partition: number;
  /** The offset after it. */
  readonly next: number;
  isDone: boolean;
  readonly queue: Handle[];
};
export type Offsets = {
  /** A handle for each record; call it in the order in which records were read. */
  begin(records: readonly { partition: number; offset: number }[]): Handle[];
  end(handles: readonly Handle[]): void;
  /** Its partition was taken away since it was read: whoever has it now reads the record again. */
  isRevoked(handle: Handle): boolean;
  revoked(partitions: readonly number[]): void;
  /** Records that were read and have no stored offset yet, because they or earlier ones are not done. */
  open(): number;
};

export function createOffsets(store: (partition: number, next: number) => void): Offsets {
  const queues = new Map<number, Handle[]>();
  const queueOf = (partition: number): Handle[] => {
    let queue = queues.get(partition);
    if (queue === undefined) queues.set(partition, (queue = []));
    return queue;
  };
  const isRevoked = ({ partition, queue }: Handle) => queues.get(partition) !== queue;
  return {
    begin(records) {
      const handles = records.map(({ partition, offset }): Handle => {
        return { partition, next: offset + 1, isDone: false, queue: queueOf(partition) };
      });
      for (const handle of handles.toSorted((a, b) => a.next - b.next)) handle.queue.push(handle);
      return handles;
    },
    end(handles) {
      const touched = new Map<Handle[], Handle>();
      for (const handle of handles) {
        handle.isDone = true;
        touched.set(handle.queue, handle);
      }
      for (const [queue, handle] of touched) {
        // Revoked since, and perhaps assigned again: then that reading has a queue of its own.
        if (isRevoked(handle)) continue;
        let done = 0;
        while (queue[done]?.isDone) done++;
        const last = queue.splice(0, done).at(-1);
        if (last !== undefined) store(handle.partition, last.next);
      }
    },
    isRevoked,
    revoked(partitions) {
      for (const partition of partitions) queues.delete(partition);
    },
    open: () => [...queues.values()].reduce((sum, { length }) => sum + length, 0),
  };
}
