#pragma once

#include <string>
#include <string_view>

#include <opencv2/core.hpp>

namespace refnorm::data {

// Shared by the readers of pictures in this folder, whose own headers keep OpenCV to themselves.

/// What the formats of pictures are told apart by.
enum class PictureKind { kPng, kJpeg, kOther };

/// Checks what can be told before anything is decoded. Throws UserError of one line naming `origin`: none of
/// PNG, JPEG, BMP, PNM, TIFF and WebP (told apart by content), too large, or a JPEG without its end.
PictureKind check_picture(std::string_view bytes, const std::string& origin);

/// OpenCV's pixels: grey, BGR or BGRA of 8 or 16 bits, a JPEG turned upright. Throws UserError.
cv::Mat decode_pixels(PictureKind kind, std::string_view bytes, const std::string& origin);

}  // namespace refnorm::data
