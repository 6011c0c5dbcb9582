// The 80 rounds of one block of SHA-512 (FIPS 180-4, 6.4.2). Included once for each width, with V a word or a
// vector of words, one a lane, TARGET the attributes of a function for it, and ROUNDS the function's name: it
// takes the state, which it leaves without the addition at the end, and the block's 16 words, which it uses
// up.

TARGET static inline V JOIN(ROUNDS, _rotate)(V x, int count) { return x >> count | x << (64 - count); }

TARGET static inline void JOIN(ROUNDS, _step)(V* restrict s, const V* restrict w, int t, uint64_t constant) {
  // The words move on by one a round: word a of round t is s[-t % 8].
  V *h = &s[(7 - t) & 7], *d = &s[(3 - t) & 7];
  const V a = s[-t & 7], b = s[(1 - t) & 7], c = s[(2 - t) & 7];
  const V e = s[(4 - t) & 7], f = s[(5 - t) & 7], g = s[(6 - t) & 7];
  const V large1 = JOIN(ROUNDS, _rotate)(e, 14) ^ JOIN(ROUNDS, _rotate)(e, 18) ^ JOIN(ROUNDS, _rotate)(e, 41);
  const V large0 = JOIN(ROUNDS, _rotate)(a, 28) ^ JOIN(ROUNDS, _rotate)(a, 34) ^ JOIN(ROUNDS, _rotate)(a, 39);
  const V one = *h + (w[t & 15] + constant) + ((e & f) ^ (~e & g)) + large1;
  *d += one;
  *h = one + (large0 + ((a & b) ^ (a & c) ^ (b & c)));
}

TARGET static inline void ROUNDS(V* restrict s, V* restrict w) {
#pragma clang loop unroll(full)
  for (int t = 0; t < 16; t++) JOIN(ROUNDS, _step)(s, w, t, k[t]);
  for (int from = 16; from < 80; from += 16) {
#pragma clang loop unroll(full)
    for (int t = 0; t < 16; t++) {
      const V near = w[(t + 1) & 15], far = w[(t + 14) & 15];
      const V small0 = JOIN(ROUNDS, _rotate)(near, 1) ^ JOIN(ROUNDS, _rotate)(near, 8) ^ near >> 7;
      const V small1 = JOIN(ROUNDS, _rotate)(far, 19) ^ JOIN(ROUNDS, _rotate)(far, 61) ^ far >> 6;
      w[t] += w[(t + 9) & 15] + small0 + small1;
      JOIN(ROUNDS, _step)(s, w, t, k[from + t]);
    }
  }
}
