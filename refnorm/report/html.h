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

}  // namespace refnorm::report
