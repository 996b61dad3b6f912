#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <refnorm/base/error.h>
#include <refnorm/base/file.h>
#include <refnorm/base/timing.h>
#include <refnorm/experiment/build.h>
#include <refnorm/experiment/evaluate_detections.h>

#include "bench.h"
#include "bench_coco_scenes.h"

namespace refnorm::cli {
namespace {

namespace fs = std::filesystem;

struct Arguments {
  CocoScenes scenes;
  std::int64_t rounds = 3, threads = 0;
  std::string folder;
};

double peak_mib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024.0;
}

/// Seconds of each step in each round, by name, in the order of the first round.
class Times {
 public:
  template <class Action>
  void measure(const std::string& name, const Action& action) {
    const Stopwatch watch;
    action();
    const double seconds = watch.seconds();
    const auto found =
        std::find_if(steps_.begin(), steps_.end(), [&](const auto& step) { return step.first == name; });
    if (found == steps_.end()) {
      steps_.push_back({name, {seconds}});
    } else {
      found->second.push_back(seconds);
    }
  }

  Json json() const {
    Json all;
    for (const auto& [name, seconds] : steps_) all[name] = seconds;
    return all;
  }
  std::string text() const {
    std::string all;
    for (auto [name, seconds] : steps_) {
      std::sort(seconds.begin(), seconds.end());
      const double median = (seconds[(seconds.size() - 1) / 2] + seconds[seconds.size() / 2]) / 2;
      all += fmt::format("{:<20} {:>8.3f} s   {}\n", name, median,
                         fmt::format("{:.3f} to {:.3f}", seconds.front(), seconds.back()));
    }
    return all;
  }

 private:
  std::vector<std::pair<std::string, std::vector<double>>> steps_;
};

void measure_round(const Arguments& arguments, const fs::path& folder, std::int64_t threads, Times& times,
                   double& peak_reading) {
  data::CocoInstances truth;
  times.measure("read annotations", [&] { truth = data::read_coco_instances(folder / "instances.json"); });
  peak_reading = peak_mib();
  if (const std::string problem = first_problem(truth, "generated", false); !problem.empty())
    fail("{}", problem);
  if (arguments.scenes.detections == 0) return;
  std::vector<data::CocoDetection> detections;
  times.measure("read detections", [&] { detections = data::read_coco_results(folder / "detections.json"); });
  for (const auto& [name, overlap] : {std::pair("evaluate boxes", metrics::OverlapOf::kBoxes),
                                      std::pair("evaluate masks", metrics::OverlapOf::kMasks)}) {
    metrics::CocoOptions options;
    options.overlap = overlap;
    options.threads = threads;
    times.measure(name, [&] { experiment::evaluate_detections(truth, detections, options, {}); });
  }
}

Answer run(const Arguments& arguments) {
  const bool keep = !arguments.folder.empty();
  const fs::path folder = keep ? fs::path(arguments.folder)
                               : fs::temp_directory_path() / fmt::format("refnorm-bench-coco-{}", getpid());
  make_folder(folder);
  const std::shared_ptr<void> cleaner(nullptr, [&](void*) {
    std::error_code ignored;
    if (!keep) fs::remove_all(folder, ignored);
  });
  write_coco_scenes(arguments.scenes, folder);
  const std::int64_t threads = arguments.threads > 0 ? arguments.threads : experiment::core_count();
  const auto megabytes = [&](const char* name) {
    std::error_code none;
    const auto bytes = fs::file_size(folder / name, none);
    return none ? 0.0 : static_cast<double>(bytes) / 1e6;
  };
  const double before = peak_mib();
  double peak_reading = 0;
  Times times;
  for (std::int64_t round = 0; round < arguments.rounds; ++round) {
    double peak = 0;
    measure_round(arguments, folder, threads, times, peak);
    if (round == 0) peak_reading = peak;
  }
  const CocoScenes& of = arguments.scenes;
  return {
      {{"pictures", of.pictures},
       {"objects", of.objects},
       {"detections", of.detections},
       {"threads", threads},
       {"annotations_megabytes", megabytes("instances.json")},
       {"detections_megabytes", megabytes("detections.json")},
       {"seconds", times.json()},
       {"peak_mib", {{"before", before}, {"annotations_read", peak_reading}, {"end", peak_mib()}}}},
      fmt::format(
          "{} pictures, {} objects ({:.0f} MB), {} detections with boxes and masks ({:.0f} MB), "
          "{} threads; medians of {} rounds\n{}"
          "Resident at most: {:.0f} MiB before, {:.0f} with the annotations read, {:.0f} in the end\n",
          of.pictures, of.objects, megabytes("instances.json"), of.detections, megabytes("detections.json"),
          threads, arguments.rounds, times.text(), before, peak_reading, peak_mib()),
      0};
}

}  // namespace

Command bench_coco_command(CLI::App& parent) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* app = parent.add_subcommand(
      "coco",
      "Seconds of reading generated annotations and detections of COCO's size, and of evaluating them");
  const auto number = [&](const char* name, std::int64_t& value, std::int64_t least, const char* what) {
    app->add_option(name, value, what)
        ->check(CLI::Range(least, std::int64_t{1} << 24))
        ->type_name("N")
        ->capture_default_str();
  };
  number("--pictures", arguments->scenes.pictures, 1, "Pictures");
  number("--objects", arguments->scenes.objects, 0, "Annotated objects");
  number("--detections", arguments->scenes.detections, 0, "Detections; 0: only read annotations");
  number("--rounds", arguments->rounds, 1, "Rounds");
  add_threads(*app, arguments->threads, "Threads to evaluate with (default: the number of cores)");
  app->add_option("--keep", arguments->folder, "Leave instances.json and detections.json in this folder")
      ->type_name("DIR");
  return {app, [arguments] { return run(*arguments); }};
}

}  // namespace refnorm::cli
