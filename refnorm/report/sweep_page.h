#pragma once

#include <string>

#include <refnorm/report/sweep_answer.h>

namespace refnorm::report {

/// A sweep's report.html: the answer first, then what it rests on. One file that needs no network.
std::string html_page(const Sweep& sweep, const SweepAnswer& answer);

}  // namespace refnorm::report
