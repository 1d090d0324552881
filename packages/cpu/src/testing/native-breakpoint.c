/*
 * Debug registers of the processor at hand: a child under ptrace runs a few bytes of code in 64-bit mode with breakpoints set.
 * For each record on standard input: where it stopped first, and DR6. INT3 ends what does not trap.
 */
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOW 0x10000
#define HIGH 0x3a000

struct input {
  uint64_t code_at, dr[4], dr7, rdi, rsi, rcx, rsp, rflags;
  uint8_t code[32];
};

struct output {
  uint64_t rip, dr6, rcx, rdi, rflags;
  int64_t signal;
};

static int run(pid_t child, const struct input *in, struct output *out) {
  struct user_regs_struct regs;
  int status;
  for (size_t i = 0; i < sizeof in->code; i += 8) {
    long word;
    memcpy(&word, in->code + i, 8);
    if (ptrace(PTRACE_POKEDATA, child, in->code_at + i, word) != 0) return 0;
  }
  if (ptrace(PTRACE_GETREGS, child, 0, &regs) != 0) return 0;
  regs.rip = in->code_at;
  regs.rdi = in->rdi;
  regs.rsi = in->rsi;
  regs.rcx = in->rcx;
  regs.rsp = in->rsp;
  regs.eflags = in->rflags;
  regs.orig_rax = -1;
  if (ptrace(PTRACE_SETREGS, child, 0, &regs) != 0) return 0;
  const size_t at = offsetof(struct user, u_debugreg);
  if (ptrace(PTRACE_POKEUSER, child, at + 7 * 8, 0) != 0) return 0;
  for (int i = 0; i < 4; i++)
    if (ptrace(PTRACE_POKEUSER, child, at + i * 8, in->dr[i]) != 0) return 0;
  if (ptrace(PTRACE_POKEUSER, child, at + 6 * 8, 0) != 0) return 0;
  if (ptrace(PTRACE_POKEUSER, child, at + 7 * 8, in->dr7) != 0) return 0;
  if (ptrace(PTRACE_CONT, child, 0, 0) != 0 || waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) return 0;
  if (ptrace(PTRACE_GETREGS, child, 0, &regs) != 0) return 0;
  *out = (struct output){regs.rip, ptrace(PTRACE_PEEKUSER, child, at + 6 * 8, 0), regs.rcx, regs.rdi, regs.eflags, WSTOPSIG(status)};
  return ptrace(PTRACE_POKEUSER, child, at + 7 * 8, 0) == 0;
}

static int all(ssize_t count, size_t wanted) { return count == (ssize_t)wanted; }

int main(void) {
  pid_t child = fork();
  if (child == 0) {
    void *at = mmap((void *)LOW, HIGH - LOW, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (at != (void *)LOW || ptrace(PTRACE_TRACEME, 0, 0, 0) != 0) _exit(1);
    raise(SIGSTOP);
    _exit(0);
  }
  int status;
  if (child < 0 || waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) return 1;
  struct input in;
  struct output out;
  int good = 1;
  while (good && all(read(0, &in, sizeof in), sizeof in)) good = run(child, &in, &out) && all(write(1, &out, sizeof out), sizeof out);
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  return !good;
}
