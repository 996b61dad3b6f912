#include <algorithm>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/cli/small_run.h"

namespace refnorm {
namespace {

using namespace testing;

const Words kCommands{"fetch", "train", "compare", "eval", "predict", "report", "list", "bench"};

TEST(Usage, HelpOfEveryCommand) {
  const Ended all = run_program({"--help"});
  EXPECT_EQ(all.code, 0);
  EXPECT_EQ(all.err, "");
  for (const std::string& command : kCommands) {
    EXPECT_TRUE(contains(all.out, fmt::format("\n  {} ", command))) << all.out;
    const Ended one = run_program({command, "--help"});
    EXPECT_EQ(one.code, 0);
    EXPECT_EQ(one.err, "");
    // Its own help, not the program's.
    for (const char* word : {"Usage: refnorm ", "--json", "--version"}) EXPECT_TRUE(contains(one.out, word));
    EXPECT_TRUE(contains(one.out, fmt::format("Usage: refnorm {}", command))) << one.out;
  }
}

TEST(Usage, Version) {
  const Ended ended = run_program({"--version"});
  EXPECT_EQ(ended.code, 0);
  EXPECT_EQ(ended.out, "refnorm " REFNORM_VERSION "\n");
  EXPECT_EQ(run_program({"train", "--version"}).out, ended.out);
}

TEST(Usage, WrongWordsAreOneLineAndStatus2) {
  EXPECT_TRUE(contains(error_of(Words{}), "subcommand is required"));
  EXPECT_TRUE(contains(error_of(Words{"trian"}), "'trian' is not a command, did you mean 'train'?"));
  EXPECT_TRUE(contains(error_of(Words{""}), "'' is not a command; known are: fetch, train"));
  EXPECT_TRUE(contains(error_of(Words{"train", "a.toml"}), "--out is required"));
  EXPECT_TRUE(contains(error_of(Words{"train", "a.toml", "--out", ""}), "--out"));
  EXPECT_TRUE(contains(error_of(Words{"train", "a.toml", "--out", "b", "--epocs=3"}), "--epocs"));
  EXPECT_TRUE(contains(error_of(Words{"train", "a.toml", "--out", "b", "--threads", "many"}), "--threads"));
  const std::string negative = error_of(Words{"train", "a.toml", "--out", "b", "--seed", "-3"});
  EXPECT_TRUE(contains(negative, "--seed")) << negative;
  EXPECT_LT(negative.size(), 120U) << negative;
  EXPECT_TRUE(contains(error_of(Words{"eval", "a", "--statistics", "mean"}), "--statistics"));
  EXPECT_TRUE(contains(error_of(Words{"list", "everything"}), "everything"));
}

TEST(Usage, WordsMayHoldAnything) {
  // A line break in what is complained about must not make two lines of the error.
  error_of(Words{"tra\nin"});
  EXPECT_TRUE(error_of(Words{"train", "no\nsuch\nfile", "--out", "b"}).starts_with("no\\x0asuch\\x0afile: "));
  error_of(Words{"eval", "no\nsuch\nfolder"});
  error_of(Words{"report", "no\nsuch\nfolder"});
}

TEST(Usage, AStandardOutputThatIsFull) {
  EXPECT_EQ(Subprocess(Words{"sh", "-c", "\"$0\" list norms >/dev/full 2>/dev/null", program()}).wait().code,
            1);
}

TEST(Fetch, AnUnknownDataSet) {
  EXPECT_TRUE(contains(error_of(Words{"fetch", "mnits"}), "mnits: no such data set, did you mean 'mnist'?"));
}

TEST(List, NormsWithTheirOptions) {
  const Json norms = json_of(Words{"list", "norms", "--json"});
  std::vector<std::string> names;
  for (const Json& norm : norms) {
    names.push_back(norm.at("name"));
    for (const char* key : {"title", "formula", "source"}) EXPECT_NE(norm.at(key), "") << norm;
    for (const Json& option : norm.at("options")) EXPECT_NE(option.at("what"), "") << norm;
  }
  const std::string text = run_program({"list", "norms"}).out;
  for (const char* name : {"none", "bn", "rbn"}) {
    EXPECT_EQ(std::count(names.begin(), names.end(), name), 1) << name;
    EXPECT_TRUE(contains(text, fmt::format("{}  ", name))) << text;
  }
}

TEST(List, TheOthers) {
  const std::pair<const char*, const char*> expected[] = {
      {"models", "lenet5"}, {"datasets", "fashion-mnist"}, {"domains", "blurred"},
      {"samplers", "iid"},  {"samplers", "domain"},        {"samplers", "group"}};
  for (const auto& [what, name] : expected) {
    bool found = false;
    for (const Json& entry : json_of(Words{"list", what, "--json"})) {
      EXPECT_NE(entry.at("what"), "") << entry;
      found = found || entry.at("name") == name;
    }
    EXPECT_TRUE(found) << name;
  }
  EXPECT_TRUE(contains(run_program({"list", "samplers"}).out, "iid  "));
}

}  // namespace
}  // namespace refnorm
