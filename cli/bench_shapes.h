#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace refnorm::cli {

/// What follows a norm in a network.
enum class Then { kNone, kRelu, kAddRelu };
inline constexpr const char* kThenNames[] = {"none", "relu", "add_relu"};

inline const char* name_of(Then then) {
  return kThenNames[static_cast<int>(then)];
}
/// By its name, which must be one.
Then then_named(std::string_view name);

/// An input of a network's norms, and how often it occurs.
struct NormShape {
  std::int64_t n = 0, c = 0, h = 0, w = 0;
  std::int64_t count = 1;
  Then then = Then::kRelu;

  std::int64_t values() const { return n * c * h * w; }
  bool same_sizes(const NormShape& other) const {
    return n == other.n && c == other.c && h == other.h && w == other.w;
  }
  std::string to_string() const;  ///< "32x64x56x56"
};

/// Lines `N C H W [COUNT [THEN]]`, `#` begins a comment. Throws UserError that names `origin` and the line.
std::vector<NormShape> parse_shapes(std::string_view text, const std::string& origin);

/// The names of the lists that the program carries: those of bench/shapes/*.txt.
std::vector<std::string> known_shapes();

/// A list that the program carries, by its name, or else a file's. Throws UserError.
std::vector<NormShape> read_shapes(const std::string& name_or_file);

}  // namespace refnorm::cli
