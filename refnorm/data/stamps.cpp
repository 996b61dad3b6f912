#include <algorithm>

#include <fmt/format.h>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include <refnorm/base/checksum.h>
#include <refnorm/base/error.h>
#include <refnorm/base/file.h>
#include <refnorm/base/random.h>
#include <refnorm/base/text.h>
#include <refnorm/data/picture_pixels.h>
#include <refnorm/data/stamps.h>

namespace refnorm::data {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kOneIn = 5;  // stamps of a category in the second list of a split

bool is_stamp(const fs::directory_entry& entry) {
  const fs::path& file = entry.path();
  return file.extension() == ".png" && !file.stem().string().ends_with("_mirror") && entry.is_regular_file();
}

std::vector<std::string> stamps_in(const fs::path& folder, const fs::path& category) {
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(category)) {
    if (!is_stamp(entry)) continue;
    files.push_back(entry.path().lexically_relative(folder).string());
    if (!is_utf8(files.back())) user_error("{}: has a name that is not UTF-8", category.string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

cv::Mat as_mat(const Rgba& picture) {
  return {static_cast<int>(picture.height), static_cast<int>(picture.width), CV_8UC4,
          const_cast<std::uint8_t*>(picture.values.data())};
}

std::uint8_t to_byte(float value) {
  return static_cast<std::uint8_t>(std::clamp(value + 0.5F, 0.0F, 255.0F));
}

}  // namespace

std::vector<StampCategory> list_stamps(const fs::path& folder, std::size_t least) {
  std::vector<StampCategory> categories;
  try {
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (!entry.is_directory()) continue;
      StampCategory category{entry.path().filename().string(), stamps_in(folder, entry.path())};
      if (category.files.size() >= least) categories.push_back(std::move(category));
    }
  } catch (const fs::filesystem_error& error) {
    user_error("{}: cannot be read ({})", folder.string(), error.code().message());
  }
  if (categories.size() < 2) {
    user_error("{}: {} folders with at least {} PNG pictures, expected two or more: CATEGORY/PICTURE.png",
               folder.string(), categories.size(), least);
  }
  std::sort(categories.begin(), categories.end(),
            [](const StampCategory& a, const StampCategory& b) { return a.name < b.name; });
  return categories;
}

std::pair<std::vector<StampCategory>, std::vector<StampCategory>> split_stamps(
    const std::vector<StampCategory>& categories) {
  std::pair<std::vector<StampCategory>, std::vector<StampCategory>> lists;
  for (const StampCategory& category : categories) {
    const std::size_t count = category.files.size();
    std::vector<bool> second(count);
    const auto order =
        RandomStream(1, "stamps of " + category.name).permutation(static_cast<std::int64_t>(count));
    for (std::size_t i = 0; i < count / kOneIn; ++i) second[static_cast<std::size_t>(order[i])] = true;
    lists.first.push_back({category.name, {}});
    lists.second.push_back({category.name, {}});
    for (std::size_t i = 0; i < count; ++i)
      (second[i] ? lists.second : lists.first).back().files.push_back(category.files[i]);
  }
  return lists;
}

std::string fingerprint(const fs::path& folder, const std::vector<StampCategory>& categories) {
  std::string hashes;
  for (const StampCategory& category : categories) {
    for (const std::string& file : category.files)
      hashes += fmt::format("{}  {}\n", sha256(read_file(folder / file)), file);
  }
  return sha256(hashes);
}

Rgba read_stamp(const fs::path& file) {
  const std::string bytes = read_file(file);
  cv::Mat pixels = decode_pixels(check_picture(bytes, file.string()), bytes, file.string());
  if (pixels.depth() == CV_16U) pixels.convertTo(pixels, CV_8U, 1.0 / 257);
  Rgba picture{pixels.rows, pixels.cols, std::vector<std::uint8_t>(pixels.total() * 4)};
  cv::Mat out = as_mat(picture);
  const int channels = pixels.channels();
  cv::cvtColor(pixels, out,
               channels == 1   ? cv::COLOR_GRAY2RGBA
               : channels == 3 ? cv::COLOR_BGR2RGBA
                               : cv::COLOR_BGRA2RGBA);
  return picture;
}

Rgba trimmed(const Rgba& picture) {
  std::int64_t top = picture.height, left = picture.width, bottom = 0, right = 0;
  for (std::int64_t y = 0; y < picture.height; ++y) {
    for (std::int64_t x = 0; x < picture.width; ++x) {
      if (picture.pixel(y, x)[3] == 0) continue;
      top = std::min(top, y);
      bottom = y + 1;
      left = std::min(left, x);
      right = std::max(right, x + 1);
    }
  }
  if (bottom == 0) return {};
  Rgba part{bottom - top, right - left, {}};
  for (std::int64_t y = top; y < bottom; ++y)
    part.values.insert(part.values.end(), picture.pixel(y, left), picture.pixel(y, left) + 4 * part.width);
  return part;
}

Rgba scaled(const Rgba& picture, std::int64_t height, std::int64_t width, bool flip) {
  cv::Mat weighted(static_cast<int>(picture.height), static_cast<int>(picture.width), CV_32FC4);
  for (std::int64_t i = 0; i < picture.height * picture.width; ++i) {
    const std::uint8_t* from = picture.values.data() + 4 * i;
    auto* to = weighted.ptr<float>() + 4 * i;
    for (int c = 0; c < 3; ++c) to[c] = static_cast<float>(from[c]) * static_cast<float>(from[3]) / 255;
    to[3] = from[3];
  }
  const cv::Size size(static_cast<int>(width), static_cast<int>(height));
  if (weighted.size() != size) {
    const bool shrinks = weighted.rows > size.height || weighted.cols > size.width;
    cv::Mat resized;
    cv::resize(weighted, resized, size, 0, 0, shrinks ? cv::INTER_AREA : cv::INTER_LINEAR);
    weighted = resized;
  }
  Rgba out{height, width, std::vector<std::uint8_t>(static_cast<std::size_t>(4 * height * width))};
  for (std::int64_t y = 0; y < height; ++y) {
    for (std::int64_t x = 0; x < width; ++x) {
      const auto* from = weighted.ptr<float>(static_cast<int>(y)) + 4 * (flip ? width - 1 - x : x);
      std::uint8_t* to = out.values.data() + 4 * (y * width + x);
      for (int c = 0; c < 3; ++c) to[c] = from[3] > 0 ? to_byte(from[c] * 255 / from[3]) : std::uint8_t{0};
      to[3] = to_byte(from[3]);
    }
  }
  return out;
}

Rgb flattened(const Rgba& picture) {
  Rgb out{picture.height, picture.width, {}};
  out.values.reserve(static_cast<std::size_t>(3 * picture.height * picture.width));
  for (std::size_t i = 0; i < picture.values.size(); i += 4) {
    const int alpha = picture.values[i + 3];
    for (std::size_t c = 0; c < 3; ++c)
      out.values.push_back(
          static_cast<std::uint8_t>((picture.values[i + c] * alpha + 255 * (255 - alpha) + 127) / 255));
  }
  return out;
}

std::string encoded_jpeg(const Rgb& picture, int quality) {
  const cv::Mat rgb(static_cast<int>(picture.height), static_cast<int>(picture.width), CV_8UC3,
                    const_cast<std::uint8_t*>(picture.values.data()));
  cv::Mat bgr;
  cv::cvtColor(rgb, bgr, cv::COLOR_RGB2BGR);
  std::vector<unsigned char> bytes;
  if (!cv::imencode(".jpg", bgr, bytes, {cv::IMWRITE_JPEG_QUALITY, quality}))
    fail("a picture of {} x {} cannot be written as JPEG", picture.width, picture.height);
  return {bytes.begin(), bytes.end()};
}

}  // namespace refnorm::data
