#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <optional>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <stdlib.h>
#include <unistd.h>

#include <refnorm/base/error.h>
#include <refnorm/base/file.h>
#include <refnorm/base/interrupt.h>
#include <refnorm/base/subprocess.h>
#include <refnorm/base/text.h>
#include <refnorm/experiment/build.h>
#include <refnorm/experiment/launch.h>
#include <refnorm/train/checkpoint.h>
#include <refnorm/train/processes/group.h>

namespace refnorm::experiment {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr const char* kWordsTo = "REFNORM_LAST_WORDS";
constexpr const char* kLost = "lost";
/// From the first failure: until the others are asked to end, and until they are ended.
constexpr auto kPatience = std::chrono::seconds(5);
constexpr auto kLastPatience = std::chrono::seconds(8);

class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (fs::temp_directory_path() / "refnorm-processes-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) fail("{}: cannot be made ({})", name, std::strerror(errno));
    path_ = name;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  fs::path words_of(std::size_t rank) const { return path_ / fmt::format("{}.words", rank); }
  fs::path log_of(std::size_t rank) const { return path_ / fmt::format("{}.log", rank); }

 private:
  fs::path path_;
};

std::vector<std::string> variables_of(std::size_t rank, std::int64_t processes, int port,
                                      std::int64_t threads, const ScratchFolder& scratch) {
  const std::string size = std::to_string(processes);
  return {"RANK=" + std::to_string(rank), "WORLD_SIZE=" + size, "LOCAL_RANK=" + std::to_string(rank),
          "LOCAL_WORLD_SIZE=" + size, "MASTER_ADDR=127.0.0.1", "MASTER_PORT=" + std::to_string(port),
          "TORCHELASTIC_USE_AGENT_STORE=True", "TORCHELASTIC_RESTART_COUNT=0",
          // Pools sized at load time: a library would otherwise make one thread a core in every process.
          "OMP_NUM_THREADS=" + std::to_string(threads), "OPENBLAS_NUM_THREADS=" + std::to_string(threads),
          "REFNORM_PARENT=" + std::to_string(::getpid()),
          fmt::format("{}={}", kWordsTo, scratch.words_of(rank).string())};
}

struct Failure {
  int code = 1;
  bool lost = false;  ///< only for another's sake
  std::string message;
};

std::optional<Failure> failure_of(std::size_t rank, std::size_t processes, const ExitStatus& ended,
                                  const ScratchFolder& scratch, const fs::path& run) {
  const fs::path words = scratch.words_of(rank);
  if (ended.signal == 0 && !fs::exists(words)) {
    if (ended.ok() || rank == 0) return std::nullopt;  // process 0 says by its status that the run diverged
    return Failure{ended.code, false, fmt::format("process {} of {} left no word", rank, processes)};
  }
  if (ended.signal == 0) {
    const std::string text = read_file(words);
    const std::size_t end = text.find('\n');
    return Failure{ended.code, text.substr(0, end) == kLost, text.substr(end + 1)};
  }
  std::string message = fmt::format("process {} of {} was ended by signal {} ({})", rank, processes,
                                    ended.signal, strsignal(ended.signal));
  if (train::has_checkpoint(run / "last"))
    message += fmt::format("; {}/last is saved, the same command with --resume goes on", run.string());
  return Failure{1, false, message};
}

/// The children, until all have ended.
class Children {
 public:
  Children(const ScratchFolder& scratch, fs::path run) : scratch_(scratch), run_(std::move(run)) {}

  void start(const std::vector<std::string>& command, const std::vector<std::string>& variables) {
    const bool leads = processes_.empty();
    processes_.emplace_back(command, leads ? fs::path() : scratch_.log_of(processes_.size()), variables,
                            Subprocess::Group::kOwn,
                            leads ? Subprocess::Errors::kParents : Subprocess::Errors::kToLog);
    ended_.push_back(false);
  }

  /// The failure that counts, if there was one.
  std::optional<Failure> wait() {
    bool passed_on = false;
    bool asked = false;
    while (std::find(ended_.begin(), ended_.end(), false) != ended_.end()) {
      if (interrupted() && !std::exchange(passed_on, true)) send(SIGTERM);
      collect();
      const auto waited = first_failure_ ? Clock::now() - *first_failure_ : Clock::duration::zero();
      if (waited > kPatience && !std::exchange(asked, true)) send(SIGTERM);
      if (waited > kLastPatience) send(SIGKILL);
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return failure_;
  }

 private:
  void send(int signal) {
    for (Subprocess& process : processes_) process.send(signal);
  }
  void collect() {
    for (std::size_t rank = 0; rank < processes_.size(); ++rank) {
      if (ended_[rank]) continue;
      const auto status = processes_[rank].poll();
      if (!status) continue;
      ended_[rank] = true;
      const bool late = first_failure_ && Clock::now() - *first_failure_ > kPatience;
      const auto failure = failure_of(rank, processes_.size(), *status, scratch_, run_);
      if (!failure) continue;
      if (!first_failure_) first_failure_ = Clock::now();
      // Those that were told to end say nothing new.
      if (!failure_ || (failure_->lost && !failure->lost && !late)) failure_ = failure;
    }
  }

  const ScratchFolder& scratch_;
  fs::path run_;
  std::deque<Subprocess> processes_;
  std::vector<bool> ended_;
  std::optional<Failure> failure_;
  std::optional<Clock::time_point> first_failure_;
};

}  // namespace

bool write_last_words(const std::string& message, bool lost) {
  const char* file = std::getenv(kWordsTo);
  if (file == nullptr) return false;
  try {
    write_file(file, (lost ? std::string(kLost) : std::string("own")) + "\n" + message);
  } catch (const Error&) {
    return false;
  }
  return true;
}

void launch(std::int64_t processes, const std::vector<std::string>& words, const fs::path& run,
            std::int64_t threads) {
  const ScratchFolder scratch;
  const auto place = train::MeetingPlace::open();
  const std::int64_t each = threads > 0 ? threads : std::max<std::int64_t>(1, core_count() / processes);
  std::vector<std::string> command{this_program().string()};
  command.insert(command.end(), words.begin(), words.end());
  Children children(scratch, run);
  for (std::int64_t rank = 0; rank < processes; ++rank) {
    children.start(command,
                   variables_of(static_cast<std::size_t>(rank), processes, place->port(), each, scratch));
  }
  if (const auto failure = children.wait()) {
    if (failure->code == 2) throw UserError(failure->message);
    throw Error(failure->message);
  }
}

}  // namespace refnorm::experiment
