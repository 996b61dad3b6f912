#pragma once

#include <torch/types.h>

#include <refnorm/kernels/roi_align.h>

namespace refnorm::ops {

/// roi_align() on any device, of two of ATen's matrix products a picture: what its regions' bins read along
/// x, of all rows, and then along y. `rois` lie on the CPU, in float32 or float64, as x is computed in.
/// Between the products lie at most `at_once` values (by default a GiB in float32), or those of one region.
torch::Tensor roi_align_by_products(const torch::Tensor& x, const torch::Tensor& rois,
                                    const kernels::RoiGrid& grid,
                                    std::int64_t at_once = std::int64_t{1} << 28);

}  // namespace refnorm::ops
