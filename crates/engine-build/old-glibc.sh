#!/bin/sh
# old-glibc.sh FOLDER [MINOR]: libraries to link against, so that the result loads with glibc 2.MINOR (default 28) and
# newer: link with -LFOLDER/lib, or with FOLDER/lib in LIBRARY_PATH, and with libgcc_s as a shared library (the unwinder in the
# archives of GCC 12 and newer asks for glibc 2.35). libc.so in it and its companions stand for the system's and define its
# symbols without code, each at its newest version that glibc 2.MINOR has and in the library where that has it. libshims.a
# brings what newer headers of the C library ask for, and what a program's start needs; libcxx.a what newer headers of
# libstdc++ ask for that the systems of glibc 2.28 lack (GLIBCXX_3.4.26 and newer). Needs the C and the C++ compiler, ar and
# readelf, GNU/Linux only.
set -eu
out=$1/lib
minor=${2:-28}
cc=${CC:-cc}
mkdir -p "$out"
# Of a folder in LIBRARY_PATH, GCC takes the neighbour with the name that the system has for 64 bits: lib or lib64.
ln -sfn lib "$1/lib64"
rm -f "$out"/lib*
symbols() { # symbols NAME FILE: the dynamic symbols of a library of the system, each line beginning with NAME
  path=$($cc -print-file-name="$2")
  if [ -e "$path" ]; then LC_ALL=C readelf -W --dyn-syms "$path" | sed "s/^/$1 /"; fi
}
for pair in glibc:libc.so.6 m:libm.so.6 pthread:libpthread.so.0 dl:libdl.so.2 rt:librt.so.1 util:libutil.so.1; do
  symbols "${pair%%:*}" "${pair#*:}"
done | awk -v minor="$minor" -v out="$out" '
  function number(version, parts, n) { # GLIBC_2.3.4 -> 20304; 0 for others and for those that are too new
    if (version !~ /^GLIBC_2\.[0-9.]+$/) return 0
    n = split(substr(version, 7), parts, ".")
    if (parts[2] > minor) { if ($1 == "glibc") moved[name] = 1; return 0 }
    return 20000 + parts[2] * 100 + (n > 2 ? parts[3] : 0)
  }
  # glibc 2.34 took these from libraries of their own into libc and gave them a new version there besides the old one.
  function home(name) {
    if (!moved[name]) return found[name]
    if (name ~ /^_*(pthread_|sem_|thrd_|mtx_|cnd_|tss_|call_once)/) return "pthread"
    if (name ~ /^_*dl/) return "dl"
    if (name ~ /^_*(aio_|lio_|mq_|shm_|timer_)/) return "rt"
    if (name ~ /^(openpty|forkpty|log(in|out|in_tty|wtmp))$/) return "util"
    return found[name]
  }
  $8 != "UND" && $9 ~ /@/ {
    split($9, part, /@+/)
    name = part[1]
    rank = number(part[2])
    # The C library itself comes first: what others define as well is its.
    if (rank > 0 && (!(name in found) || found[name] == $1) && rank > best[name]) {
      best[name] = rank; found[name] = $1; version[name] = part[2]; kind[name] = $5; size[name] = $4
    }
  }
  END {
    for (name in best) {
      type = kind[name] == "OBJECT" ? "object" : kind[name] == "TLS" ? "tls_object" : "function"
      section = type == "tls_object" ? ".section .tbss,\"awT\",@nobits" : type == "object" ? ".bss" : ".text"
      bytes = type == "function" ? 1 : size[name] > 0 ? size[name] : 8
      library = home(name)
      n++
      printf "%s\n.globl s%d\n.type s%d, @%s\n.size s%d, %s\ns%d: .skip %s\n.symver s%d, %s@@%s\n", section, n, n, type, n, bytes, n, bytes, n, name, version[name] >(out "/" library ".s")
      if (!seen[library, version[name]]++) printf "%s { };\n", version[name] >(out "/" library ".map")
    }
  }'
for pair in glibc:libc.so.6 m:libm.so.6 pthread:libpthread.so.0 dl:libdl.so.2 rt:librt.so.1 util:libutil.so.1; do
  name=${pair%%:*}
  touch "$out/$name.s" "$out/$name.map"
  echo "SPLAT_HIDDEN { local: s[0-9]*; };" >>"$out/$name.map"
  $cc -shared -nostdlib -Wl,-soname,"${pair#*:}" -Wl,--version-script="$out/$name.map" -o "$out/lib$name.so" -x assembler "$out/$name.s"
  rm "$out/$name.s" "$out/$name.map"
done
# As the system's own libc.so does: besides it the few functions that are linked statically, and the loader's.
loader=$(LC_ALL=C readelf -d "$($cc -print-file-name=libc.so.6)" | sed -n 's/.*NEEDED.*\[\(ld-linux.*\)\].*/\1/p')
here=$(cd "$out" && pwd)
others=
for name in pthread dl rt util; do others="$others \"$here/lib$name.so\""; done
cat >"$out/libc.so" <<SCRIPT
GROUP ( "$here/libshims.a" "$here/libglibc.so" "$($cc -print-file-name=libc_nonshared.a)" AS_NEEDED ($others "$($cc -print-file-name="$loader")" ) )
SCRIPT
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
ar rcD "$out/libshims.a" "$out/shims.o" "$out/start.o"
rm "$out/start.c" "$out/shims.o" "$out/start.o"
cat >"$out/cxx.cpp" <<'C'
#include <new>
#include <sstream>
// Headers of GCC 11 and newer call this where older ones threw std::bad_alloc.
namespace std { void __throw_bad_array_new_length() { throw bad_array_new_length(); } }
// Before GCC 9 the library had no constructor without arguments; its header is the definition.
template std::basic_ostringstream<char>::basic_ostringstream();
C
${CXX:-c++} -O2 -fPIC -std=c++17 -c -o "$out/cxx.o" "$out/cxx.cpp"
ar rcD "$out/libcxx.a" "$out/cxx.o"
rm "$out/cxx.cpp" "$out/cxx.o"
library=$($cc -print-file-name=libstdc++.so)
if [ -e "$library" ]; then echo "GROUP ( \"$here/libcxx.a\" \"$library\" )" >"$out/libstdc++.so"; fi
