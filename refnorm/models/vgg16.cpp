#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <utility>

#include <torch/nn/module.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include <refnorm/base/error.h>
#include <refnorm/models/initialization.h>
#include <refnorm/models/vgg16.h>
#include <refnorm/ops/max_pool.h>
#include <refnorm/ops/recompute.h>
#include <refnorm/ops/tap.h>

namespace refnorm::models {
namespace {

using ops::tap;
using torch::Tensor;

struct Convolution {
  std::int64_t channels;
  bool then_pool;
};

constexpr std::array<Convolution, 13> kConvolutions{{{64, false},
                                                     {64, true},
                                                     {128, false},
                                                     {128, true},
                                                     {256, false},
                                                     {256, false},
                                                     {256, true},
                                                     {512, false},
                                                     {512, false},
                                                     {512, true},
                                                     {512, false},
                                                     {512, false},
                                                     {512, true}}};

constexpr std::int64_t kSmallest = 32, kDigits = 28;
/// Height and width of the features that the dense layers see at most, as in the paper.
constexpr std::int64_t kMostFeatures = 7;

/// The places of the convolutions among the children of "features", where each is followed by so many others
/// (norm and ReLU, or ReLU alone), and pooling is a child as well.
std::vector<std::int64_t> places(std::int64_t followers) {
  std::vector<std::int64_t> numbers;
  std::int64_t next = 0;
  for (const Convolution& convolution : kConvolutions) {
    numbers.push_back(next);
    next += 1 + followers + (convolution.then_pool ? 1 : 0);
  }
  return numbers;
}

std::int64_t features_side(std::int64_t side) {
  return std::min(std::max(side, kSmallest) / 32, kMostFeatures);
}

}  // namespace

VGG16FeaturesImpl::VGG16FeaturesImpl(ModelOptions given) : options(std::move(given)) {
  reset();
}

void VGG16FeaturesImpl::reset() {
  const std::vector<std::int64_t> numbers = places(2);
  norms.resize(kConvolutions.size());
  convolutions.clear();
  std::int64_t in = options.in_channels;
  std::int64_t padding = options.side == kDigits ? 1 + (kSmallest - kDigits) / 2 : 1;
  for (std::size_t i = 0; i < kConvolutions.size(); ++i) {
    const std::int64_t out = kConvolutions[i].channels;
    convolutions.push_back(
        register_module(std::to_string(numbers[i]),
                        torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, 3).padding(padding))));
    norms[i].fill(*this, std::to_string(numbers[i] + 1), options.norm, out, 2);
    in = out;
    padding = 1;
  }
}

Tensor VGG16FeaturesImpl::forward(const Tensor& images) {
  const std::vector<std::int64_t> numbers = places(2);
  Tensor x = images;
  for (std::size_t i = 0; i < kConvolutions.size(); ++i) {
    x = tap(fmt::format("features.{}", numbers[i]), ops::recompute_input(convolutions[i](x), x));
    x = tap(fmt::format("features.{}", numbers[i] + 1), norm_act(norms[i], x));
    if (kConvolutions[i].then_pool) x = ops::max_pool_2x2(x);
  }
  return x;
}

VGG16ClassifierImpl::VGG16ClassifierImpl(std::int64_t inputs_given, std::int64_t classes_given)
    : inputs(inputs_given), classes(classes_given) {
  reset();
}

void VGG16ClassifierImpl::reset() {
  hidden1 = register_module("0", torch::nn::Linear(inputs, 4096));
  hidden2 = register_module("3", torch::nn::Linear(4096, 4096));
  scores = register_module("6", torch::nn::Linear(4096, classes));
}

Tensor VGG16ClassifierImpl::forward(const Tensor& features) {
  Tensor x = torch::relu(tap("classifier.0", hidden1(features)));
  x = torch::dropout(x, 0.5, is_training());
  x = torch::relu(tap("classifier.3", hidden2(x)));
  x = torch::dropout(x, 0.5, is_training());
  return tap("classifier.6", scores(x));
}

VGG16Impl::VGG16Impl(ModelOptions given) : options(std::move(given)) {
  if (options.side < kSmallest && options.side != kDigits)
    user_error("vgg16: pictures of {0}x{0}, expected 28x28, or 32x32 and larger", options.side);
  reset();
}

void VGG16Impl::reset() {
  const std::int64_t side = features_side(options.side);
  features = register_module("features", VGG16Features(options));
  classifier = register_module("classifier", VGG16Classifier(512 * side * side, options.classes));
}

Tensor VGG16Impl::forward(const Tensor& images) {
  if (images.dim() != 4 || images.size(1) != options.in_channels || images.size(2) != options.side ||
      images.size(3) != options.side) {
    user_error("vgg16: expected images of shape [N, {0}, {1}, {1}], got [{2}]", options.in_channels,
               options.side, fmt::join(images.sizes(), ", "));
  }
  Tensor x = features(images);
  if (const std::int64_t side = features_side(options.side); x.size(2) != side)
    x = torch::adaptive_avg_pool2d(x, {side, side});
  return classifier(x.flatten(1));
}

void VGG16Impl::initialize(std::uint64_t seed) {
  draw_he(*this, seed);
}

void VGG16Impl::adopt_names(Safetensors& weights) const {
  const std::vector<std::int64_t> plain = places(1);
  const std::vector<std::int64_t> own = places(2);
  std::map<std::string, std::string> renamed;
  for (std::size_t i = 0; i < plain.size(); ++i) {
    for (const char* part : {"weight", "bias"})
      renamed[fmt::format("features.{}.{}", plain[i], part)] = fmt::format("features.{}.{}", own[i], part);
  }
  const auto from_plain = [&](const auto& tensor) {
    return !tensor.first.starts_with("features.") || renamed.contains(tensor.first);
  };
  if (!std::all_of(weights.tensors.begin(), weights.tensors.end(), from_plain)) return;
  for (auto& [name, tensor] : weights.tensors) {
    if (const auto found = renamed.find(name); found != renamed.end()) name = found->second;
  }
}

}  // namespace refnorm::models
