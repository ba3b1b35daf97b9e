#!/bin/sh
# old-glibc.sh FOLDER [MINOR]: libraries to link against, so that the result loads with glibc 2.MINOR (default 28) and
# newer. FOLDER/libc.so and its companions stand for the system's and define its symbols without code, each at
# its newest version that glibc 2.MINOR has; FOLDER/shims.o defines what newer headers ask for besides, and
# FOLDER/start.o what a program's start needs, and FOLDER/cxx.o what newer headers of libstdc++ ask for that the systems of
# glibc 2.28 lack (GLIBCXX_3.4.26 and newer). Link with -LFOLDER, FOLDER/shims.o, for programs FOLDER/start.o, for C++ inside
# them FOLDER/cxx.o, and with libgcc_s as a shared library: the unwinder in the archives of GCC 12 and newer asks for glibc
# 2.35. Needs the C and the C++ compiler and readelf, GNU/Linux only.
set -eu
out=$1
minor=${2:-28}
cc=${CC:-cc}
mkdir -p "$out"
stub() { # stub NAME SONAME FILES...: one library with the symbols of these
  name=$1 soname=$2
  shift 2
  for file in "$@"; do
    path=$($cc -print-file-name="$file")
    [ -e "$path" ] && LC_ALL=C readelf -W --dyn-syms "$path"
  done | awk -v minor="$minor" -v asm="$out/$name.s" -v map="$out/$name.map" '
    function number(version, parts, n) { # GLIBC_2.3.4 -> 20304; 0 for others and for those that are too new
      if (version !~ /^GLIBC_2\.[0-9.]+$/) return 0
      n = split(substr(version, 7), parts, ".")
      if (parts[2] > minor) return 0
      return 20000 + parts[2] * 100 + (n > 2 ? parts[3] : 0)
    }
    $7 != "UND" && $8 ~ /@/ {
      split($8, part, /@+/)
      rank = number(part[2])
      if (rank > 0 && rank > best[part[1]]) { best[part[1]] = rank; version[part[1]] = part[2]; kind[part[1]] = $4; size[part[1]] = $3 }
    }
    END {
      for (symbol in best) {
        type = kind[symbol] == "OBJECT" ? "object" : kind[symbol] == "TLS" ? "tls_object" : "function"
        section = type == "tls_object" ? ".section .tbss,\"awT\",@nobits" : type == "object" ? ".bss" : ".text"
        bytes = type == "function" ? 1 : size[symbol] > 0 ? size[symbol] : 8
        n++
        printf "%s\n.globl s%d\n.type s%d, @%s\n.size s%d, %s\ns%d: .skip %s\n.symver s%d, %s@@%s\n", section, n, n, type, n, bytes, n, bytes, n, symbol, version[symbol] >asm
        seen[version[symbol]] = 1
      }
      for (one in seen) printf "%s { };\n", one >map
      print "SPLAT_HIDDEN { local: s[0-9]*; };" >map
      if (n == 0) printf "" >asm
    }'
  $cc -shared -nostdlib -Wl,-soname,"$soname" -Wl,--version-script="$out/$name.map" -o "$out/lib$name.so" -x assembler "$out/$name.s"
  rm "$out/$name.s" "$out/$name.map"
}
stub glibc libc.so.6 libc.so.6 libpthread.so.0 libdl.so.2 librt.so.1
# As the system's own libc.so does: besides it the few functions that are linked statically, and the loader's.
loader=$(LC_ALL=C readelf -d "$($cc -print-file-name=libc.so.6)" | sed -n 's/.*NEEDED.*\[\(ld-linux.*\)\].*/\1/p')
cat >"$out/libc.so" <<SCRIPT
GROUP ( "$(cd "$out" && pwd)/libglibc.so" "$($cc -print-file-name=libc_nonshared.a)" AS_NEEDED ( "$($cc -print-file-name="$loader")" ) )
SCRIPT
stub m libm.so.6 libm.so.6
# In glibc 2.28 these are still libraries of their own: named by the result, so that the loader brings them.
for pair in pthread:libpthread.so.0 dl:libdl.so.2 rt:librt.so.1 util:libutil.so.1; do
  $cc -shared -nostdlib -Wl,-soname,"${pair#*:}" -o "$out/lib${pair%%:*}.so" -x c /dev/null
done
cat >"$out/shims.c" <<'C'
#include <sys/stat.h>
#define HIDDEN __attribute__((visibility("hidden")))
/* Headers of glibc 2.32 and newer read this, to spare atomic operations in programs of one thread: never spared here. */
HIDDEN char __libc_single_threaded = 0;
/* Functions since glibc 2.33, before that macros around these. */
#ifdef __x86_64__
enum { VERSION = 1 };
#else
enum { VERSION = 0 };
#endif
int __xstat64(int, const char *, void *);
int __lxstat64(int, const char *, void *);
int __fxstat64(int, int, void *);
int __fxstatat64(int, int, const char *, void *, int);
HIDDEN int stat64(const char *path, struct stat64 *out) { return __xstat64(VERSION, path, out); }
HIDDEN int lstat64(const char *path, struct stat64 *out) { return __lxstat64(VERSION, path, out); }
HIDDEN int fstat64(int file, struct stat64 *out) { return __fxstat64(VERSION, file, out); }
HIDDEN int fstatat64(int folder, const char *path, struct stat64 *out, int flags) { return __fxstatat64(VERSION, folder, path, out, flags); }
HIDDEN int stat(const char *path, struct stat *out) { return __xstat64(VERSION, path, out); }
HIDDEN int lstat(const char *path, struct stat *out) { return __lxstat64(VERSION, path, out); }
HIDDEN int fstat(int file, struct stat *out) { return __fxstat64(VERSION, file, out); }
HIDDEN int fstatat(int folder, const char *path, struct stat *out, int flags) { return __fxstatat64(VERSION, folder, path, out, flags); }
C
$cc -O2 -fPIC -D_GNU_SOURCE -ffunction-sections -c -o "$out/shims.o" -x c "$out/shims.c"
rm "$out/shims.c"
cat >"$out/start.c" <<'C'
/* Since glibc 2.34 a program's start file leaves its constructors to the C library, and an older one runs none of them:
   they are handed to it as older start files did. */
#ifdef __x86_64__
__asm__(".symver start_of_glibc, __libc_start_main@GLIBC_2.2.5");
#else
__asm__(".symver start_of_glibc, __libc_start_main@GLIBC_2.17");
#endif
typedef void (*constructor)(int, char **, char **);
extern constructor __preinit_array_start[], __preinit_array_end[], __init_array_start[], __init_array_end[];
extern void _init(void);
int start_of_glibc(int (*)(int, char **, char **), int, char **, constructor, void (*)(void), void (*)(void), void *);
static void run(int count, char **arguments, char **environment) {
  for (constructor *one = __preinit_array_start; one != __preinit_array_end; one++) (*one)(count, arguments, environment);
  _init();
  for (constructor *one = __init_array_start; one != __init_array_end; one++) (*one)(count, arguments, environment);
}
__attribute__((visibility("hidden"))) int __libc_start_main(int (*main)(int, char **, char **), int count, char **arguments,
    constructor init, void (*fini)(void), void (*loader_fini)(void), void *stack) {
  return start_of_glibc(main, count, arguments, init ? init : run, fini, loader_fini, stack);
}
C
$cc -O2 -fPIC -fvisibility=hidden -c -o "$out/start.o" -x c "$out/start.c"
rm "$out/start.c"
cat >"$out/cxx.cpp" <<'C'
#include <new>
#include <sstream>
// Headers of GCC 11 and newer call this where older ones threw std::bad_alloc.
namespace std { void __throw_bad_array_new_length() { throw bad_array_new_length(); } }
// Before GCC 9 the library had no constructor without arguments; its header is the definition.
template std::basic_ostringstream<char>::basic_ostringstream();
C
${CXX:-c++} -O2 -fPIC -std=c++17 -c -o "$out/cxx.o" "$out/cxx.cpp"
rm "$out/cxx.cpp"
