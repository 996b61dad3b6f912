#include <chrono>

#include <gtest/gtest.h>

#include <refnorm/base/file.h>
#include <refnorm/base/json.h>

#include "tests/base/helpers.h"

namespace refnorm {
namespace {

using testing::contains;
using testing::user_error_of;

TEST(ParseJson, KeepsTheOrderOfKeys) {
  const Json value = parse_json(R"({"z":1,"a":{"y":2,"b":[1.5,null,true]}})", "test");
  EXPECT_EQ(value.dump(), R"({"z":1,"a":{"y":2,"b":[1.5,null,true]}})");
  EXPECT_EQ(parse_json_sorted(R"({"z":1,"a":2})", "test").dump(), R"({"a":2,"z":1})");
}

TEST(ParseJson, NamesTheFileAndTheByte) {
  // {"a":1,} has its wrong byte, the brace, at place 8 counted from 1.
  EXPECT_EQ(user_error_of([] { parse_json(R"({"a":1,})", "file.json"); }),
            "file.json: not valid JSON at byte 8");
  EXPECT_EQ(user_error_of([] { parse_json("", "file.json"); }), "file.json: not valid JSON at byte 1");
  user_error_of([] { parse_json("{} {}", "file.json"); });
  user_error_of([] { parse_json("\"\xff\"", "file.json"); });
  user_error_of([] { parse_json("NaN", "file.json"); });
}

TEST(ParseJson, RepeatedKeys) {
  const std::string message =
      user_error_of([] { parse_json(R"({"a":{"lr\n":1,"b":2,"lr\n":3}})", "r.json"); });
  EXPECT_EQ(message, R"(r.json: the key 'lr\x0a' stands twice in one object)");
  EXPECT_NO_THROW(parse_json(R"([{"a":1},{"a":{"a":2}}])", "r.json"));  // same key, other objects
}

TEST(ParseJson, NumbersBeyondDouble) {
  EXPECT_EQ(user_error_of([] { parse_json("[1e999]", "n.json"); }),
            "n.json: a number is too large at byte 6");  // seen whole with its last digit
}

TEST(ParseJson, DeepNestingIsAnErrorAndNotACrash) {
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_NO_THROW(parse_json(nested(100), "deep"));
  for (const std::size_t depth : {std::size_t{101}, std::size_t{5'000'000}}) {
    EXPECT_TRUE(contains(user_error_of([&] { parse_json(nested(depth), "deep"); }), "nested more than 100"));
  }
}

TEST(ParseJson, LongListsOfObjectsTakeNoQuadraticTime) {
  // Annotation files hold such lists. A walk over the list for each of its objects would be 4.5·10^10 steps,
  // a minute.
  std::string text = "[{}";
  for (int i = 1; i < 300'000; ++i) text += ",{\"id\":1}";
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(parse_json(text + "]", "list").size(), 300'000U);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(30));
}

TEST(JsonFile, RoundTripAndErrors) {
  const testing::TemporaryFolder folder;
  const Json value = {{"name", "größe"}, {"list", {1, 2}}, {"none", nullptr}};
  write_json(folder / "a.json", value);
  EXPECT_EQ(read_json(folder / "a.json"), value);
  EXPECT_EQ(read_file(folder / "a.json").back(), '\n');
  EXPECT_TRUE(contains(user_error_of([&] { read_json(folder / "b.json"); }), "b.json: cannot be read"));
}

}  // namespace
}  // namespace refnorm
