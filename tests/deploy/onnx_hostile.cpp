// Damaged and hostile ONNX files: each is one line that names the file, or a network that runs.

#include <functional>
#include <limits>

#include <gtest/gtest.h>

#include <refnorm/base/random.h>
#include <refnorm/deploy/onnx_network.h>

#include "tests/base/helpers.h"
#include "tests/base/mutate.h"
#include "tests/deploy/onnx_files.h"

namespace refnorm {
namespace {

using namespace testing;
using deploy::OnnxNetwork;

std::string complaint(const std::string& bytes) {
  ::testing::internal::CaptureStderr();
  const std::string said = user_error_of([&] { OnnxNetwork::parse(bytes, "bad.onnx"); });
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  EXPECT_TRUE(said.starts_with("bad.onnx: ")) << said;
  EXPECT_LT(said.size(), 600U) << said;
  return said;
}

/// What is said of small_network() after a change.
std::string complaint_after(const std::function<void(OnnxFile&)>& change) {
  OnnxFile file = small_network();
  change(file);
  return complaint(file.bytes());
}

onnx::TensorProto& weight_of(OnnxFile& file, const std::string& name) {
  for (onnx::TensorProto& tensor : *file.graph().mutable_initializer()) {
    if (tensor.name() == name) return tensor;
  }
  throw std::out_of_range(name);
}

onnx::NodeProto& node_of(OnnxFile& file, const std::string& output) {
  for (onnx::NodeProto& node : *file.graph().mutable_node()) {
    if (node.output(0) == output) return node;
  }
  throw std::out_of_range(output);
}

/// Of the attribute that is there.
void set_numbers(OnnxFile& file, const std::string& output, const std::string& name,
                 const std::vector<std::int64_t>& values) {
  for (onnx::AttributeProto& attribute : *node_of(file, output).mutable_attribute()) {
    if (attribute.name() != name) continue;
    attribute.clear_ints();
    for (const std::int64_t value : values) attribute.add_ints(value);
  }
}

TEST(HostileOnnx, WhatIsNoOnnxFile) {
  complaint("");
  complaint("hello, this is a text");
  complaint(std::string(1000, '\0'));
  complaint(std::string(1000, '\xff'));
  complaint("\x89PNG\r\n\x1a\n");
  RandomStream random(1, "bytes");
  for (int i = 0; i < 300; ++i) {
    std::string bytes;
    for (std::uint64_t n = random.below(400); n > 0; --n) bytes += static_cast<char>(random.below(256));
    complaint(bytes);
  }
}

TEST(HostileOnnx, Truncated) {
  const std::string bytes = small_network().bytes();
  for (std::size_t kept = 0; kept < bytes.size(); kept += 1 + bytes.size() / 200)
    complaint(bytes.substr(0, kept));
}

TEST(HostileOnnx, MutatedFilesRunOrAreRefused) {
  RandomStream random(2, "mutations");
  const std::string whole = small_network().bytes();
  int running = 0;
  for (int i = 0; i < 1500; ++i) {
    const std::string bytes = mutate(whole, random);
    try {
      OnnxNetwork network = OnnxNetwork::parse(bytes, "bad.onnx");
      const auto& shape = network.description();
      const auto values = shape.channels * shape.height * shape.width;
      EXPECT_EQ(network.run(noise(values, 1), 1).size(), shape.classes.size());
      ++running;
    } catch (const UserError& error) {
      EXPECT_TRUE(contains(error.what(), "bad.onnx: "));
      EXPECT_FALSE(contains(error.what(), "\n"));
    }
  }
  EXPECT_GT(running, 100);  // most damage is to a weight's value
}

TEST(HostileOnnx, WeightsWithOtherShapes) {
  const auto resized = [](const std::string& name, const std::vector<std::int64_t>& dims) {
    return complaint_after([&](OnnxFile& file) {
      onnx::TensorProto& tensor = weight_of(file, name);
      tensor.clear_dims();
      for (const std::int64_t size : dims) tensor.add_dims(size);
    });
  };
  EXPECT_TRUE(contains(resized("conv1.weight", {3, 1, 5, 4}), "'conv1.weight' is of [3, 1, 5, 4]"));
  resized("conv1.weight", {-3, -1, 5, 5});
  resized("conv1.weight", {std::int64_t{1} << 40, std::int64_t{1} << 40});
  resized("conv1.weight", {0, 1, 5, 5});
  EXPECT_TRUE(contains(resized("conv1.weight", {1, 3, 5, 5}),
                       "the node 'n_conv1' (Conv) has weights of [1, 3, 5, 5]"));
  resized("conv1.weight", {75});
  resized("conv1.bias", {1, 3});
  resized("fc1.weight", {144, 12});
  resized("fc1.weight", {24, 72});
  resized("fc2.bias", {2, 5});
  complaint_after(
      [](OnnxFile& file) { weight_of(file, "conv1.weight").set_data_type(onnx::TensorProto::STRING); });
  complaint_after([](OnnxFile& file) { weight_of(file, "conv1.weight").set_data_type(9999); });
  complaint_after(
      [](OnnxFile& file) { weight_of(file, "fc2.bias").set_data_type(onnx::TensorProto::INT64); });
  complaint_after([](OnnxFile& file) { weight_of(file, "fc2.bias").mutable_segment()->set_begin(0); });
  complaint_after([](OnnxFile& file) { weight_of(file, "fc2.bias").set_raw_data("abc"); });
  EXPECT_TRUE(contains(complaint_after([](OnnxFile& file) { file.weight("fc2.bias", {10}, noise(10, 1)); }),
                       "two weights are called 'fc2.bias'"));
}

TEST(HostileOnnx, DataOutsideTheFile) {
  const std::string said = complaint_after([](OnnxFile& file) {
    onnx::TensorProto& tensor = weight_of(file, "fc1.weight");
    tensor.clear_float_data();
    tensor.set_data_location(onnx::TensorProto::EXTERNAL);
    auto& place = *tensor.add_external_data();
    place.set_key("location");
    place.set_value("/etc/passwd");
  });
  EXPECT_TRUE(contains(said, "'fc1.weight' lies in another file")) << said;
}

TEST(HostileOnnx, Graphs) {
  EXPECT_TRUE(contains(complaint_after([](OnnxFile& file) { node_of(file, "relu1").set_input(0, "nobody"); }),
                       "nobody"));
  complaint_after([](OnnxFile& file) { node_of(file, "conv1").set_input(0, "relu1"); });  // a circle
  complaint_after([](OnnxFile& file) { node_of(file, "relu1").set_input(0, "relu1"); });
  complaint_after([](OnnxFile& file) { node_of(file, "relu1").set_output(0, "conv1"); });
  complaint_after([](OnnxFile& file) { file.graph().mutable_node()->SwapElements(0, 3); });
  complaint_after([](OnnxFile& file) { file.graph().clear_output(); });
  complaint_after([](OnnxFile& file) { file.graph().clear_input(); });
  complaint_after([](OnnxFile& file) {
    OnnxFile::declare(*file.graph().add_input(), "more", {-1, 1, 28, 28});
  });
  complaint_after([](OnnxFile& file) { file.graph().mutable_output(0)->set_name("nobody"); });
  complaint_after([](OnnxFile& file) { file.graph().mutable_output(0)->set_name("images"); });
  complaint_after([](OnnxFile& file) { node_of(file, "relu1").clear_input(); });
  complaint_after([](OnnxFile& file) {
    node_of(file, "conv1").mutable_input()->RemoveLast();
    node_of(file, "conv1").mutable_input()->RemoveLast();
  });
  complaint_after([](OnnxFile& file) { node_of(file, "relu1").set_op_type("Relux"); });
  complaint_after([](OnnxFile& file) { node_of(file, "relu1").set_domain("com.example"); });
  complaint_after([](OnnxFile& file) { file.model.mutable_opset_import(0)->set_version(99); });
  complaint_after([](OnnxFile& file) { file.model.clear_opset_import(); });
  complaint_after([](OnnxFile& file) { file.model.set_ir_version(99); });
  complaint_after([](OnnxFile& file) { file.model.add_functions()->set_name("f"); });
  complaint_after([](OnnxFile& file) {
    onnx::AttributeProto& body = *node_of(file, "relu1").add_attribute();
    body.set_name("body");
    body.set_type(onnx::AttributeProto::GRAPH);
    body.mutable_g()->set_name("inner");
  });
}

TEST(HostileOnnx, Sizes) {
  const auto of_images = [](const OnnxFile::Shape& shape) {
    return complaint_after(
        [&](OnnxFile& file) { OnnxFile::declare(*file.graph().mutable_input(0), "images", shape); });
  };
  of_images({-1, 1, 28, 28, 1});
  of_images({-1, 784});
  of_images({-1, 1, 28, std::int64_t{1} << 40});
  of_images({std::int64_t{1} << 40, 1, 28, 28});
  of_images({-1, 1, 0, 28});
  of_images({-1, 1, 2, 28});
  of_images({-1, 3, 28, 28});
  complaint_after([](OnnxFile& file) {
    file.graph().mutable_input(0)->mutable_type()->mutable_tensor_type()->set_elem_type(
        onnx::TensorProto::INT8);
  });
  complaint_after([](OnnxFile& file) { file.graph().mutable_input(0)->clear_type(); });
  EXPECT_TRUE(contains(complaint_after([](OnnxFile& file) {
                         OnnxFile::declare(*file.graph().mutable_output(0), "scores", {-1, 9});
                       }),
                       "is declared as [-1, 9], and the graph makes [1, 10]"));
}

TEST(HostileOnnx, NumbersOfLayers) {
  const std::int64_t huge = std::numeric_limits<std::int64_t>::max();
  for (const std::int64_t number : {std::int64_t{0}, std::int64_t{-1}, std::int64_t{1} << 31, huge}) {
    complaint_after([&](OnnxFile& file) { set_numbers(file, "conv2", "strides", {number, number}); });
    complaint_after([&](OnnxFile& file) { set_numbers(file, "pool1", "strides", {1, number}); });
    complaint_after([&](OnnxFile& file) { set_numbers(file, "pool1", "kernel_shape", {number, 2}); });
    complaint_after([&](OnnxFile& file) {
      node_of(file, "conv2").clear_attribute();
      onnx::AttributeProto& group = *node_of(file, "conv2").add_attribute();
      group.set_name("group");
      group.set_type(onnx::AttributeProto::INT);
      group.set_i(number == -1 ? 2 : number);
    });
  }
  complaint_after([&](OnnxFile& file) { set_numbers(file, "conv1", "pads", {-1, 0, 0, 0}); });
  complaint_after([&](OnnxFile& file) { set_numbers(file, "conv1", "pads", {huge, huge, huge, huge}); });
  complaint_after([&](OnnxFile& file) { set_numbers(file, "conv1", "pads", {60000, 60000, 60000, 60000}); });
  complaint_after([&](OnnxFile& file) { set_numbers(file, "conv1", "pads", {1, 1}); });
  complaint_after([&](OnnxFile& file) { set_numbers(file, "pool1", "kernel_shape", {2}); });
  complaint_after([&](OnnxFile& file) { set_numbers(file, "pool1", "kernel_shape", {}); });
}

TEST(HostileOnnx, Metadata) {
  const auto with = [](const std::map<std::string, std::string>& metadata) {
    return complaint(small_network().metadata(metadata).bytes());
  };
  EXPECT_TRUE(contains(with({{"refnorm.model", "lenet5"}}), "refnorm.preprocessing"));
  const std::string pictures = R"({"channels":1,"height":28,"width":28,"mean":[0],"std":[1]})";
  EXPECT_TRUE(contains(with({{"refnorm.preprocessing", pictures}}), "refnorm.classes"));
  with({{"refnorm.preprocessing", "{"}, {"refnorm.classes", "[]"}});
  with({{"refnorm.preprocessing", pictures}, {"refnorm.classes", "[]"}});
  with({{"refnorm.preprocessing", pictures}, {"refnorm.classes", "[1, 2]"}});
  with({{"refnorm.preprocessing", pictures}, {"refnorm.classes", "\"0123456789\""}});
  OnnxFile twice = small_network();
  twice.metadata({{"a", "1"}}).metadata({{"a", "2"}});
  EXPECT_TRUE(contains(complaint(twice.bytes()), "duplicate keys"));
}

}  // namespace
}  // namespace refnorm
