#include <refnorm/base/file.h>
#include <refnorm/base/json.h>
#include <refnorm/report/answer.h>
#include <refnorm/report/answer_table.h>
#include <refnorm/report/curves.h>
#include <refnorm/report/gradients.h>
#include <refnorm/report/html.h>
#include <refnorm/report/report.h>
#include <refnorm/report/sweep_page.h>
#include <refnorm/report/sweep_table.h>

namespace refnorm::report {

void write_report(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "result.json";
  const Json document = read_json(file);
  if (is_sweep(document)) {
    Sweep sweep = parse_sweep(document, file.string());
    for (Setting& setting : sweep.settings)
      setting.has_page = std::filesystem::exists(folder / setting.folder / "report.html");
    const SweepAnswer found = answer(sweep);
    const std::string table = markdown_table(sweep, found);
    const std::string page = html_page(sweep, found);
    write_file(folder / "table.md", table);
    write_file(folder / "report.html", page);
    return;
  }
  const Result result = parse_result(document, file.string());
  const Answer found = answer(result);
  std::string curves = losses_svg(folder, result);
  if (curves.empty())
    curves = curves_svg(result, read_traces(folder, result), read_traces(folder, result, parse_validations));
  const std::string table = markdown_table(result, found);
  const std::string page = html_page(result, found, curves, gradients_svg(folder, result));
  write_file(folder / "table.md", table);
  write_file(folder / "curves.svg", curves);
  write_file(folder / "report.html", page);
}

std::string terminal_table(const Result& result) {
  return plain_table(result, answer(result));
}

std::string terminal_table(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "result.json";
  const Json document = read_json(file);
  if (is_sweep(document)) {
    const Sweep sweep = parse_sweep(document, file.string());
    return plain_table(sweep, answer(sweep));
  }
  return terminal_table(parse_result(document, file.string()));
}

}  // namespace refnorm::report
