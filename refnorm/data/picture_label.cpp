#include <algorithm>
#include <cmath>
#include <vector>

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include <refnorm/data/picture_canvas.h>
#include <refnorm/data/picture_label.h>

namespace refnorm::data {
namespace {

constexpr int kFont = cv::FONT_HERSHEY_SIMPLEX;
constexpr double kSmallestText = 0.45;  // of the font's own size; below, strokes run together

struct Line {
  std::string text;
  double scale = 1;
  int thickness = 1;
  cv::Size size;
  int below = 0;  ///< of the base line
};

Line measured(const std::string& text, double scale) {
  Line line{text, scale, std::max(1, static_cast<int>(std::lround(1.6 * scale))), {}, 0};
  line.size = cv::getTextSize(text, kFont, scale, line.thickness, &line.below);
  return line;
}

/// As large as suits the picture, smaller where it does not fit, and cut where that is not enough.
Line fitted(const std::string& label, const std::string& detail, int width, int room) {
  const std::string whole = label + detail;
  const double wanted = std::max(0.8, width / 560.0);
  const Line line = measured(whole, wanted);
  if (line.size.width <= room) return line;
  const double smaller = wanted * room / line.size.width;
  if (smaller >= kSmallestText) return measured(whole, smaller * 0.98);  // sizes are rounded
  for (std::size_t kept = label.size(); kept > 0; --kept) {
    const Line cut = measured(label.substr(0, kept - 1) + "..." + detail, kSmallestText);
    if (cut.size.width <= room) return cut;
  }
  return measured(detail, kSmallestText);
}

}  // namespace

std::string labelled_png(const Picture& picture, const std::string& label, const std::string& detail) {
  const cv::Mat pixels = to_canvas(picture, canvas_factor(picture));
  const int width = std::max(pixels.cols, kReadableSide);
  const int margin = std::max(6, width / 50);
  const std::string behind = detail.empty() ? "" : "  " + drawable(detail);
  const Line line = fitted(drawable(label), behind, width, width - 2 * margin);
  const int bar = line.size.height + line.below + 2 * margin;
  const cv::Scalar dark(32, 32, 32);
  cv::Mat canvas(pixels.rows + bar, width, CV_8UC3, dark);
  pixels.copyTo(canvas(cv::Rect((width - pixels.cols) / 2, 0, pixels.cols, pixels.rows)));
  cv::putText(canvas, line.text, {margin, pixels.rows + margin + line.size.height}, kFont, line.scale,
              cv::Scalar(255, 255, 255), line.thickness, cv::LINE_AA);
  return to_png(canvas);
}

}  // namespace refnorm::data
