# Sets up CUDA and C++ for an engine of splat_engine.h. A CMakeLists.txt includes this after project(... LANGUAGES CXX) and
# then calls splat_engine_library. No torch here and no search for one; nothing is downloaded.
set(SPLAT_ENGINE_INCLUDE "" CACHE PATH "Folder of splat_engine.h")
set(SPLAT_FINGERPRINT "" CACHE STRING "Fingerprint of the build plan; empty when there is none")
set(splat_engine_build "${CMAKE_CURRENT_LIST_DIR}/..")

if(NOT EXISTS "${SPLAT_ENGINE_INCLUDE}/splat_engine.h")
  message(FATAL_ERROR "SPLAT_ENGINE_INCLUDE (${SPLAT_ENGINE_INCLUDE}) has no splat_engine.h")
endif()
# "native" would need a GPU here and fit no other machine.
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES OR CMAKE_CUDA_ARCHITECTURES STREQUAL "native")
  message(FATAL_ERROR "CMAKE_CUDA_ARCHITECTURES must list architectures, such as \"80-real;90\"")
endif()
# One C++ compiler for both languages unless the caller says otherwise (CUDAHOSTCXX).
if(NOT DEFINED CMAKE_CUDA_HOST_COMPILER AND NOT DEFINED ENV{CUDAHOSTCXX})
  set(CMAKE_CUDA_HOST_COMPILER "${CMAKE_CXX_COMPILER}")
endif()
# What holds for C++ holds for nvcc's host code, above all libstdc++'s ABI (-D_GLIBCXX_USE_CXX11_ABI=0).
if(NOT DEFINED CMAKE_CUDA_FLAGS)
  separate_arguments(words NATIVE_COMMAND "${CMAKE_CXX_FLAGS}")
  foreach(word IN LISTS words)
    if(word MATCHES "^[-/][DU]")
      string(APPEND cuda_flags " ${word}")
    else()
      string(APPEND cuda_flags " -Xcompiler=${word}")
    endif()
  endforeach()
  set(CMAKE_CUDA_FLAGS "${cuda_flags}")
endif()
enable_language(CUDA)

set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CUDA_STANDARD 17)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
set(CMAKE_CUDA_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_CUDA_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
# Not every Windows has Visual Studio's runtime libraries.
set(CMAKE_MSVC_RUNTIME_LIBRARY MultiThreaded)

# libstdc++ inside the shared libraries, where the compiler has it as an archive: they then load beside any other.
include(CheckLinkerFlag)
if(UNIX)
  check_linker_flag(CXX "-static-libstdc++" SPLAT_STATIC_LIBSTDCXX)
endif()
# On GNU/Linux they are linked for an older C library than this machine's, so that they load on other machines too.
if(CMAKE_SYSTEM_NAME STREQUAL "Linux" AND NOT CMAKE_CROSSCOMPILING)
  set(splat_old_glibc "${CMAKE_BINARY_DIR}/old-glibc")
  execute_process(
    COMMAND ${CMAKE_COMMAND} -E env "CC=${CMAKE_CXX_COMPILER}"
      sh "${splat_engine_build}/old-glibc.sh" "${splat_old_glibc}"
    RESULT_VARIABLE splat_failed ERROR_VARIABLE splat_said OUTPUT_QUIET)
  if(splat_failed)
    message(STATUS "linking for this machine's C library alone: ${splat_said}")
    unset(splat_old_glibc)
  endif()
endif()

# splat_engine_library(NAME EXPORTS SOURCES...): the static library that Rust links, and the shared one with the C function
# (from the file EXPORTS).
function(splat_engine_library name exports)
  set(common "${splat_engine_build}/cpp/common")
  add_library(${name}_objects OBJECT ${ARGN}
    ${common}/arguments.cpp ${common}/device.cpp ${common}/scan.cu ${common}/status.cpp ${common}/structs.cpp)
  set(include "${CMAKE_CURRENT_SOURCE_DIR}/adapters" "${splat_engine_build}/cpp" "${SPLAT_ENGINE_INCLUDE}")
  target_include_directories(${name}_objects PRIVATE ${include})
  # The runtime's headers, for the C++ files too.
  target_include_directories(${name}_objects SYSTEM PRIVATE ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES})
  # The adapters say what they were built for.
  string(REPLACE ";" " " archs "${CMAKE_CUDA_ARCHITECTURES}")
  # Symbols of what engines have in common, and of a second copy of CUB in the process, such as torch's, must not clash.
  target_compile_definitions(${name}_objects PRIVATE
    SPLAT_COPY=${name} SPLAT_CUDA_ARCHS="${archs}" CUB_WRAPPED_NAMESPACE=${name} THRUST_CUB_WRAPPED_NAMESPACE=${name})
  if(UNIX)
    target_compile_options(${name}_objects PRIVATE
      $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra>
      $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fno-gnu-unique>
      $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra>)
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      target_compile_options(${name}_objects PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-fno-gnu-unique>)
    endif()
  endif()

  add_library(${name} STATIC $<TARGET_OBJECTS:${name}_objects>)
  add_library(${name}_shared SHARED $<TARGET_OBJECTS:${name}_objects> ${exports})
  target_include_directories(${name}_shared PRIVATE ${include})
  set_target_properties(${name}_shared PROPERTIES OUTPUT_NAME ${name} LINKER_LANGUAGE CUDA)
  if(WIN32)
    set_target_properties(${name}_shared PROPERTIES ARCHIVE_OUTPUT_NAME ${name}_import)
  else()
    set(map "${splat_engine_build}/cmake/exports.map")
    target_link_options(${name}_shared PRIVATE
      "LINKER:--version-script=${map}" LINKER:--no-undefined LINKER:--gc-sections)
    set_target_properties(${name}_shared PROPERTIES LINK_DEPENDS "${map}")
    if(SPLAT_STATIC_LIBSTDCXX)
      target_link_options(${name}_shared PRIVATE -static-libstdc++)
    endif()
    if(splat_old_glibc)
      target_link_options(${name}_shared PRIVATE "-L${splat_old_glibc}/lib" LINKER:--no-as-needed -shared-libgcc)
    elseif(SPLAT_STATIC_LIBSTDCXX)
      target_link_options(${name}_shared PRIVATE -static-libgcc)
    endif()
  endif()
  install(TARGETS ${name} ${name}_shared
    ARCHIVE DESTINATION lib LIBRARY DESTINATION lib RUNTIME DESTINATION lib)
endfunction()
