#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include <gtest/gtest.h>

#include <refnorm/kernels/simd_sweeps.h>

namespace refnorm::kernels {
namespace {

TEST(InstructionSets, ArePlainLoopsAtWorst) {
  ASSERT_FALSE(instruction_sets().empty());
  EXPECT_EQ(instruction_sets().back(), "plain");
  EXPECT_EQ(&sweeps<float>("plain"), &plain_sweeps<float>());
}

TEST(InstructionSets, CanBeChosenByName) {
  const std::string before = instruction_set();
  for (const std::string& name : instruction_sets()) {
    use_instruction_set(name);
    EXPECT_EQ(instruction_set(), name);
    EXPECT_EQ(&sweeps<float>(), &sweeps<float>(name));
    EXPECT_EQ(&sweeps<double>(), &sweeps<double>(name));
    EXPECT_EQ(&sweeps<Bfloat16>(), &sweeps<Bfloat16>(name));
  }
  use_instruction_set(before);
}

TEST(InstructionSets, AnUnknownNameIsAnErrorThatTellsTheKnownOnes) {
  for (const char* unknown : {"", "avx9000", "PLAIN"}) {
    try {
      use_instruction_set(unknown);
      FAIL() << "took '" << unknown << "'";
    } catch (const std::invalid_argument& error) {
      EXPECT_NE(std::string(error.what()).find("plain"), std::string::npos) << error.what();
    }
  }
  EXPECT_THROW(sweeps<double>("avx9000"), std::invalid_argument);
}

/// What a fresh process does under REFNORM_ISA.
void start_with(const char* forced) {
  setenv("REFNORM_ISA", forced, 1);
  try {
    std::fprintf(stderr, "uses %s\n", instruction_set().c_str());
  } catch (const std::invalid_argument& error) {
    std::fprintf(stderr, "%s\n", error.what());
  }
  std::exit(0);
}

TEST(InstructionSetsDeathTest, TheEnvironmentForcesOne) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(start_with("plain"), testing::ExitedWithCode(0), "uses plain");
  EXPECT_EXIT(start_with(""), testing::ExitedWithCode(0), "uses " + instruction_sets().front());
  EXPECT_EXIT(start_with("mmx"), testing::ExitedWithCode(0), "REFNORM_ISA: unknown .*mmx.*plain");
}

}  // namespace
}  // namespace refnorm::kernels
