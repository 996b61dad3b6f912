#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <refnorm/base/error.h>
#include <refnorm/base/pickle.h>

// The parts of pickle.cpp's machine: what it reads from, and what it works on.

namespace refnorm {

/// The bytes of a pickle, taken from the front.
class PickleBytes {
 public:
  PickleBytes(std::string_view bytes, const std::string& origin) : bytes_(bytes), origin_(origin) {}

  template <class... Args>
  [[noreturn]] void broken(fmt::format_string<Args...> format, Args&&... args) const {
    user_error("{}: damaged, or not of torch.save: the pickle at byte {}: {}", origin_, at_,
               fmt::format(format, std::forward<Args>(args)...));
  }

  std::string_view take(std::uint64_t count);
  /// Little-endian, of up to 8 bytes.
  std::uint64_t number(std::size_t width);
  std::uint8_t byte() { return static_cast<std::uint8_t>(number(1)); }
  /// Up to a line feed, which is taken too.
  std::string_view line();

  std::size_t at() const { return at_; }
  const std::string& origin() const { return origin_; }

 private:
  std::string_view bytes_;
  const std::string& origin_;
  std::size_t at_ = 0;
};

/// The stack with its marks, what is remembered by number, and the texts and nodes made so far.
class PickleStack {
 public:
  explicit PickleStack(const PickleBytes& bytes) : bytes_(bytes) {}

  void push(PickleValue value);
  void push(PickleValue::Kind kind, std::int64_t number = 0) { push({kind, number}); }
  void push_text(PickleValue::Kind kind, std::string_view text);
  PickleNode& push_node(PickleNode::Kind kind, std::vector<PickleValue> items = {});

  /// The value on top. Those below the last mark belong to what was begun before it.
  PickleValue top() const;
  PickleValue pop();
  /// The last ones, in the order in which they were pushed.
  std::vector<PickleValue> pop(std::size_t many);
  void mark();
  std::vector<PickleValue> pop_to_mark();

  void remember(std::uint64_t place);
  void remember_next() { remember(remembered_); }
  void recall(std::uint64_t place);

  /// The node that a value stands for, to be filled; nullptr for other values.
  PickleNode* node(PickleValue value);
  const Pickle& made() const { return made_; }
  /// The only value that is left, with all that belongs to it.
  Pickle finish();

 private:
  void count();
  std::size_t reachable() const { return stack_.size() - (marks_.empty() ? 0 : marks_.back()); }

  const PickleBytes& bytes_;
  std::size_t values_ = 0;
  std::vector<PickleValue> stack_;
  std::vector<std::size_t> marks_;
  std::vector<PickleValue> memory_;
  std::size_t remembered_ = 0;
  Pickle made_;
};

}  // namespace refnorm
