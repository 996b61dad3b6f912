#include <gtest/gtest.h>

#include <refnorm/base/file.h>
#include <refnorm/data/coco_records.h>

#include "tests/base/helpers.h"

namespace refnorm::data {
namespace {

using namespace refnorm::testing;
using Kind = CocoValue::Kind;

struct Seen {
  std::size_t list;
  std::int64_t place;
  CocoRecord record;
};

std::vector<Seen> records(std::string_view text, std::vector<std::string> names = {"images", "annotations"}) {
  std::vector<Seen> seen;
  parse_coco_records(text, "f.json",
                     {std::move(names), [&](std::size_t list, std::int64_t place, const CocoRecord& record) {
                        seen.push_back({list, place, record});
                      }});
  return seen;
}

std::string error(std::string_view text, std::vector<std::string> names = {"images", "annotations"}) {
  return user_error_of([&] { records(text, std::move(names)); });
}

TEST(CocoRecords, ComeWithTheirListAndPlace) {
  const auto seen = records(R"({"info": {"id": 9, "images": [1]}, "annotations": [{"id": 1}, {"id": 2}],
      "licenses": [{"id": 7}], "images": [{"id": 3, "unknown": {"id": [4, {"id": 5}]}}]})");
  ASSERT_EQ(seen.size(), 3U);
  EXPECT_EQ(seen[0].list, 1U);
  EXPECT_EQ(seen[1].place, 1);
  EXPECT_EQ(seen[1].record[CocoField::kId].whole, 2);
  EXPECT_EQ(seen[2].list, 0U);
  EXPECT_EQ(seen[2].record[CocoField::kId].whole, 3);
  EXPECT_EQ(seen[2].record[CocoField::kImageId].kind, Kind::kMissing);
}

TEST(CocoRecords, ADocumentThatIsAList) {
  const auto seen = records(R"([{"score": 0.5}, {"score": 1}])", {});
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen[0].record[CocoField::kScore].kind, Kind::kNumber);
  EXPECT_EQ(seen[0].record[CocoField::kScore].number, 0.5);
  EXPECT_EQ(seen[1].record[CocoField::kScore].number, 1);
}

TEST(CocoRecords, KindsOfValues) {
  const auto value = [](const std::string& text) {
    return records(R"([{"bbox": )" + text + R"(, "id": 1}])", {})[0].record[CocoField::kBbox];
  };
  EXPECT_EQ(value("null").kind, Kind::kNull);
  EXPECT_EQ(value("true").whole, 1);
  EXPECT_EQ(value("-3").whole, -3);
  EXPECT_EQ(value("9223372036854775807").whole, INT64_MAX);
  EXPECT_EQ(value("9223372036854775808").kind, Kind::kNumber);
  EXPECT_EQ(value(R"("a\u00e4")").text, "aä");
  EXPECT_EQ(value("[]").kind, Kind::kNumbers);
  EXPECT_EQ(value("[1, 2.5]").numbers, (std::vector<double>{1, 2.5}));
  EXPECT_EQ(value("[[1, 2], [], [3]]").kind, Kind::kLists);
  EXPECT_EQ(value("[[1, 2], [], [3]]").ends, (std::vector<std::size_t>{2, 2, 3}));
  for (const char* other : {"[1, [2]]", "[[1], 2]", "[[[1]]]", "[null]", R"(["1"])", "[{}]", R"([[1, "2"]])",
                            "{}", R"({"size": [1, 2]})"}) {
    EXPECT_EQ(value(other).kind, Kind::kOther) << other;
  }
}

TEST(CocoRecords, Segmentations) {
  const CocoRecord record =
      records(R"([{"size": 3, "segmentation": {"counts": "x", "id": 5, "size": [1, 2]}, "id": 4}])", {})[0]
          .record;
  EXPECT_EQ(record[CocoField::kSegmentation].kind, Kind::kObject);
  EXPECT_EQ(record[CocoField::kCounts].text, "x");
  EXPECT_EQ(record[CocoField::kSize].numbers, (std::vector<double>{1, 2}));
  EXPECT_EQ(record[CocoField::kId].whole, 4) << "the segmentation's is another";
  EXPECT_FALSE(record[CocoField::kId].twice);
  const CocoRecord deeper =
      records(R"([{"segmentation": {"counts": {"size": [1]}, "size": [[1]]}}])", {})[0].record;
  EXPECT_EQ(deeper[CocoField::kCounts].kind, Kind::kOther);
  EXPECT_EQ(deeper[CocoField::kSize].kind, Kind::kLists);
  EXPECT_EQ(records(R"([{"segmentation": [{"size": [1]}]}])", {})[0].record[CocoField::kSegmentation].kind,
            Kind::kOther);
}

TEST(CocoRecords, NothingIsLeftOfTheOneBefore) {
  const auto seen =
      records(R"([{"id": 1, "bbox": [1, 2], "segmentation": {"size": [1]}}, {"name": "x"}])", {});
  for (const CocoField field : {CocoField::kId, CocoField::kBbox, CocoField::kSegmentation, CocoField::kSize})
    EXPECT_EQ(seen[1].record[field].kind, Kind::kMissing);
  EXPECT_TRUE(records(R"([{"id": 1, "id": 1}])", {})[0].record[CocoField::kId].twice);
}

TEST(CocoRecords, WhatIsNoSuchDocument) {
  EXPECT_EQ(error("[]"), "f.json: is a list, expected an object");
  EXPECT_EQ(error("{}", {}), "f.json: is an object, expected a list");
  EXPECT_EQ(error("7"), "f.json: is neither an object nor a list");
  EXPECT_EQ(error(R"({"images": []})"), "f.json: has no list 'annotations'");
  EXPECT_EQ(error(R"({"images": {}})"), "f.json: 'images' is not a list");
  EXPECT_EQ(error(R"({"images": "x"})"), "f.json: 'images' is not a list");
  EXPECT_EQ(error(R"({"images": [], "images": []})"), "f.json: the list 'images' stands twice");
  EXPECT_EQ(error(R"({"images": [{}, 7]})"), "f.json: entry 2 of 'images' is not an object");
  EXPECT_EQ(error("[{}, []]", {}), "f.json: entry 2 is not an object");
  EXPECT_EQ(error(""), "f.json: not valid JSON at byte 1");
  EXPECT_EQ(error(R"({"images": [{"id": 1,}]})"), "f.json: not valid JSON at byte 22");
  EXPECT_EQ(error(R"({"images": [], "annotations": []} x)"), "f.json: not valid JSON at byte 35");
  EXPECT_EQ(error("[{\"id\": 1e999}]", {}), "f.json: a number is too large at byte 13");
  EXPECT_EQ(error("[{\"id\": NaN}]", {}), "f.json: not valid JSON at byte 9");
  const auto deep = [](const std::string& before) {
    std::string text = before;
    text.resize(5'000'000, '[');
    return text;
  };
  EXPECT_EQ(error(deep(""), {}), "f.json: entry 1 is not an object");
  EXPECT_EQ(error(deep("{\"info\": ")), "f.json: nested more than 100 levels deep");
  EXPECT_EQ(error(deep("[{\"bbox\": "), {}), "f.json: nested more than 100 levels deep");
}

TEST(CocoRecords, AreReadFromFilesOfAnyLength) {
  const TemporaryFolder folder;
  std::string text = "[";
  while (text.size() < 3'000'000) text += R"({"name":")" + std::string(text.size() % 977, 'n') + R"("},)";
  text += R"({"name":"last"}])";
  write_file(folder / "a.json", text);
  std::string last;
  std::int64_t count = 0;
  read_coco_records(folder / "a.json", {{}, [&](std::size_t, std::int64_t place, const CocoRecord& record) {
                                          EXPECT_EQ(place, count++);
                                          last = record[CocoField::kName].text;
                                        }});
  EXPECT_EQ(last, "last");
  EXPECT_GT(count, 1000);
  write_file(folder / "cut.json", text.substr(0, 2'000'000));
  EXPECT_EQ(user_error_of([&] {
              read_coco_records(folder / "cut.json", {{}, [](auto&&...) {}});
            }),
            (folder / "cut.json").string() + ": not valid JSON at byte 2000001");
  EXPECT_TRUE(contains(user_error_of([&] {
                         read_coco_records(folder / "none.json", {{}, [](auto&&...) {}});
                       }),
                       "none.json: cannot be read"));
  EXPECT_TRUE(contains(user_error_of([&] {
                         read_coco_records(folder.path(), {{}, [](auto&&...) {}});
                       }),
                       "is not a regular file"));
}

}  // namespace
}  // namespace refnorm::data
