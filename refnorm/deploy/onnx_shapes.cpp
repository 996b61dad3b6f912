#include <set>

#include <onnx/defs/schema.h>
#include <onnx/shape_inference/implementation.h>

#include <refnorm/base/error.h>
#include <refnorm/base/text.h>
#include <refnorm/deploy/onnx_checks.h>

namespace refnorm::deploy {
namespace {

constexpr std::int64_t kMostValuesAll = std::int64_t{1} << 30;  // of all layers together
/// Tensors of whole numbers up to this size are shapes, axes or paddings, by which inference goes.
constexpr std::int64_t kMostNumbers = 64;

class Inference {
 public:
  Inference(const onnx::ModelProto& model, const std::string& origin) : model_(model), origin_(origin) {
    for (const onnx::TensorProto& tensor : model.graph().initializer()) take_constant(tensor.name(), tensor);
    for (const onnx::ValueInfoProto& input : model.graph().input()) take(input);
  }

  OnnxShapes run() {
    for (const onnx::NodeProto& node : model_.graph().node()) {
      check_layer(node, shapes_, origin_);
      infer(node);
      if (node.op_type() != "Constant") continue;
      for (const onnx::AttributeProto& attribute : node.attribute()) {
        if (attribute.has_t()) take_constant(node.output(0), attribute.t());
      }
    }
    return shapes_;
  }

 private:
  void take_constant(const std::string& name, const onnx::TensorProto& tensor) {
    shapes_[name] = {tensor.dims().begin(), tensor.dims().end()};
    types_[name] = tensor.data_type();
    constants_[name] = &tensor;
  }

  void take(const onnx::ValueInfoProto& value) {
    auto& shape = shapes_[value.name()];
    if (!value.type().tensor_type().has_shape()) shape = {-1};
    for (const auto& axis : value.type().tensor_type().shape().dim())
      shape.push_back(axis.has_dim_value() ? axis.dim_value() : -1);
    types_[value.name()] = value.type().tensor_type().elem_type();
  }

  /// What goes into a node, as a graph of that node alone declares it.
  void declare(const std::string& name, onnx::GraphProto& graph) const {
    onnx::ValueInfoProto& value = *graph.add_input();
    value.set_name(name);
    auto& type = *value.mutable_type()->mutable_tensor_type();
    type.set_elem_type(types_.at(name));
    type.mutable_shape();
    for (const std::int64_t size : shapes_.at(name)) type.mutable_shape()->add_dim()->set_dim_value(size);
    const auto constant = constants_.find(name);
    if (constant == constants_.end() || constant->second->data_type() != onnx::TensorProto::INT64) return;
    if (constant->second->dims_size() > 1 ||
        (constant->second->dims_size() == 1 && constant->second->dims(0) > kMostNumbers))
      return;
    *graph.add_initializer() = *constant->second;
    graph.mutable_initializer()->rbegin()->set_name(name);
  }

  void infer(const onnx::NodeProto& node) {
    onnx::ModelProto alone;
    alone.set_ir_version(model_.ir_version());
    *alone.mutable_opset_import() = model_.opset_import();
    onnx::GraphProto& graph = *alone.mutable_graph();
    *graph.add_node() = node;
    for (const std::string& name : std::set<std::string>(node.input().begin(), node.input().end())) {
      if (!name.empty()) declare(name, graph);
    }
    try {
      onnx::shape_inference::InferShapes(alone, onnx::OpSchemaRegistry::Instance(),
                                         onnx::ShapeInferenceOptions(true, 1, false));
    } catch (const std::exception& error) {
      user_error("{}: {}: its shapes do not fit together: {}", origin_, title_of(node),
                 one_line(error.what()));
    }
    for (const onnx::ValueInfoProto& value : alone.graph().value_info()) take(value);
    for (const std::string& name : node.output()) {
      if (!name.empty()) check_made(node, name);
    }
  }

  void check_made(const onnx::NodeProto& node, const std::string& name) {
    const auto found = shapes_.find(name);
    std::int64_t values = 1;
    bool known = found != shapes_.end();
    if (known) {
      for (const std::int64_t size : found->second) known = known && size >= 0;
    }
    if (!known)
      user_error("{}: the shape that {} makes cannot be told from the graph", origin_, title_of(node));
    check_size({name, found->second}, origin_);
    for (const std::int64_t size : found->second) values *= size;
    all_ += values;
    if (all_ > kMostValuesAll) user_error("{}: its layers make more than {} values", origin_, kMostValuesAll);
  }

  const onnx::ModelProto& model_;
  const std::string& origin_;
  OnnxShapes shapes_;
  std::map<std::string, int> types_;
  std::map<std::string, const onnx::TensorProto*> constants_;
  std::int64_t all_ = 0;
};

}  // namespace

OnnxShapes infer_shapes(const onnx::ModelProto& model, const std::string& origin) {
  return Inference(model, origin).run();
}

}  // namespace refnorm::deploy
