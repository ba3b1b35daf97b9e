// Opens torch's CUDA half, libtorch_cuda, before the program's main runs, if it lies beside the libtorch_cpu that the
// program was started with. One program then serves a CPU-only and a CUDA libtorch: nothing is linked with libtorch_cuda,
// which registers itself by being loaded. It is looked for beside libtorch_cpu because the two must be of one build.
//
// No torch header and no torch symbol here. Must run before anything asks torch for CUDA, since torch remembers the answer;
// hence a static initialiser, in an archive of its own that is linked whole.

#if defined(_WIN32)
#include <string>
#include <windows.h>
#elif defined(__linux__)
#include <dlfcn.h>
#include <link.h>
#include <string>
#include <unistd.h>
#endif

namespace {

// Why the library that is there could not be opened; empty if it is open, or not there.
#if defined(_WIN32) || defined(__linux__)
std::string &failure() {
  static std::string text;
  return text;
}
#endif

#if defined(_WIN32)
void open_cuda_half() {
  HMODULE cpu = GetModuleHandleW(L"torch_cpu.dll");
  wchar_t path[32768];
  const DWORD length = cpu ? GetModuleFileNameW(cpu, path, 32768) : 0;
  if (length == 0 || length == 32768) {
    return;
  }
  std::wstring file(path, length);
  file = file.substr(0, file.find_last_of(L"\\/") + 1) + L"torch_cuda.dll";
  if (GetFileAttributesW(file.c_str()) == INVALID_FILE_ATTRIBUTES) {
    return;
  }
  if (!LoadLibraryExW(file.c_str(), nullptr, LOAD_WITH_ALTERED_SEARCH_PATH)) {
    failure() = "torch_cuda.dll beside torch_cpu.dll could not be loaded: error " + std::to_string(GetLastError());
  }
}
#elif defined(__linux__)
void open_cuda_half() {
  // Only asks for what is loaded already: a program without torch stays without it.
  void *cpu = dlopen("libtorch_cpu.so", RTLD_LAZY | RTLD_NOLOAD);
  if (!cpu) {
    return;
  }
  link_map *map = nullptr;
  if (dlinfo(cpu, RTLD_DI_LINKMAP, &map) == 0 && map && map->l_name) {
    const std::string path = map->l_name;
    const std::string file = path.substr(0, path.rfind('/') + 1) + "libtorch_cuda.so";
    if (access(file.c_str(), F_OK) == 0 && !dlopen(file.c_str(), RTLD_NOW | RTLD_GLOBAL)) {
      const char *why = dlerror();
      failure() = why ? why : file + " could not be opened";
    }
  }
  dlclose(cpu);
}
#else
void open_cuda_half() {}
#endif

const bool opened = (open_cuda_half(), true);

} // namespace

// Why torch's CUDA half could not be opened though it is there; empty otherwise. Static storage.
extern "C" const char *splat_tch_cuda_half_failure() {
#if defined(_WIN32) || defined(__linux__)
  return opened ? failure().c_str() : "";
#else
  return opened ? "" : "";
#endif
}
