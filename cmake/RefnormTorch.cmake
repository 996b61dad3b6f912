# Finds LibTorch and insists on a fast BLAS under it: with the reference BLAS a 2048 x 2048 matrix product takes
# seconds instead of milliseconds, and nothing says so.
find_package(Torch REQUIRED)
# PyTorch's own packages carry headers of other libraries, which would hide those that we link: links to these come
# first, since folders that are not "system" do.
set(own_headers ${PROJECT_BINARY_DIR}/include/before_torch)
foreach(name fmt google)
  find_path(own_${name} ${name} PATHS /usr/local/include /usr/include NO_DEFAULT_PATH)
  foreach(folder IN LISTS TORCH_INCLUDE_DIRS)
    if(EXISTS ${folder}/${name} AND own_${name} AND NOT own_${name} STREQUAL folder)
      file(MAKE_DIRECTORY ${own_headers})
      file(CREATE_LINK ${own_${name}}/${name} ${own_headers}/${name} SYMBOLIC)
      include_directories(BEFORE ${own_headers})
    endif()
  endforeach()
endforeach()
# Torch's interface carries its include folders as plain ones; its headers are not ours to warn about.
foreach(lib torch torch_cpu c10 torch_library)
  if(TARGET ${lib})
    get_target_property(dirs ${lib} INTERFACE_INCLUDE_DIRECTORIES)
    if(dirs)
      set_property(TARGET ${lib} PROPERTY INTERFACE_SYSTEM_INCLUDE_DIRECTORIES ${dirs})
    endif()
  endif()
endforeach()

get_target_property(torch_cpu_file torch_cpu IMPORTED_LOCATION)
if(NOT torch_cpu_file)
  get_target_property(torch_cpu_file torch_cpu IMPORTED_LOCATION_RELEASE)
endif()
execute_process(COMMAND ldd ${torch_cpu_file} OUTPUT_VARIABLE torch_links ERROR_QUIET)
string(REGEX MATCH "libblas[.]so[.]3 => ([^ \n]+)" _ "${torch_links}")
if(CMAKE_MATCH_1)
  file(REAL_PATH ${CMAKE_MATCH_1} blas_file)
  if(NOT blas_file MATCHES "openblas|mkl|blis")
    message(FATAL_ERROR "LibTorch's BLAS is ${blas_file}, the slow reference implementation. "
                        "Install OpenBLAS: apt-get install libopenblas0-pthread")
  endif()
endif()
