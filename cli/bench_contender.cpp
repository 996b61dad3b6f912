#include "bench_contender.h"

#include <torch/autograd.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <refnorm/base/error.h>

namespace refnorm::cli {
namespace {

using torch::Tensor;

/// A contender of differentiable operators.
class Differentiated : public Contender {
 public:
  Differentiated(const NormInputs& inputs, Tensor weight, Tensor bias)
      : inputs_(inputs), weight_(std::move(weight)), bias_(std::move(bias)) {
    leaves_.push_back(inputs_.x);
    if (inputs_.residual.defined()) leaves_.push_back(inputs_.residual);
    learns_ = weight_.defined() && weight_.requires_grad();
    if (learns_) leaves_.insert(leaves_.end(), {weight_, bias_});
  }

  void forward() override { y_ = compute(); }
  void backward() override { gradients_ = torch::autograd::grad({y_}, leaves_, {inputs_.dy}); }
  void release() override {
    y_ = Tensor();
    gradients_.clear();
  }

  NormResults results() const override {
    NormResults found;
    found.y = y_.detach();
    found.dx = gradients_[0];
    if (inputs_.residual.defined()) found.dresidual = gradients_[1];
    if (learns_) {
      const std::int64_t channels = inputs_.x.size(1);
      found.dweight = per_channel(gradients_[gradients_.size() - 2], channels);
      found.dbias = per_channel(gradients_[gradients_.size() - 1], channels);
    }
    return found;
  }

 protected:
  virtual Tensor compute() = 0;
  NormInputs inputs_;
  Tensor weight_, bias_;

 private:
  bool learns_ = false;
  std::vector<Tensor> leaves_;
  Tensor y_;
  torch::autograd::variable_list gradients_;
};

class Ours : public Differentiated {
 public:
  Ours(const NormCase& what, const NormInputs& inputs, const std::shared_ptr<ChannelNorm>& layer)
      : Differentiated(inputs, layer->weight, layer->bias), layer_(layer), relu_(what.relu()) {
    prepare_layer(*layer_, inputs.x);
    if (!weight_.defined()) return;
    const torch::NoGradGuard no_grad;
    weight_.copy_(inputs.weight);
    bias_.copy_(inputs.bias);
  }

 protected:
  Tensor compute() override { return norm_act(*layer_, inputs_.x, inputs_.residual, relu_); }

 private:
  std::shared_ptr<ChannelNorm> layer_;
  bool relu_;
};

class LibTorch : public Differentiated {
 public:
  LibTorch(const NormCase& what, const NormInputs& inputs, const std::shared_ptr<ChannelNorm>& layer,
           torch::ScalarType parameters)
      : Differentiated(inputs, parameter(what, inputs, inputs.weight, *layer, parameters),
                       parameter(what, inputs, inputs.bias, *layer, parameters)),
        what_(what),
        layer_(layer),
        state_{weight_, bias_, torch::zeros({what.shape.c}, parameters),
               torch::ones({what.shape.c}, parameters)} {}

 protected:
  Tensor compute() override {
    Tensor y = call_operator(which(what_), *layer_, inputs_.x, state_);
    if (what_.add()) y.add_(inputs_.residual);
    if (what_.relu()) y.relu_();
    return y;
  }

 private:
  static Operator which(const NormCase& what) {
    return operator_of(what.norm).value_or(Operator::kBatchNorm);
  }
  static Tensor parameter(const NormCase& what, const NormInputs& inputs, const Tensor& values,
                          const ChannelNorm& layer, torch::ScalarType type) {
    return layer.weight.defined() ? parameter_for(which(what), values.to(type), inputs.x) : Tensor();
  }

  NormCase what_;
  std::shared_ptr<ChannelNorm> layer_;
  OperatorState state_;
};

double relative_difference(const Tensor& found, const Tensor& expected) {
  const Tensor difference = found.to(torch::kDouble) - expected;
  return difference.norm().item<double>() / std::max(expected.norm().item<double>(), 1e-30);
}

struct Named {
  const char* name;
  const Tensor& found;
  const Tensor& expected;
  bool rounded;  ///< of the case's dtype
};

std::vector<Named> pairs_of(const NormResults& found, const NormResults& expected) {
  std::vector<Named> pairs{{"y", found.y, expected.y, true}, {"dx", found.dx, expected.dx, true}};
  const auto add = [&](const Named& pair) {
    if (pair.found.defined() && pair.expected.defined()) pairs.push_back(pair);
  };
  add({"dresidual", found.dresidual, expected.dresidual, true});
  add({"dweight", found.dweight, expected.dweight, false});
  add({"dbias", found.dbias, expected.dbias, false});
  return pairs;
}

}  // namespace

std::unique_ptr<Contender> make_ours(const NormCase& what, const NormInputs& inputs) {
  return std::make_unique<Ours>(what, inputs, make_layer(what));
}

std::unique_ptr<Contender> make_libtorch(const NormCase& what, const NormInputs& inputs) {
  const auto layer = make_layer(what);
  // Mixed precision leaves parameters in float32; some operators of LibTorch take them in x's dtype only.
  try {
    auto mixed = std::make_unique<LibTorch>(what, inputs, layer, torch::kFloat);
    mixed->forward();
    mixed->backward();
    mixed->release();
    return mixed;
  } catch (const c10::Error&) {
    if (!what.bf16) throw;
    return std::make_unique<LibTorch>(what, inputs, layer, torch::kBFloat16);
  }
}

void check_values(const NormCase& what, const NormResults& found, const NormResults& expected) {
  for (const Named& pair : pairs_of(found, expected)) {
    const double scale = pair.expected.abs().max().item<double>();
    // Rounding to bfloat16 changes a value by up to 2^-9 of it.
    const double relative = what.bf16 && pair.rounded ? 1.0 / 256 : 1e-5;
    const double absolute = 5e-6 * std::max(scale, 1e-3);
    const Tensor difference = (pair.found.to(torch::kDouble) - pair.expected).abs();
    const Tensor beyond = difference - pair.expected.abs() * relative - absolute;
    // A NaN is not at most 0.
    if (!(beyond.max().item<double>() <= 0)) {
      fail("{}: {} is wrong by up to {:.3g} (largest value {:.3g}, tolerance {:.3g} of each and {:.3g})",
           what.to_string(), pair.name, difference.max().item<double>(), scale, relative, absolute);
    }
  }
}

std::string wrong_as_a_whole(const NormCase& what, const NormResults& found, const NormResults& expected) {
  const double tolerance = what.bf16 ? 5e-2 : 1e-3;  // a rounded sum may fall on ReLU's other side
  for (const Named& pair : pairs_of(found, expected)) {
    const double difference = relative_difference(pair.found, pair.expected);
    if (!(difference <= tolerance))
      return fmt::format("its {} is off by {:.3g} of it", pair.name, difference);
  }
  return {};
}

}  // namespace refnorm::cli
