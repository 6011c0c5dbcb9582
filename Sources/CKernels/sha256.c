// SHA-256 of several messages side by side: interleaved on the SHA extensions, where one alone leaves them
// waiting for itself, or a message in each 32-bit lane of the vectors.
#include "CKernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

static const uint32_t k[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

// FIPS 180-4, 5.3.3.
static const uint32_t initial[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

#define WORD uint32_t
#define SWAP __builtin_bswap32
#define MOST 16
#define COUNT 64
#define LARGE0 2, 13, 22
#define LARGE1 6, 11, 25
#define SMALL0 7, 18, 3
#define SMALL1 17, 19, 10
#include "sha2.h"

// MARK: The SHA extensions

#define SHA "sha,sse4.1,ssse3"

// Three keep the unit for rounds busy; with four, registers run out.
enum { LANES = 3 };

// The state as the instructions want it: words a, b, e, f and c, d, g, h, the first in the highest place.
struct state {
  __m128i abef, cdgh;
};

static const struct state packed_initial = {
    {(long long)0x510e527f9b05688cULL, (long long)0x6a09e667bb67ae85ULL},
    {(long long)0x1f83d9ab5be0cd19ULL, (long long)0x3c6ef372a54ff53aULL},
};

// `blocks` blocks of `count` messages (a constant, so that all loops unroll).
__attribute__((target(SHA))) static inline __attribute__((always_inline)) void interleaved(
    const int count, struct state* const* states, const uint8_t* const* messages, size_t blocks) {
  const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  struct state s[LANES];
  const uint8_t* at[LANES];
  for (int i = 0; i < count; i++) {
    s[i] = *states[i];
    at[i] = messages[i];
  }
  while (blocks-- != 0) {
    struct state before[LANES];
    __m128i w[LANES][4];
    for (int i = 0; i < count; i++) before[i] = s[i];
#pragma clang loop unroll(full)
    for (int group = 0; group < 16; group++) {
      const __m128i constants = _mm_load_si128((const __m128i*)(k + group * 4));
#pragma clang loop unroll(full)
      for (int i = 0; i < count; i++) {
        __m128i* now = &w[i][group % 4];
        if (group < 4) {
          *now = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i*)(at[i] + group * 16)), swap);
        } else {
          const __m128i last = w[i][(group + 3) % 4];
          __m128i sum = _mm_sha256msg1_epu32(*now, w[i][(group + 1) % 4]);
          sum = _mm_add_epi32(sum, _mm_alignr_epi8(last, w[i][(group + 2) % 4], 4));
          *now = _mm_sha256msg2_epu32(sum, last);
        }
        __m128i input = _mm_add_epi32(*now, constants);
        s[i].cdgh = _mm_sha256rnds2_epu32(s[i].cdgh, s[i].abef, input);
        s[i].abef = _mm_sha256rnds2_epu32(s[i].abef, s[i].cdgh, _mm_shuffle_epi32(input, 0x0e));
      }
    }
    for (int i = 0; i < count; i++) {
      s[i].abef = _mm_add_epi32(s[i].abef, before[i].abef);
      s[i].cdgh = _mm_add_epi32(s[i].cdgh, before[i].cdgh);
      at[i] += 64;
    }
  }
  for (int i = 0; i < count; i++) *states[i] = s[i];
}

typedef void kernel(struct state* const* states, const uint8_t* const* messages, size_t blocks);

__attribute__((target(SHA))) static void interleaved1(struct state* const* s, const uint8_t* const* m,
                                                   size_t blocks) {
  interleaved(1, s, m, blocks);
}
__attribute__((target(SHA))) static void interleaved2(struct state* const* s, const uint8_t* const* m,
                                                   size_t blocks) {
  interleaved(2, s, m, blocks);
}
__attribute__((target(SHA))) static void interleaved3(struct state* const* s, const uint8_t* const* m,
                                                   size_t blocks) {
  interleaved(3, s, m, blocks);
}

static void store_packed(const struct state* s, uint8_t* digest) {
  uint32_t abef[4], cdgh[4];
  memcpy(abef, &s->abef, sizeof abef);
  memcpy(cdgh, &s->cdgh, sizeof cdgh);
  const uint32_t words[8] = {abef[3], abef[2], cdgh[3], cdgh[2], abef[1], abef[0], cdgh[1], cdgh[0]};
  struct states states;
  for (int i = 0; i < 8; i++) states.word[i][0] = words[i];
  store_digest(&states, 0, digest);
}

void ck_sha256_sha(const struct ck_job* jobs, size_t count) {
  static kernel* const kernels[LANES] = {interleaved1, interleaved2, interleaved3};
  struct lanes lanes = {.next = jobs, .end = jobs + count, .block = 64};
  struct state states[LANES];
  // Busy lanes are the first ones: as they end, fewer go on.
  struct state* state[LANES];
  struct lane* lane[LANES];
  int busy = 0;
  while (busy < LANES && take_job(&lanes, &lanes.lane[busy])) {
    lane[busy] = &lanes.lane[busy];
    state[busy] = &states[busy];
    *state[busy++] = packed_initial;
  }
  while (busy > 0) {
    const uint8_t* at[LANES];
    size_t blocks = SIZE_MAX;
    for (int i = 0; i < busy; i++) {
      at[i] = lane[i]->at;
      if (lane[i]->blocks < blocks) blocks = lane[i]->blocks;
    }
    kernels[busy - 1](state, at, blocks);
    for (int i = busy - 1; i >= 0; i--) {
      if (!advance(&lanes, lane[i], blocks)) continue;
      store_packed(state[i], lane[i]->digest);
      if (take_job(&lanes, lane[i])) {
        *state[i] = packed_initial;
      } else {
        busy--;
        lane[i] = lane[busy];
        state[i] = state[busy];
      }
    }
  }
}

// MARK: AVX2, eight lanes

#define NARROW __attribute__((target("avx2")))

typedef uint32_t words8 __attribute__((vector_size(32)));

#define V words8
#define TARGET NARROW __attribute__((always_inline))
#define ROUNDS rounds8
#include "sha2_rounds.h"

// Words from to from + 7 of eight messages, word by word.
NARROW static inline void load8_half(const uint8_t* const* at, int from, words8* w) {
  const __m256i swap =
      _mm256_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203, 0x0c0d0e0f08090a0b, 0x0405060700010203);
  __m256i row[8], pair[8];
  for (int i = 0; i < 8; i++) {
    row[i] = _mm256_shuffle_epi8(_mm256_loadu_si256((const __m256i*)(at[i] + 4 * from)), swap);
  }
  for (int i = 0; i < 8; i += 2) {
    pair[i] = _mm256_unpacklo_epi32(row[i], row[i + 1]);
    pair[i + 1] = _mm256_unpackhi_epi32(row[i], row[i + 1]);
  }
  // Words i and i + 4 of messages 0 to 3, and of 4 to 7.
  for (int i = 0; i < 4; i++) {
    const int half = i >> 1;
    const __m256i low = i & 1 ? _mm256_unpackhi_epi64(pair[half], pair[half + 2])
                              : _mm256_unpacklo_epi64(pair[half], pair[half + 2]);
    const __m256i high = i & 1 ? _mm256_unpackhi_epi64(pair[half + 4], pair[half + 6])
                               : _mm256_unpacklo_epi64(pair[half + 4], pair[half + 6]);
    w[i] = (words8)_mm256_permute2x128_si256(low, high, 0x20);
    w[i + 4] = (words8)_mm256_permute2x128_si256(low, high, 0x31);
  }
}

NARROW static inline void load8(const uint8_t* const* at, words8* w) {
  for (int i = 0; i < 16; i += 8) load8_half(at, i, w + i);
}

COMPRESS(compress8, 8, words8, NARROW, load8, rounds8)

// MARK: AVX-512, sixteen lanes

#define WIDE __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl")))

typedef uint32_t words16 __attribute__((vector_size(64)));

#define V words16
#define TARGET WIDE __attribute__((always_inline))
#define ROUNDS rounds16
#include "sha2_rounds.h"

// A block of sixteen messages, word by word.
WIDE static inline void load16(const uint8_t* const* at, words16* w) {
  const __m512i swap = _mm512_broadcast_i32x4(_mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203));
  __m512i row[16], pair[16];
  for (int i = 0; i < 16; i++) row[i] = _mm512_shuffle_epi8(_mm512_loadu_si512(at[i]), swap);
  for (int i = 0; i < 16; i += 2) {
    pair[i] = _mm512_unpacklo_epi32(row[i], row[i + 1]);
    pair[i + 1] = _mm512_unpackhi_epi32(row[i], row[i + 1]);
  }
  for (int i = 0; i < 4; i++) {
    // Words i, i + 4, i + 8 and i + 12 of four messages each, a quarter of the vector a word.
    __m512i four[4];
    for (int j = 0; j < 4; j++) {
      const __m512i one = pair[4 * j + (i >> 1)], other = pair[4 * j + (i >> 1) + 2];
      four[j] = i & 1 ? _mm512_unpackhi_epi64(one, other) : _mm512_unpacklo_epi64(one, other);
    }
    // Quarters 0 and 2, then 1 and 3, of messages 0 to 7 and of 8 to 15.
    const __m512i even07 = _mm512_shuffle_i32x4(four[0], four[1], 0x88);
    const __m512i odd07 = _mm512_shuffle_i32x4(four[0], four[1], 0xdd);
    const __m512i even8f = _mm512_shuffle_i32x4(four[2], four[3], 0x88);
    const __m512i odd8f = _mm512_shuffle_i32x4(four[2], four[3], 0xdd);
    w[i] = (words16)_mm512_shuffle_i32x4(even07, even8f, 0x88);
    w[i + 4] = (words16)_mm512_shuffle_i32x4(odd07, odd8f, 0x88);
    w[i + 8] = (words16)_mm512_shuffle_i32x4(even07, even8f, 0xdd);
    w[i + 12] = (words16)_mm512_shuffle_i32x4(odd07, odd8f, 0xdd);
  }
}

COMPRESS(compress16, 16, words16, WIDE, load16, rounds16)

void ck_sha256_avx2(const struct ck_job* jobs, size_t count) { run(jobs, count, 8, compress8); }

void ck_sha256_avx512(const struct ck_job* jobs, size_t count) { run(jobs, count, 16, compress16); }

#else

void ck_sha256_sha(const struct ck_job* jobs, size_t count) {
  (void)jobs, (void)count;
  __builtin_trap();
}

void ck_sha256_avx2(const struct ck_job* jobs, size_t count) {
  (void)jobs, (void)count;
  __builtin_trap();
}

void ck_sha256_avx512(const struct ck_job* jobs, size_t count) {
  (void)jobs, (void)count;
  __builtin_trap();
}

#endif
