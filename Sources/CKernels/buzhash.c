// The search for cuts of casync's chunker (docs/formats/buzhash.md).
//
// Both kernels use R(i) = rol(R(i - 1), 1) ^ T[byte i], which has no end to its window: the hash of the last
// 48 bytes is R(i) ^ rol(R(i - 48), 48), for what is older cancels out. Several stretches of the input run
// side by side as lanes, each with 48 bytes to warm up.
#include "CKernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

enum {
  WINDOW = 48,
  // Positions of a lane in one round; an odd number of cache lines, so that lanes do not share cache sets.
  LANE = 4032,
  // Hits of a lane in one round that there is room for.
  ROOM = LANE / 16,
};

static inline uint32_t rol(uint32_t word, int count) { return word << count | word >> (32 - count); }

static inline int is_cut(uint32_t hash, const struct ck_divisor* d) {
  return hash % d->divisor == d->divisor - 1;
}

struct output {
  uint32_t* positions;
  size_t count, capacity;
};

static inline int put(struct output* output, size_t position) {
  if (output->count == output->capacity) return 0;
  output->positions[output->count++] = (uint32_t)position;
  return 1;
}

// Tests the positions first to last of bytes one by one; first >= WINDOW.
static int search_plain(const uint8_t* bytes, size_t first, size_t last, const struct ck_divisor* d,
                        struct output* output) {
  const uint32_t* table = ck_buzhash_table();
  if (first > last) return 1;
  uint32_t hash = 0;
  for (size_t i = first - WINDOW; i < first; i++) hash = rol(hash, 1) ^ table[bytes[i]];
  for (size_t p = first;; p++) {
    if (is_cut(hash, d) && !put(output, p)) return 0;
    if (p == last) return 1;
    hash = rol(hash, 1) ^ rol(table[bytes[p - WINDOW]], WINDOW % 32) ^ table[bytes[p]];
  }
}

// The hits of one round, by lane.
struct hits {
  uint16_t count[16];
  uint16_t step[16][ROOM];
};

static int put_hits(const struct hits* hits, int lanes, size_t length, size_t first, struct output* output) {
  for (int lane = 0; lane < lanes; lane++) {
    for (int i = 0; i < hits->count[lane]; i++) {
      if (!put(output, first + (size_t)lane * length + hits->step[lane][i])) return 0;
    }
  }
  return 1;
}

static inline int note(struct hits* hits, int lane, int step) {
  if (hits->count[lane] == ROOM) return 0;
  hits->step[lane][hits->count[lane]++] = (uint16_t)step;
  return 1;
}

// MARK: AVX2: eight lanes, the table looked up in memory.

#define NARROW "avx2,bmi2"

// The word of the table for byte `at` of each lane.
__attribute__((target(NARROW))) static inline __m256i words8(const uint32_t* table, const uint8_t* at,
                                                             size_t length) {
  const uint8_t *at3 = at + 3 * length, *at6 = at + 6 * length;
  __m128i low = _mm_cvtsi32_si128((int)table[at[0]]);
  __m128i high = _mm_cvtsi32_si128((int)table[at[4 * length]]);
  low = _mm_insert_epi32(low, (int)table[at[length]], 1);
  high = _mm_insert_epi32(high, (int)table[at3[2 * length]], 1);
  low = _mm_insert_epi32(low, (int)table[at[2 * length]], 2);
  high = _mm_insert_epi32(high, (int)table[at6[0]], 2);
  low = _mm_insert_epi32(low, (int)table[at3[0]], 3);
  high = _mm_insert_epi32(high, (int)table[at6[length]], 3);
  return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}

__attribute__((target(NARROW))) static inline __m256i rol1_avx2(__m256i words) {
  return _mm256_or_si256(_mm256_add_epi32(words, words), _mm256_srli_epi32(words, 31));
}

// A rotation by WINDOW: by 16 bits.
__attribute__((target(NARROW))) static inline __m256i rol16_avx2(__m256i words) {
  return _mm256_shufflehi_epi16(_mm256_shufflelo_epi16(words, 0xb1), 0xb1);
}

struct test_avx2 {
  __m256i inverse, limit;
  __m128i right, left;
};

__attribute__((target(NARROW))) static inline __m256i product_avx2(__m256i hash, const struct test_avx2* t,
                                                                   int rotates) {
  __m256i product = _mm256_add_epi32(_mm256_mullo_epi32(hash, t->inverse), t->inverse);
  if (!rotates) return product;
  return _mm256_or_si256(_mm256_srl_epi32(product, t->right), _mm256_sll_epi32(product, t->left));
}

// Notes which of 16 steps of 8 lanes are hits.
__attribute__((target(NARROW), noinline)) static int note_hits_avx2(const __m256i* old, const __m256i* new,
                                                                    int step, const struct test_avx2* t,
                                                                    const struct ck_divisor* d,
                                                                    struct hits* hits) {
  for (int i = 0; i < 16; i++) {
    __m256i hash = _mm256_xor_si256(new[i], rol16_avx2(old[i]));
    __m256i product = product_avx2(hash, t, d->rotation != 0);
    __m256i low = _mm256_cmpeq_epi32(_mm256_min_epu32(product, t->limit), product);
    unsigned lanes = (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(low));
    if (lanes == 0) continue;
    uint32_t word[8];
    _mm256_storeu_si256((__m256i*)word, hash);
    for (; lanes != 0; lanes &= lanes - 1) {
      int lane = __builtin_ctz(lanes);
      if (is_cut(word[lane], d) && !note(hits, lane, step + i)) return 0;
    }
  }
  return 1;
}

// Searches the 8 * length positions of bytes from `first` on, where bytes[0] is byte first - WINDOW - 1 of
// the input; length is a multiple of 16, at most LANE.
__attribute__((target(NARROW))) static inline __attribute__((always_inline)) int round_avx2(
    const uint8_t* bytes, size_t length, size_t first, const struct ck_divisor* d, int rotates,
    struct output* output) {
  // R of the last 64 steps: a group of 16 is tested against the one three before it.
  __m256i ring[4][16];
  struct hits hits;
  __builtin_memset(hits.count, 0, sizeof hits.count);
  const uint32_t* table = ck_buzhash_table();
  const struct test_avx2 test = {
      _mm256_set1_epi32((int)d->inverse),
      _mm256_set1_epi32((int)d->limit),
      _mm_cvtsi32_si128((int)d->rotation),
      _mm_cvtsi32_si128(32 - (int)d->rotation),
  };
  __m256i r = _mm256_setzero_si256();
  const size_t groups = (WINDOW + length) / 16;
  for (size_t group = 0; group < groups; group++) {
    const uint8_t* at = bytes + group * 16;
    __m256i* new = ring[group % 4];
    const __m256i* old = ring[(group + 1) % 4];
    if (group < WINDOW / 16) {
      for (int i = 0; i < 16; i++) new[i] = r = _mm256_xor_si256(rol1_avx2(r), words8(table, at + i, length));
      continue;
    }
    __m256i least = _mm256_set1_epi32(-1);
#pragma clang loop unroll_count(4)
    for (int i = 0; i < 16; i++) {
      new[i] = r = _mm256_xor_si256(rol1_avx2(r), words8(table, at + i, length));
      __m256i hash = _mm256_xor_si256(r, rol16_avx2(old[i]));
      least = _mm256_min_epu32(least, product_avx2(hash, &test, rotates));
    }
    __m256i low = _mm256_cmpeq_epi32(_mm256_min_epu32(least, test.limit), least);
    if (__builtin_expect(!_mm256_testz_si256(low, low), 0)) {
      if (!note_hits_avx2(old, new, (int)(group * 16) - WINDOW, &test, d, &hits)) return 0;
    }
  }
  return put_hits(&hits, 8, length, first, output);
}

__attribute__((target(NARROW), noinline)) static int odd_avx2(const uint8_t* bytes, size_t length,
                                                              size_t first, const struct ck_divisor* d,
                                                              struct output* output) {
  return round_avx2(bytes, length, first, d, 0, output);
}

__attribute__((target(NARROW), noinline)) static int even_avx2(const uint8_t* bytes, size_t length,
                                                               size_t first, const struct ck_divisor* d,
                                                               struct output* output) {
  return round_avx2(bytes, length, first, d, 1, output);
}

ptrdiff_t ck_buzhash_avx2(const uint8_t* bytes, size_t count, const struct ck_divisor* divisor,
                          uint32_t* positions, size_t capacity) {
  struct output output = {positions, 0, capacity};
  if (count < WINDOW) return 0;
  size_t next = WINDOW;
  // A round that starts at position p reads from byte p - WINDOW - 1 on.
  if (!search_plain(bytes, next, next, divisor, &output)) return -1;
  next++;
  while (count + 1 - next >= 8 * 16) {
    size_t length = (count + 1 - next) / 8;
    length = length < LANE ? length - length % 16 : LANE;
    const uint8_t* start = bytes + next - WINDOW - 1;
    int fits = divisor->rotation == 0 ? odd_avx2(start, length, next, divisor, &output)
                                      : even_avx2(start, length, next, divisor, &output);
    if (!fits) return -1;
    next += 8 * length;
  }
  if (!search_plain(bytes, next, count, divisor, &output)) return -1;
  return (ptrdiff_t)output.count;
}

// MARK: AVX-512: sixteen lanes, the table in registers, one byte of its words in each of four.

#define WIDE "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi"

// The table by bytes of its words: plane[k] has byte k of every word.
struct planes {
  __m512i quarter[4][4];
};

__attribute__((target(WIDE))) static inline __m512i look_up(const __m512i plane[4], __m512i bytes,
                                                            __mmask64 high) {
  __m512i low_half = _mm512_permutex2var_epi8(plane[0], bytes, plane[1]);
  __m512i high_half = _mm512_permutex2var_epi8(plane[2], bytes, plane[3]);
  return _mm512_mask_blend_epi8(high, low_half, high_half);
}

// Sixteen bytes of lanes i, i + 4, i + 8 and i + 12.
__attribute__((target(WIDE))) static inline __m512i load_lanes(const uint8_t* bytes, size_t length) {
  __m512i lanes = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i*)bytes));
  lanes = _mm512_mask_broadcast_i32x4(lanes, 0x00f0, _mm_loadu_si128((const __m128i*)(bytes + 4 * length)));
  lanes = _mm512_mask_broadcast_i32x4(lanes, 0x0f00, _mm_loadu_si128((const __m128i*)(bytes + 8 * length)));
  return _mm512_mask_broadcast_i32x4(lanes, 0xf000, _mm_loadu_si128((const __m128i*)(bytes + 12 * length)));
}

// Four steps: the words of the table for 16 lanes each.
__attribute__((target(WIDE))) static inline void words4(const struct planes* planes, __m512i bytes,
                                                        __m512i w[4]) {
  __mmask64 high = _mm512_movepi8_mask(bytes);
  __m512i p0 = look_up(planes->quarter[0], bytes, high), p1 = look_up(planes->quarter[1], bytes, high);
  __m512i p2 = look_up(planes->quarter[2], bytes, high), p3 = look_up(planes->quarter[3], bytes, high);
  __m512i low01 = _mm512_unpacklo_epi8(p0, p1), high01 = _mm512_unpackhi_epi8(p0, p1);
  __m512i low23 = _mm512_unpacklo_epi8(p2, p3), high23 = _mm512_unpackhi_epi8(p2, p3);
  w[0] = _mm512_unpacklo_epi16(low01, low23);
  w[1] = _mm512_unpackhi_epi16(low01, low23);
  w[2] = _mm512_unpacklo_epi16(high01, high23);
  w[3] = _mm512_unpackhi_epi16(high01, high23);
}

// Notes which of 16 steps of 16 lanes are hits.
__attribute__((target(WIDE), noinline)) static int note_hits(const __m512i* old, const __m512i* new, int step,
                                                             const struct ck_divisor* d, struct hits* hits) {
  const __m512i inverse = _mm512_set1_epi32((int)d->inverse);
  for (int i = 0; i < 16; i++) {
    __m512i hash = _mm512_xor_si512(new[i], _mm512_rol_epi32(old[i], WINDOW % 32));
    __m512i product = _mm512_add_epi32(_mm512_mullo_epi32(hash, inverse), inverse);
    product = _mm512_rorv_epi32(product, _mm512_set1_epi32((int)d->rotation));
    unsigned lanes = _mm512_cmple_epu32_mask(product, _mm512_set1_epi32((int)d->limit));
    if (lanes == 0) continue;
    uint32_t word[16];
    _mm512_storeu_si512(word, hash);
    for (; lanes != 0; lanes &= lanes - 1) {
      int lane = __builtin_ctz(lanes);
      if (is_cut(word[lane], d) && !note(hits, lane, step + i)) return 0;
    }
  }
  return 1;
}

// Like round_avx2, with 16 lanes; length is a multiple of 16, at most LANE. Prefetches `ahead` bytes after
// its own.
__attribute__((target(WIDE))) static inline __attribute__((always_inline)) int round_avx512(
    const uint8_t* bytes, size_t length, size_t first, size_t ahead, const struct planes* tables,
    const struct ck_divisor* d, int rotates, struct output* output) {
  // R of the last 64 steps: a group of 16 is tested against the one three before it.
  __m512i ring[4][16];
  struct hits hits;
  __builtin_memset(hits.count, 0, sizeof hits.count);
  const struct planes planes = *tables;
  const __m512i inverse = _mm512_set1_epi32((int)d->inverse);
  const __m512i limit = _mm512_set1_epi32((int)d->limit);
  const __m512i rotation = _mm512_set1_epi32((int)d->rotation);
  __m512i r = _mm512_setzero_si512();
  const size_t groups = (WINDOW + length) / 16;
  for (size_t group = 0; group < groups; group++) {
    const uint8_t* at = bytes + group * 16;
    const size_t prefetch = 16 * length + WINDOW + group * 256;
    if (group * 256 < ahead) {
      for (int line = 0; line < 4; line++)
        _mm_prefetch((const char*)bytes + prefetch + line * 64, _MM_HINT_T1);
    }
    __m512i x0 = load_lanes(at, length), x1 = load_lanes(at + length, length);
    __m512i x2 = load_lanes(at + 2 * length, length), x3 = load_lanes(at + 3 * length, length);
    __m512i low01 = _mm512_unpacklo_epi8(x0, x1), high01 = _mm512_unpackhi_epi8(x0, x1);
    __m512i low23 = _mm512_unpacklo_epi8(x2, x3), high23 = _mm512_unpackhi_epi8(x2, x3);
    __m512i steps[4] = {
        _mm512_unpacklo_epi16(low01, low23),
        _mm512_unpackhi_epi16(low01, low23),
        _mm512_unpacklo_epi16(high01, high23),
        _mm512_unpackhi_epi16(high01, high23),
    };
    __m512i* new = ring[group % 4];
    const __m512i* old = ring[(group + 1) % 4];
    if (group < WINDOW / 16) {
      for (int quad = 0; quad < 4; quad++) {
        __m512i w[4];
        words4(&planes, steps[quad], w);
        for (int i = 0; i < 4; i++) new[quad * 4 + i] = r = _mm512_xor_si512(_mm512_rol_epi32(r, 1), w[i]);
      }
      continue;
    }
    __m512i least = _mm512_set1_epi32(-1);
#pragma clang loop unroll(full)
    for (int quad = 0; quad < 4; quad++) {
      __m512i w[4];
      words4(&planes, steps[quad], w);
#pragma clang loop unroll(full)
      for (int i = 0; i < 4; i++) {
        r = _mm512_xor_si512(_mm512_rol_epi32(r, 1), w[i]);
        new[quad * 4 + i] = r;
        __m512i hash = _mm512_xor_si512(r, _mm512_rol_epi32(old[quad * 4 + i], WINDOW % 32));
        __m512i product = _mm512_add_epi32(_mm512_mullo_epi32(hash, inverse), inverse);
        if (rotates) product = _mm512_rorv_epi32(product, rotation);
        least = _mm512_min_epu32(least, product);
      }
    }
    if (__builtin_expect(_mm512_cmple_epu32_mask(least, limit) != 0, 0)) {
      if (!note_hits(old, new, (int)(group * 16) - WINDOW, d, &hits)) return 0;
    }
  }
  return put_hits(&hits, 16, length, first, output);
}

__attribute__((target(WIDE), noinline)) static int odd_avx512(const uint8_t* bytes, size_t length,
                                                              size_t first, size_t ahead,
                                                              const struct planes* planes,
                                                              const struct ck_divisor* d,
                                                              struct output* output) {
  return round_avx512(bytes, length, first, ahead, planes, d, 0, output);
}

__attribute__((target(WIDE), noinline)) static int even_avx512(const uint8_t* bytes, size_t length,
                                                               size_t first, size_t ahead,
                                                               const struct planes* planes,
                                                               const struct ck_divisor* d,
                                                               struct output* output) {
  return round_avx512(bytes, length, first, ahead, planes, d, 1, output);
}

__attribute__((target(WIDE))) static struct planes split_table(void) {
  const uint32_t* table = ck_buzhash_table();
  uint8_t bytes[4][256];
  for (int i = 0; i < 256; i++) {
    for (int plane = 0; plane < 4; plane++) bytes[plane][i] = (uint8_t)(table[i] >> 8 * plane);
  }
  struct planes planes;
  for (int plane = 0; plane < 4; plane++) {
    for (int i = 0; i < 4; i++) planes.quarter[plane][i] = _mm512_loadu_si512(bytes[plane] + 64 * i);
  }
  return planes;
}

__attribute__((target(WIDE))) ptrdiff_t ck_buzhash_avx512(const uint8_t* bytes, size_t count,
                                                          const struct ck_divisor* divisor,
                                                          uint32_t* positions, size_t capacity) {
  struct output output = {positions, 0, capacity};
  if (count < WINDOW) return 0;
  size_t next = WINDOW;
  if (!search_plain(bytes, next, next, divisor, &output)) return -1;
  next++;
  if (count + 1 - next >= 16 * 16) {
    struct planes planes = split_table();
    while (count + 1 - next >= 16 * 16) {
      size_t length = (count + 1 - next) / 16;
      length = length < LANE ? length - length % 16 : LANE;
      size_t after = count + 1 - next - 16 * length;
      size_t ahead = after < 16 * length ? after : 16 * length;
      const uint8_t* start = bytes + next - WINDOW - 1;
      int fits = divisor->rotation == 0 ? odd_avx512(start, length, next, ahead, &planes, divisor, &output)
                                        : even_avx512(start, length, next, ahead, &planes, divisor, &output);
      if (!fits) return -1;
      next += 16 * length;
    }
  }
  if (!search_plain(bytes, next, count, divisor, &output)) return -1;
  return (ptrdiff_t)output.count;
}

#else

ptrdiff_t ck_buzhash_avx2(const uint8_t* bytes, size_t count, const struct ck_divisor* divisor,
                          uint32_t* positions, size_t capacity) {
  (void)bytes, (void)count, (void)divisor, (void)positions, (void)capacity;
  __builtin_trap();
}

ptrdiff_t ck_buzhash_avx512(const uint8_t* bytes, size_t count, const struct ck_divisor* divisor,
                            uint32_t* positions, size_t capacity) {
  (void)bytes, (void)count, (void)divisor, (void)positions, (void)capacity;
  __builtin_trap();
}

#endif
