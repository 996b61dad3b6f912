#include <limits>

#include <refnorm/norms/norm_registry.h>
#include <refnorm/norms/reference_batch_norm.h>

namespace refnorm {
namespace {

constexpr double kNoBound = std::numeric_limits<double>::max();

const std::vector<NormOption> kCommonOptions{
    {"eps=E", "added to the variance under the root (1e-5)"},
    {"momentum=M", "weight of the newest batch in the running averages (0.1)"},
    {"cumulative", "running averages are plain averages over all batches"},
    {"plain", "no weight and bias"},
};

template <class Options>
void read_common(OptionReader& reader, Options& options) {
  if (const auto eps = reader.number("eps", std::numeric_limits<double>::min(), kNoBound)) options.eps(*eps);
  if (const auto momentum = reader.number("momentum", 0, 1)) options.momentum(*momentum);
  if (reader.word({"cumulative"})) options.momentum(std::nullopt);
  if (reader.word({"plain"})) options.affine(false);
}

template <class Norm1d, class Norm2d, class Norm3d, class Options>
std::shared_ptr<NormLayer> make(const Options& options, int dims) {
  if (dims == 3) return std::make_shared<Norm3d>(options);
  if (dims == 2) return std::make_shared<Norm2d>(options);
  return std::make_shared<Norm1d>(options);
}

ReferenceBatchNormOptions read_reference_options(OptionReader& reader, std::int64_t channels) {
  ReferenceBatchNormOptions options(channels);
  read_common(reader, options);
  if (const auto policy = reader.word({"refreshed", "fixed", "live", "moving"})) {
    options.reference(*policy == "fixed"    ? Reference::kFixed
                      : *policy == "live"   ? Reference::kLive
                      : *policy == "moving" ? Reference::kMoving
                                            : Reference::kRefreshed);
  }
  if (const auto every = reader.count("every", 1)) options.refresh_every(*every);
  if (const auto weight = reader.number("weight", 0, 1)) options.reference_weight(*weight);
  if (reader.text("variance", {"linear", "mixture"}) == "mixture") options.variance(VarianceBlend::kMixture);
  if (const auto momentum = reader.number("ref_momentum", 0, 1)) options.reference_momentum(*momentum);
  reader.done();
  return options;
}

}  // namespace

NormEntry batch_norm_entry() {
  return {{"bn", "batch normalization",
           "y = weight · (x − mu_B) / sqrt(var_B + eps) + bias; mu_B, var_B over the batch and all positions "
           "of a channel",
           "Ioffe & Szegedy 2015; Algorithm 1", kCommonOptions},
          [](OptionReader& reader, std::int64_t channels, int dims) -> std::shared_ptr<NormLayer> {
            BatchNormOptions options(channels);
            read_common(reader, options);
            reader.done();
            if (channels == 0) return nullptr;
            return make<BatchNorm1dImpl, BatchNorm2dImpl, BatchNorm3dImpl>(options, dims);
          }};
}

NormEntry reference_batch_norm_entry() {
  std::vector<NormOption> options{
      {"refreshed", "the reference batch's statistics are taken again with the current weights (default)"},
      {"fixed", "they are taken once, before training: section 3 of the paper to the letter"},
      {"live", "the reference batch goes through the network beside every batch: Algorithm 2 to the letter"},
      {"moving", "no reference batch: moving averages of the layer's own statistics (a control)"},
      {"every=K", "steps between two captures of a refreshed reference (10)"},
      {"weight=W", "the reference's weight lambda_1, 0 to 1 (1/(m+1), m the samples in the batch)"},
      {"variance=linear|mixture", "eq. 16 as printed, or the variance of the blended distribution (linear)"},
      {"ref_momentum=M", "weight of the newest batch in a moving reference (0.01)"},
  };
  options.insert(options.end(), kCommonOptions.begin(), kCommonOptions.end());
  return {{"rbn", "reference batch normalization",
           "as bn, by mu' = (1 − w)·mu_B + w·mu_ref, var' = (1 − w)·var_B + w·var_ref, w = 1/(m+1)",
           "the paper's Algorithm 2, eq. 11-16", std::move(options)},
          [](OptionReader& reader, std::int64_t channels, int dims) -> std::shared_ptr<NormLayer> {
            const ReferenceBatchNormOptions given = read_reference_options(reader, channels);
            if (channels == 0) return nullptr;
            return make<ReferenceBatchNorm1dImpl, ReferenceBatchNorm2dImpl, ReferenceBatchNorm3dImpl>(given,
                                                                                                      dims);
          }};
}

}  // namespace refnorm
