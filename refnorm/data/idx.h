#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace refnorm::data {

/// The content of an IDX file of unsigned bytes (the format of MNIST), row-major.
struct IdxArray {
  std::vector<std::int64_t> shape;
  std::vector<std::uint8_t> bytes;
};

/// Pictures and their labels, checked against each other.
struct IdxDataset {
  IdxArray images;  ///< N x H x W
  IdxArray labels;  ///< N, each 0 … 9
};

/// Reads a plain or gzip-compressed file (told apart by content, not by name) and checks all of it: magic
/// number, sizes against the length of the file, the CRC of gzip. Memory taken is bounded by the file, or by
/// what its header claims, where gzip can hold that much. Throws UserError of one line.
IdxArray read_idx(const std::filesystem::path& file);

IdxDataset read_idx_pair(const std::filesystem::path& images, const std::filesystem::path& labels);

/// `part` is "train" or "t10k". Accepts train-images-idx3-ubyte and train-images.idx3-ubyte, each also with
/// .gz; where there are several, the first of them. `dataset` is what the error tells to fetch where there is
/// none.
IdxDataset read_mnist_files(const std::filesystem::path& folder, const std::string& part,
                            const std::string& dataset = "mnist");

}  // namespace refnorm::data
