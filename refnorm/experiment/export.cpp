#include <algorithm>
#include <functional>
#include <map>

#include <torch/types.h>
#include <torch/utils.h>

#include <refnorm/base/error.h>
#include <refnorm/base/file.h>
#include <refnorm/data/loader.h>
#include <refnorm/deploy/execute.h>
#include <refnorm/deploy/fold.h>
#include <refnorm/deploy/onnx_evaluator.h>
#include <refnorm/deploy/onnx_writer.h>
#include <refnorm/deploy/trace.h>
#include <refnorm/deploy/weights_file.h>
#include <refnorm/experiment/data_sets.h>
#include <refnorm/experiment/export.h>
#include <refnorm/experiment/test_error.h>
#include <refnorm/norms/norm_spec.h>
#include <refnorm/train/mode.h>
#include <refnorm/train/tensor_file.h>

namespace refnorm::experiment {
namespace {

namespace fs = std::filesystem;
using torch::Tensor;
using Scorer = std::function<Tensor(const Tensor&)>;

constexpr std::int64_t kBatch = 500;
/// Of the largest score: more than this is not rounding.
constexpr double kRounding = 1e-4;

/// What two networks say of the same samples.
struct Comparison {
  std::int64_t samples = 0, differing = 0, wrong_before = 0, wrong_after = 0;
  double largest_difference = 0, largest_score = 0;

  bool within_rounding() const { return largest_difference <= kRounding * std::max(1.0, largest_score); }
  double error_pct(std::int64_t wrong) const {
    return 100.0 * static_cast<double>(wrong) / static_cast<double>(samples);
  }
};

Comparison compare(const Scorer& before, const Scorer& after, const data::ImageSet& set,
                   std::int64_t workers) {
  const torch::NoGradGuard no_grad;
  Comparison found;
  data::Loader loader =
      data::evaluation_loader(set, set.size(), std::min(kBatch, train::evaluation_batch(set)), workers);
  while (const auto batch = loader.next()) {
    const Tensor images = batch->images.contiguous();
    const Tensor one = before(images).to(torch::kCPU, torch::kFloat);
    const Tensor other = after(images);
    const Tensor first = one.argmax(1);
    const Tensor second = other.argmax(1);
    found.samples += batch->labels.size(0);
    found.differing += (first != second).sum().item<std::int64_t>();
    found.wrong_before += (first != batch->labels).sum().item<std::int64_t>();
    found.wrong_after += (second != batch->labels).sum().item<std::int64_t>();
    found.largest_difference = std::max(found.largest_difference, (one - other).abs().max().item<double>());
    found.largest_score = std::max(found.largest_score, one.abs().max().item<double>());
  }
  return found;
}

deploy::ModelDescription describe(const TrainedRun& run, const Tensor& example) {
  const data::ImageSet& set = *run.assembly->splits().test;
  const data::PixelScale scale = set.pixel_scale();
  deploy::ModelDescription description;
  description.channels = example.size(1);
  description.height = example.size(2);
  description.width = example.size(3);
  for (std::int64_t c = 0; c < description.channels; ++c) {
    const auto at = [&](const std::vector<float>& values) {
      return static_cast<double>(values[std::min(static_cast<std::size_t>(c), values.size() - 1)]);
    };
    description.mean.push_back(at(scale.mean));
    description.std.push_back(at(scale.deviation));
  }
  description.centre = picture_shape(run.recipe.data).centre;
  description.classes = set.class_names();
  description.model = run.recipe.model.kind;
  description.norm = run.recipe.arms.at(0).norm;
  description.recipe = run.recipe.name;
  description.arm = run.recipe.arms.at(0).name;
  return description;
}

/// A network of plain batch normalization in place of one whose norm is affine in inference; else of its own.
std::shared_ptr<models::Classifier> plain_network(const TrainedRun& run, const deploy::Graph& graph,
                                                  const deploy::ModelDescription& of) {
  const bool affine = std::none_of(graph.nodes.begin(), graph.nodes.end(), [](const deploy::Node& node) {
    return node.op == deploy::Op::kNormalize;
  });
  const std::string norm = affine && run.assembly->has_batch_statistics() ? "bn" : of.norm;
  auto network = models::make_model(of.model, {norm_factory(NormSpec::parse(norm)), of.channels,
                                               static_cast<std::int64_t>(of.classes.size()), of.height});
  network->eval();
  return network;
}

/// What of the trained network's state `plain` has, with the population statistics, where they are chosen, as
/// its running ones.
Safetensors plain_state(const TrainedRun& run, const models::Classifier& plain,
                        const PopulationStatistics& population) {
  Safetensors state = train::state_of(*run.assembly->network().module);
  const Safetensors wanted = train::state_of(plain);
  std::erase_if(state.tensors, [&](const auto& tensor) { return wanted.find(tensor.first) == nullptr; });
  for (auto& [name, raw] : state.tensors) {
    for (const auto& [layer, readings] : population) {
      const auto& chosen = readings[reading_of(run.recipe)];
      if (name == layer + ".running_mean") raw = train::to_raw(chosen.mean.to(torch::kFloat));
      if (name == layer + ".running_var") raw = train::to_raw(chosen.var.to(torch::kFloat));
    }
  }
  return state;
}

/// How a file is written, and what it computes when it is read again.
struct Written {
  /// With what is to be said of it beside its description.
  std::function<std::string(const std::map<std::string, std::string>&)> bytes;
  Scorer scorer;
  std::string read_by;
};

Written as_onnx(const deploy::Graph& graph, const deploy::ModelDescription& description, const fs::path& to) {
  const auto bytes = [=](const std::map<std::string, std::string>& more) {
    return deploy::to_onnx(graph, description, more);
  };
  return {bytes, deploy::OnnxEvaluator(bytes({}), to.string()), "LibTorch, node by node"};
}

std::string with_metadata(Safetensors content, const deploy::ModelDescription& description,
                          const std::map<std::string, std::string>& more) {
  content.metadata = to_metadata(description);
  content.metadata.insert(more.begin(), more.end());
  return to_safetensors(content);
}

Written as_folded_weights(const deploy::Graph& graph, const deploy::ModelDescription& description,
                          const fs::path& to) {
  const Safetensors content = deploy::weights_of(graph);
  const auto bytes = [=](const std::map<std::string, std::string>& more) {
    return with_metadata(content, description, more);
  };
  const Safetensors again = parse_safetensors(bytes({}), to.string(), Checksum::kRequired);
  return {bytes, deploy::Executor(deploy::with_weights(graph, again, to.string())), "LibTorch, node by node"};
}

Written as_state(const TrainedRun& run, const ExportRequest& request, const PopulationStatistics& population,
                 const deploy::Graph& graph, const deploy::ModelDescription& description) {
  const auto network = plain_network(run, graph, description);
  const Safetensors content = plain_state(run, *network, population);
  const auto bytes = [=](const std::map<std::string, std::string>& more) {
    return with_metadata(content, description, more);
  };
  train::load_state(*network, parse_safetensors(bytes({}), request.to.string(), Checksum::kRequired),
                    request.to.string());
  return {bytes, [network](const Tensor& images) { return network->forward(images); },
          "a network of " + description.model + " that loaded it"};
}

/// What the comparison found, for the file and for the answer.
Json in_numbers(const Comparison& found) {
  return {{"test_samples", found.samples},
          {"largest_difference", found.largest_difference},
          {"largest_score", found.largest_score},
          {"differing_predictions", found.differing},
          {"test_error_pct",
           {{"run", found.error_pct(found.wrong_before)}, {"file", found.error_pct(found.wrong_after)}}}};
}

std::string kind_of(const fs::path& to) {
  if (to.extension() == ".onnx") return "onnx";
  if (to.extension() == ".safetensors") return "safetensors";
  user_error("--to {}: expected FILE.onnx or FILE.safetensors", to.string());
}

}  // namespace

Json export_run(const fs::path& folder, const ExportRequest& request) {
  const std::string kind = kind_of(request.to);
  const TrainedRun run = load_trained(folder, request.of);
  const train::Network& network = run.assembly->network();
  const PopulationStatistics population =
      request.statistics == "population" ? run.population() : PopulationStatistics();
  if (!population.empty()) set_population(*network.module, population, reading_of(run.recipe));
  network.module->to(torch::kCPU);
  const train::Mode mode(*network.module, /*training=*/false,
                         population.empty() ? Statistics::kRunning : Statistics::kPopulation);

  const std::vector<std::int64_t> two{0, 1};
  const Tensor example = run.assembly->splits().test->batch(two).images;
  deploy::Graph graph = deploy::trace(ModelView(*network.module, network.forward), example);
  const deploy::ModelDescription description = describe(run, example);
  const deploy::FoldReport folded = request.fold ? deploy::fold(graph) : deploy::FoldReport();
  const Written written = kind == "onnx" ? as_onnx(graph, description, request.to)
                          : request.fold ? as_folded_weights(graph, description, request.to)
                                         : as_state(run, request, population, graph, description);
  const Comparison found =
      compare(network.forward, written.scorer, *run.assembly->splits().test, run.assembly->compute().workers);
  if (!found.within_rounding())
    throw Error(
        fmt::format("{}: not written: its scores differ from the run's by up to {:.3g} (largest score "
                    "{:.3g}), which is more than rounding",
                    request.to.string(), found.largest_difference, found.largest_score));
  const Json numbers = in_numbers(found);
  const std::string bytes = written.bytes({{"refnorm.check", numbers.dump()}});
  write_file(request.to, bytes);
  Json answer{{"file", request.to.string()},
              {"kind", kind},
              {"bytes", bytes.size()},
              {"checkpoint", run.checkpoint},
              {"statistics", run.assembly->has_batch_statistics() ? Json(request.statistics) : Json(nullptr)},
              {"folded", folded.into_before.size() + folded.into_after.size()},
              {"kept", folded.kept},
              {"read_back_by", written.read_by}};
  answer.update(numbers);
  return answer;
}

}  // namespace refnorm::experiment
