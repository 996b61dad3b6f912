#include <chrono>
#include <csignal>
#include <functional>
#include <thread>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <refnorm/base/file.h>
#include <refnorm/base/random.h>

#include "tests/base/helpers.h"

namespace refnorm {
namespace {

namespace fs = std::filesystem;
using testing::contains;
using testing::message_of;
using testing::TemporaryFolder;
using testing::user_error_of;

TEST(WriteFile, WritesReplacesAndLeavesNothingBeside) {
  const TemporaryFolder folder;
  const std::string large(3'000'000, 'x');
  for (const std::string& bytes : {std::string("old"), large, std::string(), std::string("\0\n\xff", 3)}) {
    write_file(folder / "a", bytes);
    EXPECT_EQ(read_file(folder / "a"), bytes);
    EXPECT_EQ(folder.entries(), 1U);
  }
}

TEST(WriteFile, MissingParent) {
  const TemporaryFolder folder;
  const std::string message = message_of<Error>([&] { write_file(folder.path() / "no" / "a", "x"); });
  EXPECT_TRUE(contains(message, "no/a: cannot be written (No such file or directory)")) << message;
  EXPECT_EQ(folder.entries(), 0U);
}

TEST(WriteFile, AFolderInTheWayStays) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "a");
  EXPECT_TRUE(contains(message_of<Error>([&] { write_file(folder / "a", "x"); }), "a: cannot be replaced"));
  EXPECT_EQ(folder.entries(), 1U);
  fs::create_directory(folder / "b.tmp");
  message_of<Error>([&] { write_file(folder / "b", "x"); });
  EXPECT_TRUE(fs::is_directory(folder / "b.tmp"));  // not ours, so not ours to remove
}

TEST(ReadFile, WhatIsNotAFile) {
  const TemporaryFolder folder;
  EXPECT_TRUE(contains(user_error_of([&] { read_file(folder / "no"); }), "no: cannot be read (No such file"));
  EXPECT_TRUE(contains(user_error_of([&] { read_file(folder.path()); }), "is not a regular file"));
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_TRUE(contains(user_error_of([&] { read_file(folder / "pipe"); }), "pipe: is not a regular file"));
}

TEST(MakeFolder, CreatesParentsAndNamesWhatIsInTheWay) {
  const TemporaryFolder folder;
  make_folder(folder.path() / "a" / "b" / "c");
  make_folder(folder.path() / "a" / "b" / "c");
  EXPECT_TRUE(fs::is_directory(folder.path() / "a" / "b" / "c"));
  write_file(folder / "file", "x");
  for (const fs::path& path : {folder / "file", folder.path() / "file" / "below"}) {
    EXPECT_TRUE(contains(user_error_of([&] { make_folder(path); }), "cannot be made a folder"));
  }
}

void write_version(const fs::path& folder, const std::string& version) {
  fs::create_directories(folder / "deep");
  for (const char* name : {"model", "state", "deep/meta"}) write_file(folder / name, version);
}

/// The version that all files of the folder agree on, or an empty string.
std::string version_in(const fs::path& folder) {
  const std::string version = read_file(folder / "model");
  const bool same = version == read_file(folder / "state") && version == read_file(folder / "deep/meta");
  return same && fs::is_regular_file(folder / "state") ? version : "";
}

TEST(ReplaceFolder, FreshAndExisting) {
  const TemporaryFolder folder;
  for (const char* version : {"1", "2", "3"}) {
    write_version(folder / "fresh", version);
    replace_folder(folder / "fresh", folder / "last");
    EXPECT_EQ(version_in(folder / "last"), version);
    EXPECT_EQ(folder.entries(), 1U);
  }
}

TEST(ReplaceFolder, Errors) {
  const TemporaryFolder folder;
  EXPECT_TRUE(
      contains(message_of<Error>([&] { replace_folder(folder / "no", folder / "last"); }), "no: cannot be"));
  write_version(folder / "fresh", "1");
  write_file(folder / "file", "x");
  message_of<Error>([&] { replace_folder(folder / "fresh", folder / "file"); });
  EXPECT_EQ(read_file(folder / "file"), "x");
  message_of<Error>([&] { replace_folder(folder / "fresh", folder.path() / "missing" / "last"); });
  EXPECT_EQ(version_in(folder / "fresh"), "1");
}

/// Runs `work` in a child process over and over, with growing versions. Once `seen` has changed, so that the
/// child got somewhere however slow the disk is, kills it after `milliseconds` more.
void kill_while(const std::function<void(int version)>& work, int first,
                const std::function<std::string()>& seen, std::uint64_t milliseconds) {
  const std::string before = seen();
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    try {
      for (int version = first;; ++version) work(version);
    } catch (...) {
      _exit(1);
    }
  }
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (seen() == before && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
  kill(child, SIGKILL);
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status)) << "the child failed by itself";
  ASSERT_NE(seen(), before) << "the child did nothing in 20 s";
}

TEST(ReplaceFolder, AKillLeavesACompleteFolder) {
  const TemporaryFolder folder;
  write_version(folder / "last", "first");
  RandomStream random(1, "kills");
  for (int round = 0; round < 30; ++round) {
    kill_while(
        [&](int version) {
          fs::remove_all(folder / "fresh");
          write_version(folder / "fresh", std::to_string(version));
          replace_folder(folder / "fresh", folder / "last");
        },
        round * 100'000, [&] { return read_file(folder / "last/model"); }, random.below(60));
    ASSERT_NE(version_in(folder / "last"), "") << round;
  }
}

TEST(WriteFile, AKillLeavesTheOldOrTheNewContent) {
  const TemporaryFolder folder;
  write_file(folder / "a", std::string(500'000, 'z'));
  RandomStream random(2, "kills");
  for (int round = 0; round < 30; ++round) {
    // 25 letters that take turns, and never the one that a round before ended with.
    const auto letter = [round](int version) {
      return static_cast<char>((round % 2 == 0 ? 'a' : 'A') + version % 25);
    };
    kill_while([&](int version) { write_file(folder / "a", std::string(500'000, letter(version))); }, 0,
               [&] { return read_file(folder / "a").substr(0, 1); }, random.below(30));
    const std::string bytes = read_file(folder / "a");
    ASSERT_EQ(bytes, std::string(500'000, bytes.at(0)));
  }
}

}  // namespace
}  // namespace refnorm
