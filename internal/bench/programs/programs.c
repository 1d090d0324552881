/*
 * The guest programs that the benchmarks time: `programs NAME[:N]...` does each kind of work N times as long and prints a checksum.
 * Built by build.sh for amd64 and i386 without a C library.
 */
#include "start.h"

enum { SEED = 12345 };
static u32 seed = SEED;
static u32 next(void) { return seed = seed * 1664525u + 1013904223u; }

static u32 integers(u32 n)
{
	u32 a = 1, b = 2, c = 3;
	for (u32 i = 0; i < n * 60000000u; i++) {
		a += b ^ i;
		b = (b << 5) | (b >> 27);
		c ^= a & (i | 7);
	}
	return a ^ b ^ c;
}

static u8 composite[1 << 20];
static u32 sieve(u32 n)
{
	u32 count = 0;
	for (u32 round = 0; round < n * 14; round++) {
		memset(composite, 0, sizeof composite);
		for (u32 i = 2; i < sizeof composite; i++) {
			if (composite[i]) continue;
			count++;
			for (u32 j = i * 2; j < sizeof composite; j += i) composite[j] = 1;
		}
	}
	return count;
}

static const u32 K[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
	0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
	0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
	0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
	0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
	0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2 };
#define ROTATE(x, n) (((x) >> (n)) | ((x) << (32 - (n))))

static void sha256(u32 *h, const u8 *block)
{
	u32 w[64], v[8];
	for (int i = 0; i < 16; i++) w[i] = (u32)block[i * 4] << 24 | (u32)block[i * 4 + 1] << 16 | (u32)block[i * 4 + 2] << 8 | block[i * 4 + 3];
	for (int i = 16; i < 64; i++) {
		u32 s0 = ROTATE(w[i - 15], 7) ^ ROTATE(w[i - 15], 18) ^ (w[i - 15] >> 3);
		u32 s1 = ROTATE(w[i - 2], 17) ^ ROTATE(w[i - 2], 19) ^ (w[i - 2] >> 10);
		w[i] = w[i - 16] + s0 + w[i - 7] + s1;
	}
	for (int i = 0; i < 8; i++) v[i] = h[i];
	for (int i = 0; i < 64; i++) {
		u32 t1 = v[7] + (ROTATE(v[4], 6) ^ ROTATE(v[4], 11) ^ ROTATE(v[4], 25)) + ((v[4] & v[5]) ^ (~v[4] & v[6])) + K[i] + w[i];
		u32 t2 = (ROTATE(v[0], 2) ^ ROTATE(v[0], 13) ^ ROTATE(v[0], 22)) + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
		for (int j = 7; j > 0; j--) v[j] = v[j - 1];
		v[4] += t1;
		v[0] = t1 + t2;
	}
	for (int i = 0; i < 8; i++) h[i] += v[i];
}

static u32 hash(u32 n)
{
	u32 h[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
	u8 block[64];
	for (int i = 0; i < 64; i++) block[i] = (u8)i;
	for (u32 i = 0; i < n * 150000; i++) {
		block[i & 63] = (u8)h[0];
		sha256(h, block);
	}
	return h[0] ^ h[7];
}

static u8 text[1 << 18], packed[1 << 19];
static u32 compress(u32 n)
{
	static u32 heads[1 << 12];
	u32 total = 0;
	for (u32 i = 0; i < sizeof text; i++) text[i] = (u8)("the quick brown fox jumps over a lazy dog "[(i * 7 + (next() >> 29)) % 42]);
	for (u32 round = 0; round < n * 20; round++) {
		u32 out = 0;
		memset(heads, 0, sizeof heads);
		for (u32 i = 0; i + 4 < sizeof text;) {
			u32 key = (text[i] | text[i + 1] << 8 | (u32)text[i + 2] << 16) * 2654435761u >> 20;
			u32 at = heads[key];
			heads[key] = i;
			u32 run = 0;
			if (at < i) while (i + run < sizeof text && run < 255 && text[at + run] == text[i + run]) run++;
			if (run >= 4) {
				packed[out++] = (u8)run;
				packed[out++] = (u8)(i - at);
				packed[out++] = (u8)((i - at) >> 8);
				i += run;
			} else packed[out++] = text[i++];
		}
		total += out + packed[out / 2];
	}
	return total;
}

struct node { struct node *next; u32 value; };
static u32 chase(u32 n)
{
	enum { NODES = 1 << 18 };
	struct node *nodes = pages(NODES * sizeof(struct node));
	static u32 order[NODES];
	for (u32 i = 0; i < NODES; i++) order[i] = i;
	for (u32 i = NODES - 1; i > 0; i--) {
		u32 j = (next() >> 8) % (i + 1), t = order[i];
		order[i] = order[j];
		order[j] = t;
	}
	for (u32 i = 0; i < NODES; i++) nodes[order[i]].next = &nodes[order[(i + 1) % NODES]], nodes[i].value = i;
	u32 sum = 0;
	struct node *at = nodes;
	for (u32 i = 0; i < n * 6000000; i++, at = at->next) sum += at->value;
	return sum;
}

static double ma[160][160], mb[160][160], mc[160][160];
static u32 matrix(u32 n)
{
	for (int i = 0; i < 160; i++) for (int j = 0; j < 160; j++) ma[i][j] = i * 0.5 + j, mb[i][j] = i - j * 0.25;
	for (u32 round = 0; round < n * 12; round++) {
		for (int i = 0; i < 160; i++) for (int j = 0; j < 160; j++) {
			double sum = 0;
			for (int k = 0; k < 160; k++) sum += ma[i][k] * mb[k][j];
			mc[i][j] = sum;
		}
		ma[0][0] = mc[3][4] * 1e-9;
	}
	return (u32)(i64)mc[7][9];
}

static u32 machine(u32 n)
{
	static u8 code[4096];
	for (int i = 0; i < 4096; i++) code[i] = (u8)((next() >> 24) & 7);
	u32 x = 1, y = 2, pc = 0;
	for (u32 i = 0; i < n * 25000000; i++) {
		switch (code[pc]) {
		case 0: x += y; break;
		case 1: x ^= y << 3; break;
		case 2: y -= x; break;
		case 3: y = y >> 1 | x << 31; break;
		case 4: if (x & 1) pc += y & 3; break;
		case 5: x *= 3; break;
		case 6: y ^= pc; break;
		default: x--; break;
		}
		pc = (pc + 1) & 4095;
	}
	return x ^ y;
}

struct body { double x, y, z, vx, vy, vz, mass; };
static struct body bodies[5] = {
	{ 0, 0, 0, 0, 0, 0, 39.47 }, { 4.84, -1.16, -0.10, 0.60, 2.81, -0.02, 0.037 }, { 8.34, 4.12, -0.4, -1.01, 1.82, 0.008, 0.011 },
	{ 12.89, -15.11, -0.22, 1.08, 0.86, -0.01, 0.0017 }, { 15.37, -25.9, 0.17, 0.97, 0.59, -0.03, 0.002 } };
#define NBODY(NAME, SQRT) \
static u32 NAME(u32 n) \
{ \
	for (u32 step = 0; step < n * 250000; step++) { \
		for (int i = 0; i < 5; i++) for (int j = i + 1; j < 5; j++) { \
			struct body *a = &bodies[i], *b = &bodies[j]; \
			double dx = a->x - b->x, dy = a->y - b->y, dz = a->z - b->z; \
			double d2 = dx * dx + dy * dy + dz * dz; \
			double distance; \
			SQRT; \
			double magnitude = 0.001 / (d2 * distance); \
			a->vx -= dx * b->mass * magnitude, a->vy -= dy * b->mass * magnitude, a->vz -= dz * b->mass * magnitude; \
			b->vx += dx * a->mass * magnitude, b->vy += dy * a->mass * magnitude, b->vz += dz * a->mass * magnitude; \
		} \
		for (int i = 0; i < 5; i++) { \
			struct body *a = &bodies[i]; \
			a->x += 0.001 * a->vx, a->y += 0.001 * a->vy, a->z += 0.001 * a->vz; \
		} \
	} \
	return (u32)(i64)(bodies[0].x * 1e6); \
}
__attribute__((target("sse2,fpmath=sse")))
NBODY(nbodySse, __asm__("sqrtsd %1, %0" : "=x"(distance) : "x"(d2)))
#ifdef __i386__
__attribute__((target("fpmath=387")))
NBODY(nbodyX87, __asm__("fsqrt" : "=t"(distance) : "0"(d2)))
#else
static u32 nbodyX87(u32 n)
{
	/* The compiler keeps doubles in SSE registers here; long doubles are x87's. */
	long double x = 1, y = 0.5L, z = 0.25L, s = 0;
	for (u32 i = 0; i < n * 2500000; i++) {
		long double d = x * x + y * y + z * z, r;
		__asm__("fsqrt" : "=t"(r) : "0"(d));
		long double m = 0.01L / (d * r);
		x += y * m, y -= x * m, z += 0.001L * x - 0.001L * y;
		s += r;
	}
	return (u32)(i64)(s * 1e3L);
}
#endif

static u32 copy(u32 n)
{
	u32 sum = 0;
	u8 *a = pages(1 << 22), *b = pages(1 << 22);
	for (u32 i = 0; i < n * 40; i++) {
		void *to = b, *from = a;
		word count = 1 << 20;
		a[i & 4095] = (u8)i;
		__asm__ volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
		to = a;
		count = 1 << 18;
		__asm__ volatile("rep stosl" : "+D"(to), "+c"(count) : "a"(i) : "memory");
		sum += b[i & 4095];
	}
	return sum;
}

/* As C libraries copy and fill large blocks: sixteen bytes at a time. */
__attribute__((target("sse2")))
static u32 vectors(u32 n)
{
	typedef u64 vector __attribute__((vector_size(16)));
	enum { BYTES = 1 << 22, VECTORS = BYTES / sizeof(vector) };
	u32 sum = 0;
	vector *a = pages(BYTES), *b = pages(BYTES);
	for (u32 i = 0; i < n * 40; i++) {
		((volatile u8 *)a)[i & (BYTES - 1)] = (u8)i;
		for (u32 j = 0; j < VECTORS; j += 4) b[j] = a[j], b[j + 1] = a[j + 1], b[j + 2] = a[j + 2], b[j + 3] = a[j + 3];
		vector fill = { i, i };
		for (u32 j = 0; j < VECTORS / 4; j += 4) a[j] = fill, a[j + 1] = fill, a[j + 2] = fill, a[j + 3] = fill;
		sum += ((volatile u8 *)b)[i & (BYTES - 1)];
	}
	return sum;
}

static u32 strings(u32 n)
{
	static char line[4096];
	u32 sum = 0;
	for (int i = 0; i < 4095; i++) line[i] = (char)('a' + i % 26);
	for (u32 i = 0; i < n * 8000; i++) {
		const char *at = line;
		word count = (word)-1;
		__asm__ volatile("repne scasb" : "+D"(at), "+c"(count) : "a"(0) : "memory");
		sum += (u32)~count;
		const char *a = line, *b = line + 26;
		count = 2000;
		__asm__ volatile("repe cmpsb" : "+S"(a), "+D"(b), "+c"(count) : : "memory", "cc");
		sum += (u32)count + (u32)(a - line);
		line[(i * 37) & 2047] ^= 1;
	}
	return sum;
}

static __attribute__((noinline)) u32 fibonacci(u32 n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }
static u32 recursion(u32 n)
{
	u32 sum = 0;
	for (u32 i = 0; i < n; i++) sum += fibonacci(34);
	return sum;
}

static __attribute__((noinline)) u32 f0(u32 x) { return x + 1; }
static __attribute__((noinline)) u32 f1(u32 x) { return x ^ 0x55; }
static __attribute__((noinline)) u32 f2(u32 x) { return x * 5; }
static __attribute__((noinline)) u32 f3(u32 x) { return x >> 1; }
static u32 (*volatile functions[4])(u32) = { f0, f1, f2, f3 };
static u32 indirect(u32 n)
{
	u32 x = 7;
	for (u32 i = 0; i < n * 30000000; i++) x = functions[(i ^ x) & 3](x);
	return x;
}

static u32 systemCalls(u32 n)
{
	u32 sum = 0;
	for (u32 i = 0; i < n * 400000; i++) sum += (u32)call3(SYS_getppid, 0, 0, 0);
	return sum != 0;
}

static u32 forks(u32 n, char **argv)
{
	u32 sum = 0;
	for (u32 i = 0; i < n * 150; i++) {
		long child = call3(SYS_fork, 0, 0, 0);
		if (child == 0) {
			char *args[] = { argv[0], "nothing", 0 };
			call3(SYS_execve, (long)argv[0], (long)args, 0);
			call3(SYS_exit, 1, 0, 0);
		}
		int status = 0;
		call6(SYS_wait4, child, (long)&status, 0, 0, 0, 0);
		sum += (u32)status;
	}
	return sum;
}

static u32 faults(u32 n)
{
	u32 sum = 0;
	for (u32 i = 0; i < n * 12; i++) {
		u8 *memory = pages(1 << 22);
		for (u32 at = 0; at < 1 << 22; at += 4096) memory[at] = (u8)at, sum++;
		call3(SYS_munmap, (long)memory, 1 << 22, 0);
	}
	return sum;
}

static u32 pipes(u32 n)
{
	int there[2], back[2];
	u32 token = 0;
	call3(SYS_pipe, (long)there, 0, 0);
	call3(SYS_pipe, (long)back, 0, 0);
	u32 rounds = n * 10000;
	if (call3(SYS_fork, 0, 0, 0) == 0) {
		for (u32 i = 0; i < rounds; i++) {
			call3(SYS_read, there[0], (long)&token, 4);
			token++;
			call3(SYS_write, back[1], (long)&token, 4);
		}
		call3(SYS_exit, 0, 0, 0);
	}
	for (u32 i = 0; i < rounds; i++) {
		call3(SYS_write, there[1], (long)&token, 4);
		call3(SYS_read, back[0], (long)&token, 4);
	}
	call6(SYS_wait4, -1, 0, 0, 0, 0, 0);
	return token;
}

static const struct { const char *name; u32 (*run)(u32); } kinds[] = {
	{ "integers", integers }, { "sieve", sieve }, { "hash", hash }, { "compress", compress }, { "chase", chase }, { "matrix", matrix },
	{ "machine", machine }, { "nbody-sse2", nbodySse }, { "nbody-x87", nbodyX87 }, { "copy", copy },
	{ "copy-sse2", vectors }, { "strings", strings }, { "recursion", recursion },
	{ "indirect", indirect }, { "syscalls", systemCalls }, { "faults", faults }, { "pipes", pipes } };

static void one(char *name, char **argv)
{
	u32 n = 1;
	for (char *at = name; *at; at++) {
		if (*at != ':') continue;
		*at = 0;
		n = number(at + 1);
		break;
	}
	for (word i = 0; i < sizeof kinds / sizeof kinds[0] + 1; i++) {
		int last = i == sizeof kinds / sizeof kinds[0];
		if (!same(name, last ? "forks" : kinds[i].name)) continue;
		seed = SEED;
		print(name);
		print(" begins\n");
		u32 sum = last ? forks(n, argv) : kinds[i].run(n);
		print(name);
		print(" gives ");
		printHex(sum);
		print("\n");
	}
}

int program(int argc, char **argv)
{
	if (argc > 1 && same(argv[1], "nothing")) return 0;
	/* Whatever the firmware left on the line. */
	print("\n");
	for (int i = 1; i < argc; i++) one(argv[i], argv);
	return 0;
}
