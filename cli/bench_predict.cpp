#include <algorithm>
#include <functional>
#include <memory>

#include <fmt/format.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <refnorm/base/error.h>
#include <refnorm/base/timing.h>
#include <refnorm/deploy/execute.h>
#include <refnorm/deploy/fold.h>
#include <refnorm/deploy/onnx_network.h>
#include <refnorm/deploy/onnx_writer.h>
#include <refnorm/deploy/trace.h>
#include <refnorm/experiment/build.h>
#include <refnorm/models/classifier.h>
#include <refnorm/norms/capture.h>
#include <refnorm/norms/norm_spec.h>
#include <refnorm/ops/instruction_set.h>

#include "bench.h"
#include "bench_measure.h"

namespace refnorm::cli {
namespace {

using torch::Tensor;

/// More than that between two scores is not rounding.
constexpr double kRounding = 1e-3;

struct Arguments {
  std::string model = "lenet5", norm = "bn";
  std::vector<std::int64_t> batch_sizes{1, 128};
  std::int64_t rounds = 7, threads = 0;
  double min_time = 0.1;
};

/// A way to compute the scores of a batch.
struct Contender {
  std::string name;
  std::function<Tensor(const Tensor&)> scores;
  std::vector<double> seconds;  ///< a batch, by round
};

Tensor pictures(const models::ModelKind& kind, std::int64_t count) {
  return torch::randn({count, kind.channels, kind.side, kind.side});
}

std::shared_ptr<models::Classifier> network(const Arguments& arguments) {
  const models::ModelKind kind = models::model_kind(arguments.model);
  auto model = models::make_model(
      kind.name, {norm_factory(NormSpec::parse(arguments.norm)), kind.channels, kind.classes, kind.side});
  model->initialize(1);
  torch::manual_seed(1);
  const torch::NoGradGuard no_grad;
  ReferenceKeeper reference(*model, pictures(kind, 16));
  for (int i = 0; i < 3; ++i) reference.forward(pictures(kind, 16));
  reference.prepare_evaluation();
  model->eval();
  return model;
}

deploy::ModelDescription description(const Arguments& arguments) {
  deploy::ModelDescription of;
  const models::ModelKind kind = models::model_kind(arguments.model);
  of.channels = kind.channels;
  of.height = of.width = kind.side;
  of.mean.assign(static_cast<std::size_t>(kind.channels), 0);
  of.std.assign(static_cast<std::size_t>(kind.channels), 1);
  for (std::int64_t i = 0; i < kind.classes; ++i) of.classes.push_back(std::to_string(i));
  of.model = arguments.model;
  return of;
}

std::vector<Contender> contenders_of(const Arguments& arguments, std::int64_t threads) {
  const auto model = network(arguments);
  const auto forward = [model](const Tensor& images) { return model->forward(images); };
  deploy::Graph graph = deploy::trace(ModelView(*model, forward),
                                      torch::zeros_like(pictures(models::model_kind(arguments.model), 2)));
  deploy::fold(graph);
  std::vector<Contender> all{{"unfolded", forward, {}}, {"folded", deploy::Executor(graph), {}}};
  deploy::OnnxNetwork::set_threads(threads);
  try {
    const auto dnn = std::make_shared<deploy::OnnxNetwork>(
        deploy::OnnxNetwork::parse(deploy::to_onnx(graph, description(arguments)), "the exported network"));
    all.push_back({"folded, ONNX in OpenCV dnn",
                   [dnn](const Tensor& images) {
                     const float* from = images.data_ptr<float>();
                     return torch::tensor(dnn->run({from, from + images.numel()}, images.size(0)))
                         .reshape({images.size(0), -1});
                   },
                   {}});
  } catch (const UserError&) {  // a norm that dnn has no operator for
  }
  return all;
}

void check(const std::vector<Contender>& contenders, const Tensor& images) {
  const Tensor expected = contenders.front().scores(images);
  for (const Contender& contender : contenders) {
    const double gap = (contender.scores(images) - expected).abs().max().item<double>();
    if (!(gap <= kRounding))
      throw Error(fmt::format("{}: its scores are off by {:.3g}", contender.name, gap));
  }
}

double seconds_of(const Contender& contender, const Tensor& images, double min_time) {
  const Stopwatch watch;
  std::int64_t turns = 0;
  do {
    contender.scores(images);
    ++turns;
  } while (watch.seconds() < min_time);
  return watch.seconds() / static_cast<double>(turns);
}

void measure(std::vector<Contender>& contenders, const Tensor& images, const Arguments& arguments) {
  for (Contender& contender : contenders) {
    contender.seconds.clear();
    seconds_of(contender, images, arguments.min_time / 4);
  }
  for (std::int64_t round = 0; round < arguments.rounds; ++round) {
    for (std::size_t i = 0; i < contenders.size(); ++i) {
      Contender& contender = contenders[(i + static_cast<std::size_t>(round)) % contenders.size()];
      contender.seconds.push_back(seconds_of(contender, images, arguments.min_time));
    }
  }
}

Answer run(const Arguments& arguments) {
  const torch::NoGradGuard no_grad;
  experiment::Recipe machine;
  machine.model.kind = arguments.model;
  machine.run.threads = std::max<std::int64_t>(1, arguments.threads);
  experiment::prepare_process(machine);
  std::vector<Contender> contenders = contenders_of(arguments, machine.run.threads);
  const std::string norm = NormSpec::parse(arguments.norm).to_string();
  Answer answer{
      {{"model", arguments.model},
       {"norm", norm},
       {"threads", machine.run.threads},
       {"instruction_set", ops::instruction_set()},
       {"results", Json::array()}},
      fmt::format("{} with {}, {} thread{}, {}; medians over {} rounds\n{:>6}  {:<28} {:>10} {:>12} {:>12}\n",
                  arguments.model, norm, machine.run.threads, machine.run.threads == 1 ? "" : "s",
                  ops::instruction_set(), arguments.rounds, "batch", "", "images/s", "ms/batch",
                  "of unfolded"),
      0};
  for (const std::int64_t batch : arguments.batch_sizes) {
    const Tensor images = pictures(models::model_kind(arguments.model), batch);
    check(contenders, images);
    measure(contenders, images, arguments);
    for (const Contender& contender : contenders) {
      const double seconds = median(contender.seconds);
      const double of_unfolded = median_ratio(contender.seconds, contenders.front().seconds);
      answer.json["results"].push_back({{"batch_size", batch},
                                        {"contender", contender.name},
                                        {"images_per_second", static_cast<double>(batch) / seconds},
                                        {"ms_per_batch", seconds * 1e3},
                                        {"time_of_unfolded", of_unfolded}});
      answer.text += fmt::format("{:>6}  {:<28} {:>10.0f} {:>12.4f} {:>12.3f}\n", batch, contender.name,
                                 static_cast<double>(batch) / seconds, seconds * 1e3, of_unfolded);
    }
  }
  return answer;
}

}  // namespace

Command bench_predict_command(CLI::App& parent) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* app = parent.add_subcommand(
      "predict",
      "Images per second of inference: unfolded, folded, and folded as ONNX in OpenCV's dnn, in turns");
  app->add_option("--model", arguments->model, "Which network")->type_name("NAME")->capture_default_str();
  app->add_option("--norm", arguments->norm, "The norm's spec")->type_name("SPEC")->capture_default_str();
  app->add_option("--batch-size", arguments->batch_sizes,
                  "Pictures at a time; as often as wanted (default: 1, 128)")
      ->check(CLI::Range(1, 1 << 20))
      ->allow_extra_args(false)
      ->type_name("N");
  app->add_option("--rounds", arguments->rounds, "Rounds, in each of which everybody has a turn")
      ->check(CLI::Range(1, 10000))
      ->type_name("N")
      ->capture_default_str();
  app->add_option("--min-time", arguments->min_time, "Seconds of a turn")
      ->check(CLI::Range(0.0, 3600.0))
      ->type_name("SECONDS")
      ->capture_default_str();
  add_threads(*app, arguments->threads, "Threads to compute with (default: one)");
  app->footer("Scores are verified before they are timed: status 1 where they differ.");
  return {app, [arguments] { return run(*arguments); }};
}

}  // namespace refnorm::cli
