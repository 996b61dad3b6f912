#include <gtest/gtest.h>

#include <refnorm/base/torch_file.h>

#include "tests/base/helpers.h"
#include "tests/base/torch_messages.h"
#include "tests/base/torch_writer.h"

namespace refnorm {
namespace {

using namespace std::string_literals;
using testing::contains;
using testing::expect_message;
using testing::legacy_message;
using testing::pickle_message;
using testing::PickleWriter;
using testing::torch_legacy;
using testing::torch_zip;
using testing::user_error_of;
using testing::zip_message;
using View = PickleWriter::View;

PickleWriter one(const View& view) {
  return PickleWriter().raw("}").text("x").tensor(view).raw("s");
}

TEST(TorchHostile, NothingIsExecuted) {
  const PickleWriter system = PickleWriter().global("os", "system").text("touch /tmp/x").raw("\x85R");
  constexpr const char* kMessage =
      "f.pth: the pickle asks for 'os.system', which a state dictionary does not need; nothing was executed";
  EXPECT_EQ(pickle_message(system), kMessage);
  EXPECT_EQ(legacy_message(torch_legacy(system.done(), {})), kMessage);
  EXPECT_EQ(legacy_message(system.done()), kMessage);
  for (const auto& [module, name] :
       std::vector<std::pair<const char*, const char*>>{{"torch.storage", "_load_from_bytes"},
                                                        {"torch._utils", "_rebuild_qtensor"},
                                                        {"torch.jit._pickle", "restore_type_tag"},
                                                        {"torch", "load"},
                                                        {"builtins", "getattr"},
                                                        {"numpy.core.multiarray", "_reconstruct"},
                                                        {"torchvision.models.resnet", "ResNet"}}) {
    expect_message(pickle_message(PickleWriter().global(module, name)),
                   fmt::format("'{}.{}'", module, name).c_str());
  }
  // In the header nothing at all is known.
  expect_message(legacy_message(PickleWriter().ordered_dict().done()), "asks for 'collections.OrderedDict'");
}

TEST(TorchHostile, Views) {
  struct Case {
    const char* what;
    View view;
    const char* message;
  };
  for (const Case& hostile : std::vector<Case>{
           {"one element too many", {"ByteStorage", "0", 4, 0, {5}, {1}}, "leaves its storage of 4 elements"},
           {"offset beyond", {"ByteStorage", "0", 4, 4, {1}, {1}}, "leaves its storage"},
           {"offset of an empty one beyond", {"ByteStorage", "0", 4, 5, {0}, {1}}, "leaves its storage"},
           {"scalar beyond", {"ByteStorage", "0", 4, 4, {}, {}}, "leaves its storage"},
           {"stride beyond", {"ByteStorage", "0", 4, 0, {2, 2}, {3, 1}}, "leaves its storage"},
           {"negative offset", {"ByteStorage", "0", 4, -1, {1}, {1}}, "its offset is not a size"},
           {"negative extent", {"ByteStorage", "0", 4, 0, {-1}, {1}}, "is not a size"},
           {"negative stride", {"ByteStorage", "0", 4, 3, {4}, {-1}}, "is not a size"},
           {"negative storage", {"ByteStorage", "0", -4, 0, {1}, {1}}, "the size of a storage is not a size"},
           {"more strides", {"ByteStorage", "0", 4, 0, {4}, {1, 1}}, "1 dimensions, but 2 strides"},
           {"fewer strides", {"ByteStorage", "0", 4, 0, {2, 2}, {2}}, "2 dimensions, but 1 strides"},
           {"65 dimensions",
            {"ByteStorage", "0", 4, 0, std::vector<std::int64_t>(65, 1), std::vector<std::int64_t>(65, 1)},
            "65 dimensions, at most 64"},
           {"elements overflow", {"ByteStorage", "0", 4, 0, {1LL << 32, 1LL << 32}, {0, 0}}, "is too large"},
           {"bytes overflow", {"DoubleStorage", "0", 4, 0, {1LL << 60}, {0}}, "is too large"},
           {"empty, but overflows",
            {"ByteStorage", "0", 4, 0, {0, 1LL << 32, 1LL << 32}, {0, 0, 0}},
            "is too large"},
           {"stride overflows", {"ByteStorage", "0", 4, 0, {3}, {INT64_MAX}}, "leaves its storage"},
           {"strides overflow together",
            {"ByteStorage", "0", 4, 0, {2, 2}, {INT64_MAX, INT64_MAX}},
            "leaves its storage"},
           {"the last element overflows", {"ByteStorage", "0", 4, 0, {2}, {INT64_MAX}}, "leaves its storage"},
           {"offset overflows", {"ByteStorage", "0", 4, INT64_MAX, {1}, {1}}, "leaves its storage"},
           {"repeated", {"ByteStorage", "0", 4, 0, {1 << 20}, {0}}, "take more than 16 times the file"},
           {"repeated beyond memory",
            {"DoubleStorage", "0", 4, 0, {1LL << 59}, {0}},
            "take more than 16 times"},
           {"storage too large in bytes", {"DoubleStorage", "0", INT64_MAX, 0, {1}, {1}}, "is too large"},
           {"storage larger", {"ByteStorage", "0", 5, 0, {1}, {1}}, "storage '0' has 4 bytes, expected 5"},
           {"storage smaller", {"ByteStorage", "0", 3, 0, {1}, {1}}, "storage '0' has 4 bytes, expected 3"},
           {"storage of another type", {"FloatStorage", "0", 4, 0, {1}, {1}}, "has 4 bytes, expected 16"},
           {"storage missing", {"ByteStorage", "1", 4, 0, {1}, {1}}, "there is no record 'archive/data/1'"},
           {"key leads elsewhere",
            {"ByteStorage", "../data.pkl", 4, 0, {1}, {1}},
            "no record 'archive/data/../data.pkl'"},
           {"key with a line break",
            {"ByteStorage", "a\nb", 4, 0, {1}, {1}},
            "storage 'a\\x0ab' is missing"}}) {
    SCOPED_TRACE(hostile.what);
    expect_message(pickle_message(one(hostile.view)), hostile.message);
  }
}

TEST(TorchHostile, ManyRepetitionsTogether) {
  // Each within the bound, but not all of them. The file has some 20 kB.
  PickleWriter pickle;
  pickle.raw("}(");
  for (int i = 0; i < 100; ++i)
    pickle.text(std::to_string(i)).tensor({"ByteStorage", "0", 4, 0, {10'000}, {0}});
  expect_message(pickle_message(pickle.raw("u")), "repeats what is stored: with its 10000 bytes");
}

TEST(TorchHostile, Calls) {
  const std::string stored = PickleWriter().storage("ByteStorage", "0", 4).operations();
  const auto rebuilt = [](const std::string& arguments) {
    return PickleWriter()
        .raw("}")
        .text("x")
        .global("torch._utils", "_rebuild_tensor_v2")
        .raw(arguments)
        .raw("Rs");
  };
  struct Case {
    const char* what;
    PickleWriter pickle;
    const char* message;
  };
  const std::string rest = "K\0K\1\x85K\1\x85"s;
  for (const Case& hostile : std::vector<Case>{
           {"no arguments", rebuilt(")"), "tensor x: expected a storage, an offset"},
           {"three arguments", rebuilt("(" + stored + "K\0K\1\x85t"s), "expected a storage, an offset"},
           {"a number as storage", rebuilt("(K\1" + rest + "t"), "expected a storage, an offset"},
           {"offset is a text",
            rebuilt("(" + stored +
                    "U\1"
                    "0K\1\x85K\1\x85t"),
            "its offset is not a size"},
           {"offset is beyond 64 bits", rebuilt("(" + stored + "\x8a\x09\0\0\0\0\0\0\0\0\1K\1\x85K\1\x85t"s),
            "its offset is not a size"},
           {"shape is a number", rebuilt("(" + stored + "K\0K\1K\1\x85t"s),
            "its shape is not a list of sizes"},
           {"shape holds a text",
            rebuilt("(" + stored +
                    "K\0U\1"
                    "1\x85K\1\x85t"s),
            "is not a size"},
           {"strides are none", rebuilt("(" + stored + "K\0K\1\x85Nt"s),
            "its strides is not a list of sizes"},
           {"id is a number", rebuilt("(K\1Q" + rest + "t"), "something lies outside the pickle"},
           {"id is empty", rebuilt("()Q" + rest + "t"), "something lies outside the pickle"},
           {"id is a module", rebuilt("((U\6moduleNNNtQ" + rest + "t"),
            "holds a 'module', expected a state dictionary"},
           {"id is short", rebuilt("((U\7storagetQ" + rest + "t"), "a storage is not described as one"},
           {"key is a number", rebuilt("((U\7storagectorch\nByteStorage\nK\0U\3cpuK\4tQ"s + rest + "t"),
            "a storage is not described as one"},
           {"type is a text",
            rebuilt("((U\7storageU\1bU\1"
                    "0U\3cpuK\4tQ" +
                    rest + "t"),
            "a storage is not described"},
           {"type is no type",
            rebuilt("((U\7storagectorch\nSize\nU\1"
                    "0U\3cpuK\4tQ" +
                    rest + "t"),
            "'torch.Size' is no type of storage"},
           {"part of a storage is a number",
            rebuilt("((U\7storagectorch\nByteStorage\nU\1"
                    "0U\3cpuK\4K\1tQ" +
                    rest + "t"),
            "not described as one"},
           {"part leaves the storage",
            rebuilt("((U\7storagectorch\nByteStorage\nU\1"
                    "0U\3cpuK\4(U\1pK\2K\3ttQ" +
                    rest + "t"),
            "a part of a storage leaves its 4 elements"},
           {"parameter of nothing",
            PickleWriter().raw("}").text("x").global("torch._utils", "_rebuild_parameter").raw(")Rs"),
            "a parameter without a tensor"},
           {"parameter of a number",
            PickleWriter().raw("}").text("x").global("torch._utils", "_rebuild_parameter").raw("K\1\x85Rs"),
            "a parameter without a tensor"}}) {
    SCOPED_TRACE(hostile.what);
    expect_message(pickle_message(hostile.pickle), hostile.message);
  }
}

}  // namespace
}  // namespace refnorm
