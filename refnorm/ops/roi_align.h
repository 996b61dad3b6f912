#pragma once

#include <torch/types.h>

#include <refnorm/kernels/roi_align.h>

namespace refnorm::ops {

using kernels::RoiGrid;

/// RoIAlign (He et al. 2017): x[N, C, H, W] and rois[R, 5], rows of (picture, x1, y1, x2, y2), give [R, C,
/// grid.height, grid.width]. torchvision.ops.roi_align(x, rois, (height, width), scale, sampling_ratio,
/// aligned), but that its default is not aligned.
///
/// x of float32, float64 or bfloat16 (computed in float32), contiguous or channels_last, which the result
/// keeps; the latter is what is fast. Regions of float32, for float64 of float64. A region that is not finite
/// gives NaN and no gradient; one without area as its few samples say. Differentiable, any number of times,
/// in x. On other devices it is two of ATen's matrix products (roi_align_products.h). Throws c10::Error for
/// what does not fit together.
torch::Tensor roi_align(const torch::Tensor& x, const torch::Tensor& rois, const RoiGrid& grid);

}  // namespace refnorm::ops
