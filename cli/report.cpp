#include <memory>

#include <fmt/format.h>

#include <refnorm/base/file.h>
#include <refnorm/base/json.h>
#include <refnorm/report/report.h>

#include "command.h"

namespace refnorm::cli {

Command report_command(CLI::App& parent) {
  const auto folder = std::make_shared<std::string>();
  CLI::App* app = parent.add_subcommand(
      "report", "Make table.md, curves.svg and report.html of a comparison or a sweep again");
  app->add_option("folder", *folder, "The folder that refnorm compare --out made")
      ->required()
      ->type_name("DIR");
  return {app, [folder] {
            report::write_report(*folder);
            return Answer{
                read_json(std::filesystem::path(*folder) / "result.json"),
                report::terminal_table(*folder) + fmt::format("\nThe report is {}/report.html\n", *folder)};
          }};
}

}  // namespace refnorm::cli
