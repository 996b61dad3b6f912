#include <algorithm>
#include <memory>

#include <fmt/format.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <refnorm/base/error.h>
#include <refnorm/base/timing.h>
#include <refnorm/experiment/build.h>
#include <refnorm/models/classifier.h>
#include <refnorm/norms/capture.h>
#include <refnorm/norms/norm_spec.h>
#include <refnorm/ops/instruction_set.h>
#include <refnorm/ops/peak_memory.h>
#include <refnorm/train/classification.h>
#include <refnorm/train/training_step.h>

#include "bench.h"

namespace refnorm::cli {
namespace {

struct Arguments {
  std::string model = "lenet5", precision = "fp32", memory_format = "auto", device;
  std::vector<std::string> norms{"none", "bn", "rbn"};
  std::int64_t batch_size = 128, reference = 128, steps = 30, rounds = 5, warmup = 3, threads = 0, side = 0;
};

/// What a model is trained on here.
struct Pictures {
  explicit Pictures(const Arguments& arguments) : kind(models::model_kind(arguments.model)) {
    if (arguments.side > 0) kind.side = arguments.side;
    if (small()) kind.channels = 1, kind.classes = 10;  // as MNIST's are
  }
  bool small() const { return kind.side <= 32; }
  torch::Tensor of(std::int64_t count) const {
    return torch::randn({count, kind.channels, kind.side, kind.side});
  }
  models::ModelKind kind;
};

/// A network under one norm, and its training on one batch of random pictures.
class Trainee {
 public:
  Trainee(const Arguments& arguments, const train::Compute& compute, const std::string& norm) {
    const Pictures pictures(arguments);
    const auto& kind = pictures.kind;
    const auto model = models::make_model(
        kind.name, {norm_factory(NormSpec::parse(norm)), kind.channels, kind.classes, kind.side});
    model->initialize(1);
    compute.place(*model);
    torch::manual_seed(1);
    batch_ = {compute.place(pictures.of(arguments.batch_size)),
              torch::randint(kind.classes, {arguments.batch_size}).to(compute.device)};
    reference_ = std::make_unique<ReferenceKeeper>(*model, compute.place(pictures.of(arguments.reference)));
    const train::Network network{model, [model](const torch::Tensor& x) { return model->forward(x); }};
    pass_ = std::make_unique<train::ClassificationPass>(network, *reference_, /*label_smoothing=*/0, compute);
    step_ = std::make_unique<train::TrainingStep>(*model, train::TrainSettings());
    model->train();
  }

  void step() {
    step_->run([&](bool first_of_step) { return pass_->run(batch_, first_of_step, clock_); },
               train::TrainSettings().lr, clock_);
  }

 private:
  data::Batch batch_;
  std::unique_ptr<ReferenceKeeper> reference_;
  std::unique_ptr<train::ClassificationPass> pass_;
  std::unique_ptr<train::TrainingStep> step_;
  train::StepClock clock_;
};

struct Measured {
  std::string norm;
  std::unique_ptr<Trainee> trainee;
  std::vector<double> seconds_per_step;
  double peak_mib = 0;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

/// Per round, so that what slows the machine for a while slows both.
double median_ratio(const Measured& a, const Measured& b) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < a.seconds_per_step.size(); ++i) {
    ratios.push_back(a.seconds_per_step[i] / b.seconds_per_step[i]);
  }
  return median(ratios);
}

std::vector<Measured> measure(const Arguments& arguments, const train::Compute& compute) {
  std::vector<Measured> arms;
  for (const std::string& norm : arguments.norms) {
    Measured& arm = arms.emplace_back();
    arm.norm = NormSpec::parse(norm).to_string();
    const ops::PeakMemory peak(
        compute.device.type());  // weights, the optimizer's state and the pictures among it
    arm.trainee = std::make_unique<Trainee>(arguments, compute, norm);
    for (std::int64_t i = 0; i < arguments.warmup; ++i) arm.trainee->step();
    arm.peak_mib = static_cast<double>(peak.bytes()) / (1024.0 * 1024.0);
  }
  for (std::int64_t round = 0; round < arguments.rounds; ++round) {
    for (Measured& arm : arms) {
      arm.trainee->step();
      const Stopwatch watch;
      for (std::int64_t i = 0; i < arguments.steps; ++i) arm.trainee->step();
      arm.seconds_per_step.push_back(watch.seconds() / static_cast<double>(arguments.steps));
    }
  }
  return arms;
}

Answer run(Arguments arguments) {
  experiment::Recipe machine;
  machine.model.kind = arguments.model;
  machine.train.batch_size = arguments.batch_size;
  machine.train.precision = arguments.precision;
  machine.train.memory_format = arguments.memory_format;
  machine.run.threads = arguments.threads;
  if (!arguments.device.empty()) machine.run.device = arguments.device;
  if (arguments.threads == 0 && !Pictures(arguments).small()) machine.run.threads = experiment::core_count();
  experiment::prepare_process(machine);
  const std::vector<Measured> arms = measure(arguments, experiment::compute_of(machine));
  Answer answer{
      {{"model", arguments.model},
       {"batch_size", arguments.batch_size},
       {"reference_size", arguments.reference},
       {"precision", arguments.precision},
       {"memory_format", arguments.memory_format},
       {"threads", machine.run.threads},
       {"machine", experiment::machine_description(machine)},
       {"max_rss_mib", max_rss_mib()},
       {"arms", Json::array()}},
      fmt::format("{}, batches of {}, reference of {}, {}, {} thread{}, {}; medians over {} rounds of {} "
                  "steps\n{:<24} {:>10} {:>10} {:>22} {:>10} {:>10}\n",
                  arguments.model, arguments.batch_size, arguments.reference, arguments.precision,
                  machine.run.threads, machine.run.threads == 1 ? "" : "s",
                  machine.run.device == "cpu" ? ops::instruction_set() : machine.run.device, arguments.rounds,
                  arguments.steps, "norm", "images/s", "ms/step", "smallest to largest", "of first",
                  "peak MiB"),
      0};
  for (const Measured& arm : arms) {
    const auto [low, high] = std::minmax_element(arm.seconds_per_step.begin(), arm.seconds_per_step.end());
    const double step = median(arm.seconds_per_step);
    const double images = static_cast<double>(arguments.batch_size) / step;
    const double of_first = median_ratio(arm, arms.front());
    answer.json["arms"].push_back({{"norm", arm.norm},
                                   {"images_per_second", images},
                                   {"ms_per_step", step * 1e3},
                                   {"ms_per_step_range", {*low * 1e3, *high * 1e3}},
                                   {"step_of_first", of_first},
                                   {"peak_mib", arm.peak_mib}});
    answer.text +=
        fmt::format("{:<24} {:>10.0f} {:>10.3f} {:>22} {:>10.3f} {:>10.1f}\n", arm.norm, images, step * 1e3,
                    fmt::format("{:.3f} to {:.3f}", *low * 1e3, *high * 1e3), of_first, arm.peak_mib);
  }
  return answer;
}

}  // namespace

Command bench_train_command(CLI::App& parent) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* app = parent.add_subcommand(
      "train", "Images per second and peak tensor memory of training a network under norms, in turns");
  app->add_option("--model", arguments->model, "Which network")->type_name("NAME")->capture_default_str();
  app->add_option("--norm", arguments->norms, "A norm's spec; as often as wanted (default: none, bn, rbn)")
      ->type_name("SPEC");
  app->add_option("--batch-size", arguments->batch_size, "Pictures a step")
      ->check(CLI::Range(1, 1 << 20))
      ->type_name("N")
      ->capture_default_str();
  app->add_option("--reference", arguments->reference, "Pictures of the reference batch")
      ->check(CLI::Range(1, 1 << 20))
      ->type_name("N")
      ->capture_default_str();
  app->add_option("--precision", arguments->precision, "fp32 or bf16")
      ->check(CLI::IsMember({"fp32", "bf16"}))
      ->capture_default_str();
  app->add_option("--memory-format", arguments->memory_format,
                  "contiguous, channels_last or auto: channels_last for bf16")
      ->check(CLI::IsMember({"auto", "contiguous", "channels_last"}))
      ->capture_default_str();
  app->add_option("--side", arguments->side, "Height and width of the pictures (default: the network's)")
      ->check(CLI::Range(1, 1 << 14))
      ->type_name("N");
  app->add_option("--steps", arguments->steps, "Steps of a round")
      ->check(CLI::Range(1, 1 << 20))
      ->type_name("N")
      ->capture_default_str();
  app->add_option("--rounds", arguments->rounds, "Rounds")
      ->check(CLI::Range(1, 1 << 20))
      ->type_name("N")
      ->capture_default_str();
  app->add_option("--warmup", arguments->warmup,
                  "Steps before the rounds, of which the most memory is measured")
      ->check(CLI::Range(1, 1 << 20))
      ->type_name("N")
      ->capture_default_str();
  add_device(*app, arguments->device);
  app->get_option("--device")->description("Where to compute (default: cpu)");
  add_threads(*app, arguments->threads, "Threads to train with (default: as refnorm train would)");
  return {app, [arguments] { return run(*arguments); }};
}

}  // namespace refnorm::cli
