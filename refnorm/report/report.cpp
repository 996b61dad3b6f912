#include <refnorm/base/file.h>
#include <refnorm/report/answer.h>
#include <refnorm/report/curves.h>
#include <refnorm/report/html.h>
#include <refnorm/report/report.h>
#include <refnorm/report/table.h>

namespace refnorm::report {

void write_report(const std::filesystem::path& folder) {
  const Result result = read_result(folder);
  const Answer found = answer(result);
  const std::string curves = curves_svg(result, read_traces(folder, result));
  const std::string table = markdown_table(result, found);
  const std::string page = html_page(result, found, curves);
  write_file(folder / "table.md", table);
  write_file(folder / "curves.svg", curves);
  write_file(folder / "report.html", page);
}

std::string terminal_table(const Result& result) {
  return plain_table(result, answer(result));
}

std::string terminal_table(const std::filesystem::path& folder) {
  return terminal_table(read_result(folder));
}

}  // namespace refnorm::report
