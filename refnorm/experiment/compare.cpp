#include <algorithm>

#include <refnorm/base/error.h>
#include <refnorm/base/file.h>
#include <refnorm/base/interrupt.h>
#include <refnorm/base/lock.h>
#include <refnorm/base/text.h>
#include <refnorm/experiment/build.h>
#include <refnorm/experiment/compare.h>
#include <refnorm/experiment/pool.h>
#include <refnorm/experiment/run.h>
#include <refnorm/experiment/summary.h>
#include <refnorm/experiment/work.h>
#include <refnorm/report/report.h>

namespace refnorm::experiment {
namespace {

namespace fs = std::filesystem;

fs::path run_folder(const fs::path& folder, const ArmSettings& arm, std::int64_t seed) {
  return folder / folder_name(arm.name) / fmt::format("seed-{}", seed);
}

class Comparison {
 public:
  Comparison(const Recipe& recipe, const fs::path& folder, const CompareOptions& options,
             const Outline& outline)
      : recipe_(recipe),
        folder_(folder),
        side_by_side_(options.jobs),
        setup_(outline.setup),
        jobs_(jobs_of(recipe, folder, options.seeds)) {
    for (Job& job : jobs_) job.steps = outline.steps;
  }

  void run() {
    RunPool pool({recipe_.name, side_by_side_, recipe_.run.threads,
                  [](const Job& job) { return fmt::format("{}, seed {}", job.arm, job.seed); }});
    pool.run(
        jobs_, [&](const Job& job, const Json& result) { done_.push_back(run_of(job, result, folder_)); },
        [&] { publish(); });
  }

  Json publish() const {
    return publish_comparison(recipe_, folder_, setup_, done_, jobs_.size(), side_by_side_);
  }

 private:
  Recipe recipe_;
  fs::path folder_;
  std::int64_t side_by_side_;
  Json setup_;
  std::vector<Job> jobs_;
  std::vector<Json> done_;
};

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

}  // namespace

std::vector<Job> jobs_of(const Recipe& recipe, const fs::path& folder, std::int64_t seeds) {
  std::vector<Job> jobs;
  for (std::int64_t i = 0; i < seeds; ++i) {
    for (const ArmSettings& arm : recipe.arms) {
      const std::int64_t seed = recipe.run.seed + i;
      jobs.push_back({folder / "config.toml", arm.name, seed, run_folder(folder, arm, seed)});
    }
  }
  return jobs;
}

Json run_of(const Job& job, const Json& result, const fs::path& folder) {
  Json run{{"arm", job.arm}, {"seed", job.seed}, {"folder", fs::relative(job.folder, folder).string()}};
  run.update(result);
  return run;
}

bool open_folder(const fs::path& folder, const std::string& what, bool resume) {
  const bool there = fs::exists(folder / "config.toml");
  if (there && !resume) {
    user_error("{}: already holds a {}; --resume goes on with it, or choose another --out", folder.string(),
               what);
  }
  // A run's folder has a config.toml as these have; and without one, files of either are nobody's.
  if (fs::exists(folder / "metrics.jsonl"))
    user_error("{}: holds a single run, choose another --out", folder.string());
  if (!there && fs::exists(folder / "result.json")) {
    user_error("{}: holds result.json and no config.toml, so it is no {} to go on with; choose another --out",
               folder.string(), what);
  }
  return there;
}

void settle_threads(Recipe& recipe, const fs::path& folder, bool there, std::int64_t jobs) {
  const fs::path config = folder / "config.toml";
  if (recipe.run.threads == 0) {
    recipe.run.threads =
        there ? read_recipe(config).run.threads : std::max<std::int64_t>(1, core_count() / jobs);
  }
  if (there) check_same_recipe(config, recipe);
}

Json publish_comparison(const Recipe& recipe, const fs::path& folder, const Json& setup,
                        const std::vector<Json>& runs, std::size_t expected, std::int64_t jobs) {
  Json result = summarize_comparison(recipe, setup, runs, expected);
  result["machine"]["jobs"] = jobs;
  write_json(folder / "result.json", result);
  report::write_report(folder);
  return result;
}

Json compare(Recipe recipe, const fs::path& folder, const CompareOptions& options) {
  if (!recipe.axes.empty())
    user_error("{}: the recipe is a sweep over {}; expected one without [sweep], or refnorm sweep",
               recipe.name, recipe.axes.front().key);
  if (!recipe.run.test) user_error("run.test is false, which is for tuning; a comparison reads the test set");
  CompareOptions chosen = options;
  const auto runs = static_cast<std::int64_t>(recipe.arms.size()) * options.seeds;
  if (chosen.jobs == 0) chosen.jobs = std::min(core_count(), runs);
  const bool there = open_folder(folder, "comparison", options.resume);
  settle_threads(recipe, folder, there, chosen.jobs);
  prepare_process(recipe);
  const Outline outlined = outline(recipe);

  make_folder(folder);
  const FolderLock lock(folder);
  if (!there) write_file(folder / "config.toml", to_toml(recipe));
  chosen.seeds = seeds_in_all(recipe, folder, chosen.seeds);
  Comparison comparison(recipe, folder, chosen, outlined);
  comparison.run();
  if (interrupted()) {
    throw Interrupted(fmt::format("stopped; {} holds what was done, the same command with --resume goes on",
                                  folder.string()));
  }
  return comparison.publish();
}

}  // namespace refnorm::experiment
