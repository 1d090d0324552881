/*
 * Executes single instructions on the processor at hand with all general registers and RFLAGS given. Memory operands
 * lie in a page at MEMORY. Reads cases from standard input until its end; a fault is reported by its vector.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#define MEMORY ((uint8_t *)0x10000000)

struct state {
  uint64_t regs[16]; /* RAX RCX RDX RBX RBP RSI RDI R8..R15 RSP */
  uint64_t rflags;
  uint8_t memory[128];
  uint64_t vector; /* -1: none; input: code bytes follow */
};

struct input {
  struct state s;
  uint8_t code[16];
};

static struct input in;
static struct state out;
static uint64_t host_rsp, after_rsp;
static sigjmp_buf env;
static uint8_t alt[65536];

static void on_signal(int number, siginfo_t *info, void *context) {
  (void)number, (void)info;
  out.vector = ((ucontext_t *)context)->uc_mcontext.gregs[REG_TRAPNO];
  siglongjmp(env, 1);
}

static uint8_t *emit(uint8_t *p, const void *bytes, int n) { memcpy(p, bytes, n); return p + n; }
static uint8_t *emit64(uint8_t *p, const char *op, int n, void *address) {
  p = emit(p, op, n);
  return emit(p, &address, 8);
}

int main(void) {
  uint8_t *code = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mmap(MEMORY, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED && code != MAP_FAILED) {
    stack_t stack = {.ss_sp = alt, .ss_size = sizeof alt};
    sigaltstack(&stack, 0);
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    for (int i = 0; i < 5; i++) sigaction(signals[i], &action, 0);
  }
  while (fread(&in, sizeof in, 1, stdin) == 1) {
    memcpy(MEMORY, in.s.memory, sizeof in.s.memory);
    out = in.s;
    out.vector = (uint64_t)-1;
    uint8_t *p = code;
    p = emit(p, "\x53\x55\x41\x54\x41\x55\x41\x56\x41\x57", 10); /* push the callee-saved registers */
    p = emit64(p, "\x48\xb8", 2, &host_rsp);
    p = emit(p, "\x48\x89\x20", 3); /* mov [rax], rsp */
    p = emit64(p, "\x48\xb8", 2, &in.s.rflags);
    p = emit(p, "\xff\x30\x9d", 3); /* push [rax]; popfq */
    p = emit64(p, "\x48\xbc", 2, &in.s.regs);
    p = emit(p, "\x58\x59\x5a\x5b\x5d\x5e\x5f\x41\x58\x41\x59\x41\x5a\x41\x5b\x41\x5c\x41\x5d\x41\x5e\x41\x5f\x5c", 24);
    p = emit(p, in.code, 16);
    p = emit64(p, "\x48\xa3", 2, &out.regs[0]);          /* mov [regs], rax */
    p = emit(p, "\x48\x89\xe0", 3);                       /* mov rax, rsp */
    p = emit64(p, "\x48\xa3", 2, &after_rsp);
    p = emit64(p, "\x48\xbc", 2, &out.regs[15]);
    p = emit(p, "\x41\x57\x41\x56\x41\x55\x41\x54\x41\x53\x41\x52\x41\x51\x41\x50\x57\x56\x55\x53\x52\x51", 22);
    p = emit64(p, "\x48\xbc", 2, (uint8_t *)(&out.rflags + 1));
    p = emit(p, "\x9c", 1);                               /* pushfq */
    p = emit64(p, "\x48\xb8", 2, &host_rsp);
    p = emit(p, "\x48\x8b\x20\xfc\x41\x5f\x41\x5e\x41\x5d\x41\x5c\x5d\x5b\xc3", 15);
    if (sigsetjmp(env, 1) == 0) {
      ((void (*)(void))code)();
      out.regs[15] = after_rsp;
    } else {
      __asm__ volatile("cld");
    }
    memcpy(out.memory, MEMORY, sizeof out.memory);
    if (fwrite(&out, sizeof out, 1, stdout) != 1) return 3;
  }
  return 0;
}
