#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <refnorm/norms/norm_layer.h>

namespace refnorm {

/// A normalization as people write it: `rbn`, `rbn:fixed`, `rbn:live,weight=0.1`, `gn:16`. `refnorm
/// list norms` shows every kind with its options.
struct NormSpec {
  std::string kind;
  std::vector<std::pair<std::string, std::string>>
      options;  ///< name, value; the value is empty for a bare word

  /// Throws UserError, with the nearest known word, unless kind and options are known and every value is in
  /// range.
  static NormSpec parse(std::string_view text);
  std::string to_string() const;

  /// The same as a TOML inline table: { kind = "rbn", live = true, weight = 0.1 }; bare words are booleans.
  /// from_toml() throws UserError as parse() does.
  static NormSpec from_toml(std::string_view table);
  std::string to_toml() const;

  /// Throws UserError as parse() does.
  void check() const;
  const std::string* find(std::string_view option) const;

  bool operator==(const NormSpec&) const = default;
};

struct NormOption {
  std::string name;  ///< "weight=W"
  std::string what;
};

/// An entry of the registry; what `refnorm list norms` prints.
struct NormKind {
  std::string name, title, formula, source;
  std::vector<NormOption> options;
};

std::vector<NormKind> norm_kinds();

/// The layer for `channels` channels and inputs of `dims` (0 to 3) spatial axes.
std::shared_ptr<NormLayer> make_norm(const NormSpec& spec, std::int64_t channels, int dims);

NormFactory norm_factory(NormSpec spec);

}  // namespace refnorm
