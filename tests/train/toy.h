#pragma once

#include <memory>
#include <string>
#include <vector>

#include <torch/nn/module.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/dropout.h>
#include <torch/nn/modules/linear.h>
#include <torch/utils.h>

#include <refnorm/base/random.h>
#include <refnorm/data/image_set.h>
#include <refnorm/norms/norm_spec.h>
#include <refnorm/ops/tap.h>
#include <refnorm/train/network.h>

namespace refnorm::testing {

/// Two classes of 1x4x4 pictures: class 1 is brighter in the upper half.
class ToySet : public data::ImageSet {
 public:
  explicit ToySet(std::int64_t count) {
    auto generator = at::detail::createCPUGenerator(11);
    pixels_ = torch::empty({count, 1, 4, 4}).normal_(0, 1, generator);
    for (std::int64_t i = 0; i < count; i += 2) pixels_[i].narrow(1, 0, 2).add_(1.0);
  }
  std::int64_t size() const override { return pixels_.size(0); }
  std::int64_t label(std::int64_t index) const override { return index % 2 == 0 ? 1 : 0; }
  data::Batch batch(std::span<const std::int64_t> indices) const override {
    std::vector<std::int64_t> chosen(indices.begin(), indices.end());
    std::vector<std::int64_t> labels;
    for (const std::int64_t index : chosen) labels.push_back(label(index));
    return {pixels_.index_select(0, torch::tensor(chosen)), torch::tensor(labels)};
  }
  std::int64_t channels() const override { return 1; }
  std::int64_t side() const override { return 4; }
  const std::vector<std::string>& class_names() const override { return names_; }

 private:
  torch::Tensor pixels_;
  std::vector<std::string> names_{"dark", "bright"};
};

/// conv -> norm -> relu -> dropout -> linear
struct ToyNetImpl : torch::nn::Module {
  explicit ToyNetImpl(const std::string& norm_spec) {
    conv = register_module("conv", torch::nn::Conv2d(1, 3, 3));
    norm = register_module("norm", make_norm(NormSpec::parse(norm_spec), 3, 2));
    dropout = register_module("dropout", torch::nn::Dropout(0.2));
    linear = register_module("linear", torch::nn::Linear(12, 2));
  }
  torch::Tensor forward(const torch::Tensor& x) {
    const torch::Tensor y = ops::tap("norm", norm->forward(ops::tap("conv", conv(x))));
    return ops::tap("linear", linear(dropout(torch::relu(y)).flatten(1)));
  }
  torch::nn::Conv2d conv{nullptr};
  std::shared_ptr<NormLayer> norm;
  torch::nn::Dropout dropout{nullptr};
  torch::nn::Linear linear{nullptr};
};

inline train::Network toy_network(const std::string& norm, std::uint64_t seed = 3) {
  torch::manual_seed(seed);
  auto net = std::make_shared<ToyNetImpl>(norm);
  return {net, [net](const torch::Tensor& x) { return net->forward(x); }};
}

}  // namespace refnorm::testing
