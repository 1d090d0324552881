/* A C program without a C library: entry, system calls and the few functions that the compiler calls. */
#ifndef START_H
#define START_H
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;
typedef unsigned long word;

#ifdef __x86_64__
enum { SYS_read = 0, SYS_write = 1, SYS_mmap = 9, SYS_munmap = 11, SYS_pipe = 22, SYS_getppid = 110, SYS_fork = 57, SYS_execve = 59,
       SYS_exit = 60, SYS_wait4 = 61, SYS_exit_group = 231 };
static long call3(long n, long a, long b, long c)
{
	long r;
	__asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return r;
}
static long call6(long n, long a, long b, long c, long d, long e, long f)
{
	long r;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	__asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
	return r;
}
#else
enum { SYS_read = 3, SYS_write = 4, SYS_mmap = 192, SYS_munmap = 91, SYS_pipe = 42, SYS_getppid = 64, SYS_fork = 2, SYS_execve = 11,
       SYS_exit = 1, SYS_wait4 = 114, SYS_exit_group = 252 };
static long call6(long n, long a, long b, long c, long d, long e, long f)
{
	long r;
	long args[2] = { d, f };
	const long *at = args;
	/* The sixth argument goes to EBP, which the compiler may use for its own addresses: load all from memory. */
	__asm__ volatile("push %%ebp\n\tmov 4(%%esi), %%ebp\n\tmov (%%esi), %%esi\n\tint $0x80\n\tpop %%ebp"
			 : "=a"(r), "+S"(at) : "a"(n), "b"(a), "c"(b), "d"(c), "D"(e) : "memory");
	return r;
}
static long call3(long n, long a, long b, long c)
{
	long r;
	__asm__ volatile("int $0x80" : "=a"(r) : "a"(n), "b"(a), "c"(b), "d"(c) : "memory");
	return r;
}
#endif

void *memcpy(void *to, const void *from, word n)
{
	u8 *d = to;
	const u8 *s = from;
	while (n--) *d++ = *s++;
	return to;
}

void *memset(void *to, int value, word n)
{
	u8 *d = to;
	while (n--) *d++ = (u8)value;
	return to;
}

static word length(const char *s)
{
	word n = 0;
	while (s[n]) n++;
	return n;
}

static int same(const char *a, const char *b)
{
	while (*a && *a == *b) a++, b++;
	return *a == *b;
}

static u32 number(const char *s)
{
	u32 n = 0;
	while (*s >= '0' && *s <= '9') n = n * 10 + (u32)(*s++ - '0');
	return n;
}

static void print(const char *s) { call3(SYS_write, 1, (long)s, (long)length(s)); }

static void printHex(u32 value)
{
	char text[9];
	for (int i = 0; i < 8; i++) text[i] = "0123456789abcdef"[(value >> (28 - 4 * i)) & 15];
	text[8] = 0;
	print(text);
}

static void *pages(word bytes)
{
	return (void *)call6(SYS_mmap, 0, (long)bytes, 3, 0x22, -1, 0);
}

int program(int argc, char **argv);
void begin(word *stack)
{
	call3(SYS_exit_group, program((int)stack[0], (char **)(stack + 1)), 0, 0);
}
#ifdef __x86_64__
__asm__(".globl _start\n_start:\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall begin\n");
#else
__asm__(".globl _start\n_start:\n\tmov %esp, %eax\n\tand $-16, %esp\n\tsub $12, %esp\n\tpush %eax\n\tcall begin\n");
#endif
#endif
