#include <gtest/gtest.h>

#include <refnorm/base/file.h>
#include <refnorm/data/groups.h>
#include <refnorm/data/sampler.h>

#include "tests/base/helpers.h"
#include "tests/data/numbers.h"

namespace refnorm::data {
namespace {

using testing::Numbers;
using testing::user_error_of;

using Names = std::vector<std::string>;
using Indices = std::vector<std::int64_t>;

class GroupsFromCsv : public ::testing::Test {
 protected:
  /// Numbers in the groups of that file.
  std::shared_ptr<const ImageSet> read(const std::string& text, std::int64_t samples = 4) {
    write_file(file_, text);
    return with_groups(std::make_shared<Numbers>(samples), file_);
  }
  /// What is wrong with the file, its name taken off.
  std::string error(const std::string& text) {
    const std::string message = user_error_of([&] { read(text); });
    EXPECT_TRUE(message.starts_with(file_.string() + ": ")) << message;
    return message.substr(std::min(message.size(), file_.string().size() + 2));
  }

  testing::TemporaryFolder folder_;
  std::filesystem::path file_ = folder_ / "groups.csv";
};

TEST_F(GroupsFromCsv, AreReadInAnyOrderOfRowsAndColumns) {
  const auto set = read("index,group\n0,b\n1,a\n2,b\n3,c\n");
  EXPECT_EQ(set->grouping()->kind, "group");
  EXPECT_EQ(set->grouping()->names, (Names{"a", "b", "c"}));
  EXPECT_EQ(groups_of(*set), (Indices{1, 0, 1, 2}));
  const auto again = read("\xEF\xBB\xBFgroup, camera ,index\r\nc,7,3\r\n\r\nb,7,2\r\n a ,8, 1\r\nb,9,0");
  EXPECT_EQ(again->grouping()->names, set->grouping()->names);
  EXPECT_EQ(groups_of(*again), groups_of(*set));
}

TEST_F(GroupsFromCsv, MayHaveNamesInQuotes) {
  EXPECT_EQ(read("index,group\n0,\"Bonn, south\"\n1,\"the \"\"old\"\" one\"\n2,x\n3,x\n")->grouping()->names,
            (Names{"Bonn, south", "the \"old\" one", "x"}));
}

TEST_F(GroupsFromCsv, GoWithTheirSamplesHoweverTheSetIsCut) {
  std::string text = "index,group\n";
  for (int i = 0; i < 100; ++i) text += std::to_string(i) + ",g" + std::to_string(i % 7) + "\n";
  const auto all = read(text, 100);
  const Splits splits = hold_out(all, std::make_shared<Numbers>(5), 30);
  for (const auto& part : {limit(splits.train, 40), splits.validation}) {
    for (std::int64_t i = 0; i < part->size(); ++i)
      EXPECT_EQ(part->group(i), testing::value_of(*part, i) % 7);
  }
  EXPECT_EQ(splits.test->grouping(), nullptr);
  const SampleKeys keys = keys_of(*limit(splits.train, 40));
  EXPECT_EQ(keys.grouping, "group");
  EXPECT_EQ(keys.groups.size(), 40U);
  EXPECT_EQ(keys_of(*splits.test).grouping, "");
}

TEST_F(GroupsFromCsv, SayWhatIsWrong) {
  const std::string range = "', expected a whole number of 0 to 3 (the training file)";
  EXPECT_EQ(error(""), "is empty, expected a header with the columns index and group");
  EXPECT_EQ(error("index,camera\n0,a\n"), "has no column 'group', expected a header with index and group");
  EXPECT_EQ(error("0,a\n1,a\n2,a\n3,a\n"), "has no column 'index', expected a header with index and group");
  EXPECT_EQ(error("index,group\n0,a\n4,a\n"), "line 3: index '4" + range);
  EXPECT_EQ(error("index,group\n-1,a\n"), "line 2: index '-1" + range);
  EXPECT_EQ(error("index,group\n1.5,a\n"), "line 2: index '1.5" + range);
  EXPECT_EQ(error("index,group\n\n,a\n"), "line 3: index '" + range);
  EXPECT_EQ(error("index,group\n99999999999999999999,a\n"), "line 2: index '99999999999999999999" + range);
  EXPECT_EQ(error("index,group\n0,a\n1,a\n0,b\n"), "line 4: sample 0 already has a group, from line 2");
  EXPECT_EQ(error("index,group\n0, \n"), "line 2: the group of sample 0 has no name");
  EXPECT_EQ(error("index,group\n0,a\n2,b\n"),
            "sample 1 has no group (2 samples lack one), expected a row for each of 4 training samples");
  for (const char* text :
       {"index,group\n0\n", "index,group\n0,a,b\n", "index,group\n0,\"a\n", "index,group,index\n"})
    EXPECT_TRUE(error(text).starts_with("not valid CSV (")) << text;
  std::filesystem::remove(file_);
  const auto numbers = std::make_shared<Numbers>(4);
  EXPECT_TRUE(user_error_of([&] { with_groups(numbers, file_); }).starts_with(file_.string() + ": "));
  EXPECT_TRUE(
      user_error_of([&] { with_groups(numbers, folder_.path()); }).starts_with(folder_.path().string()));
}

}  // namespace
}  // namespace refnorm::data
