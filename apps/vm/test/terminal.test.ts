import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from 'node:child_process';
import { afterEach, describe, expect, test } from 'vitest';
import { MAIN, MONITOR } from './vm-process.ts';

// script(1) of util-linux makes a pseudo-terminal; the shell in it says how the terminal was left.
function hasScript(): boolean {
  try {
    return execFileSync('script', ['--version'], { encoding: 'utf8' }).includes('util-linux');
  } catch {
    return false;
  }
}

const RUN = `${process.execPath} --conditions=@vm/source --no-warnings ${MAIN} run --kernel ${MONITOR}`;

describe.skipIf(!hasScript())('on a terminal', () => {
  let child: ChildProcessWithoutNullStreams;
  let output = '';
  afterEach(() => child.kill('SIGKILL'));

  function start(command: string): void {
    output = '';
    child = spawn('script', ['-qfec', `${command}; echo status $?; stty -a; echo finished`, '/dev/null']);
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  }

  async function until(pattern: RegExp): Promise<void> {
    const deadline = Date.now() + 60_000;
    while (!pattern.test(output)) {
      if (Date.now() > deadline) throw new Error(`${String(pattern)} did not come; the terminal shows:\n${output}`);
      await new Promise((done) => setTimeout(done, 20));
    }
  }

  function expectRestored(status: number): void {
    expect(output).toContain(`status ${status}`);
    expect(output).toMatch(/[^-]icanon/);
    expect(output).toMatch(/[^-]echo /);
    expect(output).toMatch(/[^-]isig/);
  }

  test('Ctrl-A X leaves and gives the terminal back', async () => {
    start(RUN);
    await until(/> $/);
    expect(output).toContain('Ctrl-A X leaves');
    child.stdin.write('\u0001h');
    await until(/Ctrl-A Ctrl-A/);
    child.stdin.write('\u0001s');
    await until(/Total Samples:\d+/);
    child.stdin.write('\u0001x');
    await until(/finished/);
    expectRestored(0);
  });

  test('so does the guest\'s power-off', async () => {
    start(RUN);
    await until(/> $/);
    child.stdin.write('poweroff\r');
    await until(/finished/);
    expectRestored(0);
  });

  test('Ctrl-C and Ctrl-Z are the guest\'s', async () => {
    start(RUN);
    await until(/> $/);
    child.stdin.write('\u0003\u001Ahelp\r');
    await until(/starts it again/);
    child.stdin.write('\u0001x');
    await until(/finished/);
    expectRestored(0);
  });

  test.each([['SIGTERM', 143], ['SIGHUP', 129]] as const)('%s gives it back as well', async (signal, status) => {
    start(`sh -c 'echo process $$ && exec ${RUN}'`);
    await until(/> $/);
    process.kill(Number(/process (\d+)/.exec(output)?.[1]), signal);
    await until(/finished/);
    expectRestored(status);
  });
});
