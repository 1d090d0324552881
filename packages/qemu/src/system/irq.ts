/** An interrupt line, qemu_irq: the device drives a level, what is at the other end is the machine's business. */
export type QemuIrq = (level: boolean) => void;

/** A line that passes on changes alone, so that a device may set its level as often as it likes. */
export function qemuIrqOnChange(target: QemuIrq): QemuIrq {
  let current = false;
  return (level) => {
    if (level === current) return;
    current = level;
    target(level);
  };
}

/** A line with nothing at its end. */
export const unconnectedIrq: QemuIrq = () => {};
