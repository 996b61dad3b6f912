#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <utility>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <refnorm/base/file.h>
#include <refnorm/base/interrupt.h>
#include <refnorm/base/progress.h>
#include <refnorm/base/subprocess.h>

#include "tests/base/helpers.h"

namespace refnorm {
namespace {

using testing::contains;
using testing::message_of;
using testing::TemporaryFolder;

Subprocess shell(const std::string& script, const std::filesystem::path& log = {},
                 const std::vector<std::string>& environment = {}) {
  return {{"sh", "-c", script}, log, environment};
}

TEST(Subprocess, ExitCodes) {
  EXPECT_TRUE(shell("exit 0").wait().ok());
  const ExitStatus status = shell("exit 7").wait();
  EXPECT_EQ(status.code, 7);
  EXPECT_EQ(status.signal, 0);
  EXPECT_FALSE(status.ok());
}

TEST(Subprocess, Signals) {
  const ExitStatus status = shell("kill -KILL $$").wait();
  EXPECT_EQ(status.signal, SIGKILL);
  EXPECT_EQ(status.code, 128 + SIGKILL);
  Subprocess sleeper({"sleep", "100"});
  EXPECT_FALSE(sleeper.poll());
  sleeper.send(SIGTERM);
  EXPECT_EQ(sleeper.wait().signal, SIGTERM);
  EXPECT_EQ(sleeper.wait().signal, SIGTERM);  // remembered
  sleeper.send(SIGTERM);                      // to nobody
}

TEST(Subprocess, MissingProgramAndUnwritableLog) {
  EXPECT_TRUE(contains(message_of<Error>([] { Subprocess({"refnorm-no-such-program"}); }),
                       "refnorm-no-such-program: cannot be started (No such file"));
  EXPECT_TRUE(contains(message_of<Error>([] { Subprocess({"true"}, "/no/such/folder/log"); }),
                       "/no/such/folder/log: cannot be written"));
  message_of<Error>([] { Subprocess(std::vector<std::string>{}); });
}

TEST(Subprocess, LogTakesBothStreamsAndIsAppended) {
  const TemporaryFolder folder;
  shell("echo out; echo err >&2", folder / "log").wait();
  shell("echo again", folder / "log").wait();
  EXPECT_EQ(read_file(folder / "log"), "out\nerr\nagain\n");
}

TEST(Subprocess, StandardInputIsEmpty) {
  EXPECT_TRUE(shell("test -z \"$(cat)\"").wait().ok());
}

TEST(Subprocess, WordsReachTheProgramAsTheyAre) {
  const TemporaryFolder folder;
  Subprocess({"printf", "%s|", "a b", "$HOME", "", "*"}, folder / "log").wait();
  EXPECT_EQ(read_file(folder / "log"), "a b|$HOME||*|");
}

TEST(Subprocess, EnvironmentIsAddedAndReplaced) {
  const TemporaryFolder folder;
  ASSERT_EQ(setenv("REFNORM_TEST_KEPT", "kept", 1), 0);
  ASSERT_EQ(setenv("REFNORM_TEST", "old", 1), 0);
  ASSERT_EQ(setenv("REFNORM_TEST_LONGER", "other", 1), 0);
  shell("echo $REFNORM_TEST_KEPT $REFNORM_TEST $REFNORM_TEST_LONGER; env | grep -c ^REFNORM_TEST=",
        folder / "log", {"REFNORM_TEST=new=value"})
      .wait();
  EXPECT_EQ(read_file(folder / "log"), "kept new=value other\n1\n");
}

TEST(Subprocess, TheEndOfTheHandleEndsTheChild) {
  pid_t pid = 0;
  {
    const Subprocess sleeper({"sleep", "100"});
    pid = sleeper.pid();
    EXPECT_EQ(kill(pid, 0), 0);
  }
  EXPECT_EQ(kill(pid, 0), -1);
  EXPECT_EQ(errno, ESRCH);
}

TEST(Subprocess, AMovedHandleIsNobody) {
  Subprocess first({"sleep", "100"});
  Subprocess second(std::move(first));
  // send() asks poll() first; a signal to process −1 would reach every process, so it is not tried here.
  message_of<Error>([&] { first.poll(); });  // NOLINT(bugprone-use-after-move)
  message_of<Error>([&] { first.wait(); });
  EXPECT_FALSE(second.poll());
}

TEST(OnPath, FindsProgramsOnly) {
  EXPECT_TRUE(on_path("sh"));
  EXPECT_FALSE(on_path("refnorm-no-such-program"));
  EXPECT_FALSE(on_path(""));  // each folder of PATH can be "executed", and is no program
  EXPECT_TRUE(std::filesystem::is_regular_file(this_program()));
}

/// The status of a child process that runs `work`; it may end by a signal.
template <class Work>
int status_of_child(Work work) {
  const pid_t child = fork();
  if (child == 0) {
    work();
    _exit(99);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

TEST(Interrupt, TheFirstSignalSetsTheFlagAndTheSecondEnds) {
  for (const auto& [first, second] :
       {std::pair{SIGINT, SIGINT}, {SIGTERM, SIGTERM}, {SIGINT, SIGTERM}, {SIGTERM, SIGINT}}) {
    const int status = status_of_child([first = first, second = second] {
      catch_interrupts();
      if (interrupted()) _exit(1);
      raise(first);
      if (!interrupted()) _exit(2);
      raise(second);
    });
    ASSERT_TRUE(WIFSIGNALED(status)) << WEXITSTATUS(status);
    EXPECT_EQ(WTERMSIG(status), second);
  }
}

TEST(Progress, PlainLinesWhereThereIsNoTerminal) {
  const double interval = std::exchange(Progress::plain_interval, 0);
  ::testing::internal::CaptureStderr();
  {
    Progress progress("training", 10, "steps", 2);
    progress.update(5, "loss 0.5");
    progress.say("a line");
    progress.update(12);
  }
  const std::string shown = ::testing::internal::GetCapturedStderr();
  Progress::plain_interval = interval;
  EXPECT_TRUE(contains(shown, "training 5/10 steps, ")) << shown;
  EXPECT_TRUE(contains(shown, ", loss 0.5\na line\n")) << shown;
  EXPECT_TRUE(contains(shown, "training 12/10 steps, ")) << shown;
  EXPECT_TRUE(contains(shown, "0.0 s left")) << shown;  // never a negative time
  EXPECT_FALSE(contains(shown, "\x1b")) << shown;
}

TEST(Progress, ShortWorkShowsNothing) {
  ::testing::internal::CaptureStderr();
  {
    Progress progress("short", 0, "steps");
    progress.update(0);
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace refnorm
