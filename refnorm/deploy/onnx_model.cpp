#include <limits>
#include <optional>
#include <set>
#include <utility>

#include <google/protobuf/stubs/logging.h>
#include <onnx/checker.h>
#include <onnx/defs/schema.h>
#include <onnx/onnx_pb.h>

#include <refnorm/base/error.h>
#include <refnorm/base/text.h>
#include <refnorm/deploy/model_description.h>
#include <refnorm/deploy/onnx_checks.h>
#include <refnorm/deploy/onnx_model.h>

namespace refnorm::deploy {
namespace {

/// Protobuf writes to standard error why it does not take some bytes.
class QuietProtobuf {
 public:
  QuietProtobuf() : previous_(google::protobuf::SetLogHandler(nullptr)) {}
  ~QuietProtobuf() { google::protobuf::SetLogHandler(previous_); }
  QuietProtobuf(const QuietProtobuf&) = delete;
  QuietProtobuf& operator=(const QuietProtobuf&) = delete;

 private:
  google::protobuf::LogHandler* previous_;
};

onnx::ModelProto decode(std::string_view bytes, const std::string& origin) {
  if (bytes.size() > static_cast<std::size_t>(std::numeric_limits<int>::max()))
    user_error("{}: {} bytes, and an ONNX file has 2 GiB at most", origin, bytes.size());
  onnx::ModelProto model;
  if (!model.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    user_error("{}: not an ONNX file, or a damaged one", origin);
  if (model.graph().node_size() == 0) user_error("{}: not an ONNX file: it has no graph of nodes", origin);
  return model;
}

void check_graph(const onnx::ModelProto& model, const std::string& origin) {
  try {
    onnx::checker::check_model(model);
  } catch (const std::exception& error) {
    user_error("{}: not a valid ONNX graph: {}", origin, one_line(error.what()));
  }
}

void check_versions(const onnx::ModelProto& model, const std::string& origin) {
  const std::int64_t known_ir = onnx::Version::IR_VERSION;
  if (model.ir_version() > known_ir)
    user_error("{}: of ONNX format {}, and this program knows up to {}", origin, model.ir_version(),
               known_ir);
  const auto& versions = onnx::OpSchemaRegistry::DomainToVersionRange::Instance().Map();
  for (const auto& opset : model.opset_import()) {
    const auto known = versions.find(opset.domain() == "ai.onnx" ? "" : opset.domain());
    if (known == versions.end() || opset.version() <= known->second.second) continue;
    user_error("{}: its operators are of opset {}, and this program knows up to {}", origin, opset.version(),
               known->second.second);
  }
}

std::map<std::string, std::string> metadata_of(const onnx::ModelProto& model) {
  std::map<std::string, std::string> metadata;  // the checker has refused repeated keys
  for (const auto& entry : model.metadata_props()) metadata.emplace(entry.key(), entry.value());
  return metadata;
}

OnnxTensor tensor_of(const onnx::ValueInfoProto& value) {
  OnnxTensor tensor{value.name(), {}};
  for (const auto& axis : value.type().tensor_type().shape().dim())
    tensor.shape.push_back(axis.has_dim_value() && axis.dim_value() >= 0 ? axis.dim_value() : -1);
  return tensor;
}

/// The one input that is no weight (older files list the weights among the inputs).
onnx::ValueInfoProto find_input(const onnx::GraphProto& graph, const std::string& origin) {
  std::set<std::string> weights;
  for (const auto& tensor : graph.initializer()) weights.insert(tensor.name());
  std::vector<std::string> names;
  const onnx::ValueInfoProto* found = nullptr;
  for (const auto& input : graph.input()) {
    if (weights.contains(input.name())) continue;
    names.push_back(printable(input.name()));
    found = &input;
  }
  if (names.size() != 1)
    user_error("{}: {} inputs{}, expected one, of pictures", origin, names.size(),
               names.empty() ? "" : " (" + printable(join(names, ", ")) + ")");
  const auto& type = found->type().tensor_type();
  if (type.elem_type() != onnx::TensorProto::FLOAT || type.shape().dim_size() != 4)
    user_error("{}: the input '{}' is not of float32 [N, C, H, W]", origin, names[0]);
  return *found;
}

onnx::ValueInfoProto find_output(const onnx::GraphProto& graph,
                                 const std::map<std::string, std::string>& metadata,
                                 const std::string& origin) {
  const auto named = metadata.find("refnorm.output");
  std::vector<std::string> names;
  for (const auto& output : graph.output()) {
    if (graph.output_size() == 1 || (named != metadata.end() && named->second == output.name()))
      return output;
    names.push_back(output.name());
  }
  user_error("{}: {} outputs ({}), and it is not said which one has the scores", origin, names.size(),
             printable(join(names, ", ")));
}

/// The sizes of the pictures; from the metadata where the graph leaves them open.
void fix_sizes(OnnxTensor& input, const std::map<std::string, std::string>& metadata,
               const std::string& origin) {
  std::optional<ModelDescription> said;
  if (has_description(metadata)) said = description_from(metadata, origin);
  constexpr const char* kAxes[] = {"samples", "channels", "height", "width"};
  for (std::size_t axis = 1; axis < 4; ++axis) {
    std::int64_t& size = input.shape[axis];
    const std::int64_t wanted = said ? (axis == 1   ? said->channels
                                        : axis == 2 ? said->height
                                                    : said->width)
                                     : size;
    if (size < 0) size = wanted;
    if (size < 0)
      user_error("{}: the input '{}' leaves the {} open, and there is no metadata that says it", origin,
                 printable(input.name), kAxes[axis]);
    if (size == 0) user_error("{}: the input '{}' has 0 {}", origin, printable(input.name), kAxes[axis]);
    if (size != wanted)
      user_error("{}: the input '{}' has {} {}, and refnorm.preprocessing says {}", origin,
                 printable(input.name), size, kAxes[axis], wanted);
  }
}

/// Leaves only what the output needs, so that the last node is the one that makes it.
void keep_needed(onnx::GraphProto& graph, const std::string& output, const std::string& origin) {
  std::set<std::string> needed{output};
  std::vector<onnx::NodeProto> kept;
  for (int i = graph.node_size() - 1; i >= 0; --i) {  // sorted, as the checker has found
    const onnx::NodeProto& node = graph.node(i);
    bool wanted = false;
    for (const std::string& name : node.output()) wanted = wanted || (!name.empty() && needed.contains(name));
    if (!wanted) continue;
    for (const std::string& name : node.input()) needed.insert(name);
    kept.push_back(node);
  }
  if (kept.empty() || kept.front().output(0) != output)
    user_error("{}: no node has '{}' as its first output", origin, printable(output));
  graph.clear_node();
  for (auto node = kept.rbegin(); node != kept.rend(); ++node) *graph.add_node() = *node;
  google::protobuf::RepeatedPtrField<onnx::TensorProto> weights;
  weights.Swap(graph.mutable_initializer());
  for (onnx::TensorProto& tensor : weights) {
    if (needed.contains(tensor.name())) *graph.add_initializer() = std::move(tensor);
  }
}

/// Of ONNX's own operators; the checker has made sure that it is there.
int opset_of(const onnx::ModelProto& model) {
  for (const auto& opset : model.opset_import()) {
    if (opset.domain().empty() || opset.domain() == "ai.onnx") return static_cast<int>(opset.version());
  }
  return 0;
}

/// The model of that input and output alone, of a fixed number of samples, without what people put in.
onnx::ModelProto reduced(const onnx::ModelProto& whole, onnx::ValueInfoProto input,
                         const OnnxTensor& input_sizes, onnx::ValueInfoProto output,
                         const std::string& origin) {
  onnx::ModelProto model = whole;
  model.clear_metadata_props();
  model.clear_doc_string();
  onnx::GraphProto& graph = *model.mutable_graph();
  graph.clear_value_info();
  graph.clear_quantization_annotation();
  keep_needed(graph, output.name(), origin);
  auto& shape = *input.mutable_type()->mutable_tensor_type()->mutable_shape();
  for (int axis = 0; axis < 4; ++axis)
    shape.mutable_dim(axis)->set_dim_value(input_sizes.shape[static_cast<std::size_t>(axis)]);
  graph.clear_input();
  *graph.add_input() = std::move(input);
  // What the file declares is compared with what follows from the graph afterwards.
  output.mutable_type()->mutable_tensor_type()->clear_shape();
  graph.clear_output();
  *graph.add_output() = std::move(output);
  return model;
}

/// The output's shape, of `batch` samples and some classes.
OnnxTensor checked_output(const OnnxShapes& shapes, const OnnxTensor& declared, std::int64_t batch,
                          const std::string& origin) {
  OnnxTensor output{declared.name, shapes.at(declared.name)};
  std::int64_t values = 1;
  for (const std::int64_t size : output.shape) values *= size;
  if (output.shape.size() < 2 || output.shape[0] != batch || values <= 0 || values % batch != 0)
    user_error("{}: the output '{}' is of [{}], expected scores of [{}, classes]", origin,
               printable(output.name), fmt::join(output.shape, ", "), batch);
  for (std::size_t i = 1; i < declared.shape.size(); ++i) {
    if (declared.shape[i] < 0) continue;
    if (declared.shape.size() != output.shape.size() || declared.shape[i] != output.shape[i])
      user_error("{}: the output '{}' is declared as [{}], and the graph makes [{}]", origin,
                 printable(output.name), fmt::join(declared.shape, ", "), fmt::join(output.shape, ", "));
  }
  output.shape = {batch, values / batch};
  return output;
}

}  // namespace

OnnxModel parse_onnx(std::string_view bytes, const std::string& origin) {
  const QuietProtobuf quiet;
  const onnx::ModelProto whole = decode(bytes, origin);
  check_versions(whole, origin);
  check_before_inference(whole, origin);
  check_graph(whole, origin);

  OnnxModel found;
  found.metadata = metadata_of(whole);
  const onnx::ValueInfoProto input = find_input(whole.graph(), origin);
  const onnx::ValueInfoProto output = find_output(whole.graph(), found.metadata, origin);
  found.input = tensor_of(input);
  OnnxTensor sizes = found.input;
  fix_sizes(sizes, found.metadata, origin);
  if (sizes.shape[0] <= 0) sizes.shape[0] = 1;
  found.batch = sizes.shape[0];
  check_size(sizes, origin);

  onnx::ModelProto model = reduced(whole, input, sizes, output, origin);
  check_operators(model.graph(), origin);
  const OnnxShapes shapes = infer_shapes(model, origin);
  auto& made = *model.mutable_graph()->mutable_output(0)->mutable_type()->mutable_tensor_type();
  for (const std::int64_t size : shapes.at(output.name()))
    made.mutable_shape()->add_dim()->set_dim_value(size);
  found.output = checked_output(shapes, tensor_of(output), found.batch, origin);
  const onnx::NodeProto& last = model.graph().node(model.graph().node_size() - 1);
  found.probabilities = last.op_type() == "Softmax";
  write_for_dnn(*model.mutable_graph(), opset_of(model));
  found.bytes = model.SerializeAsString();
  return found;
}

}  // namespace refnorm::deploy
