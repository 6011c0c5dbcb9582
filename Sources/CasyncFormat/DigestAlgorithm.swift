/// The digest that names chunks and images (casync's `--digest=`).
public enum DigestAlgorithm: String, CaseIterable, Sendable {
  /// SHA-256 of FIPS 180-4.
  case sha256 = "sha256"
  /// SHA-512/256 of FIPS 180-4, casync's default.
  case sha512_256 = "sha512-256"
}
