#pragma once

#include <optional>
#include <string>
#include <vector>

#include <refnorm/report/paired.h>

namespace refnorm::report {

/// What comparisons and sweeps say of arms that were compared seed by seed, in words and cells.

/// "p = 0.0625", "p < 0.0001"; p_cell() leaves "p =" out.
std::string p_text(double p);
std::string p_cell(double p);

/// "+0.12", and "[−0.05, +0.20]" or "–".
std::string signed_points(const std::optional<double>& value);
std::string signed_interval(const std::optional<Interval>& interval);

/// "lower error", "tie: not told apart", …
std::string verdict_words(Verdict verdict);
std::string place_words(Place place);

/// What stands behind a mean, with a space before it: " ★", " ≈"; empty for a worse one.
const char* place_mark(Place place);

/// What the marks mean that stand in `places`: "★ lowest mean …; ≈ …".
std::string mark_words(const std::vector<Place>& places, const std::string& what);

/// "5 seeds cannot go below p = 0.0625, and that is to be corrected for 6 comparisons; 8 seeds could".
std::string too_few_words(std::size_t pairs, std::size_t comparisons);

/// Difference, interval, p, corrected p, pairs and lost pairs, and their heads.
std::vector<std::string> paired_heads();
std::vector<std::string> paired_cells(const FlipTest& test, const PairedDifference& difference,
                                      std::size_t lost);

/// "2 diverged and 1 failed", or nothing.
std::string lost_words(const Arm& arm, const char* separator);

}  // namespace refnorm::report
