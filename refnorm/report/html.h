#pragma once

#include <string>

#include <refnorm/report/answer.h>
#include <refnorm/report/page.h>
#include <refnorm/report/result.h>

namespace refnorm::report {

/// report.html: one file that needs no network; its script only sets off curves. `curves` is the SVG that
/// curves_svg makes.
std::string html_page(const Result& result, const Answer& answer, const std::string& curves,
                      const std::string& gradients = "");

/// What the paper says, as it stands in the recipe, beside ours. Texts are escaped. Objects keyed by arms
/// become a table with our figures in a column beside, where the object's name says which figures they are
/// (test_error_pct, validation_error_pct, train_error_pct).
std::string paper_section(const Result& result, const Answer& answer);

}  // namespace refnorm::report
