import type { EventFd } from './kvm-file.ts';

/** Makes an event counter of this thread, like eventfd(2) with initial value zero. */
export const createEventFd = (): EventFd => {
  let count = 0;
  const listeners: (() => void)[] = [];
  return {
    signal(value = 1): void {
      count += value;
      for (const listener of listeners) listener();
    },
    read(): number {
      const value = count;
      count = 0;
      return value;
    },
    listen(listener: () => void): () => void {
      listeners.push(listener);
      return () => {
        const at = listeners.indexOf(listener);
        if (at >= 0) listeners.splice(at, 1);
      };
    },
  };
};
