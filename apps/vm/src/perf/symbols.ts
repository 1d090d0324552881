/** Names of guest addresses: from System.map, or what the guest's /proc/kallsyms or `nm` printed. */

export interface Symbols {
  /** The name of the nearest symbol at or below the address, with the distance from it; undefined below the first one. */
  nameOf(address: bigint): string | undefined;
}

/** A line: address, type, name, and in kallsyms the module. */
const LINE = /^([0-9a-f]{8,16})\s+([a-zA-Z?])\s+(\S+)(?:\s+\[(\S+)\])?\s*$/;
/** Code; absolute symbols and data would name what lies behind the code. */
const CODE = /[tTwW]/;

/** Undefined when no line is a symbol of code. */
export function parseSymbols(text: string): Symbols | undefined {
  const found: { address: bigint; name: string }[] = [];
  for (const line of text.split('\n')) {
    const [, address, type = '', name, module] = LINE.exec(line) ?? [];
    if (address !== undefined && CODE.test(type)) found.push({ address: BigInt(`0x${address}`), name: module === undefined ? name! : `${name} [${module}]` });
  }
  if (found.length === 0) return undefined;
  found.sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0));
  return {
    nameOf: (address) => {
      let low = 0;
      let high = found.length;
      while (low < high) {
        const middle = (low + high) >>> 1;
        if (found[middle]!.address <= address) low = middle + 1;
        else high = middle;
      }
      const symbol = found[low - 1];
      if (symbol === undefined) return undefined;
      return address === symbol.address ? symbol.name : `${symbol.name}+0x${(address - symbol.address).toString(16)}`;
    },
  };
}
