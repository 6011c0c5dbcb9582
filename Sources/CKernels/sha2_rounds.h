// The rounds of one block of SHA-256 or SHA-512 (FIPS 180-4, 6.2.2 and 6.4.2). Included once for each width,
// with V a word or a vector of words, one a lane, TARGET the attributes of a function for it, and ROUNDS the
// function's name: it takes the state, which it leaves without the addition at the end, and the block's 16
// words, which it uses up. Of the algorithm it takes what sha2.h names.

TARGET static inline V JOIN(ROUNDS, _rotate)(V x, int count) {
  return x >> count | x << (8 * (int)sizeof(WORD) - count);
}

TARGET static inline V JOIN(ROUNDS, _large)(V x, int first, int second, int third) {
  return JOIN(ROUNDS, _rotate)(x, first) ^ JOIN(ROUNDS, _rotate)(x, second) ^ JOIN(ROUNDS, _rotate)(x, third);
}

TARGET static inline V JOIN(ROUNDS, _small)(V x, int first, int second, int shift) {
  return JOIN(ROUNDS, _rotate)(x, first) ^ JOIN(ROUNDS, _rotate)(x, second) ^ x >> shift;
}

TARGET static inline void JOIN(ROUNDS, _step)(V* restrict s, const V* restrict w, int t, WORD constant) {
  // The words move on by one a round: word a of round t is s[-t % 8].
  V *h = &s[(7 - t) & 7], *d = &s[(3 - t) & 7];
  const V a = s[-t & 7], b = s[(1 - t) & 7], c = s[(2 - t) & 7];
  const V e = s[(4 - t) & 7], f = s[(5 - t) & 7], g = s[(6 - t) & 7];
  const V one = *h + (w[t & 15] + constant) + ((e & f) ^ (~e & g)) + JOIN(ROUNDS, _large)(e, LARGE1);
  *d += one;
  *h = one + (JOIN(ROUNDS, _large)(a, LARGE0) + ((a & b) ^ (a & c) ^ (b & c)));
}

TARGET static inline void ROUNDS(V* restrict s, V* restrict w) {
#pragma clang loop unroll(full)
  for (int t = 0; t < 16; t++) JOIN(ROUNDS, _step)(s, w, t, k[t]);
  for (int from = 16; from < COUNT; from += 16) {
#pragma clang loop unroll(full)
    for (int t = 0; t < 16; t++) {
      w[t] += w[(t + 9) & 15] + JOIN(ROUNDS, _small)(w[(t + 1) & 15], SMALL0) +
              JOIN(ROUNDS, _small)(w[(t + 14) & 15], SMALL1);
      JOIN(ROUNDS, _step)(s, w, t, k[from + t]);
    }
  }
}

#undef V
#undef TARGET
#undef ROUNDS
