#include <algorithm>

#include <torch/nn/module.h>

#include <refnorm/base/error.h>
#include <refnorm/base/safetensors.h>
#include <refnorm/base/weights_file.h>
#include <refnorm/experiment/build.h>
#include <refnorm/experiment/convert_weights.h>
#include <refnorm/norms/convert.h>
#include <refnorm/norms/norm_spec.h>
#include <refnorm/norms/reference_layer.h>
#include <refnorm/train/foreign_weights.h>
#include <refnorm/train/tensor_file.h>

namespace refnorm::experiment {
namespace {

/// Of the pictures of small data sets, beside those that a network is made for.
constexpr std::int64_t kSmallSide = 32;

/// The norm of a file that does not say: batch norm where there are running averages, else none.
std::string norm_of(const Safetensors& weights) {
  const auto said = weights.metadata.find("refnorm.norm");
  if (said != weights.metadata.end()) return said->second;
  const bool running = std::any_of(weights.tensors.begin(), weights.tensors.end(), [](const auto& tensor) {
    return tensor.first.ends_with(".running_mean");
  });
  return running ? "bn" : "none";
}

/// Channels of the pictures and classes, as the first and the last weight of the network have them in the
/// file.
models::ModelOptions options_of(const ConversionRequest& request, const Safetensors& weights) {
  const models::ModelKind kind = models::model_kind(request.model);
  models::ModelOptions options{norm_factory(NormSpec::parse("none")), kind.channels, kind.classes};
  const auto probe = models::make_model(request.model, options);
  std::vector<std::string> names;
  for (const auto& item : probe->named_parameters()) {
    if (item.key().ends_with(".weight")) names.push_back(item.key());
  }
  const RawTensor* first = weights.find(names.front());
  const RawTensor* last = weights.find(names.back());
  if (first != nullptr && first->shape.size() == 4) options.in_channels = first->shape[1];
  if (last != nullptr && last->shape.size() == 2) options.classes = last->shape[0];
  return options;
}

/// A network for pictures of the first of some sizes that the weights fit: in some networks, dense layers
/// depend on it.
std::shared_ptr<models::Classifier> network_for(const ConversionRequest& request, const Safetensors& weights,
                                                const std::string& norm, const data::ImageSet* pictures) {
  models::ModelOptions options = options_of(request, weights);
  options.norm = norm_factory(NormSpec::parse(norm));
  std::vector<std::int64_t> sides{models::model_kind(request.model).side, kSmallSide};
  if (pictures != nullptr) sides = {pictures->side()};
  std::shared_ptr<models::Classifier> first;
  for (const std::int64_t side : sides) {
    options.side = side;
    std::shared_ptr<models::Classifier> model;
    try {
      model = models::make_model(request.model, options);
    } catch (const UserError&) {
      if (first == nullptr) throw;
      break;
    }
    if (train::match_weights(*model, weights).misshapen.empty()) return model;
    if (first == nullptr) first = model;
  }
  return first;
}

bool needs_reference(torch::nn::Module& model) {
  const auto layers = find_layers<NormLayer>(model);
  return std::any_of(layers.begin(), layers.end(), [](const auto& item) {
    const auto* layer = dynamic_cast<const ReferenceLayer*>(item.second.get());
    return layer != nullptr && layer->has_reference() && layer->policy() != Reference::kMoving;
  });
}

/// The training samples of --data; null where none are named.
std::shared_ptr<const data::ImageSet> pictures_of(const ConversionRequest& request) {
  if (request.data.empty()) return nullptr;
  Recipe recipe;
  recipe.data.kind = request.data_kind;
  recipe.data.path = request.data.string();
  recipe.data.validation = 0;
  return load_splits(recipe).train;
}

void capture(const ConversionRequest& request, const std::shared_ptr<models::Classifier>& model,
             const data::ImageSet& pictures) {
  ReferenceSettings how;
  how.size = request.reference;
  const torch::Tensor batch = reference_batch(pictures, how, static_cast<std::uint64_t>(request.seed));
  capture_reference(ModelView(*model, [&](const torch::Tensor& x) { return model->forward(x); }), batch);
}

Json to_json(const train::WeightsMatch& match) {
  Json misshapen = Json::array();
  for (const auto& shape : match.misshapen)
    misshapen.push_back({{"name", shape.name}, {"found", shape.found}, {"expected", shape.expected}});
  return {{"fitting", match.fitting.size()},
          {"missing", match.missing},
          {"misshapen", misshapen},
          {"unexpected", match.unexpected},
          {"words", match.to_string()}};
}

Json to_json(const ConversionReport& report) {
  Json layers = Json::array();
  for (const auto& layer : report.converted) {
    layers.push_back({{"name", layer.name},
                      {"from", layer.from},
                      {"to", layer.to},
                      {"carried", layer.carried},
                      {"lost", layer.lost}});
  }
  return layers;
}

}  // namespace

Json convert_weights(const ConversionRequest& request) {
  if (request.to.extension() != ".safetensors")
    user_error("--to {}: expected FILE.safetensors", request.to.string());
  Safetensors weights = read_weights(request.weights);
  const std::string from = request.from.empty() ? norm_of(weights) : request.from;
  const NormSpec wanted = NormSpec::parse(request.norm);
  models::make_model(request.model, {norm_factory(NormSpec::parse("none"))})->adopt_names(weights);
  const auto pictures = pictures_of(request);
  const auto model = network_for(request, weights, from, pictures.get());
  model->initialize(static_cast<std::uint64_t>(request.seed));
  const train::WeightsMatch match =
      train::load_weights(*model, weights, request.weights.string(), request.partial);
  const ConversionReport report = convert(*model, wanted);
  const bool captured = needs_reference(*model);
  if (captured && pictures == nullptr)
    user_error("--norm {}: takes its reference from data; name the folder of a data set with --data",
               request.norm);
  if (captured) capture(request, model, *pictures);
  Safetensors state = train::state_of(*model);
  state.metadata = {{"refnorm.model", request.model}, {"refnorm.norm", request.norm}};
  write_safetensors(request.to, state);
  return {{"file", request.to.string()},
          {"model", request.model},
          {"from", from},
          {"norm", request.norm},
          {"weights", to_json(match)},
          {"layers", to_json(report)},
          {"reference", captured ? Json(request.reference) : Json(nullptr)}};
}

}  // namespace refnorm::experiment
