#include "tests/cli/program.h"

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <thread>

#include <gtest/gtest.h>

#include <refnorm/base/file.h>
#include <refnorm/base/text.h>

namespace refnorm::testing {
namespace {

namespace fs = std::filesystem;

constexpr auto kLongest = std::chrono::minutes(2);
constexpr std::string_view kMark = "refnorm: error: ";

}  // namespace

std::string program() {
  const char* chosen = std::getenv("REFNORM_PROGRAM");
  return chosen != nullptr ? chosen : REFNORM_PROGRAM;
}

Running::Running(const Words& words) {
  // The shell only parts the two streams; `exec` keeps the process, so that signals reach the program.
  const Words shell{"sh", "-c", "exec \"$0\" \"$@\" >\"$REFNORM_TEST_OUT\" 2>\"$REFNORM_TEST_ERR\"",
                    program()};
  process_.emplace(
      shell + words, fs::path(),
      Words{"REFNORM_TEST_OUT=" + (said_ / "out").string(), "REFNORM_TEST_ERR=" + (said_ / "err").string()});
}

Ended Running::wait() {
  const auto limit = std::chrono::steady_clock::now() + kLongest;
  while (!ended()) {
    if (std::chrono::steady_clock::now() > limit) {
      ADD_FAILURE() << "the program hangs";
      send(SIGKILL);
      break;
    }
    pause_milliseconds(2);
  }
  const ExitStatus status = process_->wait();
  return {status.code, status.signal, read_file(said_ / "out"), read_file(said_ / "err")};
}

Ended run_program(const Words& words) {
  return Running(words).wait();
}

std::string error_of(const Ended& ended, int status) {
  EXPECT_EQ(ended.code, status) << ended.err;
  EXPECT_EQ(ended.out, "");
  const bool one_line = ended.err.starts_with(kMark) && ended.err.find('\n') == ended.err.size() - 1;
  EXPECT_TRUE(one_line) << "expected one line of error, got: " << ended.err;
  return one_line ? ended.err.substr(kMark.size(), ended.err.size() - kMark.size() - 1) : "";
}

std::string error_of(const Words& words, int status) {
  const ::testing::ScopedTrace trace(__FILE__, __LINE__, join(words, " "));
  return error_of(run_program(words), status);
}

Json json_of(const Ended& ended, int status) {
  EXPECT_EQ(ended.code, status) << ended.err;
  return parse_json(ended.out, "standard output");
}

Json json_of(const Words& words, int status) {
  const ::testing::ScopedTrace trace(__FILE__, __LINE__, join(words, " "));
  return json_of(run_program(words), status);
}

Words operator+(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

void pause_milliseconds(int milliseconds) {
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
}

std::vector<pid_t> processes_naming(const std::string& text) {
  std::vector<pid_t> found;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    // Files of /proc have no size to go by, and may be gone by now; a process that has ended and waits for
    // its parent has an empty one.
    std::string line;
    if (FILE* file = std::fopen((entry.path() / "cmdline").c_str(), "r")) {
      char buffer[4096];
      line.assign(buffer, std::fread(buffer, 1, sizeof buffer, file));
      std::fclose(file);
    }
    if (contains(line, text)) found.push_back(std::stoi(name));
  }
  return found;
}

std::map<std::string, std::string> files_in(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) {
      files[fs::relative(entry.path(), folder).string()] = read_file(entry.path());
    }
  }
  return files;
}

Json without_times(Json json) {
  if (json.is_object()) {
    for (const char* key : {"time", "seconds", "total_seconds", "seconds_to_target", "images_per_second",
                            "step_shares", "crc32", "metrics_bytes"}) {
      json.erase(key);
    }
  }
  if (json.is_structured()) {
    for (auto& inner : json) inner = without_times(inner);
  }
  return json;
}

std::map<std::string, std::string> timeless_files_in(const fs::path& folder) {
  std::map<std::string, std::string> files = files_in(folder);
  for (auto& [name, content] : files) {
    if (name.ends_with(".json")) content = without_times(parse_json(content, name)).dump(1);
    if (!name.ends_with(".jsonl")) continue;
    std::string lines;
    for (const std::string& line : split(content, '\n')) {
      if (!line.empty()) lines += without_times(parse_json(line, name)).dump() + "\n";
    }
    content = lines;
  }
  return files;
}

void expect_same_files(const std::map<std::string, std::string>& a,
                       const std::map<std::string, std::string>& b) {
  for (const auto& [name, content] : a) {
    const auto other = b.find(name);
    if (other == b.end()) {
      ADD_FAILURE() << name << " is only in the first";
    } else {
      EXPECT_TRUE(content == other->second)
          << name << " differs"
          << (name.ends_with("l") || name.ends_with("n") ? ":\n" + content + "\n" + other->second : "");
    }
  }
  for (const auto& [name, content] : b) EXPECT_TRUE(a.contains(name)) << name << " is only in the second";
}

}  // namespace refnorm::testing
