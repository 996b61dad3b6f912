#include <algorithm>
#include <utility>

#include <refnorm/data/scene.h>

namespace refnorm::data {
namespace {

constexpr std::uint8_t kHalf = 127;  // alpha above it covers

bool covers(const std::uint8_t* pixel) {
  return pixel[3] > kHalf;
}

}  // namespace

Scene::Scene(Rgb background)
    : picture_(std::move(background)),
      owners_(static_cast<std::size_t>(picture_.height * picture_.width), -1) {}

Scene::Window Scene::window(const Rgba& thing, std::int64_t x, std::int64_t y) const {
  return {std::max<std::int64_t>(0, y), std::min(picture_.height, y + thing.height),
          std::max<std::int64_t>(0, x), std::min(picture_.width, x + thing.width)};
}

bool Scene::paste(const Rgba& thing, std::int64_t x, std::int64_t y, std::int64_t number, double visible,
                  std::int64_t pixels) {
  Pasted fresh{number, 0, 0};
  for (std::size_t i = 0; i < thing.values.size(); i += 4) fresh.covers += covers(&thing.values[i]) ? 1 : 0;
  std::vector<Pasted> after = pasted_;
  const Window inside = window(thing, x, y);
  for (std::int64_t row = inside.top; row < inside.bottom; ++row) {
    for (std::int64_t column = inside.left; column < inside.right; ++column) {
      if (!covers(thing.pixel(row - y, column - x))) continue;
      ++fresh.seen;
      const std::int64_t before = owner(row, column);
      if (before >= 0) --after[static_cast<std::size_t>(before)].seen;
    }
  }
  after.push_back(fresh);
  for (const Pasted& one : after) {
    const bool enough = static_cast<double>(one.seen) >= visible * static_cast<double>(one.covers);
    if (!enough || one.seen < pixels) return false;
  }
  pasted_ = std::move(after);
  const auto own = static_cast<std::int64_t>(pasted_.size()) - 1;
  for (std::int64_t row = inside.top; row < inside.bottom; ++row) {
    for (std::int64_t column = inside.left; column < inside.right; ++column) {
      const std::uint8_t* from = thing.pixel(row - y, column - x);
      std::uint8_t* to = picture_.pixel(row, column);
      for (int c = 0; c < 3; ++c)
        to[c] = static_cast<std::uint8_t>((from[c] * from[3] + to[c] * (255 - from[3]) + 127) / 255);
      if (covers(from)) owner(row, column) = own;
    }
  }
  return true;
}

std::vector<SceneObject> Scene::objects() const {
  struct Bounds {
    std::int64_t top, bottom = 0, left, right = 0;
  };
  std::vector<SceneObject> objects;
  std::vector<Bounds> bounds;
  for (const Pasted& one : pasted_) {
    objects.push_back({one.number, std::vector<std::uint8_t>(owners_.size()), one.seen, {}});
    bounds.push_back({picture_.height, 0, picture_.width, 0});
  }
  for (std::size_t i = 0; i < owners_.size(); ++i) {
    if (owners_[i] < 0) continue;
    const auto place = static_cast<std::size_t>(owners_[i]);
    objects[place].mask[i] = 1;
    const auto y = static_cast<std::int64_t>(i) / picture_.width;
    const auto x = static_cast<std::int64_t>(i) % picture_.width;
    Bounds& box = bounds[place];
    box = {std::min(box.top, y), y + 1, std::min(box.left, x), std::max(box.right, x + 1)};
  }
  for (std::size_t i = 0; i < objects.size(); ++i) {
    const Bounds& box = bounds[i];
    objects[i].box = {box.left, box.top, box.right - box.left, box.bottom - box.top};
  }
  return objects;
}

}  // namespace refnorm::data
