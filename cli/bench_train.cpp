#include <algorithm>
#include <memory>

#include <fmt/format.h>
#include <torch/torch.h>

#include <refnorm/base/error.h>
#include <refnorm/base/timing.h>
#include <refnorm/experiment/build.h>
#include <refnorm/models/classifier.h>
#include <refnorm/norms/capture.h>
#include <refnorm/norms/norm_spec.h>
#include <refnorm/ops/instruction_set.h>
#include <refnorm/ops/peak_memory.h>
#include <refnorm/train/autocast.h>
#include <refnorm/train/optimizer.h>

#include "bench.h"

namespace refnorm::cli {
namespace {

constexpr std::int64_t kClasses = 10;
constexpr std::int64_t kPictureSide = 28;
constexpr std::int64_t kWarmup = 3;

struct Arguments {
  std::string model = "lenet5", precision = "fp32";
  std::vector<std::string> norms{"none", "bn", "rbn"};
  std::int64_t batch_size = 128, reference = 128, steps = 30, rounds = 5, threads = 0;
};

/// A network under one norm, and its training on one batch of random pictures.
class Trainee {
 public:
  Trainee(const Arguments& arguments, const std::string& norm)
      : bfloat16_(arguments.precision == "bf16"),
        model_(models::make_model(arguments.model, {norm_factory(NormSpec::parse(norm)), 1, kClasses})),
        optimizer_((models::initialize(*model_, 1), *model_), train::TrainSettings()) {
    torch::manual_seed(1);
    images_ = torch::randn({arguments.batch_size, 1, kPictureSide, kPictureSide});
    labels_ = torch::randint(kClasses, {arguments.batch_size});
    reference_ = std::make_unique<ReferenceKeeper>(
        *model_, torch::randn({arguments.reference, 1, kPictureSide, kPictureSide}));
    model_->train();
  }

  void step() {
    torch::Tensor scores;
    {
      const train::Bfloat16Scope precision(bfloat16_, torch::kCPU);
      scores = reference_->forward(images_).to(torch::kFloat);
    }
    const torch::Tensor loss = torch::nn::functional::cross_entropy(scores, labels_);
    optimizer_.zero_grad();
    loss.backward();
    optimizer_.step();
  }

 private:
  bool bfloat16_;
  std::shared_ptr<models::Classifier> model_;
  train::Optimizer optimizer_;
  torch::Tensor images_, labels_;
  std::unique_ptr<ReferenceKeeper> reference_;
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

std::vector<Measured> measure(const Arguments& arguments) {
  std::vector<Measured> arms;
  for (const std::string& norm : arguments.norms) {
    Measured& arm = arms.emplace_back();
    arm.norm = NormSpec::parse(norm).to_string();
    arm.trainee = std::make_unique<Trainee>(arguments, norm);
    for (std::int64_t i = 0; i < kWarmup; ++i) arm.trainee->step();
    const ops::PeakMemory peak;
    arm.trainee->step();
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
  machine.run.threads = arguments.threads;
  experiment::prepare_process(machine);
  const std::vector<Measured> arms = measure(arguments);
  Answer answer{
      {{"model", arguments.model},
       {"batch_size", arguments.batch_size},
       {"reference_size", arguments.reference},
       {"precision", arguments.precision},
       {"threads", machine.run.threads},
       {"instruction_set", ops::instruction_set()},
       {"arms", Json::array()}},
      fmt::format("{}, batches of {}, reference of {}, {}, {} thread{}, {}; medians over {} rounds of {} "
                  "steps\n{:<24} {:>10} {:>10} {:>22} {:>10} {:>10}\n",
                  arguments.model, arguments.batch_size, arguments.reference, arguments.precision,
                  machine.run.threads, machine.run.threads == 1 ? "" : "s", ops::instruction_set(),
                  arguments.rounds, arguments.steps, "norm", "images/s", "ms/step", "smallest to largest",
                  "of first", "peak MiB"),
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
  app->add_option("--steps", arguments->steps, "Steps of a round")
      ->check(CLI::Range(1, 1 << 20))
      ->type_name("N")
      ->capture_default_str();
  app->add_option("--rounds", arguments->rounds, "Rounds")
      ->check(CLI::Range(1, 1 << 20))
      ->type_name("N")
      ->capture_default_str();
  add_threads(*app, arguments->threads, "Threads to train with (default: as refnorm train would)");
  return {app, [arguments] { return run(*arguments); }};
}

}  // namespace refnorm::cli
