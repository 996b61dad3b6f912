#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <refnorm/base/error.h>
#include <refnorm/base/file.h>
#include <refnorm/base/interrupt.h>
#include <refnorm/base/progress.h>
#include <refnorm/base/random.h>
#include <refnorm/data/coco_writer.h>
#include <refnorm/data/scene.h>
#include <refnorm/data/scene_background.h>
#include <refnorm/data/scene_set.h>
#include <refnorm/data/stamps.h>

namespace refnorm::data {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMostObjects = 6;
constexpr int kTries = 20;          // places for one object, before there is one fewer
constexpr double kSmallest = 0.15;  // an object's longer side by the picture's shorter one
constexpr double kLargest = 0.65;
constexpr double kMostEnlarged = 2;
constexpr double kVisible = 0.4;  // of each object
constexpr std::int64_t kLeastPixels = 48;
constexpr double kLeastFilled = 0.08;  // of a stamp's box: less is lines that nobody sees
constexpr int kQuality = 92;

/// Those of a category that can be seen well.
using Pool = std::vector<std::vector<Rgba>>;

Pool read_pool(const fs::path& folder, const std::vector<StampCategory>& categories) {
  Pool pool;
  for (const StampCategory& category : categories) {
    pool.emplace_back();
    for (const std::string& file : category.files) {
      if (interrupted()) fail("stopped while reading {}", folder.string());
      Rgba stamp = trimmed(read_stamp(folder / file));
      std::int64_t covered = 0;
      for (std::size_t i = 3; i < stamp.values.size(); i += 4) covered += stamp.values[i] > 127 ? 1 : 0;
      const double filled = static_cast<double>(covered) / static_cast<double>(stamp.height * stamp.width);
      if (covered >= kLeastPixels && filled >= kLeastFilled) pool.back().push_back(std::move(stamp));
    }
    if (pool.back().empty())
      user_error("{}: none of its stamps has {} opaque pixels", (folder / category.name).string(),
                 kLeastPixels);
  }
  return pool;
}

const Rgba& draw_stamp(const std::vector<Rgba>& stamps, RandomStream& random) {
  return stamps[random.below(stamps.size())];
}

std::int64_t draw_between(double low, double high, RandomStream& random) {
  return std::llround(low + (high - low) * random.uniform());
}

/// At a random size and place, of which a fifth may be beyond an edge.
void paste_one(Scene& scene, const Pool& pool, RandomStream& random) {
  const auto category = random.below(pool.size());
  const Rgba& stamp = draw_stamp(pool[category], random);
  const auto& picture = scene.picture();
  const auto shorter = static_cast<double>(std::min(picture.height, picture.width));
  const auto longest = static_cast<double>(std::max(stamp.height, stamp.width));
  const double wanted = shorter * kSmallest * std::pow(kLargest / kSmallest, random.uniform());
  const double scale = std::min(wanted / longest, kMostEnlarged);
  const auto side = [scale](std::int64_t length) {
    return std::max<std::int64_t>(1, std::llround(scale * static_cast<double>(length)));
  };
  const Rgba thing = scaled(stamp, side(stamp.height), side(stamp.width), random.uniform() < 0.5);
  for (int i = 0; i < kTries; ++i) {
    const auto place = [&](std::int64_t length, std::int64_t room) {
      const auto beyond = 0.2 * static_cast<double>(length);
      return draw_between(-beyond, static_cast<double>(room - length) + beyond, random);
    };
    const std::int64_t x = place(thing.width, picture.width);
    const std::int64_t y = place(thing.height, picture.height);
    if (scene.paste(thing, x, y, static_cast<std::int64_t>(category), kVisible, kLeastPixels)) return;
  }
}

Scene draw_scene(const Pool& pool, const SceneSetOptions& options, RandomStream& random) {
  const auto side = static_cast<double>(options.side);
  const std::int64_t width = draw_between(0.8 * side, side, random);
  const std::int64_t height = draw_between(0.6 * side, 0.8 * side, random);
  const Rgba& behind = draw_stamp(pool[random.below(pool.size())], random);
  Scene scene(draw_background(height, width, behind, random));
  const std::uint64_t count = 1 + random.below(kMostObjects);
  for (std::uint64_t i = 0; i < count; ++i) paste_one(scene, pool, random);
  return scene;
}

std::int64_t write_part(const std::string& part, std::int64_t pictures, const Pool& pool,
                        const std::vector<StampCategory>& categories, const fs::path& to,
                        const SceneSetOptions& options) {
  CocoWriter writer;
  for (const StampCategory& category : categories) writer.add_category(category.name);
  make_folder(to / part);
  Progress progress("drawing " + part, pictures, "pictures");
  for (std::int64_t i = 0; i < pictures; ++i) {
    if (interrupted()) fail("stopped while drawing {}", to.string());
    RandomStream random(static_cast<std::uint64_t>(options.seed), "scenes of " + part,
                        static_cast<std::uint64_t>(i));
    const Scene scene = draw_scene(pool, options, random);
    const std::string name = fmt::format("{:06}.jpg", i + 1);
    write_file(to / part / name, encoded_jpeg(scene.picture(), kQuality));
    writer.add_picture(name, scene);
    progress.update(i + 1);
  }
  make_folder(to / "annotations");
  write_file(to / "annotations" / fmt::format("instances_{}.json", part), writer.text());
  return writer.objects();
}

void check(const SceneSetOptions& options) {
  if (options.train < 1 || options.val < 1)
    user_error("scenes: {} for training and {} for validation, expected at least one of each", options.train,
               options.val);
  if (options.side < 64 || options.side > 4096)
    user_error("scenes: a largest width of {} pixels, expected 64 to 4096", options.side);
}

}  // namespace

Json write_scene_set(const fs::path& stamps, const fs::path& to, const SceneSetOptions& options) {
  check(options);
  const auto categories = list_stamps(stamps, kLeastStamps);
  const auto [seen, unseen] = split_stamps(categories);
  const Pool train = read_pool(stamps, options.held_out ? seen : categories);
  const Pool val = options.held_out ? read_pool(stamps, unseen) : train;
  Json made{{"categories", categories.size()}};
  made["train_objects"] = write_part("train", options.train, train, categories, to, options);
  made["val_objects"] = write_part("val", options.val, val, categories, to, options);
  made["stamps_sha256"] = fingerprint(stamps, categories);
  return made;
}

}  // namespace refnorm::data
