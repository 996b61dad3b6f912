#pragma once

#include <refnorm/deploy/graph.h>
#include <refnorm/norms/capture.h>

namespace refnorm::deploy {

/// The inference network of a model: what its forward() does in eval() with images of `example`'s shape
/// [N, C, *] (N at least 2), written down operator by operator with the values of its parameters, in float32;
/// N is free. Norms by stored statistics become affine maps:
///     y = weight / sqrt(var + eps) · x + (bias − weight · mean / sqrt(var + eps))      (Algorithm 3)
/// The model's mode and parameters are as before afterwards.
///
/// Throws UserError that names the layer and the operator where a graph has none for it, or where a norm
/// would use the statistics of the batch.
Graph trace(const ModelView& model, const torch::Tensor& example);

}  // namespace refnorm::deploy
