/**
 * A user-mode state as bytes, the same for the native harness, the model and recordings: general registers in encoding
 * order, RIP, RFLAGS, bases of FS and GS, selectors in ES CS SS DS FS GS order, PKRU, then an FXSAVE image in the 64-bit
 * format and the upper halves of the YMM registers.
 */
export const STATE_SIZE = 960;
export const GPR = 0;
export const RIP = 128;
export const RFLAGS = 136;
export const FS_BASE = 144;
export const GS_BASE = 152;
export const SELECTOR = 160;
export const PKRU = 172;
export const FX = 192;
export const FCW: number = FX;
export const FSW: number = FX + 2;
/** Abridged: one bit a physical register. */
export const FTW: number = FX + 4;
export const FOP: number = FX + 6;
export const FIP: number = FX + 8;
export const FDP: number = FX + 16;
export const MXCSR: number = FX + 24;
/** ST(0) to ST(7), 16 bytes each. */
export const ST: number = FX + 32;
export const XMM: number = FX + 160;
export const YMM_HIGH = 704;

export const RAX = 0;
export const RCX = 1;
export const RDX = 2;
export const RBX = 3;
export const RSP = 4;
export const RBP = 5;
export const RSI = 6;
export const RDI = 7;

export const ES = 0;
export const CS = 1;
export const SS = 2;
export const DS = 3;
export const FS = 4;
export const GS = 5;

export const GPR_NAMES: readonly string[] = [
  'rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15',
];

export const FLAG_CF = 0x1;
export const FLAG_PF = 0x4;
export const FLAG_AF = 0x10;
export const FLAG_ZF = 0x40;
export const FLAG_SF = 0x80;
export const FLAG_TF = 0x100;
export const FLAG_DF = 0x400;
export const FLAG_OF = 0x800;
export const FLAG_RF = 0x10000;
export const FLAG_AC = 0x40000;
/** CF PF AF ZF SF OF */
export const FLAGS_ARITHMETIC = 0x8d5;

export class State {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly u32: Uint32Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;

  constructor(bytes: Uint8Array<ArrayBuffer> = new Uint8Array(STATE_SIZE)) {
    this.bytes = bytes;
    this.u32 = new Uint32Array(bytes.buffer, bytes.byteOffset, STATE_SIZE / 4);
    this.view = new DataView(bytes.buffer, bytes.byteOffset, STATE_SIZE);
  }

  get(offset: number): bigint {
    return this.view.getBigUint64(offset, true);
  }

  set(offset: number, value: bigint): void {
    this.view.setBigUint64(offset, BigInt.asUintN(64, value), true);
  }

  gpr(register: number): bigint {
    return this.get(GPR + register * 8);
  }

  setGpr(register: number, value: bigint): void {
    this.set(GPR + register * 8, value);
  }

  selector(segment: number): number {
    return this.view.getUint16(SELECTOR + segment * 2, true);
  }

  setSelector(segment: number, value: number): void {
    this.view.setUint16(SELECTOR + segment * 2, value, true);
  }

  copy(): State {
    return new State(this.bytes.slice());
  }
}
