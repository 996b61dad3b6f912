#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace refnorm {

/// How a child process ended.
struct ExitStatus {
  int code = 0;    ///< exit status; 128 + signal where a signal ended it
  int signal = 0;  ///< the signal that ended it, or 0
  bool ok() const { return code == 0; }
};

/// A running child process. The program is looked up on PATH; no shell is involved.
class Subprocess {
 public:
  /// Standard output and error go to `log` (appended), or nowhere where it is empty; standard input is empty.
  /// `environment` adds NAME=value to the parent's. A child in a group of its own does not get the terminal's
  /// Ctrl-C. Throws Error where the program cannot be started.
  enum class Group { kParents, kOwn };
  /// Where its standard error goes: with its output, or where the parent's does.
  enum class Errors { kToLog, kParents };
  Subprocess(const std::vector<std::string>& command, const std::filesystem::path& log = {},
             const std::vector<std::string>& environment = {}, Group group = Group::kParents,
             Errors errors = Errors::kToLog);
  /// Ends a child that still runs (SIGKILL) and waits for it.
  ~Subprocess();
  Subprocess(Subprocess&& other) noexcept;
  Subprocess& operator=(Subprocess&&) = delete;

  /// How it ended, or nothing while it runs.
  std::optional<ExitStatus> poll();
  ExitStatus wait();
  void send(int signal);
  pid_t pid() const { return pid_; }

 private:
  std::optional<ExitStatus> collect(int options);

  pid_t pid_ = -1;
  std::optional<ExitStatus> ended_;
};

/// Whether a program of that name is on PATH.
bool on_path(const std::string& program);

/// The path of the running program.
std::filesystem::path this_program();

}  // namespace refnorm
