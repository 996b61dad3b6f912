#include <algorithm>
#include <csetjmp>
#include <cstddef>
#include <cstdio>
#include <cstring>

#include <jpeglib.h>

#include <refnorm/data/jpeg_part.h>

namespace refnorm::data {
namespace {

/// libjpeg reports errors by a function that must not return. It jumps back into guarded(); so between the
/// two there may be nothing with a destructor.
struct Decoder {
  jpeg_decompress_struct jpeg;
  jpeg_error_mgr errors;
  std::jmp_buf failed;
};

[[noreturn]] void jump_back(j_common_ptr jpeg) {
  std::longjmp(static_cast<Decoder*>(jpeg->client_data)->failed, 1);
}

/// Warnings and traces would go to standard error.
void say_nothing(j_common_ptr, int) {}
void say_nothing(j_common_ptr) {}

template <class Step>
bool guarded(Decoder& decoder, Step step) {
  if (setjmp(decoder.failed) != 0) return false;
  step(decoder.jpeg);
  return true;
}

/// What a decoder holds is freed whichever way decoding ends.
class Opened {
 public:
  Opened() {
    decoder_.jpeg.err = jpeg_std_error(&decoder_.errors);
    decoder_.errors.error_exit = jump_back;
    decoder_.errors.emit_message = say_nothing;
    decoder_.errors.output_message = say_nothing;
    decoder_.jpeg.client_data = &decoder_;
    ready_ = guarded(decoder_, [](jpeg_decompress_struct& jpeg) { jpeg_create_decompress(&jpeg); });
  }
  ~Opened() {
    if (ready_) jpeg_destroy_decompress(&decoder_.jpeg);
  }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;

  template <class Step>
  bool run(Step step) {
    return ready_ && guarded(decoder_, step);
  }
  const jpeg_decompress_struct& jpeg() const { return decoder_.jpeg; }

 private:
  Decoder decoder_{};
  bool ready_ = false;
};

/// At the borders of what is decoded, chroma is interpolated as at the picture's own.
constexpr std::int64_t kChromaReach = 2;

}  // namespace

bool decode_jpeg_part(std::string_view bytes, std::int64_t denominator, const Box& part, Pixels& out) {
  Opened opened;
  JDIMENSION left = 0;
  JDIMENSION width = 0;
  const bool begun = opened.run([&](jpeg_decompress_struct& jpeg) {
    jpeg_mem_src(&jpeg, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
    jpeg_read_header(&jpeg, TRUE);
    jpeg.out_color_space = JCS_EXT_RGBX;
    jpeg.scale_num = 1;
    jpeg.scale_denom = static_cast<unsigned>(denominator);
    jpeg_start_decompress(&jpeg);
    const std::int64_t first = std::max<std::int64_t>(part.left - kChromaReach, 0);
    const std::int64_t end = std::min<std::int64_t>(part.left + part.width + kChromaReach, jpeg.output_width);
    left = static_cast<JDIMENSION>(first);
    width = static_cast<JDIMENSION>(std::max<std::int64_t>(end - first, 1));
    // Begins a bit further left, where a block does.
    jpeg_crop_scanline(&jpeg, &left, &width);
  });
  const bool within = begun && part.top + part.height <= opened.jpeg().output_height &&
                      part.left + part.width <= static_cast<std::int64_t>(left) + width;
  if (!within) return false;
  // A row is read into its place: it begins further left than the part, which is then moved to its front.
  const auto stride = static_cast<std::size_t>(width) * Pixels::kChannels;
  out.height = part.height;
  out.width = part.width;
  out.values.resize(static_cast<std::size_t>(part.height) * stride);
  const bool read = opened.run([&](jpeg_decompress_struct& jpeg) {
    if (part.top > 0) jpeg_skip_scanlines(&jpeg, static_cast<JDIMENSION>(part.top));
    for (std::int64_t y = 0; y < part.height;) {
      JSAMPROW row = out.values.data() + static_cast<std::size_t>(y) * stride;
      y += jpeg_read_scanlines(&jpeg, &row, 1);
    }
  });
  if (!read) return false;
  const auto skipped = static_cast<std::size_t>(part.left - left) * Pixels::kChannels;
  const auto kept = static_cast<std::size_t>(part.width) * Pixels::kChannels;
  for (std::int64_t y = 0; y < part.height; ++y) {
    std::memmove(out.row(y), out.values.data() + static_cast<std::size_t>(y) * stride + skipped, kept);
  }
  out.values.resize(static_cast<std::size_t>(part.height) * kept);
  return true;
}

}  // namespace refnorm::data
