#include <cmath>
#include <functional>

#include <ATen/CPUGeneratorImpl.h>
#include <torch/torch.h>

#include <refnorm/base/error.h>
#include <refnorm/base/random.h>
#include <refnorm/base/text.h>
#include <refnorm/models/classifier.h>
#include <refnorm/models/lenet5.h>

namespace refnorm::models {
namespace {

struct Entry {
  ModelKind kind;
  std::function<std::shared_ptr<Classifier>(const ModelOptions&)> make;
};

const std::vector<Entry>& registry() {
  static const std::vector<Entry> entries{
      {{"lenet5", "2 convolutions, 3 dense layers, for 28x28 pictures; 61,706 parameters without norms",
        "LeCun et al. 1998, with ReLU and maximum pooling"},
       [](const ModelOptions& options) { return std::make_shared<LeNet5Impl>(options); }},
  };
  return entries;
}

void draw(const torch::Tensor& parameter, double bound, std::uint64_t seed, const std::string& name) {
  if (!parameter.defined()) return;
  auto generator = at::detail::createCPUGenerator(stream_seed(seed, "initialization/" + name));
  const torch::NoGradGuard no_grad;
  parameter.copy_(torch::empty(parameter.sizes()).uniform_(-bound, bound, generator));
}

}  // namespace

std::vector<ModelKind> model_kinds() {
  std::vector<ModelKind> kinds;
  for (const Entry& entry : registry()) kinds.push_back(entry.kind);
  return kinds;
}

std::shared_ptr<Classifier> make_model(const std::string& kind, const ModelOptions& options) {
  std::vector<std::string> names;
  for (const Entry& entry : registry()) {
    if (entry.kind.name == kind) return entry.make(options);
    names.push_back(entry.kind.name);
  }
  user_error("model: '{}' is not known{}", printable(kind), suggestion(kind, names));
}

void initialize(torch::nn::Module& model, std::uint64_t seed) {
  for (const auto& item : model.named_modules("", /*include_self=*/false)) {
    torch::Tensor weight;
    torch::Tensor bias;
    if (const auto* conv = item.value()->as<torch::nn::Conv2d>()) {
      weight = conv->weight;
      bias = conv->bias;
    } else if (const auto* dense = item.value()->as<torch::nn::Linear>()) {
      weight = dense->weight;
      bias = dense->bias;
    } else {
      continue;
    }
    const double bound = 1.0 / std::sqrt(static_cast<double>(weight.numel() / weight.size(0)));
    draw(weight, bound, seed, item.key() + ".weight");
    draw(bias, bound, seed, item.key() + ".bias");
  }
}

}  // namespace refnorm::models
