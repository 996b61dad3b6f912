#include <algorithm>

#include <torch/types.h>

#include <refnorm/base/error.h>
#include <refnorm/norms/ghost_batch_norm.h>
#include <refnorm/norms/norm_registry.h>

namespace refnorm {

using torch::Tensor;

GhostBatchNormBase::GhostBatchNormBase(const GhostBatchNormOptions& given, int dims)
    : BatchStatisticsLayer({"GhostBatchNorm", dims, given.num_features(), given.eps(), given.affine()},
                           given.momentum()),
      options(given) {
  if (options.virtual_batch_size() < 1) {
    user_error("{}: virtual_batch_size is {}, expected at least 1", type_name(),
               options.virtual_batch_size());
  }
}

Tensor GhostBatchNormBase::compute_by_batch(const Tensor& x, const ops::Then& then) {
  const std::int64_t size = std::min(options.virtual_batch_size(), x.size(0));
  const std::int64_t positions = x.numel() / (x.size(0) * x.size(1));
  require_values(size * positions, x, "a channel of a virtual batch in training");
  ops::NormalizeBy by;
  by.sets = {{size, 1}};
  const auto out = apply(x, by, then);
  const Tensor& means = out.sources[0].mean;
  const Tensor& vars = out.sources[0].var;
  const std::int64_t blocks = means.size(0);
  Tensor unbiased = torch::zeros_like(vars[0]);
  for (std::int64_t block = 0; block < blocks; ++block) {
    const std::int64_t samples = block + 1 < blocks ? size : x.size(0) - block * size;
    const std::int64_t values = samples * positions;
    observe({means[block], vars[block], means[block], vars[block], values});
    unbiased += vars[block] * (static_cast<double>(values) / static_cast<double>(values - 1));
  }
  update_running(means.mean(0), unbiased / static_cast<double>(blocks));
  return out.y;
}

std::string GhostBatchNormBase::more_options() const {
  return fmt::format(", virtual_batch_size={}", options.virtual_batch_size());
}

NormEntry ghost_batch_norm_entry() {
  return {{"ghost", "ghost batch normalization",
           "as bn, by mean and variance of each virtual batch of V samples; ghost:V sets V",
           "Hoffer et al. 2017", running_options({{"size=V", "samples of a virtual batch (32)"}})},
          [](OptionReader& reader, std::int64_t channels, int dims) {
            GhostBatchNormOptions options(channels);
            read_affine(reader, options);
            read_running(reader, options);
            if (const auto size = reader.count("size", 1)) options.virtual_batch_size(*size);
            return made<GhostBatchNormBase>(reader, options, dims);
          },
          "size"};
}

}  // namespace refnorm
