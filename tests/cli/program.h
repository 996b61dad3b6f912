#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include <refnorm/base/json.h>
#include <refnorm/base/subprocess.h>

#include "tests/base/helpers.h"

namespace refnorm::testing {

using Words = std::vector<std::string>;

/// The program under test: $REFNORM_PROGRAM, else the one built beside the tests.
std::string program();

/// How a run of the program ended, and what it said.
struct Ended {
  int code = 0;
  int signal = 0;
  std::string out, err;
};

/// The program at work. Its words go to files in a folder of its own.
class Running {
 public:
  explicit Running(const Words& words);
  void send(int signal) { process_->send(signal); }
  bool ended() { return process_->poll().has_value(); }
  pid_t pid() const { return process_->pid(); }
  /// A program that hangs is ended, and fails the test.
  Ended wait();

 private:
  TemporaryFolder said_;
  std::optional<Subprocess> process_;
};

/// Runs `refnorm WORDS…` to its end.
Ended run_program(const Words& words);

/// The message of the one line `refnorm: error: MESSAGE`. That status, an empty standard output and nothing
/// else on standard error are expected.
std::string error_of(const Ended& ended, int status = 2);
std::string error_of(const Words& words, int status = 2);

/// The document on standard output, which must hold nothing else.
Json json_of(const Ended& ended, int status = 0);
Json json_of(const Words& words, int status = 0);

Words operator+(Words words, const Words& more);

void pause_milliseconds(int milliseconds);

/// Polls every few milliseconds; a failure of the test after a minute without `condition`.
template <class Condition>
bool wait_until(Condition condition) {
  for (int i = 0; i < 12000; ++i) {
    if (condition()) return true;
    pause_milliseconds(5);
  }
  ADD_FAILURE() << "waited for a minute in vain";
  return false;
}

/// Processes that have `text` in their command line.
std::vector<pid_t> processes_naming(const std::string& text);

/// Every file below a folder by its path within it.
std::map<std::string, std::string> files_in(const std::filesystem::path& folder);

/// The same without what depends on the clock: times in .json and .jsonl files, and what follows from them
/// (a meta.json's own checksum, the length of metrics.jsonl that it notes).
std::map<std::string, std::string> timeless_files_in(const std::filesystem::path& folder);
Json without_times(Json json);

/// Says which files differ rather than how: they are binary.
void expect_same_files(const std::map<std::string, std::string>& a,
                       const std::map<std::string, std::string>& b);

}  // namespace refnorm::testing
