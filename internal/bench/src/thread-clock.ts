/** Seconds of processor time that this thread has had: other load on the machine counts little, unlike in time by the clock. */
export function threadSeconds(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1e6;
}
