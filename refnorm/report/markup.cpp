#include <array>
#include <cmath>
#include <cstdint>

#include <fmt/format.h>

#include <refnorm/report/markup.h>

namespace refnorm::report {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";

struct Character {
  std::uint32_t code = 0;
  std::string_view bytes;
};

// The JSON parser lets only valid UTF-8 in; other bytes (a file name's) count as characters of their own.
Character next_character(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) return {lead, text.substr(0, 1)};
  const std::size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < size) return {0xfffd, text.substr(0, 1)};
  std::uint32_t code = lead & (0x7fU >> size);
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0U) != 0x80U) return {0xfffd, text.substr(0, 1)};
    code = code << 6 | (byte(i) & 0x3fU);
  }
  return {code, text.substr(0, size)};
}

template <class Visit>
void for_each_character(std::string_view text, Visit visit) {
  while (!text.empty()) {
    const Character character = next_character(text);
    text.remove_prefix(character.bytes.size());
    visit(character);
  }
}

bool is_space(std::uint32_t code) {
  return code == '\n' || code == '\r' || code == '\t';
}

// Control characters and the code points Unicode sets aside: XML 1.0 and HTML5 turn them down.
bool is_unprintable(std::uint32_t code) {
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || (code & 0xfffeU) == 0xfffe || code == 0xfffd ||
         (code >= 0xfdd0 && code <= 0xfdef);
}

}  // namespace

std::string one_line(std::string_view text) {
  std::string out;
  for_each_character(text, [&](const Character& c) {
    out += is_space(c.code) ? " " : is_unprintable(c.code) ? kReplacement : c.bytes;
  });
  return out;
}

std::string escape_markup(std::string_view text) {
  std::string out;
  for_each_character(text, [&](const Character& c) {
    switch (c.code) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += is_space(c.code) ? " " : is_unprintable(c.code) ? kReplacement : c.bytes;
    }
  });
  return out;
}

std::string escape_markdown(std::string_view text) {
  std::string out;
  for (const char c : one_line(text)) {
    if (std::string_view("\\`*_|[]~$#").find(c) != std::string_view::npos) out += '\\';
    if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '&') {
      out += "&amp;";
    } else {
      out += c;
    }
  }
  return out;
}

std::size_t display_width(std::string_view text) {
  using Range = std::array<std::uint32_t, 2>;
  static constexpr std::array<Range, 3> kNone{{{0x300, 0x36f}, {0x200b, 0x200f}, {0xfe00, 0xfe0f}}};
  static constexpr std::array<Range, 7> kWide{{{0x1100, 0x115f},
                                               {0x2e80, 0xa4cf},
                                               {0xac00, 0xd7a3},
                                               {0xf900, 0xfaff},
                                               {0xfe30, 0xfe6f},
                                               {0xff00, 0xff60},
                                               {0x1f300, 0x3fffd}}};
  const auto lies_in = [](std::uint32_t code, const auto& ranges) {
    for (const Range& range : ranges) {
      if (code >= range[0] && code <= range[1]) return true;
    }
    return false;
  };
  std::size_t width = 0;
  for_each_character(text, [&](const Character& c) {
    width += lies_in(c.code, kNone) ? 0 : lies_in(c.code, kWide) ? 2 : 1;
  });
  return width;
}

std::string shortened(std::string_view text, std::size_t longest) {
  std::string out;
  std::string whole;
  std::size_t count = 0;
  for_each_character(text, [&](const Character& c) {
    whole += c.bytes;
    if (++count < longest) out += c.bytes;
  });
  return count <= longest ? whole : out + "…";
}

std::string two_decimals(const std::optional<double>& value) {
  if (!value) return "–";
  const double rounded = std::round(*value * 100) / 100;
  return fmt::format("{:.2f}", rounded == 0 ? 0.0 : *value);
}

std::string with_thousands(double value) {
  const std::string digits = fmt::format("{:.0f}", std::abs(value));
  std::string out = value < 0 && digits != "0" ? "−" : "";
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) out += ',';
    out += digits[i];
  }
  return out;
}

std::string counted(std::size_t n, std::string_view thing) {
  return fmt::format("{} {}{}", n, thing, n == 1 ? "" : "s");
}

std::string enumerated(const std::vector<std::string>& items) {
  std::string out;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out += i + 1 == items.size() ? " and " : ", ";
    out += items[i];
  }
  return out;
}

}  // namespace refnorm::report
