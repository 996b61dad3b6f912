#include <gtest/gtest.h>

#include <refnorm/base/torch_file.h>

#include "tests/base/helpers.h"
#include "tests/base/torch_writer.h"

namespace refnorm {
namespace {

using namespace std::string_literals;
using testing::PickleWriter;
using testing::small_torch_file;
using testing::torch_legacy;
using testing::torch_zip;
using View = PickleWriter::View;
using Shape = std::vector<std::int64_t>;

std::vector<std::string> names(const Safetensors& content) {
  std::vector<std::string> found;
  for (const auto& [name, tensor] : content.tensors) found.push_back(name);
  return found;
}

/// The bytes of the one tensor, a view of storage "0" with that type and content.
std::string viewed(View view, const std::string& storage) {
  view.key = "0";
  const std::string pickle = PickleWriter().raw("}").text("x").tensor(view).raw("s").done();
  const Safetensors content = parse_torch_zip(torch_zip(pickle, {{"0", storage}}), "f");
  EXPECT_EQ(content.tensors.size(), 1U);
  EXPECT_EQ(content.tensors.at(0).second.shape, view.shape);
  return content.tensors.at(0).second.bytes;
}

void expect_small(const Safetensors& content) {
  EXPECT_EQ(names(content), (std::vector<std::string>{"w", "n"}));
  EXPECT_TRUE(content.metadata.empty());
  const RawTensor& w = content.tensors.at(0).second;
  EXPECT_EQ(w.dtype, "F32");
  EXPECT_EQ(w.shape, (Shape{2, 3}));
  EXPECT_EQ(w.bytes, "\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40\0\0\x80\x40\0\0\xa0\x40\0\0\xc0\x40"s);
  const RawTensor& n = content.tensors.at(1).second;
  EXPECT_EQ(n.dtype, "I64");
  EXPECT_EQ(n.shape, Shape{});
  EXPECT_EQ(n.bytes, "\x07\0\0\0\0\0\0\0"s);
}

TEST(TorchFile, BothFormats) {
  expect_small(parse_torch_zip(small_torch_file(), "f"));
  expect_small(parse_torch_legacy(small_torch_file(true), "f"));
}

TEST(TorchFile, DtypesByTheirStorage) {
  for (const auto& [type, dtype, size] :
       std::vector<std::tuple<std::string, std::string, std::size_t>>{{"DoubleStorage", "F64", 8},
                                                                      {"FloatStorage", "F32", 4},
                                                                      {"HalfStorage", "F16", 2},
                                                                      {"BFloat16Storage", "BF16", 2},
                                                                      {"LongStorage", "I64", 8},
                                                                      {"IntStorage", "I32", 4},
                                                                      {"ShortStorage", "I16", 2},
                                                                      {"CharStorage", "I8", 1},
                                                                      {"ByteStorage", "U8", 1},
                                                                      {"BoolStorage", "BOOL", 1}}) {
    for (const bool legacy : {false, true}) {
      const std::string pickle =
          PickleWriter().raw("}").text("x").tensor({type, "0", 3, 1, {2}, {1}, legacy}).raw("s").done();
      const std::string bytes = std::string("abcdefghijklmnopqrstuvwx").substr(0, 3 * size);
      const Safetensors content = legacy ? parse_torch_legacy(torch_legacy(pickle, {{"0", 3, bytes}}), "f")
                                         : parse_torch_zip(torch_zip(pickle, {{"0", bytes}}), "f");
      EXPECT_EQ(content.tensors.at(0).second.dtype, dtype);
      EXPECT_EQ(content.tensors.at(0).second.bytes, bytes.substr(size));
    }
  }
}

TEST(TorchFile, ViewsBecomeRowMajor) {
  const auto bytes = [](View view) {
    view.type = "ByteStorage";
    view.elements = 12;
    return viewed(view, "abcdefghijkl");
  };
  EXPECT_EQ(bytes({.shape = {3, 4}, .strides = {4, 1}}), "abcdefghijkl");
  EXPECT_EQ(bytes({.shape = {4, 3}, .strides = {1, 4}}), "aeibfjcgkdhl");             // transposed
  EXPECT_EQ(bytes({.offset = 5, .shape = {2, 2}, .strides = {4, 1}}), "fgjk");        // a slice
  EXPECT_EQ(bytes({.offset = 1, .shape = {5}, .strides = {2}}), "bdfhj");             // every other one
  EXPECT_EQ(bytes({.offset = 2, .shape = {3}, .strides = {0}}), "ccc");               // expanded
  EXPECT_EQ(bytes({.shape = {2, 2, 3}, .strides = {6, 1, 2}}), "acebdfgikhjl");       // channels last
  EXPECT_EQ(bytes({.offset = 11, .shape = {}, .strides = {}}), "l");                  // a scalar
  EXPECT_EQ(bytes({.offset = 3, .shape = {1, 2, 1}, .strides = {99, 1, 77}}), "de");  // strides of 1 step
  EXPECT_EQ(bytes({.offset = 12, .shape = {0, 5}, .strides = {5, 1}}), "");           // empty, at the end
  EXPECT_EQ(bytes({.shape = {3, 2}, .strides = {1, 1}}), "abbccd");                   // overlapping
  EXPECT_EQ(viewed({"ShortStorage", "", 4, 0, {2, 2}, {1, 2}}, "aabbccdd"), "aaccbbdd");
}

TEST(TorchFile, SharedStoragesAreCopiedForEach) {
  const std::string pickle = PickleWriter()
                                 .raw("}(")
                                 .text("a")
                                 .tensor({"ByteStorage", "0", 4, 0, {4}, {1}})
                                 .text("b")
                                 .tensor({"ByteStorage", "0", 4, 2, {2}, {1}})
                                 .raw("u")
                                 .done();
  for (const Safetensors& content : {parse_torch_zip(torch_zip(pickle, {{"0", "wxyz"}}), "f"),
                                     parse_torch_legacy(torch_legacy(pickle, {{"0", 4, "wxyz"}}), "f")}) {
    EXPECT_EQ(content.find("a")->bytes, "wxyz");
    EXPECT_EQ(content.find("b")->bytes, "yz");
  }
}

/// A dictionary of one byte, 'x', under that name.
std::string dictionary(const std::string& name) {
  return PickleWriter()
      .ordered_dict()
      .text(name)
      .tensor({"ByteStorage", "0", 1, 0, {1}, {1}})
      .raw("s")
      .operations();
}

Safetensors read_pickle(const PickleWriter& pickle) {
  return parse_torch_zip(torch_zip(pickle.done(), {{"0", "x"}}), "f.pth");
}

TEST(TorchFile, CheckpointsWithOneDictionaryOfTensors) {
  for (const char* key :
       {"state_dict", "model", "model_state_dict", "model_state", "model_ema", "anything"}) {
    PickleWriter pickle;
    pickle.raw("}(").text("epoch").integer(3).text(key).raw(dictionary("w"));
    pickle.text("best").raw("G\x3f\xf0\0\0\0\0\0\0"s).text("history").raw("]");
    pickle.text("args").global("argparse", "Namespace").raw(")\x81}b");
    pickle.text("milestones").global("collections", "Counter").raw("}\x85R");
    // As an optimizer's: tensors two levels below.
    pickle.text("optimizer").raw("}(").text("state").raw("}K\0"s + dictionary("exp_avg") + "s").raw("u");
    const Safetensors content = read_pickle(pickle.raw("u"));
    EXPECT_EQ(names(content), std::vector<std::string>{"w"});
    EXPECT_EQ(content.metadata.at("taken_from"), key);
  }
}

TEST(TorchFile, TheWeightsAndNotTheirAverageOrATensorBeside) {
  PickleWriter pickle;
  pickle.raw("}(").text("model_ema").raw(dictionary("average")).text("model").raw(dictionary("w"));
  pickle.text("best").tensor({"ByteStorage", "0", 1, 0, {}, {}}).text("other").raw(dictionary("o")).raw("u");
  EXPECT_EQ(names(read_pickle(pickle)), std::vector<std::string>{"w"});
}

TEST(TorchFile, OtherValuesInTheDictionaryAreLeftOut) {
  PickleWriter pickle;
  pickle.raw("}(").text("w").tensor({"ByteStorage", "0", 1, 0, {1}, {1}}).text("version").integer(1);
  pickle.text("_extra").raw("N").integer(5).raw("N").text("optimizer").raw("}").raw("u");
  EXPECT_EQ(names(read_pickle(pickle)), std::vector<std::string>{"w"});
}

TEST(TorchFile, ParallelPrefixIsStrippedWhereAllHaveIt) {
  const auto of = [](const std::vector<std::string>& all) {
    PickleWriter pickle;
    pickle.raw("}(");
    for (const std::string& name : all) pickle.text(name).tensor({"ByteStorage", "0", 1, 0, {1}, {1}});
    return names(read_pickle(pickle.raw("u")));
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(of({"module.a.w", "module.b"}), (Names{"a.w", "b"}));
  EXPECT_EQ(of({"module.module.a"}), Names{"module.a"});
  EXPECT_EQ(of({"module.a", "b"}), (Names{"module.a", "b"}));
  EXPECT_EQ(of({"module.a", "module."}), (Names{"module.a", "module."}));
}

TEST(TorchFile, WhatOlderReleasesWrote) {
  const auto tensor = [](const char* shape) {
    PickleWriter pickle;
    pickle.global("torch._utils", "_rebuild_tensor")
        .raw("(")
        .legacy_storage("ByteStorage", "7", 2)
        .integer(0);
    return pickle.raw(shape).integers({1}).raw("tR").operations();
  };
  const std::string plain = tensor("(K\2t");
  for (const std::string& value :
       {plain, tensor("ctorch\nSize\n(K\2t\x85R"),
        "ctorch._utils\n_rebuild_parameter\n" + plain + "\x88" + PickleWriter().ordered_dict().operations() +
            "\x87R",
        "ctorch.nn.parameter\nParameter\n" + plain + "\x85R(\x88\x89Ntb",      // with the tensor
        "ctorch.nn.parameter\nParameter\n)\x81(" + plain + "NN\x88\x89tb"}) {  // the tensor in the state
    // Python 2: items handed over in a list, names as its str.
    const std::string items = "ccollections\nOrderedDict\n](](U\1w" + value + "ee\x85R";
    const Safetensors content =
        parse_torch_legacy(torch_legacy(PickleWriter().raw(items).done(), {{"7", 2, "xy"}}), "f");
    EXPECT_EQ(names(content), std::vector<std::string>{"w"});
    EXPECT_EQ(content.tensors[0].second.bytes, "xy");
    EXPECT_EQ(content.tensors[0].second.shape, Shape{2});
  }
}

TEST(TorchFile, PartsOfStorages) {
  // Before 0.4 a storage could be a part of another one: its third to sixth byte, of which the tensor takes
  // two.
  PickleWriter pickle;
  pickle.raw("}").text("w").global("torch._utils", "_rebuild_tensor").raw("((").text("storage");
  pickle.global("torch", "ByteStorage").text("0").text("cpu").integer(8);
  pickle.raw("(").text("part").integer(2).integer(4).raw("ttQ").integer(1).integers({2}).integers({2}).raw(
      "tRs");
  const Safetensors content = parse_torch_legacy(torch_legacy(pickle.done(), {{"0", 8, "abcdefgh"}}), "f");
  EXPECT_EQ(content.find("w")->bytes, "df");
}

TEST(TorchFile, OtherProtocols) {
  // Protocol 4: a frame, short texts, globals from the stack, memory without numbers.
  const auto global = [](const std::string& module, const std::string& name) {
    return "\x8c" + testing::little(module.size(), 1) + module + "\x94\x8c" +
           testing::little(name.size(), 1) + name + "\x94\x93\x94";
  };
  const std::string storage = "(\x8c\x07storage\x94" + global("torch", "FloatStorage") +
                              "\x8c\x01"
                              "0\x94\x8c\x03"
                              "cpu\x94K\x01t\x94Q";
  const std::string tensor = global("torch._utils", "_rebuild_tensor_v2") + "(" + storage +
                             "K\0K\1\x85\x94K\1\x85\x94\x89"s + global("collections", "OrderedDict") +
                             ")R\x94t\x94R\x94";
  const std::string pickle = "\x80\x04\x95\0\0\0\0\0\0\0\0}\x94\x8c\1w\x94"s + tensor + "s.";
  const Safetensors content = parse_torch_zip(torch_zip(pickle, {{"0", "\0\0\x80\x3f"s}}), "f");
  EXPECT_EQ(content.find("w")->bytes, "\0\0\x80\x3f"s);
}

TEST(TorchFile, ByteOrderIsSaid) {
  const std::string pickle =
      PickleWriter().raw("}").text("x").tensor({"ByteStorage", "0", 1, 0, {1}, {1}}).raw("s").done();
  const std::string file = testing::zip_of(
      {{"a/data.pkl", pickle}, {"a/byteorder", "little"}, {"a/data/0", "x"}, {"a/version", "3\n"}});
  EXPECT_EQ(names(parse_torch_zip(file, "f")), std::vector<std::string>{"x"});
}

}  // namespace
}  // namespace refnorm
