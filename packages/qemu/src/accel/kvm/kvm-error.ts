import { errnoName, ioctlNames } from '@vm/kvm-run';
import { EXIT_SOFTWARE } from '../../system/exit-status.ts';

/** An ioctl that must succeed did not. */
export class KvmError extends Error {
  readonly ioctl: string;
  /** Positive error number; 0 when the call was not what failed. */
  readonly errno: number;
  readonly exitCode: number = EXIT_SOFTWARE;

  constructor(ioctl: string, errno: number, advice = '') {
    super(`${ioctl} failed: ${errno === 0 ? 'not supported' : errnoName(errno)}${advice === '' ? '' : `: ${advice}`}`);
    this.name = 'KvmError';
    this.ioctl = ioctl;
    this.errno = errno;
  }
}

export const ioctlName = (code: number): string => ioctlNames.get(code) ?? `ioctl 0x${code.toString(16)}`;

/** The value of a call, or KvmError. */
export function checkIoctl(code: number, result: number, advice?: string): number {
  if (result < 0) throw new KvmError(ioctlName(code), -result, advice);
  return result;
}
