/*
 * The XSAVE family on the processor at hand. For each record on standard input: loads a state, executes one instruction on an
 * area, and writes the vector of its fault, XGETBV(1) before it, the area and the state after it.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#define AREA 1024
#define STATE 832

struct input {
  uint32_t operation, mask, offset, reserved;
  uint8_t state[STATE], area[AREA];
};

struct output {
  int32_t vector;
  uint32_t in_use;
  uint8_t area[AREA], state[STATE];
};

static volatile int32_t vector;

static void on_signal(int number, siginfo_t *info, void *context) {
  (void)number;
  (void)info;
  greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  vector = (int32_t)registers[REG_TRAPNO];
  registers[REG_RIP] = registers[REG_R12];
}

/* State in, XGETBV(1), the instruction on (rdi), state out; r12 is where a fault goes on. */
#define EXECUTE(instruction) \
  __asm__ volatile("mov $7, %%eax\n xor %%edx, %%edx\n xrstor64 (%%rsi)\n" \
                   "mov $1, %%ecx\n xgetbv\n mov %%eax, %[used]\n" \
                   "lea 1f(%%rip), %%r12\n mov %[mask], %%eax\n xor %%edx, %%edx\n" instruction " (%%rdi)\n1:\n" \
                   "mov $7, %%eax\n xor %%edx, %%edx\n xsave64 (%%rbx)\n" \
                   : [used] "=m"(used) \
                   : "D"(area), "S"(state), "b"(after), [mask] "m"(mask) \
                   : "rax", "rcx", "rdx", "r12", "memory", "cc")

static uint8_t area_page[AREA + 64] __attribute__((aligned(64)));
static uint8_t state[STATE] __attribute__((aligned(64))), after[STATE] __attribute__((aligned(64)));
static const uint8_t initial[STATE] __attribute__((aligned(64))) = {[0] = 0x7f, [1] = 3, [24] = 0x80, [25] = 0x1f};

static int all(int (*move)(int, void *, size_t), int file, void *at, size_t length) {
  for (size_t done = 0; done < length;) {
    int count = move(file, (char *)at + done, length - done);
    if (count <= 0) return 0;
    done += count;
  }
  return 1;
}

static int in(int file, void *at, size_t length) { return read(file, at, length); }
static int out(int file, void *at, size_t length) { return write(file, at, length); }

int main(void) {
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_NODEFER};
  sigaction(SIGSEGV, &action, 0);
  sigaction(SIGBUS, &action, 0);
  sigaction(SIGILL, &action, 0);
  static struct input input;
  static struct output output;
  while (all(in, 0, &input, sizeof input)) {
    uint32_t used, mask = input.mask;
    uint8_t *area = area_page + input.offset;
    memcpy(state, input.state, STATE);
    memcpy(area, input.area, AREA);
    memset(after, 0, STATE);
    vector = -1;
    switch (input.operation) {
      case 0: EXECUTE("xsave"); break;
      case 1: EXECUTE("xsave64"); break;
      case 2: EXECUTE("xsaveopt"); break;
      case 3: EXECUTE("xsaveopt64"); break;
      case 4: EXECUTE("xsavec"); break;
      case 5: EXECUTE("xsavec64"); break;
      case 6: EXECUTE("xrstor"); break;
      default: EXECUTE("xrstor64"); break;
    }
    __asm__ volatile("xrstor64 (%0)" : : "r"(initial), "a"(7), "d"(0) : "memory");
    output.vector = vector;
    output.in_use = used;
    memcpy(output.area, area, AREA);
    memcpy(output.state, after, STATE);
    if (!all(out, 1, &output, sizeof output)) return 1;
  }
  return 0;
}
