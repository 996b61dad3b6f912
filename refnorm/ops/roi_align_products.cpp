#include <algorithm>
#include <limits>

#include <ATen/autocast_mode.h>
#include <torch/types.h>

#include <refnorm/ops/roi_align_products.h>

namespace refnorm::ops {
namespace {

using kernels::RoiAxis;
using kernels::RoiGrid;
using torch::Tensor;

/// By which features [features] an axis' bins are averaged: [regions, bins, features]; 0 where a region is
/// not finite.
template <class T>
Tensor axis_matrices(const Tensor& rois, int from, int to, std::int64_t bins, std::int64_t features,
                     const RoiGrid& grid) {
  Tensor matrices = torch::zeros({rois.size(0), bins, features}, rois.options());
  const T* roi = rois.data_ptr<T>();
  T* matrix = matrices.data_ptr<T>();
  RoiAxis<T> axis;
  for (std::int64_t i = 0; i < rois.size(0); ++i, roi += 5, matrix += bins * features) {
    if (!std::all_of(roi + 1, roi + 5, [](T side) { return std::isfinite(side); })) continue;
    kernels::lay_out(axis, roi[from], roi[to], bins, features, grid);
    for (std::int64_t p = 0; p < bins; ++p)
      std::copy_n(axis.weights.begin() + axis.offset[p], axis.count[p],
                  matrix + p * features + axis.first[p]);
  }
  return matrices;
}

Tensor axis_matrices(const Tensor& rois, int from, int to, std::int64_t bins, std::int64_t features,
                     const RoiGrid& grid) {
  return rois.scalar_type() == torch::kDouble ? axis_matrices<double>(rois, from, to, bins, features, grid)
                                              : axis_matrices<float>(rois, from, to, bins, features, grid);
}

/// Regions of one picture [C, H, W]: [R, C, bins, bins].
Tensor in_picture(const Tensor& picture, const Tensor& rois, const RoiGrid& grid) {
  const std::int64_t channels = picture.size(0), height = picture.size(1), width = picture.size(2);
  const std::int64_t regions = rois.size(0);
  const Tensor columns = axis_matrices(rois, 1, 3, grid.width, width, grid).to(picture.device());
  const Tensor rows = axis_matrices(rois, 2, 4, grid.height, height, grid).to(picture.device());
  // [H C, W] [W, R bins]: rows outermost, for the second product.
  const Tensor lines = picture.permute({1, 0, 2}).reshape({height * channels, width});
  const Tensor along_x = lines.matmul(columns.view({regions * grid.width, width}).t());
  const Tensor each = along_x.view({height, channels, regions, grid.width})
                          .permute({2, 0, 1, 3})
                          .reshape({regions, height, channels * grid.width});
  return rows.bmm(each).view({regions, grid.height, channels, grid.width}).permute({0, 2, 1, 3});
}

}  // namespace

Tensor roi_align_by_products(const Tensor& x, const Tensor& rois, const RoiGrid& grid, std::int64_t at_once) {
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
  const auto format = x.suggest_memory_format();
  const Tensor wide = x.to(rois.scalar_type());
  const std::int64_t of_region = std::max<std::int64_t>(1, x.size(1) * x.size(2) * grid.width);
  const std::int64_t regions_at_once = std::max<std::int64_t>(1, at_once / of_region);
  std::vector<Tensor> parts, places;
  const Tensor pictures = rois.select(1, 0);
  for (std::int64_t picture = 0; picture < x.size(0); ++picture) {
    const Tensor own = torch::nonzero(pictures == static_cast<double>(picture)).flatten();
    for (const Tensor& some : own.split(regions_at_once)) {
      if (some.numel() == 0) continue;
      parts.push_back(
          in_picture(wide[picture], rois.index_select(0, some).contiguous(), grid).to(x.scalar_type()));
      places.push_back(some);
    }
  }
  if (parts.empty()) return x.narrow(0, 0, 0).new_zeros({0, x.size(1), grid.height, grid.width});
  Tensor y = parts.size() == 1 ? parts[0] : torch::cat(parts);
  const Tensor order = torch::cat(places);
  if (!order.equal(torch::arange(order.numel(), torch::kLong)))
    y = y.index_select(0, order.argsort().to(x.device()));
  const Tensor broken = torch::isfinite(rois).all(1).logical_not();
  if (broken.any().item<bool>())
    y = y.masked_fill(broken.to(x.device()).view({-1, 1, 1, 1}), std::numeric_limits<double>::quiet_NaN());
  return y.contiguous(format);
}

}  // namespace refnorm::ops
