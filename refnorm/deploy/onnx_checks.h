#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <onnx/onnx_pb.h>

#include <refnorm/deploy/onnx_model.h>

namespace refnorm::deploy {

// What ONNX's checker lets pass, and the code behind it would divide by, allocate, or read beyond the end of.
// All throw UserError of one line naming `origin` and the node or tensor.

/// By tensor name.
using OnnxShapes = std::map<std::string, std::vector<std::int64_t>>;

/// Weights: their sizes against their data, in the file itself, each name once. Nodes: no subgraphs, and
/// numbers of convolutions and poolings that they can be computed with.
void check_before_inference(const onnx::ModelProto& model, const std::string& origin);

/// Whether OpenCV's dnn runs every node.
void check_operators(const onnx::GraphProto& graph, const std::string& origin);

/// Whether a tensor of that shape has values, and fits into memory.
void check_size(const OnnxTensor& tensor, const std::string& origin);

/// "the node 'conv1' (Conv)"; by its output where it has no name.
std::string title_of(const onnx::NodeProto& node);

/// Whether a layer's weights and numbers fit what goes into it. `shapes` has all that does.
void check_layer(const onnx::NodeProto& node, const OnnxShapes& shapes, const std::string& origin);

/// The shapes of all tensors, by ONNX's inference. Node after node, each checked by check_layer() before:
/// with inputs of other ranks than it expects, libonnx 1.12 reads beyond their ends. Each must be known and
/// not too large.
OnnxShapes infer_shapes(const onnx::ModelProto& model, const std::string& origin);

/// Writes nodes as OpenCV 4.6's dnn reads them: numbers that ONNX has defaults for are written out, and
/// constant inputs that were attributes in older opsets become attributes again. The graph must have passed
/// the checks.
void write_for_dnn(onnx::GraphProto& graph, int opset);

}  // namespace refnorm::deploy
