/**
 * Makes the interpreter: one WebAssembly function that looks RIP up among the translated traces and runs their records.
 *
 *   loop dispatch                      RIP -> host address (execute TLB) -> trace (hash)
 *     loop next                        one record
 *       block leave / fault / jump / call / h[n-1] ... h[0]
 *         br_table handler number
 *       end h[0]: code of handler 0; on to the next record
 *       ...
 *       end call, end element: a handler that is a function of its own, or what another leaves to the microcode
 *     end jump: RIP is in a local, back to dispatch
 *   ...
 *
 * All handlers in one function behind a `br_table` run twice as fast as handlers that tail-call one another, since the
 * registers that matter (record, budget, page) stay in machine registers. Direct branches within a page are linked:
 * the branch's record remembers the target's trace.
 */
import { tlbOffset } from '../semantics/tlb-entry.ts';
import {
  BUDGET, CODE_HOST, CODE_LIMIT, CODE_MODE, CS, CURRENT_RECORD, EA, NEXT_RIP, PAGE_RIP, RIP, SEG, SEG_BASE, SEG_SIZE, SINGLE_STEP,
  ST_COMPILE, ST_DISPATCH, ST_FAULT, ST_INTERPRET, ST_NEXT, ST_SLICE, ST_TRANSLATE, TLB_EXECUTE, TLB_SET, TRACE_HASH,
  TRACE_HASH_MULTIPLIER, TRACE_HASH_SHIFT,
} from '../state/layout.ts';
import {
  REC_HANDLER, REC_IMM, REC_INDEX, REC_LENGTH, REC_LINK, REC_OFFSET, REC_P1, REC_P2, REC_PREFIX, REC_SEG, REC_SIZE,
} from '../state/record.ts';
import type { Label, Value } from '../wasm/function-builder.ts';
import { ModuleBuilder } from '../wasm/module-builder.ts';
import * as op from '../wasm/opcodes.ts';
import { DynamicEmitter, type MicrocodeImports } from './dynamic-emitter.ts';
import {
  FIRST_INSTRUCTION_HANDLER, HANDLER_ADDRESS, HANDLER_ADDRESS_32, HANDLER_CHECK_PAGE, HANDLER_TOO_LONG, type Handler,
} from './handlers.ts';

/** Bit of REC_PREFIX in branch records: the target lies in the same page and may be linked. */
export const PREFIX_LINKABLE = 128;

const UD_VECTOR = 6;
const GP_VECTOR = 13;
/** Functions that semantics and the interpreter itself call: parameters, result. */
const NAMED: Readonly<Record<string, readonly [readonly op.ValueType[], op.ValueType | null]>> = {
  readMiss: [[op.I64, op.I32], op.I32],
  writeMiss: [[op.I64, op.I32], op.I32],
  writeCommit: [[], null],
  fetch: [[op.I64], op.I32],
  deliver: [[], op.I32],
  seekTrace: [[op.I32, op.I32], op.I32],
  mulHighU: [[op.I64, op.I64], op.I64],
  divide128U: [[op.I64], op.I32],
  divide128S: [[op.I64], op.I32],
  profileTarget: [[op.I32, op.I32], null],
  computeFloat: [[op.I32, op.I32, op.I32], op.I32],
  x87Add: [[op.V128, op.V128], op.V128],
  x87Sub: [[op.V128, op.V128], op.V128],
  x87Mul: [[op.V128, op.V128], op.V128],
  x87Div: [[op.V128, op.V128], op.V128],
  x87Sqrt: [[op.V128], op.V128],
  x87Round: [[op.V128], op.V128],
  x87WithSingle: [[op.V128, op.I32, op.I32], op.V128],
  x87WithDouble: [[op.V128, op.I64, op.I32], op.V128],
  x87Compare: [[op.V128, op.V128, op.I32], op.I32],
  x87CompareSingle: [[op.V128, op.I32], op.I32],
  x87CompareDouble: [[op.V128, op.I64], op.I32],
  x87FromSingle: [[op.I32], op.V128],
  x87FromDouble: [[op.I64], op.V128],
  x87FromInteger: [[op.I64], op.V128],
  x87ToSingle: [[op.V128], op.I32],
  x87ToDouble: [[op.V128], op.I64],
  x87ToInteger: [[op.V128, op.I32, op.I32], op.I64],
};

/** The module's bytes and where each handler ended up. */
export interface GeneratedInterpreter {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Handler number by key. */
  readonly numbers: ReadonlyMap<string, number>;
}

export function generateInterpreter(handlers: readonly Handler[], extraMicrocode: Readonly<Record<string, readonly [readonly op.ValueType[], op.ValueType | null]>> = {}): GeneratedInterpreter {
  const module = new ModuleBuilder();
  module.name = 'interpreter';
  const named = new Map<string, number>();
  for (const [name, [params, result]] of Object.entries({ ...NAMED, ...extraMicrocode }))
    named.set(name, module.importFunction('microcode', name, { params, results: result === null ? [] : [result] }));
  const microcodeIndex = new Map<string, number>();
  for (const name of new Set(['op_address', ...handlers.flatMap((h) => (h.microcode === null ? [] : [h.microcode]))]))
    microcodeIndex.set(name, module.importFunction('microcode', name, HANDLER_TYPE));
  module.importGlobal('env', 'cpu');
  const regions = { table: module.importTable('env', 'regions'), type: module.type({ params: [], results: [op.I32] }) };
  const imports: MicrocodeImports = {
    readMiss: named.get('readMiss')!, writeMiss: named.get('writeMiss')!, writeCommit: named.get('writeCommit')!, named,
    handlers: microcodeIndex,
  };

  const inline = handlers.filter((h) => h.inline);
  const called = handlers.filter((h) => !h.inline);
  const numbers = new Map<string, number>();
  inline.forEach((h, i) => numbers.set(h.key, FIRST_INSTRUCTION_HANDLER + i));
  const firstCalled = FIRST_INSTRUCTION_HANDLER + inline.length;
  called.forEach((h, i) => numbers.set(h.key, firstCalled + i));

  // The table: the called handlers, then the three that are not instructions.
  for (const h of called)
    module.addElement(h.semantics ? module.addFunction(HANDLER_TYPE, calledHandler(h, imports)) : microcodeIndex.get(h.microcode!)!);
  const checkPage = module.addElement(module.addFunction(HANDLER_TYPE, checkPageHandler(imports)));
  const address = module.addElement(microcodeIndex.get('op_address')!);
  const undefinedOpcode = module.addElement(module.addFunction(HANDLER_TYPE, raisingHandler(imports, UD_VECTOR, null)));
  const tooLong = module.addElement(module.addFunction(HANDLER_TYPE, raisingHandler(imports, GP_VECTOR, 0)));

  // And what those in the interpreter's function leave to the microcode.
  const elements = new Map<string, number>();
  const elementOf = (name: string): number => {
    const element = elements.get(name) ?? module.addElement(handlerIndex(imports, name));
    elements.set(name, element);
    return element;
  };

  const main = new MainFunction(imports, { table: module.ownTable, type: module.type(HANDLER_TYPE), elementOf }, regions, inline, firstCalled, { checkPage, address, undefinedOpcode, tooLong });
  module.exportFunction('run', module.addFunction({ params: [op.I32], results: [op.I32] }, main.build()));
  return { bytes: module.finish(), numbers };
}

const HANDLER_TYPE = { params: [op.I32], results: [op.I32] } as const;

// ---- handlers that are functions of their own: (record) -> status; RIP and NEXT_RIP are set when they are called

function handlerFunction(imports: MicrocodeImports, body: (b: DynamicEmitter) => void): Uint8Array {
  const b = new DynamicEmitter([op.I32], (f) => f.permanentLocal(op.I32), (f) => f.param(0), imports);
  b.code.bytes([op.GLOBAL_GET, 0, op.LOCAL_SET]);
  b.code.u32(b.cpu.local);
  const fault = b.block();
  const leave = (rip: Value): void => {
    b.storeI64(b.cpu, RIP, rip);
    b.return(b.i32(ST_DISPATCH));
  };
  b.surroundings = {
    fault,
    pageRip: () => b.loadI64(b.cpu, PAGE_RIP),
    rip: () => b.loadI64(b.cpu, RIP),
    microcode: (condition, name) => b.if(condition, () => b.return(b.call(handlerIndex(imports, name), op.I32, b.record))),
    jumpRelative: (condition) => {
      if (condition) b.if(condition, () => leave(b.relativeTarget()));
      else leave(b.relativeTarget());
    },
    jumpIndirect: (rip) => {
      profile(b, imports, rip, b.loadI64(b.cpu, PAGE_RIP));
      leave(rip);
    },
  };
  body(b);
  b.return(b.i32(ST_NEXT));
  b.end();
  b.push(b.i32(ST_FAULT));
  return b.finish();
}

function handlerIndex(imports: MicrocodeImports, name: string): number {
  const index = imports.handlers.get(name);
  if (index === undefined) throw new Error(`the microcode has no ${name}`);
  return index;
}

/** An indirect JMP or CALL counts where it goes, if its record has a profile. */
function profile(b: DynamicEmitter, imports: MicrocodeImports, rip: Value, pageRip: Value): void {
  if (b.form.mnemonic !== 'jmp' && b.form.mnemonic !== 'call') return;
  const counts = b.loadI32(b.record, REC_IMM);
  b.if(counts, () => b.call(imports.named.get('profileTarget')!, null, counts, b.wrap(b.sub(rip, pageRip))));
}

function calledHandler(handler: Handler, imports: MicrocodeImports): Uint8Array {
  return handlerFunction(imports, (b) => {
    b.form = handler.shape;
    handler.semantics!(b);
  });
}

function raisingHandler(imports: MicrocodeImports, vector: number, errorCode: number | null): Uint8Array {
  return handlerFunction(imports, (b) => b.raise(vector, errorCode, null));
}

/**
 * The record's P1 is the host address that the linear page after this one had when the trace was made, P2 the guard:
 * a record registered with that page, which invalidation overwrites.
 */
function checkPageHandler(imports: MicrocodeImports): Uint8Array {
  return handlerFunction(imports, (b) => {
    const base = b.loadI64(b.cpu, SEG + CS * SEG_SIZE + SEG_BASE);
    const linear = b.add(b.add(b.loadI64(b.cpu, PAGE_RIP), base), b.i64(0x1000));
    const host = b.call(imports.named.get('fetch')!, op.I32, linear);
    b.leaveWithFault(b.eqz(host));
    const moved = b.ne(host, b.loadI32(b.record, REC_P1));
    const changed = b.eqz(b.load(op.I32_LOAD16_U, b.loadI32(b.record, REC_P2), REC_HANDLER));
    b.if(b.or(moved, changed), () => {
      b.storeI32(b.cpu, CODE_HOST, b.i32(0));
      b.return(b.i32(ST_TRANSLATE));
    });
  });
}

// ---- the interpreter's function: (area) -> status

interface FixedElements {
  readonly checkPage: number;
  readonly address: number;
  readonly undefinedOpcode: number;
  readonly tooLong: number;
}

/** A table of functions of one type. */
interface Callees {
  readonly table: number;
  readonly type: number;
}

interface CalledHandlers extends Callees {
  /** Place in the table of a function of the microcode that executes a record. */
  elementOf(name: string): number;
}

class MainFunction {
  readonly #b: DynamicEmitter;
  readonly #rip: Value;
  readonly #pageRip: Value;
  readonly #budget: Value;
  readonly #link: Value;
  readonly #status: Value;
  /** Place in the table of the function to call. */
  readonly #element: Value;
  /** Nonzero: the next trace is interpreted even if it was compiled. */
  readonly #interpret: Value;
  readonly #imports: MicrocodeImports;
  readonly #called: CalledHandlers;
  readonly #regions: Callees;
  readonly #inline: readonly Handler[];
  readonly #firstCalled: number;
  readonly #fixed: FixedElements;
  #dispatch: Label = 0;
  #next: Label = 0;
  #jump: Label = 0;

  constructor(
    imports: MicrocodeImports, called: CalledHandlers, regions: Callees, inline: readonly Handler[], firstCalled: number, fixed: FixedElements,
  ) {
    const b = new DynamicEmitter([op.I32], (f) => f.param(0), (f) => f.permanentLocal(op.I32), imports);
    this.#b = b;
    this.#rip = b.permanentLocal(op.I64);
    this.#pageRip = b.permanentLocal(op.I64);
    this.#budget = b.permanentLocal(op.I32);
    this.#link = b.permanentLocal(op.I32);
    this.#status = b.permanentLocal(op.I32);
    this.#element = b.permanentLocal(op.I32);
    this.#interpret = b.permanentLocal(op.I32);
    this.#imports = imports;
    this.#called = called;
    this.#regions = regions;
    this.#inline = inline;
    this.#firstCalled = firstCalled;
    this.#fixed = fixed;
  }

  build(): Uint8Array {
    const b = this.#b;
    b.set(this.#rip, b.loadI64(b.cpu, RIP));
    b.set(this.#budget, b.loadI32(b.cpu, BUDGET));
    this.#dispatch = b.loop();
    this.#lookUp();
    b.resetLocals();
    this.#next = b.loop();
    const leave = b.block();
    const fault = b.block();
    this.#jump = b.block();
    const element = b.block();
    const call = b.block();
    b.surroundings = {
      fault,
      pageRip: () => this.#pageRip,
      rip: () => this.#ownRip(),
      microcode: (condition, name) => {
        b.set(this.#element, b.i32(this.#called.elementOf(name)));
        b.brIf(element, condition);
      },
      jumpRelative: (condition) => this.#jumpRelative(condition, 1),
      jumpIndirect: (rip) => {
        profile(b, this.#imports, rip, this.#pageRip);
        this.#jumpTo(rip, 1);
      },
    };
    this.#handlers(call, leave);
    b.end(); // jump
    b.br(this.#dispatch);
    b.end(); // fault
    this.#leaveWithFault();
    b.end(); // leave
    b.storeI32(b.cpu, BUDGET, this.#budget);
    b.return(this.#status);
    b.end(); // next
    b.end(); // dispatch
    b.unreachable();
    return b.finish();
  }

  /** RIP to record. */
  #lookUp(): void {
    const b = this.#b;
    const mode = b.loadI32(b.cpu, CODE_MODE);
    const narrow = b.ne(mode, b.i32(2));
    b.if(narrow, () => b.set(this.#rip, b.and(this.#rip, b.i64(-1, 0))));
    b.if(b.int('leS', this.#budget, b.i32(0)), () => this.#leaveAtRip(b.i32(ST_SLICE)));
    b.if(b.int('gtU', this.#rip, b.loadI64(b.cpu, CODE_LIMIT)), () => {
      // The translator raises #GP(0).
      b.storeI32(b.cpu, CODE_HOST, b.i32(0));
      this.#leaveAtRip(b.i32(ST_TRANSLATE));
    });
    const linear = b.add(this.#rip, b.loadI64(b.cpu, SEG + CS * SEG_SIZE + SEG_BASE));
    b.if(narrow, () => b.set(linear, b.and(linear, b.i64(-1, 0))));
    const host = this.#fetch(linear);
    const hashed = b.shrU(b.mul(host, b.i32(TRACE_HASH_MULTIPLIER)), b.i32(TRACE_HASH_SHIFT));
    const index = b.xor(hashed, b.add(mode, b.loadI32(b.cpu, SINGLE_STEP)));
    const slot = b.add(b.cpu, b.shl(index, b.i32(3)));
    b.if(b.eq(b.loadI32(slot, TRACE_HASH), host), () => {
      b.set(b.record, b.loadI32(slot, TRACE_HASH + 4));
    }, () => {
      const seek = this.#imports.named.get('seekTrace')!;
      b.set(b.record, b.call(seek, op.I32, b.add(slot, b.i32(TRACE_HASH)), host));
      b.if(b.eqz(b.record), () => {
        b.storeI32(b.cpu, CODE_HOST, host);
        this.#leaveAtRip(b.i32(ST_TRANSLATE));
      });
    });
    b.if(this.#link, () => b.storeI32(this.#link, REC_LINK, b.record));
    b.set(this.#link, b.i32(0));
    b.set(this.#pageRip, b.sub(this.#rip, b.extendU(b.and(host, b.i32(0xfff)))));
    b.storeI64(b.cpu, PAGE_RIP, this.#pageRip);
  }

  #fetch(linear: Value): Value {
    const b = this.#b;
    const host = b.temp(op.I32);
    const entry = b.add(b.loadI32(b.cpu, TLB_SET), tlbOffset(b, linear));
    b.if(b.ne(b.loadI64(entry, TLB_EXECUTE), b.and(linear, b.i64(-0x1000))), () => {
      b.storeI64(b.cpu, RIP, this.#rip);
      b.storeI32(b.cpu, BUDGET, this.#budget);
      b.set(host, b.call(this.#imports.named.get('fetch')!, op.I32, linear));
      b.if(b.eqz(host), () => b.return(b.i32(ST_FAULT)));
    }, () => {
      b.set(host, b.add(b.wrap(linear), b.loadI32(entry, TLB_EXECUTE + 8)));
    });
    return host;
  }

  #leaveAtRip(status: Value): void {
    const b = this.#b;
    b.storeI64(b.cpu, RIP, this.#rip);
    b.storeI32(b.cpu, BUDGET, this.#budget);
    b.return(status);
  }

  #handlers(call: Label, leave: Label): void {
    const b = this.#b;
    const bodies: (() => void)[] = [
      (): void => this.#exitTrace(),
      (): void => this.#jumpRelative(null, 0),
      (): void => this.#heat(),
      (): void => this.#region(),
      (): void => this.#address(call),
      ...this.#inline.map((h) => (): void => {
        b.form = h.shape;
        h.semantics!(b);
        this.#advance();
      }),
    ];
    // Innermost block first: handler numbers 0 to HANDLER_ADDRESS_32, then from FIRST_INSTRUCTION_HANDLER on.
    const labels: Label[] = [];
    for (let i = bodies.length - 1; i >= 0; i--) labels[i] = b.block();
    const table: Label[] = labels.slice(0, HANDLER_ADDRESS_32 + 1);
    for (let i = HANDLER_ADDRESS_32 + 1; i < FIRST_INSTRUCTION_HANDLER; i++) table.push(call);
    table.push(...labels.slice(HANDLER_ADDRESS_32 + 1));
    b.brTable(table, call, b.load(op.I32_LOAD16_U, b.record, REC_HANDLER));
    for (const body of bodies) {
      b.end();
      body();
      b.resetLocals();
    }
    b.end(); // call
    this.#callHandler(leave);
  }

  #advance(): void {
    const b = this.#b;
    b.set(b.record, b.add(b.record, b.i32(REC_SIZE)));
    b.br(this.#next);
  }

  /** Instructions of the trace that completed, counting this one if `own` is 1. */
  #count(own: number): void {
    const b = this.#b;
    const index = b.load(op.I32_LOAD8_U, b.record, REC_INDEX);
    b.set(this.#budget, b.sub(this.#budget, own ? b.add(index, b.i32(own)) : index));
  }

  #ownRip(): Value {
    const b = this.#b;
    return b.add(this.#pageRip, b.load(op.I64_LOAD16_U, b.record, REC_OFFSET));
  }

  #exitTrace(): void {
    const b = this.#b;
    this.#count(0);
    b.set(this.#rip, this.#ownRip());
    b.br(this.#jump);
  }

  /** At the head of a trace: counts down until it is to be compiled. */
  #heat(): void {
    const b = this.#b;
    b.set(this.#interpret, b.i32(0));
    const left = b.sub(b.loadI32(b.record, REC_IMM), b.loadI32(b.record, REC_P1));
    b.storeI32(b.record, REC_IMM, left);
    b.if(b.ltS(left, b.i32(0)), () => {
      b.storeI32(b.cpu, CURRENT_RECORD, b.record);
      b.set(this.#rip, this.#ownRip());
      this.#leaveAtRip(b.i32(ST_COMPILE));
    });
    this.#advance();
  }

  /** At the head of a trace: runs the compiled region in its place. It takes BUDGET and PAGE_RIP, and sets BUDGET and RIP. */
  #region(): void {
    const b = this.#b;
    b.if(this.#interpret, () => {
      b.set(this.#interpret, b.i32(0));
      this.#advance();
    });
    b.storeI32(b.cpu, BUDGET, this.#budget);
    b.set(this.#status, b.callIndirect(this.#regions.table, this.#regions.type, op.I32, b.loadI32(b.record, REC_IMM)));
    b.set(this.#budget, b.loadI32(b.cpu, BUDGET));
    b.set(this.#rip, b.loadI64(b.cpu, RIP));
    b.set(this.#interpret, b.eq(this.#status, b.i32(ST_INTERPRET)));
    b.brIf(this.#jump, b.or(this.#interpret, b.eq(this.#status, b.i32(ST_DISPATCH))));
    b.if(b.ne(this.#status, b.i32(ST_FAULT)), () => b.return(this.#status));
    this.#deliver();
  }

  /** The address of a memory operand, while its segment is data of 4 GiB; else the microcode tells what is wrong with it. */
  #address(call: Label): void {
    const b = this.#b;
    const segment = b.loadI32(b.record, REC_SEG);
    const offset = b.copy(b.and(b.addressSum(), b.i64(-1, 0)));
    const end = b.add(offset, b.load(op.I64_LOAD32_U, b.record, REC_P2));
    b.brIf(call, b.or(b.isLimited(segment, 0), b.int('gtU', end, b.i64(0, 1))));
    b.storeI64(b.cpu, EA, b.and(b.add(offset, b.loadI64(segment, SEG_BASE)), b.i64(-1, 0)));
    this.#advance();
  }

  #jumpTo(rip: Value, own: number): void {
    const b = this.#b;
    b.set(this.#rip, rip);
    this.#count(own);
    b.br(this.#jump);
  }

  #jumpRelative(condition: Value | null, own: number): void {
    const b = this.#b;
    const taken = (): void => {
      const linked = b.loadI32(b.record, REC_LINK);
      b.if(linked, () => {
        this.#count(own);
        b.if(b.int('gtS', this.#budget, b.i32(0)), () => {
          b.set(b.record, linked);
          b.br(this.#next);
        });
      }, () => {
        // Only to another page does a branch lead where no code can be: there it faults itself. Within a page it is not linkable.
        if (own) b.raise(GP_VECTOR, 0, b.isBeyondCode(b.add(this.#pageRip, b.loadI64(b.record, REC_IMM))));
        this.#count(own);
        const linkable = b.and(b.load(op.I32_LOAD8_U, b.record, REC_PREFIX), b.i32(PREFIX_LINKABLE));
        b.set(this.#link, b.select(linkable, b.record, b.i32(0)));
      });
      b.set(this.#rip, b.add(this.#pageRip, b.loadI64(b.record, REC_IMM)));
      b.br(this.#jump);
    };
    if (condition) b.if(condition, taken);
    else taken();
  }

  #callHandler(leave: Label): void {
    const b = this.#b;
    const number = b.load(op.I32_LOAD16_U, b.record, REC_HANDLER);
    const fixed = b.int('geU', b.i32(FIRST_INSTRUCTION_HANDLER - 1), number);
    b.set(this.#element, b.select(fixed, this.#fixedElement(number), b.sub(number, b.i32(this.#firstCalled))));
    b.end(); // element
    const rip = this.#ownRip();
    b.storeI64(b.cpu, RIP, rip);
    b.storeI64(b.cpu, NEXT_RIP, b.add(rip, b.load(op.I64_LOAD8_U, b.record, REC_LENGTH)));
    b.storeI32(b.cpu, CURRENT_RECORD, b.record);
    b.storeI32(b.cpu, BUDGET, b.sub(this.#budget, b.load(op.I32_LOAD8_U, b.record, REC_INDEX)));
    b.set(this.#status, b.callIndirect(this.#called.table, this.#called.type, op.I32, this.#element, b.record));
    b.if(b.eqz(this.#status), () => this.#advance());
    b.leaveWithFault(b.eq(this.#status, b.i32(ST_FAULT)));
    const after = b.block();
    b.brIf(after, b.eq(this.#status, b.i32(ST_TRANSLATE)));
    this.#count(1);
    b.end();
    b.brIf(leave, b.ne(this.#status, b.i32(ST_DISPATCH)));
    b.set(this.#rip, b.loadI64(b.cpu, RIP));
    b.br(this.#jump);
  }

  #fixedElement(number: Value): Value {
    const b = this.#b;
    const { address, checkPage, tooLong, undefinedOpcode } = this.#fixed;
    const is = (handler: number): Value => b.eq(number, b.i32(handler));
    const raising = b.select(is(HANDLER_TOO_LONG), b.i32(tooLong), b.i32(undefinedOpcode));
    const other = b.select(is(HANDLER_CHECK_PAGE), b.i32(checkPage), raising);
    return b.select(b.or(is(HANDLER_ADDRESS), is(HANDLER_ADDRESS_32)), b.i32(address), other);
  }

  #leaveWithFault(): void {
    const b = this.#b;
    this.#count(0);
    b.storeI64(b.cpu, RIP, this.#ownRip());
    b.storeI32(b.cpu, CURRENT_RECORD, b.record);
    b.storeI32(b.cpu, BUDGET, this.#budget);
    this.#deliver();
  }

  /** Goes on in the fault's handler; single steps are left to whoever asked for them. */
  #deliver(): void {
    const b = this.#b;
    b.if(b.loadI32(b.cpu, SINGLE_STEP), () => b.return(b.i32(ST_FAULT)));
    const again = b.loop();
    b.set(this.#status, b.call(this.#imports.named.get('deliver')!, op.I32));
    b.brIf(again, b.eq(this.#status, b.i32(ST_FAULT)));
    b.end();
    b.if(b.ne(this.#status, b.i32(ST_DISPATCH)), () => b.return(this.#status));
    b.set(this.#rip, b.loadI64(b.cpu, RIP));
    b.br(this.#dispatch);
  }
}

