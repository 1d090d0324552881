/*
 * Executes single instructions on the processor at hand. Reads cases from standard input until its end, and writes for
 * each what the instruction left behind. Layouts: struct input and struct output, as native.ts packs them.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

struct input {
  uint8_t fx[512];
  uint8_t memory[128];
  uint64_t rax;
  uint64_t rdx;
  uint64_t rflags;
  uint8_t code[16];
};

struct output {
  uint8_t fx[512];
  uint8_t memory[128];
  uint64_t rax;
  uint64_t rcx;
  uint64_t rflags;
};

static struct input in __attribute__((aligned(64)));
static struct output out __attribute__((aligned(64)));
static uint8_t clean[512] __attribute__((aligned(64)));

int main(void) {
  uint8_t *code = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (code == MAP_FAILED) return 2;
  __asm__ volatile("fxsave64 %0" : "=m"(clean));
  while (fread(&in, sizeof in, 1, stdin) == 1) {
    memcpy(code, in.code, 16);
    code[16] = 0xc3;
    memcpy(out.memory, in.memory, sizeof out.memory);
    uint64_t rax = in.rax, rcx = 0, rdx = in.rdx, rflags = in.rflags;
    __asm__ volatile(
        "sub $256, %%rsp\n fxrstor64 (%[in])\n push %[flags]\n popfq\n call *%[code]\n pushfq\n pop %[flags]\n"
        "fxsave64 (%[out])\n fxrstor64 (%[clean])\n add $256, %%rsp\n"
        : "+a"(rax), "+c"(rcx), "+d"(rdx), [flags] "+r"(rflags)
        : [in] "r"(in.fx), [out] "r"(out.fx), [clean] "r"(clean), [code] "r"(code), "D"(out.memory)
        : "memory", "cc", "rsi");
    out.rax = rax;
    out.rcx = rcx;
    out.rflags = rflags;
    if (fwrite(&out, sizeof out, 1, stdout) != 1) return 3;
  }
  return 0;
}
