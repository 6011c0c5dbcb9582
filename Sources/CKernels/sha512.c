// SHA-512/256 of several messages side by side, a message in each 64-bit lane of the vectors.
#include "CKernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

static const uint64_t k[80] = {
    0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc, 0x3956c25bf348b538,
    0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118, 0xd807aa98a3030242, 0x12835b0145706fbe,
    0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2, 0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235,
    0xc19bf174cf692694, 0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
    0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5, 0x983e5152ee66dfab,
    0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4, 0xc6e00bf33da88fc2, 0xd5a79147930aa725,
    0x06ca6351e003826f, 0x142929670a0e6e70, 0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed,
    0x53380d139d95b3df, 0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
    0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30, 0xd192e819d6ef5218,
    0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8, 0x19a4c116b8d2d0c8, 0x1e376c085141ab53,
    0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8, 0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373,
    0x682e6ff3d6b2b8a3, 0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
    0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b, 0xca273eceea26619c,
    0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178, 0x06f067aa72176fba, 0x0a637dc5a2c898a6,
    0x113f9804bef90dae, 0x1b710b35131c471b, 0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc,
    0x431d67c49c100d4c, 0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817,
};

// FIPS 180-4, 5.3.6.2.
static const uint64_t initial[8] = {
    0x22312194fc2bf72c, 0x9f555fa3c84c64c2, 0x2393b86b6f53b151, 0x963877195940eabd,
    0x96283ee2a88effe3, 0xbe5e1e2553863992, 0x2b0199fc2c85b8aa, 0x0eb72ddc81c52ca2,
};

#define WORD uint64_t
#define SWAP __builtin_bswap64
#define MOST 8
#define COUNT 80
#define LARGE0 28, 34, 39
#define LARGE1 14, 18, 41
#define SMALL0 1, 8, 7
#define SMALL1 19, 61, 6
#include "sha2.h"

// MARK: AVX2, four lanes

#define NARROW __attribute__((target("avx2")))

typedef uint64_t words4 __attribute__((vector_size(32)));

#define V words4
#define TARGET NARROW __attribute__((always_inline))
#define ROUNDS rounds4
#include "sha2_rounds.h"

// Words first to first + 3 of four messages, word by word.
NARROW static inline void load4_quarter(const uint8_t* const* at, int first, words4* w) {
  const __m256i swap =
      _mm256_set_epi64x(0x08090a0b0c0d0e0f, 0x0001020304050607, 0x08090a0b0c0d0e0f, 0x0001020304050607);
  __m256i row[4];
  for (int i = 0; i < 4; i++) {
    row[i] = _mm256_shuffle_epi8(_mm256_loadu_si256((const __m256i*)(at[i] + 8 * first)), swap);
  }
  const __m256i low01 = _mm256_unpacklo_epi64(row[0], row[1]), high01 = _mm256_unpackhi_epi64(row[0], row[1]);
  const __m256i low23 = _mm256_unpacklo_epi64(row[2], row[3]), high23 = _mm256_unpackhi_epi64(row[2], row[3]);
  w[0] = (words4)_mm256_permute2x128_si256(low01, low23, 0x20);
  w[1] = (words4)_mm256_permute2x128_si256(high01, high23, 0x20);
  w[2] = (words4)_mm256_permute2x128_si256(low01, low23, 0x31);
  w[3] = (words4)_mm256_permute2x128_si256(high01, high23, 0x31);
}

NARROW static inline void load4(const uint8_t* const* at, words4* w) {
  for (int i = 0; i < 16; i += 4) load4_quarter(at, i, w + i);
}

COMPRESS(compress4, 4, words4, NARROW, load4, rounds4)

// MARK: AVX-512, eight lanes

#define WIDE __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl")))

typedef uint64_t words8 __attribute__((vector_size(64)));

#define V words8
#define TARGET WIDE __attribute__((always_inline))
#define ROUNDS rounds8
#include "sha2_rounds.h"

// Words first to first + 7 of eight messages, word by word.
WIDE static inline void load8_half(const uint8_t* const* at, int first, words8* w) {
  const __m512i swap = _mm512_broadcast_i32x4(_mm_set_epi64x(0x08090a0b0c0d0e0f, 0x0001020304050607));
  // Word pairs 01, 23, 45 and 67 of lanes i and i + 4: pairs of words, then of pairs, are transposed.
  __m512i row[8], pair[8];
  for (int i = 0; i < 8; i++) row[i] = _mm512_shuffle_epi8(_mm512_loadu_si512(at[i] + 8 * first), swap);
  for (int i = 0; i < 8; i += 2) {
    pair[i] = _mm512_unpacklo_epi64(row[i], row[i + 1]);
    pair[i + 1] = _mm512_unpackhi_epi64(row[i], row[i + 1]);
  }
  for (int i = 0; i < 2; i++) {
    // Quarters 0 and 2, then 1 and 3, of lanes 0 to 3 and of lanes 4 to 7.
    const __m512i even03 = _mm512_shuffle_i64x2(pair[i], pair[i + 2], 0x88);
    const __m512i odd03 = _mm512_shuffle_i64x2(pair[i], pair[i + 2], 0xdd);
    const __m512i even47 = _mm512_shuffle_i64x2(pair[i + 4], pair[i + 6], 0x88);
    const __m512i odd47 = _mm512_shuffle_i64x2(pair[i + 4], pair[i + 6], 0xdd);
    w[i] = (words8)_mm512_shuffle_i64x2(even03, even47, 0x88);
    w[i + 2] = (words8)_mm512_shuffle_i64x2(odd03, odd47, 0x88);
    w[i + 4] = (words8)_mm512_shuffle_i64x2(even03, even47, 0xdd);
    w[i + 6] = (words8)_mm512_shuffle_i64x2(odd03, odd47, 0xdd);
  }
}

WIDE static inline void load8(const uint8_t* const* at, words8* w) {
  for (int i = 0; i < 16; i += 8) load8_half(at, i, w + i);
}

COMPRESS(compress8, 8, words8, WIDE, load8, rounds8)

void ck_sha512_256_avx2(const struct ck_job* jobs, size_t count) { run(jobs, count, 4, compress4); }

void ck_sha512_256_avx512(const struct ck_job* jobs, size_t count) { run(jobs, count, 8, compress8); }

#else

void ck_sha512_256_avx2(const struct ck_job* jobs, size_t count) {
  (void)jobs, (void)count;
  __builtin_trap();
}

void ck_sha512_256_avx512(const struct ck_job* jobs, size_t count) {
  (void)jobs, (void)count;
  __builtin_trap();
}

#endif
