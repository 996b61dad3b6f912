// Writes the files that fuzzing begins with: fuzz_seeds FOLDER makes FOLDER/TARGET/NAME.
#include <cstdio>
#include <exception>

#include <onnx/onnx_pb.h>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>

#include <refnorm/base/file.h>
#include <refnorm/base/safetensors.h>
#include <refnorm/base/weights_file.h>

#include "tests/base/torch_writer.h"

namespace {

using namespace refnorm;
using refnorm::testing::PickleWriter;

std::string checkpoint(bool legacy) {
  PickleWriter pickle;
  pickle.raw("}(").text("epoch").integer(3).text("state_dict").ordered_dict().raw("(");
  pickle.text("module.w").tensor({"FloatStorage", "0", 6, 0, {3, 2}, {1, 3}, legacy});
  pickle.text("module.b").global("torch._utils", "_rebuild_parameter").raw("(");
  pickle.tensor({"FloatStorage", "0", 6, 2, {2}, {2}, legacy}).raw("\x88").ordered_dict().raw("tRu}");
  pickle.text("_metadata").ordered_dict().raw("sb");
  pickle.text("args").global("argparse", "Namespace").raw(")\x81}b");
  return pickle.text("history")
      .raw(
          "]q\1(NG\x3f\xf0NNNNNN\x88h\1\x8a\1\x80"
          "e"
          "u")
      .done();
}

/// Behind the five bytes that say what is wanted of it.
std::string picture(const std::string& format, int channels, const std::vector<int>& settings) {
  cv::Mat pixels(40, 50, CV_8UC(channels));
  for (int y = 0; y < pixels.rows; ++y) {
    for (int i = 0; i < pixels.cols * channels; ++i)
      pixels.ptr(y)[i] = static_cast<unsigned char>(i * 5 + y * 3);
  }
  std::vector<unsigned char> bytes;
  cv::imencode(format, pixels, bytes, settings);
  return std::string("\x20\x30\x80\x90\x04", 5) + std::string(bytes.begin(), bytes.end());
}

/// Protocol 4: a frame, short texts, globals from the stack.
std::string later_protocol() {
  const auto global = [](std::string_view module, std::string_view name) {
    return PickleWriter().text(module).text(name).raw("\x93\x94").operations();
  };
  const std::string storage = PickleWriter()
                                  .raw("(")
                                  .text("storage")
                                  .raw(global("torch", "ByteStorage"))
                                  .text("0")
                                  .text("cpu")
                                  .integer(4)
                                  .raw("tQ")
                                  .operations();
  return "\x80\x04\x95" + testing::little(200, 8) +
         PickleWriter()
             .raw("}\x94\x8c\x01w\x94")
             .raw(global("torch._utils", "_rebuild_tensor_v2") + "(" + storage)
             .integer(0)
             .integers({2, 2})
             .integers({2, 1})
             .raw("\x89Nt\x94Rs.")
             .operations();
}

/// What releases before 0.4 wrote: parameters around tensors, sizes by name, a part of a storage.
std::string older_release() {
  PickleWriter pickle;
  pickle.global("collections", "OrderedDict").raw("](](").text("w").global("torch.nn.parameter", "Parameter");
  pickle.raw(")\x81(").global("torch._utils", "_rebuild_tensor").raw("((").text("storage");
  pickle.global("torch", "FloatStorage").text("0").text("cpu").integer(6);
  pickle.raw("(").text("1").integer(2).integer(3).raw("ttQ").integer(1);
  return pickle.global("torch", "Size")
      .integers({2})
      .raw("\x85R")
      .integers({1})
      .raw("tRNN\x88\x89tbee\x85R")
      .done();
}

std::string several_dictionaries() {
  PickleWriter pickle;
  pickle.raw("}(");
  for (const char* name : {"model", "state_dict"}) {
    pickle.text(name).raw("}").text("w").tensor({"FloatStorage", "0", 6, 0, {2, 2}, {0, 1}}).raw("s");
  }
  return pickle.raw("u").done();
}

void write(const std::filesystem::path& folder,
           const std::vector<std::pair<std::string, std::string>>& files) {
  make_folder(folder);
  for (const auto& [name, bytes] : files) write_file(folder / name, bytes);
}

/// Behind the byte that says which kind of file it is.
std::string coco_instances() {
  return std::string(1, '\0') +
         R"({"images":[{"id":1,"height":6,"width":8,"file_name":"a.jpg"}],"annotations":[)"
         R"({"id":1,"image_id":1,"category_id":3,"bbox":[1,1,4,3],"area":9.5,"iscrowd":0,)"
         R"("segmentation":[[1,1,5,1,5,4],[1.5,2,4,3,2,4,1,1]]},)"
         R"({"id":2,"image_id":1,"category_id":3,"bbox":[0,0,8,6],"area":20,"iscrowd":1,)"
         R"("segmentation":{"counts":[4,20,24],"size":[6,8]}},)"
         R"({"id":3,"image_id":1,"category_id":3,"bbox":[0,0,8,6],"area":20,)"
         R"("segmentation":{"counts":"4d0h0","size":[6,8]}}],"categories":[{"id":3,"name":"c"}]})";
}

std::string coco_results() {
  return "\1"
         R"([{"image_id":1,"category_id":3,"score":0.5,"bbox":[1,2.25,3,4],)"
         R"("segmentation":{"size":[6,8],"counts":"4d0h0"}}])";
}

void declare(onnx::ValueInfoProto& value, const std::string& name, const std::vector<std::int64_t>& shape) {
  value.set_name(name);
  auto* type = value.mutable_type()->mutable_tensor_type();
  type->set_elem_type(onnx::TensorProto::FLOAT);
  type->mutable_shape()->add_dim()->set_dim_param("batch");
  for (const std::int64_t size : shape) type->mutable_shape()->add_dim()->set_dim_value(size);
}

/// relu(conv(images)) -> flatten -> dense layer, for pictures of 2 x 2.
std::string small_network() {
  onnx::ModelProto model;
  model.set_ir_version(8);
  model.add_opset_import()->set_version(17);
  onnx::GraphProto& graph = *model.mutable_graph();
  graph.set_name("small");
  declare(*graph.add_input(), "images", {1, 2, 2});
  declare(*graph.add_output(), "scores", {2});
  const auto constant = [&](const std::string& name, const std::vector<std::int64_t>& shape, int values) {
    onnx::TensorProto& tensor = *graph.add_initializer();
    tensor.set_name(name);
    tensor.set_data_type(onnx::TensorProto::FLOAT);
    for (const std::int64_t size : shape) tensor.add_dims(size);
    for (int i = 0; i < values; ++i) tensor.add_float_data(0.5F);
  };
  const auto node = [&](const std::string& op, const std::vector<std::string>& inputs,
                        const std::string& output) {
    onnx::NodeProto& made = *graph.add_node();
    made.set_op_type(op);
    made.set_name(output);
    for (const std::string& input : inputs) made.add_input(input);
    made.add_output(output);
  };
  constant("kernel", {3, 1, 1, 1}, 3);
  constant("bias", {3}, 3);
  constant("dense", {12, 2}, 24);
  node("Conv", {"images", "kernel", "bias"}, "made");
  node("Relu", {"made"}, "passed");
  node("Flatten", {"passed"}, "flat");
  node("Gemm", {"flat", "dense"}, "scores");
  return model.SerializeAsString();
}

void write_seeds(const std::filesystem::path& folder) {
  Safetensors content;
  content.tensors = {
      {"w", {"F32", {2, 1}, "abcdefgh"}}, {"n", {"I64", {}, "12345678"}}, {"e", {"U8", {0, 3}, ""}}};
  const std::string plain =
      R"({"b":{"dtype":"F16","shape":[2],"data_offsets":[1,5]},"a":{"dtype":"I8","shape":[],"data_offsets":[0,1]}})";
  const std::string foreign = testing::little(plain.size(), 8) + plain + "abcde";
  content.metadata = {{"step", "7"}};
  const std::string ours = to_safetensors(content);
  write(folder / "safetensors", {{"ours", ours}, {"foreign", foreign}});
  write(folder / "pickle", {{"checkpoint", checkpoint(false)},
                            {"protocol-4", later_protocol()},
                            {"older", older_release()},
                            {"several", several_dictionaries()}});
  const std::string storage(24, 'f');
  const std::vector<std::pair<std::string, std::string>> weights{
      {"safetensors", foreign},
      {"zip", testing::small_torch_file()},
      {"legacy", testing::small_torch_file(true)},
      {"zip-checkpoint", testing::torch_zip(checkpoint(false), {{"0", storage}})},
      {"zip-protocol-4", testing::torch_zip(later_protocol(), {{"0", "abcd"}})},
      {"legacy-older", testing::torch_legacy(older_release(), {{"0", 6, storage}})},
      {"legacy-checkpoint", testing::torch_legacy(checkpoint(true), {{"0", 6, storage}})}};
  // What a reader turns away at once would be a poor beginning.
  for (const auto& [name, bytes] : weights) parse_weights(bytes, "seed " + name);
  write(folder / "weights_file", weights);
  write(folder / "coco", {{"instances", coco_instances()}, {"results", coco_results()}});
  write(folder / "rle", {{"mask",
                          "\6\10"
                          "4d0h0"},
                         {"long",
                          "\377\377"
                          "1oaH3no_1"}});
  write(folder / "onnx_network", {{"convolution", small_network()}});
  write(folder / "picture", {{"jpeg", picture(".jpg", 3, {})},
                             {"progressive", picture(".jpg", 3, {cv::IMWRITE_JPEG_PROGRESSIVE, 1})},
                             {"grey", picture(".jpg", 1, {cv::IMWRITE_JPEG_RST_INTERVAL, 2})},
                             {"png", picture(".png", 4, {})},
                             {"ppm", picture(".ppm", 3, {})},
                             {"tiff", picture(".tiff", 3, {})}});
}

}  // namespace

int main(int count, char** words) {
  if (count != 2) {
    std::fprintf(stderr, "usage: fuzz_seeds FOLDER\n");
    return 2;
  }
  try {
    write_seeds(words[1]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "fuzz_seeds: error: %s\n", error.what());
    return 1;
  }
  return 0;
}
