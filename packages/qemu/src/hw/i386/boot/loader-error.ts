import { EXIT_DATA } from '../../../system/exit-status.ts';

/** A kernel, initrd or module that cannot be loaded: says why, and what to do. */
export class LoaderError extends Error {
  readonly exitCode: number = EXIT_DATA;

  constructor(cause: string, advice: string) {
    super(`${cause}: ${advice}`);
    this.name = 'LoaderError';
  }
}
