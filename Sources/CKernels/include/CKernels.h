// The hot loops of CasyncChunking that Swift cannot express: it has no per-function target attribute.
//
// Every kernel has a twin in Swift, beside the function of CasyncChunking that calls it, with the same
// result on any CPU. A kernel may only be called on a CPU that has what its name says (ck_cpu_tier,
// ck_cpu_has_sha); on other architectures it traps. None allocates, blocks, or keeps a pointer;
// none reads or writes outside the ranges its arguments name.
#ifndef CKERNELS_H
#define CKERNELS_H

#include <stddef.h>
#include <stdint.h>

// What this CPU has: 0 none of the below, 1 AVX2, 2 AVX-512 (F, BW, DQ, VL, VBMI, VNNI) as well.
int ck_cpu_tier(void);

// Whether this CPU has the SHA extensions (SHA-NI).
int ck_cpu_has_sha(void);

// The 256 words of casync's rolling hash (docs/formats/buzhash.md), by byte.
const uint32_t* ck_buzhash_table(void);

// A divisor and the constants of the test for its multiples (Discriminator.swift).
struct ck_divisor {
  uint32_t divisor, inverse, rotation, limit;
};

// Finds the positions p of bytes, 48 <= p <= count < 2^32, where the rolling hash of the 48 bytes before p is
// divisor - 1 modulo divisor. Writes them to positions, ascending; gives their number, or -1 where there are
// more than capacity, or more than the kernel has room for (one in 16): positions is then not defined.
ptrdiff_t ck_buzhash_avx2(const uint8_t* bytes, size_t count, const struct ck_divisor* divisor,
                          uint32_t* positions, size_t capacity);
ptrdiff_t ck_buzhash_avx512(const uint8_t* bytes, size_t count, const struct ck_divisor* divisor,
                            uint32_t* positions, size_t capacity);

// Whether all of bytes is zero.
int ck_is_zero_avx2(const uint8_t* bytes, size_t count);

// Hashes blocks of 4096 bytes (docs/formats/image-chunker.md) into hashes, and sets bit i % 64 of zeros[i /
// 64] where block i is all zero; other bits keep their value.
void ck_hash_blocks_avx2(const uint8_t* bytes, size_t blocks, uint32_t* hashes, uint64_t* zeros);
void ck_hash_blocks_avx512(const uint8_t* bytes, size_t blocks, uint32_t* hashes, uint64_t* zeros);

// One message to digest: `length` bytes at `bytes`; its digest goes to the 32 bytes at `digest`.
struct ck_job {
  const uint8_t* bytes;
  size_t length;
  uint8_t* digest;
};

// SHA-256 and SHA-512/256 (FIPS 180-4) of `count` messages, some of them side by side: a lane that is done
// takes the next job. Best when the jobs are sorted, longest first.
void ck_sha256_sha(const struct ck_job* jobs, size_t count);
void ck_sha256_avx2(const struct ck_job* jobs, size_t count);
void ck_sha256_avx512(const struct ck_job* jobs, size_t count);
void ck_sha512_256_avx2(const struct ck_job* jobs, size_t count);
void ck_sha512_256_avx512(const struct ck_job* jobs, size_t count);

#endif
