#include <torch/types.h>

#include <refnorm/base/error.h>
#include <refnorm/norms/group_norm.h>
#include <refnorm/norms/norm_registry.h>

namespace refnorm {
namespace {

constexpr std::int64_t kDefaultGroups = 32;

std::vector<std::int64_t> divisors(std::int64_t number) {
  std::vector<std::int64_t> found;
  for (std::int64_t i = 1; i <= number; ++i) {
    if (number % i == 0) found.push_back(i);
  }
  return found;
}

}  // namespace

GroupNormImpl::GroupNormImpl(const GroupNormOptions& given)
    : Cloneable({"GroupNorm", kAnyDims, given.num_channels(), given.eps(), given.affine()}), options(given) {
  if (options.num_groups() < 1 || channels() % options.num_groups() != 0) {
    user_error("group_norm: {} channels do not divide into {} groups, expected one of {}", channels(),
               options.num_groups(), fmt::join(divisors(channels()), ", "));
  }
  register_state();
}

torch::Tensor GroupNormImpl::compute(const torch::Tensor& x, const ops::Then& then) {
  require_values(x.numel() / (x.size(0) * options.num_groups()), x, "a sample and group");
  ops::NormalizeBy by;
  by.sets = {{1, channels() / options.num_groups()}};
  return apply(x, by, then).y;
}

std::string GroupNormImpl::more_options() const {
  return fmt::format(", groups={}", options.num_groups());
}

NormEntry group_norm_entry() {
  return {{"gn", "group normalization",
           "as bn, by mean and variance of each sample's each group of channels; gn:G has G groups",
           "Wu & He 2018",
           affine_options({{"groups=G", "number of groups (32), which must divide the channels"}})},
          [](OptionReader& reader, std::int64_t channels, int) -> std::shared_ptr<NormLayer> {
            GroupNormOptions options(kDefaultGroups, channels);
            if (const auto groups = reader.count("groups", 1)) options.num_groups(*groups);
            read_affine(reader, options);
            reader.done();
            if (channels == 0) return nullptr;
            return std::make_shared<GroupNormImpl>(options);
          },
          "groups"};
}

}  // namespace refnorm
