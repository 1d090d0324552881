/*
 * Executes single instructions on the processor at hand, from a complete user-mode state to a complete user-mode state.
 *
 * The program lives in its signal handler. Each stop (a fault, the breakpoint behind the instruction, or a single-step
 * trap) arrives there with the whole state in the signal frame: the handler writes it out as the last case's result, puts
 * the next case's state into the same frame, and returns; sigreturn then loads all registers, segments and the extended
 * state at once, and control is at the next instruction. No C library is linked, so that any FS base does.
 *
 * Standard input: a setup record (regions with their contents, descriptors for the LDT), then cases until the end.
 * Standard output: a result for each. Layouts: state.ts and records.ts beside it.
 */
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <elf.h>
#include <signal.h>
#include <stdint.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>

#define STATE_SIZE 960
#define MAX_REGIONS 16
#define SHADOW_BYTES (256 << 10)
#define BUFFER (1 << 20)
#define FLAG_STEP 1
#define FLAG_BASES 2
#define TF 0x100
#define REGION_WRITE 1
#define REGION_EXECUTE 2
#define REGION_COMPARE 4
#define SA_RESTORER_BIT 0x04000000
#define LEGACY 512
#define XSTATE_BV 512
#define YMM 576

struct state {
  uint64_t gpr[16], rip, rflags, fs_base, gs_base;
  uint16_t selector[6]; /* ES CS SS DS FS GS */
  uint32_t pkru;
  uint64_t reserved[2];
  uint8_t fx[512], ymm[256];
};
_Static_assert(sizeof(struct state) == STATE_SIZE, "state.ts has the same layout");

struct head {
  uint32_t length, flags, code_address, code_length, patches, end, reserved[2]; /* end: RIP behind the breakpoint */
  struct state state;
};

struct result {
  uint32_t length, vector, error, differences;
  uint64_t cr2;
  struct state state;
};

struct region {
  uint32_t address, length, flags;
  uint8_t *shadow;
};

static struct region regions[MAX_REGIONS];
static uint32_t region_count;
static uint8_t shadows[SHADOW_BYTES] __attribute__((aligned(64)));
static uint8_t in_buffer[BUFFER] __attribute__((aligned(64))), out_buffer[BUFFER] __attribute__((aligned(64)));
static uint8_t case_bytes[65536] __attribute__((aligned(64)));
static uint8_t alternate[131072] __attribute__((aligned(64)));
static uint32_t in_at, in_end, out_at;
static int running, fsgsbase, pkru_offset, pkru_mask;
#define CASE ((struct head *)case_bytes)

static long call(long n, long a, long b, long c, long d, long e, long f) {
  long result;
  register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
  __asm__ volatile("syscall" : "=a"(result) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
  return result;
}

static void leave(int code) {
  for (;;) call(SYS_exit_group, code, 0, 0, 0, 0, 0);
}

void *memcpy(void *to, const void *from, size_t n) {
  void *start = to;
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
  return start;
}

void *memset(void *to, int value, size_t n) {
  void *start = to;
  __asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(value) : "memory");
  return start;
}

static void flush(void) {
  for (uint32_t at = 0; at < out_at;) {
    long n = call(SYS_write, 1, (long)(out_buffer + at), out_at - at, 0, 0, 0);
    if (n <= 0) leave(3);
    at += n;
  }
  out_at = 0;
}

static void put(const void *bytes, uint32_t n) {
  if (out_at + n > BUFFER) flush();
  memcpy(out_buffer + out_at, bytes, n);
  out_at += n;
}

/* False at the end of the input. */
static int get(void *to, uint32_t n) {
  uint8_t *p = to;
  while (n > 0) {
    if (in_at == in_end) {
      flush();
      long got = call(SYS_read, 0, (long)in_buffer, BUFFER, 0, 0, 0);
      if (got <= 0) return 0;
      in_at = 0;
      in_end = got;
    }
    uint32_t part = in_end - in_at < n ? in_end - in_at : n;
    memcpy(p, in_buffer + in_at, part);
    in_at += part;
    p += part;
    n -= part;
  }
  return 1;
}

static uint64_t read_base(int code, int gs) {
  uint64_t value;
  if (!fsgsbase) call(SYS_arch_prctl, code, (long)&value, 0, 0, 0, 0);
  else if (gs) __asm__ volatile(".byte 0xf3,0x48,0x0f,0xae,0xc8" : "=a"(value));
  else __asm__ volatile(".byte 0xf3,0x48,0x0f,0xae,0xc0" : "=a"(value));
  return value;
}

static void write_base(int code, int gs, uint64_t value) {
  if (!fsgsbase) call(SYS_arch_prctl, code, (long)value, 0, 0, 0, 0);
  else if (gs) __asm__ volatile(".byte 0xf3,0x48,0x0f,0xae,0xd8" : : "a"(value));
  else __asm__ volatile(".byte 0xf3,0x48,0x0f,0xae,0xd0" : : "a"(value));
}

/* ---- patches: bytes of the case, written to memory and to the shadow that memory is compared with */

static struct region *region_of(uint32_t address) {
  for (uint32_t i = 0; i < region_count; i++)
    if (address - regions[i].address < regions[i].length) return &regions[i];
  return 0;
}

static uint8_t saved[65536] __attribute__((aligned(64)));

static void patch(void) {
  uint8_t *p = case_bytes + sizeof(struct head), *keep = saved;
  for (uint32_t i = 0; i < CASE->patches; i++) {
    uint32_t address = *(uint32_t *)p, length = *(uint32_t *)(p + 4);
    struct region *r = region_of(address);
    if (!r || address - r->address + length > r->length) leave(4);
    uint8_t *shadow = r->shadow + (address - r->address), *live = (uint8_t *)(uint64_t)address;
    memcpy(keep, shadow, length);
    memcpy(shadow, p + 8, length);
    memcpy(live, p + 8, length);
    keep += length;
    p += 8 + ((length + 3) & ~3u);
  }
}

/* Patches may overlap, so they are taken back in the reverse order. */
static void unpatch(void) {
  uint8_t *starts[64], *keeps[64], *p = case_bytes + sizeof(struct head), *keep = saved;
  uint32_t n = CASE->patches;
  if (n > 64) leave(4);
  for (uint32_t i = 0; i < n; i++) {
    starts[i] = p;
    keeps[i] = keep;
    keep += *(uint32_t *)(p + 4);
    p += 8 + ((*(uint32_t *)(p + 4) + 3) & ~3u);
  }
  while (n-- > 0) {
    uint32_t address = *(uint32_t *)starts[n], length = *(uint32_t *)(starts[n] + 4);
    struct region *r = region_of(address);
    memcpy(r->shadow + (address - r->address), keeps[n], length);
    memcpy((void *)(uint64_t)address, keeps[n], length);
  }
}

/* ---- results */

static uint32_t put_differences(uint8_t *to, uint32_t *count) {
  uint8_t *start = to;
  *count = 0;
  for (uint32_t i = 0; i < region_count; i++) {
    struct region *r = &regions[i];
    if (!(r->flags & REGION_COMPARE)) continue;
    uint64_t *live = (uint64_t *)(uint64_t)r->address, *shadow = (uint64_t *)r->shadow;
    for (uint32_t w = 0; w < r->length / 8; w++) {
      if (live[w] == shadow[w]) continue;
      *(uint32_t *)to = r->address + w * 8;
      *(uint64_t *)(to + 4) = live[w];
      live[w] = shadow[w];
      to += 12;
      if (++*count >= 4096) return to - start;
    }
  }
  return to - start;
}

static struct result result;
static uint8_t difference_bytes[65536];

static void collect(ucontext_t *uc) {
  const greg_t *g = uc->uc_mcontext.gregs;
  static const uint8_t order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                    REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
  struct state *s = &result.state;
  const uint8_t *x = (const uint8_t *)uc->uc_mcontext.fpregs;
  for (int i = 0; i < 16; i++) s->gpr[i] = g[order[i]];
  s->rip = g[REG_RIP];
  s->rflags = g[REG_EFL];
  s->selector[1] = g[REG_CSGSFS];
  s->selector[2] = (uint64_t)g[REG_CSGSFS] >> 48;
  __asm__ volatile("mov %%es, %0\n mov %%ds, %1\n mov %%fs, %2\n mov %%gs, %3"
                   : "=r"(s->selector[0]), "=r"(s->selector[3]), "=r"(s->selector[4]), "=r"(s->selector[5]));
  s->fs_base = read_base(ARCH_GET_FS, 0);
  s->gs_base = read_base(ARCH_GET_GS, 1);
  memcpy(s->fx, x, 512);
  memcpy(s->ymm, x + YMM, 256);
  s->pkru = pkru_offset && *(const uint64_t *)(x + XSTATE_BV) & pkru_mask ? *(const uint32_t *)(x + pkru_offset) : 0;
  result.vector = g[REG_TRAPNO];
  result.error = g[REG_ERR];
  result.cr2 = g[REG_CR2];
  if (CASE->flags & FLAG_STEP) {
    s->rflags &= ~(uint64_t)TF;
    if (result.vector == 1) result.vector = -1;
  } else if (result.vector == 3 && s->rip == CASE->end) {
    result.vector = -1;
    s->rip--;
  }
  uint32_t bytes = put_differences(difference_bytes, &result.differences);
  result.length = sizeof result + bytes;
  put(&result, sizeof result);
  put(difference_bytes, bytes);
  unpatch();
}

/* ---- the next case */

static void prepare(ucontext_t *uc) {
  greg_t *g = uc->uc_mcontext.gregs;
  const struct state *s = &CASE->state;
  uint8_t *x = (uint8_t *)uc->uc_mcontext.fpregs;
  static const uint8_t order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                    REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
  for (int i = 0; i < 16; i++) g[order[i]] = s->gpr[i];
  g[REG_RIP] = s->rip;
  g[REG_EFL] = s->rflags | (CASE->flags & FLAG_STEP ? TF : 0);
  g[REG_CSGSFS] = s->selector[1] | (uint64_t)s->selector[2] << 48;
  uc->uc_flags = 7; /* UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS */
  memcpy(x, s->fx, 464); /* behind it are the kernel's own words */
  memcpy(x + YMM, s->ymm, 256);
  uint64_t components = 7;
  if (pkru_offset) {
    components |= pkru_mask;
    *(uint32_t *)(x + pkru_offset) = s->pkru;
  }
  *(uint64_t *)(x + XSTATE_BV) = components;
  __asm__ volatile("mov %0, %%es\n mov %1, %%ds\n mov %2, %%fs\n mov %3, %%gs"
                   : : "r"(s->selector[0]), "r"(s->selector[3]), "r"(s->selector[4]), "r"(s->selector[5]));
  if (CASE->flags & FLAG_BASES) {
    write_base(ARCH_SET_FS, 0, s->fs_base);
    write_base(ARCH_SET_GS, 1, s->gs_base);
  }
}

__attribute__((used)) static void handle(int number, siginfo_t *info, ucontext_t *uc) {
  (void)number, (void)info;
  if (running == 2) { /* a fault of the handler itself */
    running = 3;
    flush();
    leave(9);
  }
  int first = !running;
  running = 2;
  if (!first) collect(uc);
  if (!get(case_bytes, sizeof(struct head))) {
    flush();
    leave(0);
  }
  if (CASE->length > sizeof case_bytes) leave(5);
  get(case_bytes + sizeof(struct head), CASE->length - sizeof(struct head));
  patch();
  prepare(uc);
  running = 1;
}

/* The interrupted code may have had AC, NT or ID set, which the kernel leaves. */
__asm__(".globl on_signal\non_signal:\n pushfq\n andl $~0x244000, (%rsp)\n popfq\n jmp handle\n");
__asm__(".globl restorer\nrestorer:\n mov $15, %eax\n syscall\n");
extern void on_signal(void), restorer(void);

struct kernel_action {
  void (*handler)(void);
  unsigned long flags;
  void (*restorer)(void);
  uint64_t mask;
};

static void setup(void) {
  uint32_t counts[2];
  if (!get(counts, 8) || counts[0] > MAX_REGIONS) leave(6);
  uint8_t *shadow = shadows;
  region_count = counts[0];
  for (uint32_t i = 0; i < region_count; i++) {
    struct region *r = &regions[i];
    get(r, 12);
    r->shadow = shadow;
    if (shadow + r->length > shadows + sizeof shadows) leave(6);
    long at = call(SYS_mmap, r->address, r->length, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_POPULATE, -1, 0);
    if (at != (long)r->address) leave(7);
    get(shadow, r->length);
    memcpy((void *)at, shadow, r->length);
    int protection = PROT_READ | (r->flags & REGION_WRITE ? PROT_WRITE : 0) | (r->flags & REGION_EXECUTE ? PROT_EXEC : 0);
    call(SYS_mprotect, at, r->length, protection, 0, 0, 0);
    shadow += r->length;
  }
  for (uint32_t i = 0; i < counts[1]; i++) {
    struct user_desc entry;
    get(&entry, sizeof entry);
    if (call(SYS_modify_ldt, 0x11, (long)&entry, sizeof entry, 0, 0, 0) != 0) leave(8);
  }
  uint32_t a, b, c, d;
  __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
  if (a & 0x200) {
    __asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(13), "c"(9));
    pkru_offset = b;
    pkru_mask = 0x200;
  }
}

__attribute__((used)) static void start(uint64_t *stack) {
  uint64_t *p = stack + 1 + stack[0] + 1;
  while (*p++) continue;
  for (Elf64_auxv_t *aux = (Elf64_auxv_t *)p; aux->a_type != AT_NULL; aux++)
    if (aux->a_type == AT_HWCAP2) fsgsbase = aux->a_un.a_val >> 1 & 1;
  // LSL of Linux's segment that holds the CPU's number answers 0, as the model has it; where CPU 0 is not to be had, it may answer otherwise.
  static const unsigned long first_cpu = 1;
  call(SYS_sched_setaffinity, 0, sizeof first_cpu, (long)&first_cpu, 0, 0, 0);
  setup();
  stack_t alternate_stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
  call(SYS_sigaltstack, (long)&alternate_stack, 0, 0, 0, 0, 0);
  struct kernel_action action = {on_signal, SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_RESTORER_BIT, restorer, 0};
  static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
  for (int i = 0; i < 5; i++) call(SYS_rt_sigaction, signals[i], (long)&action, 0, 8, 0, 0);
  __asm__ volatile("int3");
  leave(1);
}

__asm__(".globl _start\n_start:\n mov %rsp, %rdi\n and $-16, %rsp\n call start\n");
