#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>
#include <list>
#include <optional>
#include <thread>

#include <unistd.h>

#include <refnorm/base/error.h>
#include <refnorm/base/file.h>
#include <refnorm/base/interrupt.h>
#include <refnorm/base/lock.h>
#include <refnorm/base/progress.h>
#include <refnorm/base/subprocess.h>
#include <refnorm/base/text.h>
#include <refnorm/experiment/build.h>
#include <refnorm/experiment/compare.h>
#include <refnorm/experiment/run.h>
#include <refnorm/experiment/summary.h>
#include <refnorm/models/classifier.h>
#include <refnorm/norms/norm_spec.h>
#include <refnorm/report/report.h>

namespace refnorm::experiment {
namespace {

namespace fs = std::filesystem;

struct Job {
  ArmSettings arm;
  std::int64_t seed;
  fs::path folder, log;
  std::optional<Subprocess> process;
};

fs::path run_folder(const fs::path& folder, const ArmSettings& arm, std::int64_t seed) {
  return folder / folder_name(arm.name) / fmt::format("seed-{}", seed);
}

/// The last line that a run said, which is where an error stands.
std::string last_words(const fs::path& log) {
  if (!fs::exists(log)) return "it left no word";
  std::string last = "it left no word";
  for (const std::string& line : split(read_file(log), '\n')) {
    if (!line.empty()) last = line;
  }
  return printable(last, 300);
}

std::string failure_of(const fs::path& log, const ExitStatus& ended) {
  if (ended.signal == 0) return last_words(log);
  return fmt::format("ended by signal {} ({}); its last words: {}", ended.signal, strsignal(ended.signal),
                     last_words(log));
}

class Comparison {
 public:
  Comparison(const Recipe& recipe, const fs::path& folder, const CompareOptions& options,
             const data::Splits& splits)
      : recipe_(recipe), folder_(folder), jobs_(options.jobs), setup_(setup_description(recipe, splits)) {
    steps_per_run_ = recipe.train.epochs * (splits.train->size() / recipe.train.batch_size);
    for (std::int64_t i = 0; i < options.seeds; ++i) {
      for (const ArmSettings& arm : recipe.arms) {
        const std::int64_t seed = recipe.run.seed + i;
        const fs::path run = run_folder(folder, arm, seed);
        fs::path log = run;
        log += ".log";
        work_.push_back({arm, seed, run, log, std::nullopt});
      }
    }
  }

  void run() {
    std::list<Job*> waiting;
    for (Job& job : work_) {
      fs::exists(job.folder / "result.json") ? record(job, {}) : waiting.push_back(&job);
    }
    if (!done_.empty()) publish();
    std::list<Job*> running;
    Progress progress(recipe_.name, total_steps(), "steps", finished_steps());
    while (!running.empty() || (!waiting.empty() && !interrupted())) {
      while (!interrupted() && !waiting.empty() && static_cast<std::int64_t>(running.size()) < jobs_) {
        start(*waiting.front());
        running.splice(running.end(), waiting, waiting.begin());
      }
      if (interrupted()) stop(running);
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      running.remove_if([&](Job* job) { return collect(*job, progress); });
      progress.update(finished_steps() + steps_under_way(running),
                      fmt::format("{} of {} runs done", done_.size(), work_.size()));
    }
  }

  Json publish() const {
    Json result = summarize_comparison(recipe_, setup_, done_, work_.size());
    result["machine"]["jobs"] = jobs_;
    write_json(folder_ / "result.json", result);
    report::write_report(folder_);
    return result;
  }

 private:
  std::int64_t total_steps() const { return steps_per_run_ * static_cast<std::int64_t>(work_.size()); }
  std::int64_t finished_steps() const { return steps_per_run_ * static_cast<std::int64_t>(done_.size()); }

  void start(Job& job) {
    make_folder(job.folder.parent_path());
    fs::remove(job.log);
    const std::string threads = std::to_string(recipe_.run.threads);
    job.process.emplace(
        std::vector<std::string>{this_program().string(), "train", (folder_ / "config.toml").string(),
                                 "--arm", job.arm.name, "--seed", std::to_string(job.seed), "--threads",
                                 threads, "--out", job.folder.string(), "--resume"},
        job.log,
        // Pools sized at load time: a library would otherwise make one thread a core in every run.
        std::vector<std::string>{"OMP_NUM_THREADS=" + threads, "OPENBLAS_NUM_THREADS=" + threads,
                                 "REFNORM_PARENT=" + std::to_string(::getpid())},
        Subprocess::Group::kOwn);
  }

  void stop(std::list<Job*>& running) {
    if (stopping_) return;
    stopping_ = true;
    for (Job* job : running) job->process->send(SIGTERM);
  }

  /// Whether the job has ended; then its result counts, or its failure.
  bool collect(Job& job, Progress& progress) {
    const auto ended = job.process->poll();
    if (!ended) return false;
    const bool complete = fs::exists(job.folder / "result.json");
    if (complete || !interrupted()) {
      record(job, failure_of(job.log, *ended));
      const Json& result = done_.back();
      publish();
      progress.say(fmt::format("{}, seed {}: {}", job.arm.name, job.seed, in_words(result)));
    }
    if (complete) fs::remove(job.log);
    return true;
  }

  /// `failure` counts where the run left no result.
  void record(const Job& job, const std::string& failure) {
    Json run{
        {"arm", job.arm.name}, {"seed", job.seed}, {"folder", fs::relative(job.folder, folder_).string()}};
    if (fs::exists(job.folder / "result.json")) {
      run.update(read_run_result(job.folder / "result.json"));
    } else {
      run["failed"] = failure;
    }
    done_.push_back(run);
  }

  static std::string in_words(const Json& run) {
    if (run.contains("failed")) return "failed: " + run["failed"].get<std::string>();
    const std::string seconds = readable_duration(run["seconds"].get<double>());
    if (run["diverged"].get<bool>()) {
      return fmt::format("diverged at step {} in {} ({})", run["diverged_at"]["step"].get<std::int64_t>(),
                         run["diverged_at"]["layer"].get<std::string>(), seconds);
    }
    return fmt::format("test error {:.2f} % ({})", run["test_error_pct"].get<double>(), seconds);
  }

  /// From the last complete line of each run's metrics.
  std::int64_t steps_under_way(const std::list<Job*>& running) const {
    std::int64_t steps = 0;
    for (const Job* job : running) {
      const fs::path file = job->folder / "metrics.jsonl";
      if (!fs::exists(file)) continue;
      const std::string text = read_file(file);
      const std::size_t end = text.rfind('\n');
      if (end == std::string::npos || end == 0) continue;
      const std::size_t begin = text.rfind('\n', end - 1) + 1;
      const Json line = Json::parse(text.substr(begin, end - begin), nullptr, /*allow_exceptions=*/false);
      if (line.is_object() && line.contains("step")) steps += line["step"].get<std::int64_t>();
    }
    return steps;
  }

  Recipe recipe_;
  fs::path folder_;
  std::int64_t jobs_;
  Json setup_;
  std::int64_t steps_per_run_ = 0;
  std::list<Job> work_;
  std::vector<Json> done_;
  bool stopping_ = false;
};

void check_arms(const Recipe& recipe, const data::Splits& splits) {
  for (const ArmSettings& arm : recipe.arms) {
    try {
      models::make_model(recipe.model.kind,
                         {norm_factory(NormSpec::parse(arm.norm)), splits.train->channels(),
                          static_cast<std::int64_t>(splits.train->class_names().size())});
    } catch (const UserError& error) {
      user_error("arm '{}': {}", arm.name, error.what());
    }
  }
}

/// Finished runs stay in the table, also where fewer seeds are asked for this time.
std::int64_t seeds_in_all(const Recipe& recipe, const fs::path& folder, std::int64_t wanted) {
  const auto finished = [&](std::int64_t seed) {
    return std::any_of(recipe.arms.begin(), recipe.arms.end(), [&](const ArmSettings& arm) {
      return fs::exists(run_folder(folder, arm, seed) / "result.json");
    });
  };
  while (finished(recipe.run.seed + wanted)) ++wanted;
  return wanted;
}

/// A run's folder has a config.toml as a comparison's has; and without one, files of either are nobody's.
void check_folder(const fs::path& folder, bool there) {
  if (fs::exists(folder / "metrics.jsonl"))
    user_error("{}: holds a single run, choose another --out", folder.string());
  if (there || !fs::exists(folder / "result.json")) return;
  user_error(
      "{}: holds result.json and no config.toml, so it is no comparison to go on with; choose another --out",
      folder.string());
}

}  // namespace

Json compare(Recipe recipe, const fs::path& folder, const CompareOptions& options) {
  CompareOptions chosen = options;
  const std::int64_t cores = std::max<std::int64_t>(1, std::thread::hardware_concurrency());
  const auto runs = static_cast<std::int64_t>(recipe.arms.size()) * options.seeds;
  if (chosen.jobs == 0) chosen.jobs = std::min(cores, runs);
  const fs::path config = folder / "config.toml";
  const bool there = fs::exists(config);
  if (there && !options.resume) {
    user_error("{}: already holds a comparison; --resume goes on with it, or choose another --out",
               folder.string());
  }
  check_folder(folder, there);
  if (recipe.run.threads == 0) {
    recipe.run.threads =
        there ? read_recipe(config).run.threads : std::max<std::int64_t>(1, cores / chosen.jobs);
  }
  if (there) check_same_recipe(config, recipe);
  prepare_process(recipe);
  const data::Splits splits = load_splits(recipe);
  check_arms(recipe, splits);
  if (recipe.reference.size > splits.train->size()) {
    user_error("reference.size: {} samples, the training set has {}", recipe.reference.size,
               splits.train->size());
  }
  data::make_sampler(recipe.sampler.kind, data::labels_of(*splits.train), recipe.train.batch_size, 0);

  make_folder(folder);
  const FolderLock lock(folder);
  if (!there) write_file(config, to_toml(recipe));
  chosen.seeds = seeds_in_all(recipe, folder, chosen.seeds);
  Comparison comparison(recipe, folder, chosen, splits);
  comparison.run();
  if (interrupted()) {
    throw Interrupted(fmt::format("stopped; {} holds what was done, the same command with --resume goes on",
                                  folder.string()));
  }
  return comparison.publish();
}

}  // namespace refnorm::experiment
