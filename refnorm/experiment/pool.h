#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <list>
#include <string>
#include <vector>

#include <refnorm/base/json.h>
#include <refnorm/base/subprocess.h>

namespace refnorm::experiment {

/// One run of a comparison or a sweep.
struct Job {
  std::filesystem::path config;  ///< the recipe that it trains
  std::string arm;
  std::int64_t seed = 0;
  std::filesystem::path folder;
  std::int64_t steps = 0;  ///< of the whole run
};

/// Trains runs in processes of their own, so many side by side. A run that fails does not stop the others;
/// after Ctrl-C runs save and stop.
class RunPool {
 public:
  struct Options {
    std::string title;
    std::int64_t side_by_side = 1, threads = 1;
    std::function<std::string(const Job&)> name;  ///< how progress calls a job
  };
  /// A run's result.json, or {"failed": its last words}.
  using Done = std::function<void(const Job&, const Json& result)>;

  explicit RunPool(Options options) : options_(std::move(options)) {}

  /// Calls done() for each job that has ended, first for those that had before; changed() after those, where
  /// there are any, and after each other. Returns early after Ctrl-C.
  void run(const std::vector<Job>& jobs, const Done& done, const std::function<void()>& changed);

 private:
  struct Running {
    const Job* job;
    Subprocess process;
  };
  void start(const Job& job);
  void stop();
  std::int64_t steps_under_way() const;

  Options options_;
  std::list<Running> running_;
  std::int64_t steps_done_ = 0;
  bool stopping_ = false;
};

}  // namespace refnorm::experiment
