// Decides which offsets may be stored: batches finish in any order, but a partition's offset may only advance
// over records that are all done. Pure except for its own state. Invariant: a stored offset is never beyond
// an unfinished batch and never of a partition that was taken away.

export type Handle = { partition: number; next: number; isDone: boolean; queue: Handle[] };
export type Offsets = {
  /** Call it in the order in which records were read. */
  begin(records: readonly { partition: number; offset: number }[]): Handle[];
  end(handles: readonly Handle[]): void;
  revoked(partitions: readonly number[]): void;
};

export function createOffsets(store: (partition: number, next: number) => void): Offsets {
  const queues = new Map<number, Handle[]>();
  return {
    begin(records) {
      const handles = new Map<number, Handle>();
      for (const { partition, offset } of records) {
        const known = handles.get(partition);
        if (known !== undefined) {
          known.next = Math.max(known.next, offset + 1);
          continue;
        }
        let queue = queues.get(partition);
        if (queue === undefined) queues.set(partition, (queue = []));
        const handle = { partition, next: offset + 1, isDone: false, queue };
        queue.push(handle);
        handles.set(partition, handle);
      }
      return [...handles.values()];
    },
    end(handles) {
      for (const handle of handles) {
        handle.isDone = true;
        const { queue, partition } = handle;
        // Revoked since, and perhaps assigned again: then that reading has a queue of its own.
        if (queues.get(partition) !== queue) continue;
        let next = -1;
        while (queue[0]?.isDone) next = (queue.shift() as Handle).next;
        if (next >= 0) store(partition, next);
      }
    },
    revoked(partitions) {
      for (const partition of partitions) queues.delete(partition);
    },
  };
}
