#include <utility>

#include <torch/nn/module.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include <refnorm/base/error.h>
#include <refnorm/models/initialization.h>
#include <refnorm/models/lenet5.h>
#include <refnorm/ops/max_pool.h>
#include <refnorm/ops/tap.h>

namespace refnorm::models {

using ops::tap;
using torch::Tensor;

namespace {
constexpr std::int64_t kSide = 28;
}  // namespace

LeNet5Impl::LeNet5Impl(ModelOptions given) : options(std::move(given)) {
  if (options.side != kSide) user_error("lenet5: pictures of {0}x{0}, expected {1}x{1}", options.side, kSide);
  reset();
}

void LeNet5Impl::reset() {
  using torch::nn::Conv2dOptions;
  conv1 = register_module("conv1", torch::nn::Conv2d(Conv2dOptions(options.in_channels, 6, 5).padding(2)));
  norm1.fill(*this, "norm1", options.norm, 6, 2);
  conv2 = register_module("conv2", torch::nn::Conv2d(Conv2dOptions(6, 16, 5)));
  norm2.fill(*this, "norm2", options.norm, 16, 2);
  fc1 = register_module("fc1", torch::nn::Linear(16 * 5 * 5, 120));
  norm3.fill(*this, "norm3", options.norm, 120, 0);
  fc2 = register_module("fc2", torch::nn::Linear(120, 84));
  norm4.fill(*this, "norm4", options.norm, 84, 0);
  fc3 = register_module("fc3", torch::nn::Linear(84, options.classes));
}

Tensor LeNet5Impl::forward(const Tensor& images) {
  if (images.dim() != 4 || images.size(1) != options.in_channels || images.size(2) != kSide ||
      images.size(3) != kSide) {
    user_error("lenet5: expected images of shape [N, {0}, {1}, {1}], got [{2}]", options.in_channels, kSide,
               fmt::join(images.sizes(), ", "));
  }
  Tensor x = tap("norm1", norm_act(norm1, tap("conv1", conv1(images))));
  x = ops::max_pool_2x2(x);
  x = tap("norm2", norm_act(norm2, tap("conv2", conv2(x))));
  x = ops::max_pool_2x2(x).flatten(1);
  x = tap("norm3", norm_act(norm3, tap("fc1", fc1(x))));
  x = tap("norm4", norm_act(norm4, tap("fc2", fc2(x))));
  return tap("fc3", fc3(x));
}

void LeNet5Impl::initialize(std::uint64_t seed) {
  draw_uniform(*this, seed);
}

}  // namespace refnorm::models
