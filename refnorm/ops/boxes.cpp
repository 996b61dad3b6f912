#include <ATen/Dispatch.h>
#include <torch/types.h>

#include <refnorm/ops/boxes.h>
#include <refnorm/ops/parallel.h>

namespace refnorm::ops {
namespace {

using torch::Tensor;

/// IoUs below which waking other threads costs more than they bring.
constexpr std::int64_t kParallelIous = 16384;

void check_boxes(const Tensor& boxes, const char* what) {
  TORCH_CHECK(boxes.dim() == 2 && boxes.size(1) == 4 && boxes.is_floating_point(), what,
              ": expected boxes [N, 4] of floating-point numbers, got ", boxes.sizes(), " of ",
              boxes.scalar_type());
}

/// On the CPU, without gradient, row by row.
Tensor plain(const Tensor& tensor, torch::ScalarType type) {
  return tensor.detach().to(torch::kCPU, type).contiguous();
}

Tensor overlaps(const Tensor& a, const Tensor& b, bool over_first, const char* what) {
  check_boxes(a, what);
  check_boxes(b, what);
  const auto type = a.scalar_type() == torch::kDouble ? torch::kDouble : torch::kFloat;
  const Tensor first = plain(a, type);
  const Tensor second = plain(b, type);
  const Tensor ious = torch::empty({a.size(0), b.size(0)}, type);
  const std::int64_t columns = b.size(0);
  AT_DISPATCH_FLOATING_TYPES(type, "box_iou", [&] {
    const std::int64_t grain = std::max<std::int64_t>(1, kParallelIous / std::max<std::int64_t>(columns, 1));
    parallel_for(a.size(0), grain, [&](std::int64_t begin, std::int64_t end) {
      kernels::box_ious(first.data_ptr<scalar_t>() + 4 * begin, end - begin, second.data_ptr<scalar_t>(),
                        columns, over_first, ious.data_ptr<scalar_t>() + begin * columns);
    });
  });
  return ious.to(a.device());
}

/// Widths, heights, and centres of boxes[N, 4] or [N, K, 4]; [N] or [N, K] each.
struct Centred {
  explicit Centred(const Tensor& boxes)
      : width(boxes.select(-1, 2) - boxes.select(-1, 0)),
        height(boxes.select(-1, 3) - boxes.select(-1, 1)),
        x(boxes.select(-1, 0) + 0.5 * width),
        y(boxes.select(-1, 1) + 0.5 * height) {}
  Tensor width, height, x, y;
};

Tensor indices(const std::vector<std::int64_t>& chosen, torch::Device device) {
  return torch::tensor(chosen, torch::kLong).to(device);
}

/// `count` of them, drawn; ascending.
std::vector<std::int64_t> draw(const std::vector<std::int64_t>& from, std::int64_t count,
                               RandomStream& stream) {
  const auto total = static_cast<std::int64_t>(from.size());
  std::vector<std::int64_t> drawn;
  const std::vector<std::int64_t> order = stream.permutation(total);
  for (std::int64_t i = 0; i < std::min(count, total); ++i) drawn.push_back(from[order[i]]);
  std::sort(drawn.begin(), drawn.end());
  return drawn;
}

}  // namespace

Tensor box_iou(const Tensor& a, const Tensor& b) {
  return overlaps(a, b, /*over_first=*/false, "box_iou");
}

Tensor box_overlap(const Tensor& a, const Tensor& b) {
  return overlaps(a, b, /*over_first=*/true, "box_overlap");
}

Tensor encode_boxes(const Tensor& boxes, const Tensor& anchors, const BoxCoder& coder) {
  check_boxes(boxes, "encode_boxes");
  check_boxes(anchors, "encode_boxes");
  const Centred to(boxes);
  const Centred from(anchors);
  return torch::stack(
      {coder.weights[0] * (to.x - from.x) / from.width, coder.weights[1] * (to.y - from.y) / from.height,
       coder.weights[2] * torch::log(to.width / from.width),
       coder.weights[3] * torch::log(to.height / from.height)},
      1);
}

Tensor decode_boxes(const Tensor& deltas, const Tensor& anchors, const BoxCoder& coder) {
  check_boxes(anchors, "decode_boxes");
  TORCH_CHECK(deltas.dim() == 2 && deltas.size(0) == anchors.size(0) && deltas.size(1) % 4 == 0,
              "decode_boxes: expected deltas [", anchors.size(0), ", 4·K], got ", deltas.sizes());
  const Tensor each = deltas.view({deltas.size(0), deltas.size(1) / 4, 4});
  const Centred from(anchors.unsqueeze(1));
  const auto delta = [&](std::int64_t i) { return each.select(2, i) / coder.weights[i]; };
  const Tensor x = delta(0) * from.width + from.x;
  const Tensor y = delta(1) * from.height + from.y;
  const Tensor half_width = 0.5 * torch::exp(delta(2).clamp_max(coder.largest)) * from.width;
  const Tensor half_height = 0.5 * torch::exp(delta(3).clamp_max(coder.largest)) * from.height;
  return torch::stack({x - half_width, y - half_height, x + half_width, y + half_height}, 2).flatten(1);
}

Tensor clip_boxes(const Tensor& boxes, PictureSize size) {
  check_boxes(boxes, "clip_boxes");
  const auto height = static_cast<double>(size.height);
  const auto width = static_cast<double>(size.width);
  const Tensor most = torch::tensor({width, height, width, height}, boxes.options().requires_grad(false));
  return torch::minimum(boxes.detach().clamp_min(0), most);
}

Tensor boxes_of_size(const Tensor& boxes, double smallest) {
  check_boxes(boxes, "boxes_of_size");
  const Centred sides(boxes.detach());
  const Tensor finite = torch::isfinite(boxes).all(1);
  return torch::nonzero(finite & (sides.width >= smallest) & (sides.height >= smallest)).flatten();
}

Tensor make_anchors(const AnchorPlan& plan, std::int64_t rows, std::int64_t columns) {
  std::vector<Tensor> shapes;
  for (const double ratio : plan.ratios) {
    for (const double size : plan.sizes) {
      // In float32, as torchvision: what lies at half a pixel is then rounded to the same side.
      const float height_ratio = std::sqrt(static_cast<float>(ratio));
      const float width = 1 / height_ratio * static_cast<float>(size) / 2;
      const float height = height_ratio * static_cast<float>(size) / 2;
      shapes.push_back(torch::tensor({-width, -height, width, height}));
    }
  }
  const Tensor shape = torch::stack(shapes).round();
  const auto shifts = [&](std::int64_t count) { return torch::arange(count, torch::kFloat) * plan.stride; };
  const auto grid = torch::meshgrid({shifts(rows), shifts(columns)}, "ij");
  const Tensor y = grid[0].flatten();
  const Tensor x = grid[1].flatten();
  return (torch::stack({x, y, x, y}, 1).unsqueeze(1) + shape.unsqueeze(0)).view({-1, 4});
}

Tensor suppress(const Tensor& boxes, const Tensor& scores, const Tensor& groups, double threshold,
                std::int64_t most) {
  check_boxes(boxes, "suppress");
  TORCH_CHECK(scores.dim() == 1 && scores.size(0) == boxes.size(0), "suppress: expected ", boxes.size(0),
              " scores, got ", scores.sizes());
  TORCH_CHECK(!groups.defined() || groups.sizes() == scores.sizes(), "suppress: expected ", boxes.size(0),
              " groups, got ", groups.defined() ? groups.sizes() : scores.sizes());
  const Tensor given = plain(boxes, torch::kFloat);
  const Tensor order = plain(scores, torch::kFloat);
  const Tensor group = groups.defined() ? plain(groups, torch::kLong) : Tensor();
  return indices(kernels::suppress(given.data_ptr<float>(), order.data_ptr<float>(),
                                   group.defined() ? group.data_ptr<std::int64_t>() : nullptr, boxes.size(0),
                                   threshold, most),
                 boxes.device());
}

Tensor highest(const Tensor& scores, std::int64_t most) {
  TORCH_CHECK(scores.dim() == 1, "highest: expected scores [N], got ", scores.sizes());
  const Tensor given = plain(scores, torch::kFloat);
  return indices(kernels::highest(given.data_ptr<float>(), given.size(0), most), scores.device());
}

Tensor match_boxes(const Tensor& boxes, const Tensor& truths, const MatchThresholds& thresholds) {
  const Tensor ious =
      plain(box_iou(boxes, truths), boxes.scalar_type() == torch::kDouble ? torch::kDouble : torch::kFloat);
  std::vector<std::int64_t> matched;
  AT_DISPATCH_FLOATING_TYPES(ious.scalar_type(), "match_boxes", [&] {
    matched = kernels::match_boxes(ious.data_ptr<scalar_t>(), ious.size(0), ious.size(1), thresholds);
  });
  return indices(matched, boxes.device());
}

BoxSample sample_boxes(const Tensor& matched, std::int64_t count, double fraction, RandomStream& stream) {
  const Tensor given = plain(matched, torch::kLong);
  const auto* match = given.data_ptr<std::int64_t>();
  std::vector<std::int64_t> foreground;
  std::vector<std::int64_t> background;
  for (std::int64_t i = 0; i < given.numel(); ++i) {
    if (match[i] >= 0) foreground.push_back(i);
    if (match[i] == kernels::kBackground) background.push_back(i);
  }
  foreground = draw(foreground, static_cast<std::int64_t>(static_cast<double>(count) * fraction), stream);
  background = draw(background, count - static_cast<std::int64_t>(foreground.size()), stream);
  return {indices(foreground, matched.device()), indices(background, matched.device())};
}

Tensor paste_masks(const Tensor& masks, const Tensor& boxes, PictureSize size, double threshold) {
  check_boxes(boxes, "paste_masks");
  TORCH_CHECK(masks.dim() == 3 && masks.size(1) == masks.size(2) && masks.size(0) == boxes.size(0),
              "paste_masks: expected masks [", boxes.size(0), ", M, M], got ", masks.sizes());
  const Tensor given = plain(masks, torch::kFloat);
  const Tensor where = plain(boxes, torch::kFloat);
  const std::int64_t side = masks.size(1);
  const std::int64_t pixels = size.height * size.width;
  const Tensor pictures = torch::empty({masks.size(0), size.height, size.width}, torch::kByte);
  parallel_for(masks.size(0), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      kernels::paste_mask(given.data_ptr<float>() + i * side * side, side, where.data_ptr<float>() + 4 * i,
                          threshold, size.height, size.width, pictures.data_ptr<std::uint8_t>() + i * pixels);
    }
  });
  return pictures.to(masks.device());
}

}  // namespace refnorm::ops
