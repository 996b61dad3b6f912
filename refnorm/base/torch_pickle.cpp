#include <algorithm>
#include <array>

#include <refnorm/base/error.h>
#include <refnorm/base/safetensors.h>
#include <refnorm/base/text.h>
#include <refnorm/base/torch_pickle.h>

namespace refnorm {
namespace {

using Kind = PickleValue::Kind;
using Node = PickleNode::Kind;

constexpr std::size_t kMostDimensions = 64;  // torch's own limit

enum class Role { kStorage, kTensor, kParameter, kOrderedDict, kSize, kBeside };

struct Global {
  std::string_view name;
  Role role;
  std::string_view dtype = {};
};

/// What is kBeside stands beside the tensors, in the settings and the schedule of a training, and is not
/// read.
constexpr auto kGlobals = std::to_array<Global>({
    {"collections.OrderedDict", Role::kOrderedDict},
    {"torch._utils._rebuild_tensor_v2", Role::kTensor},
    {"torch._utils._rebuild_tensor", Role::kTensor},  // before 0.4
    {"torch._utils._rebuild_parameter", Role::kParameter},
    {"torch.nn.parameter.Parameter", Role::kParameter},  // before 0.4
    {"torch.DoubleStorage", Role::kStorage, "F64"},
    {"torch.FloatStorage", Role::kStorage, "F32"},
    {"torch.HalfStorage", Role::kStorage, "F16"},
    {"torch.BFloat16Storage", Role::kStorage, "BF16"},
    {"torch.LongStorage", Role::kStorage, "I64"},
    {"torch.IntStorage", Role::kStorage, "I32"},
    {"torch.ShortStorage", Role::kStorage, "I16"},
    {"torch.CharStorage", Role::kStorage, "I8"},
    {"torch.ByteStorage", Role::kStorage, "U8"},
    {"torch.BoolStorage", Role::kStorage, "BOOL"},
    {"torch.Size", Role::kSize},
    {"torch.float64", Role::kBeside},
    {"torch.float32", Role::kBeside},
    {"torch.float16", Role::kBeside},
    {"torch.bfloat16", Role::kBeside},
    {"torch.int64", Role::kBeside},
    {"torch.int32", Role::kBeside},
    {"torch.int16", Role::kBeside},
    {"torch.int8", Role::kBeside},
    {"torch.uint8", Role::kBeside},
    {"torch.bool", Role::kBeside},
    {"torch.device", Role::kBeside},
    {"collections.Counter", Role::kBeside},
    {"collections.defaultdict", Role::kBeside},
    {"argparse.Namespace", Role::kBeside},
    {"builtins.set", Role::kBeside},
    {"__builtin__.set", Role::kBeside},  // in protocol 2, which is for Python 2, too
});

constexpr auto kNames = [] {
  std::array<std::string_view, kGlobals.size()> names;
  std::transform(kGlobals.begin(), kGlobals.end(), names.begin(),
                 [](const Global& global) { return global.name; });
  return names;
}();

/// The call of a global of that role, or nullptr.
const PickleNode* call_of(const Pickle& pickle, PickleValue value, Role role) {
  const PickleNode* node = pickle.node(value, Node::kCall);
  return node != nullptr && kGlobals[static_cast<std::size_t>(node->callee)].role == role ? node : nullptr;
}

/// A call's arguments are a tuple, or parse_pickle() would have complained.
const std::vector<PickleValue>& arguments_of(const Pickle& pickle, const PickleNode& call) {
  return pickle.node(call.arguments, Node::kTuple)->items;
}

std::int64_t size_of(PickleValue value, const char* what, const std::string& where) {
  if (value.kind != Kind::kInteger || value.number < 0) user_error("{}: {} is not a size", where, what);
  return value.number;
}

std::vector<std::int64_t> sizes_of(const Pickle& pickle, PickleValue value, const char* what,
                                   const std::string& where) {
  if (const PickleNode* size = call_of(pickle, value, Role::kSize)) {
    const std::vector<PickleValue>& arguments = arguments_of(pickle, *size);
    if (arguments.size() == 1) value = arguments[0];
  }
  const PickleNode* node = pickle.node(value, Node::kTuple);
  if (node == nullptr) node = pickle.node(value, Node::kList);
  if (node == nullptr) user_error("{}: its {} is not a list of sizes", where, what);
  if (node->items.size() > kMostDimensions) {
    user_error("{}: its {} has {} dimensions, at most {} expected", where, what, node->items.size(),
               kMostDimensions);
  }
  std::vector<std::int64_t> sizes;
  for (const PickleValue item : node->items)
    sizes.push_back(size_of(item, "a number of its shape or strides", where));
  return sizes;
}

/// The tensor itself where a parameter is wrapped around it.
PickleValue unwrapped(const Pickle& pickle, PickleValue value) {
  const PickleNode* parameter = call_of(pickle, value, Role::kParameter);
  if (parameter == nullptr) return value;
  const std::vector<PickleValue>& arguments = arguments_of(pickle, *parameter);
  if (!arguments.empty()) return arguments[0];
  // Before 0.2: made empty, then given (data, gradient's function, hooks, requires_grad, volatile).
  const PickleNode* state = pickle.node(parameter->state, Node::kTuple);
  return state != nullptr && !state->items.empty() ? state->items[0] : PickleValue{};
}

/// The elements from the first to the last of the view, both counted; 0 for an empty one. Nothing on
/// overflow.
std::optional<std::int64_t> span_of(const TorchTensor& tensor) {
  std::int64_t last = 0;
  for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
    if (tensor.shape[i] == 0) return 0;
    std::int64_t reach = 0;
    if (__builtin_mul_overflow(tensor.shape[i] - 1, tensor.strides[i], &reach) ||
        __builtin_add_overflow(last, reach, &last)) {
      return std::nullopt;
    }
  }
  std::int64_t span = 0;
  return __builtin_add_overflow(last, 1, &span) ? std::nullopt : std::optional(span);
}

void check_view(TorchTensor& tensor, std::int64_t elements, const std::string& where) {
  const auto shape = [&] { return printable(fmt::format("[{}]", fmt::join(tensor.shape, ", "))); };
  if (tensor.shape.size() != tensor.strides.size()) {
    user_error("{}: {} dimensions, but {} strides", where, tensor.shape.size(), tensor.strides.size());
  }
  const auto count = element_count(tensor.shape);
  if (!count || __builtin_mul_overflow(*count, *dtype_size(tensor.dtype), &tensor.bytes)) {
    user_error("{}: its shape {} is too large", where, shape());
  }
  const auto span = span_of(tensor);
  std::int64_t end = 0;
  if (!span || __builtin_add_overflow(tensor.offset, *span, &end) || end > elements) {
    user_error("{}: shape {} from element {} with strides [{}] leaves its storage of {} elements", where,
               shape(), tensor.offset, printable(fmt::format("{}", fmt::join(tensor.strides, ", "))),
               elements);
  }
}

}  // namespace

std::span<const std::string_view> state_dict_globals() {
  return kNames;
}

std::optional<PickleItems> items_of(const Pickle& pickle, PickleValue value) {
  PickleItems items;
  const PickleNode* node = pickle.node(value, Node::kDict);
  if (node == nullptr) {
    node = call_of(pickle, value, Role::kOrderedDict);
    if (node == nullptr) return std::nullopt;
    // Python 2 hands the items over when it is made.
    const std::vector<PickleValue>& arguments = arguments_of(pickle, *node);
    const PickleNode* pairs = arguments.empty() ? nullptr : pickle.node(arguments[0], Node::kList);
    for (const PickleValue value_pair : pairs != nullptr ? pairs->items : std::vector<PickleValue>{}) {
      const PickleNode* pair = pickle.node(value_pair, Node::kList);
      if (pair == nullptr) pair = pickle.node(value_pair, Node::kTuple);
      if (pair == nullptr || pair->items.size() != 2) return std::nullopt;
      items.emplace_back(pair->items[0], pair->items[1]);
    }
  }
  for (std::size_t i = 0; i + 1 < node->items.size(); i += 2)
    items.emplace_back(node->items[i], node->items[i + 1]);
  return items;
}

bool is_tensor(const Pickle& pickle, PickleValue value) {
  return call_of(pickle, value, Role::kTensor) != nullptr ||
         call_of(pickle, value, Role::kParameter) != nullptr;
}

StorageView read_storage(const Pickle& pickle, const PickleNode& node, const std::string& where) {
  // ("storage", type, key, device, elements); before 1.6 also None or (key, begin, elements) of a part of it.
  const PickleNode* id = pickle.node(node.arguments, Node::kTuple);
  const std::string_view* what = id != nullptr && !id->items.empty() ? pickle.text(id->items[0]) : nullptr;
  if (what == nullptr) user_error("{}: something lies outside the pickle that is no storage", where);
  if (*what != "storage") {
    user_error("{}: holds a '{}', expected a state dictionary: only storages outside the pickle", where,
               printable(*what));
  }
  const std::vector<PickleValue>& items = id->items;
  const bool sized = items.size() == 5 || items.size() == 6;
  const std::string_view* key = sized ? pickle.text(items[2]) : nullptr;
  if (key == nullptr || items[1].kind != Kind::kGlobal)
    user_error("{}: a storage is not described as one", where);
  const Global& type = kGlobals[static_cast<std::size_t>(items[1].number)];
  if (type.role != Role::kStorage) user_error("{}: '{}' is no type of storage", where, type.name);
  StorageView view;
  view.key = *key;
  view.storage = {std::string(type.dtype), size_of(items[4], "the size of a storage", where)};
  view.elements = view.storage.elements;
  if (items.size() == 6 && items[5].kind != Kind::kNone) {
    const PickleNode* part = pickle.node(items[5], Node::kTuple);
    if (part == nullptr || part->items.size() != 3)
      user_error("{}: a part of a storage is not described as one", where);
    view.offset = size_of(part->items[1], "the begin of a part of a storage", where);
    view.elements = size_of(part->items[2], "the size of a part of a storage", where);
    if (view.offset > view.storage.elements || view.elements > view.storage.elements - view.offset) {
      user_error("{}: a part of a storage leaves its {} elements", where, view.storage.elements);
    }
  }
  return view;
}

TorchTensor read_tensor(const Pickle& pickle, PickleValue value, const std::string& where) {
  const PickleNode* call = call_of(pickle, unwrapped(pickle, value), Role::kTensor);
  if (call == nullptr) user_error("{}: a parameter without a tensor", where);
  const std::vector<PickleValue>& arguments = arguments_of(pickle, *call);
  const PickleNode* node = arguments.size() < 4 ? nullptr : pickle.node(arguments[0], Node::kPersistent);
  if (node == nullptr) user_error("{}: expected a storage, an offset, a shape and strides", where);
  const StorageView view = read_storage(pickle, *node, where);
  TorchTensor tensor;
  tensor.storage = view.key;
  tensor.dtype = view.storage.dtype;
  tensor.offset = size_of(arguments[1], "its offset", where);
  tensor.shape = sizes_of(pickle, arguments[2], "shape", where);
  tensor.strides = sizes_of(pickle, arguments[3], "strides", where);
  check_view(tensor, view.elements, where);
  tensor.offset += view.offset;
  return tensor;
}

}  // namespace refnorm
