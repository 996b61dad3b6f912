#include <algorithm>
#include <limits>

#include <refnorm/base/pickle_stack.h>

namespace refnorm {
namespace {

/// State dictionaries take about 40 values a tensor.
constexpr std::size_t kMostValues = 4'000'000;

constexpr std::int64_t kForgotten = std::numeric_limits<std::int64_t>::min();

bool forgotten(PickleValue value) {
  return value.kind == PickleValue::Kind::kNone && value.number == kForgotten;
}

}  // namespace

std::string_view PickleBytes::take(std::uint64_t count) {
  if (count > bytes_.size() - at_) broken("cut short, {} more bytes expected", count);
  const std::string_view taken = bytes_.substr(at_, count);
  at_ += count;
  return taken;
}

std::uint64_t PickleBytes::number(std::size_t width) {
  const std::string_view digits = take(width);
  std::uint64_t value = 0;
  for (std::size_t i = width; i-- > 0;) value = value << 8 | static_cast<unsigned char>(digits[i]);
  return value;
}

std::string_view PickleBytes::line() {
  const std::size_t end = bytes_.find('\n', at_);
  if (end == std::string_view::npos) broken("cut short within a name");
  const std::string_view taken = bytes_.substr(at_, end - at_);
  at_ = end + 1;
  return taken;
}

void PickleStack::count() {
  if (++values_ > kMostValues) bytes_.broken("more than {} values", kMostValues);
}

void PickleStack::push(PickleValue value) {
  count();
  stack_.push_back(value);
}

void PickleStack::push_text(PickleValue::Kind kind, std::string_view text) {
  made_.texts.push_back(text);
  push(kind, static_cast<std::int64_t>(made_.texts.size()) - 1);
}

PickleNode& PickleStack::push_node(PickleNode::Kind kind, std::vector<PickleValue> items) {
  push(PickleValue::Kind::kNode, static_cast<std::int64_t>(made_.nodes.size()));
  PickleNode& node = made_.nodes.emplace_back();
  node.kind = kind;
  node.items = std::move(items);
  return node;
}

PickleValue PickleStack::top() const {
  if (reachable() == 0) bytes_.broken("a value is missing");
  return stack_.back();
}

PickleValue PickleStack::pop() {
  const PickleValue value = top();
  stack_.pop_back();
  return value;
}

std::vector<PickleValue> PickleStack::pop(std::size_t many) {
  if (reachable() < many) bytes_.broken("{} values are missing", many - reachable());
  const auto first = stack_.end() - static_cast<std::ptrdiff_t>(many);
  std::vector<PickleValue> values(first, stack_.end());
  stack_.erase(first, stack_.end());
  return values;
}

void PickleStack::mark() {
  count();
  marks_.push_back(stack_.size());
}

std::vector<PickleValue> PickleStack::pop_to_mark() {
  if (marks_.empty()) bytes_.broken("a mark is missing");
  std::vector<PickleValue> values = pop(reachable());
  marks_.pop_back();
  return values;
}

/// Writers number what they remember one by one, so that memory grows with the bytes read, and no further.
void PickleStack::remember(std::uint64_t place) {
  if (place > std::min(bytes_.at(), kMostValues))
    bytes_.broken("place {} of its memory is out of order", place);
  const PickleValue value = top();
  count();
  if (place >= memory_.size()) memory_.resize(place + 1, {PickleValue::Kind::kNone, kForgotten});
  if (forgotten(memory_[place])) ++remembered_;
  memory_[place] = value;
}

void PickleStack::recall(std::uint64_t place) {
  if (place >= memory_.size() || forgotten(memory_[place]))
    bytes_.broken("place {} of its memory is empty", place);
  push(memory_[place]);
}

PickleNode* PickleStack::node(PickleValue value) {
  return value.kind == PickleValue::Kind::kNode ? &made_.nodes[static_cast<std::size_t>(value.number)]
                                                : nullptr;
}

Pickle PickleStack::finish() {
  made_.root = pop();
  if (!stack_.empty() || !marks_.empty()) bytes_.broken("it ends with more than one value");
  made_.size = bytes_.at();
  return std::move(made_);
}

}  // namespace refnorm
