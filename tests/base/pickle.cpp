#include <array>

#include <gtest/gtest.h>

#include <refnorm/base/pickle.h>

#include "tests/base/helpers.h"
#include "tests/base/torch_writer.h"

namespace refnorm {
namespace {

using namespace std::string_literals;
using testing::contains;
using testing::little;
using testing::PickleWriter;
using testing::user_error_of;
using Kind = PickleValue::Kind;
using Node = PickleNode::Kind;

constexpr std::array<std::string_view, 2> kGlobals{"known.one", "known.two"};

/// Texts of the result point into its own bytes.
struct Read {
  std::string bytes;
  Pickle pickle;
  explicit Read(std::string all) : bytes(std::move(all)), pickle(parse_pickle(bytes, kGlobals, "f")) {}
};

Read of(const std::string& operations) {
  return Read("\x80\x02" + operations + ".");
}

std::string message_of(const std::string& bytes) {
  return user_error_of([&] { parse_pickle(bytes, kGlobals, "f.pth"); });
}

std::string broken(const std::string& operations) {
  return message_of("\x80\x02" + operations + ".");
}

TEST(Pickle, Constants) {
  const auto integer = [](const std::string& operations) {
    const Read read = of(operations);
    EXPECT_EQ(read.pickle.root.kind, Kind::kInteger);
    return read.pickle.root.number;
  };
  EXPECT_EQ(integer("K\xff"), 255);
  EXPECT_EQ(integer("M\xff\xff"), 65535);
  EXPECT_EQ(integer("J\xff\xff\xff\x7f"), 2147483647);
  EXPECT_EQ(integer("J\xff\xff\xff\xff"), -1);
  EXPECT_EQ(integer("\x8a\0"s), 0);
  EXPECT_EQ(integer("\x8a\x01\x80"), -128);
  EXPECT_EQ(integer("\x8a\x02\x80\0"s), 128);
  EXPECT_EQ(integer("\x8a\x05\0\0\0\0\x01"s), 4294967296);
  EXPECT_EQ(integer("\x8a\x08\0\0\0\0\0\0\0\x80"s), INT64_MIN);
  EXPECT_EQ(integer("\x8b\x02\0\0\0\xfe\xff"s), -2);
  EXPECT_EQ(of("N").pickle.root.kind, Kind::kNone);
  EXPECT_EQ(of("\x88").pickle.root.number, 1);
  EXPECT_EQ(of("\x89").pickle.root.number, 0);
  EXPECT_EQ(of("G\x3f\xf0\0\0\0\0\0\0"s).pickle.root.kind, Kind::kOther);
  const Read large = of("\x8a\x09\0\0\0\0\0\0\0\0\x01"s);
  EXPECT_EQ(large.pickle.root.kind, Kind::kLongInteger);
  EXPECT_EQ(large.pickle.texts[0], "\0\0\0\0\0\0\0\0\x01"s);
}

TEST(Pickle, Texts) {
  for (const std::string& operations :
       {"X\x03\0\0\0abc"s, "U\x03"s + "abc", "T\x03\0\0\0abc"s, "C\x03"s + "abc", "B\x03\0\0\0abc"s,
        "\x8c\x03"s + "abc", "\x8d\x03\0\0\0\0\0\0\0abc"s, "\x8e\x03\0\0\0\0\0\0\0abc"s}) {
    const Read read = of(operations);
    ASSERT_NE(read.pickle.text(read.pickle.root), nullptr);
    EXPECT_EQ(*read.pickle.text(read.pickle.root), "abc");
  }
  EXPECT_EQ(of("N").pickle.text({}), nullptr);
}

/// The integers in a container.
std::vector<std::int64_t> numbers(const Read& read, Node kind) {
  std::vector<std::int64_t> found;
  const PickleNode* node = read.pickle.node(read.pickle.root, kind);
  EXPECT_NE(node, nullptr);
  if (node == nullptr) return found;
  for (const PickleValue item : node->items) found.push_back(item.number);
  return found;
}

TEST(Pickle, Containers) {
  using Numbers = std::vector<std::int64_t>;
  EXPECT_EQ(numbers(of(")"), Node::kTuple), Numbers{});
  EXPECT_EQ(numbers(of("K\1\x85"), Node::kTuple), Numbers({1}));
  EXPECT_EQ(numbers(of("K\1K\2\x86"), Node::kTuple), Numbers({1, 2}));
  EXPECT_EQ(numbers(of("K\1K\2K\3\x87"), Node::kTuple), Numbers({1, 2, 3}));
  EXPECT_EQ(numbers(of("(K\1K\2K\3K\4t"), Node::kTuple), Numbers({1, 2, 3, 4}));
  EXPECT_EQ(numbers(of("]K\1a(K\2K\3e"), Node::kList), Numbers({1, 2, 3}));
  EXPECT_EQ(numbers(of("(K\1K\2l"), Node::kList), Numbers({1, 2}));
  EXPECT_EQ(numbers(of("\x8f(K\1K\2\x90"), Node::kList), Numbers({1, 2}));
  EXPECT_EQ(numbers(of("(K\1\x91"), Node::kList), Numbers({1}));
  EXPECT_EQ(numbers(of("}K\1K\2s(K\3K\4K\5K\6u"), Node::kDict), Numbers({1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(numbers(of("(K\1K\2d"), Node::kDict), Numbers({1, 2}));
  EXPECT_EQ(numbers(of("K\1K\2"
                       "0\x85"),
                    Node::kTuple),
            Numbers({1}));
  EXPECT_EQ(numbers(of("K\1(K\2K\3"
                       "1\x85"),
                    Node::kTuple),
            Numbers({1}));
  EXPECT_EQ(numbers(of("K\1"
                       "2\x86"),
                    Node::kTuple),
            Numbers({1, 1}));
}

TEST(Pickle, Memory) {
  using Numbers = std::vector<std::int64_t>;
  EXPECT_EQ(numbers(of("K\1q\0K\2q\1h\0\x87"s), Node::kTuple), Numbers({1, 2, 1}));
  EXPECT_EQ(numbers(of("K\1r\1\0\0\0j\1\0\0\0\x86"s), Node::kTuple), Numbers({1, 1}));
  EXPECT_EQ(numbers(of("K\1\x94K\2\x94h\1\x87"s), Node::kTuple), Numbers({1, 2, 2}));
  EXPECT_EQ(numbers(of("K\1q\0K\2q\0h\0\x87"s), Node::kTuple), Numbers({1, 2, 2}));
}

TEST(Pickle, CallsAreRecordedAndNotMade) {
  const Read read = of("cknown\ntwo\nK\5\x85R}K\1K\2sb");
  const PickleNode* call = read.pickle.node(read.pickle.root, Node::kCall);
  ASSERT_NE(call, nullptr);
  EXPECT_EQ(call->callee, 1);
  const PickleNode* arguments = read.pickle.node(call->arguments, Node::kTuple);
  ASSERT_NE(arguments, nullptr);
  EXPECT_EQ(arguments->items[0].number, 5);
  EXPECT_NE(read.pickle.node(call->state, Node::kDict), nullptr);
  for (const char* other : {"cknown\none\n)\x81", "\x8c\x05known\x8c\x03one\x93)R"}) {
    const Read made = of(other);
    ASSERT_NE(made.pickle.node(made.pickle.root, Node::kCall), nullptr);
    EXPECT_EQ(made.pickle.node(made.pickle.root, Node::kCall)->callee, 0);
  }
  const Read stored = of("K\7Q");
  ASSERT_NE(stored.pickle.node(stored.pickle.root, Node::kPersistent), nullptr);
  EXPECT_EQ(stored.pickle.node(stored.pickle.root, Node::kPersistent)->arguments.number, 7);
}

TEST(Pickle, EndsAtItsStop) {
  const Read read("\x80\x04\x95\x03\0\0\0\0\0\0\0K\7.behind"s);
  EXPECT_EQ(read.pickle.size, 14U);
  EXPECT_EQ(read.pickle.root.number, 7);
}

TEST(Pickle, ContainsItself) {
  const Read read = of("]q\0h\0a"s);
  const PickleNode* list = read.pickle.node(read.pickle.root, Node::kList);
  ASSERT_NE(list, nullptr);
  EXPECT_EQ(read.pickle.node(list->items[0], Node::kList), list);
}

TEST(PickleHostile, OtherGlobals) {
  EXPECT_EQ(
      broken("cos\nsystem\n"),
      "f.pth: the pickle asks for 'os.system', which a state dictionary does not need; nothing was executed");
  EXPECT_TRUE(contains(broken("\x8c\x02os\x8c\x06system\x93"), "'os.system'"));
  EXPECT_TRUE(contains(broken("c__builtin__\neval\n"), "'__builtin__.eval'"));
  EXPECT_TRUE(contains(broken("cknown\none.two\n"), "'known.one.two'"));
  EXPECT_TRUE(contains(broken("cknown.one\n\n"), "'known.one.'"));
  EXPECT_TRUE(contains(broken("ca\x1b[2J\rb\n" + std::string(10'000, 'c') + "\n"), "'a\\x1b[2J\\x0db.cccc"));
}

struct Hostile {
  const char* what;
  std::string operations;
  const char* message;
};

TEST(PickleHostile, Operations) {
  for (const Hostile& hostile : std::vector<Hostile>{
           {"nothing on the stack", "", "a value is missing"},
           {"two values left", "NN", "more than one value"},
           {"a mark left", "(N", "more than one value"},
           {"unknown operation", "\xff", "operation 0xff"},
           {"a class to be instantiated", "(ios\nsystem\n", "operation 0x69"},
           {"an object of a class", "(cknown\none\no", "operation 0x6f"},
           {"a persistent id as text", "Pkey\n", "operation 0x50"},
           {"an extension", "\x82\x01", "operation 0x82"},
           {"a call with keywords", "cknown\none\n)}\x92", "operation 0x92"},
           {"a buffer out of band", "\x97", "operation 0x97"},
           {"pop from nothing", "0", "a value is missing"},
           {"pop past a mark", "N(0", "a value is missing"},
           {"tuple past a mark", "N(N\x86", "1 values are missing"},
           {"tuple without a mark", "Nt", "a mark is missing"},
           {"items without a mark", "}NNu", "a mark is missing"},
           {"duplicate of nothing", "2", "a value is missing"},
           {"append to nothing", "Na", "a value is missing"},
           {"append to a dict", "}Na", "items for what is no list"},
           {"append to a tuple", ")Na", "items for what is no list"},
           {"append to a number", "K\1Na", "items for what is no list"},
           {"append to a call", "cknown\none\n)RNa", "items for what is no list"},
           {"item of a list", "]NNs", "items for what is no dictionary"},
           {"nothing above a mark", "}(", "a value is missing"},
           {"key without a value", "}(Nu", "a key without a value"},
           {"dict of a key without a value", "(Nd", "a key without a value"},
           {"call of a number", "K\1)R", "a call of what is no global"},
           {"call of a text", "X\2\0\0\0os)R"s, "a call of what is no global"},
           {"call without a tuple", "cknown\none\n]R", "a call without a tuple"},
           {"call of nothing", ")R", "1 values are missing"},
           {"state for a list", "]Nb", "a state for what was not called"},
           {"state for a global", "cknown\none\nNb", "a state for what was not called"},
           {"global named by numbers", "K\1K\2\x93", "not named by texts"},
           {"memory that is empty", "h\0"s, "place 0 of its memory is empty"},
           {"memory with holes", "Nq\3h\1"s, "place 1 of its memory is empty"},
           {"memory far away", "Nr\xff\xff\xff\xff"s, "place 4294967295 of its memory is out of order"},
           {"memory of nothing", "q\0"s, "a value is missing"},
           {"another protocol inside", "\x80\x09N", "protocol 9"},
       }) {
    SCOPED_TRACE(hostile.what);
    const std::string message = broken(hostile.operations);
    EXPECT_TRUE(message.starts_with("f.pth: ")) << message;
    EXPECT_TRUE(contains(message, hostile.message)) << message;
    EXPECT_LT(message.size(), 250U);
  }
}

TEST(PickleHostile, Lengths) {
  EXPECT_TRUE(contains(message_of(""), "cut short, 1 more bytes"));
  EXPECT_TRUE(contains(message_of("\x80"), "cut short"));
  EXPECT_TRUE(contains(message_of("\x80\x01N."), "protocol 1, expected 2 to 5"));
  EXPECT_TRUE(contains(message_of("(lp0\n."), "does not begin as protocols 2 to 5 do"));
  EXPECT_TRUE(contains(broken("X\xff\xff\xff\xff"), "4294967295 more bytes"));
  EXPECT_TRUE(contains(broken("\x8d" + little(UINT64_MAX, 8)), "18446744073709551615 more bytes"));
  EXPECT_TRUE(contains(broken("\x8e" + little(UINT64_MAX - 11, 8)), "more bytes"));
  EXPECT_TRUE(contains(broken("\x8b\xff\xff\xff\xff"), "4294967295 more bytes"));
  EXPECT_TRUE(contains(broken("cos"), "cut short within a name"));
  EXPECT_TRUE(contains(broken("cos\nsystem"), "cut short within a name"));
  const std::string whole =
      PickleWriter().raw("}(").text("a").integer(300).text("b").raw("cknown\none\n)Ru").done();
  EXPECT_NO_THROW(parse_pickle(whole, kGlobals, "f"));
  for (std::size_t size = 0; size < whole.size(); ++size) message_of(whole.substr(0, size));
}

TEST(PickleHostile, ManyValuesAndDeepNesting) {
  // A million and a half lists, each in the next.
  EXPECT_NO_THROW(of(std::string(1'500'000, ']') + std::string(1'499'999, 'a')));
  for (const char operation : {']', 'N', '('}) {
    EXPECT_TRUE(contains(broken(std::string(4'000'001, operation)), "more than 4000000 values"));
  }
  std::string doubling = "N";
  for (int i = 0; i < 2'500'000; ++i) doubling += "2\x94";
  EXPECT_TRUE(contains(broken(doubling), "more than 4000000 values"));
}

}  // namespace
}  // namespace refnorm
