#pragma once

#include <map>
#include <string>

#include <refnorm/deploy/graph.h>
#include <refnorm/deploy/model_description.h>

namespace refnorm::deploy {

/// The graph as an ONNX model of opset 17, serialized; checked by onnx's own checker. One input [batch, C, H,
/// W] and one output [batch, classes] of float32, batch free; the description, and what else there is to say,
/// in metadata_props. Norms by statistics of each sample become InstanceNormalization or LayerNormalization
/// where these say it, Reshape around InstanceNormalization for groups, and ReduceMean, Sub, Mul, … where
/// sources are mixed.
///
/// Throws UserError where a node cannot be said in ONNX.
std::string to_onnx(const Graph& graph, const ModelDescription& description,
                    const std::map<std::string, std::string>& more_metadata = {});

}  // namespace refnorm::deploy
