#include <algorithm>
#include <filesystem>
#include <memory>

#include <fmt/format.h>
#include <torch/types.h>
#include <torch/utils.h>
#include <unistd.h>

#include <refnorm/base/error.h>
#include <refnorm/base/file.h>
#include <refnorm/base/timing.h>
#include <refnorm/experiment/build.h>
#include <refnorm/experiment/launch.h>
#include <refnorm/models/classifier.h>
#include <refnorm/norms/norm_spec.h>
#include <refnorm/train/classification.h>
#include <refnorm/train/training_step.h>

#include "bench.h"

namespace refnorm::cli {
namespace {

constexpr std::int64_t kWarmup = 2;
constexpr std::int64_t kSums = 9;  ///< of each size
constexpr std::int64_t kSumBytes[] = {std::int64_t{4} << 10, std::int64_t{64} << 10, std::int64_t{1} << 20,
                                      std::int64_t{25} << 20};

struct Arguments {
  std::string model = "lenet5", norm = "bn", part;
  std::int64_t batch_size = 128, side = 0, steps = 10, rounds = 3, threads = 1;
  std::vector<std::int64_t> processes{1, 2, 4};
  bool sync = false;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

/// One process's training on one batch of random pictures: with the others, and, at the same time as they, by
/// itself.
class Trainee {
 public:
  Trainee(const Arguments& arguments, const train::Compute& compute,
          const std::shared_ptr<train::Group>& group) {
    models::ModelKind kind = models::model_kind(arguments.model);
    if (arguments.side > 0) kind.side = arguments.side;
    if (arguments.model == "lenet5") kind.channels = 1, kind.classes = 10;
    const auto model = models::make_model(
        kind.name, {norm_factory(NormSpec::parse(arguments.norm)), kind.channels, kind.classes, kind.side});
    model->initialize(1);
    compute.place(*model);
    torch::manual_seed(1 + static_cast<std::uint64_t>(group->rank()));
    const auto pictures = [&](std::int64_t count) {
      return torch::randn({count, kind.channels, kind.side, kind.side});
    };
    batch_ = {pictures(arguments.batch_size), torch::randint(kind.classes, {arguments.batch_size})};
    reference_ = std::make_unique<ReferenceKeeper>(*model, compute.place(pictures(arguments.batch_size)));
    const train::Network network{model, [model](const torch::Tensor& x) { return model->forward(x); }};
    pass_ = std::make_unique<train::ClassificationPass>(network, *reference_, /*label_smoothing=*/0, compute);
    train::TrainSettings settings;
    settings.lr = 1e-4;
    apart_ = std::make_unique<train::TrainingStep>(*model, settings);
    settings.sync_statistics = arguments.sync;
    together_ = std::make_unique<train::TrainingStep>(*model, settings, group);
    model->train();
  }

  struct Times {
    double step = 0, exchange = 0;  ///< seconds a step; of these, waiting for others
  };
  Times run(bool together, std::int64_t steps) {
    train::TrainingStep& step = together ? *together_ : *apart_;
    const double waited = clock_.seconds(train::kExchange);
    const Stopwatch watch;
    for (std::int64_t i = 0; i < steps; ++i) {
      step.run([&](bool first_of_step) { return pass_->run(batch_, first_of_step, clock_); }, 1e-4, clock_);
    }
    clock_.enter(train::kOther);
    const auto count = static_cast<double>(steps);
    return {watch.seconds() / count, (clock_.seconds(train::kExchange) - waited) / count};
  }
  const train::GradientBuckets& buckets() const { return together_->buckets(); }

 private:
  data::Batch batch_;
  std::unique_ptr<ReferenceKeeper> reference_;
  std::unique_ptr<train::ClassificationPass> pass_;
  std::unique_ptr<train::TrainingStep> apart_, together_;
  train::StepClock clock_;
};

/// Seconds that a sum of so many bytes takes in all processes.
double time_of_sum(train::Group& group, std::int64_t bytes) {
  torch::Tensor values = torch::zeros({bytes / static_cast<std::int64_t>(sizeof(float))});
  std::vector<double> seconds;
  for (std::int64_t i = 0; i <= kSums; ++i) {
    group.barrier();
    const Stopwatch watch;
    group.sum(values);
    if (i > 0) seconds.push_back(watch.seconds());
  }
  return median(seconds);
}

/// One of the processes; the first one writes what it found.
Answer run_part(const Arguments& arguments) {
  experiment::Recipe machine;
  machine.model.kind = arguments.model;
  machine.run.threads = arguments.threads;
  experiment::prepare_process(machine);
  const auto group = train::Group::join(train::place_from(train::from_environment, /*slurm=*/false),
                                        std::chrono::seconds(train::kPeerTimeout));
  Json found{{"processes", group->size()}};
  Trainee trainee(arguments, experiment::compute_of(machine), group);
  trainee.run(/*together=*/true, kWarmup);
  std::vector<double> apart;
  std::vector<double> together;
  std::vector<double> exchange;
  for (std::int64_t round = 0; round < arguments.rounds; ++round) {
    group->barrier();
    apart.push_back(trainee.run(/*together=*/false, arguments.steps).step);
    group->barrier();
    const Trainee::Times times = trainee.run(/*together=*/true, arguments.steps);
    together.push_back(times.step);
    exchange.push_back(times.exchange);
  }
  found["seconds_apart"] = median(apart);
  found["seconds"] = median(together);
  found["seconds_waiting"] = median(exchange);
  found["bytes"] = trainee.buckets().bytes();
  found["buckets"] = trainee.buckets().buckets();
  found["sums"] = Json::array();
  for (const std::int64_t bytes : kSumBytes) {
    if (group->size() > 1)
      found["sums"].push_back({{"bytes", bytes}, {"seconds", time_of_sum(*group, bytes)}});
  }
  if (group->leads()) write_json(arguments.part, found);
  return {.silent = true};
}

std::string text_of(const Json& result) {
  std::string text =
      fmt::format("{}, {}, {} samples a process, {} thread(s) each\n\n", result["model"].get<std::string>(),
                  result["norm"].get<std::string>(), result["batch_size"].get<std::int64_t>(),
                  result["threads"].get<std::int64_t>());
  text += fmt::format("{:>9}  {:>14}  {:>14}  {:>14}  {:>10}  {:>12}\n", "processes", "apart, ms",
                      "together, ms", "waiting, ms", "buckets", "images/s");
  for (const Json& one : result["measured"]) {
    const auto processes = one["processes"].get<double>();
    text += fmt::format("{:>9}  {:>14.1f}  {:>14.1f}  {:>14.1f}  {:>10}  {:>12.1f}\n", processes,
                        1e3 * one["seconds_apart"].get<double>(), 1e3 * one["seconds"].get<double>(),
                        1e3 * one["seconds_waiting"].get<double>(), one["buckets"].get<std::int64_t>(),
                        processes * result["batch_size"].get<double>() / one["seconds"].get<double>());
  }
  text += "\nSums over processes, milliseconds (and each process's traffic, GB/s)\n";
  for (const Json& one : result["measured"]) {
    const auto processes = one["processes"].get<double>();
    for (const Json& sum : one["sums"]) {
      const auto seconds = sum["seconds"].get<double>();
      const double traffic = 2 * (processes - 1) / processes * sum["bytes"].get<double>();
      text += fmt::format("{:>9}  {:>12} bytes  {:>10.2f}  ({:.2f})\n", processes,
                          sum["bytes"].get<std::int64_t>(), 1e3 * seconds, 1e-9 * traffic / seconds);
    }
  }
  return text;
}

Answer run(const Arguments& arguments) {
  if (!arguments.part.empty()) return run_part(arguments);
  check_started_alone("bench processes");
  models::model_kind(arguments.model);
  Json result{{"model", arguments.model},
              {"norm", NormSpec::parse(arguments.norm).to_string()},
              {"batch_size", arguments.batch_size},
              {"side", arguments.side > 0 ? arguments.side : models::model_kind(arguments.model).side},
              {"threads", arguments.threads},
              {"cores", experiment::core_count()},
              {"synchronized_statistics", arguments.sync},
              {"measured", Json::array()}};
  const std::filesystem::path part =
      std::filesystem::temp_directory_path() / fmt::format("refnorm-bench-{}.json", ::getpid());
  for (const std::int64_t processes : arguments.processes) {
    std::vector<std::string> words{"bench",  "processes",    "--model", arguments.model,
                                   "--norm", arguments.norm, "--part",  part.string()};
    const auto add = [&](const char* option, std::int64_t value) {
      words.push_back(option);
      words.push_back(std::to_string(value));
    };
    add("--batch-size", arguments.batch_size);
    if (arguments.side > 0) add("--side", arguments.side);
    add("--steps", arguments.steps);
    add("--rounds", arguments.rounds);
    add("--threads", arguments.threads);
    if (arguments.sync) words.push_back("--sync-statistics");
    experiment::launch(processes, words, {}, arguments.threads);
    result["measured"].push_back(read_json(part));
    std::filesystem::remove(part);
  }
  return {result, text_of(result)};
}

}  // namespace

Command bench_processes_command(CLI::App& parent) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* app =
      parent.add_subcommand("processes", "Time training steps of several processes, and sums over them");
  app->add_option("--model", arguments->model, "Which network (default: lenet5)")->type_name("NAME");
  app->add_option("--norm", arguments->norm, "Norm in every place (default: bn)")->type_name("SPEC");
  const auto number = [&](const char* option, std::int64_t& field, const char* what) {
    app->add_option(option, field, what)->check(CLI::Range(1, 1000000))->type_name("N");
  };
  number("--batch-size", arguments->batch_size, "Samples of a process's batch (default: 128)");
  number("--side", arguments->side, "Height and width of the pictures (default: the model's)");
  app->add_option("--processes", arguments->processes,
                  "How many; several counts one after the other (default: 1 2 4)")
      ->check(CLI::Range(1, 1024))
      ->type_name("N");
  number("--steps", arguments->steps, "Steps of a round (default: 10)");
  number("--rounds", arguments->rounds, "Rounds, of which the median counts (default: 3)");
  number("--threads", arguments->threads, "Threads of each process (default: 1)");
  app->add_flag("--sync-statistics", arguments->sync, "Normalize by the statistics of the joint batch");
  app->add_option("--part", arguments->part)->group("");
  app->footer(
      "`apart`: a step of each process by itself, all at the same time; `together`: with sums of the "
      "gradients;\n"
      "`waiting`: for those sums, beyond what the backward pass hides.");
  return {app, [arguments] { return run(*arguments); }};
}

}  // namespace refnorm::cli
