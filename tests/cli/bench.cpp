#include <cstdlib>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <refnorm/base/file.h>

#include "tests/cli/program.h"

namespace refnorm {
namespace {

using namespace testing;

class Bench : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string shapes(const std::string& text) const {
    write_file(folder_ / "shapes.txt", text);
    return path("shapes.txt");
  }
  /// bench norm on small shapes, as short as it gets.
  Words norm(const Words& more) const {
    const std::string file =
        shapes("# small ones\n4 32 6 5 3 add_relu\n\n4 32 6 5  # COUNT 1, relu\n8 64 1 1 2\n");
    return Words{"bench", "norm", "--shapes", file, "--rounds", "1", "--min-time", "0", "--threads", "2"} +
           more;
  }
  Json tables(const Words& more) const { return json_of(norm(more + Words{"--json"})).at("tables"); }

  TemporaryFolder folder_;
};

TEST_F(Bench, EveryCaseIsVerifiedAndTimed) {
  const Json result = json_of(norm({"--json"}));
  for (const char* key :
       {"cpu", "cores", "threads", "instruction_set", "load_average", "libtorch", "onednn"}) {
    EXPECT_TRUE(result.at("machine").contains(key)) << key;
  }
  ASSERT_EQ(result.at("tables").size(), 1U);
  const Json& table = result.at("tables").at(0);
  ASSERT_EQ(table.at("cases").size(), 2U);  // two lines are of one shape
  EXPECT_EQ(table.at("cases").at(0).at("shape"), (Json{4, 32, 6, 5}));
  EXPECT_EQ(table.at("cases").at(0).at("count"), 4);
  for (const Json& one : table.at("cases")) {
    EXPECT_EQ(one.at("verified"), true);
    for (const char* pass : {"forward", "backward", "both"}) {
      for (const char* who : {"ours", "libtorch", "floor"}) {
        const Json& times = one.at(pass).at(who);
        EXPECT_GT(times.at("median_ms"), 0);
        EXPECT_LE(times.at("min_ms"), times.at("median_ms"));
        EXPECT_GE(times.at("max_ms"), times.at("median_ms"));
        EXPECT_GT(times.at("gb_per_s"), 0);
      }
      EXPECT_GT(one.at(pass).at("libtorch_per_ours"), 0);
      EXPECT_GT(one.at(pass).at("ours_per_floor"), 0);
      EXPECT_TRUE(one.at(pass).contains("onednn"));
    }
  }
  EXPECT_GT(table.at("geometric_means").at("both").at("libtorch_per_ours"), 0);
  EXPECT_GT(table.at("network_total_ms").at("both").at("ours"), 0);
}

TEST_F(Bench, CachedIsTimedByChunksAndInTwoSweeps) {
  const auto of_first_case = [&](const Words& more) {
    const Json result = tables(more);
    return result.at(0).at("cases").at(0).at("both");
  };
  for (const Words& more : {Words{"--dtype", "fp32"}, Words{"--dtype", "bf16"}, Words{"--then", "add_relu"},
                            Words{"--norm", "gn:4"}, Words{"--norm", "ln"}, Words{"--norm", "in"}}) {
    const Json both = of_first_case(more);
    EXPECT_GT(both.at("cached").at("median_ms"), 0) << more.back();
    // Sums of the same times in another order may differ in their last bits.
    const double bound = both.at("ours_per_bound").get<double>() * (1 - 1e-12);
    EXPECT_GE(both.at("ours_per_cached").get<double>(), bound) << more.back();
    EXPECT_GE(both.at("ours_per_floor").get<double>(), bound) << more.back();
  }
  const std::string wide = shapes("64 64 24 24\n");
  const Json result = json_of({"bench", "norm", "--shapes", wide, "--rounds", "1", "--min-time", "0",
                               "--threads", "2", "--format", "channels_last", "--json"});
  const Json in_two_sweeps = result.at("tables").at(0).at("cases").at(0).at("both");
  EXPECT_GT(in_two_sweeps.at("cached").at("median_ms"), 0);
  EXPECT_GE(in_two_sweeps.at("ours_per_two_sweeps").get<double>(),
            in_two_sweeps.at("ours_per_bound").get<double>())
      << "all of a large channels_last tensor is read before its second sweep";
  EXPECT_EQ(of_first_case({"--norm", "rbn"}).at("cached"), nullptr) << "LibTorch has no operator";
}

TEST_F(Bench, TrainMeasuresEveryNormOnOneThreadWhereStepsAreSmall) {
  const Json result = json_of(Words{"bench", "train", "--norm", "bn", "--norm", "rbn:live", "--batch-size",
                                    "256", "--reference", "256", "--rounds", "2", "--steps", "1", "--json"});
  EXPECT_EQ(result.at("threads"), 1) << "LeNet-5 on 256 pictures is not worth a second thread";
  ASSERT_EQ(result.at("arms").size(), 2U);
  EXPECT_EQ(result.at("arms").at(0).at("step_of_first"), 1);
  for (const Json& arm : result.at("arms")) {
    EXPECT_GT(arm.at("images_per_second"), 0);
    EXPECT_GT(arm.at("peak_mib"), 0);
  }
  // A live reference of as many pictures rides along: about twice the activations.
  EXPECT_GT(result.at("arms").at(1).at("peak_mib").get<double>(),
            1.5 * result.at("arms").at(0).at("peak_mib").get<double>());
  EXPECT_EQ(error_of(Words{"bench", "train", "--norm", "bm"}), "norm: 'bm' is not known, did you mean 'bn'?");
  EXPECT_EQ(error_of(Words{"bench", "train", "--model", "lenet"}),
            "model: 'lenet' is not known, did you mean 'lenet5'?");
}

TEST_F(Bench, EveryCombinationIsATable) {
  EXPECT_EQ(tables({"--dtype", "all", "--format", "all", "--then", "all", "--then", "as-network"}).size(),
            16U);
  const Json as_network = tables({"--then", "as-network"}).at(0).at("cases");
  ASSERT_EQ(as_network.size(), 3U);
  EXPECT_EQ(as_network.at(0).at("then"), "add_relu");
  EXPECT_EQ(as_network.at(1).at("then"), "relu");
}

TEST_F(Bench, EveryNormThatNormalizes) {
  for (const Json& kind : json_of(Words{"list", "norms", "--json"})) {
    const std::string name = kind.at("name");
    if (name == "none") continue;
    const Json table = tables({"--norm", name, "--dtype", "all", "--format", "all"}).at(0);
    EXPECT_FALSE(table.at("cases").empty()) << name;
  }
  for (const char* spec : {"rbn:fixed", "rbn:live", "gn:8", "bn:plain"}) tables({"--norm", spec});
}

TEST_F(Bench, TheProgramCarriesLists) {
  EXPECT_TRUE(contains(run_program({"bench", "norm", "--help"}).out, "lenet5, resnet50, vgg16"));
  const Words words{"bench", "norm", "--shapes", "lenet5", "--rounds", "1", "--min-time", "0"};
  const Ended ended = run_program(words);
  EXPECT_EQ(ended.code, 0) << ended.err;
  for (const char* word :
       {"128x6x28x28", "128x84x1x1", "geometric means over 4 shapes", "network total, 4 norms"}) {
    EXPECT_TRUE(contains(ended.out, word)) << ended.out;
  }
}

TEST_F(Bench, WrongShapes) {
  const auto error = [&](const std::string& text) {
    return error_of(Words{"bench", "norm", "--shapes", shapes(text)});
  };
  const std::string file = path("shapes.txt");
  EXPECT_EQ(error("# N C H W\n4 32 6\n"),
            file + ":2: 3 words, expected N C H W [COUNT [none|relu|add_relu]]");
  EXPECT_TRUE(contains(error("4 0 6 5\n"), file + ":1: C is '0', expected a whole number of 1 to"));
  EXPECT_TRUE(contains(error("4 3.5 6 5\n"), ":1: C is '3.5'"));
  EXPECT_TRUE(contains(error("4 3 6 5 99999999999999999999\n"), ":1: COUNT is '9"));
  EXPECT_TRUE(
      contains(error("4 3 6 5 1 gelu\n"), ":1: THEN is 'gelu', expected one of: none, relu, add_relu"));
  EXPECT_TRUE(contains(error("65536 65536 2 2\n"), ":1: more values than"));
  EXPECT_TRUE(contains(error("# none\n"), file + ": no shapes"));
  EXPECT_TRUE(contains(error_of(Words{"bench", "norm", "--shapes", "resnet5"}), "did you mean 'resnet50'?"));
  EXPECT_TRUE(contains(error_of(Words{"bench", "norm", "--shapes", path("no.txt")}), "no.txt"));
}

TEST_F(Bench, WrongWords) {
  EXPECT_TRUE(contains(error_of(Words{"bench", "nrom"}),
                       "'nrom' is not a command, did you mean 'norm'? (see refnorm bench --help)"));
  error_of(Words{"bench"});
  EXPECT_TRUE(contains(error_of(norm({"--norm", "bm"})), "'bn'"));
  EXPECT_TRUE(contains(error_of(norm({"--norm", "none"})), "nothing to measure"));
  EXPECT_TRUE(contains(error_of(norm({"--norm", "gn:7"})), "32 channels do not divide into 7 groups"));
  EXPECT_TRUE(contains(error_of(norm({"--dtype", "fp64"})), "--dtype"));
  EXPECT_TRUE(contains(error_of(norm({"--rounds", "0"})), "--rounds"));
}

TEST_F(Bench, TheInstructionSetCanBeForced) {
  const Json result = json_of(norm({"--isa", "plain", "--json"}));
  EXPECT_EQ(result.at("machine").at("instruction_set"), "plain");
  EXPECT_TRUE(contains(error_of(norm({"--isa", "mmx"})), "unknown instruction set 'mmx'; this machine has"));
  // The environment's word holds for every command.
  setenv("REFNORM_ISA", "mmx", 1);
  const std::string error = error_of(Words{"list", "norms"});
  unsetenv("REFNORM_ISA");
  EXPECT_TRUE(error.starts_with("REFNORM_ISA: unknown instruction set 'mmx'")) << error;
}

}  // namespace
}  // namespace refnorm
