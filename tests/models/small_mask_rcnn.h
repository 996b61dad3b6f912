#pragma once

#include <algorithm>

#include <torch/types.h>
#include <torch/utils.h>

#include <refnorm/models/mask_rcnn/mask_rcnn.h>
#include <refnorm/norms/norm_spec.h>

namespace refnorm::testing {

/// A ResNet-18 whose regions are 4x4, for pictures of about 64x96.
inline models::MaskRcnnOptions small_options(const std::string& norm) {
  models::MaskRcnnOptions options;
  options.norm = norm_factory(NormSpec::parse(norm));
  options.depth = 18;
  options.classes = 2;
  options.frozen_stages = 0;
  options.proposals.anchors.sizes = {16, 32};
  options.proposals.border = 16;
  options.proposals.training = options.proposals.detecting = {100, 30};
  options.regions.grid.height = options.regions.grid.width = 4;
  options.regions.per_picture = 16;
  options.regions.mask_channels = 16;
  return options;
}

/// Masks that fill their boxes: 1 where a cell's centre lies in the instance's.
inline models::Rasterize filled(const torch::Tensor& boxes) {
  return [boxes](std::int64_t instance, const std::array<double, 4>& box, std::int64_t side,
                 std::span<float> out) {
    const auto inside = [&](std::int64_t cell, int axis) {
      const double place = box[axis] + (static_cast<double>(cell) + 0.5) / static_cast<double>(side) *
                                           (box[axis + 2] - box[axis]);
      return place >= boxes[instance][axis].item<double>() &&
             place < boxes[instance][axis + 2].item<double>();
    };
    for (std::int64_t i = 0; i < side * side; ++i)
      out[i] = inside(i / side, 1) && inside(i % side, 0) ? 1.0F : 0.0F;
  };
}

/// Three pictures of rectangles, class 1 red and class 2 blue, on noise; the last one is smaller.
struct Rectangles {
  Rectangles() {
    torch::manual_seed(3);
    images = 0.1 * torch::randn({3, 3, 64, 96});
    add(0, {{8, 8, 40, 40}, {56, 24, 88, 56}}, {1, 2});
    add(1, {{48, 8, 80, 56}}, {1});
    add(2, {{8, 16, 56, 48}}, {2});
    images[2].slice(1, 56).zero_();
    images[2].slice(2, 80).zero_();
  }
  void add(std::int64_t picture, const std::vector<std::array<float, 4>>& boxes,
           const std::vector<std::int64_t>& labels) {
    const torch::Tensor all = torch::empty({static_cast<std::int64_t>(boxes.size()), 4});
    for (std::size_t i = 0; i < boxes.size(); ++i) {
      std::copy(boxes[i].begin(), boxes[i].end(), all.data_ptr<float>() + 4 * i);
      const auto at = [&](int k) { return static_cast<std::int64_t>(boxes[i][k]); };
      images[picture][labels[i] == 1 ? 0 : 2].slice(0, at(1), at(3)).slice(1, at(0), at(2)) += 2;
    }
    targets.push_back({all, torch::tensor(labels, torch::kLong), {}, filled(all)});
  }

  torch::Tensor images;
  std::vector<ops::PictureSize> sizes{{64, 96}, {64, 96}, {56, 80}};
  std::vector<models::Target> targets;
};

}  // namespace refnorm::testing
