#pragma once

#include <refnorm/base/safetensors.h>
#include <refnorm/deploy/graph.h>

namespace refnorm::deploy {

/// A graph's weights as PyTorch names them, "conv1.weight" and so on. What is folded away has none.
Safetensors weights_of(const Graph& graph);

/// The graph with the weights of a file in place of its own. Throws UserError, naming `origin` and the
/// tensor, unless each is there in float32 and of its shape.
Graph with_weights(Graph graph, const Safetensors& weights, const std::string& origin);

}  // namespace refnorm::deploy
