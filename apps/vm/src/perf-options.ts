/** The options of `vm perf` beside those of a run. */
import { type Command, InvalidArgumentError, Option } from 'commander';

const FREQUENCY_DEFAULT = 1000;
const FREQUENCY_MAX = 20_000;
const TOP_DEFAULT = 20;
const ANNOTATE_DEFAULT = 1;
const MOST_LISTED = 100_000;
const LONGEST_SECONDS = 2_000_000;

export function addPerfOptions(command: Command): Command {
  return command
    .addOption(new Option('-d, --duration <seconds>', 'end after so many seconds of measuring').argParser(parseSeconds))
    .addOption(new Option('--from <text>', 'measure from when the guest has printed this, not from the start').argParser(parseText))
    .addOption(new Option('--until <text>', 'end when the guest has printed this').argParser(parseText))
    .addOption(new Option('-F, --frequency <hz>', `samples a second, up to ${FREQUENCY_MAX}`).argParser(wholeNumber(1, FREQUENCY_MAX)).default(FREQUENCY_DEFAULT))
    .addOption(new Option('--top <n>', 'regions in the list').argParser(wholeNumber(0, MOST_LISTED)).default(TOP_DEFAULT))
    .addOption(new Option('--annotate <n>', 'of so many of the hottest regions also the disassembly').argParser(wholeNumber(0, MOST_LISTED)).default(ANNOTATE_DEFAULT))
    .addOption(new Option('--wasm <address>', 'also print the WebAssembly of the region with code at this guest address').argParser(parseAddress))
    .addOption(new Option('--wasm-output <file>', 'with --wasm: write the module to this file instead'))
    .addOption(new Option('--symbols <file>', 'names of guest addresses: System.map, what nm prints, or the guest\'s /proc/kallsyms'))
    .addOption(new Option('-o, --output <file>', 'where the report goes (default: standard output)'))
    .addOption(new Option('--json', 'the report as one JSON object, with all regions'));
}

function parseSeconds(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value > 0 && value <= LONGEST_SECONDS)) throw new InvalidArgumentError(`It must be a number of seconds above 0, up to ${LONGEST_SECONDS}.`);
  return value;
}

function parseText(text: string): string {
  if (text === '') throw new InvalidArgumentError('It must not be empty.');
  return text;
}

function parseAddress(text: string): bigint {
  if (!/^(?:0x)?[0-9a-f]{1,16}$/i.test(text)) throw new InvalidArgumentError('It must be a hexadecimal address, such as 0xffffffff81000000.');
  return BigInt(/^0x/i.test(text) ? text : `0x${text}`);
}

function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > most) throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
    return value;
  };
}
