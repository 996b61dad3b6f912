#include <algorithm>

#include <refnorm/base/error.h>
#include <refnorm/base/text.h>
#include <refnorm/deploy/onnx_checks.h>

namespace refnorm::deploy {
namespace {

using Shape = std::vector<std::int64_t>;

std::int64_t number_of(const onnx::NodeProto& node, std::string_view name, std::int64_t otherwise) {
  for (const auto& attribute : node.attribute()) {
    if (attribute.name() == name) return attribute.i();
  }
  return otherwise;
}

/// A layer and the shapes of what goes into it.
class Layer {
 public:
  Layer(const onnx::NodeProto& node, const OnnxShapes& shapes, const std::string& origin)
      : node_(node), shapes_(shapes), origin_(origin) {}

  bool has(int i) const { return i < node_.input_size() && !node_.input(i).empty(); }

  const Shape& input(int i) const {
    const auto found = has(i) ? shapes_.find(node_.input(i)) : shapes_.end();
    if (found == shapes_.end()) wrong("lacks an input");
    return found->second;
  }

  void axes(int i, std::size_t count) const {
    if (input(i).size() != count) wrong(fmt::format("takes [{}]", fmt::join(input(i), ", ")));
  }

  void expect(int i, const Shape& shape) const {
    if (!has(i) || input(i) == shape) return;
    wrong(fmt::format("has a weight '{}' of [{}], expected [{}]", printable(node_.input(i)),
                      fmt::join(input(i), ", "), fmt::join(shape, ", ")));
  }

  const onnx::NodeProto& node() const { return node_; }

  [[noreturn]] void wrong(const std::string& what) const {
    user_error("{}: {} {}", origin_, title_of(node_), what);
  }

 private:
  const onnx::NodeProto& node_;
  const OnnxShapes& shapes_;
  const std::string& origin_;
};

/// x[N, C, H, W], W[O, C/g, h, w], B[O].
void check_convolution(const Layer& layer) {
  layer.axes(0, 4);
  layer.axes(1, 4);
  const std::int64_t groups = number_of(layer.node(), "group", 1);
  const Shape& x = layer.input(0);
  const Shape& weight = layer.input(1);
  if (weight[1] * groups != x[1] || weight[0] % groups != 0 ||
      *std::min_element(weight.begin(), weight.end()) < 1)
    layer.wrong(fmt::format("has weights of [{}] in {} groups for {} channels", fmt::join(weight, ", "),
                            groups, x[1]));
  for (const auto& attribute : layer.node().attribute()) {
    if (attribute.name() != "kernel_shape") continue;
    if (attribute.ints(0) != weight[2] || attribute.ints(1) != weight[3])
      layer.wrong(fmt::format("has a kernel of {} x {} and weights of [{}]", attribute.ints(0),
                              attribute.ints(1), fmt::join(weight, ", ")));
  }
  layer.expect(2, {weight[0]});
}

/// x[N, K] · W[K, M] + B, which is [M], [1, M], [1] or a scalar where it is the same for all samples.
void check_dense(const Layer& layer) {
  layer.axes(0, 2);
  layer.axes(1, 2);
  const bool a_turned = number_of(layer.node(), "transA", 0) != 0;
  const bool b_turned = number_of(layer.node(), "transB", 0) != 0;
  const std::int64_t k = layer.input(0)[a_turned ? 0 : 1];
  const std::int64_t m = layer.input(1)[b_turned ? 0 : 1];
  if (layer.input(1)[b_turned ? 1 : 0] != k)
    layer.wrong(fmt::format("multiplies [{}] by [{}]", fmt::join(layer.input(0), ", "),
                            fmt::join(layer.input(1), ", ")));
  if (layer.has(2) && layer.input(2) != Shape{1, m}) layer.expect(2, {m});
}

void check_per_channel(const Layer& layer, int first, int last) {
  if (layer.input(0).size() < 2) layer.axes(0, 4);
  for (int i = first; i <= last; ++i) {
    layer.input(i);
    layer.expect(i, {layer.input(0)[1]});
  }
}

std::int64_t values_of(const Shape& shape) {
  std::int64_t values = 1;
  for (const std::int64_t size : shape) values *= size;
  return values;
}

/// Tensors of one shape; or a first one, and a second of one number or of one for each channel ([C, 1, …] or
/// [1, C, 1, …]). With other shapes that ONNX stretches to fit, dnn computes something else, or writes beyond
/// an end.
void check_elementwise(const Layer& layer, bool stretches) {
  const Shape& first = layer.input(0);
  for (int i = 1; i < layer.node().input_size(); ++i) {
    const Shape& other = layer.input(i);
    if (other == first) continue;
    const bool number = values_of(other) == 1 && other.size() <= first.size();
    bool by_channel = first.size() >= 2 && values_of(other) == first[1];
    by_channel = by_channel && ((other.size() == first.size() && other[1] == first[1]) ||
                                (other.size() + 1 == first.size() && other[0] == first[1]));
    if (!stretches || layer.node().input_size() != 2 || !(number || by_channel))
      layer.wrong(
          fmt::format("combines [{}] with [{}], which OpenCV's dnn does not do rightly; onnxruntime does",
                      fmt::join(first, ", "), fmt::join(other, ", ")));
  }
}

/// One slope, or one a channel: [C, 1, …].
void check_slopes(const Layer& layer) {
  if (layer.input(0).size() < 2) layer.axes(0, 4);
  const Shape& slope = layer.input(1);
  const std::int64_t values = values_of(slope);
  const bool first = !slope.empty() && slope[0] == values && values == layer.input(0)[1];
  if (values != 1 && !first) layer.wrong(fmt::format("has slopes of [{}]", fmt::join(slope, ", ")));
}

}  // namespace

void check_layer(const onnx::NodeProto& node, const OnnxShapes& shapes, const std::string& origin) {
  const Layer layer(node, shapes, origin);
  for (int i = 0; i < node.input_size(); ++i) {
    if (layer.has(i)) layer.input(i);
  }
  const std::string& kind = node.op_type();
  if (kind == "Conv") check_convolution(layer);
  if (kind == "Gemm") check_dense(layer);
  if (kind == "BatchNormalization") check_per_channel(layer, 1, 4);
  if (kind == "InstanceNormalization") {
    if (layer.input(0).size() != 4)
      layer.wrong(fmt::format(
          "takes [{}], as group norms are written, which OpenCV's dnn does not run; onnxruntime does",
          fmt::join(layer.input(0), ", ")));
    check_per_channel(layer, 1, 2);
  }
  if (kind == "Add" || kind == "Sub" || kind == "Mul" || kind == "Div") check_elementwise(layer, true);
  if (kind == "Max" || kind == "Min" || kind == "Sum") check_elementwise(layer, false);
  if (kind == "Cast" && number_of(node, "to", 0) != onnx::TensorProto::FLOAT)
    layer.wrong("makes other numbers than float32; onnxruntime may run it");
  if (kind == "PRelu") check_slopes(layer);
  if (kind.ends_with("Pool") || kind == "LRN") layer.axes(0, 4);
  if (kind == "AveragePool" && number_of(layer.node(), "count_include_pad", 0) != 0)
    layer.wrong("counts its padding, which OpenCV's dnn does not; onnxruntime does");
}

}  // namespace refnorm::deploy
