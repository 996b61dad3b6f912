#include <map>
#include <optional>

#include <torch/nn.h>
#include <torch/utils.h>

#include <refnorm/base/error.h>
#include <refnorm/base/text.h>
#include <refnorm/norms/batch_statistics.h>
#include <refnorm/norms/convert.h>
#include <refnorm/norms/no_norm.h>

namespace refnorm {
namespace {

using torch::Tensor;
using torch::nn::Module;

/// A normalization layer, ours or LibTorch's, as far as another one can take over from it.
struct Found {
  Module* parent = nullptr;
  std::string child, name;  ///< within its parent, and in the model
  std::shared_ptr<Module> layer;
  std::int64_t channels = 0;
  int dims = 0;
  std::optional<double> eps;
  bool has_momentum = false;
  std::optional<double> momentum;
  bool plain = false;         ///< it has no weight and bias
  bool always_batch = false;  ///< it evaluates by the batch, too
  bool of_instances = false;  ///< its running averages, where it has any, are of instance statistics
};

std::optional<std::string> unreached_reason(const Found& found) {
  if (found.channels == 0) return "it normalizes the last axes, not channels";
  if (const auto ours = std::dynamic_pointer_cast<NormLayer>(found.layer)) {
    if (NormSlot::holds(*ours)) return std::nullopt;
  }
  if (found.parent->as<torch::nn::Sequential>() != nullptr) return std::nullopt;
  return "a typed member of a module without norm slots";
}

template <class Theirs>
bool read_theirs(Found& found, int dims) {
  const auto* layer = found.layer->as<Theirs>();
  if (layer == nullptr) return false;
  found.channels = layer->options.num_features();
  found.dims = dims;
  found.eps = layer->options.eps();
  found.plain = !layer->options.affine();
  if constexpr (std::is_same_v<decltype(Theirs::options), torch::nn::BatchNormOptions>) {
    found.always_batch = !layer->options.track_running_stats();
    found.has_momentum = true;
    if (layer->options.momentum()) found.momentum = *layer->options.momentum();
  } else {
    found.of_instances = true;
  }
  return true;
}

bool read_ours(Found& found, int dims_before) {
  const auto layer = std::dynamic_pointer_cast<NormLayer>(found.layer);
  if (!layer) return false;
  if (const auto norm = std::dynamic_pointer_cast<ChannelNorm>(layer)) {
    found.channels = norm->channels();
    found.eps = norm->eps();
    found.plain = !norm->weight.defined();
    const int dims = norm->dims().value_or(dims_before);
    found.dims = dims == 1 && dims_before == 0 ? 0 : dims;
  }
  if (const auto none = std::dynamic_pointer_cast<NoNormImpl>(layer)) {
    found.channels = none->channels();
    found.dims = none->dims();
  }
  if (NormSlot::holds(*layer)) {
    found.channels = NormSlot::channels_of(*layer);
    found.dims = NormSlot::dims_of(*layer);
  }
  if (const auto batch = std::dynamic_pointer_cast<BatchStatisticsLayer>(layer)) {
    found.has_momentum = true;
    found.momentum = batch->momentum();
  }
  return true;
}

/// Fills in what the layer is; false where it is no normalization. `dims_before`: spatial axes of what the
/// last convolution (or, with none, dense layer) before it gave.
bool read(Found& found, int dims_before) {
  using namespace torch::nn;  // NOLINT: a list of its layers
  if (read_ours(found, dims_before) || found.layer->as<LayerNorm>() != nullptr) return true;
  if (read_theirs<BatchNorm1dImpl>(found, dims_before == 0 ? 0 : 1) ||
      read_theirs<BatchNorm2dImpl>(found, 2) || read_theirs<BatchNorm3dImpl>(found, 3) ||
      read_theirs<InstanceNorm1dImpl>(found, 1) || read_theirs<InstanceNorm2dImpl>(found, 2) ||
      read_theirs<InstanceNorm3dImpl>(found, 3)) {
    return true;
  }
  if (const auto* group = found.layer->as<GroupNorm>()) {
    found.channels = group->options.num_channels();
    found.dims = dims_before;
    found.eps = group->options.eps();
    found.plain = !group->options.affine();
    return true;
  }
  return false;
}

/// Spatial axes of what a layer gives, where its type says so.
std::optional<int> dims_after(const Module& layer) {
  using namespace torch::nn;  // NOLINT: a list of its layers
  const auto is_any = [&](const auto*... found) { return (... || (found != nullptr)); };
  if (is_any(layer.as<Linear>(), layer.as<Flatten>())) return 0;
  if (is_any(layer.as<Conv1d>(), layer.as<ConvTranspose1d>())) return 1;
  if (is_any(layer.as<Conv2d>(), layer.as<ConvTranspose2d>())) return 2;
  if (is_any(layer.as<Conv3d>(), layer.as<ConvTranspose3d>())) return 3;
  return std::nullopt;
}

void find_norms(Module& parent, const std::string& prefix, int& dims_before, std::vector<Found>& all) {
  for (const auto& item : parent.named_children()) {
    Found found{&parent, item.key(), prefix + item.key(), item.value()};
    dims_before = dims_after(*item.value()).value_or(dims_before);
    if (read(found, dims_before)) {
      all.push_back(found);
    } else {
      find_norms(*item.value(), found.name + ".", dims_before, all);
    }
  }
}

bool takes_option(const NormSpec& spec, const std::string& option) {
  for (const NormKind& kind : norm_kinds()) {
    if (kind.name != spec.kind) continue;
    for (const NormOption& known : kind.options) {
      if (known.name == option || known.name.starts_with(option + "=")) return true;
    }
  }
  return false;
}

/// The spec with the old layer's eps, momentum and lack of weight and bias, where it names none of its own.
NormSpec spec_for(const NormSpec& spec, const Found& found) {
  NormSpec out = spec;
  if (found.eps && spec.find("eps") == nullptr && takes_option(spec, "eps")) {
    out.options.emplace_back("eps", fmt::format("{}", *found.eps));
  }
  if (found.plain && spec.find("plain") == nullptr && takes_option(spec, "plain"))
    out.options.emplace_back("plain", "");
  const bool named = spec.find("momentum") != nullptr || spec.find("cumulative") != nullptr;
  if (!found.has_momentum || named || !takes_option(spec, "momentum")) return out;
  if (found.momentum) {
    out.options.emplace_back("momentum", fmt::format("{}", *found.momentum));
  } else {
    out.options.emplace_back("cumulative", "");
  }
  return out;
}

std::vector<std::pair<std::string, Tensor>> state_of(const Module& layer) {
  std::vector<std::pair<std::string, Tensor>> state;
  for (const auto& item : layer.named_parameters(/*recurse=*/false))
    state.emplace_back(item.key(), item.value());
  for (const auto& item : layer.named_buffers(/*recurse=*/false))
    state.emplace_back(item.key(), item.value());
  std::erase_if(state, [](const auto& entry) { return !entry.second.defined(); });
  return state;
}

void carry_state(const Found& found, NormLayer& next, ConversionReport::Layer& report) {
  const torch::NoGradGuard no_grad;
  std::map<std::string, Tensor> fresh;
  for (const auto& [name, tensor] : state_of(next)) fresh.emplace(name, tensor);
  for (const auto& [name, tensor] : state_of(*found.layer)) {
    const bool means_another =
        found.of_instances && (name.starts_with("running_") || name.starts_with("num_"));
    const auto target = fresh.find(name);
    if (!means_another && target != fresh.end() && target->second.sizes() == tensor.sizes()) {
      target->second.copy_(tensor);
      report.carried.push_back(name);
    } else {
      report.lost.push_back(name);
    }
  }
}

void carry_switches(const Found& found, const std::shared_ptr<NormLayer>& next) {
  next->train(found.layer->is_training());
  for (const Tensor& parameter : found.layer->parameters(/*recurse=*/false)) {
    if (parameter.defined() && !parameter.requires_grad()) next->learn_affine(false);
  }
  const auto before = std::dynamic_pointer_cast<BatchStatisticsLayer>(found.layer);
  const auto after = std::dynamic_pointer_cast<BatchStatisticsLayer>(next);
  if (before && after) after->take_over(*before);
  if (found.always_batch && after) after->use_statistics(Statistics::kBatch);
}

/// To the device and type of the old layer's numbers or, where it has none, of its parent's or the model's.
void move_to_place_of(const Found& found, const Module& model, NormLayer& next) {
  for (const Module* place :
       {static_cast<const Module*>(found.layer.get()), static_cast<const Module*>(found.parent), &model}) {
    for (const Tensor& tensor : place->parameters()) {
      if (tensor.defined()) return next.to(tensor.device(), tensor.scalar_type());
    }
    for (const Tensor& tensor : place->buffers()) {
      if (tensor.is_floating_point()) return next.to(tensor.device(), tensor.scalar_type());
    }
  }
}

void put(const Found& found, const std::shared_ptr<NormLayer>& next) {
  const auto ours = std::dynamic_pointer_cast<NormLayer>(found.layer);
  if (ours && NormSlot::holds(*ours)) return NormSlot::replace(*found.parent, found.child, *ours, next);
  auto* sequence = found.parent->as<torch::nn::Sequential>();
  for (torch::nn::AnyModule& held : *sequence) {
    if (held.ptr() == found.layer) held = torch::nn::AnyModule(next);
  }
  sequence->replace_module(found.child, std::static_pointer_cast<Module>(next));
}

/// "refnorm::BatchNorm2d", "torch::nn::BatchNorm2d"
std::string type_of(const Module& layer) {
  if (const auto* ours = dynamic_cast<const ChannelNorm*>(&layer)) return "refnorm::" + ours->type_name();
  std::string name = c10::demangle(typeid(layer).name());
  if (name.ends_with("Impl")) name.resize(name.size() - 4);
  return name;
}

}  // namespace

ConversionReport convert(Module& model, const NormSpec& spec) {
  spec.check();
  std::vector<Found> all;
  int dims_before = 2;
  find_norms(model, "", dims_before, all);
  ConversionReport report;
  std::vector<std::pair<Found, std::shared_ptr<NormLayer>>> planned;
  for (const Found& found : all) {
    if (const auto reason = unreached_reason(found)) {
      report.unreached.push_back({found.name, type_of(*found.layer), *reason});
    } else {
      planned.emplace_back(found, make_norm(spec_for(spec, found), found.channels, found.dims));
    }
  }
  for (const auto& [found, next] : planned) {
    ConversionReport::Layer& layer =
        report.converted.emplace_back(found.name, type_of(*found.layer), type_of(*next));
    move_to_place_of(found, model, *next);
    carry_state(found, *next, layer);
    carry_switches(found, next);
    put(found, next);
  }
  return report;
}

std::string ConversionReport::to_string() const {
  std::string text;
  for (const Layer& layer : converted) {
    text += fmt::format("{}: {} -> {}", layer.name, layer.from, layer.to);
    if (!layer.carried.empty()) text += fmt::format("; carried {}", join(layer.carried, ", "));
    if (!layer.lost.empty()) text += fmt::format("; lost {}", join(layer.lost, ", "));
    text += "\n";
  }
  for (const Unreached& layer : unreached) {
    text += fmt::format("{}: {} stays: {}\n", layer.name, layer.type, layer.reason);
  }
  return text;
}

}  // namespace refnorm
