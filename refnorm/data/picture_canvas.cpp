#include <algorithm>
#include <vector>

#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include <refnorm/base/error.h>
#include <refnorm/data/picture_canvas.h>

namespace refnorm::data {

constexpr int kLongestSide = 4096;  // and not beyond this one

int canvas_factor(const Picture& picture) {
  const auto shorter = static_cast<int>(std::min(picture.height, picture.width));
  const auto longer = static_cast<int>(std::max(picture.height, picture.width));
  return std::max(1, std::min((kReadableSide + shorter - 1) / shorter, kLongestSide / longer));
}

cv::Mat to_canvas(const Picture& picture, int factor) {
  const cv::Mat values(static_cast<int>(picture.height), static_cast<int>(picture.width),
                       CV_MAKETYPE(CV_32F, static_cast<int>(picture.channels)),
                       const_cast<float*>(picture.values.data()));
  cv::Mat bytes;
  values.convertTo(bytes, CV_8U, 255);
  cv::Mat bgr;
  cv::cvtColor(bytes, bgr, picture.channels == 1 ? cv::COLOR_GRAY2BGR : cv::COLOR_RGB2BGR);
  if (factor == 1) return bgr;
  cv::Mat out;
  cv::resize(bgr, out, {}, factor, factor, cv::INTER_NEAREST);
  return out;
}

std::string drawable(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    if ((code & 0xc0) == 0x80) continue;  // goes on with a character of several bytes
    out += code >= 0x20 && code < 0x7f ? c : '?';
  }
  return out;
}

std::string to_png(const cv::Mat& canvas) {
  std::vector<unsigned char> png;
  if (!cv::imencode(".png", canvas, png)) fail("a picture cannot be encoded as PNG");
  return {png.begin(), png.end()};
}

}  // namespace refnorm::data
