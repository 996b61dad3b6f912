#include "bench_table.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <optional>

#include <fmt/format.h>

namespace refnorm::cli {
namespace {

struct NamedRounds {
  const char* name;
  const Rounds* rounds;  ///< nothing where it lacks the case
};

std::vector<NamedRounds> contenders_of(const Measured& measured) {
  return {{"ours", &measured.ours},
          {"libtorch", &measured.libtorch},
          {"onednn", measured.onednn ? &*measured.onednn : nullptr},
          {"floor", &measured.floor},
          {"two_sweeps", &measured.two_sweeps},
          {"cached", measured.cached ? &*measured.cached : nullptr}};
}

struct Spread {
  double median, least, most;  ///< milliseconds
};

Spread spread_of(const std::vector<double>& seconds) {
  const auto [least, most] = std::minmax_element(seconds.begin(), seconds.end());
  return {median(seconds) * 1e3, *least * 1e3, *most * 1e3};
}

/// A quotient of two times, in words of the JSON; nothing where somebody lacks the case.
struct Ratio {
  const char* name;
  const char* words;
  const Rounds* (*above)(const Measured&);
  const Rounds* (*below)(const Measured&);
};

template <std::optional<Rounds> Measured::*kWho>
const Rounds* or_nothing(const Measured& measured) {
  return measured.*kWho ? &*(measured.*kWho) : nullptr;
}

const Rounds* ours(const Measured& measured) {
  return &measured.ours;
}
const Rounds* two_sweeps(const Measured& measured) {
  return &measured.two_sweeps;
}
constexpr Ratio kRatios[] = {
    {"libtorch_per_ours", "LibTorch/ours", [](const Measured& m) -> const Rounds* { return &m.libtorch; },
     ours},
    {"onednn_per_ours", "oneDNN/ours", or_nothing<&Measured::onednn>, ours},
    {"ours_per_floor", "ours/floor", ours, [](const Measured& m) -> const Rounds* { return &m.floor; }},
    {"ours_per_two_sweeps", "ours/two sweeps", ours, two_sweeps},
    {"libtorch_per_two_sweeps", "LibTorch/two sweeps",
     [](const Measured& m) -> const Rounds* { return &m.libtorch; }, two_sweeps},
    {"ours_per_cached", "ours/cached", ours, or_nothing<&Measured::cached>},
    {"ours_per_bound", "ours/bound", ours, or_nothing<&Measured::bound>},
    {"libtorch_per_bound", "LibTorch/bound", [](const Measured& m) -> const Rounds* { return &m.libtorch; },
     or_nothing<&Measured::bound>}};

std::optional<double> ratio_of(const Ratio& ratio, const Measured& measured, Pass pass) {
  const Rounds* above = ratio.above(measured);
  const Rounds* below = ratio.below(measured);
  if (above == nullptr || below == nullptr) return std::nullopt;
  return median_ratio(above->of(pass), below->of(pass));
}

std::optional<double> geometric_mean(const Ratio& ratio, const NormTable& table, Pass pass) {
  double logarithms = 0;
  int count = 0;
  for (const Measured& measured : table.cases) {
    if (const auto value = ratio_of(ratio, measured, pass)) {
      logarithms += std::log(*value);
      ++count;
    }
  }
  return count == 0 ? std::nullopt : std::optional(std::exp(logarithms / count));
}

/// Milliseconds of all norms of the network together, or nothing where somebody lacks a case.
std::optional<double> network_total(const NormTable& table, std::size_t contender, Pass pass) {
  double total = 0;
  for (const Measured& measured : table.cases) {
    const Rounds* rounds = contenders_of(measured)[contender].rounds;
    if (rounds == nullptr) return std::nullopt;
    total += median(rounds->of(pass)) * 1e3 * static_cast<double>(measured.what.shape.count);
  }
  return total;
}

Json or_null(const std::optional<double>& value) {
  return value ? Json(*value) : Json(nullptr);
}

const char* name_of(Pass pass) {
  return kPassNames[static_cast<int>(pass)];
}

double gigabytes_per_second(const Measured& measured, const Rounds& rounds, Pass pass) {
  return measured.bytes(pass) / median(rounds.of(pass)) / 1e9;
}

Json pass_to_json(const Measured& measured, Pass pass) {
  Json json;
  for (const auto& [name, rounds] : contenders_of(measured)) {
    if (rounds == nullptr) {
      json[name] = nullptr;
      continue;
    }
    const Spread spread = spread_of(rounds->of(pass));
    json[name] = {{"median_ms", spread.median},
                  {"min_ms", spread.least},
                  {"max_ms", spread.most},
                  {"gb_per_s", gigabytes_per_second(measured, *rounds, pass)}};
  }
  for (const Ratio& ratio : kRatios) json[ratio.name] = or_null(ratio_of(ratio, measured, pass));
  return json;
}

/// Three to four digits.
std::string number(double value) {
  return value < 10    ? fmt::format("{:.3f}", value)
         : value < 100 ? fmt::format("{:.2f}", value)
                       : fmt::format("{:.1f}", value);
}

std::string cell(const Rounds* rounds, Pass pass) {
  if (rounds == nullptr) return "-";
  const Spread spread = spread_of(rounds->of(pass));
  return fmt::format("{} ({}-{})", number(spread.median), number(spread.least), number(spread.most));
}

constexpr const char* kRow = "{:<15}  {:<8}  {:<20}  {:<22}  {:<20}  {:<20}  {:>7}  {:>6}  {:>5}\n";

std::string case_to_text(const Measured& measured) {
  const NormShape& shape = measured.what.shape;
  const std::string labels[] = {shape.to_string(), fmt::format("x{} {}", shape.count, name_of(shape.then)),
                                ""};
  std::string text;
  for (const Pass pass : kPasses) {
    const auto all = contenders_of(measured);
    text +=
        fmt::format(fmt::runtime(kRow), labels[static_cast<int>(pass)], name_of(pass),
                    cell(all[0].rounds, pass), cell(all[1].rounds, pass), cell(all[2].rounds, pass),
                    cell(all[3].rounds, pass), fmt::format("{:.2f}", *ratio_of(kRatios[0], measured, pass)),
                    fmt::format("{:.2f}", *ratio_of(kRatios[2], measured, pass)),
                    fmt::format("{:.1f}", gigabytes_per_second(measured, measured.ours, pass)));
  }
  return text;
}

std::string summary_to_text(const NormTable& table) {
  std::string text = fmt::format("geometric means over {} shapes:", table.cases.size());
  for (const Ratio& ratio : kRatios) {
    if (!geometric_mean(ratio, table, Pass::kBoth)) continue;
    text += fmt::format("\n  {:<19}", ratio.words);
    for (const Pass pass : kPasses) {
      text += fmt::format(" {} {:.2f}", name_of(pass), *geometric_mean(ratio, table, pass));
    }
  }
  std::int64_t norms = 0;
  for (const Measured& measured : table.cases) norms += measured.what.shape.count;
  text += fmt::format("\nnetwork total, {} norms, forward + backward, ms:", norms);
  static constexpr const char* kNames[] = {"ours", "LibTorch", "oneDNN", "floor", "two sweeps", "cached"};
  for (std::size_t i = 0; i < std::size(kNames); ++i) {
    if (const auto total = network_total(table, i, Pass::kBoth)) {
      text += fmt::format("  {} {}", kNames[i], number(*total));
    }
  }
  return text + "\n";
}

}  // namespace

Json to_json(const NormTable& table) {
  Json json{{"norm", table.norm}, {"dtype", table.dtype}, {"format", table.format}, {"then", table.then}};
  json["cases"] = Json::array();
  for (const Measured& measured : table.cases) {
    const NormShape& shape = measured.what.shape;
    Json one{{"shape", {shape.n, shape.c, shape.h, shape.w}},
             {"count", shape.count},
             {"then", name_of(shape.then)},
             {"verified", true}};
    for (const Pass pass : kPasses) one[name_of(pass)] = pass_to_json(measured, pass);
    json["cases"].push_back(one);
  }
  for (const Pass pass : kPasses) {
    for (const Ratio& ratio : kRatios) {
      json["geometric_means"][name_of(pass)][ratio.name] = or_null(geometric_mean(ratio, table, pass));
    }
    std::size_t contender = 0;
    for (const char* name : {"ours", "libtorch", "onednn", "floor", "two_sweeps", "cached"}) {
      json["network_total_ms"][name_of(pass)][name] = or_null(network_total(table, contender++, pass));
    }
  }
  json["notes"] = table.notes;
  return json;
}

std::string to_text(const NormTable& table) {
  std::string text = fmt::format("{}, {}, {}, then {}: median ms of the rounds (least-most)\n", table.norm,
                                 table.dtype, table.format, table.then);
  text += fmt::format(fmt::runtime(kRow), "shape", "pass", "ours", "LibTorch", "oneDNN", "floor", "LT/ours",
                      "/floor", "GB/s");
  for (const Measured& measured : table.cases) text += case_to_text(measured);
  text += summary_to_text(table);
  for (const std::string& note : table.notes) text += fmt::format("note: {}\n", note);
  return text;
}

}  // namespace refnorm::cli
