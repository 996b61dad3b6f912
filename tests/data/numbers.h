#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <torch/types.h>

#include <refnorm/data/image_set.h>

namespace refnorm::testing {

/// Sample i is the 1x1 picture of value i and has label i mod 10.
class Numbers : public data::ImageSet {
 public:
  explicit Numbers(std::int64_t count) : count_(count) {}
  std::int64_t size() const override { return count_; }
  std::int64_t label(std::int64_t index) const override { return index % 10; }
  data::Batch batch(std::span<const std::int64_t> indices) const override {
    const torch::Tensor values = torch::tensor(std::vector<std::int64_t>(indices.begin(), indices.end()));
    return {values.to(torch::kFloat).view({-1, 1, 1, 1}), values.remainder(10)};
  }
  std::int64_t channels() const override { return 1; }
  std::int64_t side() const override { return 1; }
  const std::vector<std::string>& class_names() const override { return names_; }

 private:
  std::int64_t count_;
  std::vector<std::string> names_ = std::vector<std::string>(10, "n");
};

/// The value of the set's sample: of Numbers, however they were chosen from, the index in the first set.
inline std::int64_t value_of(const data::ImageSet& set, std::int64_t index) {
  const std::vector<std::int64_t> one{index};
  return static_cast<std::int64_t>(set.batch(one).images.item<float>());
}

}  // namespace refnorm::testing
