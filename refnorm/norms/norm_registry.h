#pragma once

#include <functional>
#include <memory>
#include <optional>

#include <refnorm/norms/norm_spec.h>

namespace refnorm {

/// Reads a spec's options one by one and, at the end, rejects what nobody asked for.
class OptionReader {
 public:
  explicit OptionReader(const NormSpec& spec) : spec_(spec), used_(spec.options.size(), false) {}

  /// The one of `words` that stands in the spec as a bare word, or nothing; two of them are an error.
  std::optional<std::string> word(const std::vector<std::string>& words);
  std::optional<std::string> text(const std::string& name, const std::vector<std::string>& allowed);
  std::optional<double> number(const std::string& name, double low, double high);
  std::optional<std::int64_t> count(const std::string& name, std::int64_t low);
  /// Throws UserError for an option that was not read.
  void done() const;

 private:
  const std::string* find(const std::string& name);

  const NormSpec& spec_;
  std::vector<bool> used_;
  std::vector<std::string> known_;
};

/// A norm's line in the registry: what it is and how it is made. `make` with 0 channels only checks the
/// options and returns nothing.
struct NormEntry {
  NormKind kind;
  std::function<std::shared_ptr<NormLayer>(OptionReader&, std::int64_t channels, int dims)> make;
};

NormEntry no_norm_entry();
NormEntry batch_norm_entry();
NormEntry reference_batch_norm_entry();

}  // namespace refnorm
