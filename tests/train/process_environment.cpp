#include <map>

#include <gtest/gtest.h>

#include <refnorm/train/processes/environment.h>

#include "tests/base/helpers.h"

namespace refnorm::train {
namespace {

using refnorm::testing::contains;
using refnorm::testing::user_error_of;

using Map = std::map<std::string, std::string>;

Place place_in(const Map& variables, bool slurm = true) {
  return place_from(
      [&](const std::string& name) {
        const auto found = variables.find(name);
        return found == variables.end() ? std::nullopt : std::optional<std::string>(found->second);
      },
      slurm);
}

std::string error_in(const Map& variables) {
  return user_error_of([&] { place_in(variables); });
}

Map with(Map variables, const Map& more) {
  for (const auto& [name, value] : more) variables[name] = value;
  return variables;
}
Map without(Map variables, const std::string& name) {
  variables.erase(name);
  return variables;
}

const Map kTorchrun{{"RANK", "5"},
                    {"WORLD_SIZE", "8"},
                    {"LOCAL_RANK", "1"},
                    {"LOCAL_WORLD_SIZE", "4"},
                    {"MASTER_ADDR", "node01"},
                    {"MASTER_PORT", "29400"}};
const Map kOpenMpi{{"OMPI_COMM_WORLD_RANK", "2"},
                   {"OMPI_COMM_WORLD_SIZE", "4"},
                   {"OMPI_COMM_WORLD_LOCAL_RANK", "2"},
                   {"OMPI_COMM_WORLD_LOCAL_SIZE", "4"}};
const Map kSlurm{{"SLURM_PROCID", "6"}, {"SLURM_NTASKS", "8"},     {"SLURM_LOCALID", "2"},
                 {"SLURM_NNODES", "2"}, {"SLURM_JOB_ID", "14007"}, {"SLURM_NODELIST", "node[03-04]"}};

TEST(Place, IsASingleProcessWithoutALauncher) {
  const Place place = place_in({{"HOME", "/root"}, {"MASTER_ADDR", "node01"}});
  EXPECT_EQ(place.rank, 0);
  EXPECT_EQ(place.size, 1);
  EXPECT_EQ(place.launcher, "none");
}

TEST(Place, IsReadFromTorchrun) {
  const Place place = place_in(kTorchrun);
  EXPECT_EQ(place.rank, 5);
  EXPECT_EQ(place.size, 8);
  EXPECT_EQ(place.local_rank, 1);
  EXPECT_EQ(place.local_size, 4);
  EXPECT_EQ(place.address, "node01");
  EXPECT_EQ(place.port, 29400);
  EXPECT_FALSE(place.served);
  const Place served = place_in(
      with(kTorchrun, {{"TORCHELASTIC_USE_AGENT_STORE", "True"}, {"TORCHELASTIC_RESTART_COUNT", "3"}}));
  EXPECT_TRUE(served.served);
  EXPECT_EQ(served.attempt, "3");
  EXPECT_EQ(place_in({{"RANK", "0"}, {"WORLD_SIZE", "1"}}).size, 1) << "nobody to meet";
}

TEST(Place, IsReadFromOpenMpi) {
  const Place place = place_in(kOpenMpi);
  EXPECT_EQ(place.rank, 2);
  EXPECT_EQ(place.size, 4);
  EXPECT_EQ(place.address, "127.0.0.1");
  EXPECT_EQ(place.port, 29500);
  const Map apart =
      with(kOpenMpi, {{"OMPI_COMM_WORLD_LOCAL_RANK", "0"}, {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}});
  EXPECT_EQ(error_in(apart),
            "MASTER_ADDR: is not set, and mpirun's processes are on several machines; expected the host of "
            "process 0 (mpirun -x MASTER_ADDR=HOST)");
  EXPECT_EQ(place_in(with(apart, {{"MASTER_ADDR", "node07"}, {"MASTER_PORT", "1234"}})).port, 1234);
}

TEST(Place, IsReadFromSlurm) {
  const Place place = place_in(kSlurm);
  EXPECT_EQ(place.rank, 6);
  EXPECT_EQ(place.size, 8);
  EXPECT_EQ(place.local_rank, 2);
  EXPECT_EQ(place.local_size, 4);
  EXPECT_EQ(place.address, "node03");
  EXPECT_EQ(place.port, 15007);
  EXPECT_EQ(place_in(with(kSlurm, {{"SLURM_STEP_NODELIST", "node04"}})).address, "node04");
  EXPECT_EQ(place_in(kSlurm, /*slurm=*/false).size, 1);
  EXPECT_EQ(place_in({{"SLURM_NTASKS", "8"}}).size, 1) << "salloc's shell is none of the processes";
}

TEST(Place, IsThatOfTheInnermostLauncher) {
  EXPECT_EQ(place_in(with(kSlurm, kTorchrun)).launcher, "torchrun");
  EXPECT_EQ(place_in(with(kSlurm, kOpenMpi)).launcher, "mpirun");
}

TEST(Place, RefusesWhatIsMissingOrContradictory) {
  EXPECT_EQ(error_in(without(kTorchrun, "RANK")),
            "RANK: is not set, but WORLD_SIZE is; expected all variables of a launcher, or none");
  EXPECT_EQ(error_in(without(kTorchrun, "WORLD_SIZE")),
            "WORLD_SIZE: is not set, but RANK is; expected all variables of a launcher, or none");
  EXPECT_TRUE(contains(error_in(without(kTorchrun, "MASTER_ADDR")), "MASTER_ADDR: is not set"));
  EXPECT_TRUE(contains(error_in(without(kTorchrun, "MASTER_PORT")), "MASTER_PORT: is not set"));
  EXPECT_EQ(error_in(with(kTorchrun, {{"RANK", "8"}})), "RANK: is 8, but WORLD_SIZE is 8; expected less");
  EXPECT_EQ(error_in(with(kTorchrun, {{"RANK", "two"}})),
            "RANK: is 'two', expected a number from 0 to 1048576");
  EXPECT_EQ(error_in(with(kTorchrun, {{"RANK", "-1"}})),
            "RANK: is '-1', expected a number from 0 to 1048576");
  EXPECT_EQ(error_in(with(kTorchrun, {{"WORLD_SIZE", "0"}})),
            "WORLD_SIZE: is '0', expected a number from 1 to 1048576");
  EXPECT_EQ(error_in(with(kTorchrun, {{"MASTER_PORT", "70000"}})),
            "MASTER_PORT: is '70000', expected a number from 1 to 65535");
  EXPECT_EQ(error_in(with(kTorchrun, {{"LOCAL_RANK", "6"}})),
            "LOCAL_RANK: is 6, but RANK is 5; expected at most as much");
  EXPECT_EQ(error_in(with(kTorchrun, {{"LOCAL_RANK", "4"}})),
            "LOCAL_RANK: is 4 of 4 processes on this machine, expected less");
  EXPECT_EQ(error_in(with(kTorchrun, {{"LOCAL_WORLD_SIZE", "9"}})),
            "LOCAL_WORLD_SIZE: is 9, but WORLD_SIZE is 8; expected at most as much");
  EXPECT_EQ(error_in(with(kTorchrun, kOpenMpi)),
            "RANK: is 5 of 8, but OMPI_COMM_WORLD_RANK is 2 of 4; expected the same");
  EXPECT_EQ(place_in(with(with(kTorchrun, kOpenMpi), {{"TORCHELASTIC_RUN_ID", "none"}})).rank, 5)
      << "one torchrun a machine, each started by mpirun";
  EXPECT_TRUE(
      contains(error_in(without(kOpenMpi, "OMPI_COMM_WORLD_SIZE")), "OMPI_COMM_WORLD_SIZE: is not set"));
  EXPECT_TRUE(contains(error_in(without(kSlurm, "SLURM_NTASKS")), "SLURM_NTASKS: is not set"));
  EXPECT_TRUE(contains(error_in(without(kSlurm, "SLURM_NODELIST")), "SLURM_NODELIST: is not set"));
}

TEST(FirstHost, ReadsCompressedLists) {
  EXPECT_EQ(first_host("node01"), "node01");
  EXPECT_EQ(first_host("node01,node02"), "node01");
  EXPECT_EQ(first_host("node[01-04]"), "node01");
  EXPECT_EQ(first_host("node[7,9-12],other[1-2]"), "node7");
  EXPECT_EQ(first_host("a1,node[01-04]"), "a1");
  EXPECT_EQ(first_host("rack[2-3]n[10-12]-ib"), "rack2n10-ib");
  for (const char* wrong : {"", ",", "node[01-04", "node[]", "node]"}) {
    EXPECT_TRUE(contains(user_error_of([&] { first_host(wrong); }), "expected a list of hosts")) << wrong;
  }
}

}  // namespace
}  // namespace refnorm::train
