#pragma once

#include <string>
#include <vector>

#include <refnorm/deploy/graph.h>

namespace refnorm::deploy {

/// What fold() did.
struct FoldReport {
  std::vector<std::string> into_before;  ///< affine maps that went into the layer that makes their input
  std::vector<std::string> into_after;   ///< … into the layer that reads their output
  std::vector<std::string> kept;         ///< … that stayed
};

/// Folds each affine map into its neighbour, so that inference has one layer less. With s and t the map's
/// scale and shift:
/// - into the convolution (transposed or not) or dense layer before it, whose output it alone reads:
///   W[o] <- s[o] · W[o], b[o] <- s[o] · b[o] + t[o];
/// - else into the one after it, which alone reads its output: W[o, i] <- W[o, i] · s[i],
///   b[o] <- b[o] + sum over i and the kernel of W[o, i] · t[i]. A convolution that pads pads zeros behind
///   the map, which is not the map of zeros: it must not pad there, or t be 0. Transposed convolutions, which
///   have no output that sees all of the kernel, need t = 0 too. Two maps in a row become one.
///
/// Computed in double. Exact but for rounding.
FoldReport fold(Graph& graph);

}  // namespace refnorm::deploy
