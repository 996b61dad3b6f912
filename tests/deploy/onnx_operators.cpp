// Each operator that is let through to OpenCV's dnn, against LibTorch's in float64.

#include <functional>

#include <torch/nn.h>
#include <torch/utils.h>

#include <refnorm/deploy/onnx_network.h>

#include "tests/deploy/onnx_files.h"
#include "tests/support/tensors.h"

namespace refnorm {
namespace {

using namespace testing;
namespace F = torch::nn::functional;
using torch::Tensor;

/// A file whose node (or nodes) make "y" of "images", and what y must be.
struct Case {
  std::string name;
  std::function<void(OnnxFile&)> build;
  std::function<Tensor(const Tensor&)> expected;
  OnnxFile::Shape images{-1, 3, 6, 5};
};

/// Prints its name rather than its bytes.
void PrintTo(const Case& one, std::ostream* out) {
  *out << one.name;
}

Tensor tensor_of(const std::vector<float>& values, torch::IntArrayRef shape) {
  return torch::tensor(values, torch::kFloat).to(torch::kDouble).view(shape);
}

std::vector<std::int64_t> list(std::initializer_list<std::int64_t> values) {
  return values;
}

Case plain(const std::string& kind, std::function<Tensor(const Tensor&)> expected) {
  return {kind, [kind](OnnxFile& file) { file.node(kind, {"images"}, "y"); }, std::move(expected)};
}

/// Of positive numbers.
Case positive(const std::string& kind, std::function<Tensor(const Tensor&)> expected) {
  return {kind,
          [kind](OnnxFile& file) {
            file.node("Abs", {"images"}, "a").weight("half", {1}, {0.5F}).node("Add", {"a", "half"}, "b");
            file.node(kind, {"b"}, "y");
          },
          [expected](const Tensor& x) { return expected(x.abs() + 0.5); }};
}

std::vector<Case> activations() {
  return {
      plain("Abs", [](const Tensor& x) { return x.abs(); }),
      plain("Neg", [](const Tensor& x) { return -x; }),
      plain("Exp", [](const Tensor& x) { return x.exp(); }),
      positive("Log", [](const Tensor& x) { return x.log(); }),
      positive("Sqrt", [](const Tensor& x) { return x.sqrt(); }),
      plain("Relu", [](const Tensor& x) { return x.relu(); }),
      plain("LeakyRelu", [](const Tensor& x) { return torch::leaky_relu(x, 0.01); }),
      plain("Elu", [](const Tensor& x) { return torch::elu(x); }),
      plain("Selu", [](const Tensor& x) { return torch::selu(x); }),
      plain("Sigmoid", [](const Tensor& x) { return x.sigmoid(); }),
      plain("Tanh", [](const Tensor& x) { return x.tanh(); }),
      plain("Softplus", [](const Tensor& x) { return F::softplus(x); }),
      plain("HardSigmoid", [](const Tensor& x) { return (0.2 * x + 0.5).clamp(0, 1); }),
      plain("HardSwish", [](const Tensor& x) { return torch::hardswish(x); }),
      plain("Identity", [](const Tensor& x) { return x; }),
      plain("Dropout", [](const Tensor& x) { return x; }),
      {"Clip",
       [](OnnxFile& file) {
         file.weight("least", {}, {-0.5F})
             .weight("most", {}, {0.25F})
             .node("Clip", {"images", "least", "most"}, "y");
       },
       [](const Tensor& x) { return x.clamp(-0.5, 0.25); }},
      {"PRelu of each channel",
       [](OnnxFile& file) {
         file.weight("slope", {3, 1, 1}, {0.5F, -1, 2}).node("PRelu", {"images", "slope"}, "y");
       },
       [](const Tensor& x) {
         return torch::where(x > 0, x, x * tensor_of({0.5F, -1, 2}, {3, 1, 1}));
       }},
      {"Cast", [](OnnxFile& file) { file.node("Cast", {"images"}, "y").with("to", std::int64_t{1}); },
       [](const Tensor& x) { return x; }},
      {"Softmax", [](OnnxFile& file) { file.node("Softmax", {"images"}, "y").with("axis", std::int64_t{1}); },
       [](const Tensor& x) { return x.softmax(1); }},
      {"LogSoftmax",
       [](OnnxFile& file) { file.node("LogSoftmax", {"images"}, "y").with("axis", std::int64_t{1}); },
       [](const Tensor& x) { return x.log_softmax(1); }},
  };
}

Case binary(const std::string& kind, const std::string& what, const OnnxFile::Shape& shape,
            std::function<Tensor(const Tensor&, const Tensor&)> expected) {
  std::int64_t count = 1;
  for (const std::int64_t size : shape) count *= size;
  std::vector<float> values = noise(count, 5);
  for (float& value : values) value += value < 0 ? -1.0F : 1.0F;  // nothing to divide by zero with
  return {kind + " " + what,
          [=](OnnxFile& file) {
            file.weight("other", shape, values).node(kind, {"images", "other"}, "y");
          },
          [=](const Tensor& x) { return expected(x, tensor_of(values, shape)); }};
}

std::vector<Case> arithmetic() {
  const std::pair<const char*, std::function<Tensor(const Tensor&, const Tensor&)>> kinds[] = {
      {"Add", [](const Tensor& a, const Tensor& b) { return a + b; }},
      {"Sub", [](const Tensor& a, const Tensor& b) { return a - b; }},
      {"Mul", [](const Tensor& a, const Tensor& b) { return a * b; }},
      {"Div", [](const Tensor& a, const Tensor& b) { return a / b; }}};
  std::vector<Case> cases;
  for (const auto& [kind, expected] : kinds) {
    cases.push_back(binary(kind, "a number", {1}, expected));
    cases.push_back(binary(kind, "a channel's", {3, 1, 1}, expected));
    cases.push_back(binary(kind, "a channel's, of four axes", {1, 3, 1, 1}, expected));
    const auto two = expected;
    cases.push_back({std::string(kind) + " of two layers",
                     [kind = kind](OnnxFile& file) {
                       file.node("Exp", {"images"}, "e").node("Sigmoid", {"images"}, "s");
                       file.node(kind, {"e", "s"}, "y");
                     },
                     [two](const Tensor& x) { return two(x.exp(), x.sigmoid()); }});
  }
  for (const char* kind : {"Max", "Min", "Sum"}) {
    cases.push_back({kind,
                     [kind](OnnxFile& file) {
                       file.node("Neg", {"images"}, "n").node("Tanh", {"images"}, "t");
                       file.node(kind, {"n", "t"}, "y");
                     },
                     [kind = std::string(kind)](const Tensor& x) {
                       const Tensor t = x.tanh();
                       return kind == "Max" ? torch::max(-x, t) : kind == "Min" ? torch::min(-x, t) : t - x;
                     }});
  }
  return cases;
}

std::vector<Case> shapes() {
  return {
      {"Reshape",
       [](OnnxFile& file) {
         file.numbers("to", {0, 5, -1}).node("Reshape", {"images", "to"}, "y");
       },
       [](const Tensor& x) {
         return x.reshape({x.size(0), 5, -1});
       }},
      {"Transpose",
       [](OnnxFile& file) {
         file.node("Transpose", {"images"}, "y").with("perm", list({0, 2, 3, 1}));
       },
       [](const Tensor& x) {
         return x.permute({0, 2, 3, 1});
       }},
      {"Concat",
       [](OnnxFile& file) {
         file.node("Neg", {"images"}, "n").node("Concat", {"images", "n"}, "y").with("axis", std::int64_t{1});
       },
       [](const Tensor& x) {
         return torch::cat({x, -x}, 1);
       }},
      {"Split",
       [](OnnxFile& file) {
         file.numbers("parts", {1, 2}).node("Split", {"images", "parts"}, "a").with("axis", std::int64_t{1});
         file.last().add_output("b");
         file.node("Concat", {"b", "a"}, "y").with("axis", std::int64_t{1});
       },
       [](const Tensor& x) {
         return torch::cat({x.narrow(1, 1, 2), x.narrow(1, 0, 1)}, 1);
       }},
      {"Slice",
       [](OnnxFile& file) {
         file.numbers("from", {1, 0}).numbers("to", {5, 3}).numbers("axes", {2, 3});
         file.node("Slice", {"images", "from", "to", "axes"}, "y");
       },
       [](const Tensor& x) { return x.narrow(2, 1, 4).narrow(3, 0, 3); }},
      {"Pad",
       [](OnnxFile& file) {
         file.numbers("by", {0, 0, 1, 2, 0, 0, 3, 4}).node("Pad", {"images", "by"}, "y");
       },
       [](const Tensor& x) {
         return torch::constant_pad_nd(x, {2, 4, 1, 3});
       }},
      {"Unsqueeze and Squeeze",
       [](OnnxFile& file) {
         file.node("Flatten", {"images"}, "f").numbers("axis", {2}).node("Unsqueeze", {"f", "axis"}, "u");
         file.node("Relu", {"u"}, "r").node("Squeeze", {"r", "axis"}, "y");
       },
       [](const Tensor& x) { return x.flatten(1).relu(); }},
      {"Constant",
       [](OnnxFile& file) {
         file.node("Constant", {}, "two");
         onnx::AttributeProto& value = *file.last().add_attribute();
         value.set_name("value");
         value.set_type(onnx::AttributeProto::TENSOR);
         value.mutable_t()->set_data_type(onnx::TensorProto::FLOAT);
         value.mutable_t()->add_dims(1);
         value.mutable_t()->add_float_data(2);
         file.node("Mul", {"images", "two"}, "y");
       },
       [](const Tensor& x) { return 2 * x; }},
      {"ReduceMean",
       [](OnnxFile& file) {
         file.node("ReduceMean", {"images"}, "y").with("axes", list({2, 3}));
       },
       [](const Tensor& x) {
         return x.mean({2, 3}, true);
       }},
      {"ReduceMax",
       [](OnnxFile& file) {
         file.node("ReduceMax", {"images"}, "y").with("axes", list({2, 3}));
       },
       [](const Tensor& x) {
         return x.amax({2, 3}, true);
       }},
      {"MatMul",
       [](OnnxFile& file) {
         file.weight("w", {90, 4}, noise(360, 6))
             .node("Flatten", {"images"}, "f")
             .node("MatMul", {"f", "w"}, "y");
       },
       [](const Tensor& x) {
         return x.flatten(1).matmul(tensor_of(noise(360, 6), {90, 4}));
       }},
  };
}

std::vector<Case> layers() {
  const auto pool = [](const std::string& kind, std::int64_t padded, std::int64_t ceil) {
    return [=](OnnxFile& file) {
      file.node(kind, {"images"}, "y").with("kernel_shape", list({3, 3})).with("strides", list({2, 2}));
      file.with("pads", list({1, 1, 1, 1}));
      if (ceil != 0) file.with("ceil_mode", ceil);
      if (padded >= 0) file.with("count_include_pad", padded);
    };
  };
  return {
      {"MaxPool", pool("MaxPool", -1, 0), [](const Tensor& x) { return torch::max_pool2d(x, 3, 2, 1); }},
      {"MaxPool rounding up", pool("MaxPool", -1, 1),
       [](const Tensor& x) { return torch::max_pool2d(x, 3, 2, 1, 1, true); }},
      {"AveragePool", pool("AveragePool", 0, 0),
       [](const Tensor& x) { return torch::avg_pool2d(x, 3, 2, 1, false, false); }},
      plain("GlobalAveragePool",
            [](const Tensor& x) {
              return x.mean({2, 3}, true);
            }),
      plain("GlobalMaxPool",
            [](const Tensor& x) {
              return x.amax({2, 3}, true);
            }),
      {"LRN", [](OnnxFile& file) { file.node("LRN", {"images"}, "y").with("size", std::int64_t{3}); },
       [](const Tensor& x) { return F::local_response_norm(x, F::LocalResponseNormFuncOptions(3)); }},
      {"BatchNormalization",
       [](OnnxFile& file) {
         file.weight("w", {3}, {1, -2, 0.5F}).weight("b", {3}, {0, 1, 2});
         file.weight("m", {3}, {0.1F, 0, -1}).weight("v", {3}, {1, 0.25F, 4});
         file.node("BatchNormalization", {"images", "w", "b", "m", "v"}, "y");
       },
       [](const Tensor& x) {
         return torch::batch_norm(x, tensor_of({1, -2, 0.5F}, {3}), tensor_of({0, 1, 2}, {3}),
                                  tensor_of({0.1F, 0, -1}, {3}), tensor_of({1, 0.25F, 4}, {3}), false, 0,
                                  1e-5, false);
       }},
      {"InstanceNormalization",
       [](OnnxFile& file) {
         file.weight("w", {3}, {1, -2, 0.5F}).weight("b", {3}, {0, 1, 2});
         file.node("InstanceNormalization", {"images", "w", "b"}, "y");
       },
       [](const Tensor& x) {
         const Tensor var = x.var({2, 3}, /*unbiased=*/false, /*keepdim=*/true);
         return (x - x.mean({2, 3}, true)) / (var + 1e-5).sqrt() * tensor_of({1, -2, 0.5F}, {3, 1, 1}) +
                tensor_of({0, 1, 2}, {3, 1, 1});
       }},
      {"Conv of groups",
       [](OnnxFile& file) {
         file.weight("w", {6, 1, 3, 3}, noise(54, 2)).weight("b", {6}, noise(6, 3));
         file.node("Conv", {"images", "w", "b"}, "y")
             .with("group", std::int64_t{3})
             .with("pads", list({1, 0, 1, 2}));
         file.with("dilations", list({1, 2}));
       },
       [](const Tensor& x) {
         return torch::conv2d(torch::constant_pad_nd(x, {0, 2, 1, 1}), tensor_of(noise(54, 2), {6, 1, 3, 3}),
                              tensor_of(noise(6, 3), {6}), torch::IntArrayRef{1, 1}, torch::IntArrayRef{0, 0},
                              torch::IntArrayRef{1, 2}, 3);
       }},
  };
}

class Operators : public ::testing::TestWithParam<Case> {};

TEST_P(Operators, IsWhatLibTorchComputes) {
  const Case& one = GetParam();
  OnnxFile file(one.images, {-1, -1});
  file.model.mutable_opset_import(0)->set_version(14);  // the first with HardSwish
  one.build(file);
  file.node("Flatten", {"y"}, "scores");
  deploy::OnnxNetwork network = deploy::OnnxNetwork::parse(file.bytes(), "file");
  const std::vector<float> images = noise(2 * 90, 11);
  const Tensor expected = one.expected(tensor_of(images, {2, 3, 6, 5})).flatten(1);
  const std::vector<float> scores = network.run(images, 2);
  ASSERT_EQ(static_cast<std::int64_t>(scores.size()), expected.numel());
  EXPECT_LT(distance(tensor_of(scores, expected.sizes()), expected), 1e-5);
}

std::string name_of(const ::testing::TestParamInfo<Case>& info) {
  std::string name;
  for (const char c : info.param.name) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) name += c;
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(Activations, Operators, ::testing::ValuesIn(activations()), name_of);
INSTANTIATE_TEST_SUITE_P(Arithmetic, Operators, ::testing::ValuesIn(arithmetic()), name_of);
INSTANTIATE_TEST_SUITE_P(Shapes, Operators, ::testing::ValuesIn(shapes()), name_of);
INSTANTIATE_TEST_SUITE_P(Layers, Operators, ::testing::ValuesIn(layers()), name_of);

}  // namespace
}  // namespace refnorm
