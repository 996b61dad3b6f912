#include <algorithm>
#include <cstddef>

#include <refnorm/kernels/merge.h>
#include <refnorm/kernels/normalize.h>
#include <refnorm/kernels/schedule.h>

namespace refnorm::kernels {
namespace {

/// The coefficients of all cells, and what forward and backward share.
template <class T>
class Pipeline {
 public:
  using V = Compute<T>;
  Pipeline(const Problem<T>& given, const SetStatistics& statistics, const Workers& who, std::int64_t arrays)
      : problem(given),
        workers(who),
        sets(problem.shape, *problem.blend),
        schedule(problem.shape, sets, workers.count, arrays * static_cast<std::int64_t>(sizeof(T))),
        blender(problem.shape, *problem.blend, sets, problem.affine, statistics),
        centre(sets.cells()),
        scale(sets.cells()),
        shift(sets.cells()) {}

  ForwardCoefficients<V> at(std::int64_t cell) const {
    return {centre.get() + cell, scale.get() + cell, shift.get() + cell};
  }
  std::int64_t cell(std::int64_t block, std::int64_t channel) const {
    return block * problem.shape.channels + channel;
  }
  void coefficients(const Region& region) const {
    blender.template forward_coefficients<V>(region, centre.get(), scale.get(), shift.get());
  }

  /// first(tile, cell, offset) over memory, between(region) on numbers, second(tile, cell, offset, ahead)
  /// over memory, where `ahead` is as in Caching. In phases, `first` writes at partial cells, which merge()
  /// then brings together. Where statistics are of several processes, chunks are not fused either: all
  /// numbers are exchanged at once.
  template <class First, class Merge, class Between, class Second>
  void run(const First& first, const Merge& merge, const Between& between, const Second& second) const {
    if (schedule.fused() && sets.joint()) {
      each_chunk([&](const Region& region) { each_piece(region, first); });
      between(sets.whole());
      each_chunk([&](const Region& region) { each_piece_backwards(region, 0, second); });
      return;
    }
    if (schedule.fused()) {
      workers.run(static_cast<std::int64_t>(schedule.chunks().size()), [&](std::int64_t i) {
        const Region& region = schedule.chunks()[static_cast<std::size_t>(i)];
        each_piece(region, first);
        between(region);
        each_piece_backwards(region, to_next_chunk(static_cast<std::size_t>(i)), second);
      });
      return;
    }
    each_slice([&](const Schedule::Slice& slice) {
      const Schedule::Piece piece = schedule.piece(slice);
      first(piece.tile, slice.part * sets.cells() + cell(slice.block, slice.channel_begin), piece.offset);
    });
    if (schedule.parts() > 1) merge();
    between(sets.whole());
    each_slice([&](const Schedule::Slice& slice) {
      backwards(schedule.piece(slice), cell(slice.block, slice.channel_begin), 0, second);
    });
  }

  const Problem<T>& problem;
  const Workers& workers;
  StatisticSets sets;
  Schedule schedule;
  Blender blender;
  Array<V> centre, scale, shift;

 private:
  /// From its end to its beginning: what the sweep before read last is still in a cache.
  template <class Sweep>
  void backwards(const Schedule::Piece& piece, std::int64_t at, std::int64_t ahead,
                 const Sweep& sweep) const {
    const std::int64_t step = schedule.cached_outer(piece.tile);
    for (std::int64_t end = piece.tile.outer; end > 0; end -= std::min(step, end)) {
      Tile tile = piece.tile;
      tile.outer = std::min(step, end);
      sweep(tile, at, piece.offset + (end - tile.outer) * tile.outer_stride, ahead);
    }
  }
  /// Values from a chunk to the one that the same worker most likely goes on with.
  std::int64_t to_next_chunk(std::size_t i) const {
    const auto& chunks = schedule.chunks();
    if (i + 1 == chunks.size()) return 0;
    const auto begin = [&](const Region& region) {
      return schedule.piece(region.block_begin, region).offset;
    };
    return begin(chunks[i + 1]) - begin(chunks[i]);
  }
  template <class Body>
  void each_chunk(const Body& body) const {
    const auto& chunks = schedule.chunks();
    workers.run(static_cast<std::int64_t>(chunks.size()),
                [&](std::int64_t i) { body(chunks[static_cast<std::size_t>(i)]); });
  }
  template <class Sweep>
  void each_piece_backwards(const Region& region, std::int64_t ahead, const Sweep& sweep) const {
    for (std::int64_t b = region.block_end - 1; b >= region.block_begin; --b) {
      backwards(schedule.piece(b, region), cell(b, region.channel_begin), ahead, sweep);
    }
  }
  template <class Body>
  void each_slice(const Body& body) const {
    const auto& slices = schedule.slices();
    workers.run(static_cast<std::int64_t>(slices.size()),
                [&](std::int64_t i) { body(slices[static_cast<std::size_t>(i)]); });
  }
  template <class Sweep>
  void each_piece(const Region& region, const Sweep& sweep) const {
    for (std::int64_t b = region.block_begin; b < region.block_end; ++b) {
      const Schedule::Piece piece = schedule.piece(b, region);
      sweep(piece.tile, cell(b, region.channel_begin), piece.offset);
    }
  }
};

/// Where the arrays of a call are of this size together, its outputs are not found in a cache by whoever
/// reads them next; written past it, they cost no reading of their lines.
constexpr std::int64_t kStreamedBytes = std::int64_t{16} << 20;

template <class T>
bool streams(const Shape& shape, std::int64_t arrays) {
  return shape.values() * arrays * static_cast<std::int64_t>(sizeof(T)) >= kStreamedBytes;
}

}  // namespace

Workers sequential() {
  return {1, [](std::int64_t tasks, const std::function<void(std::int64_t)>& body) {
            for (std::int64_t task = 0; task < tasks; ++task) body(task);
          }};
}

template <class T>
std::int64_t gate_bytes(const Shape& shape, const Sweeps<T>& sweeps) {
  // Vectors' bits are read as wholes, past the end too.
  constexpr std::int64_t kSpare = 8;
  const bool by_rows = shape.layout == Layout::kChannelsLast || shape.positions == 1;
  if (!sweeps.has_gates || (by_rows ? shape.channels : shape.positions) % 8 != 0) return 0;
  return shape.values() / 8 + kSpare;
}

template <class T>
void normalize(const Problem<T>& problem, const T* residual, const ForwardOutputs<T>& out,
               const Workers& workers) {
  const Pipeline<T> pipeline(problem, {out.mean, out.var}, workers, residual != nullptr ? 3 : 2);
  const StatisticSets& sets = pipeline.sets;
  const bool needs_moments = !sets.sources().empty();
  const std::int64_t joint = pipeline.schedule.fused() ? sets.joint_channels() : 1;
  // At least one: the analyser of the lint believes that there can be cells in no memory.
  const std::int64_t numbers =
      needs_moments ? std::max<std::int64_t>(1, sets.cells() / joint * pipeline.schedule.parts()) : 0;
  const Array<double> mean(numbers);
  const Array<double> m2(numbers);
  pipeline.run(
      [&](const Tile& tile, std::int64_t cell, std::int64_t offset) {
        if (!needs_moments) return;
        const Tile joined{tile.outer, tile.outer_stride, tile.channels / joint, tile.inner * joint};
        problem.sweeps->moments(problem.x + offset, joined, mean.get() + cell / joint,
                                m2.get() + cell / joint);
      },
      [&] {
        if (needs_moments)
          merge_moments(sets, pipeline.schedule, problem.shape.channels, mean.get(), m2.get());
      },
      [&](const Region& region) {
        sets.gather(region, joint, mean.get(), m2.get(), out.mean, out.var);
        if (sets.joint()) merge_processes(sets, *problem.processes, out.mean, out.var);
        pipeline.coefficients(region);
      },
      [&](const Tile& tile, std::int64_t cell, std::int64_t offset, std::int64_t ahead) {
        problem.sweeps->apply(problem.x + offset, residual != nullptr ? residual + offset : nullptr,
                              out.y + offset, tile, pipeline.at(cell),
                              {problem.relu, out.gate != nullptr ? out.gate + offset / 8 : nullptr},
                              {streams<T>(problem.shape, residual != nullptr ? 3 : 2), ahead});
      });
}

template <class T>
void normalize_again(const Problem<T>& problem, const T* residual, const SetStatistics& statistics, T* y,
                     const Workers& workers) {
  const std::int64_t arrays = residual != nullptr ? 3 : 2;
  const Pipeline<T> pipeline(problem, statistics, workers, arrays);
  pipeline.run([](const Tile&, std::int64_t, std::int64_t) {}, [] {},
               [&](const Region& region) { pipeline.coefficients(region); },
               [&](const Tile& tile, std::int64_t cell, std::int64_t offset, std::int64_t ahead) {
                 problem.sweeps->apply(problem.x + offset, residual != nullptr ? residual + offset : nullptr,
                                       y + offset, tile, pipeline.at(cell), {problem.relu, nullptr},
                                       {streams<T>(problem.shape, arrays), ahead});
               });
}

template <class T>
void normalize_backward(const Problem<T>& problem, const BackwardInputs<T>& in, const BackwardOutputs<T>& out,
                        const Workers& workers) {
  using V = Compute<T>;
  const std::int64_t arrays = 3 + (in.y != nullptr ? 1 : 0) + (out.dresidual != nullptr ? 1 : 0);
  const Pipeline<T> pipeline(problem, in.statistics, workers, arrays);
  const StatisticSets& sets = pipeline.sets;
  const std::int64_t numbers = sets.cells() * pipeline.schedule.parts();
  const Array<double> g(numbers);
  const Array<double> gx(numbers);
  const Array<double> mean_grad(sets.sets());
  const Array<double> var_grad(sets.sets());
  const Array<V> g_scale(sets.cells());
  const Array<V> x_scale(sets.cells());
  const Array<V> dx_shift(sets.cells());
  const auto activation = [&](std::int64_t offset) {
    return Activation<T>{problem.relu, in.y != nullptr ? in.y + offset : nullptr,
                         in.gate != nullptr ? in.gate + offset / 8 : nullptr};
  };
  // The gate and the sums need the forward coefficients first.
  if (!pipeline.schedule.fused()) pipeline.coefficients(sets.whole());
  const std::int64_t cells = sets.cells();
  pipeline.run(
      [&](const Tile& tile, std::int64_t cell, std::int64_t offset) {
        const std::int64_t whole = cell % cells;
        if (pipeline.schedule.fused()) {
          const std::int64_t block = whole / problem.shape.channels;
          const std::int64_t channel = whole % problem.shape.channels;
          pipeline.coefficients({block, block + 1, channel, channel + tile.channels});
        }
        problem.sweeps->gradient_sums(problem.x + offset, in.dy + offset, activation(offset), tile,
                                      pipeline.at(whole), g.get() + cell, gx.get() + cell);
      },
      [&] {
        merge_sums(sets, pipeline.schedule, g.get());
        merge_sums(sets, pipeline.schedule, gx.get());
      },
      [&](const Region& region) {
        pipeline.blender.template set_gradients<V>(region, g.get(), gx.get(), mean_grad.get(),
                                                   var_grad.get());
        if (sets.joint()) sum_processes(sets, *problem.processes, mean_grad.get(), var_grad.get());
        pipeline.blender.template backward_coefficients<V>(region, mean_grad.get(), var_grad.get(),
                                                           g_scale.get(), x_scale.get(), dx_shift.get());
      },
      [&](const Tile& tile, std::int64_t cell, std::int64_t offset, std::int64_t ahead) {
        if (out.dx == nullptr && out.dresidual == nullptr) return;
        T* dx = out.dx != nullptr ? out.dx + offset : nullptr;
        T* dresidual = out.dresidual != nullptr ? out.dresidual + offset : nullptr;
        const BackwardCoefficients<V> gradient{g_scale.get() + cell, x_scale.get() + cell,
                                               dx_shift.get() + cell};
        const Caching caching{streams<T>(problem.shape, arrays), ahead};
        problem.sweeps->gradient_apply(problem.x + offset, in.dy + offset, activation(offset), dx, dresidual,
                                       tile, pipeline.at(cell), gradient, caching);
      });
  pipeline.blender.parameter_gradients(g.get(), gx.get(), out.weight, out.bias, out.mean_weights,
                                       out.var_weights);
}

template std::int64_t gate_bytes<float>(const Shape&, const Sweeps<float>&);
template std::int64_t gate_bytes<double>(const Shape&, const Sweeps<double>&);
template std::int64_t gate_bytes<Bfloat16>(const Shape&, const Sweeps<Bfloat16>&);
template void normalize<float>(const Problem<float>&, const float*, const ForwardOutputs<float>&,
                               const Workers&);
template void normalize_again<float>(const Problem<float>&, const float*, const SetStatistics&, float*,
                                     const Workers&);
template void normalize_backward<float>(const Problem<float>&, const BackwardInputs<float>&,
                                        const BackwardOutputs<float>&, const Workers&);
template void normalize<double>(const Problem<double>&, const double*, const ForwardOutputs<double>&,
                                const Workers&);
template void normalize_again<double>(const Problem<double>&, const double*, const SetStatistics&, double*,
                                      const Workers&);
template void normalize_backward<double>(const Problem<double>&, const BackwardInputs<double>&,
                                         const BackwardOutputs<double>&, const Workers&);
template void normalize<Bfloat16>(const Problem<Bfloat16>&, const Bfloat16*, const ForwardOutputs<Bfloat16>&,
                                  const Workers&);
template void normalize_again<Bfloat16>(const Problem<Bfloat16>&, const Bfloat16*, const SetStatistics&,
                                        Bfloat16*, const Workers&);
template void normalize_backward<Bfloat16>(const Problem<Bfloat16>&, const BackwardInputs<Bfloat16>&,
                                           const BackwardOutputs<Bfloat16>&, const Workers&);

}  // namespace refnorm::kernels
