#pragma once

#include <string>

#include <opencv2/core.hpp>

#include <refnorm/data/picture.h>

namespace refnorm::data {

// Shared by what draws on pictures in this folder, whose own headers keep OpenCV to themselves.

inline constexpr int kReadableSide = 224;  ///< shorter sides are enlarged to it

/// By how much a picture is enlarged so that one can read what is written on it.
int canvas_factor(const Picture& picture);

/// BGR bytes, enlarged without smoothing.
cv::Mat to_canvas(const Picture& picture, int factor);

/// One '?' for each character that is not ASCII, however many bytes it takes, and for control characters.
std::string drawable(const std::string& text);

/// A PNG file's bytes.
std::string to_png(const cv::Mat& canvas);

}  // namespace refnorm::data
