#pragma once

#include <functional>
#include <limits>
#include <memory>
#include <optional>

#include <refnorm/norms/channel_norm.h>
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
  /// The same, where a word may stand for "nothing": then an optional without a number.
  std::optional<std::optional<double>> number_or(const std::string& word, const std::string& name, double low,
                                                 double high);
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
  /// The option that a bare whole number stands for ("gn:16"); empty: none.
  std::string number_means{};
};

inline constexpr double kNoBound = std::numeric_limits<double>::max();

/// The options of every norm with eps and affine parameters: eps, plain.
template <class Options>
void read_affine(OptionReader& reader, Options& options) {
  if (const auto eps = reader.number("eps", std::numeric_limits<double>::min(), kNoBound)) options.eps(*eps);
  if (reader.word({"plain"})) options.affine(false);
}
std::vector<NormOption> affine_options(std::vector<NormOption> own = {});

/// Those of every norm with running averages: momentum, cumulative.
template <class Options>
void read_running(OptionReader& reader, Options& options) {
  if (const auto momentum = reader.number("momentum", 0, 1)) options.momentum(*momentum);
  if (reader.word({"cumulative"})) options.momentum(std::nullopt);
}
std::vector<NormOption> running_options(std::vector<NormOption> own = {},
                                        const std::string& momentum = "0.1");

/// The end of every `make`: nothing may be left unread; the layer, or nothing for 0 channels.
template <class Base>
std::shared_ptr<NormLayer> made(OptionReader& reader, const typename Base::Options& options, int dims) {
  reader.done();
  if (options.num_features() == 0) return nullptr;
  return make_dimensional<Base>(options, dims);
}

NormEntry no_norm_entry();
NormEntry batch_norm_entry();
NormEntry reference_batch_norm_entry();
NormEntry batch_renorm_entry();
NormEntry layer_norm_entry();
NormEntry instance_norm_entry();
NormEntry group_norm_entry();
NormEntry switchable_norm_entry();
NormEntry frozen_batch_norm_entry();
NormEntry ghost_batch_norm_entry();
NormEntry virtual_batch_norm_entry();

}  // namespace refnorm
