#include <algorithm>
#include <array>
#include <cmath>

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include <refnorm/data/picture_canvas.h>
#include <refnorm/data/picture_objects.h>

namespace refnorm::data {
namespace {

constexpr int kFont = cv::FONT_HERSHEY_SIMPLEX;

/// Blue, green, red; told apart on light and on dark.
const std::array<cv::Scalar, 8> kColours{
    cv::Scalar(180, 119, 31),  cv::Scalar(14, 127, 255), cv::Scalar(44, 160, 44),   cv::Scalar(40, 39, 214),
    cv::Scalar(189, 103, 148), cv::Scalar(75, 86, 140),  cv::Scalar(194, 119, 227), cv::Scalar(207, 190, 23)};

void draw_mask(cv::Mat& canvas, const Rle& mask, const cv::Scalar& colour, int factor) {
  std::vector<std::uint8_t> pixels = decode_mask(mask);
  const cv::Mat small(static_cast<int>(mask.height), static_cast<int>(mask.width), CV_8U, pixels.data());
  cv::Mat inside;
  cv::resize(small, inside, canvas.size(), 0, 0, cv::INTER_NEAREST);
  cv::Mat tinted;
  cv::addWeighted(canvas, 0.5, cv::Mat(canvas.size(), canvas.type(), colour), 0.5, 0, tinted);
  tinted.copyTo(canvas, inside);
  std::vector<std::vector<cv::Point>> outlines;
  cv::findContours(inside, outlines, cv::RETR_EXTERNAL, cv::CHAIN_APPROX_NONE);
  cv::drawContours(canvas, outlines, -1, colour, factor > 1 ? 2 : 1, cv::LINE_AA);
}

/// Along the upper or the lower edge of the box: outside of it where there is room, else within; never beyond
/// the picture's right border.
void draw_label(cv::Mat& canvas, const std::string& label, const cv::Rect& box, bool lower,
                const cv::Scalar& colour) {
  const double scale = std::max(0.45, std::min(canvas.cols, canvas.rows) / 900.0);
  int below = 0;
  const cv::Size size = cv::getTextSize(label, kFont, scale, 1, &below);
  const int height = size.height + below + 2;
  const int x = std::clamp(box.x, 0, std::max(0, canvas.cols - size.width - 4));
  const int bottom = box.y + box.height;
  int top = box.y >= height ? box.y - height : box.y;
  if (lower) top = bottom + height < canvas.rows ? bottom : bottom - height;
  cv::rectangle(canvas, {x, top}, {x + size.width + 4, top + height}, colour, cv::FILLED);
  cv::putText(canvas, label, {x + 2, top + size.height + 1}, kFont, scale, cv::Scalar(255, 255, 255), 1,
              cv::LINE_AA);
}

}  // namespace

std::string objects_png(const Picture& picture, const std::vector<DrawnObject>& objects) {
  const int factor = canvas_factor(picture);
  cv::Mat canvas = to_canvas(picture, factor);
  const auto colour_of = [](const DrawnObject& object) {
    return object.truth ? cv::Scalar::all(128) : kColours[object.colour % kColours.size()];
  };
  for (const DrawnObject& object : objects) {
    if (object.mask != nullptr) draw_mask(canvas, *object.mask, colour_of(object), factor);
  }
  const auto scaled = [factor](double value) { return static_cast<int>(std::lround(value * factor)); };
  const auto box_of = [&](const DrawnObject& object) {
    const auto [x, y, width, height] = object.box;
    return cv::Rect(cv::Point(scaled(x), scaled(y)), cv::Point(scaled(x + width), scaled(y + height)));
  };
  for (const DrawnObject& object : objects) {
    const cv::Rect box = box_of(object);
    cv::rectangle(canvas, box.tl(), box.br(), colour_of(object), object.truth ? 1 : 2,
                  object.truth ? cv::LINE_8 : cv::LINE_AA);
  }
  for (const DrawnObject& object : objects)
    draw_label(canvas, drawable(object.label), box_of(object), object.truth, colour_of(object));
  return to_png(canvas);
}

}  // namespace refnorm::data
