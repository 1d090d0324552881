/**
 * The LZMA decoder (LZMA specification, Igor Pavlov, 2015): adaptive binary probabilities, range coder, matches into
 * what was decoded before. The output buffer itself is the dictionary.
 */

import { CorruptData } from './corrupt-data.ts';

const PROB_INIT = 1 << 10;
const MOVE_BITS = 5;
const MODEL_BITS = 11;
const TOP = 1 << 24;
const STATES = 12;
/** States below this one followed a literal. */
const LITERAL_STATES = 7;
const MATCH_MIN = 2;
const END_POS_SLOT = 14;

// Places of the probability trees in one array.
const IS_MATCH = 0;
const IS_REP = IS_MATCH + (STATES << 4);
const IS_REP_G0 = IS_REP + STATES;
const IS_REP_G1 = IS_REP_G0 + STATES;
const IS_REP_G2 = IS_REP_G1 + STATES;
const IS_REP0_LONG = IS_REP_G2 + STATES;
const POS_SLOT = IS_REP0_LONG + (STATES << 4);
const SPEC_POS = POS_SLOT + (4 << 6);
const ALIGN = SPEC_POS + 128;
const LENGTHS = ALIGN + 16;
/** A length coder: choice, choice2, low[16][8], mid[16][8], high[256]. */
const LENGTH_SIZE = 2 + 128 + 128 + 256;
const REP_LENGTHS = LENGTHS + LENGTH_SIZE;
const LITERALS = REP_LENGTHS + LENGTH_SIZE;
const LITERAL_SIZE = 0x300;
/** LZMA2 allows lc + lp up to 4. */
const PROBS = LITERALS + (LITERAL_SIZE << 4);

export class LzmaDecoder {
  readonly #output: Uint8Array;
  readonly #probs: Uint16Array = new Uint16Array(PROBS);
  #input: Uint8Array = new Uint8Array(0);
  #at = 0;
  #end = 0;
  #range = 0;
  #code = 0;
  #state = 0;
  #rep0 = 0;
  #rep1 = 0;
  #rep2 = 0;
  #rep3 = 0;
  #lc = 0;
  #lpMask = 0;
  #pbMask = 0;
  /** End of what was decoded. */
  position = 0;
  /** Where the dictionary begins: matches may not reach before it. */
  dictionaryStart = 0;

  constructor(output: Uint8Array) {
    this.#output = output;
  }

  setProperties(byte: number): void {
    const lc = byte % 9;
    const lp = Math.floor(byte / 9) % 5;
    const pb = Math.floor(byte / 45);
    if (byte >= 225 || lc + lp > 4) throw new CorruptData(`LZMA properties 0x${byte.toString(16)}`);
    this.#lc = lc;
    this.#lpMask = (1 << lp) - 1;
    this.#pbMask = (1 << pb) - 1;
  }

  resetState(): void {
    this.#probs.fill(PROB_INIT);
    this.#state = this.#rep0 = this.#rep1 = this.#rep2 = this.#rep3 = 0;
  }

  /** Decodes one chunk of `length` bytes from input[start, end). */
  decode(input: Uint8Array, start: number, end: number, length: number): void {
    const limit = this.position + length;
    if (limit > this.#output.length || end - start < 5) throw new CorruptData('LZMA chunk leaves its bounds');
    this.#input = input;
    this.#end = end;
    this.#range = -1;
    this.#code = 0;
    this.#at = start + 1;
    for (let i = 0; i < 4; i++) this.#code = (this.#code << 8) | input[this.#at++]!;
    while (this.position < limit) this.#symbol(limit);
    if (this.#at > end) throw new CorruptData('LZMA chunk ends early');
  }

  copyUncompressed(input: Uint8Array, start: number, end: number): void {
    if (this.position + (end - start) > this.#output.length) throw new CorruptData('uncompressed chunk leaves the output');
    this.#output.set(input.subarray(start, end), this.position);
    this.position += end - start;
  }

  #symbol(limit: number): void {
    const posState = (this.position - this.dictionaryStart) & this.#pbMask;
    if (this.#bit(IS_MATCH + (this.#state << 4) + posState) === 0) return this.#literal();
    let length: number;
    if (this.#bit(IS_REP + this.#state) === 0) {
      this.#rep3 = this.#rep2;
      this.#rep2 = this.#rep1;
      this.#rep1 = this.#rep0;
      length = this.#length(LENGTHS, posState);
      this.#state = this.#state < LITERAL_STATES ? 7 : 10;
      this.#rep0 = this.#distance(length);
    } else {
      if (this.#bit(IS_REP_G0 + this.#state) === 0) {
        if (this.#bit(IS_REP0_LONG + (this.#state << 4) + posState) === 0) {
          this.#state = this.#state < LITERAL_STATES ? 9 : 11;
          return this.#copy(1, limit);
        }
      } else this.#takeRep();
      length = this.#length(REP_LENGTHS, posState);
      this.#state = this.#state < LITERAL_STATES ? 8 : 11;
    }
    this.#copy(length + MATCH_MIN, limit);
  }

  #takeRep(): void {
    let distance: number;
    if (this.#bit(IS_REP_G1 + this.#state) === 0) distance = this.#rep1;
    else {
      if (this.#bit(IS_REP_G2 + this.#state) === 0) distance = this.#rep2;
      else {
        distance = this.#rep3;
        this.#rep3 = this.#rep2;
      }
      this.#rep2 = this.#rep1;
    }
    this.#rep1 = this.#rep0;
    this.#rep0 = distance;
  }

  #literal(): void {
    const output = this.#output;
    const at = this.position;
    const previous = at > this.dictionaryStart ? output[at - 1]! : 0;
    const position = at - this.dictionaryStart;
    const base = LITERALS + LITERAL_SIZE * (((position & this.#lpMask) << this.#lc) + (previous >> (8 - this.#lc)));
    let symbol = 1;
    if (this.#state >= LITERAL_STATES) {
      this.#checkDistance();
      let match = output[at - this.#rep0 - 1]!;
      do {
        const matchBit = (match >> 7) & 1;
        match <<= 1;
        const bit = this.#bit(base + ((1 + matchBit) << 8) + symbol);
        symbol = (symbol << 1) | bit;
        if (matchBit !== bit) break;
      } while (symbol < 0x100);
    }
    while (symbol < 0x100) symbol = (symbol << 1) | this.#bit(base + symbol);
    output[at] = symbol;
    this.position = at + 1;
    this.#state = this.#state < 4 ? 0 : this.#state < 10 ? this.#state - 3 : this.#state - 6;
  }

  #copy(length: number, limit: number): void {
    this.#checkDistance();
    const output = this.#output;
    const at = this.position;
    if (at + length > limit) throw new CorruptData('LZMA match leaves its chunk');
    const distance = this.#rep0 + 1;
    for (let i = 0; i < length; i++) output[at + i] = output[at + i - distance]!;
    this.position = at + length;
  }

  #checkDistance(): void {
    if (this.#rep0 >>> 0 >= this.position - this.dictionaryStart) throw new CorruptData('LZMA match points before the dictionary');
  }

  #length(base: number, posState: number): number {
    if (this.#bit(base) === 0) return this.#tree(base + 2 + (posState << 3), 3);
    if (this.#bit(base + 1) === 0) return 8 + this.#tree(base + 130 + (posState << 3), 3);
    return 16 + this.#tree(base + 258, 8);
  }

  #distance(length: number): number {
    const slot = this.#tree(POS_SLOT + (Math.min(length, 3) << 6), 6);
    if (slot < 4) return slot;
    const directBits = (slot >> 1) - 1;
    const high = (2 | (slot & 1)) << directBits;
    if (slot < END_POS_SLOT) return high + this.#reverseTree(SPEC_POS + high - slot, directBits);
    let direct = 0;
    for (let i = directBits - 4; i > 0; i--) direct = (direct << 1) | this.#directBit();
    return (high + (direct << 4) + this.#reverseTree(ALIGN, 4)) | 0;
  }

  #tree(base: number, bits: number): number {
    let symbol = 1;
    for (let i = 0; i < bits; i++) symbol = (symbol << 1) | this.#bit(base + symbol);
    return symbol - (1 << bits);
  }

  #reverseTree(base: number, bits: number): number {
    let symbol = 1;
    let value = 0;
    for (let i = 0; i < bits; i++) {
      const bit = this.#bit(base + symbol);
      symbol = (symbol << 1) | bit;
      value |= bit << i;
    }
    return value;
  }

  // ---- range coder

  #bit(index: number): 0 | 1 {
    const probs = this.#probs;
    const prob = probs[index]!;
    const bound = Math.imul(this.#range >>> MODEL_BITS, prob);
    let bit: 0 | 1;
    if (this.#code >>> 0 < bound >>> 0) {
      this.#range = bound;
      probs[index] = prob + (((1 << MODEL_BITS) - prob) >> MOVE_BITS);
      bit = 0;
    } else {
      this.#range = (this.#range - bound) | 0;
      this.#code = (this.#code - bound) | 0;
      probs[index] = prob - (prob >> MOVE_BITS);
      bit = 1;
    }
    if (this.#range >>> 0 < TOP) this.#normalize();
    return bit;
  }

  #directBit(): 0 | 1 {
    this.#range = (this.#range >>> 1) | 0;
    const bit = this.#code >>> 0 >= this.#range >>> 0 ? 1 : 0;
    if (bit === 1) this.#code = (this.#code - this.#range) | 0;
    if (this.#range >>> 0 < TOP) this.#normalize();
    return bit;
  }

  #normalize(): void {
    this.#range <<= 8;
    // Past the end zeroes are read; `decode` notices.
    this.#code = (this.#code << 8) | (this.#at < this.#end ? this.#input[this.#at]! : 0);
    this.#at++;
  }
}
