import { expect, test } from 'vitest';
import { createEventFd } from './event-fd.ts';

test('signals add up until read, and wake each listener', () => {
  const event = createEventFd();
  let woken = 0;
  const stop = event.listen(() => woken++);
  event.signal();
  event.signal(3);
  expect(woken).toBe(2);
  expect([event.read(), event.read()]).toEqual([4, 0]);
  stop();
  event.signal();
  expect(woken).toBe(2);
});
