#include <algorithm>
#include <cmath>
#include <functional>

#include <torch/types.h>
#include <torch/utils.h>

#include <refnorm/base/error.h>
#include <refnorm/base/file.h>
#include <refnorm/base/safetensors.h>
#include <refnorm/data/loader.h>
#include <refnorm/deploy/onnx_evaluator.h>
#include <refnorm/deploy/onnx_network.h>
#include <refnorm/experiment/build.h>
#include <refnorm/experiment/data_sets.h>
#include <refnorm/experiment/evaluate_file.h>
#include <refnorm/metrics/classification.h>
#include <refnorm/norms/norm_spec.h>
#include <refnorm/train/foreign_weights.h>

namespace refnorm::experiment {
namespace {

namespace fs = std::filesystem;
using torch::Tensor;

constexpr std::int64_t kBatch = 500;

/// A network from a file, and what the file says of itself.
struct FileNetwork {
  deploy::ModelDescription description;
  std::function<Tensor(const Tensor&)> scores;
  std::string computed_by;
};

FileNetwork from_onnx(const fs::path& file) {
  const std::string bytes = read_file(file);
  std::string lacking;
  try {
    const auto network =
        std::make_shared<deploy::OnnxNetwork>(deploy::OnnxNetwork::parse(bytes, file.string()));
    const auto run = [network](const Tensor& images) {
      const Tensor dense = images.contiguous();
      const float* from = dense.data_ptr<float>();
      const std::vector<float> scores = network->scores({from, from + dense.numel()}, dense.size(0));
      return torch::tensor(scores).reshape({dense.size(0), -1});
    };
    return {network->description(), run, "OpenCV dnn"};
  } catch (const UserError& error) {
    lacking = error.what();
  }
  try {
    const deploy::OnnxEvaluator evaluator(bytes, file.string());
    return {deploy::description_from(evaluator.metadata(), file.string()), evaluator,
            "LibTorch, node by node"};
  } catch (const UserError&) {
    throw UserError(lacking);  // neither can; what the runtime says is of more use
  }
}

/// The network whose names a file has: without norms (folded), with batch norm, or with the norm that it was
/// trained with.
FileNetwork from_safetensors(const fs::path& file) {
  const Safetensors weights = read_safetensors(file);
  const deploy::ModelDescription of = deploy::description_from(weights.metadata, file.string());
  train::WeightsMatch best;
  for (const std::string& norm : {std::string("none"), std::string("bn"), of.norm}) {
    const auto network =
        models::make_model(of.model, {norm_factory(NormSpec::parse(norm)), of.channels,
                                      static_cast<std::int64_t>(of.classes.size()), of.height});
    best = train::match_weights(*network, weights);
    if (!best.complete() || !best.unexpected.empty()) continue;
    train::load_weights(*network, weights, file.string());
    network->eval();
    return {of, [network](const Tensor& images) { return network->forward(images); }, "LibTorch"};
  }
  user_error("{}: does not fit {} with or without norms: {}", file.string(), of.model, best.to_string());
}

FileNetwork read_network(const fs::path& file) {
  if (file.extension() == ".onnx") return from_onnx(file);
  if (file.extension() == ".safetensors") return from_safetensors(file);
  user_error("{}: is not a run folder, nor what export writes (FILE.onnx, FILE.safetensors)", file.string());
}

/// One number of each channel along axis 1.
Tensor along_channels(const std::vector<double>& numbers) {
  return torch::tensor(numbers, torch::kFloat).reshape({1, -1, 1, 1});
}

void check_fits(const deploy::ModelDescription& of, const data::ImageSet& set, const Tensor& images,
                const std::string& origin) {
  if (images.size(1) != of.channels || images.size(2) != of.height || images.size(3) != of.width)
    user_error("{}: takes pictures of [{}, {}, {}], the data set has [{}, {}, {}]", origin, of.channels,
               of.height, of.width, images.size(1), images.size(2), images.size(3));
  if (of.classes != set.class_names())
    user_error("{}: its {} classes ({}, …) are not the data set's {} ({}, …)", origin, of.classes.size(),
               of.classes.front(), set.class_names().size(), set.class_names().front());
}

}  // namespace

Json evaluate_file(const fs::path& file, const FileEvaluationRequest& request) {
  const torch::NoGradGuard no_grad;
  Recipe recipe;
  recipe.data.kind = request.data_kind;
  recipe.data.path = request.data_path;
  recipe.run.threads = std::max<std::int64_t>(1, request.threads);
  prepare_process(recipe);
  deploy::OnnxNetwork::set_threads(recipe.run.threads);
  const FileNetwork network = read_network(file);
  // Of an image folder, as the file says.
  recipe.data.size = network.description.height;
  recipe.data.resize =
      std::llround(static_cast<double>(network.description.height) / network.description.centre);
  const std::shared_ptr<const data::ImageSet> set = load_data(recipe).test;
  const data::PixelScale scale = set->pixel_scale();
  std::int64_t wrong = 0;
  std::int64_t samples = 0;
  data::Loader loader = data::evaluation_loader(
      *set, set->size(), std::min(kBatch, train::evaluation_batch(*set)), workers_of(recipe));
  while (const auto batch = loader.next()) {
    if (samples == 0) check_fits(network.description, *set, batch->images, file.string());
    const Tensor images = (scale.pixels(batch->images) - along_channels(network.description.mean)) /
                          along_channels(network.description.std);
    wrong += batch->labels.size(0) - metrics::count_correct(network.scores(images), batch->labels);
    samples += batch->labels.size(0);
  }
  return {{"file", file.string()},
          {"computed_by", network.computed_by},
          {"model", network.description.model},
          {"norm", network.description.norm},
          {"test_samples", samples},
          {"test_error_pct", 100.0 * static_cast<double>(wrong) / static_cast<double>(samples)}};
}

}  // namespace refnorm::experiment
