#include <algorithm>
#include <vector>

#include <refnorm/kernels/max_pool_rows.h>
#include <refnorm/kernels/pool_channels.h>

namespace refnorm::kernels {
namespace {

/// The part of a window that lies within the picture, from its first row or column.
struct Span {
  Span(std::int64_t output, std::int64_t inputs, const PoolWindow& window)
      : origin(output * window.stride - window.padding),
        begin(std::max<std::int64_t>(origin, 0)),
        end(std::min(origin + window.kernel, inputs)) {}
  std::int64_t origin, begin, end;
};

/// The outputs whose windows hold an input.
struct Covering {
  Covering(std::int64_t input, std::int64_t outputs, const PoolWindow& window)
      : begin(input + window.padding < window.kernel
                  ? 0
                  : (input + window.padding - window.kernel) / window.stride + 1),
        end(std::min((input + window.padding) / window.stride + 1, outputs)) {}
  std::int64_t begin, end;
};

}  // namespace

template <class T>
void max_pool_rows(const T* x, T* y, std::uint8_t* which, const PoolShape& shape, const PoolWindow& window) {
  const std::int64_t rows = window.outputs(shape.height);
  const std::int64_t columns = window.outputs(shape.width);
  std::vector<PoolValue> values;
  for (std::int64_t n = 0; n < shape.pictures; ++n) {
    const T* picture = x + n * shape.height * shape.width * shape.channels;
    for (std::int64_t place = 0; place < rows * columns; ++place) {
      const Span down(place / columns, shape.height, window);
      const Span across(place % columns, shape.width, window);
      values.clear();
      for (std::int64_t row = down.begin; row < down.end; ++row) {
        for (std::int64_t column = across.begin; column < across.end; ++column) {
          values.push_back(
              {(row * shape.width + column) * shape.channels,
               static_cast<std::uint8_t>((row - down.origin) * window.kernel + column - across.origin)});
        }
      }
      largest_of(picture, values.data(), static_cast<std::int64_t>(values.size()), y, which, shape.channels);
      y += shape.channels;
      which += shape.channels;
    }
  }
}

template <class T>
void max_pool_rows_backward(const T* dy, const std::uint8_t* which, T* dx, const PoolShape& shape,
                            const PoolWindow& window) {
  const std::int64_t rows = window.outputs(shape.height);
  const std::int64_t columns = window.outputs(shape.width);
  std::vector<PoolValue> values;
  for (std::int64_t pixel = 0; pixel < shape.pictures * shape.height * shape.width; ++pixel) {
    const std::int64_t row = pixel / shape.width % shape.height;
    const std::int64_t column = pixel % shape.width;
    const std::int64_t first = pixel / (shape.width * shape.height) * rows * columns;
    const Covering down(row, rows, window);
    const Covering across(column, columns, window);
    values.clear();
    for (std::int64_t r = down.begin; r < down.end; ++r) {
      for (std::int64_t c = across.begin; c < across.end; ++c) {
        values.push_back(
            {(first + r * columns + c) * shape.channels,
             static_cast<std::uint8_t>((row - r * window.stride + window.padding) * window.kernel + column -
                                       c * window.stride + window.padding)});
      }
    }
    sum_of_chosen(dy, which, values.data(), static_cast<std::int64_t>(values.size()),
                  dx + pixel * shape.channels, shape.channels);
  }
}

template void max_pool_rows<float>(const float*, float*, std::uint8_t*, const PoolShape&, const PoolWindow&);
template void max_pool_rows<Bfloat16>(const Bfloat16*, Bfloat16*, std::uint8_t*, const PoolShape&,
                                      const PoolWindow&);
template void max_pool_rows_backward<float>(const float*, const std::uint8_t*, float*, const PoolShape&,
                                            const PoolWindow&);
template void max_pool_rows_backward<Bfloat16>(const Bfloat16*, const std::uint8_t*, Bfloat16*,
                                               const PoolShape&, const PoolWindow&);

}  // namespace refnorm::kernels
