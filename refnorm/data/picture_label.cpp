#include <algorithm>
#include <cmath>
#include <vector>

#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include <refnorm/base/error.h>
#include <refnorm/data/picture_label.h>

namespace refnorm::data {
namespace {

constexpr int kReadableSide = 224;  // shorter sides are enlarged to it
constexpr int kLongestSide = 4096;  // and not beyond this one
constexpr int kFont = cv::FONT_HERSHEY_SIMPLEX;
constexpr double kSmallestText = 0.45;  // of the font's own size; below, strokes run together

cv::Mat to_bytes(const Picture& picture) {
  const cv::Mat values(static_cast<int>(picture.height), static_cast<int>(picture.width),
                       CV_MAKETYPE(CV_32F, static_cast<int>(picture.channels)),
                       const_cast<float*>(picture.values.data()));
  cv::Mat bytes;
  values.convertTo(bytes, CV_8U, 255);
  cv::Mat bgr;
  cv::cvtColor(bytes, bgr, picture.channels == 1 ? cv::COLOR_GRAY2BGR : cv::COLOR_RGB2BGR);
  return bgr;
}

cv::Mat enlarged(const cv::Mat& pixels) {
  const int shorter = std::min(pixels.rows, pixels.cols);
  const int longer = std::max(pixels.rows, pixels.cols);
  const int factor = std::min((kReadableSide + shorter - 1) / shorter, kLongestSide / longer);
  if (factor <= 1) return pixels;
  cv::Mat out;
  cv::resize(pixels, out, {}, factor, factor, cv::INTER_NEAREST);
  return out;
}

/// One '?' for each character that is not ASCII, however many bytes it takes, and for control characters.
std::string drawable(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    if ((code & 0xc0) == 0x80) continue;  // goes on with a character of several bytes
    out += code >= 0x20 && code < 0x7f ? c : '?';
  }
  return out;
}

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
  const cv::Mat pixels = enlarged(to_bytes(picture));
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
  std::vector<unsigned char> png;
  if (!cv::imencode(".png", canvas, png)) fail("a labelled picture cannot be encoded as PNG");
  return {png.begin(), png.end()};
}

}  // namespace refnorm::data
