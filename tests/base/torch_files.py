"""Writes files of torch.save in all forms, and expected.json: what is in them, as bytes of row-major arrays.

usage: torch_files.py FOLDER
"""

import argparse
import collections
import json
import os
import sys

import torch

DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}


def plain(tensor):
    """Element by element, so that no view, stride or offset of torch's is trusted."""
    tensor = tensor.detach()
    integers = {8: torch.int64, 4: torch.int32, 2: torch.int16, 1: torch.uint8}
    data = b""
    for value in tensor.flatten().tolist() if tensor.dtype is not torch.bfloat16 else tensor.float().flatten().tolist():
        one = torch.tensor([value], dtype=tensor.dtype)
        size = one.element_size()
        number = int(one.view(integers[size]).item())
        data += (number % 2 ** (8 * size)).to_bytes(size, "little")
    return {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "bytes": data.hex()}


def every_dtype():
    values = torch.tensor([[0.0, 1.5, -2.25], [100.0, 0.1, -7.0]], dtype=torch.float64)
    return {str(dtype): values.to(dtype) for dtype in DTYPES}


def special_values():
    return {"x": torch.tensor([float("inf"), -float("inf"), -0.0, 1e-45, 3.4e38]),
            "i": torch.tensor([2**63 - 1, -(2**63), 0])}


def views():
    base = torch.arange(60, dtype=torch.float32).reshape(3, 4, 5)
    matrix = torch.arange(12, dtype=torch.int16).reshape(3, 4)
    return collections.OrderedDict(
        whole=base, transposed=matrix.t(), permuted=base.permute(2, 0, 1), slice=base[1:, 2:4, 1::2], row=matrix[2],
        column=matrix[:, 1], element=matrix[1, 2], expanded=matrix[:1, :1].expand(4, 4), empty=torch.zeros(0, 3),
        empty_slice=matrix[3:], scalar=torch.tensor(5), channels_last=torch.randn(2, 3, 4, 5).contiguous(
            memory_format=torch.channels_last), tied=base)


def network():
    return torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3), torch.nn.Flatten(),
                               torch.nn.Linear(12, 2))


def parameters():
    return {"kept": torch.nn.Parameter(torch.randn(2, 2)), "frozen": torch.nn.Parameter(torch.randn(3), False)}


def checkpoint(key, state, model):
    optimizer = torch.optim.Adam(model.parameters())
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 6])
    model(torch.randn(4, 2, 4, 4)).sum().backward()
    optimizer.step()
    return {"epoch": 3, "arch": "net", key: state, "optimizer": optimizer.state_dict(), "best": torch.tensor(0.5),
            "scheduler": scheduler.state_dict(), "args": argparse.Namespace(lr=0.1, dtype=torch.float32,
            device=torch.device("cpu"), size=torch.Size([2, 3])), "history": [0.5, None, True, (1, 2**70), {1, 2}]}


class Command:
    def __reduce__(self):
        return os.system, ("touch executed",)


def main(folder):
    os.chdir(folder)
    torch.manual_seed(1)
    model = network()
    expected = []

    def write(name, saved, tensors=None, error=None, protocols=(2,)):
        for protocol in protocols:
            for form in ("zip", "legacy"):
                file = f"{name}-{protocol}-{form}.pth"
                torch.save(saved, file, pickle_protocol=protocol, _use_new_zipfile_serialization=form == "zip")
                expected.append({"file": file, "error": error} if error else
                                {"file": file, "tensors": [[key, plain(tensor)] for key, tensor in tensors.items()]})

    for name, content in (("dtypes", every_dtype()), ("special", special_values()), ("parameters", parameters())):
        write(name, content, content)
    seen = views()
    write("views", seen, seen, protocols=(2, 3, 4))
    write("network", model.state_dict(), model.state_dict(), protocols=(2, 3, 4, 5))
    parallel = torch.nn.DataParallel(model).state_dict()
    assert all(key.startswith("module.") for key in parallel)
    write("parallel", parallel, model.state_dict())
    for key in ("state_dict", "model"):
        state = {key: value.clone() for key, value in model.state_dict().items()}
        write("checkpoint-" + key, checkpoint(key, state, model), state, protocols=(2, 4))
    write("command", {"w": torch.zeros(1), "x": Command()},
          error="asks for 'posix.system', which a state dictionary does not need; nothing was executed")
    write("storage", {"w": torch.zeros(1).to_sparse()}, error="asks for 'torch._utils._rebuild_sparse_tensor'")
    write("model", model, error="asks for 'torch.nn.modules.container.Sequential'")
    write("repeated", {"w": torch.zeros(1).expand(1000, 1000)}, error="repeats what is stored")
    write("tensor", torch.zeros(3), error="holds one tensor")
    with open("expected.json", "w") as out:
        json.dump(expected, out)


if __name__ == "__main__":
    main(sys.argv[1])
