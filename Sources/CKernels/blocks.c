// The block hash of the image chunker, and the zero test (docs/formats/image-chunker.md).
#include "CKernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

enum { BLOCK = 4096 };

// Adler-32 of a block from the sum of its bytes and the sum weighted BLOCK for the first down to 1 for the
// last: both fit 32 bits, so that one reduction is enough. Then the mixing.
static inline uint32_t finish(uint32_t sum, uint32_t weighted) {
  uint32_t a = (1 + sum) % 65521, b = (BLOCK + weighted) % 65521;
  uint32_t word = (b << 16 | a) * 0x9e3779b1u;
  word ^= word >> 15;
  word *= 0x85ebca77u;
  return word ^ word >> 13;
}

static inline void set_result(size_t i, uint32_t sum, uint32_t weighted, uint32_t* hashes, uint64_t* zeros) {
  hashes[i] = finish(sum, weighted);
  if (sum == 0) zeros[i / 64] |= (uint64_t)1 << (i % 64);
}

__attribute__((target("avx2"))) static inline uint32_t total8(__m256i v) {
  __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
  sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1));
  return (uint32_t)_mm_cvtsi128_si32(sum);
}

__attribute__((target("avx2"))) int ck_is_zero_avx2(const uint8_t* bytes, size_t count) {
  size_t i = 0;
  for (; count - i >= 256; i += 256) {
    __m256i any[4];
    for (int k = 0; k < 4; k++) {
      any[k] = _mm256_or_si256(_mm256_loadu_si256((const __m256i*)(bytes + i + 64 * k)),
                               _mm256_loadu_si256((const __m256i*)(bytes + i + 64 * k + 32)));
    }
    __m256i all = _mm256_or_si256(_mm256_or_si256(any[0], any[1]), _mm256_or_si256(any[2], any[3]));
    if (!_mm256_testz_si256(all, all)) return 0;
  }
  for (; count - i >= 32; i += 32) {
    __m256i all = _mm256_loadu_si256((const __m256i*)(bytes + i));
    if (!_mm256_testz_si256(all, all)) return 0;
  }
  uint8_t any = 0;
  for (; i < count; i++) any |= bytes[i];
  return any == 0;
}

// Row j of 32 bytes weighs 32 * (127 - j) more than within itself: the sum of all earlier row sums, times 32.
__attribute__((target("avx2"))) void ck_hash_blocks_avx2(const uint8_t* bytes, size_t blocks,
                                                         uint32_t* hashes, uint64_t* zeros) {
  const __m256i weights = _mm256_set_epi8(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19,
                                          20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32);
  const __m256i zero = _mm256_setzero_si256(), ones = _mm256_set1_epi16(1);
  for (size_t i = 0; i < blocks; i++, bytes += BLOCK) {
    __m256i sum = zero, earlier = zero, inner = zero;
    for (int row = 0; row < BLOCK / 32; row++) {
      __m256i data = _mm256_loadu_si256((const __m256i*)(bytes + row * 32));
      earlier = _mm256_add_epi32(earlier, sum);
      sum = _mm256_add_epi32(sum, _mm256_sad_epu8(data, zero));
      // A pair is at most 255 * (32 + 31): fits 16 bits.
      inner = _mm256_add_epi32(inner, _mm256_madd_epi16(_mm256_maddubs_epi16(data, weights), ones));
    }
    set_result(i, total8(sum), total8(inner) + 32 * total8(earlier), hashes, zeros);
  }
}

#define WIDE "avx512f,avx512bw,avx512vl,avx512vnni"

// As above with rows of 64 bytes, two of them at a time.
__attribute__((target(WIDE))) void ck_hash_blocks_avx512(const uint8_t* bytes, size_t blocks,
                                                         uint32_t* hashes, uint64_t* zeros) {
  int8_t descending[64];
  for (int i = 0; i < 64; i++) descending[i] = (int8_t)(64 - i);
  const __m512i weights = _mm512_loadu_si512(descending);
  const __m512i zero = _mm512_setzero_si512(), ones = _mm512_set1_epi8(1);
  for (size_t i = 0; i < blocks; i++, bytes += BLOCK) {
    __m512i sum0 = zero, sum1 = zero, earlier0 = zero, earlier1 = zero, inner0 = zero, inner1 = zero;
    for (int row = 0; row < BLOCK / 64; row += 2) {
      __m512i data0 = _mm512_loadu_si512(bytes + row * 64), data1 = _mm512_loadu_si512(bytes + row * 64 + 64);
      earlier0 = _mm512_add_epi32(earlier0, sum0);
      earlier1 = _mm512_add_epi32(earlier1, sum1);
      sum0 = _mm512_dpbusd_epi32(sum0, data0, ones);
      sum1 = _mm512_dpbusd_epi32(sum1, data1, ones);
      inner0 = _mm512_dpbusd_epi32(inner0, data0, weights);
      inner1 = _mm512_dpbusd_epi32(inner1, data1, weights);
    }
    // A pair of rows weighs 128 more for each pair after it, its first row 64 more for the second.
    uint32_t first = (uint32_t)_mm512_reduce_add_epi32(sum0),
             second = (uint32_t)_mm512_reduce_add_epi32(sum1);
    uint32_t inner = (uint32_t)_mm512_reduce_add_epi32(_mm512_add_epi32(inner0, inner1));
    uint32_t earlier = (uint32_t)_mm512_reduce_add_epi32(_mm512_add_epi32(earlier0, earlier1));
    set_result(i, first + second, inner + 64 * first + 128 * earlier, hashes, zeros);
  }
}

#else

int ck_is_zero_avx2(const uint8_t* bytes, size_t count) {
  (void)bytes, (void)count;
  __builtin_trap();
}

void ck_hash_blocks_avx2(const uint8_t* bytes, size_t blocks, uint32_t* hashes, uint64_t* zeros) {
  (void)bytes, (void)blocks, (void)hashes, (void)zeros;
  __builtin_trap();
}

void ck_hash_blocks_avx512(const uint8_t* bytes, size_t blocks, uint32_t* hashes, uint64_t* zeros) {
  (void)bytes, (void)blocks, (void)hashes, (void)zeros;
  __builtin_trap();
}

#endif
