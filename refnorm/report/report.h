#pragma once

#include <filesystem>
#include <string>

#include <refnorm/report/result.h>

namespace refnorm::report {

/// Makes table.md, curves.svg and report.html in a comparison's folder from its result.json and its runs'
/// metrics.jsonl, or table.md and report.html in a sweep's from its result.json, and from nothing else: the
/// same files give the same bytes. Throws UserError of one line
/// where those are malformed; nothing is written then.
void write_report(const std::filesystem::path& folder);

/// The table and the answer for a terminal.
std::string terminal_table(const Result& result);
std::string terminal_table(const std::filesystem::path& folder);

}  // namespace refnorm::report
