/** Command lines that print their options with --help, and end with status 2 and what is wrong where they make no sense. */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';

export { Command, InvalidArgumentError, Option } from 'commander';

/** A command line that makes no sense, as other statuses say what a run found. */
export const USAGE = 2;

/** A command of no arguments; `name` is what one types. */
export function commandLine(name: string, description: string): Command {
  return new Command(name).description(description).showHelpAfterError('(--help lists the options)').exitOverride();
}

/** The options that were given, or their defaults. Ends the process where there is nothing to run: after --help, and with USAGE. */
export function readOptions<Options extends object>(command: Command, argv: readonly string[] = process.argv.slice(2)): Options {
  try {
    return command.parse(argv, { from: 'user' }).opts<Options>();
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    process.exit(error.exitCode === 0 ? 0 : USAGE);
  }
}

/** A parser of whole numbers that are not below `least`. */
export function wholeNumber(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isSafeInteger(value) || value < least) throw new InvalidArgumentError(`Give a whole number of ${least} or more.`);
    return value;
  };
}

/** `--name N`, a whole number that is not below `least`. */
export function numberOption(flags: string, description: string, least: number, otherwise?: number): Option {
  const option = new Option(flags, description).argParser(wholeNumber(least));
  return otherwise === undefined ? option : option.default(otherwise);
}

/** A parser of names with commas between them. */
export function namesOf<Name extends string>(known: readonly Name[]): (text: string) => Name[] {
  return (text) => text.split(',').map((word) => {
    const name = known.find((one) => one === word.trim());
    if (name === undefined) throw new InvalidArgumentError(`"${word}" is none of ${known.join(', ')}.`);
    return name;
  });
}
