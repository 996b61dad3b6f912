#include <chrono>
#include <csignal>
#include <cstring>
#include <deque>
#include <thread>

#include <fmt/format.h>
#include <unistd.h>

#include <refnorm/base/file.h>
#include <refnorm/base/interrupt.h>
#include <refnorm/base/progress.h>
#include <refnorm/base/text.h>
#include <refnorm/experiment/pool.h>
#include <refnorm/experiment/run.h>

namespace refnorm::experiment {
namespace {

namespace fs = std::filesystem;

fs::path log_of(const Job& job) {
  fs::path log = job.folder;
  log += ".log";
  return log;
}

bool is_complete(const Job& job) {
  return fs::exists(job.folder / "result.json");
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

std::string failure_of(const Job& job, const ExitStatus& ended) {
  if (ended.signal == 0) return last_words(log_of(job));
  return fmt::format("ended by signal {} ({}); its last words: {}", ended.signal, strsignal(ended.signal),
                     last_words(log_of(job)));
}

std::string in_words(const Json& run) {
  if (run.contains("failed")) return "failed: " + run["failed"].get<std::string>();
  const std::string seconds = readable_duration(run["seconds"].get<double>());
  if (run["diverged"].get<bool>()) {
    const Json& at = run["diverged_at"];
    const auto step = at["step"].get<std::int64_t>();
    if (at.contains("given_up"))
      return fmt::format("given up at step {}: {} ({})", step, at["given_up"].get<std::string>(), seconds);
    return fmt::format("diverged at step {} in {} ({})", step, at["layer"].get<std::string>(), seconds);
  }
  if (!run.contains("test_error_pct"))
    return fmt::format("validation error {:.2f} % ({})", run["validation_error_pct"].get<double>(), seconds);
  return fmt::format("test error {:.2f} % ({})", run["test_error_pct"].get<double>(), seconds);
}

}  // namespace

void RunPool::run(const std::vector<Job>& jobs, const Done& done, const std::function<void()>& changed) {
  std::deque<const Job*> waiting;
  std::int64_t total = 0;
  std::size_t ended = 0;
  for (const Job& job : jobs) {
    total += job.steps;
    if (!is_complete(job)) {
      waiting.push_back(&job);
      continue;
    }
    fs::remove(log_of(job));  // of a run that ended after its pool had been killed
    done(job, read_run_result(job.folder / "result.json"));
    steps_done_ += job.steps;
    ++ended;
  }
  if (ended > 0) changed();
  Progress progress(options_.title, total, "steps", steps_done_);
  while (!running_.empty() || (!waiting.empty() && !interrupted())) {
    while (!interrupted() && !waiting.empty() &&
           static_cast<std::int64_t>(running_.size()) < options_.side_by_side) {
      start(*waiting.front());
      waiting.pop_front();
    }
    if (interrupted()) stop();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    for (auto one = running_.begin(); one != running_.end();) {
      const auto status = one->process.poll();
      if (!status) {
        ++one;
        continue;
      }
      const Job& job = *one->job;
      one = running_.erase(one);
      const bool complete = is_complete(job);
      if (!complete && interrupted()) continue;
      const Json result =
          complete ? read_run_result(job.folder / "result.json") : Json{{"failed", failure_of(job, *status)}};
      if (complete) fs::remove(log_of(job));
      steps_done_ += job.steps;
      ++ended;
      done(job, result);
      changed();
      progress.say(fmt::format("{}: {}", options_.name(job), in_words(result)));
    }
    progress.update(steps_done_ + steps_under_way(), fmt::format("{} of {} runs done", ended, jobs.size()));
  }
}

void RunPool::start(const Job& job) {
  make_folder(job.folder.parent_path());
  fs::remove(log_of(job));
  const std::string threads = std::to_string(options_.threads);
  running_.push_back(
      {&job,
       Subprocess({this_program().string(), "train", job.config.string(), "--arm", job.arm, "--seed",
                   std::to_string(job.seed), "--threads", threads, "--out", job.folder.string(), "--resume"},
                  log_of(job),
                  // Pools sized at load time: a library would otherwise make one thread a core in every run.
                  {"OMP_NUM_THREADS=" + threads, "OPENBLAS_NUM_THREADS=" + threads,
                   "REFNORM_PARENT=" + std::to_string(::getpid())},
                  Subprocess::Group::kOwn)});
}

void RunPool::stop() {
  if (stopping_) return;
  stopping_ = true;
  for (Running& one : running_) one.process.send(SIGTERM);
}

/// From the last complete line of each run's metrics.
std::int64_t RunPool::steps_under_way() const {
  std::int64_t steps = 0;
  for (const Running& one : running_) {
    const fs::path file = one.job->folder / "metrics.jsonl";
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

}  // namespace refnorm::experiment
